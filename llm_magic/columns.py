"""A conversation laid out in columns: what its versions, messages and answers say, and which row each stands in.

Comes in: the slots of a conversation. Goes out: each column's values with the place of each row's, for
``frames.placed_frame``. Columns and not rows, because a table of a hundred thousand messages has two million cells.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import fields
from json.encoder import encode_basestring as quoted
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any

from .content import ImagePart, TextPart, part_to_dict
from .counts import Usage
from .jsontext import escaped, json_text
from .records import NOT_KEPT, TURN_DEFAULTS, steps_to_dicts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .content import Message
    from .frames import Placed
    from .slots import Slot
    from .turns import Turn

# What of a turn has columns of its own; the rest is in ``record``.
_IN_COLUMNS = frozenset(
    {"id", "text", "status", "reasoning", "refusal", "model", "seen", "settings", "cost_usd", "cell_id"}
)
_RECORDED = {name: default for name, default in TURN_DEFAULTS.items() if name not in _IN_COLUMNS}
COUNTED = ("input_tokens", "output_tokens")
_DETAILS = {field.name: field.default for field in fields(Usage) if field.name not in (*COUNTED, "total_tokens")}
_details = attrgetter(*_DETAILS)
_NO_DETAILS = tuple(_DETAILS.values())
# In the column ``record``: what this row holds is in the steps of its answer's record too.
STEP_MARK = '{"step": true}'
_JSON_DATA = ("json_object", "json_schema")


def laid_out(slots: Sequence[Slot], *, head: Mapping[str, Any], stale: Collection[str]) -> dict[str, Placed]:
    """The columns of ``export.COLUMNS``, a row per message of every version: prompt, rounds of tools, answer.

    Args:
        slots: The row.
        head: What belongs to the whole conversation, with its name; kept in the first record.
        stale: Ids of the slots that are stale.
    """
    import numpy as np

    turns = [turn for slot in slots for turn in slot.versions]
    owners = [slot for slot in slots for _ in slot.versions]
    before = [_before(turn) for turn in turns]
    prompts = [item for messages in before for item in messages]
    heights = np.array([len(messages) + 1 for messages in before], dtype=np.intp)
    version_of = np.repeat(np.arange(len(turns)), heights)
    answer_rows = np.cumsum(heights) - 1
    answer_of = np.full(len(version_of), -1)
    answer_of[answer_rows] = np.arange(len(turns))
    # Messages are listed prompts first, then answers.
    message_of = np.empty(len(version_of), dtype=np.intp)
    is_answer = answer_of >= 0
    message_of[~is_answer] = np.arange(len(prompts))
    message_of[is_answer] = np.arange(len(prompts), len(prompts) + len(turns))
    return {
        "conversation": ([head["name"]], np.zeros(len(version_of), dtype=np.intp)),
        **{column: (values, version_of) for column, values in _of_versions(slots, owners, turns, stale).items()},
        **{column: (values, message_of) for column, values in _of_messages(prompts, turns).items()},
        **{column: (values, answer_of) for column, values in _of_answers(turns).items()},
        "record": _recorded(_records(owners, turns, head), turns, answer_of, answer_rows),
    }


def _before(turn: Turn) -> tuple[Message, ...]:
    """The messages before an answer: the prompt, the rounds of tools."""
    return turn.messages()[:-1] if turn.steps else turn.prompt


def _recorded(records: list[str], turns: Sequence[Turn], answer_of: Any, answer_rows: Any) -> Placed:
    """Records stand beside answers; beside the messages of tools a mark that they are told of there."""
    if not any(turn.steps for turn in turns):
        return records, answer_of
    place = answer_of.copy()
    for turn, row in zip(turns, answer_rows, strict=True):
        if turn.steps:
            place[row - len(_before(turn)) + len(turn.prompt) : row] = len(records)
    return [*records, STEP_MARK], place


def _of_versions(
    slots: Sequence[Slot], owners: Sequence[Slot], turns: Sequence[Turn], stale: Collection[str]
) -> dict[str, list[Any]]:
    is_current = [turn.id == slot.current_id for turn, slot in zip(turns, owners, strict=True)]
    return {
        "slot": [number for number, slot in enumerate(slots, start=1) for _ in slot.versions],
        "version": [number for slot in slots for number, _ in enumerate(slot.versions, start=1)],
        "turn_id": [turn.id for turn in turns],
        "is_current": is_current,
        "is_stale": [this and slot.id in stale for this, slot in zip(is_current, owners, strict=True)],
        "is_hidden": [slot.is_hidden for slot in owners],
        "cell_id": [turn.cell_id for turn in turns],
        "status": [turn.status for turn in turns],
        "at": [turn.at for turn in turns],
    }


def _of_messages(prompts: Sequence[Message], turns: Sequence[Turn]) -> dict[str, list[Any]]:
    texts = [item.text for item in prompts]
    answers = [_answer(turn) for turn in turns]
    parts = [_parts_text(item, text) for item, text in zip(prompts, texts, strict=True)]
    none = [None] * len(turns)
    return {
        "role": [item.role for item in prompts] + ["assistant"] * len(turns),
        "name": [item.name for item in prompts] + none,
        "text": texts + answers,
        "parts": parts + [None if _is_encodable(text) else _parts_json((TextPart(text=text),)) for text in answers],
        # A message whose text says it all has no pictures.
        "n_images": [
            0 if text is None else sum(isinstance(part, ImagePart) for part in item.parts)
            for item, text in zip(prompts, parts, strict=True)
        ]
        + [0] * len(turns),
        "tool_calls": [*map(_calls_text, prompts), *map(_calls_text, turns)],
        "tool_call_id": [item.tool_call_id for item in prompts] + none,
    }


def _of_answers(turns: Sequence[Turn]) -> dict[str, list[Any]]:
    return {
        "reasoning": [turn.reasoning for turn in turns],
        "data": [_answer(turn) if "response_format" in turn.settings and _is_data(turn) else None for turn in turns],
        "model": [turn.model for turn in turns],
        "seen": [turn.seen for turn in turns],
        "settings": [_settings_text(turn.settings) for turn in turns],
        **{column: [getattr(turn.usage, column) for turn in turns] for column in COUNTED},
        "cost_usd": [turn.cost_usd for turn in turns],
    }


def _answer(turn: Turn) -> str:
    return turn.text or turn.refusal


def _parts_text(item: Message, text: str) -> str | None:
    """All parts as JSON; None where the text says it all."""
    match item.parts:
        case ():
            return None
        case (TextPart(label=""),) if text and _is_encodable(text):
            return None
        case parts:
            return _parts_json(parts)


def _parts_json(parts: Sequence[Any]) -> str:
    return json_text([part_to_dict(part) for part in parts])


def _calls_text(item: Message | Turn) -> str | None:
    return json_text([call.to_dict() for call in item.tool_calls]) if item.tool_calls else None


def _is_encodable(text: str) -> bool:
    """Half a surrogate pair is lost in files; as JSON it is not."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_data(turn: Turn) -> bool:
    """The answer is what was asked for: JSON."""
    wanted = turn.settings["response_format"]
    if not isinstance(wanted, dict) or wanted.get("type") not in _JSON_DATA:
        return False
    try:
        json.loads(_answer(turn))
    except (ValueError, RecursionError):
        return False
    return True


