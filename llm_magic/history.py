"""Changes of a conversation's row, and how each is taken back.

A change holds marks (which version counts, what is hidden), not versions: those are only ever added, so taking
back a re-run lets the former version count again and leaves the newer one where it can be picked. Pure: rows in,
rows out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .slots import Slot

    Row: TypeAlias = tuple[Slot, ...]

What: TypeAlias = Literal["ask", "pick", "hide", "unhide", "move", "prune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a change may alter of a slot.

    Attributes:
        slot_id: The slot.
        current_id: Its version that counts.
        is_hidden: It is left out of what is sent.
    """

    slot_id: str
    current_id: str | None
    is_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a row; knows both sides.

    Attributes:
        what: The command, or ``ask``.
        before: Marks of the slots it touched, as they were.
        after: The same marks, as they became.
        place: Where it put a slot that was not in the row before; None where it put none.
        slot: That slot, while the change is taken back.
        order: Ids of all slots before and after, where it moved one.
    """

    what: What
    before: tuple[Mark, ...] = ()
    after: tuple[Mark, ...] = ()
    place: int | None = None
    slot: Slot | None = None
    order: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    @property
    def slot_ids(self) -> tuple[str, ...]:
        """The slots it touched."""
        return tuple(mark.slot_id for mark in self.after)

    def done(self, row: Row) -> Row:
        """The row with the change made, the first time or again."""
        if self.slot is not None and self.place is not None:
            row = (*row[: self.place], self.slot, *row[self.place :])
        row = _marked(row, self.after)
        return row if self.order is None else _ordered(row, self.order[1])

    def undone(self, row: Row) -> tuple[Change, Row]:
        """The row with the change taken back, and the change as it can be made again."""
        if self.order is not None:
            row = _ordered(row, self.order[0])
        if self.place is not None:
            (slot_id,) = self.slot_ids
            slot = next(slot for slot in row if slot.id == slot_id)
            return replace(self, slot=slot, place=row.index(slot)), tuple(other for other in row if other is not slot)
        return self, _marked(row, self.before)


def asked(row: Row, slot: Slot, kept: Slot) -> Change:
    """A version was added.

    Args:
        row: The row with the slot.
        slot: As it was; without versions it was only a place that had been taken.
        kept: As it is now.
    """
    place = None if slot.versions else next(place for place, other in enumerate(row) if other.id == slot.id)
    return Change(what="ask", before=(_mark(slot),), after=(_mark(kept),), place=place)


def picked(slot: Slot, turn_id: str) -> Change:
    """Another version counts."""
    before = _mark(slot)
    return Change(what="pick", before=(before,), after=(replace(before, current_id=turn_id),))


def hidden(slots: Iterable[Slot], *, is_hidden: bool, what: What) -> Change:
    """Slots are left out of what is sent, or taken in again."""
    before = tuple(_mark(slot) for slot in slots)
    return Change(what=what, before=before, after=tuple(replace(mark, is_hidden=is_hidden) for mark in before))


def moved(row: Row, slot: Slot, before: Slot) -> Change:
    """A slot stands right before another."""
    ids = tuple(other.id for other in row)
    rest = [slot_id for slot_id in ids if slot_id != slot.id]
    rest.insert(rest.index(before.id), slot.id)
    mark = (_mark(slot),)
    return Change(what="move", before=mark, after=mark, order=(ids, tuple(rest)))


def _mark(slot: Slot) -> Mark:
    return Mark(slot_id=slot.id, current_id=slot.current_id, is_hidden=slot.is_hidden)


def _marked(row: Row, marks: tuple[Mark, ...]) -> Row:
    by_id = {mark.slot_id: mark for mark in marks}
    return tuple(
        slot
        if (mark := by_id.get(slot.id)) is None
        else replace(slot, current_id=mark.current_id, is_hidden=mark.is_hidden)
        for slot in row
    )


def _ordered(row: Row, ids: tuple[str, ...]) -> Row:
    """Slots that nobody knew of when the order was made (asks under way) stay at the end."""
    places = {slot_id: place for place, slot_id in enumerate(ids)}
    return tuple(sorted(row, key=lambda slot: places.get(slot.id, len(places))))
