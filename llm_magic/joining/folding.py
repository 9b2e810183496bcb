"""Texts compared as people compare them: spaces, line breaks, capitals and the shape of quotes do not count.

Models change all of these where they repeat something letter by letter.
"""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALIKE = str.maketrans("‘’“”«»–—‐‑", '\'\'""""----')  # noqa: RUF001  # the signs that look alike are the point
# Scripts without spaces between words: Thai and Lao, Burmese, Khmer, those of East Asia.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U0003ffff]")


class Folded:
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


def is_spaced(sign: str) -> bool:
    """A letter or digit of a script that puts spaces between words."""
    return sign.isalnum() and _UNSPACED.match(sign) is None


def _fold(sign: str) -> str:
    small = sign.lower()
    return small if len(small) == 1 else sign
