"""One turn as the pages of a widget show it while it is answered: events come in, fields and pieces go to a feed.

The live view draws its one turn so, the panel every turn that is under way. When something is sent is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import rendering
from ..events import (
    Notice,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    Waiting,
)
from ..reply import answer_pieces, footer, remarks
from .figures import Figures
from .plain import retry_line

if TYPE_CHECKING:
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
        self._form = form
        self._has_footer = has_footer
        self._figures = Figures(plan)
        self._answer = rendering.IncrementalRenderer()
        self._reasoning = rendering.IncrementalRenderer(highlight=False)
        self._plain: list[str] = []
        self._is_thinking = self._has_text = False
        self._notes: list[str] = []
        self._pending = 0
        feed.turn(key, w=plan.base.id, s="waiting", notes=[], foot=None, fig=self._figures.news())

    def add(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                self._count(answered=len(text))
                self._has_text = True
                if self._form == "markdown":
                    self._answer.feed(text)
                elif self._form == "text":
                    self._plain.append(text)
            case ReasoningDelta(text=text):
                self._count(thought=len(text))
                self._is_thinking = True
                self._reasoning.feed(text)
            case ToolCallDelta(arguments=text):
                self._count(answered=len(text))
            case UsageReport(usage=usage):
                self._figures.note_usage(usage)
            case _:
                self._remark(event)

    @property
    def pending(self) -> int:
        """Characters that came since the feed was last given any."""
        return self._pending

    def put(self) -> None:
        """Give the feed what came since the last time."""
        self._pending = 0
        if self._is_thinking:
            start, pieces = self._reasoning.pieces()
            self._feed.pieces(self._key, "r", pieces, start=start)
        if self._has_text and self._form == "text":
            html = rendering.preformatted_html("".join(self._plain))
            self._feed.pieces(self._key, "a", [rendering.Piece(html=html)])
        elif self._has_text:
            start, pieces = self._answer.pieces()
            self._feed.pieces(self._key, "a", pieces, start=start)
        if (figures := self._figures.news()) is not None:
            self._feed.turn(self._key, fig=figures)

    def end(self, turn: Turn) -> None:
        """Give the feed the turn as it is kept."""
        reasoning = rendering.markdown_pieces(turn.reasoning, highlight=False)
        self._feed.pieces(self._key, "r", reasoning)
        self._feed.pieces(self._key, "a", answer_pieces(turn, form=self._form))
        self._feed.turn(
            self._key,
            w=turn.id,
            s=turn.status,
            notes=[rendering.plain_text(line) for line in remarks(turn)],
            foot=rendering.plain_text(footer(turn)) if self._has_footer else None,
            fig=None,
            wait=None,
        )

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
            case _:
                pass

    def _note(self, line: str) -> None:
        self._notes.append(rendering.plain_text(line))
        self._feed.turn(self._key, notes=list(self._notes))
