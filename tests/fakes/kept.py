"""Conversations as they are written to a store: turns, ledger rows, and what is new between two states of a row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_magic.content import message
from llm_magic.ledger import LedgerRow, row_from_turn
from llm_magic.records import head_to_dict
from llm_magic.store import Placed, Store, Writing
from llm_magic.turns import Turn, new_id

if TYPE_CHECKING:
    from llm_magic.slots import CellKey, Conversation, Slot

ME = "me"


def some_turn(text: str = "A fox.", prompt: str = "What?", **values: Any) -> Turn:
    """A turn with an id of its own."""
    return Turn(id=new_id(), prompt=(message("user", prompt),), text=text, **values)


def row_of(turn: Turn, *, session: str = ME, conversation: str = "main", **values: Any) -> LedgerRow:
    """A turn's row of the ledger."""
    known: dict[str, Any] = {"notebook": None, "kind": "chat", "round": 1, "api": "chat", "organization": None}
    return row_from_turn(turn, session=session, conversation=conversation, **(known | values))


def asked(conversation: Conversation, turn: Turn, key: CellKey | None = None) -> Slot:
    """Add a version to a conversation; the slot as it was before."""
    slot = conversation.reserve(key)
    conversation.add_version(slot, turn)
    return slot


def difference(conversation: Conversation, before: tuple[Slot, ...] = (), **values: Any) -> Writing:
    """What takes a store from one state of a row to the one the conversation has now."""
    known = {slot.id: slot for slot in before}
    now = [slot.id for slot in conversation.slots]
    changed = tuple(
        Placed(slot=slot, position=place, written=len(known[slot.id].versions) if slot.id in known else 0)
        for place, slot in enumerate(conversation.slots)
        if known.get(slot.id) is not slot
    )
    return Writing(
        conversation=conversation.id,
        head=head_to_dict(conversation),
        slots=changed,
        removed=tuple(slot_id for slot_id in known if slot_id not in now),
        positions=tuple(now) if [slot_id for slot_id in known if slot_id in now] != now[: len(known)] else (),
        **({"session": ME} | values),
    )


def write_whole(store: Store, conversation: Conversation, **values: Any) -> None:
    """Write a conversation that the store does not know, with a ledger row for every version."""
    rows = tuple(row_of(turn) for slot in conversation.slots for turn in slot.versions)
    store.write(replace(difference(conversation, **values), rows=rows))


def answered(conversation: Conversation) -> Conversation:
    """As it comes back: without the slots that were never answered."""
    return replace(conversation, slots=tuple(slot for slot in conversation.slots if slot.versions))
