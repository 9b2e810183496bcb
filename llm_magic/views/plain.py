"""The view for terminals: text as it streams, safe for the terminal, remarks and footer at the end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from .. import rendering
from ..events import (
    NextRound,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolProgress,
    Waiting,
)
from ..reply import footer, plain_answer, remarks

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..events import Event
    from ..reply import Form
    from ..turns import Turn

STATUS_AFTER_S = 0.5


class PlainView:
    """Prints an answer while it arrives.

    Args:
        form: How the answer is shown; json and code are printed when they are whole.
        has_footer: A line under the answer tells model, tokens and cost.
    """

    can_ask: bool | None = False

    def __init__(self, *, form: Form = "markdown", has_footer: bool = True) -> None:
        self._form = form
        self._has_footer = has_footer
        self._stream = rendering.PlainStream()
        self._pending: list[str] = []
        self._is_thinking = False
        self._column_zero = True
        self._told: set[str] = set()

    def add(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text):
                if self._form in ("markdown", "text", "data"):
                    self._pending.append(text)
            case ReasoningDelta():
                if not self._is_thinking:
                    self._is_thinking = True
                    self._print("[thinking]\n")
            case Retrying():
                self._print(f"[{retry_line(event)}]\n")
            case Waiting(reason=reason):
                self._print(f"[waiting: {rendering.plain_text(reason)}]\n")
            case Notice(text=text) | NextRound(text=text):
                self._say(text)
            case ToolProgress():
                self._say(_progress_line(event))
            case _:
                pass

    def tick(self) -> None:
        """Print what came."""
        if self._pending:
            text = self._stream.feed("".join(self._pending))
            self._pending.clear()
            self._print(text)

    def end(self, turn: Turn) -> None:
        """Print remarks and footer; a failed ask is told by its error alone."""
        self._end_line()
        if turn.status == "failed":
            return
        if self._form in ("json", "code"):
            text = plain_answer(turn, form=self._form, has_footer=self._has_footer, has_steps=False)
            self._print(rendering.plain_text(text) + "\n")
            return
        lines = [line for line in remarks(turn) if line not in turn.notices and line not in self._told]
        if self._has_footer:
            lines.append(footer(turn))
        for line in lines:
            self._print(f"[{rendering.plain_text(line)}]\n")

    def _say(self, line: str) -> None:
        """A line of ours, between what has come and what comes."""
        self._end_line()
        self._told.add(line)
        if line:
            self._print(f"[{rendering.plain_text(line)}]\n")

    def _end_line(self) -> None:
        self.tick()
        if not self._column_zero:
            self._print("\n")

    def _print(self, text: str) -> None:
        if text:
            self._column_zero = text.endswith("\n")
            sys.stdout.write(text)
            sys.stdout.flush()


class PlainNotice:
    """Says that an ask goes on in the background, and then how it ended: a line each, so that it mixes with nothing.

    Args:
        name: What the ask is called ("turn 3"), at the time of the call.
        where: Where its answer is when it has ended ("%chat show 3").
    """

    can_ask: bool | None = False

    def __init__(self, name: Callable[[], str], where: Callable[[], str]) -> None:
        self._name = name
        self._where = where
        self._say("asked in the background")

    def add(self, event: Event) -> None:
        """Take the next event: nothing is said of it."""

    def tick(self) -> None:
        """Nothing is drawn before the end."""

    def end(self, turn: Turn) -> None:
        """Say how it ended."""
        how = "; ".join(remarks(turn)) or "answered"
        self._say(how if turn.status == "failed" else f"{how} · {self._where()}")

    def _say(self, what: str) -> None:
        sys.stdout.write(f"[{rendering.plain_text(f'{self._name()}: {what}')}]\n")
        sys.stdout.flush()


class TerminalStatus:
    """One line while an aside is answered, gone when it is; only where a person watches.

    Args:
        waiting: What the line says.
    """

    can_ask: bool | None = False

    def __init__(self, waiting: str) -> None:
        self._asking = self._line = rendering.plain_text(waiting)
        self._start = time.monotonic()
        self._is_shown = self._is_asking = False
        self._is_watched = sys.stderr.isatty()

    def add(self, event: Event) -> None:
        """Take the next event."""
        self._line = waiting_line(event, self._asking) or self._line
        if isinstance(event, ToolProgress):
            # The question stands on the same line; the status comes back when it is answered.
            self._is_asking = event.state == "asking"
            if self._is_asking:
                self._wipe()

    def tick(self) -> None:
        """Show the line once the ask takes its time."""
        if (
            self._is_watched
            and not self._is_shown
            and not self._is_asking
            and time.monotonic() - self._start >= STATUS_AFTER_S
        ):
            self._is_shown = True
            sys.stderr.write(f"\r{self._line}")
            sys.stderr.flush()

    def end(self, turn: Turn) -> None:  # noqa: ARG002  # a view's signature
        """Take the line away."""
        self._wipe()

    def _wipe(self) -> None:
        if self._is_shown:
            self._is_shown = False
            sys.stderr.write("\r" + " " * len(self._line) + "\r")
            sys.stderr.flush()


def _progress_line(event: ToolProgress) -> str:
    """What a terminal says of a call: "" where the question for it says it all."""
    if event.state == "asking":
        return ""
    call = event.call
    return rendering.call_text(
        rendering.ShownCall(name=call.name, arguments=call.arguments, state=event.state, result=event.result)
    )


def waiting_line(event: Event, asking: str) -> str | None:
    """What the user reads while nothing arrives, from this event on; None where it changes nothing.

    Args:
        event: What has come.
        asking: What the line says while the request is under way.
    """
    match event:
        case Waiting(reason=reason):
            return f"waiting: {rendering.plain_text(reason)}"
        case Sending():
            return asking
        case Retrying():
            return retry_line(event)
        case _:
            return None


def retry_line(event: Retrying) -> str:
    """What the user reads while a request is tried again."""
    reason = rendering.plain_text(event.reason)
    return f"{reason}, retry {event.attempt}/{event.max_retries} in {event.wait_s:.1f} s"
