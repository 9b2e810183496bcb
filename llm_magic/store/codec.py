"""Turns and ledger rows as rows of the store, and back.

What the store reads it has written itself, so that reading checks nothing value by value: a thousand turns are there
at once. Bytes and system prompts are taken out of a turn, to be kept once. Connection settings are never written.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..content import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolResult,
    message,
    message_to_dict,
    tool_call_from_dict,
)
from ..counts import Usage
from ..errors import StoreError
from ..jsontext import json_text
from ..ledger import LedgerRow
from ..records import NOT_KEPT
from ..turns import Step, Turn
from .database import fits, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .values import Draft

# What has a column of the same name, in the order of a row: of a turn, then of its usage, then what is made of it.
_PLAIN = (
    "id status backend requested_model model finish_reason request_id cell_id seen latency_s ttft_s retries cost_usd"
    " reasoning text"
).split()
_COUNTS = [field.name for field in fields(Usage) if field.name != "is_estimate"]
_MADE = ["is_estimate", "at", "more"]
# What changes while an answer arrives, and what does not.
ANSWER_COLUMNS = (*_PLAIN, *_COUNTS, *_MADE)
TURN_COLUMNS = (*ANSWER_COLUMNS, "system", "settings", "prompt", "messages")
ROW_COLUMNS = tuple(field.name for field in fields(LedgerRow))
_NOTHING = Turn(id="", prompt=())
_NO_STEP = Step(reason="tools")
_OF_STEP = [field.name for field in fields(Step) if field.name not in {"reason", "tool_calls", "results", "usage"}]
# What has no column, with its default.
_RARE = {
    field.name: getattr(_NOTHING, field.name)
    for field in fields(Turn)
    if field.name not in {*_PLAIN, "usage", "at", "system", "settings", "prompt"}
}
_KINDS: Mapping[type[Part], str] = {ImagePart: "image", AudioPart: "audio", FilePart: "file"}
_PARTS: Mapping[str, Callable[..., Part]] = {"image": ImagePart, "audio": AudioPart, "file": FilePart}


def _bare(cls: type) -> Any:
    """A class of the same slots that is not frozen: an instance is filled, and then made one of ``cls``.

    Python allows that where the slots are the same. A frozen value's own ``__init__`` takes four times as long, and a
    thousand turns are to be there before one has noticed.
    """
    return type(f"Bare{cls.__name__}", (), {"__slots__": tuple(field.name for field in fields(cls))})


_BareTurn, _BareUsage = _bare(Turn), _bare(Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A turn as a row.

    Attributes:
        values: Of ``TURN_COLUMNS``.
        digest: Of all of it: equal digests, equal turns.
        blobs: Its bytes and its system prompt, by their hash.
        size_bytes: Of its texts.
    """

    values: tuple[Any, ...]
    digest: bytes
    blobs: Mapping[str, bytes]
    size_bytes: int


def encode_turn(turn: Turn) -> Encoded:
    """A turn as a row; settings that say where keys go are left out."""
    blobs: dict[str, bytes] = {}
    prompt = _plain_prompt(turn.prompt)
    values = (
        *encode_answer(turn, blobs),
        None if turn.system is None else _blob(turn.system.encode("utf-8", "surrogatepass"), blobs),
        settings_text(turn.settings) if turn.settings else None,
        prompt,
        None if prompt is not None else json_text([_message_to_dict(item, blobs) for item in turn.prompt]),
    )
    texts = [value for value in values if isinstance(value, str)]
    return Encoded(
        values=values,
        digest=hashlib.blake2b(json.dumps(values).encode(), digest_size=16).digest(),
        blobs=blobs,
        size_bytes=sum(len(value.encode("utf-8", "replace")) for value in texts),
    )


