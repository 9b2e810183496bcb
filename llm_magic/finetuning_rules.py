"""The rules for one example of fine-tuning: what each of its messages, parts and calls may be.

Comes in: what a line of JSON holds. Goes out: findings, each by the name of its rule. Nothing is fetched: a picture on
the web is taken as it is named.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .backends.wire import message_from_openai, part_from_openai
from .content import ImagePart
from .errors import ContentError
from .images import image_kind
from .jsontext import brief, is_utf8
from .tokens import count_messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What may not be.

    Attributes:
        severity: The file is refused; or it is taken, and something is lost or unwise.
        what: What is wrong, in a few words.
        hint: What to do.
    """

    severity: Literal["refused", "warning"]
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that breaks a rule.

    Attributes:
        rule: Its name among ``RULES``.
        message: Number of the message, from 1; None where the whole example or file is meant.
        found: What stands there, in a word.
    """

    rule: str
    message: int | None = None
    found: str = ""


def _refused(what: str, hint: str) -> Rule:
    return Rule(severity="refused", what=what, hint=hint)


def _warning(what: str, hint: str) -> Rule:
    return Rule(severity="warning", what=what, hint=hint)


RULES: Mapping[str, Rule] = {
    "not_utf8": _refused("text that is not UTF-8", "save the file as UTF-8"),
    "not_json": _refused("a line that is not JSON", "each line is one JSON object"),
    "not_example": _refused("a line that is not an object with messages", 'a line is {"messages": [...]}'),
    "example_key": _refused("a key beside messages that is not known", "known: tools, parallel_tool_calls, functions"),
    "no_messages": _refused("an example without messages", "ask something first, or unhide a turn"),
    "not_message": _refused("a message that is not an object", "a message has role and content"),
    "role": _refused("a role that fine-tuning does not know", "use system, user, assistant or tool"),
    "message_key": _refused("a key in a message that is not known", "leave it out"),
    "weight_elsewhere": _refused("a weight that is not the assistant's", "only the assistant's messages are weighed"),
    "weight": _refused("a weight that is not 0 or 1", "0 leaves a message out of training"),
    "no_content": _refused("a message without content", "only an assistant's that calls tools may do without"),
    "content": _refused("content that is neither text nor parts", "content is text or a list of parts"),
    "part": _refused("a part of an unknown kind", "known: text, and image_url in the user's messages"),
    "sound_or_file": _refused("sound or a file in a message", "put its text into the prompt instead"),
    "picture_elsewhere": _refused("a picture outside of the user's messages", "move it to a message of the user"),
    "picture": _refused("a picture that cannot be read", "use an address of the web, or bytes as a data URL"),
    "picture_format": _refused("a picture that is not JPEG, PNG or WEBP", "save it as PNG"),
    "picture_mode": _refused("a picture that is not in RGB or RGBA", 'convert it: image.convert("RGB")'),
    "picture_size": _refused("a picture of more than 10 MB", "make it smaller"),
    "picture_detail": _refused("a detail of a picture that is not known", "use auto, low or high"),
    "many_pictures": _refused("more than 10 pictures in an example", "fork before some, or hide turns"),
    "name": _refused("a name that is not allowed", "up to 64 letters, digits, _ and -"),
    "call": _refused("a tool call that is not whole", "it has id, type and a function with name and arguments"),
    "unanswered_call": _refused(
        "a tool call that no tool answers", "a message of role tool follows, with the call's id"
    ),
    "stray_tool": _refused("a tool's message that answers no call", "its tool_call_id is that of a call right before"),
    "tools": _refused("tools that are not functions", 'tools are [{"type": "function", "function": {...}}]'),
    "no_answer": _refused("an example without an answer", "one message at least is the assistant's"),
    "last_message": _refused("an example that does not end with an answer", "its last message is the assistant's"),
    "many_pictured_examples": _refused("more than 50,000 examples with pictures", "split the file"),
    "few_examples": _warning("fewer than 10 examples", "a file for fine-tuning has 10 examples at least"),
    "large_file": _warning("a file of more than 512 MB", "split it, or upload it in pieces"),
    "empty_result": _warning("a tool's message without content", "say what the tool gave back"),
    "untrained": _warning("an example whose answers all have weight 0", "nothing is learned from it"),
    "arguments": _warning("arguments of a call that are not JSON", "the model learns to write them so"),
    "undeclared": _warning("a call of a tool that the example does not declare", "add it to the example's tools"),
    "long": _warning("an example of more tokens than are trained", "it is cut at its end: fork earlier, or hide turns"),
    "half_character": _warning("half a character (a surrogate without its other)", "replace it"),
}

_EXAMPLE_KEYS = frozenset({"messages", "tools", "parallel_tool_calls", "functions"})
_KEYS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset({"role", "content", "name", "refusal", "tool_calls", "function_call", "weight"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
    "function": frozenset({"role", "content", "name"}),
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_PICTURES = 10
_MOST_PICTURE_BYTES = 10_000_000
_FORMATS = ("JPEG", "PNG", "WEBP")
_MODES = ("RGB", "RGBA")
_DETAILS = ("auto", "low", "high")
# Tokens of one example, by the beginning of a model's name; the longest that fits counts.
_TOKENS: Mapping[str, int] = {
    "": 65_536,
    "gpt-3.5-turbo": 16_385,
    "gpt-3.5-turbo-0613": 4096,
    "gpt-4-": 8192,
}
_COUNTED_AS = "gpt-4o-mini"


@dataclass(slots=True, kw_only=True)
class _Calls:
    """Tool calls of an example that wait for their answer.

    Attributes:
        asked_at: Number of the message that made them.
        open: Their ids.
        names: Names of all functions called so far, with the message.
    """

    asked_at: int = 0
    open: set[str] = field(default_factory=set)
    names: list[tuple[int, str]] = field(default_factory=list)


def example_findings(data: Any, line: str, model: str | None) -> tuple[list[Finding], bool]:
    """What is wrong with an example, and whether it has pictures.

    Args:
        data: The value of its line.
        line: The line.
        model: The model to be tuned.
    """
    if not isinstance(data, dict):
        return [Finding(rule="not_example", found=_kind(data))], False
    findings = [Finding(rule="example_key", found=brief(name)) for name in data if name not in _EXAMPLE_KEYS]
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        rule = "no_messages" if messages == [] else "not_example"
        return [*findings, Finding(rule=rule)], False
    calls = _Calls()
    for number, item in enumerate(messages, start=1):
        if not isinstance(item, dict):
            findings.append(Finding(rule="not_message", message=number, found=_kind(item)))
            continue
        findings += (Finding(rule=rule, message=number, found=found) for rule, found in _message(item))
        findings += _conversation_of_tools(item, number, calls)
    pictures = sum(1 for item in messages if isinstance(item, dict) for _ in _picture_parts(item))
    if pictures > _MOST_PICTURES:
        findings.append(Finding(rule="many_pictures", found=str(pictures)))
    findings += _ending(messages)
    findings += _tools(data, calls)
    # What is written as an escape is half of a pair, or a pair that JSON reads as one character.
    if "\\ud" in line.lower() and not is_utf8(json.dumps(data, ensure_ascii=False)):
        findings.append(Finding(rule="half_character"))
    if not any(RULES[finding.rule].severity == "refused" for finding in findings):
        findings += _length(messages, line, model)
    return findings, bool(pictures)


def _message(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    role = item.get("role")
    if not isinstance(role, str) or role not in _KEYS:
        yield "role", brief(role) if isinstance(role, str) else _kind(role)
        return
    for key in item:
        if key == "weight" and role != "assistant":
            yield "weight_elsewhere", role
        elif key not in _KEYS[role]:
            yield "message_key", brief(key)
    weight = item.get("weight", 1)
    if role == "assistant" and (isinstance(weight, bool) or weight not in (0, 1)):
        yield "weight", brief(weight)
    name = item.get("name")
    if "name" in item and "name" in _KEYS[role] and not _is_name(name):
        yield "name", brief(name)
    yield from _content(item, role)


def _content(item: Mapping[str, Any], role: str) -> Iterator[tuple[str, str]]:
    content = item.get("content")
    if content is None or content in ("", []):
        does_without = role == "assistant" and (
            item.get("tool_calls") or item.get("function_call") or item.get("refusal")
        )
        if role == "tool" and content is not None:
            yield "empty_result", ""
        elif not does_without:
            yield "no_content", role
    elif isinstance(content, list):
        for part in content:
            yield from _part(part, role)
    elif not isinstance(content, str):
        yield "content", _kind(content)


def _part(part: Any, role: str) -> Iterator[tuple[str, str]]:
    match part:
        case {"type": "text", "text": str()}:
            return
        case {"type": "refusal", "refusal": str()} if role == "assistant":
            return
        case {"type": "image_url"} if role != "user":
            yield "picture_elsewhere", role
        case {"type": "image_url", **rest}:
            yield from _picture(part, rest.get("image_url"))
        case {"type": "input_audio" | "file" as kind}:
            yield "sound_or_file", kind
        case {"type": kind}:
            yield "part", brief(kind)
        case _:
            yield "part", _kind(part)


def _picture(part: Any, address: Any) -> Iterator[tuple[str, str]]:
    detail = address.get("detail", "auto") if isinstance(address, dict) else "auto"
    if detail not in _DETAILS:
        yield "picture_detail", brief(detail)
        part = {"type": "image_url", "image_url": {"url": address.get("url")}}
    try:
        picture = part_from_openai(part)
    except ContentError:
        yield "picture", ""
        return
    assert isinstance(picture, ImagePart)
    if picture.url:
        if not picture.url.startswith(("http://", "https://")):
            yield "picture", "address"
        return
    if len(picture.data) > _MOST_PICTURE_BYTES:
        yield "picture_size", f"{len(picture.data) / 1e6:.1f} MB"
    kind = image_kind(picture.data)
    if kind is None:
        yield "picture", "bytes"
    elif kind[0] not in _FORMATS:
        yield "picture_format", kind[0]
    elif kind[1] not in _MODES:
        yield "picture_mode", kind[1]


def _picture_parts(item: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") == "image_url":
            yield part


def _conversation_of_tools(item: Mapping[str, Any], number: int, calls: _Calls) -> Iterator[Finding]:
    """That calls and answers of tools follow each other."""
    if item.get("role") == "tool":
        answered = item.get("tool_call_id")
        if not isinstance(answered, str) or answered not in calls.open:
            yield Finding(rule="stray_tool", message=number)
        else:
            calls.open.remove(answered)
        return
    if calls.open:
        yield Finding(rule="unanswered_call", message=calls.asked_at)
        calls.open.clear()
    if item.get("role") != "assistant" or "tool_calls" not in item:
        return
    made = item["tool_calls"]
    if not isinstance(made, list) or not made:
        yield Finding(rule="call", message=number, found=_kind(made))
        return
    calls.asked_at = number
    for call in made:
        yield from _call(call, number, calls)


def _call(call: Any, number: int, calls: _Calls) -> Iterator[Finding]:
    match call:
        case {"id": str(made), "type": "function", "function": {"name": str(name), "arguments": str(arguments)}} if (
            made
        ):
            calls.open.add(made)
            calls.names.append((number, name))
            if not _is_name(name):
                yield Finding(rule="name", message=number, found=brief(name))
            if not _is_json(arguments):
                yield Finding(rule="arguments", message=number, found=brief(name))
        case _:
            yield Finding(rule="call", message=number)


def _ending(messages: list[Any]) -> Iterator[Finding]:
    answers = [item for item in messages if isinstance(item, dict) and item.get("role") == "assistant"]
    if not answers:
        yield Finding(rule="no_answer")
    elif messages[-1] is not answers[-1]:
        yield Finding(rule="last_message", message=len(messages))
    if answers and all(item.get("weight") == 0 for item in answers):
        yield Finding(rule="untrained")


def _tools(data: Mapping[str, Any], calls: _Calls) -> Iterator[Finding]:
    tools = data.get("tools", [])
    declared = set()
    for tool in tools if isinstance(tools, list) else [None]:
        match tool:
            case {"type": "function", "function": {"name": str(name)}} if _is_name(name):
                declared.add(name)
            case _:
                yield Finding(rule="tools")
    if not isinstance(data.get("parallel_tool_calls", True), bool):
        yield Finding(rule="tools", found="parallel_tool_calls")
    for number, name in calls.names:
        if name not in declared:
            yield Finding(rule="undeclared", message=number, found=brief(name))


def _length(messages: list[Any], line: str, model: str | None) -> Iterator[Finding]:
    most = _TOKENS[max((name for name in _TOKENS if (model or "").startswith(name)), key=len)]
    # No token is shorter than a byte: most lines need not be counted.
    if len(line.encode("utf-8", "replace")) <= most:
        return
    try:
        tokens = count_messages([message_from_openai(item) for item in messages], model or _COUNTED_AS).tokens
    except ContentError:
        return  # the role "function" is of a former protocol, and is not counted
    if tokens > most:
        yield Finding(rule="long", found=f"about {tokens:,} tokens of {most:,}")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
