"""Watching one ask from a blocking call: the loop that hands events to a view, and what an interrupt does to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .consent import Consent, stdin_prompt
from .errors import Interrupted
from .interrupts import Interrupts, deferred
from .run import interrupted_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from .events import Event
    from .run import Outcome, Run
    from .turns import Turn


class View(Protocol):
    """What draws one ask."""

    @property
    def can_ask(self) -> bool | None:
        """Whether the user can answer questions on it; None while that is not known yet."""

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
    with deferred() as interrupts:
        try:
            outcome = _watch(interrupts, start, view)
        except KeyboardInterrupt:
            raise Interrupted("the answer is being closed; %chat shows what is kept") from None
    if interrupts.count:
        line = interrupted_line(outcome.turn) if outcome.turn.is_partial else "the answer was whole and is kept"
        raise Interrupted(line)
    return outcome


def drawn(
    run: Run,
    view: View | None,
    look: Callable[[], None] = lambda: None,
    *,
    consent: Consent | None = None,
    then: Callable[[], None] = lambda: None,
) -> Outcome:
    """Hand the events of an ask to a view, up to the end, which is left to the caller.

    Args:
        run: The ask.
        view: What draws it; None draws nothing.
        look: Called between two drawings; may raise.
        consent: Asks what no page can ask, between two drawings; where not given, nobody does.
        then: Called after each drawing.
    """
    consent = consent or Consent()
    is_over = False
    while not is_over:
        is_over = run.is_finished
        events = run.batch()
        look()
        if view is not None:
            for event in events:
                view.add(event)
            view.tick()
        consent.add(events)
        consent.settle(can_page=view is not None and view.can_ask)
        then()
    return run.outcome()


def _watch(interrupts: Interrupts, start: Callable[[], Run], make_view: Callable[[Run], View | None] | None) -> Outcome:
    run = start()
    interrupts.attach(run)
    view = make_view(run) if make_view is not None else None

    def do_errands() -> None:
        if run.errands is not None:
            try:
                run.errands.do(interrupts.raising)
            except KeyboardInterrupt:
                # It hit the function: the answer is closed as after any other.
                run.cancel()

    def look() -> None:
        # Between two drawings: out of the middle of one, the front end might be left with half a message.
        if interrupts.is_insistent and not run.is_finished:
            raise KeyboardInterrupt

    outcome = drawn(run, view, look, consent=Consent(stdin_prompt, interrupts.raising), then=do_errands)
    if view is not None:
        view.end(outcome.turn)
    return outcome
