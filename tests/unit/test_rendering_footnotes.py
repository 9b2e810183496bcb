"""Footnotes: numbered where they are referred to, listed at the end, no text lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from llm_magic.rendering import IncrementalRenderer, markdown_html
from llm_magic.rendering.clean import unix_lines
from llm_magic.rendering.markdown import parse, render
from tests.fakes.markup import judge, texts


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            "A[^1] and *b[^2]*.\n\n[^1]: One *note*\n  goes on.\n[^2]: Two.\n\nEnd.",
            (
                "<p>A<sup>[1]</sup> and <em>b<sup>[2]</sup></em>.</p>\n<p>End.</p>\n"
                "<hr>\n<ol>\n<li>One <em>note</em>\ngoes on.</li>\n<li>Two.</li>\n</ol>\n"
            ),
        ),
        # The order of references counts, not that of definitions; one may be referred to often, and from a note.
        (
            "[^b]: B[^c]\n[^a]: A\n[^c]: C\n\nx[^a] y[^b] z[^a]\n",
            (
                "<p>x<sup>[1]</sup> y<sup>[2]</sup> z<sup>[1]</sup></p>\n"
                "<hr>\n<ol>\n<li>A</li>\n<li>B<sup>[3]</sup></li>\n<li>C</li>\n</ol>\n"
            ),
        ),
        # Blocks after the first are indented.
        (
            "x[^1]\n\n[^1]: Words\n\n    > quoted\n\nEnd.",
            (
                "<p>x<sup>[1]</sup></p>\n<p>End.</p>\n<hr>\n<ol>\n<li>\n<p>Words</p>\n"
                "<blockquote>\n<p>quoted</p>\n</blockquote>\n</li>\n</ol>\n"
            ),
        ),
        ("x[^1]\n\n[^1]:\n", "<p>x<sup>[1]</sup></p>\n<hr>\n<ol>\n<li></li>\n</ol>\n"),
        (
            "- a[^1]\n[^1]: one\n",
            "<ul>\n<li>a<sup>[1]</sup></li>\n</ul>\n<hr>\n<ol>\n<li>one</li>\n</ol>\n",
        ),
    ],
)
def test_footnotes_are_numbered_and_listed_at_the_end(text: str, html: str) -> None:
    """Numbers in the text, in the order of reading; the notes in that order behind a rule."""
    assert markdown_html(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("x[^1] y", "<p>x[^1] y</p>\n"),
        ("x\n\n[^1]: word\n", "<p>x</p>\n<p>[^1]: word</p>\n"),
        ("x\n\n[^1]: ```\n    c\n    ```\n", '<p>x</p>\n<p>[^1]:</p>\n<div class="highlight"><pre><code>c\n'),
        ("> [^1]: word\n", "<blockquote>\n<p>[^1]: word</p>\n</blockquote>\n"),
        ("`[^1]` \\[^1]\n\n[^1]: word\n", "<p><code>[^1]</code> [^1]</p>\n<p>[^1]: word</p>\n"),
        ("[a-z] [^a-z] [^ x] [^]", "<p>[a-z] [^a-z] [^ x] [^]</p>\n"),
    ],
)
def test_what_has_no_counterpart_stays_as_it_was_written(text: str, html: str) -> None:
    """References to nothing, notes that nothing refers to, and what only looks like either lose no character."""
    assert markdown_html(text).startswith(html)


def test_the_first_definition_counts() -> None:
    """A second one of the same name stays in the text."""
    assert markdown_html("x[^1]\n\n[^1]: one\n[^1]: two\n") == (
        "<p>x<sup>[1]</sup></p>\n<p>[^1]: two</p>\n<hr>\n<ol>\n<li>one</li>\n</ol>\n"
    )


def test_a_caret_link_is_a_link() -> None:
    """A label with an address after it is no footnote."""
    assert 'href="http://a.b"' in markdown_html("[^1](http://a.b)\n\n[^1]: note\n")


def test_while_it_arrives_notes_stand_where_they_are_written() -> None:
    """Which notes there will be only the end tells: until then the text is as the model wrote it."""
    renderer = IncrementalRenderer()
    renderer.feed("x[^1]\n\n[^1]: one\n\nEnd.")

    assert renderer.html() == "<p>x[^1]</p>\n<p>[^1]: one</p>\n<p>End.</p>\n"
    assert renderer.final() == markdown_html("x[^1]\n\n[^1]: one\n\nEnd.")
    assert "".join(piece.html for piece in renderer.final_pieces()) == renderer.final()


@given(texts("[^1]", "[^b]", "\n[^1]: ", "\n[^b]: x", "\n\n    ", "[^<b>]", "\n[^<b>]: y\n"))
def test_footnotes_are_harmless_and_lose_no_letter(text: str) -> None:
    """Whatever stands around them, what they make is allowed, and moving notes moves all of them."""
    verdict = judge(markdown_html(text))
    environment: dict[str, Any] = {}
    in_place = judge(render(parse(unix_lines(text), environment), environment, highlight=False)).text

    assert verdict.faults == []
    for letter in "éw日😀":
        assert verdict.text.count(letter) == in_place.count(letter)
