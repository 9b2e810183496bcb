"""The view for any notebook front end: one display of safe HTML, updated sparsely, final state always.

Updated at most twice a second and only after the answer grew by half, so what is sent grows linearly with the answer
however long it takes. Nothing is displayed for an ask that fails before anything arrived: its error is the one line.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .. import rendering
from ..events import (
    NextRound,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolCallDelta,
    ToolProgress,
    Waiting,
)
from ..reply import answer_bundle
from .calls import Calls
from .growing import GrowingText
from .plain import STATUS_AFTER_S, waiting_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..events import Event
    from ..reply import Form
    from ..turns import Turn

UPDATE_EVERY_S = 0.5
GROWTH = 1.5


class Display:
    """One display, made by the first update."""

    def __init__(self) -> None:
        self._handle: Any = None

    @property
    def is_shown(self) -> bool:
        """Something has been displayed."""
        return self._handle is not None

    def show(self, bundle: Mapping[str, Any]) -> None:
        """Display, or update what is displayed."""
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # IPython's is
        else:
            self._handle.update(bundle, raw=True)


class StaticView:
    """Displays an answer while it arrives.

    Args:
        waiting: What is shown while nothing has arrived.
        form: How the answer is shown; json and code are not shown while they arrive.
        has_footer: A line under the answer tells model, tokens and cost.
        is_live: False displays once, at the end (where nobody watches).
        display: Where; one of its own where not given.
        is_blocking: The cell waits for the answer and shows its error. False displays at once, and the error too.
    """

    can_ask: bool | None = False

    def __init__(
        self,
        *,
        waiting: str,
        form: Form = "markdown",
        has_footer: bool = True,
        is_live: bool = True,
        display: Display | None = None,
        is_blocking: bool = True,
    ) -> None:
        self._asking = self._waiting = waiting
        self._form = form
        self._has_footer = has_footer
        self._is_live = is_live
        self._is_blocking = is_blocking
        self._display = display or Display()
        self._start = self._shown_at = time.monotonic()
        self._size = self._shown_size = 0
        self._answer = GrowingText(form)
        self._calls = Calls()
        self._lines: list[str] = []
        self._is_told = True
        self._has_moved = False

    def add(self, event: Event) -> None:
        """Take the next event."""
        self._calls.add(event)
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                self._size += len(text)
                self._answer.feed(text)
            case ToolCallDelta(arguments=text):
                self._size += len(text)
            case ToolProgress():
                # Told when it is time, however little there is to tell: a tool may take long.
                self._size += 1
                self._has_moved = True
            case NextRound():
                self._begin_again(event)
            case ReasoningDelta():
                if not self._size and self._waiting != "thinking":
                    self._waiting, self._is_told = "thinking", False
            case Retrying() | Waiting() | Sending():
                self._waiting, self._is_told = waiting_line(event, self._asking) or self._waiting, False
            case Notice(text=text):
                self._lines.append(text)
                self._is_told = False
            case _:
                pass

    def tick(self) -> None:
        """Update the display if there is enough to say and it is time."""
        now = time.monotonic()
        if not self._is_blocking and not self._display.is_shown:
            self._update(now)
        if not self._is_live or self._form not in ("markdown", "text", "data"):
            return
        since = now - (self._shown_at if self._display.is_shown else self._start)
        if self._size == 0:
            if since >= STATUS_AFTER_S and (not self._display.is_shown or not self._is_told):
                self._update(now)
        elif (self._shown_size == 0 or since >= UPDATE_EVERY_S) and (
            self._has_moved or self._size >= GROWTH * self._shown_size
        ):
            self._update(now)

    def end(self, turn: Turn) -> None:
        """Display the final state: the safe HTML and plain text that the notebook keeps."""
        if turn.status == "failed" and self._is_blocking:
            if self._display.is_shown:
                self._display.show({"text/html": "", "text/plain": ""})
            return
        self._display.show(answer_bundle(turn, form=self._form, has_footer=self._has_footer))

    def _begin_again(self, event: NextRound) -> None:
        calls = self._calls.close()
        if event.reason == "repair":
            self._answer.drop()
        else:
            self._answer.close(calls)
        if event.text:
            self._lines.append(event.text)
            self._has_moved = True

    def _update(self, now: float) -> None:
        self._shown_at, self._shown_size, self._is_told, self._has_moved = now, self._size, True, False
        pieces = [rendering.notice_html(line) for line in self._lines]
        if self._size:
            pieces.append(self._answer.html(self._calls.pieces()))
        else:
            pieces.append(rendering.notice_html(f"{self._waiting} …"))
        # The plain text is for the end: sent with every update it would double the traffic, and who shows HTML
        # ignores it.
        self._display.show({"text/html": rendering.answer_html("".join(pieces)), "text/plain": f"({self._waiting} …)"})


def waiting_bundle(waiting: str) -> dict[str, str]:
    """What is displayed while nothing has arrived."""
    return {
        "text/html": rendering.answer_html(rendering.notice_html(f"{waiting} …")),
        "text/plain": f"({rendering.plain_text(waiting)} …)",
    }


class StaticStatus:
    """One line while an aside is answered, emptied when it is.

    Args:
        waiting: What the line says.
        display: Where; the asides of one cell share theirs, so that a loop leaves one output.
    """

    can_ask: bool | None = False

    def __init__(self, waiting: str, display: Display) -> None:
        self._asking = self._waiting = waiting
        self._display = display
        self._start = time.monotonic()
        self._is_told = False

    def add(self, event: Event) -> None:
        """Take the next event."""
        if line := waiting_line(event, self._asking):
            self._waiting, self._is_told = line, False

    def tick(self) -> None:
        """Show the line once the ask takes its time."""
        if not self._is_told and time.monotonic() - self._start >= STATUS_AFTER_S:
            self._is_told = True
            self._display.show(waiting_bundle(self._waiting))

    def end(self, turn: Turn) -> None:  # noqa: ARG002  # a view's signature
        """Empty the line."""
        if self._is_told:
            self._display.show({"text/html": "", "text/plain": ""})
