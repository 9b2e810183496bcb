"""Files become parts by what is in them, never by their name: image, PDF, audio, text.

What comes in: bytes, or the path of a file. What goes out: one part. Nothing is fetched from anywhere.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .content import AudioPart, FilePart, TextPart
from .errors import ContentError, did_you_mean
from .images import image_from_bytes

if TYPE_CHECKING:
    from .content import Part

MAX_FILE_BYTES = 20_000_000
_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the header in a .bmp: "BM" alone may begin a text

# Control characters no text has: all but tab, line ends, form feed, backspace and escape (coloured logs).
_CONTROL = re.compile("[\x00-\x07\x0e-\x1a\x1c-\x1f]")


def part_from_bytes(data: bytes, *, filename: str = "", **image_options: Any) -> Part:
    """The part that some bytes are, by their first bytes.

    Args:
        data: What a file holds. Text must be UTF-8, or UTF-16 with its mark.
        filename: Its name without a folder; told to the model. "" where there is none.
        image_options: ``max_edge_px`` and ``detail`` for images.

    Raises:
        ContentError: It is a broken image, or nothing that can be sent.
    """
    if _is_image(data):
        return image_from_bytes(data, **image_options)
    if data.startswith(b"%PDF-"):
        name = filename or "document.pdf"
        return FilePart(data=data, media_type="application/pdf", filename=name)
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return AudioPart(data=data, format="wav")
    if _is_mp3(data):
        return AudioPart(data=data, format="mp3")
    text = _decoded(data)
    if text is None:
        what = filename or f"bytes ({len(data)} of them)"
        raise ContentError(
            f"{what} cannot be sent: neither image, PDF, WAV, MP3 nor UTF-8 text.",
            hint="for text in another encoding: {{ path.read_text(encoding='latin-1') }}",
        )
    if not filename:
        return TextPart(text=text)
    return TextPart(text=f"{filename}:\n{text}", label=f"file {filename}, {len(text)} characters")


def part_from_path(path: Path, **image_options: Any) -> Part:
    """The part that a file is.

    Text is headed by the file's name, so that the model can speak of it.

    Args:
        path: A regular file of at most 20 MB; ``~`` is the home folder.
        image_options: ``max_edge_px`` and ``detail`` for images.

    Raises:
        ContentError: It is missing, no file, too large, not readable, or nothing that can be sent.
    """
    path = path.expanduser()
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ContentError(f"{path} is a folder.", hint="name a file in it")
        if not stat.S_ISREG(status.st_mode):
            raise ContentError(f"{path} is not a regular file.")
        if status.st_size > MAX_FILE_BYTES:
            size, limit = status.st_size / 1e6, MAX_FILE_BYTES / 1e6
            raise ContentError(f"{path} is too large: {size:.1f} MB, at most {limit:.0f} MB.")
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise ContentError(f"There is no file {path}.", hint=_nearest_file(path)) from exc
    except (OSError, ValueError) as exc:  # ValueError: a null byte in the name
        reason = getattr(exc, "strerror", None) or str(exc)
        raise ContentError(f"{path} cannot be read: {reason}.") from exc
    return part_from_bytes(data, filename=path.name, **image_options)


def is_url(source: str) -> bool:
    """The text is an http or https address, not a path.

    >>> is_url("https://example.org/cat.png"), is_url("C:/cat.png"), is_url("cat.png")
    (True, False, False)
    """
    return source[:8].lower().startswith(("http://", "https://"))


def checked_url(source: str) -> str:
    """The address, if a server could fetch it.

    Raises:
        ContentError: It names no host, or holds white space.
    """
    try:
        host = urlsplit(source).hostname
    except ValueError:  # brackets that do not match
        host = None
    if not host or len(source.split()) != 1:
        raise ContentError(f"{source[:200]!r} is not a complete address.", hint="https://host/picture.png")
    return source


def _is_image(data: bytes) -> bool:
    starts = (
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF87a",
        b"GIF89a",
        b"II*\x00",
        b"MM\x00*",
        b"\x00\x00\x01\x00",
        b"\x00\x00\x00\x0cjP  ",
    )
    if data.startswith(starts):
        return True
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    if data[4:8] == b"ftyp":
        return data[8:12] in (b"avif", b"avis")
    return data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BITMAP_HEADERS


def _is_mp3(data: bytes) -> bool:
    if data[:3] == b"ID3":
        return True
    # A frame's sync mark (11 ones), then MPEG layer III, then a bit rate that is allowed.
    return len(data) > 3 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2 and data[2] >> 4 not in (0, 15)  # noqa: PLR2004  # the format's bits


def _decoded(data: bytes) -> str | None:
    """The text, None where the bytes are none."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _nearest_file(path: Path) -> str | None:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"there is no folder {path.parent} either"
    here = "here" if path.parent == Path() else f"in {path.parent}"
    return did_you_mean(path.name, names, otherwise=f"{len(names)} other files are {here}")
