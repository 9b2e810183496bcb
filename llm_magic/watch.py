"""Watching one ask from a blocking call: the loop that hands events to a view, and what an interrupt does to it."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Protocol

from .errors import Interrupted
from .run import interrupted_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def watch(start: Callable[[], Run], view: Callable[[Run], View | None] | None = None) -> Outcome:
    """Begin an ask and watch it until it has ended.

    Args:
        start: Begins the ask; interrupts are taken care of from before this call on.
        view: Makes what draws it; None draws nothing.

    Raises:
        Interrupted: The user interrupted; what had arrived is kept and drawn.
    """
    with _deferred_interrupts() as interrupts:
        try:
            outcome = _watch(interrupts, start, view)
        except KeyboardInterrupt:
            # The second interrupt, while the first was still closing the connection: leave at once.
            raise Interrupted("the answer is being closed; %chat shows what is kept") from None
    if interrupts.count:
        line = interrupted_line(outcome.turn) if outcome.turn.is_partial else "the answer was whole and is kept"
        raise Interrupted(line)
    return outcome


def _watch(
    interrupts: _Interrupts, start: Callable[[], Run], make_view: Callable[[Run], View | None] | None
) -> Outcome:
    run = start()
    interrupts.attach(run)
    view = make_view(run) if make_view is not None else None
    is_over = False
    while not is_over:
        is_over = run.is_finished
        events = run.batch()
        if view is not None:
            for event in events:
                view.add(event)
            view.tick()
    outcome = run.outcome()
    if view is not None:
        view.end(outcome.turn)
    return outcome


class _Interrupts:
    """Counts SIGINTs. The first cancels the ask, so that none lands inside drawing or keeping; the second raises."""

    def __init__(self) -> None:
        self.count = 0
        self._run: Run | None = None

    def attach(self, run: Run) -> None:
        """From now on an interrupt cancels this ask; one that came before does so now."""
        self._run = run
        if self.count:
            run.cancel()

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self._run is None:
            return
        # Also the second time: it may have come before the first had done its work.
        self._run.cancel()
        if self.count > 1 and not self._run.is_finished:
            raise KeyboardInterrupt


@contextlib.contextmanager
def _deferred_interrupts() -> Iterator[_Interrupts]:
    """Take SIGINTs for a while. Outside the main thread they do not arrive."""
    interrupts = _Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    former = signal.signal(signal.SIGINT, interrupts)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, former)
