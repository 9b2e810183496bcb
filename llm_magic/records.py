"""The dict form of a conversation: JSON-able, versioned, everything in it but what says where keys go.

What comes in from outside (a file, a frame) is checked value by value before it becomes one of ours: nothing
is evaluated, and a wrong type is one line here and not a crash in a view later. Connection settings (the key,
the address it is sent to, headers) are neither written nor read: a conversation that somebody sends you must
not send your key to them.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from .content import (
    DETAILS,
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    checked_role,
    message_to_dict,
    part_from_dict,
    tool_call_from_dict,
)
from .counts import Usage
from .errors import ContentError, StoreError
from .jsontext import JSON_HINT
from .slots import CellKey, Conversation, Slot
from .turns import Status, Turn, chained

FORMAT = "llm_magic.conversation"
VERSION = 2
# Version 1 listed the ids of the turns that a turn saw.
# Settings that say who is asked and with whose credentials; they stay on this machine.
CONNECTION = frozenset({"api_key", "base_url", "headers", "organization", "project", "local_model"})
NOT_KEPT = CONNECTION | {"extra_headers", "extra_query"}
_LARGEST_COUNT = 2**63 - 1

_BLANK = Turn(id="", prompt=())

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    C = TypeVar("C", bound=Conversation, default=Conversation)

Check: TypeAlias = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_status(value: Any) -> bool:
    return value in get_args(Status)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


_CONVERSATION: Mapping[str, Check] = {
    "name": _is_text,
    "id": _is_text,
    "system": _or_none(_is_text),
    "model": _or_none(_is_text),
    "settings": _is_object,
    "is_archived": _is_flag,
    "made_by": _or_none(_is_text),
    "parent": _or_none(_is_text),
}
_SLOT: Mapping[str, Check] = {
    "id": _is_text,
    "current_id": _or_none(_is_text),
    "is_hidden": _is_flag,
    "source": _or_none(_is_text),
}
_KEY: Mapping[str, Check] = {"cell_id": _is_text, "ordinal": _is_count}
_TURN: Mapping[str, Check] = {
    "id": _is_text,
    "text": _is_text,
    "status": _is_status,
    "reasoning": _is_text,
    "refusal": _is_text,
    "logprobs": _or_none(_list_of(_is_object)),
    "finish_reason": _or_none(_is_text),
    "error": _or_none(_is_text),
    "cost_usd": _or_none(_is_number),
    "backend": _is_text,
    "requested_model": _is_text,
    "model": _or_none(_is_text),
    "request_id": _or_none(_is_text),
    "latency_s": _or_none(_is_number),
    "ttft_s": _or_none(_is_number),
    "retries": _is_count,
    "system": _or_none(_is_text),
    "settings": _is_object,
    "seen": _is_text,
    "is_fresh": _is_flag,
    "cell_id": _or_none(_is_text),
    "continues": _or_none(_is_text),
    "notices": _list_of(_is_text),
    "is_cached": _is_flag,
}
TURN_DEFAULTS: Mapping[str, Any] = {name: getattr(_BLANK, name) for name in _TURN}
_USAGE: Mapping[str, Check] = {
    field.name: _is_flag if field.name == "is_estimate" else _is_count for field in fields(Usage)
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
    conversation.slots = tuple(slot_from_dict(item) for item in _objects(data, "slots"))
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
    if not _is_count(version) or not version:
        raise StoreError("The conversation has no version number.", hint=JSON_HINT)
    if version > VERSION:
        raise StoreError(
            f"The conversation is in format {version}, and only formats up to {VERSION} are known here.",
            hint="pip install -U llm-magic",
        )
    values = _with_kept_settings(_checked(data, _CONVERSATION, "conversation"))
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
    versions = tuple(turn_from_dict(item) for item in _objects(data, "versions"))
    _demand(data, ("id",), "slot")
    return Slot(**_checked(data, _SLOT, "slot"), key=key_from_dict(data.get("key")), versions=versions)


def key_from_dict(data: Mapping[str, Any] | None) -> CellKey | None:
    """A slot's key from its dict, None where there is none."""
    if data is None:
        return None
    if not _is_object(data):
        raise _misfit("key", data, "slot")
    _demand(data, ("cell_id",), "slot's key")
    return CellKey(**_checked(data, _KEY, "slot's key"))


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
    return out


def turn_from_dict(data: Mapping[str, Any]) -> Turn:
    """The inverse of :func:`turn_to_dict`.

    Raises:
        StoreError: A value does not fit, or ``id``, ``at`` or ``prompt`` is missing.
    """
    _demand(data, ("id", "at", "prompt"), "turn")
    if isinstance(data.get("seen"), list) and _list_of(_is_text)(data["seen"]):
        data = {**data, "seen": functools.reduce(chained, data["seen"], "")}
    values = _with_kept_settings(_checked(data, _TURN, "turn"))
    for name in ("notices", "logprobs"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    return Turn(
        **values,
        at=time_from_text(data["at"]),
        prompt=tuple(_message(item) for item in _objects(data, "prompt")),
        tool_calls=calls_from_dicts(data.get("tool_calls", [])),
        usage=usage_from_dict(data.get("usage", {})),
    )


def usage_from_dict(data: Any) -> Usage:
    """Token counts from their dict."""
    if not _is_object(data):
        raise _misfit("usage", data, "turn")
    return Usage.from_dict(_checked(data, _USAGE, "usage"))


def calls_from_dicts(data: Any) -> tuple[ToolCall, ...]:
    """Tool calls from the protocol's own form."""
    if not isinstance(data, list) or not all(_is_object(call) and _is_object(call.get("function")) for call in data):
        raise _misfit("tool_calls", data, "message")
    return tuple(tool_call_from_dict(call) for call in data)


def parts_from_dicts(data: Any) -> tuple[Part, ...]:
    """Parts from their dicts, see ``content.part_to_dict``."""
    if not _list_of(_is_object)(data):
        raise _misfit("parts", data, "message")
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
        raise _misfit("at", text, "turn") from exc
    if at.tzinfo is None:
        raise StoreError("The 'at' of a turn has no time zone.", hint=JSON_HINT)
    return at.astimezone(UTC)


def checked_message(item: Message) -> Message:
    """A message made of somebody else's data, if its values are of the kinds they have to be.

    Raises:
        StoreError: One is not.
    """
    for name in ("name", "tool_call_id"):
        if not _or_none(_is_text)(value := getattr(item, name)):
            raise _misfit(name, value, "message")
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


def _objects(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    items: Any = data.get(name)
    if not _list_of(_is_object)(items):
        raise _misfit(name, items, "conversation")
    return list(items)


def _checked(data: Mapping[str, Any], table: Mapping[str, Check], what: str) -> dict[str, Any]:
    # Unknown names are left out, not refused: a later release may add some to the same version.
    for name, check in table.items():
        if name in data and not check(data[name]):
            raise _misfit(name, data[name], what)
    return {name: data[name] for name in table if name in data}


def _demand(data: Mapping[str, Any], names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in data:
            raise StoreError(f"A {what} has no {name!r}.", hint=JSON_HINT)


def _kept(settings: Mapping[str, Any]) -> dict[str, Any]:
    return copy.deepcopy({name: value for name, value in settings.items() if name not in NOT_KEPT})


def _with_kept_settings(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"settings": _kept(values.get("settings", {}))}


def _misfit(name: str, value: object, what: str) -> StoreError:
    # The type and not the value: it may be text of a prompt.
    return StoreError(f"The {name!r} of a {what} is a {type(value).__name__} that does not fit.", hint=JSON_HINT)
