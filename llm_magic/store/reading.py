"""Reading, within a transaction of the caller's. Rows come out of SQLite at once, so that it is over soon.

A conversation is found by indexes alone: others, however large, are not touched.
"""

from __future__ import annotations

import json
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ..records import head_from_dict
from ..slots import CellKey, Slot
from .codec import ROW_COLUMNS, TURN_COLUMNS, Decoder, decode_draft_rows
from .database import run, text
from .processes import Process
from .values import Draft, ForgottenError, Kept

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ..records import C
    from ..turns import Turn

_COLUMNS = ", ".join(f"t.{name}" for name in TURN_COLUMNS)
HEAD = "SELECT head, number FROM conversations WHERE id = ?"
# The order is that of the indexes: nothing is sorted.
SLOTS = f"""
SELECT s.number, s.id, s.cell_id, s.ordinal, s.source, s.current_id, s.is_hidden, {_COLUMNS}
FROM slots AS s CROSS JOIN versions AS v ON v.slot = s.number CROSS JOIN turns AS t ON t.number = v.turn
WHERE s.conversation = ? AND NOT s.is_removed
ORDER BY s.position, s.number, v.number
"""
BLOBS = """
SELECT hash, data FROM blobs WHERE number IN (
  SELECT m.blob FROM slots AS s JOIN versions AS v ON v.slot = s.number JOIN media AS m ON m.turn = v.turn
  WHERE s.conversation = ? AND NOT s.is_removed)
"""
_N_OF_SLOT = 7
KEPT = """
SELECT c.id, c.name, c.notebook, c.owner, c.is_listed, c.began_at, c.changed_at,
  count(DISTINCT CASE WHEN NOT s.is_removed THEN v.slot END),
  total(v.size_bytes) + (
    SELECT total(length(data)) FROM blobs WHERE number IN (
      SELECT m.blob FROM slots AS s JOIN versions AS v ON v.slot = s.number JOIN media AS m ON m.turn = v.turn
      WHERE s.conversation = c.number)),
  total(v.cost_usd), count(v.slot) - count(v.cost_usd)
FROM conversations AS c LEFT JOIN slots AS s ON s.conversation = c.number LEFT JOIN versions AS v ON v.slot = s.number
"""
_OF_NOTEBOOK = "WHERE c.notebook = ?"
_LAST_FIRST = "GROUP BY c.number ORDER BY c.changed_at DESC, c.number DESC"
LEDGER = f"SELECT {', '.join(ROW_COLUMNS)} FROM ledger"
_REQUEST = tuple(ROW_COLUMNS.index(name) for name in ("session", "turn_id", "round"))
_DRAFTS = f"""
SELECT d.row, d.host, d.pid, d.started, d.touched_at, c.id, s.id, {_COLUMNS}
FROM drafts AS d JOIN turns AS t ON t.number = d.turn
JOIN slots AS s ON s.number = d.slot JOIN conversations AS c ON c.number = s.conversation
"""
_DRAFT_BLOBS = (
    "SELECT hash, data FROM blobs WHERE number IN (SELECT blob FROM media WHERE turn IN (SELECT turn FROM drafts))"
)


class Rows:
    """A conversation as SQLite gives it."""

    __slots__ = ("blobs", "head", "slots")

    def __init__(self, connection: sqlite3.Connection, conversation_id: str) -> None:
        found = run(connection, HEAD, (conversation_id,)).fetchone()
        if found is None:
            raise ForgottenError(
                f"The store has no conversation {conversation_id}.", hint="%chat list shows what it has"
            )
        self.head, number = found
        self.slots: list[Any] = run(connection, SLOTS, (number,)).fetchall()
        self.blobs = dict(run(connection, BLOBS, (number,)).fetchall())


def made_of(rows: Rows, cls: type[C]) -> C:
    """The conversation of some rows.

    Raises:
        ValueError, TypeError, LookupError, AttributeError: The rows are not as they were written.
    """
    made = head_from_dict(json.loads(rows.head), cls=cls)
    decode = Decoder(rows.blobs).turn
    made.slots = tuple(
        [
            _slot(versions[0][:_N_OF_SLOT], [decode(row[_N_OF_SLOT:]) for row in versions])
            for versions in (list(group) for _, group in groupby(rows.slots, key=itemgetter(0)))
        ]
    )
    return made


def conversations(connection: sqlite3.Connection, notebook: str | None) -> list[Any]:
    """Rows for :func:`kept`, the last changed first."""
    if notebook is None:
        return run(connection, f"{KEPT} {_LAST_FIRST}").fetchall()
    return run(connection, f"{KEPT} {_OF_NOTEBOOK} {_LAST_FIRST}", (notebook,)).fetchall()


def kept(row: Sequence[Any]) -> Kept:
    """A conversation in short."""
    (conversation_id, name, notebook, owner, is_listed, began_at, changed_at, n_turns, size, cost, n_unpriced) = row
    return Kept(
        id=text(conversation_id),
        name=text(name),
        notebook=None if notebook is None else text(notebook),
        owner=text(owner),
        is_listed=is_listed == 1,
        n_turns=n_turns,
        size_bytes=int(size),
        # A sum of what is known would look like a total.
        cost_usd=None if n_unpriced else cost,
        began_at=datetime.fromisoformat(began_at),
        changed_at=datetime.fromisoformat(changed_at),
    )


def ledger(connection: sqlite3.Connection, session: str | None, notebook: str | None) -> list[Any]:
    """Rows for ``codec.decode_row``, in the order they were written; the last word on each request."""
    wanted = {"session = ?": session, "notebook_path = ?": notebook}
    given = {condition: value for condition, value in wanted.items() if value is not None}
    where = f"WHERE {' AND '.join(given)}" if given else ""
    rows = run(connection, f"{LEDGER} {where} ORDER BY number", tuple(given.values())).fetchall()
    # A draft may have been taken up too early, by a row with estimates; and a writing may have been done twice.
    return list({tuple(row[place] for place in _REQUEST): row for row in rows}.values())


def drafts(connection: sqlite3.Connection) -> tuple[list[Any], dict[str, bytes]]:
    """Rows for :func:`draft`, and their bytes by hash."""
    return run(connection, _DRAFTS).fetchall(), dict(run(connection, _DRAFT_BLOBS).fetchall())


def is_gone(row: Sequence[Any]) -> bool:
    """Nobody goes on with this draft."""
    _, host, pid, started, touched_at, *_ = row
    return Process(host=host, pid=pid, started=started).is_gone(touched_at)


def draft(row: Sequence[Any], blobs: dict[str, bytes]) -> Draft:
    """An answer that was under way."""
    ledger_rows, _, _, _, _, conversation_id, slot_id, *turn = row
    last, earlier = decode_draft_rows(ledger_rows)
    return Draft(
        turn=Decoder(blobs).turn(turn),
        row=last,
        earlier=earlier,
        conversation=text(conversation_id),
        slot=text(slot_id),
    )


def _slot(row: Sequence[Any], versions: list[Turn]) -> Slot:
    _, slot_id, cell_id, ordinal, source, current_id, is_hidden = row
    if bytes in map(type, row):
        slot_id, cell_id, source, current_id = (
            None if value is None else text(value) for value in (slot_id, cell_id, source, current_id)
        )
    return Slot(
        id=slot_id,
        key=None if cell_id is None else CellKey(cell_id=cell_id, ordinal=ordinal),
        versions=tuple(versions),
        current_id=current_id,
        is_hidden=is_hidden == 1,
        source=source,
    )
