"""Python values become content in the order DESIGN.md names, and nothing is imported to find out."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from PIL import Image

from llm_magic import values
from llm_magic.content import AudioPart, FilePart, ImagePart, Part, TextPart
from llm_magic.errors import ContentError
from llm_magic.values import Limits, asked_parts, file_parts, image_parts, register_content, to_parts

RED = Image.new("RGB", (20, 10), "red")


def png(image: Image.Image = RED) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def only(parts: tuple[Part, ...]) -> Part:
    assert len(parts) == 1
    return parts[0]


def text_of(value: Any, **options: Any) -> TextPart:
    part = only(to_parts(value, **options))
    assert isinstance(part, TextPart)
    return part


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own registered types."""
    monkeypatch.setattr(values, "_REGISTERED", {})


@given(st.text(min_size=1))
def test_text_is_verbatim(text: str) -> None:
    """A str is its own content, without a label."""
    assert to_parts(text, name="x") == (TextPart(text=text),)


@pytest.mark.capability("C1")
@pytest.mark.parametrize("empty", ["", b"", bytearray(), [b""]])
def test_empty_values_have_no_parts(empty: Any) -> None:
    """What is empty is no part: the protocol refuses empty text."""
    assert to_parts(empty) == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (None, "None"),
        ([1, 2, 3], "[1, 2, 3]"),
        (["Ann", "Bob"], "['Ann', 'Bob']"),
        ((), "()"),
        ({"a": 1}, "{'a': 1}"),
        (np.float64(1.5), "1.5"),
        (int, "<class 'int'>"),
    ],
)
def test_plain_values_are_their_str(value: Any, text: str) -> None:
    """Numbers, dicts and lists of plain values are text as Python writes them."""
    assert to_parts(value) == (TextPart(text=text),)


def test_parts_are_themselves() -> None:
    """Parts pass through, the very same."""
    part = ImagePart(url="https://host/a.png")

    assert only(to_parts(part)) is part


@pytest.mark.capability("K14")
def test_pictures_of_all_kinds() -> None:
    """PIL images, figures, axes and pixel arrays are pictures within the limits."""
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.plot([1, 2])
    sub_axes = Figure().add_subfigure(GridSpec(1, 1)[0, 0]).subplots()
    pixels = np.zeros((300, 200, 3), dtype=np.uint8)
    limits = Limits(max_image_edge_px=64, detail="low")

    for value in (RED, figure, axes, sub_axes, pixels, np.dstack([pixels, pixels])[:, :, :4]):
        part = only(to_parts(value, limits=limits))
        assert isinstance(part, ImagePart)
        assert max(part.width, part.height) <= 64
        assert part.detail == "low"


@pytest.mark.capability("K14")
@pytest.mark.parametrize(
    ("array", "label"),
    [
        (np.zeros((3, 4)), "a: array 3 × 4 float64"),
        (np.zeros((3, 4, 3)), "a: array 3 × 4 × 3 float64"),
        (np.zeros((3, 4, 2), dtype=np.uint8), "a: array 3 × 4 × 2 uint8"),
        (np.zeros(3, dtype=np.uint8), "a: array 3 uint8"),
    ],
)
def test_other_arrays_are_text(array: Any, label: str) -> None:
    """An array that is no picture is text with its shape and dtype."""
    part = text_of(array, name="a")

    assert part.label == label
    assert str(array.shape) in part.text


@pytest.mark.capability("K14")
def test_tables_are_labelled_text() -> None:
    """DataFrames and Series are text within the limits, labelled by name and shape."""
    df = pd.DataFrame({"a": range(5), "b": list("vwxyz"), "c": 1.5})

    assert text_of(df, name="df").label == "df: DataFrame 5 × 3"
    assert text_of(df["b"], name="s").label == "s: Series 5"
    assert "3 rows left out" in text_of(df, limits=Limits(frame_rows=2)).text
    assert "1 column left out" in text_of(df, limits=Limits(frame_columns=2)).text
    assert len(text_of(pd.concat([df] * 4), limits=Limits(frame_bytes=150)).text.encode()) <= 150