def encode_answer(turn: Turn, blobs: dict[str, bytes]) -> tuple[Any, ...]:
    """The part of a turn that changes while its answer arrives: values of ``ANSWER_COLUMNS``.

    Args:
        turn: The turn.
        blobs: Gets its bytes by their hash: what tools showed.
    """
    plain = {name: getattr(turn, name) for name in _PLAIN}
    counts = [getattr(turn.usage, name) for name in _COUNTS]
    # What a column would not give back as it is stands in ``more`` as well, which wins.
    more = {name: value for name, value in plain.items() if not fits(value)}
    if not all(map(fits, counts)):
        more["usage"] = turn.usage.to_dict()
    more |= {name: value for name, default in _RARE.items() if (value := getattr(turn, name)) != default}
    if "tool_calls" in more:
        more["tool_calls"] = [call.to_dict() for call in turn.tool_calls]
    if "steps" in more:
        more["steps"] = [_step_to_dict(step, blobs) for step in turn.steps]
    return (*plain.values(), *counts, turn.usage.is_estimate, iso(turn.at), json_text(more) if more else None)


class Decoder:
    """Makes turns of rows; what many of them share is made once.

    Args:
        blobs: Bytes by their hash.
    """

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self._blobs = blobs
        self._settings: dict[str | None, dict[str, Any]] = {None: {}}
        self._systems: dict[str | None, str | None] = {None: None}

    def turn(self, row: Sequence[Any]) -> Turn:
        """The inverse of :func:`encode_turn`.

        Args:
            row: Values of ``TURN_COLUMNS``.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: This is no row that was written.
        """
        turn, usage = _BareTurn(), _BareUsage()
        (turn.id, turn.status, turn.backend, turn.requested_model, turn.model, turn.finish_reason, *row) = row
        (turn.request_id, turn.cell_id, turn.seen, turn.latency_s, turn.ttft_s, turn.retries, *row) = row
        (turn.cost_usd, turn.reasoning, turn.text, *row) = row
        (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_tokens, *row) = row
        (usage.cache_write_tokens, usage.input_audio_tokens, usage.input_image_tokens, *row) = row
        (usage.input_text_tokens, usage.reasoning_tokens, usage.output_audio_tokens, *row) = row
        (usage.accepted_prediction_tokens, usage.rejected_prediction_tokens, is_estimate, *row) = row
        (at, more, system, settings, prompt, messages) = row
        if settings not in self._settings:
            self._settings[settings] = json.loads(settings)
        if system not in self._systems:
            self._systems[system] = self._blobs[system].decode("utf-8", "surrogatepass")
        usage.is_estimate = is_estimate == 1
        usage.__class__ = Usage
        turn.usage = usage
        turn.at = datetime.fromisoformat(at)
        turn.system = self._systems[system]
        turn.settings = self._settings[settings]
        turn.prompt = (
            (Message(role="user", parts=(TextPart(text=prompt),)),) if messages is None else self._messages(messages)
        )
        for name, value in _RARE.items():
            setattr(turn, name, value)
        turn.__class__ = Turn
        made: Turn = turn
        return made if more is None else replace(made, **self._more(json.loads(more)))

    def _more(self, data: dict[str, Any]) -> dict[str, Any]:
        for name in ("logprobs", "notices", "tool_names"):
            if data.get(name) is not None:
                data[name] = tuple(data[name])
        if "tool_calls" in data:
            data["tool_calls"] = tuple(map(tool_call_from_dict, data["tool_calls"]))
        if "usage" in data:
            data["usage"] = Usage.from_dict(data["usage"])
        if "steps" in data:
            data["steps"] = tuple([self._step(step) for step in data["steps"]])
        return data

    def _step(self, data: dict[str, Any]) -> Step:
        data["tool_calls"] = tuple(map(tool_call_from_dict, data.get("tool_calls", ())))
        data["results"] = tuple([self._result(result) for result in data.get("results", ())])
        data["usage"] = Usage.from_dict(data.get("usage", {}))
        return Step(**data)

    def _result(self, data: dict[str, Any]) -> ToolResult:
        data["parts"] = tuple([self._part(part) for part in data["parts"]])
        return ToolResult(**data)

    def _messages(self, source: str) -> tuple[Message, ...]:
        return tuple([self._message(data) for data in json.loads(source)])

    def _message(self, data: dict[str, Any]) -> Message:
        data["parts"] = tuple([self._part(part) for part in data["parts"]])
        if "tool_calls" in data:
            data["tool_calls"] = tuple(map(tool_call_from_dict, data["tool_calls"]))
        return Message(**data)

    def _part(self, data: dict[str, Any]) -> Part:
        kind = data.pop("type", None)
        if kind is None:
            return TextPart(**data)
        digest = data.pop("hash", None)
        return _PARTS[kind](data=self._blobs[digest] if digest else b"", **data)


