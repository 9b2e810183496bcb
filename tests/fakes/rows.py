"""A conversation's frame, row by row from its dict: slow and plain, the model that the fast one is compared with."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from llm_magic.content import message_to_dict
from llm_magic.counts import Usage
from llm_magic.jsontext import json_text
from llm_magic.records import head_to_dict, slot_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_magic.slots import Conversation, Slot

ELSEWHERE = {
    *("id", "at", "prompt", "text", "status", "reasoning", "tool_calls", "model", "seen", "settings"),
    *("cost_usd", "cell_id", "usage", "refusal"),
}
COUNTED = ("input_tokens", "output_tokens")
DEFAULTS = {field.name: field.default for field in fields(Usage)}


def rows_of(conversation: Conversation) -> list[dict[str, Any]]:
    """One row per message; ``record`` as dict."""
    stale = conversation.stale()
    rows = [
        {"conversation": conversation.name, "slot": number, **cells}
        for number, slot in enumerate(conversation.slots, start=1)
        for cells in slot_rows(slot, is_stale=slot.id in stale)
    ]
    head = head_to_dict(conversation)
    unanswered = [[place, slot_to_dict(slot)] for place, slot in enumerate(conversation.slots) if not slot.versions]
    if unanswered:
        head["unanswered"] = unanswered
    answer = next((cells for cells in rows if "slot" in cells.get("record", ())), None)
    if answer is not None:
        answer["record"]["conversation"] = head
    return rows


def slot_rows(slot: Slot, *, is_stale: bool) -> Iterator[dict[str, Any]]:
    """The rows of a slot."""
    data = slot_to_dict(slot)
    kept = {name: data[name] for name in ("id", "key", "source") if data[name] is not None}
    for number, turn in enumerate(data["versions"], start=1):
        is_current = turn["id"] == slot.current_id
        common = {
            "version": number,
            "turn_id": turn["id"],
            "is_current": is_current,
            "is_stale": is_current and is_stale,
            "is_hidden": slot.is_hidden,
            "cell_id": turn.get("cell_id"),
            "status": turn.get("status", "complete"),
            "at": slot.versions[number - 1].at,
        }
        for message in turn["prompt"]:
            yield common | message_cells(message)
        for step in slot.versions[number - 1].steps:
            for item in step.messages():
                yield common | message_cells(message_to_dict(item)) | {"record": {"step": True}}
        yield common | answer_cells(turn) | {"record": {"slot": kept, "turn": rest_of(turn)}}


def message_cells(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a message says."""
    text = "".join(part["text"] for part in message["parts"] if part["type"] == "text")
    says_it_all = message["parts"] == text_parts(text) and text == text.encode("utf-8", "replace").decode("utf-8")
    calls = message.get("tool_calls")
    return {
        "role": message["role"],
        "name": message.get("name"),
        "text": text,
        "parts": None if says_it_all else json_text(message["parts"]),
        "n_images": sum(part["type"] == "image" for part in message["parts"]),
        "tool_calls": json_text(calls) if calls else None,
        "tool_call_id": message.get("tool_call_id"),
    }


def answer_cells(turn: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer says."""
    text = turn.get("text") or turn.get("refusal", "")
    message = {"role": "assistant", "parts": text_parts(text), "tool_calls": turn.get("tool_calls")}
    settings = turn.get("settings", {})
    usage = turn.get("usage", {})
    return message_cells(message) | {
        "reasoning": turn.get("reasoning", ""),
        "data": text if is_data(text, settings) else None,
        "model": turn.get("model"),
        "seen": turn.get("seen", ""),
        "settings": json_text(settings),
        **{name: usage.get(name, 0) for name in COUNTED},
        "cost_usd": turn.get("cost_usd"),
    }


def rest_of(turn: Mapping[str, Any]) -> dict[str, Any]:
    """What has no column and is not what it is by default."""
    rest = {name: value for name, value in turn.items() if name not in ELSEWHERE}
    if "refusal" in turn:
        rest["refusal"] = turn["refusal"] if turn.get("text") else True
    usage = turn.get("usage", {})
    details = {
        name: count
        for name, count in usage.items()
        if name not in (*COUNTED, "total_tokens") and count != DEFAULTS[name]
    }
    if usage and usage["total_tokens"] != sum(usage[name] for name in COUNTED):
        details["total_tokens"] = usage["total_tokens"]
    return rest | ({"usage": details} if details else {})


def text_parts(text: str) -> list[dict[str, Any]]:
    """The parts of a plain text."""
    return [{"type": "text", "text": text}] if text else []


def is_data(text: str, settings: Mapping[str, Any]) -> bool:
    """The answer is JSON, as asked."""
    wanted = settings.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") not in ("json_object", "json_schema"):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
