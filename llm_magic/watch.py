"""Watching one ask from a blocking call: the loop that hands events to a view, and what an interrupt does to it."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Protocol

from .errors import Interrupted
from .run import interrupted_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from .events import Event
    from .run import Outcome, Run
    from .turns import Turn


class View(Protocol):
    """What draws one ask."""

    def add(self, event: Event) -> None:
        """Take the next event."""

    def tick(self) -> None:
        """Draw if it is time; called about every 50 ms, and before the end."""

    def end(self, turn: Turn) -> None:
        """Draw the final state, whatever was drawn before."""


def watch(run: Run, view: View | None = None) -> Outcome:
    """Watch an ask until it has ended, and let a view draw it.

    Raises:
        Interrupted: The user interrupted; what had arrived is kept and drawn.
    """
    with _deferred_interrupts(run) as interrupts:
        try:
            while not run.is_finished:
                _take(run, view)
            _take(run, view)
            outcome = run.outcome()
            if view is not None:
                view.end(outcome.turn)
        except KeyboardInterrupt:
            # The second interrupt, while the first was still closing the connection: leave at once.
            raise Interrupted("the answer is being closed; %chat shows what is kept") from None
    if interrupts:
        line = interrupted_line(outcome.turn) if outcome.turn.is_partial else "the answer was whole and is kept"
        raise Interrupted(line)
    return outcome


def _take(run: Run, view: View | None) -> None:
    events = run.batch()
    if view is not None:
        for event in events:
            view.add(event)
        view.tick()


@contextlib.contextmanager
def _deferred_interrupts(run: Run) -> Iterator[list[int]]:
    """Turn the first SIGINT into a cancel of the ask, so that it never lands inside drawing or keeping.

    A second one raises; one that comes when the ask has ended only counts. Outside the main thread signals do not arrive.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def on_interrupt(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1 and not run.is_finished:
            raise KeyboardInterrupt
        run.cancel()

    former = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, former)
