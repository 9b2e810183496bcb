"""One turn as the pages of a widget show it while it is answered: events come in, fields and pieces go to a feed.

The live view draws its one turn so, the panel every turn that is under way. When something is sent is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import rendering
from ..events import (
    NextRound,
    Notice,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolCallDelta,
    ToolProgress,
    UsageReport,
    Waiting,
)
from ..reply import answer_pieces, footer, form_of, reasoning_pieces, remarks
from .calls import Calls
from .figures import Figures
from .growing import GrowingText
from .plain import retry_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..asks import Plan
    from ..events import Event
    from ..reply import Form
    from ..turns import Turn
    from .feed import Feed


class TurnDrawing:
    """Draws one turn that is under way into a feed.

    Args:
        feed: Where to.
        key: The turn's key in it.
        plan: What is asked of whom.
        form: How the answer is shown; json and code only when they are whole.
        has_footer: A line under the answer tells model, tokens and cost.
    """

    def __init__(self, feed: Feed, key: str, plan: Plan, *, form: Form = "markdown", has_footer: bool = True) -> None:
        self._feed = feed
        self._key = key
        self._form = form = form_of(form, plan.base.settings)
        self._has_footer = has_footer
        self._figures = Figures(plan)
        self._answer = GrowingText(form)
        self._reasoning = GrowingText(highlight=False)
        self._calls = Calls()
        self._notes: list[str] = []
        self._pending = 0
        feed.turn(key, w=plan.base.id, s="waiting", notes=[], foot=None, fig=self._figures.news())

    def add(self, event: Event) -> None:
        """Take the next event."""
        self._calls.add(event)
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                self._count(answered=len(text))
                self._answer.feed(text)
            case ReasoningDelta(text=text):
                self._count(thought=len(text))
                self._reasoning.feed(text)
            case ToolCallDelta(arguments=text):
                self._count(answered=len(text))
            case ToolProgress():
                self._count()
            case UsageReport(usage=usage):
                self._figures.note_usage(usage)
            case _:
                self._remark(event)

    def permit(self, said: Mapping[str, Any]) -> bool:
        """Take a page's word on a tool call; whether it counts. See :meth:`Calls.permit`."""
        return self._calls.permit(said)

    @property
    def pending(self) -> int:
        """Characters that came since the feed was last given any."""
        return self._pending

    def put(self) -> None:
        """Give the feed what came since the last time."""
        self._pending = 0
        if not self._reasoning.is_empty:
            start, pieces = self._reasoning.pieces()
            self._feed.pieces(self._key, "r", pieces, start=start)
        start, pieces = self._answer.pieces(self._calls.pieces())
        self._feed.pieces(self._key, "a", pieces, start=start)
        # Whoever answered it: a question that is not open any more is gone from all pages.
        questions = self._calls.questions()
        self._feed.turn(self._key, asks=questions or None, **self._state(is_asking=bool(questions)))
        if (figures := self._figures.news()) is not None:
            self._feed.turn(self._key, fig=figures)

    def end(self, turn: Turn) -> None:
        """Give the feed the turn as it is kept."""
        self._feed.pieces(self._key, "r", reasoning_pieces(turn))
        self._feed.pieces(self._key, "a", answer_pieces(turn, form=self._form))
        self._feed.turn(
            self._key,
            w=turn.id,
            s=turn.status,
            notes=[rendering.plain_text(line) for line in remarks(turn)],
            foot=rendering.plain_text(footer(turn)) if self._has_footer else None,
            fig=None,
            wait=None,
            asks=None,
        )

    def _state(self, *, is_asking: bool) -> dict[str, Any]:
        """The field of how it goes, {} before it has begun."""
        if not self._figures.has_begun:
            return {}
        return {"s": "asking" if is_asking else "tool" if self._calls.is_running else "running"}

    def _count(self, *, answered: int = 0, thought: int = 0) -> None:
        if not self._figures.has_begun:
            self._feed.turn(self._key, s="running", wait=None)
        self._figures.add(answered=answered, thought=thought)
        self._pending += answered + thought

    def _remark(self, event: Event) -> None:
        match event:
            case Retrying():
                self._note(retry_line(event))
            case Notice(text=text):
                self._note(text)
            case Waiting(reason=reason):
                self._feed.turn(self._key, wait=f"Waiting: {rendering.plain_text(reason)}")
            case Sending() | Opened():
                self._feed.turn(self._key, wait=None)
            case NextRound():
                self._begin_again(event)
            case _:
                pass

    def _begin_again(self, event: NextRound) -> None:
        rows = self._calls.close()
        if event.reason == "repair":
            # It could not stand: it makes room for the one that is asked for anew.
            self._answer.drop()
        else:
            self._answer.close(rows)
        self._reasoning.close()
        self._figures.begin_request()
        if event.text:
            self._note(event.text)

    def _note(self, line: str) -> None:
        self._notes.append(rendering.plain_text(line))
        self._feed.turn(self._key, notes=list(self._notes))
