"""Text that is safe to print: hostile text in, text without control characters out, whole or as a stream.

A terminal obeys what it prints: escape sequences move the cursor, rename the window, write the clipboard;
bidirectional controls show text in another order than it has. Sequences go with their payload, other control
characters but newline and tab go too, bidirectional controls become visible. What is printed is not wrapped,
measured or coloured here.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any

# The characters of Unicode's property Bidi_Control: marks, embeddings, overrides, isolates and their ends.
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

_VISIBLE: dict[int, str | None] = {ord(char): f"<U+{ord(char):04X}>" for char in BIDI_CONTROLS}
_UNPRINTABLE = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)]) | _VISIBLE

_SURROGATE = re.compile("[\ud800-\udfff]")
_INTRODUCER = re.compile("[\x1b\x90\x98\x9b\x9d-\x9f]")
_CSI_BODY = re.compile("[\x20-\x3f]*")
# A payload ends with its terminator. A newline ends it too: an answer that never terminates one loses a line, not its
# rest.
_PAYLOAD = re.compile("[^\x07\x18\x1a\x1b\x9c\n]*")


class _State(Enum):
    TEXT = auto()
    ESCAPE = auto()  # after ESC, or ESC and intermediates
    CSI = auto()
    PAYLOAD = auto()  # of OSC, DCS, SOS, PM or APC


class PlainStream:
    """Makes a stream of text safe to print; sequences may be split over chunks in any way.

    What is fed in chunks comes out as if it were fed at once. A sequence that never ends is not shown.
    """

    def __init__(self) -> None:
        self._state = _State.TEXT
        self._held = ""

    def feed(self, text: str) -> str:
        """The next text as it can be printed."""
        text = self._held + text
        # The other half of a character outside the basic plane may come with the next chunk.
        self._held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = sound(text[: len(text) - len(self._held)])
        pieces: list[str] = []
        at = 0
        while at < len(text):
            match self._state:
                case _State.TEXT:
                    start, at = at, self._skip_text(text, at)
                    pieces.append(text[start:at])
                case _State.ESCAPE:
                    at = self._skip_escape(text, at)
                case _State.CSI:
                    at = self._skip_csi(text, at)
                case _State.PAYLOAD:
                    at = self._skip_payload(text, at)
        return "".join(pieces).translate(_UNPRINTABLE)

    def _skip_text(self, text: str, at: int) -> int:
        found = _INTRODUCER.search(text, at)
        if found is None:
            return len(text)
        match found[0]:
            case "\x1b":
                self._state = _State.ESCAPE
            case "\x9b":
                self._state = _State.CSI
            case _:
                self._state = _State.PAYLOAD
        # The introducer is a control character itself: it goes with the text and is dropped there.
        return found.end()

    def _skip_escape(self, text: str, at: int) -> int:
        char = text[at]
        if char == "[":
            self._state = _State.CSI
        elif char in "]PX^_":
            self._state = _State.PAYLOAD
        elif "\x20" <= char <= "\x2f":
            pass
        else:
            self._state = _State.TEXT
            return at + ("\x30" <= char <= "\x7e")
        return at + 1

    def _skip_csi(self, text: str, at: int) -> int:
        at = _CSI_BODY.match(text, at).end()  # type: ignore[union-attr]  # the pattern matches the empty string
        if at == len(text):
            return at
        self._state = _State.TEXT
        return at + ("\x40" <= text[at] <= "\x7e")

    def _skip_payload(self, text: str, at: int) -> int:
        at = _PAYLOAD.match(text, at).end()  # type: ignore[union-attr]  # the pattern matches the empty string
        if at < len(text):
            # ESC and a newline belong to what follows; the other terminators are control characters, dropped as text.
            self._state = _State.TEXT
        return at


def plain_text(text: str) -> str:
    r"""The text as it can be printed to a terminal.

    >>> plain_text("\x1b[31mred\x1b[0m and \x1b]0;title\x07done")
    'red and done'
    >>> plain_text("if access \u202e level")
    'if access <U+202E> level'
    """
    stream = PlainStream()
    return stream.feed(text) + ("\ufffd" if "\ud800" <= text[-1:] <= "\udbff" else "")


def sound(text: str) -> str:
    r"""The text with surrogates paired, and lone ones replaced: such a string can be encoded.

    >>> sound("\ud83d\ude00 \ud83d")
    '😀 \ufffd'
    """
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def sound_values(value: Any) -> Any:
    r"""A value of JSON with :func:`sound` texts and keys: such a value can be sent.

    >>> sound_values({"a": ["\ud800", 1]})
    {'a': ['\ufffd', 1]}
    """
    match value:
        case str():
            return sound(value)
        case dict():
            return {sound_values(key): sound_values(item) for key, item in value.items()}
        case list() | tuple():
            return [sound_values(item) for item in value]
        case _:
            return value
