"""Pieces: what is shown of a text as stretches of HTML, so that little is drawn again when it grows.

Joined, they are the text's HTML. One that begins within an element which a piece before it left open says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

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
