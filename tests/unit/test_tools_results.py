"""What functions return becomes what the model is told."""

from __future__ import annotations

import collections
import datetime as dt
import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import BaseModel

from llm_magic.content import ImagePart, TextPart, ToolResult, text_of
from llm_magic.tools.results import result_parts
from llm_magic.values import DEFAULT_LIMITS


class Color(enum.Enum):
    """A color."""

    RED = "red"


@dataclass
class Point:
    """A place."""

    x: float
    when: dt.date


class Person(BaseModel):
    """Somebody."""

    name: str


class Shown:
    """Says itself what a model sees."""

    def _repr_llm_(self) -> str:
        return "as I say"


def text(value: Any, **more: Any) -> str:
    """The one text a value becomes."""
    (part,) = result_parts(value, limits=DEFAULT_LIMITS, **more)
    assert isinstance(part, TextPart)
    return part.text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("  verbatim\n", "  verbatim\n"),
        ("", "(empty)"),
        (None, "done"),
        (True, "true"),
        (0, "0"),
        (2.5, "2.5"),
        (float("nan"), "NaN"),
        (Color.RED, '"red"'),
        ({"a": [1, None], "ü": {1}}, '{"a": [1, null], "ü": [1]}'),
        ([1, "a"], '[1, "a"]'),
        ((), "[]"),
        ((number for number in (1, 2)), "[1, 2]"),
        (Point(1.0, dt.date(2026, 11, 21)), '{"x": 1.0, "when": "2026-11-21"}'),
        ([Person(name="Ada")], '[{"name": "Ada"}]'),
        (Person(name="Ada"), '{"name": "Ada"}'),
        (collections.Counter("aab"), '{"a": 2, "b": 1}'),
        ({"n": np.int64(3), "a": np.arange(2.0), "b": b"\xff", 1: 2j}, None),
        (np.float64(2.5), "2.5"),
        (dt.date(2026, 11, 21), "2026-11-21"),
        (Shown(), "as I say"),
        ({"it": Shown()}, '{"it": "as I say"}'),
    ],
)
def test_values_become_text(value: Any, said: str | None) -> None:
    """Text is verbatim, values that JSON knows are JSON, others what they are in a prompt."""
    if said is None:
        assert text(value).startswith('{"n": 3, "a": "array, shape (2,), float64')
        assert text(value).endswith('"1": "2j"}')
    else:
        assert text(value) == said


def test_a_value_that_holds_itself_is_text() -> None:
    """JSON has no form for it; Python's own has."""
    loop: list[Any] = [1]
    loop.append(loop)

    assert text(loop) == "[1, [...]]"


@pytest.mark.capability("D19")
def test_content_of_any_kind_keeps_its_order() -> None:
    """A table, a picture, a part and text in one list; a list of numbers is one text."""
    frame, picture = pd.DataFrame({"a": [1]}), Image.new("RGB", (4, 4))

    parts = result_parts(["See", frame, picture, TextPart(text="!")], limits=DEFAULT_LIMITS)

    assert [type(part) for part in parts] == [TextPart, TextPart, ImagePart, TextPart]
    assert text_of(parts).startswith("SeeDataFrame, 1 row")
    assert text({"table": frame}).startswith('{"table": "DataFrame, 1 row')
    assert text({"picture": picture}) == '{"picture": "(Image)"}'


def test_a_result_is_taken_as_it_is() -> None:
    """A function may say itself what goes back."""
    parts = (TextPart(text="a"), TextPart(text="b"))

    assert result_parts(ToolResult(call_id="", name="", parts=parts), limits=DEFAULT_LIMITS) == parts


def test_long_text_is_cut_and_says_so() -> None:
    """At a character's border, in the last text kept; pictures stay."""
    picture = ImagePart(data=b"x", media_type="image/png")

    assert text("é" * 10, max_bytes=20) == "é" * 10
    assert text("é" * 10, max_bytes=7) == "ééé\n[cut: the first 7 of 20 bytes]"
    parts = result_parts(
        [TextPart(text="abc"), TextPart(text="def"), picture, "gh"], limits=DEFAULT_LIMITS, max_bytes=4
    )
    assert parts == (TextPart(text="abc"), TextPart(text="d\n[cut: the first 4 of 8 bytes]"), picture)
