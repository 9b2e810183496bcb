"""Rendering an answer while it arrives, in time linear in its length.

Text is fed as it comes, in chunks cut anywhere; a frame says which blocks have closed since the last one (their
HTML never changes again) and how the open end looks now. What is shown is what the whole text so far would render
to, but for two cases that only the end settles: a link whose definition comes later, and open blocks that grew long
(see ``tail``). So one full render ends an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import blocks
from .clean import unix_lines
from .markdown import markdown_html, parse, render
from .pieces import Piece
from .tail import OpenTail


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What changed since the frame before.

    Attributes:
        closed: HTML of the blocks that closed, in order, each whole.
        tail: HTML of what is still open; replaces the tail of the frame before.
    """

    closed: tuple[str, ...]
    tail: str


class IncrementalRenderer:
    """Renders a growing answer.

    Args:
        highlight: Mark keywords, strings and the like in code, once its block is closed.
    """

    def __init__(self, *, highlight: bool = True) -> None:
        self._highlight = highlight
        self._fed: list[str] = []
        self._pending: list[str] = []
        self._closed: list[str] = []
        self._given = 0
        self._tail = OpenTail(highlight=highlight)

    def feed(self, text: str) -> None:
        """Take the next text. Costs nothing until a frame is wanted."""
        self._fed.append(text)
        self._pending.append(text)

    def frame(self) -> Frame:
        """What changed since the last frame."""
        self._advance()
        start, self._given = self._given, len(self._closed)
        return Frame(closed=tuple(self._closed[start:]), tail=self._tail.html)

    def pieces(self) -> tuple[int, list[Piece]]:
        """The pieces that may have changed since the last time, and the index of the first of them."""
        start = self._given
        frame = self.frame()
        return start, [Piece(html=html) for html in (*frame.closed, frame.tail) if html]

    def html(self) -> str:
        """All that was fed, as it stands: closed blocks and tail. Takes nothing from the next frame."""
        self._advance()
        return "".join(self._closed) + self._tail.html

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