@pytest.mark.capability("K14")
def test_bytes_are_what_they_hold() -> None:
    """Bytes are told by what is in them."""
    assert isinstance(only(to_parts(png())), ImagePart)
    assert isinstance(only(to_parts(bytearray(png()))), ImagePart)
    assert isinstance(only(to_parts(memoryview(b"%PDF-1.7"))), FilePart)
    assert isinstance(only(to_parts(b"RIFF\x00\x00\x00\x00WAVEfmt ")), AudioPart)
    assert to_parts("grün".encode()) == (TextPart(text="grün"),)


@pytest.mark.capability("K14")
def test_path_is_the_file(tmp_path: Path) -> None:
    """A path stands for its file; one that is missing names the nearest."""
    (tmp_path / "photo.png").write_bytes(png())
    (tmp_path / "notes.txt").write_text("read me")

    assert isinstance(only(to_parts(tmp_path / "photo.png")), ImagePart)
    assert text_of(tmp_path / "notes.txt").text == "notes.txt:\nread me"
    with pytest.raises(ContentError, match=r"did you mean photo\.png\?"):
        to_parts(tmp_path / "phto.png")


def test_lists_keep_their_order() -> None:
    """A list with pictures in it stands for its items, in order, however nested."""
    df = pd.DataFrame({"a": [1]})

    parts = to_parts(["before", RED, ("between", [df]), 7, "after"])

    kinds = [part.text if isinstance(part, TextPart) and not part.label else type(part).__name__ for part in parts]
    assert kinds == ["before", "ImagePart", "between", "TextPart", "7", "after"]


def test_lists_that_hold_themselves_end() -> None:
    """A list inside itself is one line, or Python's own text for it."""
    plain: list[Any] = [1]
    plain.append(plain)
    rich: list[Any] = [RED]
    rich.append(rich)

    assert text_of(plain).text == "[1, [...]]"
    with pytest.raises(ContentError, match="nested more than"):
        to_parts(rich)


