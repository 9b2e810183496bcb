"""The joint between a text and what is added to it piece by piece: what is no addition is held back and left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

# What is known of the text that came: more may come; it is whole; it broke off.
State: TypeAlias = Literal["open", "whole", "broken"]
# Held text is looked at again once it grew by this: a long repetition costs time in proportion to its length.
_GROWTH = 1.1
# From so many letters or words on a text does not come again by chance.
_TELLING_LETTERS = 24
_TELLING_WORDS = 3


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
    is_telling = len(former.split()) >= _TELLING_WORDS or len(former) >= _TELLING_LETTERS
    if not is_telling or not former.startswith(came[: len(former)]):
        return Cut(at=0)
    if len(came) >= len(former):
        return Cut(at=len(former))
    return None if state == "open" else Cut(at=0 if state == "whole" else len(came))
