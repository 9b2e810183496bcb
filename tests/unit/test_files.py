"""Files are told by what is in them; what cannot be sent is one clear line."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llm_magic.content import AudioPart, FilePart, ImagePart, TextPart
from llm_magic.errors import ContentError
from llm_magic.files import MAX_FILE_BYTES, part_from_bytes, part_from_path


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF", "JPEG2000"])
def test_images_are_told_by_their_bytes(kind: str) -> None:
    """Every kind of image that can be read is a picture, whatever its name."""
    assert isinstance(part_from_bytes(picture(kind), filename="notes.txt"), ImagePart)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "wav"),
        (b"ID3\x04\x00", "mp3"),
        (b"\xff\xfb\x90\x64\x00", "mp3"),
        (b"\xff\xf3\x40\xc4\x00", "mp3"),
    ],
)
def test_sounds_are_told_by_their_bytes(data: bytes, kind: str) -> None:
    """WAV and MP3 are sound, with and without tags."""
    part = part_from_bytes(data)

    assert isinstance(part, AudioPart)
    assert (part.format, part.data) == (kind, data)


def test_pdf_is_a_file_with_its_name() -> None:
    """A PDF is a file part, named so that the model can speak of it."""
    part = part_from_bytes(b"%PDF-1.7 ...", filename="paper.pdf")

    assert part == FilePart(data=b"%PDF-1.7 ...", media_type="application/pdf", filename="paper.pdf")


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=80))
def test_text_is_read_as_it_is(text: str) -> None:
    """UTF-8 text, and UTF-16 with its mark, come out as they went in."""
    text = "text " + text

    assert part_from_bytes(text.encode()) == TextPart(text=text)
    assert part_from_bytes(b"\xef\xbb\xbf" + text.encode()) == TextPart(text=text)
    assert part_from_bytes(text.encode("utf-16")) == TextPart(text=text)


@pytest.mark.parametrize("text", ["BMW sells cars, and this is text about it", "II* is not TIFF", "%!PS", "GIF", "ID"])
def test_text_that_begins_like_a_format_is_text(text: str) -> None:
    """The first letters of a format do not make a text an image."""
    assert part_from_bytes(text.encode()) == TextPart(text=text)


def test_text_file_is_headed_by_its_name(tmp_path: Path) -> None:
    """The model is told the name of a text file, the label its name and length."""
    (tmp_path / "notes.md").write_bytes("# Grün\nx".encode())

    part = part_from_path(tmp_path / "notes.md")

    assert part == TextPart(text="notes.md:\n# Grün\nx", label="file notes.md, 8 characters")


@pytest.mark.parametrize(
    "data", [b"\x00\x01\x02", "Grün".encode("latin-1"), b"PK\x03\x04", b"\xff\xfe\x00", b"ELF\x00"]
)
def test_unknown_bytes_are_refused(data: bytes) -> None:
    """What is neither picture, PDF, sound nor text is one line, with a way out."""
    with pytest.raises(ContentError, match=r"things\.bin cannot be sent: neither image.*Hint: .*latin-1"):
        part_from_bytes(data, filename="things.bin")


def test_broken_picture_is_refused() -> None:
    """A file that begins like an image and is none is one line."""
    with pytest.raises(ContentError, match="cannot be read"):
        part_from_bytes(b"\x89PNG\r\n\x1a\nbroken")


@given(st.binary(max_size=64))
def test_any_bytes_are_a_part_or_an_error(data: bytes) -> None:
    """Whatever the bytes: content that is not lost, or one line."""
    with contextlib.suppress(ContentError):
        assert isinstance(part_from_bytes(data), TextPart | AudioPart | FilePart | ImagePart)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    """A typo in a file's name is one line with the nearest name in its folder."""
    (tmp_path / "report.csv").write_text("a")

    with pytest.raises(ContentError, match=r"There is no file .*reprt\.csv\.  Hint: did you mean report\.csv\?"):
        part_from_path(tmp_path / "reprt.csv")
    with pytest.raises(ContentError, match=r"there is no folder .*nowhere either"):
        part_from_path(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(ContentError, match=r"1 other file"):
        part_from_path(tmp_path / "zzzzzzzz")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Folders, devices, pipes and impossible names are one line each, and none is read."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ContentError, match="is a folder"):
        part_from_path(tmp_path)
    with pytest.raises(ContentError, match="not a regular file"):
        part_from_path(tmp_path / "pipe")
    with pytest.raises(ContentError, match="not a regular file"):
        part_from_path(Path(os.devnull))
    with pytest.raises(ContentError, match="cannot be read"):
        part_from_path(Path("a\x00b"))


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    """A file over 20 MB is one line with its size."""
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1_000_000)

    with pytest.raises(ContentError, match=r"huge\.txt is too large: 21\.0 MB, at most 20 MB"):
        part_from_path(tmp_path / "huge.txt")


def test_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "a.txt").write_text("x")

    assert part_from_path(Path("~/a.txt")) == TextPart(text="a.txt:\nx", label="file a.txt, 1 characters")
