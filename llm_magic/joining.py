"""Two pieces of one answer made one text: what came after the break, without what it repeats of what came before.

Comes in: the text so far, and, piece by piece, what a model goes on with. Goes out: what is to be added. Nothing that
is new may be lost and nothing old may come twice, so what might be a repetition is held back until that is certain.

Spaces, line breaks, capitals and the shape of quotes do not count where texts are compared: models change them.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    _Starts: TypeAlias = list[tuple[int, str]]

# What is known of the piece: more may come; it is whole; it broke off.
State: TypeAlias = Literal["open", "whole", "broken"]
TAG = "last_words"

# A run of text this long does not stand twice by chance; counted without spaces, as all lengths here.
_TELLING = 24
_LONGEST_ANCHOR = 200
_LONGEST_OPENING = 200
# A piece shorter than this may begin like the anchor by chance.
_LEAST_BROKEN = 8
# An answer that is begun anew, and then goes its own way.
_ANEW = 60
# Held text is looked at again once it grew by this: a long repetition costs time in proportion to its length.
_GROWTH = 1.1

_ALIKE = str.maketrans("‘’“”«»–—‐‑", '\'\'""""----')  # noqa: RUF001  # the signs that look alike are the point
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
_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})[^\n`]*")
_MARK = re.compile(rf"\s*(<{TAG}>|\.\.\.|…|[\"'“‘«`])\s*")  # noqa: RUF001  # quotes of all kinds
_CLOSING = {f"<{TAG}>": f"</{TAG}>", "“": "”", "‘": "’", "«": "»"} | {sign: sign for sign in "\"'`"}  # noqa: RUF001
_MARKER = re.compile(r"[-*+#>|`~]+|\d+[.)]?")
_BEGINNING = re.compile(r"(?:^|\n)[ \t]*\Z|[.!?:]\s+\Z")
_BLOCK = re.compile(r"#{1,6} |[-*+] |\d+[.)] |```|~~~|> ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where what is new begins.

    Attributes:
        at: Place in the text that came.
        glue: What must stand before it so that both read as one.
    """

    at: int
    glue: str = ""


class Joint:
    """Adds piece after piece to a text.

    Args:
        decide: Finds the cut in all that has come; None where that takes more.

    Attributes:
        left_out: What came and is not part of the answer: repetitions, openings.
    """

    def __init__(self, decide: Callable[[str, State], Cut | None]) -> None:
        self._decide = decide
        self._held = ""
        self._look_at = 0
        self._is_decided = False
        self.left_out = ""

    def add(self, text: str) -> str:
        """What of this piece, and of what was held back, is to be added now."""
        if self._is_decided:
            return text
        self._held += text
        return self._look("open") if len(self._held) >= self._look_at else ""

    def end(self, state: State) -> str:
        """What of the text that was held back is to be added: nothing more comes."""
        return "" if self._is_decided else self._look(state)

    def _look(self, state: State) -> str:
        cut = self._decide(self._held, state)
        if cut is None:
            self._look_at = int(len(self._held) * _GROWTH)
            return ""
        self._is_decided = True
        held, self._held = self._held, ""
        self.left_out, rest = held[: cut.at], held[cut.at :]
        return cut.glue + rest if rest else ""


def cut_prefix(former: str, came: str, state: State) -> Cut | None:
    """The cut where the server goes on from the last character: nothing is cut, but where it repeats all of it.

    Some servers do. A short text may well come again ("ha", "ha"), so it takes some words to be sure.
    """
    is_telling = len(former.split()) > 2 or len(former) >= _TELLING  # noqa: PLR2004  # a few words
    if not is_telling or not former.startswith(came[: len(former)]):
        return Cut(at=0)
    if len(came) >= len(former):
        return Cut(at=len(former))
    return None if state == "open" else Cut(at=0 if state == "whole" else len(came))


def anchor_of(text: str) -> str:
    """The last words of a text, as few as tell the place: long enough, and nowhere else in it where that is possible.

    >>> anchor_of("Paris is the capital of France, and the largest city of it.")
    'and the largest city of it.'
    """
    text = text.rstrip()
    tail = text[-_LONGEST_ANCHOR:]
    whole = _Folded(text).text
    starts = [match.start() for match in re.finditer(r"(?<!\S)\S", tail)]
    if len(tail) < len(text) and not text[-len(tail) - 1].isspace():
        starts = starts[1:]  # the first is in the middle of a word
    for start in reversed(starts):
        folded = _Folded(tail[start:]).text
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
        self._folded = _Folded(former)
        self._anchor = _Folded(anchor_of(former)).text
        self._is_unique = self._folded.text.count(self._anchor) == 1
        self._fence = open_fence(former)
        self._last_line = former.rpartition("\n")[2].lstrip()

    def cut(self, came: str, state: State) -> Cut | None:
        """The cut, None where it takes more to find it."""
        text = _Folded(came)
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

    def _may_change(self, came: str, text: _Folded, starts: _Starts, later: _Starts) -> bool:
        """What comes next may show a repetition, or a longer one."""
        here = [text.since(start) for start, _ in starts]
        return (
            any(self._anchor.startswith(one) for one in (*here, *(text.since(start) for start, _ in later)))
            or any(one in self._folded.text for one in here)
            or (_FENCE.fullmatch(came.lstrip()) is not None)
            or (len(came) < _LONGEST_OPENING and self._may_open(came))
        )

    def _starts(self, came: str, start: int = 0) -> Iterator[tuple[int, str]]:
        """Where a repetition may begin, and what closes the mark before it: at once, after a code fence, a mark."""
        yield start, ""
        places = [start]
        fence = _FENCE.match(came, start + _spaces(came, start))
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
        if overlap == self._last_line and (_FENCE.fullmatch(overlap) or _MARKER.fullmatch(overlap)):
            return True
        # Who goes on with a space does not begin a word again.
        goes_on = start == 0 and came[:1].isspace()
        is_within_word = place and self._former[place - 1].isalnum() and overlap[0].isalnum()
        if goes_on or is_within_word:
            return False
        if _BEGINNING.search(self._former[:place]) and came.startswith(overlap[0], start):
            return re.search(r"[^\W\d_]", overlap) is not None and not overlap.startswith("</")
        if self._fence:
            return length >= _LEAST_BROKEN and self._folded.text.count(_Folded(overlap).text) == 1
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
            text = _Folded(came)
            for start, _ in self._starts(came, place):
                if length := self._overlap(came, text.since(start), start):
                    return Cut(at=text.end(start, length))
        fence = _FENCE.match(came, place + _spaces(came, place))
        # A fence without the language would end the block; with it, it opens what is open.
        if fence is not None and self._fence and fence[0].strip() == self._fence != fence[1]:
            place = min(fence.end() + 1, len(came))
            return Cut(at=place, glue=self._glue(came[place:], is_new_line=True))
        return Cut(at=place, glue=self._glue(came[place:]))

    def _glue(self, rest: str, *, is_new_line: bool = False) -> str:
        before, after = self._former[-1:], rest[:1]
        if not before or not after or after.isspace():
            return ""
        if self._space:
            return self._space
        if self._fence:
            is_open = before in "([{,.=+-*/&|<>:" or not (after.isalnum() or after in "_\"'#@")
            return "\n" if (is_new_line and not is_open) or _FENCE.match(rest) else ""
        if self._is_begun_anew(rest):
            return "\n\n"
        if _BLOCK.match(rest):
            return "\n"
        return " " if self._is_new_word(rest) else ""

    def _is_begun_anew(self, rest: str) -> bool:
        beginning = _Folded(rest[: 2 * _ANEW]).text[:_ANEW]
        return len(beginning) == _ANEW and self._folded.text.startswith(beginning)

    def _is_new_word(self, rest: str) -> bool:
        """The former text ends with a whole word or sign, and the next word came without its space.

        Whether "the" and "ory" are one word nobody can tell for sure; the words used so far give hints.
        """
        last, first = re.search(r"\w+$", self._former), re.match(r"\w+", rest)
        if first is None:
            return False
        if last is None:
            return self._former[-1] in ".,;:!?" and first[0][0].isalpha()
        known = set(re.findall(r"\w+", self._former[: last.start()].lower()))
        if (last[0] + first[0]).lower() in known:
            return False
        is_known = last[0].lower() in known or first[0].lower() in known
        return is_known or (first[0][0].isupper() and last[0][-1].islower())


def overlaps(before: str, after: str) -> Iterator[int]:
    """Lengths at which the end of one text is the beginning of another, the longest first.

    >>> list(overlaps("banana", "anagram"))
    [3, 1]
    """
    # The search of Knuth, Morris and Pratt: the time it takes grows with the texts, however they repeat themselves.
    wanted = after[: len(before)]
    shorter = [0] * (len(wanted) + 1)
    length = 0
    for place, sign in enumerate(wanted[1:], start=1):
        while length and wanted[length] != sign:
            length = shorter[length]
        length += wanted[length] == sign
        shorter[place + 1] = length
    length = 0
    for sign in before[len(before) - len(wanted) :]:
        while length and (length == len(wanted) or wanted[length] != sign):
            length = shorter[length]
        length += bool(wanted) and wanted[length] == sign
    while length:
        yield length
        length = shorter[length]


def open_fence(text: str) -> str:
    """The line that opened the code block in which the text ends, without its indent; "" where it ends in none."""
    opened, line_of = "", ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if not opened:
            opened, line_of = fence[1], line.strip()
        elif fence[1].startswith(opened) and line.strip() == fence[1]:
            opened, line_of = "", ""
    return line_of


def _closed(came: str, end: int, closing: str, state: State) -> Cut | None:
    """The cut after a repetition, and after the mark that closes it where one opened it."""
    place = end + (_spaces(came, end) if len(closing) > 1 else 0)
    if closing and came.startswith(closing, place):
        return Cut(at=place + len(closing))
    return None if closing and state == "open" and closing.startswith(came[place:]) else Cut(at=end)


class _Folded:
    """A text without what does not count when texts are compared, and the way back to its places."""

    def __init__(self, text: str) -> None:
        self._places = [place for place, sign in enumerate(text) if not sign.isspace()]
        self.text = "".join(map(_fold, "".join(text.split()).translate(_ALIKE)))

    def start(self, index: int) -> int:
        """The text's place of one of its characters."""
        return self._places[index]

    def since(self, place: int) -> str:
        """What stands from a place of the text on."""
        return self.text[bisect.bisect_left(self._places, place) :]

    def end(self, place: int, length: int) -> int:
        """The text's place right after so many characters from a place on."""
        return self._places[bisect.bisect_left(self._places, place) + length - 1] + 1


def _fold(sign: str) -> str:
    small = sign.lower()
    return small if len(small) == 1 else sign


def _spaces(text: str, start: int) -> int:
    return len(text[start:]) - len(text[start:].lstrip())
