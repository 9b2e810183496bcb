"""What the views of one widget show, and the numbered patches that bring them up to date.

Comes in: fields and pieces as they are now; goes out: the state as it was last sent, and patches with what changed
since. The words of both: ``docs/decisions/0009``. Nothing is sent here, and nothing is known of turns but their ids; a
thread that feeds and sends holds ``lock`` from one to the other, so that patches leave in the order of their numbers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..rendering import Piece

Section: TypeAlias = Literal["a", "r"]
SECTIONS: tuple[Section, ...] = ("a", "r")


class Feed:
    """The state of one widget.

    Args:
        key: Identity of the widget, by which its pages are known.

    Attributes:
        key: As given.
        lock: Held while feeding and sending.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.lock = threading.RLock()
        self._number = 0
        self._head = _Fields()
        self._turns: dict[str, _Turn] = {}
        # Turns the pages still have, until the next patch says otherwise.
        self._dropped: dict[str, _Turn] = {}
        self._order: list[str] = []
        self._sent_order: list[str] = []

    @property
    def number(self) -> int:
        """Number of the last patch."""
        return self._number

    @property
    def order(self) -> tuple[str, ...]:
        """Ids of the turns that are shown, in order."""
        return tuple(self._order)

    def head(self, **fields: Any) -> None:
        """Set fields of the whole; None removes one."""
        with self.lock:
            self._head.put(fields)

    def arrange(self, ids: Sequence[str]) -> None:
        """Set which turns are shown, in which order; others are dropped."""
        with self.lock:
            for key in ids:
                self._turn(key)
            self._order = list(ids)
            for key in self._turns.keys() - set(ids):
                self._dropped[key] = self._turns.pop(key)

    def turn(self, key: str, **fields: Any) -> None:
        """Set fields of a turn; None removes one. A new turn comes last."""
        with self.lock:
            self._turn(key).fields.put(fields)

    def pieces(self, key: str, section: Section, pieces: Sequence[Piece], *, start: int = 0) -> None:
        """Set the pieces of a turn's answer or reasoning.

        Args:
            key: The turn.
            section: ``a`` for the answer, ``r`` for the reasoning.
            pieces: The pieces from ``start`` on; those before it stay as they are.
            start: Index of the first piece given.
        """
        with self.lock:
            self._turn(key).texts[section].put(pieces, start)

    def patch(self) -> dict[str, Any] | None:
        """What changed since the last patch, with the next number; None where nothing did."""
        with self.lock:
            changes: dict[str, Any] = {}
            if head := self._head.changes():
                changes["head"] = head
            if self._order != self._sent_order:
                self._sent_order = list(self._order)
                changes["order"] = self._sent_order
            turns: dict[str, Any] = {key: None for key, turn in self._dropped.items() if turn.is_sent}
            self._dropped.clear()
            for key, turn in self._turns.items():
                is_new = not turn.is_sent
                if (changed := turn.changes()) or is_new:
                    turns[key] = changed
            if turns:
                changes["turns"] = turns
            if not changes:
                return None
            self._number += 1
            return {"k": "p", "q": self._number, **changes}

    def snapshot(self) -> dict[str, Any]:
        """The state as all patches so far made it: what the next patch goes on from."""
        with self.lock:
            return {
                "q": self._number,
                "t": self.key,
                "head": dict(self._head.sent),
                "order": list(self._sent_order),
                "turns": {key: turn.snapshot() for key, turn in (self._turns | self._dropped).items() if turn.is_sent},
            }

    def _turn(self, key: str) -> _Turn:
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = self._dropped.pop(key) if key in self._dropped else _Turn()
            if key not in self._order:
                self._order.append(key)
        return turn


@dataclass(slots=True)
class _Fields:
    """Plain values by name: as they are, and as they were sent."""

    sent: dict[str, Any] = field(default_factory=dict)
    _pending: dict[str, Any] = field(default_factory=dict)

    def put(self, fields: Mapping[str, Any]) -> None:
        self._pending.update(fields)

    def changes(self) -> dict[str, Any]:
        changed = {name: value for name, value in self._pending.items() if self.sent.get(name) != value}
        self._pending.clear()
        for name, value in changed.items():
            if value is None:
                del self.sent[name]
            else:
                self.sent[name] = value
        return changed


@dataclass(slots=True)
class _Turn:
    """One turn: its fields and its texts."""

    fields: _Fields = field(default_factory=_Fields)
    texts: dict[Section, _Text] = field(default_factory=lambda: {section: _Text() for section in SECTIONS})
    is_sent: bool = False

    def changes(self) -> dict[str, Any]:
        changed = self.fields.changes()
        for section, text in self.texts.items():
            if (found := text.splice()) is not None:
                changed[section] = found
        self.is_sent = True
        return changed

    def snapshot(self) -> dict[str, Any]:
        whole = dict(self.fields.sent)
        for section, text in self.texts.items():
            if text.sent:
                whole[section] = [_said(piece) for piece in text.sent]
        return whole


@dataclass(slots=True)
class _Text:
    """Pieces of one text: as they were sent, and what replaces their end.

    Attributes:
        sent: The pieces as the views have them.
    """

    sent: list[Piece] = field(default_factory=list)
    _units: int = 0
    # The pieces from ``_low`` on, where they are to be others than those sent.
    _low: int = 0
    _next: list[Piece] | None = None

    def put(self, pieces: Sequence[Piece], start: int) -> None:
        if self._next is None:
            self._low, self._next = start, list(pieces)
        elif start >= self._low:
            self._next[start - self._low :] = pieces
        else:
            self._low, self._next = start, list(pieces)

    def splice(self) -> list[Any] | None:
        """``[i, c, x, n]`` from what was sent to what is; None where that is the same."""
        if self._next is None:
            return None
        old, new = self.sent[self._low :], self._next
        same = 0
        while same < len(old) and same < len(new) and old[same] == new[same]:
            same += 1
        index, old, new = self._low + same, old[same:], new[same:]
        self._next = None
        if not old and not new:
            return None
        kept = ""
        if old and new and old[0].context == new[0].context:
            kept = new[0].html[: _common(old[0].html, new[0].html)]
        self._units += sum(utf16_units(piece.html) for piece in new) - sum(utf16_units(piece.html) for piece in old)
        self.sent[index:] = new
        said = [_said(piece) for piece in new]
        if kept:
            said[0] = new[0].html[len(kept) :]
        return [index, utf16_units(kept), said, self._units]


def utf16_units(text: str) -> int:
    """Length of a text as JavaScript counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _said(piece: Piece) -> str | list[str]:
    return [piece.context, piece.html] if piece.context else piece.html


def _common(one: str, other: str) -> int:
    """Length of the longest common beginning, in code points; found by halves, each compared in C."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
