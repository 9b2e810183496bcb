"""Slots, their versions, and the Conversation they make up.

A conversation is a row of slots in the order of their first ask; a slot belongs to the cell that asked and holds
one version (a Turn) for every time it was asked. Everything but the Conversation itself is frozen. Only
``session.py`` writes to a conversation that is being asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from . import history
from .content import Message, message
from .errors import ConfigurationError
from .turns import Turn, chained, new_id

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from .history import Change, What


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The cell that asks.

    Attributes:
        cell_id: Hashed identity of the cell.
        run_id: Identity of this one execution of it.
        source: See :class:`Slot`.
    """

    cell_id: str
    run_id: str
    source: str | None = None


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
        versions: Turns in the order they were asked, failed ones included; they are only ever added.
        current_id: Id of the version that counts, None while none has completed.
        is_hidden: Left out of what is sent.
        source: Hash of the cell's identity and source, by which a slot of a former session is found again where
            the front end's ids change with every session; None where they are stable.
    """

    id: str
    key: CellKey | None = None
    versions: tuple[Turn, ...] = ()
    current_id: str | None = None
    is_hidden: bool = False
    source: str | None = None

    @property
    def current(self) -> Turn | None:
        """The version that counts, None where there is none."""
        # The newest mostly counts, and this is asked of every slot again and again.
        for turn in reversed(self.versions):
            if turn.id == self.current_id:
                return turn
        return None

    @property
    def latest(self) -> Turn | None:
        """The version asked last, failed or not."""
        return self.versions[-1] if self.versions else None

    @property
    def sent(self) -> Turn | None:
        """The turn that later asks see, None where the slot sends nothing."""
        current = self.current
        return current if current is not None and current.is_sendable and not self.is_hidden else None

    @property
    def is_sent(self) -> bool:
        """The slot is part of what later asks see."""
        return self.sent is not None

    def version(self, number: int) -> Turn:
        """The version with this number, from 1.

        Raises:
            ConfigurationError: There is no such version.
        """
        if not 1 <= number <= len(self.versions):
            has = f"versions 1 to {len(self.versions)}" if self.versions else "not been answered yet"
            raise ConfigurationError(f"There is no version {number} of that turn.", hint=f"it has {has}")
        return self.versions[number - 1]

    def with_version(self, turn: Turn) -> Slot:
        """The slot with one more version, current if it did not fail and has something to say; others follow it."""
        kept = replace(turn, others=()) if turn.others else turn
        return replace(
            self,
            versions=(*self.versions, kept, *turn.others),
            current_id=turn.id if turn.is_sendable else self.current_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an ask sees of a conversation.

    Attributes:
        turns: The turns sent before the prompt, in order.
        messages: Their messages.
        seen: Their digest, as in ``Turn.seen``.
        stale: Ids of the slots among them whose turn saw something else than what stands before it now.
    """

    turns: tuple[Turn, ...] = ()
    messages: tuple[Message, ...] = ()
    seen: str = ""
    stale: tuple[str, ...] = ()


