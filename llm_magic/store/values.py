"""What goes into the store and comes out of it, beside conversations, turns and ledger rows; and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..ledger import LedgerRow
    from ..slots import Slot
    from ..turns import Turn


class BusyStoreError(StoreError):
    """Not now, and perhaps later: another process holds the store, or the disk is full. Nothing was written."""


class TakenError(StoreError):
    """Another session has taken up the conversation, so this one may not write to it any more."""


class ForgottenError(TakenError):
    """The conversation was forgotten, by this session or another, or is not in this file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A slot as it is to be written.

    Attributes:
        slot: The slot.
        position: Its place in the row, which ascends along it; one that has its place in the row keeps it.
        written: How many of its versions are in the store already. Count.
    """

    slot: Slot
    position: int
    written: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What is written at once, or not at all.

    Attributes:
        session: Who writes; the owner of a conversation that is new.
        notebook: Full path of the notebook, None where unknown.
        conversation: Id of the conversation, None where only ledger rows are written.
        head: The conversation without its slots, as ``records.head_to_dict``; None where it is as it was.
        is_listed: It is one of the session's own, not of a variable. Written with the head.
        slots: Slots that are new or have changed.
        positions: Ids of all slots in order, where the order has changed.
        removed: Ids of slots that left the row.
        rows: Ledger rows.
        ended: Ids of turns whose drafts are done with, beside the versions that are written.
    """

    session: str
    notebook: str | None = None
    conversation: str | None = None
    head: Mapping[str, Any] | None = None
    is_listed: bool = True
    slots: tuple[Placed, ...] = ()
    positions: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    rows: tuple[LedgerRow, ...] = ()
    ended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer under way.

    Attributes:
        turn: As far as it has come, as it is to be kept if it ends here.
        row: The row of the ledger of its last request, likewise.
        conversation: Id of the conversation.
        slot: Id of the slot.
        earlier: The rows of its requests before that one.
    """

    turn: Turn
    row: LedgerRow
    conversation: str
    slot: str
    earlier: tuple[LedgerRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A conversation in the store, in short.

    Attributes:
        id: Its id.
        name: Its name.
        notebook: Full path of its notebook, None where unknown.
        owner: Id of the session that may write to it.
        is_listed: It is one of a session's own, not of a variable.
        n_turns: Slots in its row that have a version. Count.
        size_bytes: Its versions, with pictures, sounds and files.
        cost_usd: What all its versions cost, in US dollars; None where a price is unknown.
        began_at: When it was begun, UTC.
        changed_at: When it was last written, UTC.
    """

    id: str
    name: str
    notebook: str | None
    owner: str
    is_listed: bool
    n_turns: int
    size_bytes: int
    cost_usd: float | None
    began_at: datetime
    changed_at: datetime
