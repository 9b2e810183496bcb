"""Text that is safe to write to a terminal, and to show anywhere else: no control characters, no hidden reordering.

Whole escape sequences go, payload included; of one that never ends only its introducer goes, which disarms it. Bidi
controls are shown, so that text cannot pretend to be in another order than it is.
"""

from __future__ import annotations

import re

# How much of an unfinished sequence a stream waits for before it is let through disarmed. Characters.
_HELD_CHARACTERS = 256
_SEQUENCES = re.compile(
    r"""
    (?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]                                    # CSI: colours, cursor, clearing
    | (?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)               # OSC: titles, links, clipboard
    | (?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)      # DCS, SOS, PM, APC
    | \x1b[ -/]*[0-NQ-WYZ\\`-~]                                         # two-character escapes
    """,
    re.VERBOSE,
)
_UNFINISHED = re.compile(
    r"(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*\x1b?"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*\x1b?|\x1b[ -/]*)\Z"
)
_INTRODUCERS = re.compile(r"\x1b[\[\]PX^_]?")
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_TABLE = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
_TABLE_SHOWN: dict[int, str | None] = {**_TABLE, **{ord(c): f"<U+{ord(c):04X}>" for c in _BIDI}}


def plain_text(text: str) -> str:
    r"""Text without anything a terminal would obey; bidi controls are shown.

    >>> plain_text("\x1b[31mred\x1b[0m \x1b]0;title\x07and \u202egnol")
    'red and <U+202E>gnol'
    """
    return _INTRODUCERS.sub("", _SEQUENCES.sub("", text)).translate(_TABLE_SHOWN)


def visible_text(text: str) -> str:
    """Text for HTML: control characters go, bidi controls are shown; character by character, so any cut of it is alike."""
    return text.translate(_TABLE_SHOWN)


class PlainStream:
    """:func:`plain_text` for text that arrives in pieces: a sequence cut in two is still one."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The next piece, made safe; an unfinished sequence at its end waits for the next."""
        text = self._held + text
        self._held = ""
        unfinished = _UNFINISHED.search(_SEQUENCES.sub(_blank, text))
        if unfinished and len(text) - unfinished.start() <= _HELD_CHARACTERS:
            self._held = text[unfinished.start() :]
            text = text[: unfinished.start()]
        return plain_text(text)


def _blank(match: re.Match[str]) -> str:
    # Same length, so that places in the blanked text are places in the text.
    return " " * len(match[0])
