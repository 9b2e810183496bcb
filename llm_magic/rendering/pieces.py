"""Pieces: what is shown of a text as stretches of HTML, so that little is drawn again when it grows.

Comes in: clean HTML of one block, whole or as it grows; goes out: pieces of it that, joined, are that HTML. Blocks are
cut where that is safe and seen by nobody: between rows of a table, items of a list, lines of plain code. Where a piece
ends depends only on what is before its end, so a block has the same pieces while it grows and when it is whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from .highlight import CODE_OPEN

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE_CHARACTERS = 2_000

Context: TypeAlias = Literal["", "tbody", "ul", "ol", "code"]

_ITEM = re.compile(r"<(/?)li\b[^>]*>\n?")
_ROWS, _ROW_END = "<tbody>\n", "</tr>\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of HTML.

    Attributes:
        html: Safe HTML; it may leave elements open that a later piece closes.
        context: The element, left open by a piece before it, that it goes on in; "" for blocks of their own.
    """

    html: str
    context: Context = ""


class Cutter:
    """Cuts the HTML of one block, while it grows, into pieces of moderate length.

    Attributes:
        cut: The pieces so far; what comes later changes none of them.
    """

    def __init__(self) -> None:
        self.cut: list[Piece] = []
        self._rest = ""
        self._within: Context = ""

    def add(self, html: str) -> None:
        """Take more of the block; the first time at least its opening tags."""
        self._within = self._within or _within(html)
        self._rest += html
        if not self._within:
            return
        start, end_after = 0, _ENDS[self._within]
        while end := end_after(self._rest, start):
            self.cut.append(Piece(html=self._rest[start:end], context=self._context))
            start = end
        self._rest = self._rest[start:]

    def rest(self, html: str = "") -> list[Piece]:
        """What follows the pieces that are cut, as a piece; none where nothing does.

        Args:
            html: What comes after all that was added; it need not stay.
        """
        html = self._rest + html
        return [Piece(html=html, context=self._context)] if html else []

    @property
    def _context(self) -> Context:
        return self._within if self.cut else ""


def cut(html: str) -> list[Piece]:
    """A whole block as pieces."""
    cutter = Cutter()
    cutter.add(html)
    return cutter.cut + cutter.rest()


def _within(html: str) -> Context:
    """What the pieces of a block go on in, by its first tags; "" where it is not cut."""
    if html.startswith(CODE_OPEN):
        # The spans of highlighted code may go over lines; it is never long.
        return "" if "<span" in html else "code"
    if html.startswith("<table"):
        return "tbody"
    if html.startswith("<ul"):
        return "ul"
    return "ol" if html.startswith("<ol") else ""


# Each finds where a piece that begins at ``start`` ends; 0 where it has not ended yet.


def _line_end(html: str, start: int) -> int:
    return html.find("\n", start + PIECE_CHARACTERS - 1) + 1


def _row_end(html: str, start: int) -> int:
    # The row in the head ends no piece.
    first = html.find(_ROWS) if start == 0 else start
    found = html.find(_ROW_END, max(first, start + PIECE_CHARACTERS - len(_ROW_END)))
    return found + len(_ROW_END) if found >= 0 else 0


def _item_end(html: str, start: int) -> int:
    depth = 0
    for tag in _ITEM.finditer(html, start):
        depth += -1 if tag[1] else 1
        if depth == 0 and tag.end() >= start + PIECE_CHARACTERS:
            return tag.end()
    return 0


_ENDS: dict[Context, Callable[[str, int], int]] = {
    "code": _line_end,
    "tbody": _row_end,
    "ul": _item_end,
    "ol": _item_end,
}
