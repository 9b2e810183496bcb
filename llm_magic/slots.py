"""Slots, their versions, and the Conversation they make up.

A conversation is a row of slots in the order of their first ask; a slot belongs to the cell that asked and holds
one version (a Turn) for every time it was asked. Everything but the Conversation itself is frozen, so undo is
keeping the former row. Only ``session.py`` writes to a conversation that is being asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .content import Message, message
from .errors import ConfigurationError
from .turns import Turn, new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The cell that asks.

    Attributes:
        cell_id: Hashed identity of the cell.
        run_id: Identity of this one execution of it.
    """

    cell_id: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellKey:
    """Which ask of which cell a slot belongs to.

    Attributes:
        cell_id: Hashed identity of the cell.
        ordinal: Which of the cell's kept asks, counted from 0 within one run of the cell.
    """

    cell_id: str
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One place in a conversation: all versions of one ask.

    Attributes:
        id: Unique, 12 hex digits.
        key: The cell's ask it belongs to, None where the front end tells no cell.
        versions: Turns in the order they were asked, failed ones included.
        current_id: Id of the version that counts, None while none has completed.
        is_hidden: Left out of what is sent.
    """

    id: str
    key: CellKey | None = None
    versions: tuple[Turn, ...] = ()
    current_id: str | None = None
    is_hidden: bool = False

    @property
    def current(self) -> Turn | None:
        """The version that counts, None where there is none."""
        return next((turn for turn in self.versions if turn.id == self.current_id), None)

    @property
    def latest(self) -> Turn | None:
        """The version asked last, failed or not."""
        return self.versions[-1] if self.versions else None

    @property
    def is_sent(self) -> bool:
        """The slot is part of what later asks see."""
        current = self.current
        return current is not None and current.is_sendable and not self.is_hidden

    def with_version(self, turn: Turn) -> Slot:
        """The slot with one more version, current if it did not fail and has something to say."""
        return replace(
            self,
            versions=(*self.versions, turn),
            current_id=turn.id if turn.is_sendable else self.current_id,
        )


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class Conversation:
    """A row of slots with a system prompt, a model and settings of its own.

    Attributes:
        name: What the user calls it.
        id: Unique, 12 hex digits.
        system: System prompt; None takes the session's, "" means none.
        model: Model; None takes the session's.
        settings: Settings of this conversation, by their name in the table of settings.
        is_archived: Begun afresh under the same name; its cells' slots no longer count.
        made_by: Hashed identity of the cell whose ``%chat new`` made it.
        slots: The row, in the order of first asks.
    """

    name: str = ""
    id: str = field(default_factory=new_id)
    system: str | None = None
    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    is_archived: bool = False
    made_by: str | None = None
    slots: tuple[Slot, ...] = ()
    _past: list[tuple[Slot, ...]] = field(default_factory=list, repr=False, compare=False)
    _future: list[tuple[Slot, ...]] = field(default_factory=list, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.id!r}: {len(self.slots)} turns>"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Current versions, in order; slots without one are left out."""
        return tuple(turn for slot in self.slots if (turn := slot.current) is not None)

    def find(self, key: CellKey | None) -> Slot | None:
        """The slot of a cell's ask, None where there is none."""
        if key is None:
            return None
        return next((slot for slot in self.slots if slot.key == key), None)

    def slot(self, slot_id: str) -> Slot | None:
        """The slot with this id, None where there is none."""
        return next((slot for slot in self.slots if slot.id == slot_id), None)

    def numbered(self, number: int) -> Slot:
        """The slot with the number that ``%chat`` prints.

        Raises:
            ConfigurationError: There is no such number.
        """
        if not 1 <= number <= len(self.slots):
            has = f"turns 1 to {len(self.slots)}" if self.slots else "no turns yet"
            raise ConfigurationError(f"There is no turn {number}.", hint=f"this conversation has {has}")
        return self.slots[number - 1]

    def reserve(self, key: CellKey | None) -> Slot:
        """The slot of a cell's ask; a new one takes its place at the end."""
        found = self.find(key)
        if found is not None:
            return found
        slot = Slot(id=new_id(), key=key)
        self.slots = (*self.slots, slot)
        return slot

    def before(self, slot_id: str | None) -> tuple[Turn, ...]:
        """The turns an ask of this slot sees: current versions of the slots before it, hidden and empty ones left out.

        Args:
            slot_id: None sees all slots.
        """
        seen: list[Turn] = []
        for slot in self.slots:
            if slot.id == slot_id:
                break
            if slot.is_sent and (current := slot.current) is not None:
                seen.append(current)
        return tuple(seen)

    def is_stale(self, slot: Slot) -> bool:
        """A slot before this one has changed since its current version was asked."""
        current = slot.current
        if current is None or current.is_fresh:
            return False
        return current.seen != tuple(turn.id for turn in self.before(slot.id))

    def add_version(self, place: Slot, turn: Turn) -> None:
        """Keep a turn in the slot reserved for it; one that is gone (undone meanwhile) comes back at the end."""
        self._remember()
        if self.slot(place.id) is None:
            self.slots = (*self.slots, place)
        self.slots = tuple(slot.with_version(turn) if slot.id == place.id else slot for slot in self.slots)

    def undo(self) -> bool:
        """Take back the last change in time; False where there is none."""
        if not self._past:
            return False
        self._future.append(self.slots)
        self.slots = self._past.pop()
        return True

    def redo(self) -> bool:
        """Make the change that was last taken back again; False where there is none."""
        if not self._future:
            return False
        self._past.append(self.slots)
        self.slots = self._future.pop()
        return True

    def _remember(self) -> None:
        # A slot without versions is only a place that was taken: before its first version, it was not there.
        self._past.append(tuple(slot for slot in self.slots if slot.versions))
        self._future.clear()


def context_messages(system: str | None, seen: tuple[Turn, ...], prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """What is sent: the system prompt (if any), the turns seen, the prompt."""
    head = (message("system", system),) if system else ()
    return (*head, *(item for turn in seen for item in turn.messages()), *prompt)
