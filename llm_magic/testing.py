"""For tests of backends, and with them: a scripted backend, and the acceptance test that every backend passes."""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from .backends.base import Backend, BackendInfo, Request
from .content import message
from .errors import BackendError
from .events import (
    Completed,
    Event,
    Notice,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    TextDelta,
    UsageReport,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from .backends.base import Continues
    from .counts import Usage

_CLOSE_S = 5.0
_BEGINNING = message("assistant", "Well,")
Script: TypeAlias = "Sequence[Event | BackendError | float]"


class ScriptedBackend:
    """Answers from scripts, one for each request, and records the requests.

    Args:
        scripts: Each a row of events; a ``BackendError`` in it is raised, a number waits that many seconds. The last
            script answers all further requests.
        name: The backend's name.
        continues: What it says it can do with partial answers; see ``BackendInfo``.

    Attributes:
        requests: What was asked, in order.
        open_streams: Streams begun and not yet closed. Count.
    """

    def __init__(self, scripts: Iterable[Script] = (), *, name: str = "scripted", continues: Continues = "ask") -> None:
        self.name = name
        self._continues: Continues = continues
        self.requests: list[Request] = []
        self.open_streams = 0
        self._scripts = deque(scripts) or deque([says("Hello.")])

    def info(self) -> BackendInfo:
        """What is true of the backend as a whole."""
        return BackendInfo(name=self.name, is_local=False, base_url="scripted:", continues=self._continues)

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


async def check_backend(
    make: Callable[[], Backend],
    *,
    model: str,
    prompt: str = "Say hello.",
    failing_model: str | None = None,
    secret: str | None = None,
) -> None:
    """Check that a backend keeps what the protocol promises.

    Args:
        make: Makes the backend.
        model: A model of it that answers.
        prompt: What it is asked.
        failing_model: A model of it that fails, to see how; None leaves that out.
        secret: Its key, to see that it does not show it; None where it has none.

    Raises:
        AssertionError: It does not; the message says which promise.
    """
    backend = make()
    request = Request(model=model, messages=(message("user", prompt),), params={"max_tokens": 32})
    _check_info(backend, secret)
    try:
        _check_order(await _all(backend, request))
        await _check_side_by_side(backend, request)
        await _check_early_close(backend, request)
        _check_order(await _all(backend, replace(request, is_streaming=False)))
        if failing_model is not None:
            await _check_failure(backend, replace(request, model=failing_model, max_retries=0), secret)
        _check_order(await _all(backend, request))
        if backend.info().continues == "prefix":
            _check_order(await _all(backend, replace(request, messages=(*request.messages, _BEGINNING))))
        models = await backend.models()
        assert all("id" in item for item in models), "every model has an id"
        _check_info(backend, secret)
    finally:
        await backend.aclose()
    await asyncio.to_thread(asyncio.run, _once_more(backend, request))


def _check_info(backend: Backend, secret: str | None) -> None:
    assert isinstance(backend, Backend), "it has name, info, stream, models and aclose"
    info = backend.info()
    assert info.name == backend.name, "info names it as it names itself"
    assert "@" not in info.base_url, "info shows no credentials"
    if secret is not None:
        assert secret not in f"{backend!r} {info!r}", "it does not show its key"
        assert secret.encode() not in _pickled(backend), "its pickle does not hold its key"


def _pickled(backend: Backend) -> bytes:
    try:
        return pickle.dumps(backend)
    except (pickle.PicklingError, TypeError, AttributeError):
        return b""  # what cannot be pickled gives nothing away


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
    assert any(isinstance(event, TextDelta) for event in events), "the answer has text"
    deltas = (event for event in events if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta))
    assert all(event.text for event in deltas), "no empty text"
    opened = [index for index, event in enumerate(events) if isinstance(event, Opened)]
    assert len(opened) <= 1, "at most one Opened"
    before = events[: opened[0]] if opened else []
    assert all(isinstance(event, Retrying | Notice) for event in before), "no answer before Opened"


async def _check_side_by_side(backend: Backend, request: Request) -> None:
    """Two streams at once, one ahead of the other, do not mix."""
    other = replace(request, messages=(message("user", "Count to three."),))
    ahead, behind = aiter(backend.stream(request)), aiter(backend.stream(other))
    first = [await anext(ahead)]
    second = [event async for event in behind]
    first += [event async for event in ahead]
    _check_order(first)
    _check_order(second)


async def _check_early_close(backend: Backend, request: Request) -> None:
    """A stream that is left releases what it holds, soon, and leaves the backend usable."""
    stream = backend.stream(request)
    await anext(aiter(stream))
    close = getattr(stream, "aclose", None)
    assert close is not None, "a stream can be closed"
    async with asyncio.timeout(_CLOSE_S):
        await close()
    _check_order(await _all(backend, request))


async def _check_failure(backend: Backend, request: Request, secret: str | None) -> None:
    """A request that fails raises a child of BackendError, one line long, and does not complete."""
    events, error = await _until_error(backend, request)
    assert error is not None, "a request that fails raises"
    assert type(error) is not BackendError, "errors are children of BackendError"
    assert "\n" not in str(error), "an error is one line"
    assert secret is None or secret not in str(error), "an error does not show the key"
    assert not any(isinstance(event, Completed) for event in events), "what failed did not complete"


async def _until_error(backend: Backend, request: Request) -> tuple[list[Event], BackendError | None]:
    events: list[Event] = []
    try:
        async for event in backend.stream(request):
            events += [event]
    except BackendError as exc:
        return events, exc
    return events, None
