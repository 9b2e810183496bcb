"""Writing, within a transaction of the caller's: conversations, drafts, ledger rows, and deleting them.

Every statement finds its rows by an index: a turn costs the same however many there are.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..jsontext import json_text
from .codec import (
    ANSWER_COLUMNS,
    ROW_COLUMNS,
    TURN_COLUMNS,
    draft_rows_text,
    encode_answer,
    encode_row,
    encode_turn,
    iso,
    settings_text,
)
from .database import run, the_number
from .processes import Process, this_process
from .values import ForgottenError, TakenError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from ..slots import Slot
    from ..turns import Turn
    from .values import Draft, Placed, Writing


def _marks(columns: tuple[str, ...]) -> str:
    return ", ".join("?" * len(columns))


_TURN = f"INSERT INTO turns ({', '.join(TURN_COLUMNS)}, digest) VALUES ({_marks(TURN_COLUMNS)}, ?)"
_ANSWER = f"UPDATE turns SET {', '.join(f'{name} = ?' for name in ANSWER_COLUMNS)} WHERE number = ?"
_ROW = f"INSERT INTO ledger (notebook_path, {', '.join(ROW_COLUMNS)}) VALUES (?, {_marks(ROW_COLUMNS)})"
_HEAD = """
INSERT INTO conversations (id, owner, notebook, name, is_listed, began_at, changed_at, head)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, is_listed = excluded.is_listed, head = excluded.head
"""
_SLOT = """
INSERT INTO slots (conversation, id, position, cell_id, ordinal, source, current_id, is_hidden)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (conversation, id) DO UPDATE SET
  position = CASE WHEN is_removed THEN excluded.position ELSE position END, is_removed = 0,
  cell_id = excluded.cell_id, ordinal = excluded.ordinal, source = excluded.source,
  current_id = excluded.current_id, is_hidden = excluded.is_hidden
"""
_VERSION = """
INSERT INTO versions (slot, number, turn_id, turn, size_bytes, cost_usd)
VALUES (?1, 1 + (SELECT coalesce(max(number), 0) FROM versions WHERE slot = ?1), ?2, ?3, ?4, ?5)
"""
_TURNS_OF = """
SELECT v.turn FROM conversations AS c JOIN slots AS s ON s.conversation = c.number
JOIN versions AS v ON v.slot = s.number WHERE c.id = ?1
UNION
SELECT d.turn FROM conversations AS c JOIN slots AS s ON s.conversation = c.number
JOIN drafts AS d ON d.slot = s.number WHERE c.id = ?1
"""
_DRAFT = """
INSERT INTO drafts (turn, turn_id, slot, host, pid, started, touched_at, row) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (turn) DO UPDATE SET slot = excluded.slot, host = excluded.host, pid = excluded.pid,
  started = excluded.started, touched_at = excluded.touched_at, row = excluded.row
