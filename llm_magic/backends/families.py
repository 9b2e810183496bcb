"""Messages as a family of servers takes them: pure steps from messages to messages, then to the wire.

Comes in: the context as it is kept, and a provider's quirks. Goes out: new messages, and their JSON. Nothing that came
in is changed: what is kept stays as it was said.
"""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..content import NAME, Message, TextPart
from ..errors import RequestRejectedError
from . import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..providers import Quirks

_SYSTEM = ("system", "developer")
_NINE = re.compile(r"[A-Za-z0-9]{9}")
_DIGITS = string.ascii_letters + string.digits


def for_family(messages: Sequence[Message], quirks: Quirks) -> tuple[Message, ...]:
    """Messages as a family takes them.

    Raises:
        RequestRejectedError: A name does not fit, or system messages stand apart that have to stand together.
    """
    found = _with_system(tuple(messages), quirks)
    found = tuple(_with_name(item, quirks) for item in found)
    if quirks.blank == "skipped":
        found = tuple(item for item in found if not _is_blank(item))
    if quirks.strips_last and found and found[-1].role == "assistant":
        found = (*found[:-1], _stripped(found[-1]))
    return found


def to_wire(messages: Iterable[Message], quirks: Quirks) -> list[dict[str, Any]]:
    """Messages of a family as JSON."""
    return [_to_wire(item, quirks) for item in messages]


def _to_wire(item: Message, quirks: Quirks) -> dict[str, Any]:
    out = wire.message_to_openai(wire.sendable(item))
    out["role"] = quirks.roles.get(item.role, item.role)
    if quirks.blank != "sent" and item.tool_calls and not item.text.strip():
        # Gemini and Claude refuse a message whose content is null or empty, also where it only calls.
        out["content"] = " "
    elif quirks.blank == "spaced" and out.get("content") == "":
        out["content"] = " "
    if quirks.reasoning_field and item.reasoning and item.tool_calls:
        out[quirks.reasoning_field] = item.reasoning
    if quirks.call_ids == "nine":
        _shorten_ids(out)
    if item.tool_calls:
        _sign(out["tool_calls"], quirks.unsigned_call)
    return out


# System messages


def _with_system(messages: tuple[Message, ...], quirks: Quirks) -> tuple[Message, ...]:
    places = [place for place, item in enumerate(messages) if item.role in _SYSTEM]
    if quirks.system_messages == "kept" or places in ([], [0]):
        return messages
    stand_together = places == list(range(places[0], places[0] + len(places)))
    if quirks.system_messages == "merged" and not stand_together:
        raise RequestRejectedError(
            "There are system messages between other messages, which this server does not take.",
            hint="%chat config system_messages=moved puts them first",
        )
    merged = _joined([messages[place] for place in places])
    return (merged, *(item for item in messages if item.role not in _SYSTEM))


def _joined(messages: Sequence[Message]) -> Message:
    if len(messages) == 1:
        return messages[0]
    text = "\n".join(item.text for item in messages)
    return replace(messages[0], parts=(TextPart(text=text),), name=None)


# Names of authors


def _with_name(item: Message, quirks: Quirks) -> Message:
    if item.name is None:
        return item
    if quirks.names == "sent":
        if not NAME.fullmatch(item.name):
            raise RequestRejectedError(
                f"{item.name!r} is no name of an author.", hint="up to 64 letters, digits, _ and -"
            )
        return item
    if quirks.names == "prefixed" and item.role == "user":
        return replace(_prefixed(item, f"{item.name} said: "), name=None)
    return replace(item, name=None)


def _prefixed(item: Message, prefix: str) -> Message:
    """The message with a prefix on the first of its text parts; before its pictures where it has none."""
    for place, part in enumerate(item.parts):
        if isinstance(part, TextPart):
            said = replace(part, text=prefix + part.text)
            return replace(item, parts=(*item.parts[:place], said, *item.parts[place + 1 :]))
    return replace(item, parts=(TextPart(text=prefix), *item.parts)) if item.parts else item


# Blank messages


def _is_blank(item: Message) -> bool:
    """Nothing but white space is in it. What a tool said is never left out: its call would have no answer."""
    if item.tool_calls or item.role == "tool":
        return False
    return all(isinstance(part, TextPart) and not part.text.strip() for part in item.parts)


def _stripped(item: Message) -> Message:
    if not item.parts or not isinstance(last := item.parts[-1], TextPart):
        return item
    return replace(item, parts=(*item.parts[:-1], replace(last, text=last.text.rstrip())))


# Ids of tool calls


def _shorten_ids(out: dict[str, Any]) -> None:
    if "tool_calls" in out:
        out["tool_calls"] = [{**call, "id": _nine(call["id"])} for call in out["tool_calls"]]
    if "tool_call_id" in out:
        out["tool_call_id"] = _nine(out["tool_call_id"])


def _sign(calls: list[dict[str, Any]], unsigned: str) -> None:
    """Leave signatures out where nobody wants them; where they are wanted, the first call of a message has one."""
    if not unsigned:
        for call in calls:
            call.pop("extra_content", None)
    elif not any("extra_content" in call for call in calls):
        calls[0]["extra_content"] = {"google": {"thought_signature": unsigned}}


def _nine(call_id: str) -> str:
    """An id of nine letters and digits, the same for the same id.

    >>> _nine("aB3dE6gH9"), len(_nine("call_abc"))
    ('aB3dE6gH9', 9)
    """
    if _NINE.fullmatch(call_id):
        return call_id
    return "".join(_DIGITS[byte % len(_DIGITS)] for byte in hashlib.sha256(call_id.encode()).digest()[:9])


def role_map(text: str) -> Mapping[str, str]:
    """Roles by another name, from a setting: ``system=developer,tool=function``.

    >>> dict(role_map("system=developer, user=human"))
    {'system': 'developer', 'user': 'human'}

    Raises:
        ValueError: It has another form.
    """
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    found = {name.strip(): sent.strip() for name, _, sent in pairs}
    if not all(name and sent for name, sent in found.items()):
        raise ValueError(text)
    return found
