"""A conversation in forms that leave the notebook: DataFrame, dict, JSON Lines, Markdown.

What comes in: a Conversation, or one of these forms. What goes out: the other. Files are in ``saving.py``.
The dict form (``records.py``) is the whole truth; a frame is that dict laid out in rows, each fact once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from .columns import COUNTED, laid_out
from .content import text_of
from .errors import StoreError
from .frames import placed_frame, plain_rows
from .jsonl import from_jsonl, from_messages, to_jsonl
from .jsontext import json_text, json_value
from .records import (
    FORMAT,
    VERSION,
    from_dict,
    head_to_dict,
    parts_from_dicts,
    slot_to_dict,
    to_dict,
)
from .slots import Conversation
from .transcripts import to_markdown
from .turns import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from .frames import ColumnKind
    from .records import C

__all__ = [
    "COLUMNS",
    "from_dict",
    "from_frame",
    "from_jsonl",
    "from_messages",
    "to_dict",
    "to_frame",
    "to_jsonl",
    "to_markdown",
]

COLUMNS: Mapping[str, ColumnKind] = {
    "conversation": "text",
    "slot": "count",
    "version": "count",
    "turn_id": "text",
    "is_current": "flag",
    "is_stale": "flag",
    "is_hidden": "flag",
    "cell_id": "text",
    "role": "text",
    "name": "text",
    "text": "text",
    "parts": "text",
    "n_images": "count",
    "tool_calls": "text",
    "tool_call_id": "text",
    "reasoning": "text",
    "data": "text",
    "model": "text",
    "status": "text",
    "seen": "text",
    "settings": "text",
    "at": "time",
    "input_tokens": "count",
    "output_tokens": "count",
    "cost_usd": "number",
    "record": "text",
}
# Derived from other columns, or only there for exactness: from_frame does without.
_OPTIONAL = ("is_stale", "n_images", "data", "record")
_ATTRIBUTE = "llm_magic"


def to_frame(conversation: Conversation) -> pd.DataFrame:
    """A conversation as DataFrame, one row per message of every version: the messages asked, then the answer.

    Between them are the messages of tools: the model's calls (role assistant, tool_calls) and their results (role tool,
    tool_call_id), which :func:`from_frame` reads from the answer's record.

    What is true of a version stands on each of its rows (conversation … cell_id, status, at); what was
    received, sent and counted only on the answer's (reasoning, data, model, seen, settings, tokens, cost,
    record), so that sums are right. ``text`` is the text of the message; ``parts`` is missing where the text
    says it all, else all parts as JSON, pictures included. ``slot`` and ``version`` count from 1. ``seen`` is
    the digest of what the turn saw, see ``Turn.seen``.

    Columns, in the order of ``COLUMNS``: conversation, turn_id, cell_id, role, name, text, parts, tool_calls,
    tool_call_id, reasoning, data, model, status, seen, settings, record (string; parts, tool_calls, data,
    settings and record hold JSON); slot, version, n_images, input_tokens, output_tokens (Int64);
    is_current, is_stale, is_hidden (boolean); at (datetime64[ns, UTC]); cost_usd (Float64).
    """
    # A copy: an answer may arrive in another thread while the columns are made.
    snapshot = Conversation(slots=conversation.slots)
    head = head_to_dict(conversation)
    unanswered = [[index, slot_to_dict(slot)] for index, slot in enumerate(snapshot.slots) if not slot.versions]
    if unanswered:
        head["unanswered"] = unanswered
    frame = placed_frame(COLUMNS, laid_out(snapshot.slots, head=head, stale=snapshot.stale()))
    # A conversation without a turn has no row to hold what else it is.
    frame.attrs[_ATTRIBUTE] = json_text(head)
    return frame


def from_frame(
    frame: pd.DataFrame,
    *,
    cls: type[C] = Conversation,  # type: ignore[assignment]  # the default of C, which mypy does not match up
) -> C:
    """The inverse of :func:`to_frame`, also of a frame that was filtered or edited.

    Args:
        frame: The columns of :func:`to_frame`; ``is_stale``, ``n_images``, ``data`` and ``record`` may be
            missing. Text counts where ``parts`` is missing.
        cls: What to make of it.

    Raises:
        StoreError: A column is missing, a cell does not fit, or the rows are of several conversations.
    """
    rows = plain_rows(frame, COLUMNS, optional=_OPTIONAL)
    names = list(dict.fromkeys(row["conversation"] or "" for row in rows))
    if len(names) > 1:
        raise StoreError(
            f"The frame holds {len(names)} conversations.",
            hint="take the rows of one: frame[frame.conversation == …]",
        )
    for row in rows:
        row["record"] = _object(row["record"], "record")
    slots: dict[int, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["slot"] is None or row["version"] is None:
            raise StoreError("A row of the frame has no slot or no version.", hint="both count from 1")
        slots[row["slot"]][row["version"]].append(row)
    head = _head(frame, rows) | ({"name": names[0]} if names else {})
    made = [_slot(versions) for _, versions in sorted(slots.items())]
    return from_dict(head | {"slots": _with_unanswered(made, head.get("unanswered"))}, cls=cls)


def _text_parts(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if text else []


def _head(frame: pd.DataFrame, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    for row in rows:
        if "conversation" in row["record"]:
            return _object(row["record"]["conversation"], "record")
    kept = frame.attrs.get(_ATTRIBUTE)
    return _object(kept, "record") if isinstance(kept, str) else {"format": FORMAT, "version": VERSION}


def _slot(versions: Mapping[int, list[dict[str, Any]]]) -> dict[str, Any]:
    ordered = [_version(rows) for _, rows in sorted(versions.items())]
    rows = [row for version in versions.values() for row in version]
    kept: dict[str, Any] = next((row["record"]["slot"] for row in rows if "slot" in row["record"]), {})
    return {
        "id": new_id(),
        **_object(kept, "record"),
        "is_hidden": any(row["is_hidden"] for row in rows),
        "current_id": next((row["turn_id"] for row in rows if row["is_current"]), None),
        "versions": ordered,
    }


def _version(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A turn's dict from its rows; the answer is the one with a record, or the last."""
    # What tools were called for and gave is in the record whole.
    rows = [row for row in rows if "step" not in row["record"]] or rows
    answer = next((row for row in rows if row["record"]), rows[-1])
    if answer["role"] != "assistant":
        raise StoreError(
            f"Version {answer['version']} of slot {answer['slot']} has no answer.",
            hint="its last row is the assistant's",
        )
    rest = dict(_object(answer["record"].get("turn"), "record"))
    messages = {id(row): _message(row) for row in rows}
    text = text_of(parts_from_dicts(messages[id(answer)]["parts"]))
    if rest.get("refusal") is True:
        rest["refusal"], text = text, ""
    counted = {name: answer[name] or 0 for name in COUNTED}
    cells = {
        "id": answer["turn_id"],
        "at": answer["at"].isoformat() if answer["at"] else None,
        "status": answer["status"],
        "reasoning": answer["reasoning"],
        "model": answer["model"],
        "cell_id": answer["cell_id"],
        "cost_usd": answer["cost_usd"],
        "seen": _seen(answer["seen"]),
        "settings": _object(answer["settings"], "settings"),
        "tool_calls": messages[id(answer)].get("tool_calls"),
    }
    return {
        **rest,
        **{name: value for name, value in cells.items() if value is not None},
        "text": text,
        "prompt": [messages[id(row)] for row in rows if row is not answer],
        "usage": {"total_tokens": sum(counted.values())} | _object(rest.get("usage"), "record") | counted,
    }


