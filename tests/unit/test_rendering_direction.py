"""Texts that run from right to left: said where it matters, at no cost elsewhere."""

from __future__ import annotations

import pytest

from llm_magic.rendering import markdown_html
from tests.fakes.markup import ANSWERS, judge


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("שלום world", '<p dir="rtl">שלום world</p>\n'),
        ("مرحبا", '<p dir="rtl">مرحبا</p>\n'),
        ("world שלום", "<p>world שלום</p>\n"),
        ("## 1. שלום", '<h2 dir="rtl">1. שלום</h2>\n'),
        # Code at the beginning does not say which way a sentence runs.
        ("`x` שלום", '<p dir="rtl"><code>x</code> שלום</p>\n'),
        ("> שלום\n>\n> world", '<blockquote dir="rtl">\n<p>שלום</p>\n<p dir="ltr">world</p>\n</blockquote>\n'),
        ("1. שלום\n2. world", '<ol dir="rtl">\n<li>שלום</li>\n<li>world</li>\n</ol>\n'),
        ("- world\n- שלום", "<ul>\n<li>world</li>\n<li>שלום</li>\n</ul>\n"),
        (
            "- שלום\n  ```\n  x\n  ```",
            (
                '<ul dir="rtl">\n<li>שלום<div dir="ltr" class="highlight"><pre><code>x\n</code></pre></div>\n'
                "</li>\n</ul>\n"
            ),
        ),
        (
            "| שם | n |\n|---|--:|\n| א | 1 |",
            (
                '<table dir="rtl">\n<thead>\n<tr>\n<th>שם</th>\n<th align="right" dir="ltr">n</th>\n</tr>\n</thead>\n'
                '<tbody>\n<tr>\n<td>א</td>\n<td align="right">1</td>\n</tr>\n</tbody>\n</table>\n'
            ),
        ),
        (
            "שלום[^1]\n\n[^1]: הערה",
            '<p dir="rtl">שלום<sup>[1]</sup></p>\n<hr>\n<ol>\n<li>\n<p dir="rtl">הערה</p>\n</li>\n</ol>\n',
        ),
        ("```\nאבגד\n```", '<div class="highlight"><pre><code>אבגד\n</code></pre></div>\n'),
    ],
)
def test_blocks_run_the_way_of_their_first_letter(text: str, html: str) -> None:
    """A block says its direction where it is another than that of what it stands in; code runs from left to right."""
    assert markdown_html(text) == html
    assert judge(html).faults == []


@pytest.mark.parametrize("name", ANSWERS)
def test_other_answers_do_not_grow(name: str) -> None:
    """Where nothing runs from right to left, nothing is said about it."""
    assert " dir=" not in markdown_html(ANSWERS[name])