_NOTHING = Context()


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
        parent: Id of the conversation it was forked from, None where it was not.
        began_at: When it was begun, UTC.
        slots: The row, in the order of first asks unless moved.
    """

    name: str = ""
    id: str = field(default_factory=new_id)
    system: str | None = None
    model: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    is_archived: bool = False
    made_by: str | None = None
    parent: str | None = None
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    slots: tuple[Slot, ...] = ()
    _past: list[Change] = field(default_factory=list, init=False, repr=False, compare=False)
    _future: list[Change] = field(default_factory=list, init=False, repr=False, compare=False)
    _context: tuple[tuple[Slot, ...], Context] = field(default=((), _NOTHING), init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or self.id!r}: {len(self.slots)} turns>"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Current versions, in order; slots without one are left out."""
        return tuple(turn for slot in self.slots if (turn := slot.current) is not None)

    @property
    def is_begun(self) -> bool:
        """Something has been asked, though all of it may have been taken back."""
        return bool(self._future) or any(slot.versions for slot in self.slots)

    def find(
        self, key: CellKey | None, *, source: str | None = None, known: Container[str] = frozenset()
    ) -> Slot | None:
        """The slot of a cell's ask, None where there is none.

        Args:
            key: The cell's ask.
            source: See :class:`Slot`: finds a slot of a former session.
            known: Cells of this session, by their identity: their slots are found by key alone.
        """
        if key is None:
            return None
        found = next((slot for slot in self.slots if slot.key == key), None)
        if found is not None or source is None:
            return found
        return next((slot for slot in self.slots if _is_formerly(slot, source, key.ordinal, known)), None)

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

    def context(self, slot_id: str | None = None) -> Context:
        """What an ask of this slot sees: current versions of the slots before it, hidden and empty ones left out.

        The context of the ask before is extended where the row still begins as it did: an ask at the end of a
        thousand turns looks at one slot.

        Args:
            slot_id: None sees all slots.
        """
        end = next((place for place, slot in enumerate(self.slots) if slot.id == slot_id), len(self.slots))
        row, known = self._context
        # Slots that are the same objects compare equal without being looked into.
        if len(row) > end or row != self.slots[: len(row)]:
            row, known = (), _NOTHING
        found = _extended(known, self.slots[len(row) : end])
        self._context = (self.slots[:end], found)
        return found

    def before(self, slot_id: str | None) -> tuple[Turn, ...]:
        """The turns of :meth:`context`."""
        return self.context(slot_id).turns

    def stale(self) -> frozenset[str]:
        """Ids of the slots that changed beneath their turn: something before it is not what it saw."""
        return frozenset(slot.id for slot, _, is_stale in _judged(self.slots) if is_stale)

    def is_stale(self, slot: Slot) -> bool:
        """A slot before this one has changed since its current version was asked."""
        return slot.id in self.stale()

    def fork(self, name: str | None = None, *, at: int | None = None) -> Self:
        """A copy to go on with, up to and including turn ``at``; None copies all. Versions are shared.

        Raises:
            ConfigurationError: There is no such turn.
        """
        if at is not None:
            self.numbered(at)
        return replace(
            self,
            name=name or f"{self.name or self.id}-fork",
            id=new_id(),
            settings=dict(self.settings),
            is_archived=False,
            made_by=None,
            parent=self.id,
            began_at=datetime.now(UTC),
            # A place taken by an ask under way is not copied: its answer will come to this conversation only.
            slots=tuple(slot for slot in self.slots[:at] if slot.versions),
        )

    def reserve(self, key: CellKey | None, source: str | None = None, *, known: Container[str] = frozenset()) -> Slot:
        """The slot of a cell's ask; a new one takes its place at the end. See :meth:`find`.

        A slot that was found is the cell's from now on: it takes the key and the source.
        """
        found = self.find(key, source=source, known=known)
        if found is not None:
            slot = replace(found, key=key, source=source)
            if slot != found:
                self.slots = tuple(slot if other is found else other for other in self.slots)
            return slot
        slot = Slot(id=new_id(), key=key, source=source)
        self.slots = (*self.slots, slot)
        return slot

    def add_version(self, place: Slot, turn: Turn) -> Change:
        """Keep a turn in the slot reserved for it; one that is gone (undone meanwhile) comes back at the end."""
        slot = self.slot(place.id)
        if slot is None:
            slot = place
            self.slots = (*self.slots, place)
        kept = slot.with_version(turn)
        self.slots = tuple(kept if other is slot else other for other in self.slots)
        return self._remember(history.asked(self.slots, slot, kept))

    def pick(self, slot: Slot, turn: Turn) -> Change:
        """Let another version of a slot count.

        Raises:
            ConfigurationError: It failed, or has nothing to say.
        """
        if not turn.is_sendable:
            raise ConfigurationError(
                f"That version {'failed' if turn.status == 'failed' else 'has no text'} and cannot count.",
                hint="pick another, or ask again",
            )
        return self._make(history.picked(slot, turn.id))

    def hide(self, *slots: Slot, what: What = "hide") -> Change:
        """Leave slots out of what is sent."""
        return self._make(history.hidden(slots, is_hidden=True, what=what))

    def unhide(self, *slots: Slot) -> Change:
        """Take slots in again."""
        return self._make(history.hidden(slots, is_hidden=False, what="unhide"))

    def move(self, slot: Slot, before: Slot) -> Change:
        """Put a slot right before another."""
        return self._make(history.moved(self.slots, slot, before))

    def undo(self) -> Change | None:
        """Take back the last change in time; None where there is none.

        Versions stay: what counts is again what counted before. A slot that was new leaves the row.
        """
        if not self._past:
            return None
        change, self.slots = self._past.pop().undone(self.slots)
        self._future.append(change)
        return change

    def redo(self) -> Change | None:
        """Make the change that was last taken back again; None where there is none."""
        if not self._future:
            return None
        change = self._future.pop()
        self._past.append(change)
        self.slots = change.done(self.slots)
        return change

    @property
    def second_thoughts(self) -> tuple[What | None, What | None]:
        """What :meth:`undo` would take back and :meth:`redo` would make again; None for nothing."""
        undone, redone = (changes[-1].what if changes else None for changes in (self._past, self._future))
        return undone, redone

    def _make(self, change: Change) -> Change:
        self.slots = change.done(self.slots)
        return self._remember(change)

    def _remember(self, change: Change) -> Change:
        self._past.append(change)
        self._future.clear()
        return change


def context_messages(system: str | None, seen: Iterable[Message], prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """What is sent: the system prompt (if any), the messages of the turns seen, the prompt."""
    head = (message("system", system),) if system else ()
    return (*head, *seen, *prompt)


def system_sent(conversation: Conversation) -> str | None:
    """The system prompt of a conversation; where it takes the session's, the one its last turn was sent with."""
    if conversation.system is not None:
        return conversation.system
    sent = conversation.before(None)
    return sent[-1].system if sent else None


def _is_formerly(slot: Slot, source: str, ordinal: int, known: Container[str]) -> bool:
    key = slot.key
    return slot.source == source and key is not None and key.ordinal == ordinal and key.cell_id not in known


def _extended(known: Context, slots: tuple[Slot, ...]) -> Context:
    turns: list[Turn] = []
    messages: list[Message] = []
    stale: list[str] = []
    seen = known.seen
    for slot, turn, is_stale in _judged(slots, known.seen):
        if turn is not None:
            turns.append(turn)
            messages.extend(turn.messages())
            seen = chained(seen, turn.id)
            if is_stale:
                stale.append(slot.id)
    if not turns:
        return known
    return Context(
        turns=(*known.turns, *turns),
        messages=(*known.messages, *messages),
        seen=seen,
        stale=(*known.stale, *stale),
    )


def _judged(slots: tuple[Slot, ...], seen: str = "") -> Iterator[tuple[Slot, Turn | None, bool]]:
    """Each slot, the turn it sends, and whether its current version saw something else than the slots before it."""
    for slot in slots:
        sent = slot.sent
        current = sent or slot.current
        yield slot, sent, current is not None and not current.is_fresh and current.seen != seen
        if sent is not None:
            seen = chained(seen, sent.id)
