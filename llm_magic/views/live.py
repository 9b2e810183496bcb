"""The live view: one widget a turn, while it is answered; then the same display holds the static output alone.

A page that shows the widget says ``hello``. Where none does in time, nobody sees the widget: the display goes on as the
static view does. Whoever interrupts, stops or reloads, the final state is the turn as it is kept.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .. import rendering
from ..engine import shared_engine
from ..events import ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, ToolProgress
from ..reply import answer_bundle
from .drawing import TurnDrawing
from .feed import Feed
from .plain import STATUS_AFTER_S
from .static import Display, StaticView, waiting_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..events import Event
    from ..reply import Form
    from ..run import Run
    from ..turns import Turn
    from .channel import Channel
    from .widgets import FeedWidget

# At most so often, and later the more is waiting: nobody reads that fast, and every message has an envelope.
PATCH_EVERY_S, PATCH_AT_LEAST_EVERY_S = 0.05, 0.16
CHARACTERS_A_PATCH = 100
SNAPSHOTS_AFTER_S = (1.0, 2.0, 4.0, 8.0, 16.0)
# Something to see; what else comes first may still end in an error, which is told alone.
_ANSWERS = (TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta, ToolProgress)
# A reload, or a second view, may come late and want the whole.
GRACE_S = 60.0


class LiveView:
    """Shows one turn while it is answered.

    Args:
        run: The ask under way.
        waiting: What the static output says while nothing has arrived.
        channel: How pages say ``stop`` while a cell blocks.
        form: How the answer is shown.
        has_footer: A line under the answer tells model, tokens and cost.
        is_blocking: A cell waits for the answer and shows its error, and stopping may fall back on an interrupt. False
            displays at once, and the error too.
        patience_s: How long to wait for a page before the display goes on without.
        on_deaf: Told once that no page came.
    """

    def __init__(
        self,
        run: Run,
        *,
        waiting: str,
        channel: Channel,
        form: Form = "markdown",
        has_footer: bool = True,
        is_blocking: bool = True,
        patience_s: float,
        on_deaf: Callable[[], None] | None = None,
    ) -> None:
        self._run = run
        self._channel = channel
        self._form = form
        self._has_footer = has_footer
        self._is_blocking = is_blocking
        self._patience_s = patience_s
        self._on_deaf = on_deaf
        self._display = Display()
        self._feed = Feed(f"{run.turn_id}-view")
        self._drawing = TurnDrawing(self._feed, run.turn_id, run.plan, form=form, has_footer=has_footer)
        self._feed.turn(
            run.turn_id,
            blocks=is_blocking or None,
            pics=rendering.pictures_html(run.plan.base.prompt) or None,
        )
        # What the display shows where there are no widgets; it takes over where no page comes.
        self._static = StaticView(waiting=waiting, form=form, has_footer=has_footer, display=self._display)
        self._waiting = waiting
        self._began = self._shown_at = self._patched_at = time.monotonic()
        self._has_begun = False
        self._snapshots = list(SNAPSHOTS_AFTER_S)
        self._widget: FeedWidget | None = None
        self._is_heard = self._is_adopted = self._is_static = False
        self._kept: dict[str, str] | None = None

    def add(self, event: Event) -> None:
        """Take the next event."""
        self._has_begun = self._has_begun or isinstance(event, _ANSWERS)
        self._static.add(event)
        with self._feed.lock:
            self._drawing.add(event)

    @property
    def can_ask(self) -> bool | None:
        """Whether a page is there to ask on; None while one may still come."""
        if self._is_heard or self._is_static:
            return not self._is_static
        return None

    def tick(self) -> None:
        """Send what changed if it is time."""
        now = time.monotonic()
        if self._is_blocking:
            self._channel.stay_busy()
        if self._is_static:
            self._static.tick()
        elif self._widget is None:
            if self._has_begun or not self._is_blocking or now - self._began >= STATUS_AFTER_S:
                self._show(now)
        else:
            self._send(self._widget, now)

    def end(self, turn: Turn) -> None:
        """Leave the final state: the safe HTML and plain text that the notebook keeps."""
        self._kept = {"text/html": "", "text/plain": ""}
        is_told = turn.status != "failed" or not self._is_blocking
        if is_told:
            self._kept = dict(answer_bundle(turn, form=self._form, has_footer=self._has_footer))
        if self._widget is not None:
            with self._feed.lock:
                self._drawing.end(turn)
                self._widget.send_patch()
        if self._display.is_shown or is_told:
            self._display.show(self._kept)
        if self._widget is not None:
            shared_engine().later(GRACE_S, self._retire)
        if self._is_blocking:
            self._channel.stay_busy()

    def hear(self, message: Mapping[str, Any], _buffers: Sequence[object] = ()) -> None:
        """Take what a page says; on any thread."""
        widget = self._widget
        if widget is None:
            return
        match message:
            case {"k": "hello", **more}:
                self._is_heard = True
                self._is_adopted = self._is_adopted or bool(more.get("late"))
            case {"k": "need", "q": number}:
                with self._feed.lock:
                    if number == self._feed.number:
                        widget.send({"k": "same"})
                    else:
                        widget.send_whole()
            case {"k": "stop", "turn": self._run.turn_id}:
                widget.send({"k": "ack", "turn": self._run.turn_id})
                self._run.cancel()
            case {"k": "permit", "turn": self._run.turn_id, **said}:
                with self._feed.lock:
                    is_taken = self._drawing.permit(said)
                # Said to all pages: whoever answered, it is answered.
                widget.send({"k": "ack", "turn": self._run.turn_id, "call": said.get("call"), "is_taken": is_taken})
            case {"k": "shown"} if self._kept is not None:
                self._display.show(self._kept)
                widget.send({"k": "kept", "data": self._kept})
            case _:
                # Of another turn, or of a page that speaks another version: nobody waits for an answer.
                pass

    def _show(self, now: float) -> None:
        from .widgets import live_type

        with self._feed.lock:
            self._drawing.put()
            self._widget = live_type()(self._feed, listener=self, channel=self._channel)
        self._shown_at = self._patched_at = now
        kept = waiting_bundle(self._waiting)
        self._display.show(self._widget.bundle(kept))

    def _send(self, widget: FeedWidget, now: float) -> None:
        since = now - self._shown_at
        if not self._is_heard and since >= self._patience_s:
            self._is_static = True
            if self._on_deaf is not None:
                self._on_deaf()
            self._static.tick()
            return
        with self._feed.lock:
            if not self._is_heard and self._snapshots and since >= self._snapshots[0]:
                self._snapshots.pop(0)
                widget.send_whole()
            if now - self._patched_at >= interval_s(self._drawing.pending):
                self._drawing.put()
                if widget.send_patch():
                    self._patched_at = now

    def _retire(self) -> None:
        """Close the widget, unless a page that came late may be all that shows the turn."""
        if self._widget is not None and not self._is_adopted:
            self._widget.close()


def interval_s(pending: int) -> float:
    """How long to wait between two patches, in seconds.

    Args:
        pending: Characters that are waiting to be sent.
    """
    return min(PATCH_AT_LEAST_EVERY_S, PATCH_EVERY_S * (1 + pending / CHARACTERS_A_PATCH))
