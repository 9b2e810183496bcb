"""Tables and arrays become compact text that says exactly what was cut, whatever is in them."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.tables import array_part, frame_part, series_part


def lines(frame: pd.DataFrame, **options: Any) -> list[str]:
    return frame_part(frame, **options).text.splitlines()


def test_frame_is_shape_dtypes_and_csv() -> None:
    """A DataFrame is its shape, its columns with dtypes, and its cells as CSV."""
    frame = pd.DataFrame({"city": ["Rome", "Paris, FR"], "n": [1, 2], "x": [0.5, 2.0]})

    part = frame_part(frame, name="df")

    assert part.label == "df: DataFrame 2 × 3"
    assert part.text.splitlines() == [
        "DataFrame, 2 rows × 3 columns",
        f"dtypes: city {frame['city'].dtype}, n int64, x float64",
        "city,n,x",
        "Rome,1,0.5",
        '"Paris, FR",2,2',
    ]


def test_frame_without_a_name() -> None:
    """Without a name the label tells type and shape."""
    assert frame_part(pd.DataFrame({"a": [1]})).label == "DataFrame 1 × 1"


@pytest.mark.parametrize(
    ("rows", "kept", "note"),
    [
        (4, [0, 1, 98, 99], "[96 rows left out: 3 to 98 of 100]"),
        (5, [0, 1, 2, 98, 99], "[95 rows left out: 4 to 98 of 100]"),
        (1, [0], "[99 rows left out: 2 to 100 of 100]"),
        (99, [*range(50), *range(51, 100)], "[1 row left out: 51 of 100]"),
        (100, list(range(100)), None),
    ],
)
def test_frame_keeps_head_and_tail(rows: int, kept: list[int], note: str | None) -> None:
    """Of too many rows the first and last are shown, and the gap says which are not."""
    frame = pd.DataFrame({"v": range(1000, 1100)})

    text = lines(frame, rows=rows)

    body = text[text.index("v") + 1 :]
    assert [int(line) - 1000 for line in body if line != note] == kept
    assert (note in body) if note else len(body) == 100
    if note:
        assert body.index(note) == rows - rows // 2


def test_frame_keeps_first_and_last_columns() -> None:
    """Of too many columns the first and last are shown, and a line says which are not."""
    frame = pd.DataFrame([range(50)], columns=[f"c{number}" for number in range(50)])

    text = lines(frame, columns=4)

    assert "[46 columns left out: 3 to 48 of 50]" in text
    assert text[-2:] == ["c0,c1,c48,c49", "0,1,48,49"]


def test_frame_says_what_was_cut_in_cells() -> None:
    """A long cell is cut before a row is left out, and a line counts the cells and their length."""
    frame = pd.DataFrame({"text": ["x" * 9000, "short"], "n": [1, 2]})

    text = lines(frame, max_bytes=1000)

    assert "[1 cell cut to 500 characters]" in text
    assert text[-2] == "x" * 499 + "…,1"
    assert text[-1] == "short,2"


def test_frame_leaves_long_cells_whole_where_they_fit() -> None:
    """A cell is not cut as long as all fits."""
    frame = pd.DataFrame({"text": ["x" * 5000]})

    assert lines(frame)[-1] == "x" * 5000


def test_frame_index_is_shown_where_it_says_something() -> None:
    """The index is a column unless it only counts the rows from 0."""
    frame = pd.DataFrame({"a": [1, 2]})

    assert lines(frame)[2:] == ["a", "1", "2"]
    assert lines(frame.set_index(pd.Index([5, 6], name="k")))[2:] == ["k,a", "5,1", "6,2"]
    assert lines(frame.iloc[1:])[2:] == [",a", "1,2"]
    assert lines(frame.iloc[::-1])[2:] == [",a", "1,2", "0,1"]
    assert lines(frame.rename_axis("row"))[2:] == ["row,a", "0,1", "1,2"]


def test_frame_with_levels() -> None:
    """Levels of the index are columns, levels of the columns are joined by a slash."""
    frame = pd.DataFrame({"g": ["a", "a", "b"], "h": [1, 2, 1], "x": [1, 2, 3]})

    text = lines(frame.groupby(["g", "h"]).agg({"x": ["sum", "max"]}))

    assert text[1:] == [
        "dtypes: x/sum int64, x/max int64",
        "g,h,x/sum,x/max",
        "a,1,1,1",
        "a,2,2,2",
        "b,1,3,3",
    ]


def test_frame_with_equal_names() -> None:
    """Columns of the same name are all there, and rows of the same index too."""
    frame = pd.DataFrame([[1, 2.5], [3, 4.5]], columns=["a", "a"], index=["r", "r"])

    assert lines(frame)[1:] == ["dtypes: a int64, a float64", ",a,a", "r,1,2.5", "r,3,4.5"]


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (pd.DataFrame(), ["DataFrame, 0 rows × 0 columns"]),
        (
            pd.DataFrame({"a": pd.Series(dtype="int64")}),
            ["DataFrame, 0 rows × 1 column", "dtypes: a int64", "a"],
        ),
        (pd.DataFrame(index=["x", "y"]), ["DataFrame, 2 rows × 0 columns", '""', "x", "y"]),
    ],
)
def test_empty_frames(frame: pd.DataFrame, text: list[str]) -> None:
    """A frame without rows or columns is text too."""
    assert lines(frame) == text


def test_frame_writes_missing_values_as_empty() -> None:
    """NaN, None, NaT and NA are empty cells, which a line explains; the word is a word."""
    frame = pd.DataFrame(
        {
            "f": [1.5, np.nan],
            "o": ["nan", None],
            "t": [pd.Timestamp("2024-01-01 12:30"), pd.NaT],
            "i": pd.array([1, pd.NA], dtype="Int64"),
        }
    )

    text = lines(frame)

    assert text[-2:] == ["1.5,nan,2024-01-01 12:30:00,1", ",,,"]
    assert "[an empty cell is a missing value]" in text


def test_frame_writes_times_and_categories() -> None:
    """Days are days, other times whole with their zone, categories their values."""
    days = pd.date_range("2024-01-01", periods=2)
    frame = pd.DataFrame(
        {
            "day": days,
            "zone": days.tz_localize("Europe/Berlin"),
            "kind": pd.Categorical(["x", "y"]),
            "span": pd.to_timedelta([1, 2], unit="h"),
        }
    )

    assert lines(frame)[-2] == "2024-01-01,2024-01-01 00:00:00+01:00,x,0 days 01:00:00"
    assert frame_part(pd.DataFrame(index=days)).text.endswith("2024-01-01\n2024-01-02")


@pytest.mark.parametrize(
    ("value", "text", "is_rounded"),
    [
        (0.1 + 0.2, "0.3", True),
        (0.25, "0.25", False),
        (-0.0, "-0", False),
        (1 / 3, "0.333333", True),
        (12345678.0, "12345678", False),
        (1.5e-9, "1.5e-09", False),
        (1.23456789e-9, "1.23457e-09", True),
        (1e300, "1e+300", False),
        (float("inf"), "inf", False),
    ],
)
def test_frame_writes_floats_short(value: float, text: str, *, is_rounded: bool) -> None:
    """Floats have at most 6 decimals, and a line says so where one was rounded."""
    written = lines(pd.DataFrame({"x": [value]}))

    assert written[-1] == text
    assert ("[floats rounded to 6 decimals]" in written) == is_rounded


def test_series_is_labelled_and_named() -> None:
    """A Series is its length, dtype and values, under its name or "value"."""
    part = series_part(pd.Series([1.5, 2.5], name="price"), name="s")

    assert part.label == "s: Series 2"
    assert part.text == "Series, 2 values\ndtypes: price float64\nprice\n1.5\n2.5"
    assert "value int64" in series_part(pd.Series([1])).text
    assert "[97 rows left out: 3 to 99 of 100]" in series_part(pd.Series(range(100)), rows=3).text


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=300),
    st.lists(st.integers(), max_size=3),
)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=8), st.integers(100, 3000))
@settings(deadline=None)
def test_frame_fits_whatever_is_in_it(rows: list[list[Any]], max_bytes: int) -> None:
    """Any cells: the text is within its bytes and the frame is as it was."""
    frame = pd.DataFrame(rows, columns=["a", "b", "a"], dtype=object)
    before = frame.copy(deep=True)

    part = frame_part(frame, max_bytes=max_bytes)

    assert len(part.text.encode("utf-8", "replace")) <= max_bytes
    pd.testing.assert_frame_equal(frame, before)


@given(st.lists(st.tuples(st.text(max_size=50), st.integers()), min_size=1, max_size=10))
@settings(deadline=None)
def test_frame_cells_can_be_read_back(rows: list[tuple[str, int]]) -> None:
    """Cells with commas, quotes and line breaks are still told apart: it is real CSV."""
    text = frame_part(pd.DataFrame(rows, columns=["t", "n"]), max_bytes=100_000).text

    body = text[text.index("\nt,n\n") + 1 :]
    assert list(csv.reader(io.StringIO(body, newline=""))) == [["t", "n"], *([t, str(n)] for t, n in rows)]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(np.ones((2000, 500))),
        pd.DataFrame({f"column {number} " + "x" * 500: [1] for number in range(40)}),
        pd.DataFrame({"a": ["ü" * 100_000] * 50}),
        pd.DataFrame({f"c{number}": ["some long text " * 99] * 30 for number in range(40)}),
        pd.DataFrame({"a": [np.arange(1000)] * 3, "b": [pd.DataFrame({"x": [1]})] * 3}),
        pd.DataFrame({"a": range(1_000_000)}, index=pd.MultiIndex.from_product([range(1000), range(1000)])),
    ],
    ids=["wide", "names", "cells", "both", "nested", "long"],
)
def test_large_frames_fit(frame: pd.DataFrame) -> None:
    """However large or odd the frame, its text keeps the limits and begins with its true shape."""
    text = frame_part(frame).text

    numbers = re.match(r"DataFrame, (\d+) rows? × (\d+) columns?\n", text)
    assert numbers is not None
    assert (int(numbers[1]), int(numbers[2])) == frame.shape
    assert len(text.encode()) <= 8000


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).random((200, 200, 200)),
        np.zeros((1,) * 20),
        np.zeros(10**6),
        np.zeros((10**6, 2)),
        np.array(["x" * 9000] * 20),
        np.zeros((3, 0)),
        np.array(5.0),
        np.array([None, {}], dtype=object),
        np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]),
    ],
    ids=range(9),
)
def test_arrays_fit(array: Any) -> None:
    """Any array is text within its bytes that begins with shape and dtype."""
    part = array_part(array, name="a")

    assert len(part.text.encode()) <= 8000
    assert part.text.startswith(f"array, shape {array.shape}, {array.dtype}")


def test_small_arrays_are_whole() -> None:
    """An array that fits is shown whole; a longer one says that its middle is not there."""
    assert array_part(np.arange(3)).text == "array, shape (3,), int64\n[0, 1, 2]"
    assert "..." not in array_part(np.arange(1000)).text
    assert "..." in array_part(np.arange(100_000)).text
