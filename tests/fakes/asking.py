"""Asking a backend in tests: a request in one line, its events and its error in one value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_magic.backends.base import Request, Timeouts
from llm_magic.content import message
from llm_magic.errors import BackendError
from llm_magic.events import Completed, Event, ReasoningDelta, TextDelta, UsageReport

if TYPE_CHECKING:
    from llm_magic.backends.base import Backend
    from llm_magic.content import Message
    from llm_magic.counts import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of a request.

    Attributes:
        events: All events, in order.
        error: What was raised after them, None where nothing was.
    """

    events: tuple[Event, ...]
    error: BackendError | None

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def reasoning(self) -> str:
        """The thoughts."""
        return "".join(event.text for event in self.events if isinstance(event, ReasoningDelta))

    @property
    def usage(self) -> Usage | None:
        """What the server reported."""
        return next((event.usage for event in self.events if isinstance(event, UsageReport)), None)

    @property
    def completed(self) -> Completed | None:
        """The last event of a whole answer."""
        return next((event for event in self.events if isinstance(event, Completed)), None)

    @property
    def failure(self) -> BackendError:
        """The error there must be."""
        assert self.error is not None, self.events
        return self.error

    def of_type(self, kind: type[Any]) -> list[Any]:
        """The events of one type."""
        return [event for event in self.events if isinstance(event, kind)]


def request(model: str, *messages: Message | str, timeout_s: float = 10.0, **more: Any) -> Request:
    """A request; strings are the user's."""
    asked = messages or ("hello there, world",)
    return Request(
        model=model,
        messages=tuple(message("user", item) if isinstance(item, str) else item for item in asked),
        timeouts=more.pop("timeouts", Timeouts(first_byte_s=timeout_s, stall_s=timeout_s)),
        **more,
    )


async def aask(backend: Backend, asked: Request) -> Asked:
    """Ask, and read to the end or the error."""
    events: list[Event] = []
    try:
        async for event in backend.stream(asked):
            events += [event]
    except BackendError as exc:
        return Asked(events=tuple(events), error=exc)
    return Asked(events=tuple(events), error=None)


def ask(backend: Backend, asked: Request | str, *, times: int = 1) -> Asked:
    """Ask (several times, the last answer counts) on a loop of its own, and close the backend."""

    async def run() -> Asked:
        try:
            for _ in range(times - 1):
                await aask(backend, request(asked) if isinstance(asked, str) else asked)
            return await aask(backend, request(asked) if isinstance(asked, str) else asked)
        finally:
            await backend.aclose()

    return asyncio.run(run())