# JSON, written piece by piece: an encoder that looks at a dict for every cell costs more than all the rest.


def _settings_text(settings: Mapping[str, Any]) -> str:
    if not settings:
        return "{}"
    members = [f"{quoted(name)}: {_value(value)}" for name, value in settings.items() if name not in NOT_KEPT]
    return escaped(f"{{{', '.join(members)}}}")


def _records(owners: Sequence[Slot], turns: Sequence[Turn], head: Mapping[str, Any]) -> list[str]:
    """What of each turn and its slot has no column, and is not what it is by default."""
    pieces = [
        *(_pieces(name, list(map(attrgetter(name), turns)), default) for name, default in _RECORDED.items()),
        # True: the refusal is what stands in the text column.
        _pieces("refusal", [turn.refusal and (not turn.text or turn.refusal) for turn in turns], ""),
        _steps_pieces(turns),
        [_usage_piece(turn.usage) for turn in turns],
    ]
    rests = map("".join, zip(*filter(None, pieces), strict=True))
    ends = itertools.chain([f', "conversation": {json_text(head)}'], itertools.repeat(""))
    return [
        escaped(f'{{"slot": {_slot_text(slot)}, "turn": {{{rest[2:]}}}{end}}}')
        for slot, rest, end in zip(owners, rests, ends, strict=False)
    ]


def _pieces(name: str, values: Sequence[Any], default: Any) -> list[str]:
    """Each value as member of an object, led by a comma; "" for the default. Nothing where all are."""
    if values.count(default) == len(values):
        return []
    kinds = set(map(type, values)) - {NoneType}
    write = _WRITERS.get(kinds.pop(), json_text) if len(kinds) == 1 else _value
    start = f", {quoted(name)}: "
    if write is quoted and len(distinct := set(values)) < len(values) / 2:
        pieces = {value: "" if value == default else start + quoted(value) for value in distinct}
        return list(map(pieces.__getitem__, values))
    return ["" if value == default else start + write(value) for value in values]


def _steps_pieces(turns: Sequence[Turn]) -> list[str]:
    if not any(turn.steps for turn in turns):
        return []
    return [f', "steps": {json_text(steps_to_dicts(turn))}' if turn.steps else "" for turn in turns]


def _usage_piece(usage: Usage) -> str:
    details = _details(usage)
    is_sum = usage.total_tokens == usage.input_tokens + usage.output_tokens
    if is_sum and details == _NO_DETAILS:
        return ""
    rest = {} if is_sum else {"total_tokens": usage.total_tokens}
    rest |= {name: value for name, value in zip(_DETAILS, details, strict=True) if value != _DETAILS[name]}
    return f', "usage": {json_text(rest)}'


def _slot_text(slot: Slot) -> str:
    key, source = "", ""
    if slot.key is not None:
        key = f', "key": {{"cell_id": {quoted(slot.key.cell_id)}, "ordinal": {slot.key.ordinal}}}'
    if slot.source is not None:
        source = f', "source": {quoted(slot.source)}'
    return f'{{"id": {quoted(slot.id)}{key}{source}}}'


def _value(value: Any) -> str:
    return _WRITERS.get(type(value), json_text)(value)


def _number(value: float) -> str:
    # What has no end and what is no number have names of their own in JSON.
    return repr(value) if value - value == 0 else json_text(value)


_WRITERS: Mapping[type, Callable[[Any], str]] = {str: quoted, float: _number, int: repr}
