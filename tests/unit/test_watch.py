"""Watching an ask from a blocking call: what its view gets, and how interrupts, really sent, end it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from llm_magic import interrupts
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.engine import shared_engine
from llm_magic.errors import Interrupted
from llm_magic.events import TextDelta
from llm_magic.run import Outcome, Run
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend
from llm_magic.turns import Turn
from llm_magic.watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_magic.events import Event

LONG_S = 600.0
PLAN = Session(config=Config(environ={})).plan(
    Ask(prompt=(message("user", "hello"),), backend=ScriptedBackend(), settings={"model": "m"})
)


class Recorder:
    """A view that takes down what it gets, and interrupts this process when it is drawn."""

    can_ask: bool | None = None

    def __init__(self, *, interrupts: int = 0, at_the_end: int = 0) -> None:
        self.text = ""
        self.ended: list[Turn] = []
        self._interrupts, self._at_the_end = interrupts, at_the_end

    def add(self, event: Event) -> None:
        assert isinstance(event, TextDelta)
        self.text += event.text

    def tick(self) -> None:
        if self.text:
            for _ in range(self._interrupts):
                signal.raise_signal(signal.SIGINT)
            self._interrupts = 0

    def end(self, turn: Turn) -> None:
        for _ in range(self._at_the_end):
            signal.raise_signal(signal.SIGINT)
        self.ended.append(turn)


def turn(text: str, status: str) -> Turn:
    return Turn(id="0", prompt=(), text=text, status=status, requested_model="m")  # type: ignore[arg-type]  # one of them


def answers(text: str) -> Run:
    """An ask that is answered."""

    async def work(emit: Callable[[Event], None]) -> Outcome:
        emit(TextDelta(text=text))
        return Outcome(turn=turn(text, "complete"))

    return Run(shared_engine(), work, plan=PLAN)


def hangs(text: str, *, closing: asyncio.Event | None = None) -> Run:
    """An ask that goes on until it is cancelled, and then, where that is given, until it may close."""

    async def work(emit: Callable[[Event], None]) -> Outcome:
        emit(TextDelta(text=text))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if closing is not None:
                await closing.wait()
        return Outcome(turn=turn(text, "interrupted"))

    return Run(shared_engine(), work, plan=PLAN)


def test_a_view_gets_all_events_and_the_end() -> None:
    """And the outcome is returned."""
    view = Recorder()

    outcome = watch(lambda: answers("hello"), lambda _: view)

    assert (view.text, view.ended, outcome.turn.text) == ("hello", [outcome.turn], "hello")


@pytest.mark.parametrize("times", [1, 2, 5])
def test_interrupts_in_a_row_end_as_one(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The partial is kept and drawn, whatever the user's impatience; none hits a drawing."""
    monkeypatch.setattr(interrupts, "PATIENCE_S", LONG_S)
    view = Recorder(interrupts=times, at_the_end=times)

    with pytest.raises(Interrupted, match="5 characters kept"):
        watch(lambda: hangs("hello"), lambda _: view)

    assert [(t.text, t.status) for t in view.ended] == [("hello", "interrupted")]


def test_an_interrupt_while_the_end_is_drawn_still_stops() -> None:
    """The answer is whole, and the cells behind it do not run."""
    view = Recorder(at_the_end=1)

    with pytest.raises(Interrupted, match="the answer was whole and is kept"):
        watch(lambda: answers("hello"), lambda _: view)

    assert len(view.ended) == 1


def test_a_second_interrupt_leaves_a_close_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two drawings: the first is drawn to its end."""
    monkeypatch.setattr(interrupts, "PATIENCE_S", -1.0)
    closing = asyncio.Event()
    view = Recorder(interrupts=2)
    runs: list[Run] = []

    def start() -> Run:
        runs.append(hangs("hello", closing=closing))
        return runs[0]

    with pytest.raises(Interrupted, match="is being closed"):
        watch(start, lambda _: view)

    assert not view.ended
    assert not runs[0].is_finished
    shared_engine().loop().call_soon_threadsafe(closing.set)
    assert runs[0].outcome().turn.text == "hello"


def test_a_third_interrupt_leaves_a_drawing_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody looks between two drawings any more, the handler raises."""
    monkeypatch.setattr(interrupts, "PATIENCE_S", -1.0)
    has_returned = False

    class Stuck(Recorder):
        def tick(self) -> None:
            nonlocal has_returned
            super().tick()
            has_returned = has_returned or bool(self.text)

    with pytest.raises(Interrupted, match="is being closed"):
        watch(lambda: hangs("hello"), lambda _: Stuck(interrupts=3))

    assert not has_returned
