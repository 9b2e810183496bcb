"""Pieces: what is shown of a text as stretches of HTML, so that little is drawn again when it grows.

Joined, they are the text's HTML. One that begins within an element which a piece before it left open says which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Context: TypeAlias = Literal["", "tbody", "ul", "ol", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of HTML.

    Attributes:
        html: Safe HTML; it may leave elements open that a later piece closes.
        context: The element, left open by a piece before it, that it goes on in; "" for blocks of their own.
    """

    html: str
    context: Context = ""


class Growing:
    """The finished part of a block that is still open, as pieces that do not change once they are long enough."""

    # Long enough that pieces stay few, short enough that drawing one is nothing.
    ENOUGH_CHARACTERS = 4_000

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._context: Context = ""

    @property
    def context(self) -> Context:
        """What the next piece of the block goes on in."""
        return self._context

    def add(self, html: str, context: Context) -> None:
        """More of the block is finished.

        Args:
            html: What follows the pieces so far.
            context: What all but the first piece go on in.
        """
        if self.pieces and len(self.pieces[-1].html) < self.ENOUGH_CHARACTERS:
            self.pieces[-1] = replace(self.pieces[-1], html=self.pieces[-1].html + html)
        else:
            self.pieces.append(Piece(html=html, context=self._context))
        self._context = context

    def completed(self, html: str) -> list[Piece]:
        """The pieces of the whole block, now that it is closed: those so far, where they are how it begins."""
        begun = "".join(piece.html for piece in self.pieces)
        if not self.pieces or not html.startswith(begun):
            return [Piece(html=html)]
        return [*self.pieces, Piece(html=html[len(begun) :], context=self._context)]


def aligned(whole: Sequence[Piece], shown: Sequence[Piece]) -> list[Piece]:
    """The pieces of a whole text, cut as they are shown already where that is the same block.

    Args:
        whole: One piece a block.
        shown: As they were drawn while the text came.
    """
    blocks = list(_blocks(shown))
    found: list[Piece] = []
    for place, piece in enumerate(whole):
        before = blocks[place] if place < len(blocks) else ()
        found += before if "".join(part.html for part in before) == piece.html else [piece]
    return found


def _blocks(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    starts = [place for place, piece in enumerate(pieces) if not piece.context]
    for start, end in pairwise([*starts, len(pieces)]):
        yield pieces[start:end]
