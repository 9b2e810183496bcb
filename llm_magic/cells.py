"""What the cells of a notebook did: which of a cell's asks comes next, and which turns have lost their cell.

Names come in, hashed by ``frontend.py``; nothing is asked and nothing is kept beyond the process. A turn has lost
its cell when the cell was deleted, or ran to its end without this ask. It is still sent.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from .slots import CellKey

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .slots import Cell, Conversation, Slot

_Place: TypeAlias = tuple[str | None, int]


@dataclass(slots=True)
class _Run:
    """The kept asks of one run of a cell.

    Attributes:
        id: Which run.
        asks: Where each went and its ordinal; None where the cell did not name the conversation. Such an ask goes
            where the cell's slot is, so it says of every conversation that the cell still asks.
        count: How many there are.
    """

    id: str
    asks: set[_Place] = field(default_factory=set)
    count: int = 0


class Cells:
    """What is known of the cells of one session.

    Attributes:
        lock: Held while anything of the session is looked at or changed in more than one step.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._latest_runs: dict[str, _Run] = {}
        self._ended_runs: dict[str, _Run] = {}
        self._deleted: set[str] = set()
        self._repeated: set[str] = set()
        self._told: set[str] = set()

    # Which ask

    def peek_key(self, cell: Cell | None) -> CellKey | None:
        """The key of the next kept ask of a cell; a new run of it counts from 0."""
        if cell is None:
            return None
        run = self._latest_runs.get(cell.cell_id)
        return CellKey(cell_id=cell.cell_id, ordinal=run.count if run is not None and run.id == cell.run_id else 0)

    def next_key(self, cell: Cell | None, *, within: str | None = None) -> CellKey | None:
        """As :meth:`peek_key`, and the one after it counts on: the cell has made this ask.

        Args:
            cell: The cell that asks.
            within: Id of the conversation the cell named, None where it named none.
        """
        key = self.peek_key(cell)
        if key is None or cell is None:
            return None
        with self.lock:
            run = self._latest_runs.get(cell.cell_id)
            if run is None or run.id != cell.run_id:
                run = self._latest_runs[cell.cell_id] = _Run(cell.run_id)
            run.count += 1
            for one in (run, self._ended_runs.get(cell.cell_id)):
                if one is not None:
                    one.asks.add((within, key.ordinal))
        return key

    def slot_for(self, conversation: Conversation, key: CellKey | None, cell: Cell | None) -> Slot | None:
        """The slot of a cell's ask; that of a former session too, where the front end's ids changed meanwhile."""
        return conversation.find(key, source=cell.source if cell else None, known=self._latest_runs)

    def place_for(self, conversation: Conversation, key: CellKey | None, cell: Cell | None) -> Slot:
        """As :meth:`slot_for`; where there is none, a new one takes its place at the end."""
        return conversation.reserve(key, cell.source if cell else None, known=self._latest_runs)

    # What became of cells

    def note_started(self, cell_id: str | None, deleted: Collection[str] = ()) -> None:
        """A cell starts to run, and cells are reported as deleted: the one that runs is not.

        Args:
            cell_id: The cell, None where the front end tells none.
            deleted: As reported with this very request. JupyterLab says the same with all cells of a Run All, also
                of a cell among them that had been restored: after it has run, the same news is old.
        """
        with self.lock:
            self._repeated.intersection_update(deleted)
            if cell_id is not None and cell_id in deleted:
                self._repeated.add(cell_id)
            self._deleted.update(one for one in deleted if one not in self._repeated)
            if cell_id is not None:
                self._deleted.discard(cell_id)

    def note_ran(self, cell: Cell) -> None:
        """A cell has run to its end, without an error: what it did not ask in this run, it asks no more."""
        with self.lock:
            run = self._latest_runs.get(cell.cell_id)
            self._ended_runs[cell.cell_id] = run if run is not None and run.id == cell.run_id else _Run(cell.run_id)

    def is_gone(self, conversation: Conversation, slot: Slot) -> bool:
        """Whether a slot has lost its cell: deleted, or run to its end without this ask."""
        key = slot.key
        if key is None:
            return False
        if key.cell_id in self._deleted:
            return True
        ended = self._ended_runs.get(key.cell_id)
        if ended is None:
            return False
        return (None, key.ordinal) not in ended.asks and (conversation.id, key.ordinal) not in ended.asks

    def gone_slots(self, conversation: Conversation) -> tuple[Slot, ...]:
        """The slots of a conversation that have lost their cell, in its order."""
        with self.lock:
            return tuple(slot for slot in conversation.slots if self.is_gone(conversation, slot))

    # What is said of it

    def untold(self, conversation: Conversation, slot: Slot | None) -> frozenset[str]:
        """Ids of the slots without a cell that an ask of this slot sends; empty where all has been said before."""
        end = None if slot is None else slot.id
        sent = _until(conversation.slots, end)
        found = frozenset(one.id for one in sent if self.is_gone(conversation, one) and one.is_sent)
        return found if not found <= self._told else frozenset()

    def note_told(self, conversation: Conversation, slot_ids: frozenset[str]) -> None:
        """These have been said to have lost their cell; one that has found it again may be said again."""
        if not slot_ids and not self._told:
            return
        with self.lock:
            gone = {slot.id for slot in self.gone_slots(conversation)}
            back = {slot.id for slot in conversation.slots} - gone
            self._told = (self._told - back) | slot_ids


def gone_notice(count: int) -> str:
    """What an answer says once of the turns it was sent.

    >>> gone_notice(2)
    '2 turns sent whose cells are gone: %chat prune hides them'
    """
    if count == 1:
        return "1 turn sent whose cell is gone: %chat prune hides it"
    return f"{count} turns sent whose cells are gone: %chat prune hides them"


def _until(slots: tuple[Slot, ...], slot_id: str | None) -> Iterable[Slot]:
    for slot in slots:
        if slot.id == slot_id:
            return
        yield slot