@dataclass
class Molecule:
    smiles: str
    answer: Any = None

    def _repr_llm_(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.smiles if self.answer is None else self.answer


def test_repr_llm_says_how_to_read() -> None:
    """An object's ``_repr_llm_`` may return text, a part, a picture or a list of them."""
    url = ImagePart(url="https://host/a.png")

    assert to_parts(Molecule("CCO"), name="m") == (TextPart(text="CCO"),)
    assert text_of(Molecule("C\nO"), name="m").label == "m: Molecule"
    assert to_parts(Molecule("", url)) == (url,)
    assert isinstance(only(to_parts(Molecule("", RED))), ImagePart)
    assert [type(part) for part in to_parts(Molecule("", ["a", RED, url]))] == [
        TextPart,
        ImagePart,
        ImagePart,
    ]
    assert len(to_parts([Molecule("CCO"), Molecule("O")])) == 2
    assert text_of(Molecule).text.startswith("<class")


def test_objects_that_answer_to_every_name_are_text() -> None:
    """An object that invents attributes is not mistaken for one that describes itself."""

    class Inventor:
        def __getattr__(self, name: str) -> Any:
            return lambda: name

        def __str__(self) -> str:
            return "inventor"

    assert text_of(Inventor()).text == "inventor"


@pytest.mark.capability("K14")
def test_registered_types_come_first() -> None:
    """A registered function wins over everything, for subclasses too, the nearest type first."""

    class Ethanol(Molecule):
        pass

    register_content(Molecule, lambda m: f"molecule {m.smiles}")
    assert text_of(Ethanol("CCO")).text == "molecule CCO"

    register_content(Ethanol, lambda _: [RED, "ethanol"])
    register_content(Image.Image, lambda _: ImagePart(url="https://host/seen.png"))
    assert to_parts(Ethanol("CCO")) == (ImagePart(url="https://host/seen.png"), TextPart(text="ethanol"))
    assert text_of(Molecule("O")).text == "molecule O"

    register_content(str, lambda s: TextPart(text=s.upper()))
    assert text_of("loud").text == "LOUD"


@pytest.mark.parametrize("answer", [ValueError("no bonds"), KeyError()])
def test_failing_conversion_names_the_type(answer: Exception) -> None:
    """A custom conversion that fails is one line with the type, from its cause."""
    with pytest.raises(ContentError, match=r"Molecule cannot be sent: _repr_llm_ failed") as caught:
        to_parts([Molecule("", answer)])

    assert caught.value.__cause__ is answer
    assert "\n" not in str(caught.value)


def test_conversion_that_returns_nothing_is_an_error() -> None:
    """None from a custom conversion is told, not sent as the word."""
    register_content(Molecule, lambda _: None)

    with pytest.raises(ContentError, match=r"m \(Molecule\) returned None"):
        to_parts(Molecule(""), name="m")


def test_conversion_that_returns_itself_ends() -> None:
    """A custom conversion that only hands the value back is one line."""
    register_content(Molecule, lambda m: m)

    with pytest.raises(ContentError, match="nested more than"):
        to_parts(Molecule(""))


def test_failing_str_names_the_type() -> None:
    """A value that cannot even be printed is one line, also where its exception cannot."""

    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no\nwords")

    with pytest.raises(ContentError, match=r"type Mute cannot be sent.*\(RuntimeError: no words\)"):
        to_parts(Mute())
    with pytest.raises(ContentError, match=r"_repr_llm_ failed \(SilentError\)"):
        to_parts(Molecule("", SilentError()))


@pytest.mark.parametrize("bad", [("int", str), (int, "str")])
def test_register_content_checks(bad: tuple[Any, Any]) -> None:
    """Only types and functions can be registered."""
    with pytest.raises(ContentError, match=r"register_content\(type, function\)"):
        register_content(*bad)


@pytest.mark.parametrize(
    "shown",
    [png(), base64.b64encode(png()).decode(), (png(), {"width": 1})],
    ids=["bytes", "base64", "with metadata"],
)
def test_objects_that_show_a_picture_are_it(shown: Any) -> None:
    """What a notebook would show as a picture is sent as one."""

    class Plot:
        def _repr_png_(self) -> Any:
            return shown

    part = only(to_parts(Plot()))

    assert isinstance(part, ImagePart)
    assert part.data == png()
    assert [type(part) for part in to_parts(["a", Plot()])] == [TextPart, ImagePart]


def test_objects_without_their_picture_are_text() -> None:
    """One that has none to show today is its text."""

    class Plot:
        def _repr_png_(self) -> None:
            return None

        def _repr_jpeg_(self) -> None:
            return None

        def __str__(self) -> str:
            return "no plot"

    assert text_of(Plot()).text == "no plot"


@pytest.mark.capability("K14")
def test_drawings_are_their_source() -> None:
    """SVG is text to a model, with or without metadata; one that draws nothing today is its text."""
    from IPython import display

    class Plot:
        def __init__(self, shown: object) -> None:
            self.shown = shown

        def _repr_svg_(self) -> object:
            return self.shown

        def __str__(self) -> str:
            return "no plot"

    source = "<svg><circle r='3'/></svg>"
    drawing = text_of(display.SVG(source), name="logo")  # type: ignore[no-untyped-call]  # IPython has no types here

    assert (drawing.text.replace('"', "'"), drawing.label) == (source, "logo: SVG")
    assert text_of(Plot((source, {}))).text == source
    assert text_of(Plot(None)).text == "no plot"
    assert [part.text for part in to_parts(["a", Plot(source)]) if isinstance(part, TextPart)] == ["a", source]


@pytest.mark.capability("K14")
def test_ipython_sounds_are_sounds() -> None:
    """IPython's Audio is sent as what it plays; one that only knows an address has nothing to send."""
    from IPython import display

    heard = b"RIFF\x00\x00\x00\x00WAVEfmt "
    sound = display.Audio(data=heard)  # type: ignore[no-untyped-call]  # IPython has no types here
    far = display.Audio(url="https://host/a.wav")  # type: ignore[no-untyped-call]

    assert only(to_parts(sound)) == AudioPart(data=heard, format="wav")
    with pytest.raises(ContentError, match="holds no sound"):
        to_parts(far)


@pytest.mark.capability("K14")
def test_ipython_images_are_pictures() -> None:
    """IPython's own Image object is sent as a picture."""
    from IPython import display

    part = only(to_parts(display.Image(data=png())))  # type: ignore[no-untyped-call]  # IPython has no types here

    assert isinstance(part, ImagePart)
    assert part.data == png()


def test_long_plain_lists_are_one_text() -> None:
    """A list of many numbers is text, in one piece."""
    assert len(to_parts(list(range(300_000)))) == 1


def test_image_option_takes_pictures_paths_and_addresses(tmp_path: Path) -> None:
    """``-i`` takes a value, a path, an address (not fetched), or a data address."""
    (tmp_path / "a.png").write_bytes(png())
    limits = Limits(detail="high")
    inline = "data:image/png;base64," + base64.b64encode(png()).decode()

    for source in (RED, tmp_path / "a.png", str(tmp_path / "a.png"), inline, png()):
        part = only(image_parts(source, limits=limits))
        assert isinstance(part, ImagePart)
        assert (part.width, part.detail) == (20, "high")
    assert len(image_parts([RED, RED])) == 2
    assert image_parts("HTTPS://host/a.png", limits=limits) == (ImagePart(url="HTTPS://host/a.png", detail="high"),)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (5, r"a value of type int is not a picture"),
        ([RED, "text"], r"a value of type list is not a picture"),
        ([], r"not a picture"),
        ("no/such.png", r"There is no file no/such\.png"),
        ("https://", r"not a complete address"),
        ("http://[half/a.png", r"not a complete address"),
        ("https://host/a b.png", r"not a complete address"),
        ("data:image/png;base64,!!!", r"not a complete data address"),
        ("data:image/png;base64,", r"cannot be read"),
        (b"text", r"not a picture"),
    ],
)
def test_image_option_refuses_other_things(source: Any, said: str) -> None:
    """``-i`` with anything but a picture is one line."""
    with pytest.raises(ContentError, match=said) as caught:
        image_parts(source)

    assert "\n" not in str(caught.value)


