"""``<think>`` blocks in an answer's text: what the model thinks aloud, apart from what it says.

In: the text as it comes, cut anywhere. Out: pieces, each thought or said. A tag counts only where a model
that thinks in tags writes it: before the first word of the answer, and for models known to do so at the start
of any line. Everything else is the answer, also an answer about ``<think>`` tags.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

_OPEN, _CLOSE = "<think>", "</think>"


class Piece(NamedTuple):
    """A piece of text, never empty."""

    is_thought: bool
    text: str


class _State(Enum):
    BEFORE = auto()  # nothing said yet: a tag may open
    ASSUMED = auto()  # thinking, because the model is known to begin so without a tag
    INSIDE = auto()  # thinking, after a tag
    SAID = auto()  # in the answer


class ThinkParser:
    """Tells thought from answer, incrementally.

    Args:
        begins_inside: The model is known to think in tags, and to leave out the first opening tag.
    """

    def __init__(self, *, begins_inside: bool = False) -> None:
        self._is_known = begins_inside
        self._state = _State.ASSUMED if begins_inside else _State.BEFORE
        self._held = ""
        self._is_block_start = True
        self._is_after_block = False
        self._unproven: list[str] = []  # all that came while thinking was only assumed

    @property
    def is_plain(self) -> bool:
        """Whatever comes is the answer: there is nothing left to look for."""
        return self._state is _State.SAID and not self._is_known

    def give_up(self) -> list[Piece]:
        """The server tells thoughts apart itself: from here on tags are text.

        Returns:
            What was held back until now: it comes before whatever comes next.
        """
        held, self._held = self._held, ""
        if self._state is _State.BEFORE and self._is_after_block:
            held = held.lstrip()
        is_thought = self._state in (_State.INSIDE, _State.ASSUMED)
        self._is_known = False
        self._state = _State.SAID
        return [Piece(is_thought, held)] if held else []

    def feed(self, text: str) -> list[Piece]:
        """What the next text says and thinks, as far as it can be told."""
        pieces: list[Piece] = []
        self._held += text
        if self._state is _State.ASSUMED:
            self._unproven.append(text)
        while self._held and self._step(pieces):
            pass
        return pieces

    def finish(self, *, is_cut: bool = False) -> list[Piece]:
        """What is left at the end.

        Args:
            is_cut: The answer ended at its length limit: thoughts without an end are thoughts.
        """
        held, self._held = self._held, ""
        match self._state:
            case _State.ASSUMED if not is_cut:
                # It did not think after all: the whole of it is the answer, and none of it may be lost.
                is_thought, held = False, "".join(self._unproven)
            case _State.BEFORE if self._is_after_block:
                is_thought, held = False, held.lstrip()
            case state:
                is_thought = state in (_State.INSIDE, _State.ASSUMED)
        return [Piece(is_thought, held)] if held else []

    def _step(self, pieces: list[Piece]) -> bool:
        """Take what can be told from the front of what is held; whether to look again."""
        match self._state:
            case _State.BEFORE:
                return self._before()
            case _State.SAID:
                return self._said(pieces)
            case _:
                return self._thinking(pieces)

    def _before(self) -> bool:
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._enter(start.removeprefix(_OPEN))
            return True
        if _OPEN.startswith(start):  # also where there is nothing but space so far
            return False
        if self._is_after_block:  # the space between thought and answer belongs to neither
            self._held = start
        self._state = _State.SAID
        return True

    def _enter(self, rest: str) -> None:
        self._held, self._state, self._is_block_start = rest, _State.INSIDE, True

    def _thinking(self, pieces: list[Piece]) -> bool:
        if self._is_block_start:
            self._held = self._held.lstrip()
            if self._state is _State.ASSUMED and _OPEN.startswith(self._held[: len(_OPEN)]):
                if len(self._held) < len(_OPEN):
                    return False
                self._enter(self._held.removeprefix(_OPEN))
                return True
            if not self._held:
                return False
            self._is_block_start = False
        thought, tag, rest = self._held.partition(_CLOSE)
        if tag:
            _add(pieces, thought, is_thought=True)
            self._held, self._state, self._is_after_block = rest, _State.BEFORE, True
            return True
        self._release(pieces, before=_CLOSE, is_thought=True)
        return False

    def _said(self, pieces: list[Piece]) -> bool:
        if not self._is_known:
            _add(pieces, self._held, is_thought=False)
            self._held = ""
            return False
        said, tag, rest = self._held.partition("\n" + _OPEN)
        if tag:
            _add(pieces, said + "\n", is_thought=False)
            self._enter(rest)
            return True
        self._release(pieces, before="\n" + _OPEN, is_thought=False)
        return False

    def _release(self, pieces: list[Piece], *, before: str, is_thought: bool) -> None:
        """Let go of what is held, but for an end that could be the beginning of a tag."""
        size = len(self._held) - _overlap(self._held, before)
        _add(pieces, self._held[:size], is_thought=is_thought)
        self._held = self._held[size:]


def _add(pieces: list[Piece], text: str, *, is_thought: bool) -> None:
    if text:
        pieces.append(Piece(is_thought, text))


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of a text could be the beginning of a tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
