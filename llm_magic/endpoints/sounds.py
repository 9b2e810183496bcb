"""``speak()`` and ``transcribe()``: text becomes sound, and sound text."""

from __future__ import annotations

import asyncio
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ..content import AudioPart
from ..counts import Usage
from ..errors import ConfigurationError, ContentError
from ..tokens import count_text
from ..values import is_of
from .desk import Desk, Endpoint, Said, Sending, blocking, on_engine, usage_of, whole_params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.display import Audio

    from ..backends.base import Backend
    from ..backends.posting import Posted

SPEECH = Endpoint(
    kind="speak", api="audio.speech", path="/audio/speech", feature="speech", default_model="gpt-4o-mini-tts"
)
TRANSCRIPTIONS = Endpoint(
    kind="transcribe",
    api="audio.transcriptions",
    path="/audio/transcriptions",
    feature="transcriptions",
    default_model="gpt-4o-transcribe",
)
SoundFormat: TypeAlias = Literal["mp3", "wav", "opus", "aac", "flac"]
_MEDIA_TYPES: Mapping[str, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
}
# What the endpoint takes, by suffix, and the most it takes of it.
_TAKEN: Mapping[str, str] = {
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "mp4": "audio/mp4",
    "mpeg": "audio/mpeg",
    "mpga": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "webm": "audio/webm",
}
MOST_BYTES = 25_000_000
# How files of these formats begin: where, with what.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (8, b"WAVE", "wav"),
    (0, b"ID3", "mp3"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"\x1a\x45\xdf\xa3", "webm"),
    (4, b"ftyp", "m4a"),
)
_MP3_SYNC = 0xE0


class Transcript(str):
    """What was said, a text with more to it.

    Attributes:
        segments: Pieces with their times, as the server sent them; () where it sent none.
        language: The language that was heard, None where the server does not say.
        duration_s: How long the sound is, in seconds; None where the server does not say.
        usage: Tokens, as the server says; None where it bills otherwise.
    """

    __slots__ = ("duration_s", "language", "segments", "usage")
    segments: tuple[Mapping[str, Any], ...]
    language: str | None
    duration_s: float | None
    usage: Usage | None


async def aspeak(
    text: str,
    *,
    model: str | None = None,
    voice: str = "alloy",
    format: SoundFormat = "mp3",  # noqa: A002  # the word users know
    backend: Backend | None = None,
    timeout_s: float | None = None,
    **params: Any,
) -> Audio:
    """Have a text spoken.

    Args:
        text: What is said.
        model: The model; None takes gpt-4o-mini-tts of OpenAI.
        voice: Whose voice, as the server calls it.
        format: Of the sound.
        backend: Asked instead of the configured one.
        timeout_s: Seconds for the request as a whole, None for no limit.
        params: Further request parameters by their OpenAI name: instructions, speed …

    Returns:
        An ``IPython.display.Audio``; its bytes are in ``.data``.

    Raises:
        LLMMagicError: The text is empty, nobody can be asked, or the request failed.
    """
    if not isinstance(text, str) or not text.strip():
        what = "the text is empty" if isinstance(text, str) else f"a value of type {type(text).__name__} is no text"
        raise ContentError(f"There is nothing to say: {what}.")
    if format not in get_args(SoundFormat):
        known = ", ".join(get_args(SoundFormat))
        raise ConfigurationError(f"{format!r} is no format for speech here.", hint=f"one of {known}")
    body = whole_params({"input": text, "voice": voice, "response_format": format, **params})
    desk = Desk(SPEECH, model=model, backend=backend, timeout_s=timeout_s)

    def estimate() -> Usage:
        tokens = count_text(text, desk.model).tokens
        return Usage(input_tokens=tokens, total_tokens=tokens)

    # The sound is billed too, and its length is not told.
    sending = Sending(body=body, read=_read_sound, estimate=estimate, is_priced=False)
    data = await on_engine(desk.send(sending))
    from IPython.display import Audio

    sound = Audio(data=data)  # type: ignore[no-untyped-call]  # IPython's is
    # Of bytes it believes that they are WAV.
    sound.mimetype = _MEDIA_TYPES[format]
    return sound


speak = blocking(aspeak)