def test_file_option_takes_files_and_values(tmp_path: Path) -> None:
    """``-f`` takes a path as text or Path, or any value."""
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 ...")
    pdf = FilePart(data=b"%PDF-1.4 ...", media_type="application/pdf", filename="a.pdf")

    assert file_parts(tmp_path / "a.pdf") == (pdf,)
    assert file_parts(str(tmp_path / "a.pdf")) == (pdf,)
    assert only(file_parts(pd.DataFrame({"a": [1]}), name="df")).label == "df: DataFrame 1 × 1"
    with pytest.raises(ContentError, match=r"is an address, not a file"):
        file_parts("https://host/a.pdf")


def test_pure_paths_are_paths() -> None:
    """Any object that is a path is read as one."""
    with pytest.raises(ContentError, match="There is no file"):
        to_parts(PurePosixPath("/no/such/file"))


def test_nothing_heavy_is_imported() -> None:
    """Converting plain values imports neither pandas, numpy, PIL nor matplotlib."""
    code = (
        "import sys; from llm_magic.values import to_parts\n"
        "to_parts([1, 'a', {'b': 2}]); to_parts(b'text'); to_parts(object())\n"
        "print(sorted({'pandas', 'numpy', 'PIL', 'matplotlib', 'openai'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


@pytest.mark.capability("C19")
def test_an_address_is_a_picture_only_where_it_is_marked() -> None:
    """img: before it; an address in a text, alone or behind the mark in the middle, stays text."""
    url = "https://example.org/a.png"

    assert asked_parts(f"img:{url}") == (ImagePart(url=url),)
    for text in (url, f"see {url}", f"see img:{url}", "img:cat.png", "img:", "img:file:///etc/passwd"):
        assert asked_parts(text) == (TextPart(text=text),)
        assert to_parts(text) == (TextPart(text=text),)
    assert to_parts(f"img:{url}") == (TextPart(text=f"img:{url}"),)  # what stands in a table or a variable
