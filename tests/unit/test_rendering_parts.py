"""The parts around an answer: hostile text in, safe and readable HTML out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.rendering import answer_html, footer_html, markdown_html, notice_html, preformatted_html, reasoning_html
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import judge, texts

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = [footer_html, notice_html, preformatted_html, reasoning_html]


@pytest.mark.parametrize("part", PARTS)
@settings(deadline=None)
@given(text=texts(*HOSTILE, max_size=6) | st.text())
def test_parts_are_harmless(part: Callable[[str], str], text: str) -> None:
    """Whatever text a part is made of, only allowed markup comes out, in the wrapper as well."""
    assert judge(answer_html(part(text))).faults == []


def test_an_answer_is_typeset_only_where_the_renderer_says_so() -> None:
    """The wrapper turns MathJax off, a formula turns it on for itself."""
    html = answer_html(markdown_html("$x$ for $5 and $6"))

    assert html.startswith('<div class="llm-magic mathjax_ignore tex2jax_ignore"><p>')
    assert html.endswith("</p>\n</div>")
    assert html.count("mathjax_process") == 1


@pytest.mark.capability("F1")
def test_reasoning_is_folded_without_script() -> None:
    """Reasoning is Markdown in an element that folds by itself, closed at first."""
    html = reasoning_html("First *this*.\n\n```py\nreturn\n```")

    assert html.startswith(
        '<details class="llm-magic-reasoning"><summary>Reasoning</summary>\n<p>First <em>this</em>.</p>'
    )
    assert html.endswith("</details>\n")
    assert '<span class="k">' not in html


def test_lines_of_ours_are_text() -> None:
    """Notices and footers are shown as they are, line by line."""
    assert notice_html("a <b>\nc *d*") == '<p class="llm-magic-notice"><em>a &lt;b&gt;<br>\nc *d*</em></p>\n'
    assert footer_html("m · 3 & 4 → 5") == '<p class="llm-magic-footer"><small>m · 3 &amp; 4 → 5</small></p>\n'


@pytest.mark.parametrize("text", ["", "a", "\n a\n  b\n", "\n\na", "\r\na", "<pre>\n"])
def test_preformatted_text_keeps_its_lines(text: str) -> None:
    """Spaces and newlines are kept; the first newline too, which HTML would drop."""
    html = preformatted_html(text)

    # As a browser reads it: a newline right after the tag is not part of the text.
    assert judge(html).text.removesuffix("\n").removeprefix("\n" if html.startswith("<pre>\n") else "") == text.replace(
        "\r\n", "\n"
    )