def encode_row(row: LedgerRow) -> tuple[Any, ...]:
    """A row of the ledger: values of ``ROW_COLUMNS``."""
    values = {name: getattr(row, name) for name in ROW_COLUMNS}
    return tuple((values | {"at": iso(row.at)}).values())


def decode_row(values: Sequence[Any]) -> LedgerRow:
    """The inverse of :func:`encode_row`."""
    row = dict(zip(ROW_COLUMNS, values, strict=True))
    if bytes in map(type, values):
        row = {name: text(value) if isinstance(value, bytes) else value for name, value in row.items()}
    row["at"] = datetime.fromisoformat(row["at"])
    row["is_estimate"] = row["is_estimate"] == 1
    return LedgerRow(**row)


def draft_rows_text(draft: Draft) -> str:
    """The rows of the ledger of a draft, which are none yet, as JSON."""
    row, *earlier = (dict(zip(ROW_COLUMNS, encode_row(row), strict=True)) for row in (draft.row, *draft.earlier))
    return json_text(row | ({"earlier": earlier} if earlier else {}))


def decode_draft_rows(source: str) -> tuple[LedgerRow, tuple[LedgerRow, ...]]:
    """The row of a draft, and those before it: of :func:`draft_rows_text`; a column that came later is unknown."""
    data = json.loads(source)
    row, *earlier = (decode_row(tuple(map(row.get, ROW_COLUMNS))) for row in (data, *data.get("earlier", ())))
    return row, tuple(earlier)


def iso(at: datetime) -> str:
    """A time as text, in UTC."""
    return at.astimezone(UTC).isoformat()


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as JSON, without those that say where keys go.

    A turn is kept also where it was asked with something that JSON does not have: that is kept as its ``repr``.
    """
    kept = {name: value for name, value in settings.items() if name not in NOT_KEPT}
    try:
        return json_text(kept)
    except StoreError:
        return json_text({str(name): value if _is_json(value) else repr(value) for name, value in kept.items()})


def _is_json(value: Any) -> bool:
    try:
        json_text(value)
    except StoreError:
        return False
    return True


def _plain_prompt(prompt: tuple[Message, ...]) -> str | None:
    """The text of a prompt that is nothing but one text of the user, else None."""
    if len(prompt) != 1 or not (said := prompt[0].text) or not fits(said):
        return None
    return said if prompt[0] == message("user", said) else None


def _message_to_dict(item: Message, blobs: dict[str, bytes]) -> dict[str, Any]:
    return message_to_dict(replace(item, parts=())) | {"parts": [_part_to_dict(part, blobs) for part in item.parts]}


def _step_to_dict(step: Step, blobs: dict[str, bytes]) -> dict[str, Any]:
    out = {name: value for name in _OF_STEP if (value := getattr(step, name)) != getattr(_NO_STEP, name)}
    if step.tool_calls:
        out["tool_calls"] = [call.to_dict() for call in step.tool_calls]
    if step.results:
        out["results"] = [_result_to_dict(result, blobs) for result in step.results]
    return out | {"reason": step.reason, "usage": step.usage.to_dict()}


def _result_to_dict(result: ToolResult, blobs: dict[str, bytes]) -> dict[str, Any]:
    return replace(result, parts=()).to_dict() | {"parts": [_part_to_dict(part, blobs) for part in result.parts]}


def _part_to_dict(part: Part, blobs: dict[str, bytes]) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"text": part.text} | ({"label": part.label} if part.label else {})
    values = {field.name: getattr(part, field.name) for field in fields(part) if field.name != "data"}
    if part.data:
        values["hash"] = _blob(part.data, blobs)
    return {"type": _KINDS[type(part)], **values}


def _blob(data: bytes, blobs: dict[str, bytes]) -> str:
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return digest
