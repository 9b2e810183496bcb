"""The dict form of a conversation: JSON-able, versioned, everything in it but what says where keys go.

What comes in from outside (a file, a frame) is checked value by value before it becomes one of ours: nothing
is evaluated, and a wrong type is one line here and not a crash in a view later. Connection settings (the key,
the address it is sent to, headers) are neither written nor read: a conversation that somebody sends you must
not send your key to them.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from .content import (
    DETAILS,
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    ToolResult,
    checked_role,
    message_to_dict,
    part_from_dict,
    tool_call_from_dict,
)
from .counts import Usage
from .errors import ContentError, StoreError
from .events import Reason
from .jsontext import JSON_HINT
from .kinds import (
    Check,
    checked,
    demand,
    is_count,
    is_flag,
    is_number,
    is_object,
    is_text,
    list_of,
    misfit,
    objects,
    or_none,
)
from .slots import CellKey, Conversation, Slot
from .turns import Status, Step, Turn, chained

FORMAT = "llm_magic.conversation"
VERSION = 2
# Version 1 listed the ids of the turns that a turn saw.
# Settings that say who is asked and with whose credentials; they stay on this machine.
CONNECTION = frozenset(
    (
        *("api_key", "base_url", "headers", "http_options", "local_model", "max_connections", "max_redirects"),
        *("organization", "project", "proxy", "queries_per_second", "user_agent"),
    )
)
NOT_KEPT = CONNECTION | {"extra_headers", "extra_query"}
_BLANK = Turn(id="", prompt=())

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    C = TypeVar("C", bound=Conversation, default=Conversation)


def _is_status(value: Any) -> bool:
    return value in get_args(Status)


_CONVERSATION: Mapping[str, Check] = {
    "name": is_text,
    "id": is_text,
    "system": or_none(is_text),
    "model": or_none(is_text),
    "settings": is_object,
    "is_archived": is_flag,
    "made_by": or_none(is_text),
    "parent": or_none(is_text),
}
_SLOT: Mapping[str, Check] = {
    "id": is_text,
    "current_id": or_none(is_text),
    "is_hidden": is_flag,
    "source": or_none(is_text),
}
_KEY: Mapping[str, Check] = {"cell_id": is_text, "ordinal": is_count}
_TURN: Mapping[str, Check] = {
    "id": is_text,
    "text": is_text,
    "status": _is_status,
    "reasoning": is_text,
    "refusal": is_text,
    "logprobs": or_none(list_of(is_object)),
    "finish_reason": or_none(is_text),
    "error": or_none(is_text),
    "cost_usd": or_none(is_number),
    "backend": is_text,
    "requested_model": is_text,
    "model": or_none(is_text),
    "service_tier": or_none(is_text),
    "request_id": or_none(is_text),
    "latency_s": or_none(is_number),
    "ttft_s": or_none(is_number),
    "retries": is_count,
    "system": or_none(is_text),
    "settings": is_object,
    "seen": is_text,
    "is_fresh": is_flag,
    "cell_id": or_none(is_text),
    "continues": or_none(is_text),
    "notices": list_of(is_text),
    "tool_names": list_of(is_text),
    "is_cached": is_flag,
}
_STEP: Mapping[str, Check] = {
    "reason": lambda value: value in get_args(Reason),
    "text": is_text,
    "reasoning": is_text,
    "error": or_none(is_text),
    "finish_reason": or_none(is_text),
    "model": or_none(is_text),
    "cost_usd": or_none(is_number),
    "request_id": or_none(is_text),
    "latency_s": or_none(is_number),
    "ttft_s": or_none(is_number),
    "retries": is_count,
}
_RESULT: Mapping[str, Check] = {
    "call_id": is_text,
    "name": is_text,
    "is_error": is_flag,
    "is_denied": is_flag,
    "latency_s": or_none(is_number),
}
_NO_STEP = Step(reason="tools")
TURN_DEFAULTS: Mapping[str, Any] = {name: getattr(_BLANK, name) for name in _TURN}
_USAGE: Mapping[str, Check] = {
    field.name: is_flag if field.name == "is_estimate" else is_count for field in fields(Usage)
}


def to_dict(conversation: Conversation) -> dict[str, Any]:
    """A conversation as JSON-able dict: everything but connection settings and the history of undo."""
    return head_to_dict(conversation) | {"slots": [slot_to_dict(slot) for slot in conversation.slots]}


def from_dict(
    data: Mapping[str, Any],
    *,
    cls: type[C] = Conversation,  # type: ignore[assignment]  # the default of C, which mypy does not match up
) -> C:
    """The inverse of :func:`to_dict`.

    Args:
        data: What :func:`to_dict` made, perhaps by way of JSON.
        cls: What to make of it.

    Raises:
        StoreError: The dict is not of this format, is of a newer one, or a value in it does not fit.
    """
    conversation = head_from_dict(data, cls=cls)
    conversation.slots = tuple(slot_from_dict(item) for item in objects(data, "slots"))
    return conversation


def head_to_dict(conversation: Conversation) -> dict[str, Any]:
    """A conversation without its slots."""
    head = {name: getattr(conversation, name) for name in _CONVERSATION}
    began_at = conversation.began_at.astimezone(UTC).isoformat()
    return (
        {"format": FORMAT, "version": VERSION} | head | {"began_at": began_at, "settings": _kept(conversation.settings)}
    )


def head_from_dict(data: Mapping[str, Any], *, cls: type[C]) -> C:
    """The inverse of :func:`head_to_dict`."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise StoreError("This is not a conversation of llm_magic.", hint=JSON_HINT)
    version = data.get("version")
    if not is_count(version) or not version:
        raise StoreError("The conversation has no version number.", hint=JSON_HINT)
    if version > VERSION:
        raise StoreError(
            f"The conversation is in format {version}, and only formats up to {VERSION} are known here.",
            hint="pip install -U llm-magic",
        )
    values = _with_kept_settings(checked(data, _CONVERSATION, "conversation"))
    if "began_at" in data:
        values["began_at"] = time_from_text(data["began_at"])
    return cls(**values)


