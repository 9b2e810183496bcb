"""A text that grows over the requests of one turn, as pieces of safe HTML.

Comes in: text as it arrives, and where one request's ends; goes out: the pieces that changed. What belongs between two
texts, as tool calls do, is given as pieces of its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .. import rendering
from ..jsontext import partial_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..reply import Form

_LONGEST_PRETTY = 20_000


class GrowingText:
    """One section of a turn under way.

    Args:
        form: How it is shown; json and code are shown when they are whole, which is not here, and data while it
            comes.
        highlight: Mark keywords, strings and the like in code.
    """

    def __init__(self, form: Form = "markdown", *, highlight: bool = True) -> None:
        self._form = form
        self._highlight = highlight
        # Of the texts before this one, and how many of them the caller has.
        self._before: list[rendering.Piece] = []
        self._known = 0
        self._begin()

    def _begin(self) -> None:
        self._text: list[str] = []
        self._renderer = rendering.IncrementalRenderer(highlight=self._highlight)

    def feed(self, text: str) -> None:
        """Take more of the text."""
        self._text.append(text)
        if self._form == "markdown":
            self._renderer.feed(text)

    def close(self, after: Sequence[rendering.Piece] = ()) -> None:
        """The text has ended, and another begins.

        Args:
            after: What stands between the two.
        """
        self._before += self._final()
        self._before += after
        self._begin()

    def drop(self) -> None:
        """The text is void, and another takes its place."""
        self._begin()

    @property
    def is_empty(self) -> bool:
        """Nothing is shown of it so far."""
        return not self._before and not self._text

    def pieces(self, after: Sequence[rendering.Piece] = ()) -> tuple[int, list[rendering.Piece]]:
        """The pieces that may have changed since the last time, and the index of the first of them.

        Args:
            after: What stands behind the text now.
        """
        n_before = len(self._before)
        missing, self._known = self._known, n_before
        start, text = self._open()
        if missing < n_before:
            return missing, [*self._before[missing:], *text, *after]
        return n_before + start, [*text, *after]

    def html(self, after: Sequence[rendering.Piece] = ()) -> str:
        """All of it as it stands."""
        text = self._renderer.html() if self._form == "markdown" else "".join(one.html for one in self._final())
        return "".join([*(one.html for one in self._before), text, *(one.html for one in after)])

    def _open(self) -> tuple[int, list[rendering.Piece]]:
        if self._form == "markdown":
            return self._renderer.pieces()
        return 0, self._final()

    def _final(self) -> list[rendering.Piece]:
        text = "".join(self._text)
        if not text or self._form in ("json", "code"):
            return []
        if self._form == "markdown":
            return rendering.markdown_pieces(text, highlight=self._highlight)
        return [rendering.Piece(html=rendering.preformatted_html(_pretty(text) if self._form == "data" else text))]


def _pretty(text: str) -> str:
    """JSON that grows, indented; as it came where there is no JSON in it, or so much that indenting takes time."""
    value = partial_json(text) if len(text) <= _LONGEST_PRETTY else None
    return text if value is None else json.dumps(value, indent=2, ensure_ascii=False)
