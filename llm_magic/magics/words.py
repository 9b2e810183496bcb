"""One word of a magic's line, as a shell user expects it, and a bit friendlier to Python expressions.

``'…'`` and ``"…"`` hold spaces; a backslash escapes only ``"`` and itself, and only within ``"…"``, so that
Windows paths survive; balanced brackets may hold spaces and quotes (``fig.crop((0, 0, 10, 10))``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import ConfigurationError

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_DOUBLE_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
# What matters for balancing: a whole Python string literal, or one bracket.
_STRING_OR_BRACKET = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[()\[\]{}]", re.DOTALL)
_SPACE = re.compile(r"\s*")
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word as it was meant.

    Attributes:
        text: Without the quotes around it.
        end: Where it ends in the line.
    """

    text: str
    end: int


def skip_space(line: str, start: int) -> int:
    """Where the white space that begins at ``start`` ends."""
    found = _SPACE.match(line, start)
    assert found is not None
    return found.end()


def read_word(line: str, start: int) -> Word:
    r"""The word that begins at a place; empty where there is white space or nothing.

    >>> read_word("fig.crop((0, 0, 9, 9)) and the rest", 0)
    Word(text='fig.crop((0, 0, 9, 9))', end=22)

    Raises:
        ConfigurationError: A quote is not closed.
    """
    pieces: list[str] = []
    place = start
    may_nest = True
    while place < len(line) and not line[place].isspace():
        character = line[place]
        if character in "'\"":
            piece, place = _quoted(line, place)
            pieces.append(piece)
            continue
        end = _balanced_end(line, place) if may_nest and character in _CLOSING else None
        # A bracket that is never closed is a character like any other, and so are those after it.
        may_nest = may_nest and (character not in _CLOSING or end is not None)
        end = end or place + 1
        pieces.append(line[place:end])
        place = end
    return Word(text="".join(pieces), end=place)


def quote(text: str) -> str:
    r"""A text as one word of a line, quoted where it must be; the inverse of :func:`read_word`.

    >>> print(quote("plain"), quote("two words"), quote("it's"))
    plain 'two words' "it's"
    """
    if text and not re.search(r"[\s'\"()\[\]{}]", text) and not text.startswith("-"):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def cut(text: str) -> str:
    """What was typed, for a message: in quotes, and no longer than one line holds."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _quoted(line: str, start: int) -> tuple[str, int]:
    if line[start] == '"':
        found = _DOUBLE_QUOTED.match(line, start)
        if found is not None:
            return _ESCAPED.sub(r"\1", found[1]), found.end()
    else:
        end = line.find("'", start + 1)
        if end >= 0:
            return line[start + 1 : end], end + 1
    other = "'" if line[start] == '"' else '"'
    raise ConfigurationError(f"A quote ({line[start]}) is not closed.", hint=f"close it, or put {other} around it")


def _balanced_end(line: str, start: int) -> int | None:
    """Where the bracket at ``start`` is closed again, None where it is not."""
    awaited: list[str] = []
    for found in _STRING_OR_BRACKET.finditer(line, start):
        mark = found[0]
        if mark in _CLOSING:
            awaited.append(_CLOSING[mark])
        elif mark in _CLOSING.values():
            if awaited.pop() != mark:
                return None
            if not awaited:
                return found.end()
    return None