def slot_to_dict(slot: Slot) -> dict[str, Any]:
    """A slot with all its versions."""
    return {
        "id": slot.id,
        "key": None if slot.key is None else {"cell_id": slot.key.cell_id, "ordinal": slot.key.ordinal},
        "current_id": slot.current_id,
        "is_hidden": slot.is_hidden,
        "source": slot.source,
        "versions": [turn_to_dict(turn) for turn in slot.versions],
    }


def slot_from_dict(data: Mapping[str, Any]) -> Slot:
    """The inverse of :func:`slot_to_dict`."""
    versions = tuple(turn_from_dict(item) for item in objects(data, "versions"))
    demand(data, ("id",), "slot")
    return Slot(**checked(data, _SLOT, "slot"), key=key_from_dict(data.get("key")), versions=versions)


def key_from_dict(data: Mapping[str, Any] | None) -> CellKey | None:
    """A slot's key from its dict, None where there is none."""
    if data is None:
        return None
    if not is_object(data):
        raise misfit("key", data, "slot")
    demand(data, ("cell_id",), "slot's key")
    return CellKey(**checked(data, _KEY, "slot's key"))


def turn_to_dict(turn: Turn) -> dict[str, Any]:
    """A turn; what has its default is left out."""
    values = {name: getattr(turn, name) for name in _TURN} | {"settings": _kept(turn.settings)}
    out: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name == "id" or value != TURN_DEFAULTS[name]
    }
    out["at"] = turn.at.astimezone(UTC).isoformat()
    out["prompt"] = [message_to_dict(item) for item in turn.prompt]
    if turn.tool_calls:
        out["tool_calls"] = [call.to_dict() for call in turn.tool_calls]
    if turn.usage != Usage():
        out["usage"] = turn.usage.to_dict()
    if turn.steps:
        out["steps"] = steps_to_dicts(turn)
    return out


def steps_to_dicts(turn: Turn) -> list[dict[str, Any]]:
    """The steps of a turn; what has its default is left out."""
    return [_step_to_dict(step) for step in turn.steps]


def _step_to_dict(step: Step) -> dict[str, Any]:
    out = {name: value for name in _STEP if (value := getattr(step, name)) != getattr(_NO_STEP, name)}
    out["reason"] = step.reason
    if step.tool_calls:
        out["tool_calls"] = [call.to_dict() for call in step.tool_calls]
    if step.results:
        out["results"] = [result.to_dict() for result in step.results]
    if step.usage != Usage():
        out["usage"] = step.usage.to_dict()
    return out


