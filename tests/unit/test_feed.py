"""Feeds: patches that, applied in order, make of any former state the one that is fed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.rendering import Piece
from llm_magic.views.feed import Feed, utf16_units
from tests.fakes.pages import Store

TEXT = st.text(alphabet="ab<>&é漢😀", max_size=6)
KEYS = st.sampled_from("xy")
PIECES = st.lists(st.builds(Piece, html=TEXT, context=st.sampled_from(["", "", "code", "tbody"])), max_size=5)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("a"), KEYS, PIECES, st.integers(0, 5)),
            st.tuples(st.just("r"), KEYS, PIECES, st.integers(0, 5)),
            st.tuples(
                st.just("field"), st.sampled_from("xy"), st.sampled_from(["s", "v"]), st.integers(0, 2) | st.none()
            ),
            st.tuples(st.just("head"), st.sampled_from(["model", "name"]), st.integers(0, 2) | st.none()),
            st.tuples(
                st.just("arrange"), st.permutations("xy").flatmap(lambda ids: st.sampled_from([ids, ids[:1], []]))
            ),
            st.tuples(st.just("patch")),
            st.tuples(st.just("reload")),
        ),
        max_size=25,
    )
)
def test_patches_make_of_any_state_the_next(steps: list[tuple[Any, ...]]) -> None:
    """A page that applies every patch has what the feed has, as has one that comes later and takes the whole."""
    feed = Feed("w")
    page = Store(feed.snapshot())
    texts: dict[tuple[str, str], list[Piece]] = {}
    for step in [*steps, ("patch",)]:
        match step:
            case ("a" | "r" as section, key, pieces, start):
                start = min(start, len(texts.get((key, section), [])))
                texts[key, section] = texts.get((key, section), [])[:start] + pieces
                feed.pieces(key, section, pieces, start=start)
            case ("field", key, name, value):
                feed.turn(key, **{name: value})
            case ("head", name, value):
                feed.head(**{name: value})
            case ("arrange", ids):
                feed.arrange(ids)
            case ("patch",):
                if (patch := feed.patch()) is not None:
                    page.apply(patch)
                assert page.whole == feed.snapshot()
                texts = {place: pieces for place, pieces in texts.items() if place[0] in feed.order}
            case ("reload",):
                page = Store(feed.snapshot())
    shown = page.whole["turns"]
    for (key, section), expected in texts.items():
        said = [[piece.context, piece.html] if piece.context else piece.html for piece in expected]
        assert shown[key].get(section, []) == said


def test_a_patch_has_only_what_changed() -> None:
    """A word more costs that word, whatever there is already."""
    feed = Feed("w")
    feed.pieces("x", "a", [Piece(html="<p>one</p>\n"), Piece(html="<p>two 😀</p>\n")])
    feed.turn("x", s="running")
    first = feed.patch()
    assert first == {
        "k": "p",
        "q": 1,
        "order": ["x"],
        "turns": {"x": {"s": "running", "a": [0, 0, ["<p>one</p>\n", "<p>two 😀</p>\n"], 25]}},
    }

    feed.pieces("x", "a", [Piece(html="<p>two 😀 and</p>\n")], start=1)
    feed.turn("x", s="running")

    assert feed.patch() == {"k": "p", "q": 2, "turns": {"x": {"a": [1, 9, [" and</p>\n"], 29]}}}
    assert feed.patch() is None


def test_what_has_not_been_sent_is_not_in_the_whole() -> None:
    """The whole is what the next patch goes on from."""
    feed = Feed("w")
    feed.head(model="m")
    assert feed.snapshot() == {"q": 0, "t": "w", "head": {}, "order": [], "turns": {}}

    feed.patch()

    assert feed.snapshot() == {"q": 1, "t": "w", "head": {"model": "m"}, "order": [], "turns": {}}


def test_a_long_text_costs_what_it_grows() -> None:
    """10,000 words in 2,000 patches are a small multiple of their letters."""
    feed = Feed("w")
    pieces: list[Piece] = []
    sent = 0
    for number in range(2_000):
        if number % 20 == 0:
            pieces.append(Piece(html="<p></p>\n"))
        pieces[-1] = Piece(html=pieces[-1].html.removesuffix("</p>\n") + "some five words more here </p>\n")
        feed.pieces("x", "a", pieces[-1:], start=len(pieces) - 1)
        sent += len(json.dumps(feed.patch()))
    assert sent < 5 * sum(len(piece.html) for piece in pieces)


@pytest.mark.parametrize(("text", "units"), [("", 0), ("abc", 3), ("é漢", 2), ("😀", 2), ("\ud800x", 2)])
def test_lengths_are_those_of_javascript(text: str, units: int) -> None:
    """Characters beyond the first plane count twice, halves of them once."""
    assert utf16_units(text) == units
