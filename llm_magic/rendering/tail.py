"""The open end of a growing answer: closes blocks, and draws what is still open without doing all of it again.

Comes in: more text; goes out: pieces of blocks that closed, and of the tail as it stands. Four things keep the work
linear:

- A block is closed, and leaves the tail, as soon as no further text can change it.
- Words that follow words change no structure: their text is put where the text before ended.
- An open fence only grows by escaped text; finished rows and items of a long table or list are frozen.
- A tail that is long for another reason is parsed again only when it grew by an eighth; text in between is shown plain.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from . import blocks
from .clean import escape
from .highlight import CODE_CLOSE, CODE_OPEN
from .markdown import parse, render
from .pieces import Cutter, Piece, cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from .blocks import Block

FREEZE_CHARACTERS = 150
PATIENCE_CHARACTERS = 2_000

# After a word, in a line that has a letter: no character of these opens, closes or continues anything.
_WORDS = re.compile(r"(?:[^\W_]|[ .,:?!-])+")
_CLOSING_TAGS = re.compile(r"(?:</[a-z0-9]+>\n?)*\Z")


class OpenTail:
    """The part of an answer that further text may still change.

    Args:
        highlight: As for ``markdown_html``.
    """

    def __init__(self, *, highlight: bool) -> None:
        self._highlight = highlight
        self._source = ""
        self._references: dict[str, Any] = {}
        self._frozen: blocks.Frozen | None = None
        # What does not change any more: lines of an open fence, or frozen items or rows.
        self._cutter = Cutter()
        # The drawing of the rest: the end of what is frozen, where more stands behind it; HTML around the place where
        # text goes on, and the text put there since.
        self._before = ""
        self._head = self._added = self._foot = ""
        self._has_new_line = False
        self._ends_in_word = False
        self._ends_at_blank = False
        self._fence_end: re.Pattern[str] | None = None
        self._wake_at = 0

    @property
    def settled(self) -> list[Piece]:
        """The pieces of the tail that stay as they are, as long as this is the same list."""
        return self._cutter.cut

    @property
    def open(self) -> list[Piece]:
        """The pieces after them, as they stand."""
        bare = self._added.rstrip(" \t")
        # In code, blanks at the end are shown once their line has more than blanks in it; in text, never.
        is_shown = self._fence_end is not None and bool(bare)
        last = f"{self._head}{self._added if is_shown else bare}{self._foot}"
        # What stands behind the block that is partly settled does not go on in it.
        return [*self._cutter.rest(self._before), Piece(html=last)] if self._before else self._cutter.rest(last)

    def add(self, text: str) -> list[Piece]:
        """Take more text.

        Returns:
            Pieces of the blocks that it closed, in order.
        """
        self._source += text
        self._added += escape(text)
        self._has_new_line = self._has_new_line or "\n" in text
        self._ends_in_word = self._ends_in_word and _WORDS.fullmatch(text) is not None
        is_due = self._is_due(text) if self._fence_end is None else self._may_leave_fence(self._fence_end, len(text))
        closed: list[Piece] = []
        if is_due:
            if self._frozen is None:
                self._cutter = Cutter()
            closed = self._close() if self._has_new_line else []
            self._draw()
        if self._fence_end is not None:
            self._settle_lines()
        return closed

    def _is_due(self, text: str) -> bool:
        """Whether text that was added wants a new drawing; else it is shown where the drawing goes on."""
        if self._ends_in_word:
            return False
        is_ended = self._ends_at_blank and "\n\n" in self._source[-len(text) - 1 :]
        return is_ended or len(self._source) >= self._wake_at

    def _may_leave_fence(self, end: re.Pattern[str], added: int) -> bool:
        line = self._source.rfind("\n", 0, len(self._source) - added) + 1
        found = end.search(self._source, line)
        # The line may still go on and close nothing; parsing for that is worth it only now and then.
        return found is not None and (found.end() < len(self._source) or len(self._source) >= self._wake_at)

    def _parse(self, source: str) -> tuple[list[Block], dict[str, Any]]:
        direction = self._frozen.direction if self._frozen else None
        environment: dict[str, Any] = {"references": dict(self._references), "direction": direction}
        found = blocks.split(parse(source, environment))
        if self._frozen is not None and self._frozen.is_contradicted_by(found[0]):
            # The list was tight while its items were frozen, and is not: they are drawn once more.
            self._source, source = self._frozen.source + self._source, self._frozen.source + source
            self._frozen, self._cutter = None, Cutter()
            return self._parse(source)
        return found, environment

    def _close(self) -> list[Piece]:
        """Take the blocks that complete lines close out of the tail."""
        self._has_new_line = False
        found, environment = self._parse(self._source[: self._source.rfind("\n") + 1])
        lines = self._source.split("\n")
        complete = len(lines) - 1
        count = len(found) - (bool(found) and not blocks.is_final(found[-1], lines[:complete]))
        end = blocks.start(found[count]) if count < len(found) else complete
        end = blocks.before_definitions(end, environment, floor=blocks.end(found[count - 1]) if count else 0)
        closed = self._pieces(self._blocks_html(found[:count], environment))
        kept: list[str] = []
        if count < len(found) and end == blocks.start(found[count]) and len(self._source) > FREEZE_CHARACTERS:
            freezing = blocks.freeze(found[count], lines, self._render(environment), self._frozen)
            if freezing is not None:
                self._frozen, kept, end = freezing
                self._cutter.add(self._frozen.html)
        self._keep_references(environment, end)
        self._source = "\n".join(kept + lines[end:])
        return closed

    def _pieces(self, closed: list[str]) -> list[Piece]:
        """Pieces of blocks that closed; the first goes on where it was frozen."""
        pieces: list[Piece] = []
        if closed and self._frozen is not None:
            self._cutter.add(closed.pop(0))
            pieces = self._cutter.cut + self._cutter.rest()
            self._frozen, self._cutter = None, Cutter()
        return pieces + [piece for html in closed for piece in cut(html)]

    def _draw(self) -> None:
        """Draw the tail anew."""
        self._fence_end = blocks.open_fence(self._source)
        self._before = ""
        if self._fence_end is not None:
            self._cutter.add(CODE_OPEN)
            self._head, self._foot = "", CODE_CLOSE
            self._added = escape(self._source.partition("\n")[2])
        else:
            self._added = ""
            self._draw_blocks()
        self._wake_at = len(self._source) * 9 // 8 if len(self._source) > PATIENCE_CHARACTERS else 0

    def _settle_lines(self) -> None:
        """Lines of an open fence that are complete do not change."""
        lines, newline, last = self._added.rpartition("\n")
        self._cutter.add(lines + newline)
        self._added = last

    def _draw_blocks(self) -> None:
        found, environment = self._parse(self._source)
        rendered = self._blocks_html(found, environment)
        if self._frozen is not None and len(rendered) > 1:
            self._before = rendered.pop(0)
        html = "".join(rendered)
        self._foot = _CLOSING_TAGS.search(html)[0]  # type: ignore[index]  # the pattern matches the empty string
        self._head = html[: len(html) - len(self._foot)]
        self._ends_in_word = bool(found) and blocks.ends_in_word(found[-1], self._source)
        self._ends_at_blank = bool(found) and blocks.ends_at_blank(found[-1])

    def _blocks_html(self, found: list[Block], environment: dict[str, Any]) -> list[str]:
        """HTML of each block; of the first only what is not frozen."""
        if self._frozen is None or not found:
            return [self._render(environment)(block) for block in found]
        first = self._frozen.rest(found[0], self._render(environment))
        return [first, *(self._render(environment)(block) for block in found[1:])]

    def _render(self, environment: dict[str, Any]) -> Callable[[Block], str]:
        return functools.partial(render, environment=environment, highlight=self._highlight)

    def _keep_references(self, environment: dict[str, Any], cut: int) -> None:
        """Remember the link definitions in the lines before ``cut``, which leave the tail."""
        self._references = {
            label: {"href": found["href"], "title": ""}
            for label, found in environment["references"].items()
            if "map" not in found or found["map"][1] <= cut
        }
