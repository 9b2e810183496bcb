"""Frames whose display is safe: no formula, no control sequence, no half of a character; all else is pandas'."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from llm_magic.frames import typed_frame
from llm_magic.safe_frames import DataFrame, Series

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = "$\\rule{9em}{9em}$ \x1b]0;title\x07\x1b[2J half \ud800 \u202e <b>"
# Arrow, which keeps names, takes whole characters alone.
NAME = TEXT.replace("\ud800", "")


def frame() -> Any:
    """A frame with hostile text in a cell, a column's name and the index."""
    made = typed_frame({"text": "text", "n": "count"}, [{"text": TEXT, "n": 1}, {"n": 2}])
    return made.rename(columns={"n": NAME}, index={0: NAME})


def test_html_is_left_alone_by_mathjax_and_can_be_sent() -> None:
    """Pandas' own HTML, marked, with visible stand-ins for what acts."""
    html = frame()._repr_html_()

    assert 'class="dataframe tex2jax_ignore mathjax_ignore"' in html
    assert "<b>" not in html
    assert not set(html) & set("\x1b\x07\u202e\ud800")
    assert html.encode()
    assert "<table" in html


@pytest.mark.parametrize("take", [lambda f: f, lambda f: f["text"], lambda f: f.head(1), lambda f: f.iloc[0]])
def test_text_is_for_reading_alone(take: Callable[[Any], Any]) -> None:
    """Printed whole or in part, nothing of it is an order to the terminal."""
    for text in (repr(take(frame())), str(take(frame()))):
        assert "\\rule" in text
        assert not set(text) & set("\x1b\x07\u202e\ud800")


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f[["text"]],
        lambda f: f[f["text"].notna()],
        lambda f: f["text"].to_frame(),
        lambda f: pd.concat([f, f]),
        lambda f: f.sort_values("text").reset_index().merge(f, on="text"),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_what_is_made_of_it_is_safe_too(make: Callable[[Any], Any]) -> None:
    """Selected, joined, copied: the frame that comes out is one of ours."""
    assert isinstance(make(frame()), DataFrame)
    assert isinstance(frame()["text"].str.upper(), Series)


def test_values_are_untouched_and_pickles_are_pandas_own() -> None:
    """Only the display differs; who reads a pickle needs nothing of ours."""
    plain = pd.DataFrame(frame())

    assert plain.iloc[0, 0] == TEXT
    for value in (frame(), frame()["text"]):
        assert type(pickle.loads(pickle.dumps(value))) in (pd.DataFrame, pd.Series)
        assert b"llm_magic" not in pickle.dumps(value)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(frame())), plain)


def test_display_options_are_the_users_afterwards() -> None:
    """What was set for one display holds for that display."""
    before = pd.get_option("display.html.use_mathjax")
    frame()._repr_html_()

    assert pd.get_option("display.html.use_mathjax") is before
    with pd.option_context("display.notebook_repr_html", False):
        assert frame()._repr_html_() is None
