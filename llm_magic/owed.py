"""What a session owes its store, and what of it is there already.

Comes in, from any thread: conversations as they stand, ledger rows, what is to be forgotten. Goes out, in the one
thread that writes: what is new of them. What could not be written stays owed.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from .records import head_to_dict
from .turns import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ledger import LedgerRow
    from .slots import Conversation, Slot
    from .store import Store, Writing

# SQLite's name for memory.
MEMORY = ":memory:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A conversation at one moment, to be written in another thread.

    Attributes:
        conversation: The conversation itself.
        head: Its head.
        slots: Its row.
        is_listed: It is one of the session's own, not of a variable.
        is_touched: It counts as changed, though nothing of it has.
    """

    conversation: Conversation
    head: Mapping[str, Any]
    slots: tuple[Slot, ...]
    is_listed: bool = True
    is_touched: bool = False


def snapshot_of(conversation: Conversation, *, is_listed: bool) -> Snapshot:
    """A conversation as it stands now."""
    head = head_to_dict(conversation)
    return Snapshot(conversation=conversation, head=head, slots=conversation.slots, is_listed=is_listed)


class Say(Protocol):
    """Tells the user a line: once, or each time it happens again."""

    def __call__(self, line: str, *, again: bool = False) -> None:
        """Tell it."""


@dataclass(slots=True)
class _Written:
    """What of a conversation is in the store.

    Attributes:
        head: Its head.
        slots: Its slots by id, in their order.
        next_position: The position behind the last; below 0 where the order in the store is not known.
    """

    head: Mapping[str, Any] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    next_position: int = -1