async def atranscribe(
    source: Any,
    *,
    model: str | None = None,
    language: str | None = None,
    prompt: str | None = None,
    backend: Backend | None = None,
    timeout_s: float | None = None,
    **params: Any,
) -> Transcript:
    """Have a recording written down.

    Args:
        source: A path, bytes, an ``AudioPart``, or an ``IPython.display.Audio``: flac, m4a, mp3, mp4, ogg, wav or webm
            of at most 25 MB.
        model: The model; None takes gpt-4o-transcribe of OpenAI.
        language: What is spoken, by ISO 639-1 ("de"); None lets the model find out.
        prompt: Words that help: names, the end of what was said before.
        backend: Asked instead of the configured one.
        timeout_s: Seconds for the request as a whole, None for no limit.
        params: Further request parameters by their OpenAI name: ``response_format="verbose_json"`` gives segments
            (whisper-1), temperature …

    Returns:
        The text, with ``segments``, ``language``, ``duration_s`` and ``usage``.

    Raises:
        LLMMagicError: The sound cannot be sent, nobody can be asked, or the request failed.
    """
    name, data = await asyncio.to_thread(_recording, source)
    body = {"response_format": "json", "language": language, "prompt": prompt, **params}
    if body["response_format"] not in ("json", "verbose_json"):
        shown = body["response_format"]
        raise ConfigurationError(f"{shown!r} is no response_format here.", hint="json, or verbose_json for segments")
    desk = Desk(TRANSCRIPTIONS, model=model, backend=backend, timeout_s=timeout_s)

    def estimate() -> Usage:
        return Usage()

    sending = Sending(
        body=whole_params(body),
        read=lambda posted: _read_transcript(posted, desk.model),
        estimate=estimate,
        files=(("file", (name, data, _TAKEN[name.rpartition(".")[2]])),),
        is_priced=False,
    )
    return await on_engine(desk.send(sending))


transcribe = blocking(atranscribe)


def _read_sound(posted: Posted) -> Said[bytes]:
    # JSON or a page where sound should be: an error of the server's, or of a proxy's.
    is_sound = posted.media_type.startswith("audio/") or posted.media_type == "application/octet-stream"
    if not is_sound or not posted.data:
        if posted.media_type == "application/json":
            posted.json("sound")
        raise posted.strange("sound")
    return Said(value=posted.data)


def _read_transcript(posted: Posted, model: str) -> Said[Transcript]:
    reply = posted.json("transcription")
    text = reply.get("text")
    if not isinstance(text, str):
        raise posted.strange("transcription")
    usage = usage_of(reply.get("usage"))
    made = Transcript(text)
    made.segments = tuple(reply.get("segments") or ())
    made.language, made.duration_s = reply.get("language"), reply.get("duration")
    made.usage = usage
    if made.duration_s is None and isinstance(reply.get("usage"), dict):
        made.duration_s = reply["usage"].get("seconds")
    if usage is None:
        answered = count_text(text, model).tokens
        usage = Usage(output_tokens=answered, total_tokens=answered, is_estimate=True)
    return Said(value=made, usage=usage)


def _recording(source: Any) -> tuple[str, bytes]:
    """A file name that tells the format, and the bytes.

    Raises:
        ContentError: It is no sound that can be sent.
    """
    if isinstance(source, AudioPart):
        name, data = f"sound.{source.format}", source.data
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        name = f"sound.{_format_of(data)}"
    elif is_of(source, "IPython.display", "Audio"):
        data = source.data if isinstance(source.data, bytes) else b""
        name = f"sound.{_format_of(data)}"
    elif not isinstance(source, str | PathLike):
        hint = "give a path, bytes, an AudioPart or an Audio"
        raise ContentError(f"A value of type {type(source).__name__} is no sound.", hint=hint)
    else:
        path = Path(source).expanduser()
        name, data = path.name.lower(), _read_file(path)
    suffix = name.rpartition(".")[2]
    if suffix not in _TAKEN:
        known = ", ".join(_TAKEN)
        raise ContentError(f"{name!r} is in no format that can be transcribed.", hint=f"convert it to one of {known}")
    if len(data) > MOST_BYTES:
        size = len(data) / 1e6
        raise ContentError(f"The sound is {size:.1f} MB; 25 MB can be sent.", hint="cut it, or convert it to mp3")
    if not data:
        raise ContentError("The sound is empty.")
    return name, data


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            size = path.stat().st_size / 1e6
            raise ContentError(f"{path.name} is {size:.1f} MB; 25 MB can be sent.", hint="cut it, or convert it to mp3")
        return path.read_bytes()
    except OSError as exc:
        raise ContentError(f"{path} cannot be read: {exc.strerror}.") from exc


def _format_of(data: bytes) -> str:
    """The suffix of a recording, by how it begins; "" where it is none that is known."""
    for start, magic, suffix in _MAGIC:
        if data[start : start + len(magic)] == magic:
            return suffix
    is_mp3 = len(data) > 1 and data[0] == 0xFF and data[1] & _MP3_SYNC == _MP3_SYNC  # noqa: PLR2004  # a frame's first byte
    return "mp3" if is_mp3 else ""
