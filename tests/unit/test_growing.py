"""Texts that grow over several requests: however they come, the pieces join to what each of them renders to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.rendering import Piece, markdown_html, preformatted_html
from llm_magic.views.growing import GrowingText
from tests.fakes.markup import texts

if TYPE_CHECKING:
    from llm_magic.reply import Form

ROW = Piece(html="<div>row</div>\n")


class Reader:
    """Keeps the pieces as a page does."""

    def __init__(self, text: GrowingText) -> None:
        self.text = text
        self.pieces: list[Piece] = []

    def read(self, *after: Piece) -> str:
        """What is there now."""
        start, pieces = self.text.pieces(after)
        assert start <= len(self.pieces)
        self.pieces[start:] = pieces
        return "".join(piece.html for piece in self.pieces)


@given(parts=st.lists(texts(max_size=12), max_size=4), size=st.integers(1, 9))
def test_what_is_closed_stays_as_it_renders(parts: list[str], size: int) -> None:
    """Texts one after another, what stands between them included; an open fence of one is not the next one's."""
    reader = Reader(GrowingText())
    for part in parts:
        for at in range(0, len(part), size):
            reader.text.feed(part[at : at + size])
            reader.read(ROW)
        reader.text.close([ROW])

    expected = "".join(markdown_html(part) + ROW.html for part in parts)
    assert reader.read() == expected
    assert reader.text.html() == expected


@pytest.mark.parametrize("form", ["markdown", "text"])
def test_what_could_not_stand_makes_room(form: Form) -> None:
    """A text that is void is gone, rows behind it too; what was before it stays."""
    reader = Reader(GrowingText(form))
    reader.text.feed("kept")
    before = reader.read()
    reader.text.close([ROW])
    reader.text.feed("void")
    assert "void" in reader.read(ROW)

    reader.text.drop()

    assert reader.read() == before + ROW.html
    reader.text.feed("new")
    assert reader.read().startswith(before + ROW.html)
    assert "new" in reader.read()


def test_text_is_shown_as_it_is() -> None:
    """Nothing in it is markup."""
    reader = Reader(GrowingText("text"))
    reader.text.feed("**a**")

    assert reader.read() == reader.text.html() == preformatted_html("**a**")


def test_forms_that_need_the_whole_show_what_stands_between() -> None:
    """Half of a JSON value is none, and a tool call is one all the same."""
    reader = Reader(GrowingText("json"))
    assert reader.text.is_empty
    reader.text.feed('{"a"')

    assert reader.read(ROW) == ROW.html
