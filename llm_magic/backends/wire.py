"""Messages as Chat Completions JSON, and back. The only place that makes base64 of bytes, once per part.

A message of one text part has its text for content, any other a list of parts in their order.
"""

from __future__ import annotations

import base64
import json
import re
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from ..content import (
    DETAILS,
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    TextPart,
    checked_role,
    normalized_name,
    tool_call_from_dict,
)
from ..errors import ContentError
from ..jsontext import is_utf8

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..content import ToolCall

_DATA_URL = re.compile(r"data:(?P<media_type>[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,(?P<data>.*)", re.DOTALL)
# Under this name arguments that are no JSON object are sent again.
_NOT_JSON = "not_json"
# Parts are sent again with every later turn; they are equal only if their bytes are.
_encoded: weakref.WeakKeyDictionary[ImagePart | AudioPart | FilePart, str] = weakref.WeakKeyDictionary()


def message_to_openai(item: Message) -> dict[str, Any]:
    """A message as the protocol has it; keys without a value are left out."""
    out: dict[str, Any] = {"role": item.role}
    match item.parts:
        case ():
            if not item.tool_calls:
                out["content"] = ""
        case (TextPart(text=text),):
            out["content"] = text
        case parts:
            out["content"] = [part_to_openai(part) for part in parts]
    if item.name is not None:
        out["name"] = item.name
    if item.tool_calls:
        out["tool_calls"] = [call.to_dict() for call in item.tool_calls]
    if item.tool_call_id is not None:
        out["tool_call_id"] = item.tool_call_id
    return out


def sendable(item: Message) -> Message:
    """A message as every server can read it.

    As UTF-8 can carry it: half a surrogate pair, as broken decoding leaves it, becomes a question mark. And with calls
    of tools whose names are allowed and whose arguments are JSON, whatever the model wrote; their results in one text.
    """
    if item.role == "tool" and len(item.parts) > 1:
        item = replace(item, parts=_joined(item.parts))
    if item.tool_calls:
        item = replace(item, tool_calls=tuple(_sendable_call(call) for call in item.tool_calls))
    if all(part.text.isascii() or is_utf8(part.text) for part in item.parts if isinstance(part, TextPart)):
        return item
    parts = (
        replace(part, text=part.text.encode("utf-8", "replace").decode("utf-8")) if isinstance(part, TextPart) else part
        for part in item.parts
    )
    return replace(item, parts=tuple(parts))


def _joined(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Texts as one, each on a line of its own: the templates of many models take a result as text alone."""
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    joined = TextPart(text="\n".join(text.removesuffix("\n") for text in texts))
    return (joined, *(part for part in parts if not isinstance(part, TextPart)))


def _sendable_call(call: ToolCall) -> ToolCall:
    """A call that is sent again: many servers read its arguments, and refuse the request where they cannot."""
    try:
        is_object = isinstance(json.loads(call.arguments or "{}"), dict)
    except (ValueError, RecursionError):
        is_object = False
    arguments = (call.arguments or "{}") if is_object else json.dumps({_NOT_JSON: call.arguments})
    return replace(call, name=normalized_name(call.name), arguments=arguments)


def part_to_openai(part: Part) -> dict[str, Any]:
    """A part as the protocol has it."""
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            url = part.url or f"data:{part.media_type};base64,{_base64(part)}"
            detail = {} if part.detail == "auto" else {"detail": part.detail}
            return {"type": "image_url", "image_url": {"url": url, **detail}}
        case AudioPart():
            return {"type": "input_audio", "input_audio": {"data": _base64(part), "format": part.format}}
        case FilePart():
            data = f"data:{part.media_type};base64,{_base64(part)}"
            return {"type": "file", "file": {"filename": part.filename, "file_data": data}}
        case _:
            assert_never(part)


def message_from_openai(data: Mapping[str, Any]) -> Message:
    """A message from the protocol's form.

    Raises:
        ContentError: It is no message, its role is missing or unknown, a part is of an unknown type, or it calls a
            function in the way of a former protocol.
    """
    if not isinstance(data, dict):
        raise ContentError(f"A message is a dict, not {type(data).__name__}.")
    role = checked_role(data.get("role"))
    if data.get("function_call"):
        raise ContentError("'function_call' is of a former protocol.", hint="tool_calls has taken its place")
    parts = _parts_from_openai(data.get("content"))
    if not parts and isinstance(refusal := data.get("refusal"), str) and refusal:
        parts = (TextPart(text=refusal),)
    return Message(
        role=role,
        parts=parts,
        name=data.get("name"),
        tool_calls=tuple(tool_call_from_dict(call) for call in data.get("tool_calls") or ()),
        tool_call_id=data.get("tool_call_id"),
    )


def part_from_openai(data: Any) -> Part:
    """A part from the protocol's form; a bare string is text.

    Raises:
        ContentError: Its type is unknown, or its data cannot be read.
    """
    match data:
        case str() | {"type": "text", "text": str()}:
            return TextPart(text=data if isinstance(data, str) else data["text"])
        case {"type": "refusal", "refusal": str(text)}:
            return TextPart(text=text)
        case {"type": "image_url", "image_url": {"url": str(url), **more}}:
            return _image(url, str(more.get("detail") or "auto"))
        case {"type": "image_url", "image_url": str(url)}:
            return _image(url, "auto")
        case {"type": "input_audio", "input_audio": {"data": str(text), "format": "wav" | "mp3" as name}}:
            return AudioPart(data=_bytes(text), format=name)
        case {"type": "file", "file": {"file_data": str(url), **more}}:
            media_type, content = _data_url(url)
            return FilePart(data=content, media_type=media_type, filename=str(more.get("filename") or "file"))
        case {"type": kind}:
            raise ContentError(
                f"A part of type {kind!r} cannot be read.",
                hint="known: text, image_url, input_audio, file (with data)",
            )
        case _:
            raise ContentError(f"A part is a dict with a type, not {type(data).__name__}.")


def _parts_from_openai(content: Any) -> tuple[Part, ...]:
    match content:
        case None | "":
            return ()
        case str():
            return (TextPart(text=content),)
        case dict():
            return (part_from_openai(content),)
        case list() | tuple():
            return tuple(part_from_openai(part) for part in content)
        case _:
            raise ContentError(f"The content of a message is text or a list of parts, not {type(content).__name__}.")


def _image(url: str, detail: str) -> ImagePart:
    if detail not in DETAILS:
        raise ContentError(f"Unknown detail {detail!r} of an image.", hint="one of " + ", ".join(DETAILS))
    if not url.startswith("data:"):
        return ImagePart(url=url, detail=detail)  # type: ignore[arg-type]  # just checked against the Literal's values
    media_type, data = _data_url(url)
    return ImagePart(data=data, media_type=media_type, detail=detail)  # type: ignore[arg-type]  # as above


def _data_url(url: str) -> tuple[str, bytes]:
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise ContentError("A data URL cannot be read.", hint="it has the form data:image/png;base64,…")
    return found["media_type"] or "application/octet-stream", _bytes(found["data"])


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as exc:  # binascii.Error is one; a letter beyond ASCII is the plain kind
        raise ContentError(f"The data of a part is not base64: {exc}.") from exc


def _base64(part: ImagePart | AudioPart | FilePart) -> str:
    text = _encoded.get(part)
    if text is None:
        text = _encoded[part] = base64.b64encode(part.data).decode("ascii")
    return text
