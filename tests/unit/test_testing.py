"""The scripted backend, and the acceptance test of backends: it finds what is broken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.base import BackendInfo, Request
from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.errors import BackendError, RateLimitedError
from llm_magic.events import Completed, Event, Opened, TextDelta, UsageReport
from llm_magic.testing import ScriptedBackend, check_backend, says

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

REQUEST = Request(model="m", messages=(message("user", "hi"),))
DONE = Completed(finish_reason="stop")


def events_of(backend: ScriptedBackend, *, times: int = 1) -> list[list[Event]]:
    """The events of some streams, one after the other."""

    async def run() -> list[list[Event]]:
        return [[event async for event in backend.stream(REQUEST)] for _ in range(times)]

    return asyncio.run(run())


def test_scripts_are_played_in_order_and_the_last_one_again() -> None:
    """One for each request; requests are recorded."""
    backend = ScriptedBackend([says("one"), says("two")])

    texts = [events[0] for events in events_of(backend, times=3)]

    assert texts == [TextDelta(text="one"), TextDelta(text="two"), TextDelta(text="two")]
    assert backend.requests == [REQUEST] * 3


def test_a_script_may_raise_and_wait() -> None:
    """After what it said before; the stream counts as closed."""
    backend = ScriptedBackend([[TextDelta(text="a"), 0.0, RateLimitedError("slow down")]])

    with pytest.raises(RateLimitedError, match="slow down"):
        events_of(backend)

    assert backend.open_streams == 0


def test_says_keeps_its_text() -> None:
    """Word by word, with usage where it is given."""
    usage = Usage(input_tokens=1, output_tokens=2, total_tokens=3)
    events = says("two  words", usage=usage)

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "two  words"
    assert events[-2:] == [UsageReport(usage=usage), Completed(finish_reason="stop", model="scripted")]


def test_the_scripted_backend_is_accepted() -> None:
    """It keeps the protocol like every other."""
    asyncio.run(check_backend(ScriptedBackend, model="m"))


class Broken(ScriptedBackend):
    """Fails for one model, with what it is given."""

    failure: BaseException | None = RateLimitedError("no")

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """As scripted, but for the model "bad"."""
        if request.model == "bad" and self.failure is not None:
            raise self.failure
        async for event in super().stream(request):
            yield event


class Telltale(ScriptedBackend):
    """Shows its key."""

    def __init__(self) -> None:
        super().__init__()
        self.key = "sk-canary"

    def __repr__(self) -> str:
        return f"Telltale({self.key})"


class Slammed(ScriptedBackend):
    """Does not say who it is, nor which models it has."""

    def info(self) -> BackendInfo:
        """Another name."""
        return BackendInfo(name="other", is_local=False, base_url="")

    async def models(self) -> list[Mapping[str, Any]]:
        """Nothing that can be named."""
        return [{"name": "m"}]


def failing(failure: BaseException | None) -> type[Broken]:
    """A backend that fails in a way of its own."""
    return type("Failing", (Broken,), {"failure": failure})


@pytest.mark.parametrize(
    ("make", "says_what"),
    [
        (lambda: ScriptedBackend([[TextDelta(text="a")]]), "exactly one Completed"),
        (lambda: ScriptedBackend([[TextDelta(text="a"), DONE, DONE]]), "exactly one Completed"),
        (lambda: ScriptedBackend([[DONE, TextDelta(text="a")]]), "last event"),
        (lambda: ScriptedBackend([[DONE]]), "has text"),
        (lambda: ScriptedBackend([[TextDelta(text="a"), TextDelta(text=""), DONE]]), "no empty text"),
        (lambda: ScriptedBackend([[TextDelta(text="a"), Opened(), DONE]]), "before Opened"),
        (
            lambda: ScriptedBackend([[TextDelta(text="a"), *[UsageReport(usage=Usage())] * 2, DONE]]),
            "at most one usage",
        ),
        (Slammed, "names it as"),
        (failing(None), "raises"),
        (failing(BackendError("no child")), "children of BackendError"),
        (failing(RateLimitedError("two\nlines")), "one line"),
        (failing(RateLimitedError("with sk-canary")), "does not show the key"),
        (Telltale, "does not show its key"),
    ],
)
def test_broken_promises_are_named(make: Any, says_what: str) -> None:
    """Each by the promise that is not kept."""
    with pytest.raises(AssertionError, match=says_what):
        asyncio.run(check_backend(make, model="m", failing_model="bad", secret="sk-canary"))


def test_other_exceptions_are_no_backend_errors() -> None:
    """They are not caught: a backend raises ours and nothing else."""
    with pytest.raises(ValueError, match="bare"):
        asyncio.run(check_backend(failing(ValueError("bare")), model="m", failing_model="bad"))
