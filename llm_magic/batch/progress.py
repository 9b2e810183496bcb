"""How far a ``map()`` is, for whoever watches: one display, drawn at most twice a second."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from .. import frontend, rendering
from ..views.static import Display

if TYPE_CHECKING:
    from ..frontend import Frontend
    from ..session import Session
    from .results import Tally

DRAW_EVERY_S = 0.5
_LONG_S, _LONGER_S = 90, 5400


class Drawing(Protocol):
    """Where progress is drawn."""

    def draw(self, tally: Tally, line: str, *, is_over: bool) -> None:
        """Draw over what was drawn before."""


class NotebookDrawing:
    """One display of a notebook; what is kept of it is a line."""

    def __init__(self) -> None:
        self._display = Display()

    def draw(self, tally: Tally, line: str, *, is_over: bool) -> None:
        """Update the display."""
        bar = "" if is_over else f'<progress value="{tally.done}" max="{tally.total}"></progress> '
        html = rendering.answer_html(bar + rendering.notice_html(line))
        self._display.show({"text/html": html, "text/plain": line})


class TerminalDrawing:
    """One line of a terminal."""

    def __init__(self) -> None:
        self._width = 0

    def draw(self, tally: Tally, line: str, *, is_over: bool) -> None:  # noqa: ARG002  # a drawing's signature
        """Write over the line."""
        sys.stderr.write(f"\r{line:<{self._width}}" + "\n" * is_over)
        sys.stderr.flush()
        self._width = len(line)


class Progress:
    """Draws when it is time.

    Args:
        drawing: Where, None draws nothing.
    """

    def __init__(self, drawing: Drawing | None) -> None:
        self._drawing = drawing
        self._start = self._drawn_at = time.monotonic()
        self._is_drawn = False

    @property
    def is_on(self) -> bool:
        """Somebody may watch."""
        return self._drawing is not None

    def tick(self, tally: Tally) -> None:
        """Draw, if nothing was drawn for half a second."""
        now = time.monotonic()
        if self._drawing is not None and now - self._drawn_at >= DRAW_EVERY_S:
            self._drawn_at, self._is_drawn = now, True
            self._drawing.draw(tally, line_of(tally, elapsed_s=now - self._start), is_over=False)

    def end(self, tally: Tally) -> None:
        """Draw the last state, where something was drawn before or something failed."""
        if self._drawing is not None and (self._is_drawn or tally.failed):
            self._drawing.draw(tally, line_of(tally), is_over=True)


def here_of(session: Session) -> Frontend:
    """Which front end the running cell belongs to."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return frontend.detect(shell, view=session.config.get("view"), secret=session.secret)


def drawing_for(here: Frontend) -> Drawing | None:
    """Where the running cell draws; None where nobody watches."""
    if here.path in ("static", "live"):
        return NotebookDrawing()
    return TerminalDrawing() if here.path in ("plain", "print") and sys.stderr.isatty() else None


def line_of(tally: Tally, *, elapsed_s: float | None = None) -> str:
    """What is said of it: how many, how many failed, what it cost, and about how long it will still take.

    Args:
        tally: How far it is.
        elapsed_s: Seconds since it began; None where it is over.
    """
    pieces = [f"{tally.done:,} of {tally.total:,} rows"]
    if tally.failed:
        pieces.append(f"{tally.failed:,} failed")
    if tally.spent.cost_usd or tally.spent.has_unknown_cost:
        pieces.append(tally.spent.cost_text)
    if elapsed_s is not None and tally.done:
        pieces.append(f"about {_duration(elapsed_s / tally.done * (tally.total - tally.done))} left")
    return " · ".join(pieces)


def _duration(seconds: float) -> str:
    if seconds < _LONG_S:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < _LONGER_S else f"{seconds / 3600:.1f} h"