"""


def write(connection: sqlite3.Connection, writing: Writing) -> None:
    """All of it.

    Raises:
        TakenError: The conversation is another session's.
    """
    if writing.conversation is not None:
        number = _write_head(connection, writing, writing.conversation)
        for placed in writing.slots:
            _write_slot(connection, number, placed)
        for slot_id in writing.removed:
            run(connection, "UPDATE slots SET is_removed = 1 WHERE conversation = ? AND id = ?", (number, slot_id))
        if writing.positions:
            _order(connection, number, writing.positions)
    for row in writing.rows:
        run(connection, _ROW, (writing.notebook, *encode_row(row)))
    for turn_id in writing.ended:
        _end_draft(connection, turn_id)


def write_draft(connection: sqlite3.Connection, draft: Draft) -> None:
    """An answer under way: the first time whole, then what changes."""
    slot = run(
        connection,
        "SELECT slots.number FROM conversations JOIN slots ON slots.conversation = conversations.number"
        " WHERE conversations.id = ? AND slots.id = ?",
        (draft.conversation, draft.slot),
    ).fetchone()
    if slot is None:
        raise ForgottenError("The conversation of an answer under way is not in the store.")
    turn = draft.turn
    found = run(connection, "SELECT turn FROM drafts WHERE turn_id = ?", (turn.id,)).fetchone()
    if found is None:
        number = _insert_turn(connection, turn, is_draft=True)[0]
    else:
        (number,) = found
        blobs: dict[str, bytes] = {}
        run(connection, _ANSWER, (*encode_answer(turn, blobs), number))
        _insert_blobs(connection, number, blobs)
    me = this_process()
    rows = draft_rows_text(draft)
    run(connection, _DRAFT, (number, turn.id, slot[0], me.host, me.pid, me.started, time.time(), rows))


def recover(connection: sqlite3.Connection, draft: Draft) -> bool:
    """Make a draft the version it has become, unless another process has done so, or its own goes on with it."""
    found = run(
        connection,
        "SELECT drafts.slot, host, pid, started, touched_at, conversations.number, notebook FROM drafts"
        " JOIN slots ON slots.number = drafts.slot JOIN conversations ON conversations.number = slots.conversation"
        " WHERE turn_id = ?",
        (draft.turn.id,),
    ).fetchone()
    if found is None:
        return False
    slot, host, pid, started, touched_at, conversation, notebook = found
    if not Process(host=host, pid=pid, started=started).is_gone(touched_at):
        return False
    _write_version(connection, slot, draft.turn)
    if draft.turn.is_sendable:
        run(connection, "UPDATE slots SET current_id = ?, is_removed = 0 WHERE number = ?", (draft.turn.id, slot))
    run(connection, "UPDATE conversations SET changed_at = ? WHERE number = ?", (iso(datetime.now(UTC)), conversation))
    for row in (*draft.earlier, draft.row):
        run(connection, _ROW, (notebook, *encode_row(row)))
    return True


def take(connection: sqlite3.Connection, conversation_id: str, session_id: str) -> None:
    """Make a session the owner of a conversation."""
    done = run(connection, "UPDATE conversations SET owner = ? WHERE id = ?", (session_id, conversation_id))
    if not done.rowcount:
        raise ForgottenError(f"The store has no conversation {conversation_id}.")


def forget(connection: sqlite3.Connection, conversation_id: str) -> None:
    """Delete a conversation, and what no other one shares; its ledger rows stay, which hold no text."""
    run(connection, "INSERT INTO forgotten VALUES (?) ON CONFLICT DO NOTHING", (conversation_id,))
    turns = run(connection, _TURNS_OF, (conversation_id,)).fetchall()
    run(connection, "DELETE FROM conversations WHERE id = ?", (conversation_id,))
    _drop_turns(connection, (number for (number,) in turns))


def _write_head(connection: sqlite3.Connection, writing: Writing, conversation_id: str) -> int:
    """The conversation's number in the tables; it is this session's, or it is an error."""
    now = iso(datetime.now(UTC))
    found = run(connection, "SELECT number, owner FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
    if found is not None and found[1] != writing.session:
        raise TakenError(f"Another session has taken up conversation {conversation_id}.")
    if found is None:
        is_begun = any(placed.written for placed in writing.slots)
        if writing.head is None or is_begun or _is_forgotten(connection, conversation_id):
            raise ForgottenError(f"The store has no conversation {conversation_id}.")
    if (head := writing.head) is not None:
        settings = head.get("settings", {})
        values = (str(head.get("name", "")), writing.is_listed, str(head.get("began_at", now)), now)
        source = _head_text(head, settings)
        run(connection, _HEAD, (conversation_id, writing.session, writing.notebook, *values, source))
    number = the_number(connection, "SELECT number FROM conversations WHERE id = ?", (conversation_id,))
    # Where the notebook is follows it when it is renamed.
    run(
        connection,
        "UPDATE conversations SET changed_at = ?, notebook = coalesce(?, notebook) WHERE number = ?",
        (now, writing.notebook, number),
    )
    return number


def _head_text(head: Mapping[str, object], settings: Mapping[str, object]) -> str:
    # Spliced in: a setting that is no JSON must not keep the conversation from being written.
    rest = json_text({name: value for name, value in head.items() if name != "settings"})
    return f'{rest[:-1]}, "settings": {settings_text(settings)}}}'


def _is_forgotten(connection: sqlite3.Connection, conversation_id: str) -> bool:
    return run(connection, "SELECT 1 FROM forgotten WHERE id = ?", (conversation_id,)).fetchone() is not None


def _write_slot(connection: sqlite3.Connection, conversation: int, placed: Placed) -> None:
    slot: Slot = placed.slot
    key = (None, None) if slot.key is None else (slot.key.cell_id, slot.key.ordinal)
    marks = (slot.source, slot.current_id, slot.is_hidden)
    run(connection, _SLOT, (conversation, slot.id, placed.position, *key, *marks))
    number = the_number(
        connection, "SELECT number FROM slots WHERE conversation = ? AND id = ?", (conversation, slot.id)
    )
    for turn in slot.versions[placed.written :]:
        _write_version(connection, number, turn)


def _write_version(connection: sqlite3.Connection, slot: int, turn: Turn) -> None:
    """Link a turn to its slot, and end its draft.

    A version of the same id is replaced: it was a draft that somebody took up too early, or this writing again.
    """
    number, size_bytes = _insert_turn(connection, turn)
    known = run(connection, "SELECT turn FROM versions WHERE slot = ? AND turn_id = ?", (slot, turn.id)).fetchone()
    if known is None:
        run(connection, _VERSION, (slot, turn.id, number, size_bytes, turn.cost_usd))
    elif known[0] != number:
        run(
            connection,
            "UPDATE versions SET turn = ?, size_bytes = ?, cost_usd = ? WHERE slot = ? AND turn_id = ?",
            (number, size_bytes, turn.cost_usd, slot, turn.id),
        )
        _drop_turns(connection, known)
    _end_draft(connection, turn.id)


def _insert_turn(connection: sqlite3.Connection, turn: Turn, *, is_draft: bool = False) -> tuple[int, int]:
    """Number and size of a turn; one that is there already is shared. Drafts change, and are not shared."""
    encoded = encode_turn(turn)
    if not is_draft:
        found = run(connection, "SELECT number FROM turns WHERE id = ? AND digest = ?", (turn.id, encoded.digest))
        for (number,) in found.fetchall():
            return number, encoded.size_bytes
    made = run(connection, _TURN, (*encoded.values, None if is_draft else encoded.digest)).lastrowid
    assert made is not None
    _insert_blobs(connection, made, encoded.blobs)
    return made, encoded.size_bytes


def _insert_blobs(connection: sqlite3.Connection, turn: int, blobs: Mapping[str, bytes]) -> None:
    for digest, data in blobs.items():
        blob = run(connection, "SELECT number FROM blobs WHERE hash = ?", (digest,)).fetchone()
        if blob is None:
            blob = (run(connection, "INSERT INTO blobs (hash, data) VALUES (?, ?)", (digest, data)).lastrowid,)
        run(connection, "INSERT INTO media (turn, blob) VALUES (?, ?) ON CONFLICT DO NOTHING", (turn, *blob))


def _order(connection: sqlite3.Connection, conversation: int, slot_ids: tuple[str, ...]) -> None:
    """Put slots in an order; those it does not know (taken up from drafts meanwhile) come after them."""
    run(
        connection,
        "UPDATE slots SET position = position + ? WHERE conversation = ?",
        (len(slot_ids), conversation),
    )
    for position, slot_id in enumerate(slot_ids):
        statement = "UPDATE slots SET position = ? WHERE conversation = ? AND id = ?"
        run(connection, statement, (position, conversation, slot_id))


def _end_draft(connection: sqlite3.Connection, turn_id: str) -> None:
    _drop_turns(connection, [n for (n,) in run(connection, "SELECT turn FROM drafts WHERE turn_id = ?", (turn_id,))])


def _drop_turns(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Delete turns that no version links, and their pictures that no other turn has."""
    for number in numbers:
        if run(connection, "SELECT 1 FROM versions WHERE turn = ?", (number,)).fetchone() is not None:
            continue
        blobs = run(connection, "SELECT blob FROM media WHERE turn = ?", (number,)).fetchall()
        run(connection, "DELETE FROM turns WHERE number = ?", (number,))
        for blob in blobs:
            unused = "DELETE FROM blobs WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM media WHERE blob = ?1)"
            run(connection, unused, blob)