class Owed:
    """What one session owes.

    Args:
        session_id: Who writes.
        say: Tells the user a line.

    Attributes:
        session_id: Who writes.
        notebook: Full path of the notebook, None where unknown.
    """

    def __init__(self, session_id: str, say: Say) -> None:
        self.session_id = session_id
        self.notebook: str | None = None
        self._say = say
        self._lock = threading.Lock()
        # By the conversation's identity in memory, which stays where its id changes; the snapshot keeps it alive.
        self._waiting: dict[int, Snapshot] = {}
        self._rows: list[LedgerRow] = []
        self._ended: list[str] = []
        self._over: set[str] = set()
        self._private: set[str] = set()
        self._forgotten: set[str] = set()
        self._to_forget: list[tuple[str, str]] = []
        self._written: dict[str, _Written] = {}
        self._known: dict[str, weakref.ref[Conversation]] = {}
        self._places: dict[str, set[str]] = {}

    # From any thread

    def note(self, snapshot: Snapshot | None, rows: tuple[LedgerRow, ...] = (), ended: str | None = None) -> None:
        """To be written; a snapshot takes the place of an earlier one."""
        with self._lock:
            if snapshot is not None:
                self._waiting[id(snapshot.conversation)] = snapshot
            self._rows.extend(rows)
            if ended is not None:
                self._ended.append(ended)
                self._over.add(ended)

    def note_private(self, turn_id: str) -> None:
        """A turn that was asked while nothing was to be stored: what holds it is never written."""
        self._private.add(turn_id)

    def note_forgotten(self, conversation: Conversation, here: str) -> None:
        """Write nothing of a conversation any more, and delete it wherever it was written, at least ``here``."""
        with self._lock:
            self._forgotten.add(conversation.id)
            self._waiting.pop(id(conversation), None)
            places = self._places.pop(conversation.id, set()) | {here}
            self._to_forget.extend((conversation.id, place) for place in places)

    def has_read(self, conversation: Conversation) -> None:
        """A conversation comes from the store, and is this session's now."""
        slots = {slot.id: slot for slot in conversation.slots}
        self._remember(conversation, _Written(head=head_to_dict(conversation), slots=slots))

    # In the thread that writes

    def takes_draft(self, conversation: Conversation, turn_id: str) -> bool:
        """A conversation is in the store, and not to be forgotten, and the turn has not ended meanwhile."""
        # One that has ended may be written already: a draft after it would be taken for what a killed process left.
        if turn_id in self._over:
            return False
        return conversation.id in self._written and conversation.id not in self._forgotten

    def start_anew(self) -> None:
        """Another file is written to from now on: nothing is there yet."""
        self._written.clear()

    def settle(self, store: Store) -> None:
        """Write all that is owed.

        Raises:
            StoreError: Some of it could not be written, and is owed still.
        """
        from .store import BusyStoreError

        self.settle_forgetting(store)
        failure: Exception | None = None
        for key, snapshot in list(self._waiting.items()):
            try:
                self._write(store, snapshot)
            except BusyStoreError:
                raise
            except Exception as exc:  # noqa: BLE001  # one that cannot be written must not hold up the others; raised below
                failure = exc
                continue
            with self._lock:
                if self._waiting.get(key) is snapshot:
                    del self._waiting[key]
        if self._rows or self._ended:
            writing = self._ledger()
            store.write(writing)
            self._are_written(writing)
        if failure is not None:
            raise failure

    def settle_forgetting(self, store: Store) -> None:
        """Delete what is to be forgotten.

        Raises:
            StoreError: Some of it could not be deleted, and is to be deleted still.
        """
        from .store import Store

        for pair in list(self._to_forget):
            conversation_id, place = pair
            if place == store.where:
                store.forget(conversation_id)
            elif place != MEMORY:
                other = Store(place)
                try:
                    other.forget(conversation_id)
                finally:
                    other.close()
            self._written.pop(conversation_id, None)
            self._to_forget.remove(pair)

    def _write(self, store: Store, snapshot: Snapshot) -> None:
        from .store import ForgottenError, TakenError

        conversation = snapshot.conversation
        if self._private and any(turn.id in self._private for slot in snapshot.slots for turn in slot.versions):
            self._say(f"Conversation {conversation.name!r} was asked while nothing was stored, and is not kept.")
            return
        known = self._known.get(conversation.id)
        if known is not None and known() is not conversation and not self._renamed(conversation):
            return
        try:
            self._write_conversation(store, snapshot)
        except ForgottenError:
            self._write_if_lost(store, snapshot)
        except TakenError:
            if self._renamed(conversation):
                self._say(
                    f"Conversation {conversation.name!r} was taken up elsewhere; here it goes on as a copy.", again=True
                )
                self._write_conversation(store, snapshot)

    def _renamed(self, conversation: Conversation) -> bool:
        """Give a conversation an id of its own; whether that was still to be done."""
        with self._lock:
            if conversation.id in self._forgotten:
                return False
            conversation.id = new_id()
            return True

    def _write_if_lost(self, store: Store, snapshot: Snapshot) -> None:
        """Write one whole that is not in the file any more, unless somebody has forgotten it."""
        from .store import ForgottenError

        conversation = snapshot.conversation
        self._written.pop(conversation.id, None)
        try:
            self._write_conversation(store, snapshot)
        except ForgottenError:
            self._forgotten.add(conversation.id)
            self._say(f"Conversation {conversation.name!r} was forgotten elsewhere, and is not kept any more.")

    def _write_conversation(self, store: Store, snapshot: Snapshot) -> None:
        conversation_id = snapshot.conversation.id
        if conversation_id in self._forgotten:
            return
        written = self._written.get(conversation_id, _Written())
        head = {**snapshot.head, "id": conversation_id}
        change, next_position = _difference(written, snapshot.slots)
        has_head = head != written.head or snapshot.is_touched
        writing = self._ledger()
        if not (has_head or writing.rows or writing.ended or any(change.values())):
            return
        store.write(
            replace(
                writing,
                conversation=conversation_id,
                head=head if has_head else None,
                is_listed=snapshot.is_listed,
                **change,
            )
        )
        self._are_written(writing)
        self._places.setdefault(conversation_id, set()).add(store.where)
        now = _Written(head=head, slots={slot.id: slot for slot in snapshot.slots}, next_position=next_position)
        self._remember(snapshot.conversation, now)

    def _ledger(self) -> Writing:
        from .store import Writing

        with self._lock:
            rows, ended = tuple(self._rows), tuple(self._ended)
        return Writing(session=self.session_id, notebook=self.notebook, rows=rows, ended=ended)

    def _are_written(self, writing: Writing) -> None:
        with self._lock:
            del self._rows[: len(writing.rows)], self._ended[: len(writing.ended)]

    def _remember(self, conversation: Conversation, written: _Written) -> None:
        conversation_id = conversation.id
        known = self._known.get(conversation_id)
        if known is None or known() is not conversation:
            # Its turns are not held any longer than it lives itself.
            self._known[conversation_id] = weakref.ref(conversation, lambda gone: self._let_go(conversation_id, gone))
        self._written[conversation_id] = written

    def _let_go(self, conversation_id: str, gone: weakref.ref[Conversation]) -> None:
        if self._known.get(conversation_id) is gone:
            self._written.pop(conversation_id, None)


def _difference(written: _Written, slots: tuple[Slot, ...]) -> tuple[dict[str, Any], int]:
    """What of a row is not in the store as it should be, and the position behind its last slot."""
    from .store import Placed

    now = {slot.id: slot for slot in slots}
    order = tuple(now)
    kept = tuple(slot_id for slot_id in written.slots if slot_id in now)
    is_appended = written.next_position >= 0 and order[: len(kept)] == kept
    first = written.next_position - len(kept) if is_appended else 0
    changed = tuple(
        Placed(slot=slot, position=first + place, written=_count_written(written.slots.get(slot.id)))
        for place, slot in enumerate(slots)
        if written.slots.get(slot.id) is not slot
    )
    removed = tuple(slot_id for slot_id in written.slots if slot_id not in now)
    return {"slots": changed, "removed": removed, "positions": () if is_appended else order}, first + len(slots)


def _count_written(slot: Slot | None) -> int:
    return len(slot.versions) if slot is not None else 0
