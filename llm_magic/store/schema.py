"""The tables, and how a file of an earlier release becomes one of this.

- ``conversations``: a conversation without its slots (``head``, JSON), and the session that may write to it.
- ``slots``: the row of a conversation, by position; removed ones were undone: kept, and not read.
- ``versions``: which turns a slot holds, in order of ``number``, with what a list of conversations sums up.
- ``turns``: an ask and its answer, never changed once a version links it. Forks link the turns of their parent. Two
  of one id that differ (a file was edited by hand, and loaded) are two rows: ``digest`` tells them apart. Most fields
  have a column; what is rare, or fits none, is in ``more`` (JSON). The prompt is plain text in ``prompt`` where it is
  one text of the user, else ``messages`` (JSON).
- ``blobs``: pictures, sounds, files, system prompts, each once, by the hash of its bytes; ``media``: which turn has
  which.
- ``drafts``: answers under way. Their turn is in ``turns``, and no version links it.
- ``forgotten``: ids of conversations that were deleted, so that no process that still has one writes it again.
- ``ledger``: requests. Rows are added, never changed or deleted: two triggers see to it.
- ``meta``: ``secret``, which the names of cells are keyed with.

Text that has no UTF-8 (half a surrogate pair) is a blob in its column. Times are ISO 8601 in UTC, but for
``touched_at``, Unix time in seconds. A step that was released is never changed: what is new is one more step.
"""

from __future__ import annotations

from typing import TypeAlias

Step: TypeAlias = tuple[str, ...]

# "LLMm": so that `file` and others can tell.
APPLICATION_ID = 0x4C4C4D6D

_FIRST: Step = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE conversations (
      number INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      owner TEXT NOT NULL,
      notebook TEXT,
      name TEXT NOT NULL,
      is_listed INTEGER NOT NULL,
      began_at TEXT NOT NULL,
      changed_at TEXT NOT NULL,
      head TEXT NOT NULL
    )
    """,
    "CREATE INDEX conversations_of_notebook ON conversations (notebook)",
    "CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID",
    """
    CREATE TABLE slots (
      number INTEGER PRIMARY KEY,
      conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
      position INTEGER NOT NULL,
      id TEXT NOT NULL,
      cell_id TEXT,
      ordinal INTEGER,
      source TEXT,
      current_id TEXT,
      is_hidden INTEGER NOT NULL,
      is_removed INTEGER NOT NULL DEFAULT 0,
      UNIQUE (conversation, id)
    )
    """,
    "CREATE INDEX slots_in_order ON slots (conversation, position)",
    """
    CREATE TABLE turns (
      number INTEGER PRIMARY KEY,
      digest BLOB,
      id TEXT NOT NULL,
      at TEXT NOT NULL,
      status TEXT NOT NULL,
      backend TEXT NOT NULL,
      requested_model TEXT NOT NULL,
      model TEXT,
      finish_reason TEXT,
      request_id TEXT,
      cell_id TEXT,
      seen TEXT NOT NULL,
      latency_s REAL,
      ttft_s REAL,
      retries INTEGER NOT NULL,
      cost_usd REAL,
      input_tokens INTEGER NOT NULL,
      output_tokens INTEGER NOT NULL,
      total_tokens INTEGER NOT NULL,
      cached_tokens INTEGER,
      cache_write_tokens INTEGER,
      input_audio_tokens INTEGER,
      input_image_tokens INTEGER,
      input_text_tokens INTEGER,
      reasoning_tokens INTEGER,
      output_audio_tokens INTEGER,
      accepted_prediction_tokens INTEGER,
      rejected_prediction_tokens INTEGER,
      is_estimate INTEGER NOT NULL,
      system TEXT,
      settings TEXT,
      more TEXT,
      prompt TEXT,
      messages TEXT,
      reasoning TEXT NOT NULL,
      text TEXT NOT NULL,
      UNIQUE (id, digest)
    )
    """,
    """
    CREATE TABLE versions (
      slot INTEGER NOT NULL REFERENCES slots ON DELETE CASCADE,
      number INTEGER NOT NULL,
      turn_id TEXT NOT NULL,
      turn INTEGER NOT NULL REFERENCES turns,
      size_bytes INTEGER NOT NULL,
      cost_usd REAL,
      PRIMARY KEY (slot, number),
      UNIQUE (slot, turn_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX versions_of_turn ON versions (turn)",
    "CREATE TABLE blobs (number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, data BLOB NOT NULL)",
    """
    CREATE TABLE media (
      turn INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
      blob INTEGER NOT NULL REFERENCES blobs,
      PRIMARY KEY (turn, blob)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX media_of_blob ON media (blob)",
    """
    CREATE TABLE drafts (
      turn INTEGER PRIMARY KEY REFERENCES turns ON DELETE CASCADE,
      turn_id TEXT NOT NULL UNIQUE,
      slot INTEGER NOT NULL REFERENCES slots ON DELETE CASCADE,
      host TEXT NOT NULL,
      pid INTEGER NOT NULL,
      started TEXT,
      touched_at REAL NOT NULL,
      row TEXT NOT NULL
    )
    """,
    "CREATE INDEX drafts_of_slot ON drafts (slot)",
    """
    CREATE TABLE ledger (
      number INTEGER PRIMARY KEY,
      notebook_path TEXT,
      at TEXT NOT NULL,
      session TEXT NOT NULL,
      notebook TEXT,
      conversation TEXT NOT NULL,
      turn_id TEXT NOT NULL,
      cell_id TEXT,
      kind TEXT NOT NULL,
      round INTEGER NOT NULL,
      backend TEXT NOT NULL,
      requested_model TEXT NOT NULL,
      model TEXT,
      api TEXT NOT NULL,
      status TEXT NOT NULL,
      finish_reason TEXT,
      input_tokens INTEGER NOT NULL,
      cached_tokens INTEGER,
      output_tokens INTEGER NOT NULL,
      reasoning_tokens INTEGER,
      total_tokens INTEGER NOT NULL,
      is_estimate INTEGER NOT NULL,
      cost_usd REAL,
      latency_s REAL,
      ttft_s REAL,
      retries INTEGER NOT NULL,
      request_id TEXT,
      organization TEXT
    )
    """,
    "CREATE INDEX ledger_of_session ON ledger (session)",
    "CREATE INDEX ledger_of_notebook ON ledger (notebook_path)",
    """
    CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
    """
    CREATE TRIGGER ledger_is_not_deleted BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """,
)

# Each takes the file from the version before to its own; the first makes it.
STEPS: tuple[Step, ...] = (_FIRST,)