def _message(row: Mapping[str, Any]) -> dict[str, Any]:
    """A message's dict from its row."""
    what = "A cell of the column {!r}"
    message: dict[str, Any] = {"role": row["role"], "parts": _text_parts(row["text"] or "")}
    if row["parts"]:
        message["parts"] = json_value(row["parts"], what.format("parts"))
    if row["tool_calls"]:
        message["tool_calls"] = json_value(row["tool_calls"], what.format("tool_calls"))
    return message | {name: row[name] for name in ("name", "tool_call_id") if row[name] is not None}


def _with_unanswered(slots: list[dict[str, Any]], unanswered: Any) -> list[Any]:
    """The slots with those put back that nobody has answered yet."""
    all_slots: list[Any] = list(slots)
    for item in unanswered or ():
        match item:
            case [int(index), slot] if 0 <= index <= len(all_slots):
                all_slots.insert(index, slot)
            case _:
                raise StoreError("The column 'record' is damaged.", hint="leave it out to do without it")
    return all_slots


def _seen(cell: str | None) -> Any:
    # Version 1 listed ids.
    is_list = cell is not None and cell.startswith("[")
    return json_value(cell, "A cell of the column 'seen'") if is_list and cell else cell


def _object(value: Any, column: str) -> dict[str, Any]:
    if isinstance(value, str):
        value = json_value(value, f"A cell of the column {column!r}")
    if not value:
        return {}
    if not isinstance(value, dict):
        raise StoreError(f"A cell of the column {column!r} holds no JSON object.", hint="leave it out to do without it")
    return value
