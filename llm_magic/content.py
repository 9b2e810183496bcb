"""The content of messages: parts (text, image, audio, file), messages, and their dict form.

Values only. How Python objects become parts is in ``values.py``, how parts look on the wire in
``backends/wire.py``. Bytes stay bytes here; base64 happens at the wire and in saved files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, assert_never, get_args

from .errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Mapping

Detail: TypeAlias = Literal["auto", "low", "high", "original"]
Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
DETAILS: tuple[str, ...] = get_args(Detail)
ROLES: tuple[str, ...] = get_args(Role)
# What the protocol takes for an author's name.
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """Text.

    Attributes:
        text: The text itself, sent verbatim.
        label: What it was made from ("df: DataFrame 5 × 3"), shown instead of long text in views; "" for
            text the user typed.
    """

    text: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class ImagePart:
    """A picture: encoded bytes, or the address of one that the server fetches.

    Attributes:
        data: Encoded image bytes (PNG, JPEG, GIF, WebP), empty where ``url`` is given.
        media_type: "image/png", "image/jpeg" … of ``data``; "" for a url.
        url: http(s) address, "" where ``data`` is given.
        detail: How closely the model looks: auto, low, high, original.
        width: Width of the encoded image in pixels, 0 where unknown.
        height: Height of the encoded image in pixels, 0 where unknown.
    """

    data: bytes = b""
    media_type: str = ""
    url: str = ""
    detail: Detail = "auto"
    width: int = 0
    height: int = 0

    @property
    def label(self) -> str:
        """What a view says of the picture without showing it."""
        if self.url:
            return f"image {self.url}"
        size = f" {self.width} × {self.height}" if self.width else ""
        return f"image{size}, {len(self.data) / 1000:.0f} kB"


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class AudioPart:
    """Sound.

    Attributes:
        data: Encoded audio bytes.
        format: "wav" or "mp3", the two the protocol takes.
    """

    data: bytes
    format: Literal["wav", "mp3"]

    @property
    def label(self) -> str:
        """What a view says of the sound."""
        return f"audio {self.format}, {len(self.data) / 1000:.0f} kB"


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class FilePart:
    """A document the server reads itself (PDF).

    Attributes:
        data: The file's bytes.
        media_type: "application/pdf".
        filename: Name shown to the model, without a folder.
    """

    data: bytes
    media_type: str
    filename: str

    @property
    def label(self) -> str:
        """What a view says of the file."""
        return f"file {self.filename}, {len(self.data) / 1000:.0f} kB"


Part: TypeAlias = TextPart | ImagePart | AudioPart | FilePart


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A function the model wants called.

    Attributes:
        id: The call's id, to answer it by.
        name: The function's name, as the model wrote it.
        arguments: JSON text of the arguments, as the model wrote it; may be broken JSON.
        signature: What its server signed the thought behind it with, and wants back (Gemini); "" for most.
    """

    id: str
    name: str
    arguments: str
    signature: str = ""

    @property
    def parsed(self) -> Any:
        """The arguments as Python values, for who runs the call; None where they are no JSON."""
        try:
            return json.loads(self.arguments or "{}")
        except ValueError:
            return None

    def to_dict(self) -> dict[str, Any]:
        """The call in the protocol's own form."""
        out: dict[str, Any] = {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }
        if self.signature:
            out["extra_content"] = {"google": {"thought_signature": self.signature}}
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What became of one tool call, as the model is told.

    Attributes:
        call_id: Id of the call it answers.
        name: The function's name, as the model wrote it.
        parts: The content, in order; of an error, its text.
        is_error: The call failed, was denied, or could not be made.
        is_denied: It is an error because the call was not allowed to run.
        latency_s: How long the function ran, in seconds; None where it did not run.
    """

    call_id: str
    name: str
    parts: tuple[Part, ...] = ()
    is_error: bool = False
    is_denied: bool = False
    latency_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; :meth:`from_dict` reads it."""
        out: dict[str, Any] = {"call_id": self.call_id, "name": self.name}
        out["parts"] = [part_to_dict(part) for part in self.parts]
        if self.is_error:
            out["is_error"] = True
        if self.is_denied:
            out["is_denied"] = True
        if self.latency_s is not None:
            out["latency_s"] = self.latency_s
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ToolResult:
        """The inverse of :meth:`to_dict`.

        Raises:
            ContentError: A part is of an unknown type.
        """
        return cls(
            call_id=str(data.get("call_id") or ""),
            name=str(data.get("name") or ""),
            parts=tuple(part_from_dict(part) for part in data.get("parts", ())),
            is_error=bool(data.get("is_error")),
            is_denied=bool(data.get("is_denied")),
            latency_s=data.get("latency_s"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: who says what.

    Attributes:
        role: system, developer, user, assistant or tool.
        parts: Content in order.
        name: Author name of the protocol, None for most messages.
        tool_calls: Calls an assistant message makes.
        tool_call_id: The call a tool message answers, None for other roles.
        reasoning: What the assistant thought before it called; sent only to servers that want it back.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str = ""

    @property
    def text(self) -> str:
        """All text parts, joined without a separator."""
        return text_of(self.parts)


def text_of(parts: tuple[Part, ...]) -> str:
    """The text of text parts, joined without a separator; other parts leave nothing."""
    match parts:
        case (TextPart(text=text),):
            return text
        case _:
            return "".join(part.text for part in parts if isinstance(part, TextPart))


def message(role: Role, text: str) -> Message:
    """A message of one text part, of none where the text is empty."""
    return Message(role=role, parts=(TextPart(text=text),) if text else ())


def media_hash(part: ImagePart | AudioPart | FilePart) -> str:
    """SHA-256 of a part's bytes, hex, the first 16 digits: enough to tell pictures of one notebook apart."""
    return hashlib.sha256(part.data).hexdigest()[:16]


def part_to_dict(part: Part) -> dict[str, Any]:
    """A part as JSON-able dict with a ``type`` tag; bytes as base64 text."""
    match part:
        case TextPart():
            return {"type": "text", "text": part.text} | ({"label": part.label} if part.label else {})
        case ImagePart():
            body = {"url": part.url} if part.url else {"data": _b64(part.data), "media_type": part.media_type}
            return {
                "type": "image",
                **body,
                "detail": part.detail,
                "width": part.width,
                "height": part.height,
            }
        case AudioPart():
            return {"type": "audio", "data": _b64(part.data), "format": part.format}
        case FilePart():
            return {
                "type": "file",
                "data": _b64(part.data),
                "media_type": part.media_type,
                "filename": part.filename,
            }
        case _:
            assert_never(part)


def part_from_dict(data: Mapping[str, Any]) -> Part:
    """The inverse of :func:`part_to_dict`.

    Raises:
        ContentError: The ``type`` is unknown.
    """
    fields = {key: value for key, value in data.items() if key != "type"}
    if "data" in fields:
        fields["data"] = base64.b64decode(fields["data"])
    match data.get("type"):
        case "text":
            return TextPart(**fields)
        case "image":
            return ImagePart(**fields)
        case "audio":
            return AudioPart(**fields)
        case "file":
            return FilePart(**fields)
        case other:
            raise ContentError(f"Unknown part type {other!r}.", hint="known: text, image, audio, file")


def message_to_dict(item: Message) -> dict[str, Any]:
    """A message as JSON-able dict; keys without a value are left out."""
    out: dict[str, Any] = {"role": item.role, "parts": [part_to_dict(part) for part in item.parts]}
    if item.name is not None:
        out["name"] = item.name
    if item.tool_calls:
        out["tool_calls"] = [call.to_dict() for call in item.tool_calls]
    if item.tool_call_id is not None:
        out["tool_call_id"] = item.tool_call_id
    if item.reasoning:
        out["reasoning"] = item.reasoning
    return out


def message_from_dict(data: Mapping[str, Any]) -> Message:
    """The inverse of :func:`message_to_dict`.

    Raises:
        ContentError: The role is missing or unknown, or a part is.
    """
    return Message(
        role=checked_role(data.get("role")),
        parts=tuple(part_from_dict(part) for part in data.get("parts", ())),
        name=data.get("name"),
        tool_calls=tuple(tool_call_from_dict(call) for call in data.get("tool_calls", ())),
        tool_call_id=data.get("tool_call_id"),
        reasoning=str(data.get("reasoning") or ""),
    )


def tool_call_from_dict(data: Mapping[str, Any]) -> ToolCall:
    """A tool call from the protocol's own form; arguments that are an object become their JSON text."""
    function = data.get("function") or {}
    arguments = function.get("arguments")
    return ToolCall(
        signature=signature_of(data),
        id=str(data.get("id") or ""),
        name=str(function.get("name") or ""),
        arguments=json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else str(arguments or ""),
    )


def normalized_name(name: str) -> str:
    """A tool's name as a model wrote it, made one that servers take back: letters, digits, "_", "-", at most 64.

    >>> normalized_name("functions.get weather")
    'functions_get_weather'
    """
    return _NOT_IN_NAMES.sub("_", name)[:_MAX_NAME] or "_"


def signature_of(call: Mapping[str, Any]) -> str:
    """The signature of a call in the protocol's form; "" where it has none."""
    match call.get("extra_content"):
        case {"google": {"thought_signature": str(text)}}:
            return text
        case _:
            return ""


def checked_role(role: object) -> Role:
    """The role, if it is one.

    Raises:
        ContentError: It is missing or unknown.
    """
    if role is None:
        raise ContentError("A message has no role.", hint="one of " + ", ".join(ROLES))
    if role not in ROLES:
        # Cut: in a damaged file anything may stand in its place.
        raise ContentError(f"Unknown role {str(role)[:40]!r}.", hint="one of " + ", ".join(ROLES))
    return role  # type: ignore[return-value]  # just checked against the Literal's values


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