def _step_from_dict(data: Mapping[str, Any]) -> Step:
    demand(data, ("reason",), "step")
    return Step(
        **checked(data, _STEP, "step"),
        tool_calls=calls_from_dicts(data.get("tool_calls", [])),
        results=tuple(
            ToolResult(**checked(item, _RESULT, "result"), parts=parts_from_dicts(item.get("parts", [])))
            for item in objects({"results": [], **data}, "results")
        ),
        usage=usage_from_dict(data.get("usage", {})),
    )


def turn_from_dict(data: Mapping[str, Any]) -> Turn:
    """The inverse of :func:`turn_to_dict`.

    Raises:
        StoreError: A value does not fit, or ``id``, ``at`` or ``prompt`` is missing.
    """
    demand(data, ("id", "at", "prompt"), "turn")
    if isinstance(data.get("seen"), list) and list_of(is_text)(data["seen"]):
        data = {**data, "seen": functools.reduce(chained, data["seen"], "")}
    values = _with_kept_settings(checked(data, _TURN, "turn"))
    for name in ("notices", "logprobs", "tool_names"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    return Turn(
        **values,
        at=time_from_text(data["at"]),
        prompt=tuple(_message(item) for item in objects(data, "prompt")),
        tool_calls=calls_from_dicts(data.get("tool_calls", [])),
        usage=usage_from_dict(data.get("usage", {})),
        steps=tuple(_step_from_dict(item) for item in objects({"steps": [], **data}, "steps")),
    )


def usage_from_dict(data: Any) -> Usage:
    """Token counts from their dict."""
    if not is_object(data):
        raise misfit("usage", data, "turn")
    return Usage.from_dict(checked(data, _USAGE, "usage"))


def calls_from_dicts(data: Any) -> tuple[ToolCall, ...]:
    """Tool calls from the protocol's own form."""
    if not isinstance(data, list) or not all(is_object(call) and is_object(call.get("function")) for call in data):
        raise misfit("tool_calls", data, "message")
    return tuple(tool_call_from_dict(call) for call in data)


def parts_from_dicts(data: Any) -> tuple[Part, ...]:
    """Parts from their dicts, see ``content.part_to_dict``."""
    if not list_of(is_object)(data):
        raise misfit("parts", data, "message")
    try:
        parts = tuple(part_from_dict(item) for item in data)
    except (ContentError, ValueError, TypeError) as exc:
        raise StoreError("A part of a message cannot be read.", hint=JSON_HINT) from exc
    return _checked_parts(parts)


def time_from_text(text: Any) -> datetime:
    """A time from its ISO text, in UTC."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError) as exc:
        raise misfit("at", text, "turn") from exc
    if at.tzinfo is None:
        raise StoreError("The 'at' of a turn has no time zone.", hint=JSON_HINT)
    return at.astimezone(UTC)


def checked_message(item: Message) -> Message:
    """A message made of somebody else's data, if its values are of the kinds they have to be.

    Raises:
        StoreError: One is not.
    """
    for name in ("name", "tool_call_id"):
        if not or_none(is_text)(value := getattr(item, name)):
            raise misfit(name, value, "message")
    _checked_parts(item.parts)
    return item


def _message(data: Mapping[str, Any]) -> Message:
    try:
        role = checked_role(data.get("role"))
    except ContentError as exc:
        raise StoreError(exc.message, hint=exc.hint) from exc
    made = Message(
        role=role,
        parts=parts_from_dicts(data.get("parts", [])),
        name=data.get("name"),
        tool_calls=calls_from_dicts(data.get("tool_calls", [])),
        tool_call_id=data.get("tool_call_id"),
    )
    return checked_message(made)


def _checked_parts(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    for part in parts:
        if not _is_whole(part):
            raise StoreError(f"A {type(part).__name__} has a value that does not fit.", hint=JSON_HINT)
    return parts


def _is_whole(part: Part) -> bool:
    match part:
        case TextPart(text=str(), label=str()) | AudioPart(format="wav" | "mp3"):
            return True
        case ImagePart(media_type=str(), url=str(), width=int(), height=int()):
            # An address that is not the web's (file:, javascript:, data:) is none that a server fetches.
            return part.detail in DETAILS and (not part.url or part.url.startswith(("http://", "https://")))
        case FilePart(media_type=str(), filename=str()):
            return True
        case _:
            return False


def _kept(settings: Mapping[str, Any]) -> dict[str, Any]:
    return copy.deepcopy({name: value for name, value in settings.items() if name not in NOT_KEPT})


def _with_kept_settings(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"settings": _kept(values.get("settings", {}))}
