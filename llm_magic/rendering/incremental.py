"""Rendering an answer while it arrives, in time linear in its length.

Text is fed as it comes, in chunks cut anywhere; pieces say which have changed since the last time: those of the blocks
that have closed since, which never change again, and those of the open end. What is shown is what the whole text so
far would render to, but for two cases that only the end settles: a link whose definition comes later, and open blocks
that grew long (see ``tail``). So one full render ends an answer.
"""

from __future__ import annotations

from typing import Any

from . import blocks
from .clean import unix_lines
from .markdown import markdown_html, parse, render
from .pieces import Piece
from .tail import OpenTail


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
        self._given = 0
        self._tail = OpenTail(highlight=highlight)

    def feed(self, text: str) -> None:
        """Take the next text. Costs nothing until something is to be shown."""
        self._fed.append(text)
        self._pending.append(text)

    def pieces(self) -> tuple[int, list[Piece]]:
        """The pieces that may have changed since the last time, to the last, and the index of the first of them."""
        self._advance()
        start, self._given = self._given, len(self._closed)
        return start, self._closed[start:] + self._tail.pieces()

    def html(self) -> str:
        """All that was fed, as it stands."""
        self._advance()
        return "".join(piece.html for piece in self._closed) + self._tail.html

    def final(self) -> str:
        """All that was fed, rendered once as a whole."""
        return markdown_html("".join(self._fed), highlight=self._highlight)

    def _advance(self) -> None:
        text = "".join(self._pending)
        # A line's end or a character may be cut in two: its first half waits for the second.
        whole = len(text) - (text[-1:] == "\r" or "\ud800" <= text[-1:] <= "\udbff")
        self._pending = [text[whole:]]
        if whole:
            self._closed += self._tail.add(unix_lines(text[:whole]))


def markdown_pieces(text: str, *, highlight: bool = True) -> list[Piece]:
    """A whole answer as pieces of safe HTML, one a block; joined, they are what ``markdown_html`` makes of it."""
    environment: dict[str, Any] = {}
    found = blocks.split(parse(unix_lines(text), environment))
    return [Piece(html=render(block, environment, highlight=highlight)) for block in found]
