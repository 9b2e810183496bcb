"""Where the rest of an answer begins, in what a model says that was asked to repeat the last words and to go on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from .folding import Folded, is_spaced, overlaps
from .gluing import FENCE, glue, open_fence
from .joint import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .joint import State

    _Starts: TypeAlias = list[tuple[int, str]]

TAG = "last_words"

# A run of text this long does not stand twice by chance; counted without spaces, as all lengths here.
_TELLING = 24
_LONGEST_ANCHOR = 200
_LONGEST_OPENING = 200
# A piece shorter than this may begin like the anchor by chance.
_LEAST_BROKEN = 8

_OPENERS = "sure|certainly|of course|okay|ok|absolutely|continuing|apologies|sorry|alright|understood|got it"
_OPENER = re.compile(rf"\W*(?:{_OPENERS}|here)\b", re.IGNORECASE)
# An opening that says what it is, whatever follows: "Sure!" on a line by itself, "Continuing where I left off:".
_OPENING = re.compile(
    rf"\W*(?:{_OPENERS})\b(?:[^\n]{{0,80}}?\b(?:continu|resum|rest of|left off|go(?:ing)? on)[^\n:]{{0,80}}?"
    rf"(?::|(?:[.!…]|\.\.\.)(?=\s*\n))|\s*[.!:,…]*(?=\n))\s*",
    re.IGNORECASE,
)
_CONTINUING = re.compile(r"\W*continuing(?: (?:from|where)\b[^\n:]{0,80})?(?::|\.\.\.|…)\s*", re.IGNORECASE)
_ENDS_OPENING = re.compile(r"(?:[:.!…]\**\s+|\n\s*|[:：])")  # noqa: RUF001  # the colon of Chinese, too
_MARK = re.compile(rf"\s*(<{TAG}>|\.\.\.|…|[\"'“‘«`])\s*")  # noqa: RUF001  # quotes of all kinds
_CLOSING = {f"<{TAG}>": f"</{TAG}>", "“": "”", "‘": "’", "«": "»"} | {sign: sign for sign in "\"'`"}  # noqa: RUF001
_MARKER = re.compile(r"[-*+#>|`~]+|\d+[.)]?")
_BEGINNING = re.compile(r"(?:^|\n)[ \t]*\Z|[.!?:]\s+\Z")


def anchor_of(text: str) -> str:
    """The last words of a text, as few as tell the place: long enough, and nowhere else in it where that is possible.

    >>> anchor_of("Paris is the capital of France, and the largest city of it.")
    'France, and the largest city of it.'
    """
    text = text.rstrip()
    tail = text[-_LONGEST_ANCHOR:]
    whole = Folded(text).text
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S", tail)]
    if len(tail) < len(text) and not text[-len(tail) - 1].isspace():
        starts = starts[1:]  # the first is in the middle of a word
    for start in reversed(starts):
        folded = Folded(tail[start:]).text
        if len(folded) >= _TELLING and whole.find(folded) == len(whole) - len(folded):
            return tail[start:]
    return tail[starts[0] :] if starts else tail


class Asked:
    """Finds the cut where a model was asked to repeat the last words and to go on.

    It may have done so; or begun further up, or in the middle of a word; or said first that it will go on; or opened
    the code block again; or gone on at once.

    Args:
        former: The text so far, without white space at its end.
        space: The white space that was there.
    """

    def __init__(self, former: str, space: str = "") -> None:
        self._former = former
        self._space = space
        self._folded = Folded(former)
        self._anchor = Folded(anchor_of(former)).text
        self._is_unique = self._folded.text.count(self._anchor) == 1
        self._fence = open_fence(former)
        self._last_line = former.rpartition("\n")[2].lstrip()

    def cut(self, came: str, state: State) -> Cut | None:
        """The cut, None where it takes more to find it."""
        text = Folded(came)
        starts = list(self._starts(came))
        later = list(self._after_opening(came))
        for start, closing in (*starts, *later):
            here = text.since(start)
            if here.startswith(self._anchor):
                return _closed(came, text.end(start, len(self._anchor)), closing, state)
        if state == "open" and self._may_change(came, text, starts, later):
            return None
        for start, closing in starts:
            if length := self._overlap(came, text.since(start), start):
                return _closed(came, text.end(start, length), closing, state)
        if state != "open" and self._is_idle(text.text, state):
            return Cut(at=len(came))
        return self._without(came)

    def _may_change(self, came: str, text: Folded, starts: _Starts, later: _Starts) -> bool:
        """What comes next may show a repetition, or a longer one."""
        here = [text.since(start) for start, _ in starts]
        return (
            any(self._anchor.startswith(one) for one in (*here, *(text.since(start) for start, _ in later)))
            or any(one in self._folded.text for one in here)
            or (FENCE.fullmatch(came.lstrip()) is not None)
            or (len(came) < _LONGEST_OPENING and self._may_open(came))
        )

    def _starts(self, came: str, start: int = 0) -> Iterator[tuple[int, str]]:
        """Where a repetition may begin, and what closes the mark before it: at once, after a code fence, a mark."""
        yield start, ""
        places = [start]
        fence = FENCE.match(came, start + _spaces(came, start))
        if fence is not None and came.startswith("\n", fence.end()):
            places.append(fence.end() + 1)
            yield fence.end() + 1, ""
        for place in places:
            if (mark := _MARK.match(came, place)) is not None:
                yield mark.end(), _CLOSING.get(mark[1], "")

    def _after_opening(self, came: str) -> Iterator[tuple[int, str]]:
        """As :meth:`_starts`, after something the model may first have said of its own; the anchor will prove it."""
        head = came[:_LONGEST_OPENING]
        is_opener = _OPENER.match(head) is not None
        for match in _ENDS_OPENING.finditer(head):
            if is_opener or self._is_foreign_opening(came, head[: match.end()].strip()):
                yield from self._starts(came, match.end())

    def _overlap(self, came: str, here: str, start: int) -> int:
        """How much of the former text's end it repeats, where that is no chance. Length, folded."""
        found = overlaps(self._folded.text, here)
        return next((length for length in found if self._is_sensible(came, length, start)), 0)

    def _is_sensible(self, came: str, length: int, start: int) -> bool:
        if length >= _TELLING:
            return True
        place = self._folded.start(len(self._folded.text) - length)
        overlap = self._former[place:]
        if overlap == self._last_line and (FENCE.fullmatch(overlap) or _MARKER.fullmatch(overlap)):
            return True
        # Who goes on with a space does not begin a word again.
        goes_on = start == 0 and came[:1].isspace()
        before = self._former[place - 1 : place]
        begins_word = not before.strip() or (overlap[0].isalnum() and not (is_spaced(before) and is_spaced(overlap[0])))
        if goes_on or not begins_word:
            return False
        if _BEGINNING.search(self._former[:place]) and came[start:].lstrip().startswith(overlap[0]):
            return re.search(r"[^\W\d_]", overlap) is not None and not overlap.startswith("</")
        if self._fence:
            return length >= _LEAST_BROKEN and self._folded.text.count(Folded(overlap).text) == 1
        return re.search(r"[^\W\d_]{3}", overlap) is not None

    def _is_foreign_opening(self, came: str, opening: str) -> bool:
        """One line that ends with a colon, in any language. Code has such lines too, but they look like code."""
        if not self._is_unique or came[:1].isspace() or "\n" in opening:
            return False
        is_code = opening[0].islower() or re.search(r"[(){}\[\]<>=_;\"'@#/\\]", opening)
        return opening.endswith((":", "：", "…", "...")) and not (self._fence and is_code)  # noqa: RUF001

    def _may_open(self, came: str) -> bool:
        """What came may become an opening, or be one whose end has not come."""
        head = came.lstrip().lower()
        if _OPENER.match(head) or any(word.startswith(head) for word in (*_OPENERS.split("|"), "here")):
            return True
        return self._is_unique and not came[:1].isspace() and not re.search(r"[\n:.!?]", came)

    def _is_idle(self, here: str, state: State) -> bool:
        """It only began to repeat, and says nothing new."""
        is_begun = self._anchor.startswith(here) and len(here) >= _LEAST_BROKEN
        return is_begun or (state == "broken" and here in self._folded.text)

    def _without(self, came: str) -> Cut:
        """The cut where nothing is repeated at once: openings go, and what parts the pieces comes between them."""
        place = 0
        if not came[:1].isspace() and (opening := _CONTINUING.match(came) or _OPENING.match(came)):
            place = opening.end()
            text = Folded(came)
            for start, _ in self._starts(came, place):
                if length := self._overlap(came, text.since(start), start):
                    return Cut(at=text.end(start, length))
        fence = FENCE.match(came, place + _spaces(came, place))
        # A fence without the language would end the block; with it, it opens what is open.
        if fence is not None and self._fence and fence[0].strip() == self._fence != fence[1]:
            place = min(fence.end() + 1, len(came))
            return Cut(at=place, glue=glue(self._former, came[place:], space=self._space, is_new_line=True))
        return Cut(at=place, glue=glue(self._former, came[place:], space=self._space))


def _closed(came: str, end: int, closing: str, state: State) -> Cut | None:
    """The cut after a repetition, and after the mark that closes it where one opened it."""
    place = end + (_spaces(came, end) if len(closing) > 1 else 0)
    if closing and came.startswith(closing, place):
        return Cut(at=place + len(closing))
    return None if closing and state == "open" and closing.startswith(came[place:]) else Cut(at=end)


def _spaces(text: str, start: int) -> int:
    return len(text[start:]) - len(text[start:].lstrip())
