"""Rendering an answer while it arrives, in time linear in its length.

Text is fed as it comes, in chunks cut anywhere; what is shown of it is a list of pieces, of which only the last few
change. It is what the whole text so far would render to, but for what only the end settles: a link whose definition
comes later, footnotes, and open blocks that grew long (see ``tail``). So one full render ends an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import blocks
from .clean import unix_lines
from .markdown import markdown_html, parse_whole, render
from .pieces import cut
from .tail import OpenTail

if TYPE_CHECKING:
    from .pieces import Piece


class IncrementalRenderer:
    """Renders a growing answer.

    Args:
        highlight: Mark keywords, strings and the like in code, once its block is closed.
    """

    def __init__(self, *, highlight: bool = True) -> None:
        self._highlight = highlight
        self._fed: list[str] = []
        self._pending: list[str] = []
        self._closed: list[Piece] = []
        self._changed = 0
        self._tail = OpenTail(highlight=highlight)

    def feed(self, text: str) -> None:
        """Take the next text. Costs nothing until it is to be shown."""
        self._fed.append(text)
        self._pending.append(text)

    def pieces(self) -> tuple[int, list[Piece]]:
        """The pieces that may have changed since the last time, and the index of the first of them.

        What this costs depends on what was fed since, not on all before.
        """
        self._advance()
        start, closed = self._changed, len(self._closed)
        settled = self._tail.settled
        changed = self._closed[start:] + settled[max(0, start - closed) :]
        self._changed = closed + len(settled)
        return start, changed + self._tail.open

    def html(self) -> str:
        """All that was fed, as it stands: closed blocks and tail. Takes nothing from the next ``pieces``."""
        self._advance()
        return "".join(piece.html for piece in self._closed + self._tail.settled + self._tail.open)

    def final(self) -> str:
        """All that was fed, rendered once as a whole."""
        return markdown_html("".join(self._fed), highlight=self._highlight)

    def final_pieces(self) -> list[Piece]:
        """All that was fed, rendered once as a whole; joined, the pieces are ``final()``."""
        return markdown_pieces("".join(self._fed), highlight=self._highlight)

    def _advance(self) -> None:
        text = "".join(self._pending)
        # A line's end or a character may be cut in two: its first half waits for the second.
        whole = len(text) - (text[-1:] == "\r" or "\ud800" <= text[-1:] <= "\udbff")
        self._pending = [text[whole:]]
        if not whole:
            return
        settled = self._tail.settled
        closed = self._tail.add(unix_lines(text[:whole]))
        if closed or self._tail.settled is not settled:
            self._changed = min(self._changed, len(self._closed))
        self._closed += closed


def markdown_pieces(text: str, *, highlight: bool = True) -> list[Piece]:
    """A whole answer as pieces of safe HTML; joined, they are what ``markdown_html`` makes of it.

    A block is one piece, but for long tables, lists and plain code: they have the pieces they had while they grew.
    """
    environment: dict[str, Any] = {}
    found = blocks.split(parse_whole(text, environment))
    return [piece for block in found for piece in cut(render(block, environment, highlight=highlight))]
