"""For tests of backends, and with them: a scripted backend, and the acceptance test that every backend passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from .backends.base import Backend, BackendInfo, Request
from .content import message
from .errors import BackendError
from .events import Completed, Event, TextDelta, UsageReport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from .counts import Usage

Script: TypeAlias = "Sequence[Event | BackendError | float]"


class ScriptedBackend:
    """Answers from scripts, one for each request, and records the requests.

    Args:
        scripts: Each a row of events; a ``BackendError`` in it is raised, a number waits that many seconds. The last
            script answers all further requests.
        name: The backend's name.

    Attributes:
        requests: What was asked, in order.
        open_streams: Streams begun and not yet closed. Count.
    """

    def __init__(self, scripts: Iterable[Script] = (), *, name: str = "scripted") -> None:
        self.name = name
        self.requests: list[Request] = []
        self.open_streams = 0
        self._scripts = deque(scripts) or deque([says("Hello.")])

    def info(self) -> BackendInfo:
        """What is true of the backend as a whole."""
        return BackendInfo(name=self.name, is_local=False, base_url="scripted:")

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Play the next script."""
        self.requests.append(request)
        script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
        self.open_streams += 1
        try:
            for item in script:
                if isinstance(item, BackendError):
                    raise item
                if isinstance(item, int | float):
                    await asyncio.sleep(item)
                else:
                    yield item
                    await asyncio.sleep(0)
        finally:
            self.open_streams -= 1

    async def models(self) -> list[Mapping[str, Any]]:
        """One model."""
        return [{"id": "scripted", "object": "model", "owned_by": "scripted"}]

    async def aclose(self) -> None:
        """Nothing is open between streams."""


def says(text: str, *, usage: Usage | None = None, finish_reason: str = "stop") -> list[Event]:
    """A script that answers a text, word by word."""
    words = text.split(" ")
    pieces = [word + (" " if index < len(words) - 1 else "") for index, word in enumerate(words)]
    reports = [UsageReport(usage=usage)] if usage is not None else []
    return [
        *(TextDelta(text=piece) for piece in pieces if piece),
        *reports,
        Completed(finish_reason=finish_reason, model="scripted"),
    ]


async def check_backend(make: Callable[[], Backend], *, model: str, prompt: str = "Say hello.") -> None:
    """Check that a backend keeps what the protocol promises.

    Args:
        make: Makes the backend.
        model: A model of it that answers.
        prompt: What it is asked.

    Raises:
        AssertionError: It does not; the message says which promise.
    """
    backend = make()
    request = Request(model=model, messages=(message("user", prompt),), params={"max_tokens": 32})
    assert isinstance(backend, Backend), "it has name, info, stream, models and aclose"
    assert backend.info().name == backend.name, "info names it as it names itself"
    assert "@" not in backend.info().base_url, "info shows no credentials"
    try:
        _check_order(await _all(backend, request))
        one, other = await asyncio.gather(_all(backend, request), _all(backend, request))
        _check_order(one)
        _check_order(other)
        await _check_early_close(backend, request)
        whole = Request(model=model, messages=request.messages, params=request.params, is_streaming=False)
        _check_order(await _all(backend, whole))
        assert all("id" in item for item in await backend.models()), "every model has an id"
    finally:
        await backend.aclose()
    await asyncio.to_thread(asyncio.run, _once_more(backend, request))


async def _all(backend: Backend, request: Request) -> list[Event]:
    return [event async for event in backend.stream(request)]


async def _once_more(backend: Backend, request: Request) -> None:
    try:
        _check_order(await _all(backend, request))
    finally:
        await backend.aclose()


def _check_order(events: list[Event]) -> None:
    completed = [event for event in events if isinstance(event, Completed)]
    assert len(completed) == 1, "exactly one Completed"
    assert events[-1] is completed[0], "Completed is the last event"
    assert sum(isinstance(event, UsageReport) for event in events) <= 1, "at most one usage report"
    assert all(event.text for event in events if isinstance(event, TextDelta)), "no empty text"
    assert any(isinstance(event, TextDelta) for event in events), "the answer has text"


async def _check_early_close(backend: Backend, request: Request) -> None:
    stream = backend.stream(request)
    async with contextlib.aclosing(stream) as events:  # type: ignore[type-var]  # an async generator in practice
        async for _ in events:
            break
    _check_order(await _all(backend, request))
