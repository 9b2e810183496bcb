r"""Formulas: found where they are meant, typeset only where MathJax cannot be made to do more than draw."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.rendering import markdown_html
from llm_magic.rendering.formulas import MAX_CHARACTERS, MAX_DEPTH, is_typeset
from tests.fakes.markup import judge, texts

TYPESET = re.compile(r'<span class="tex2jax_process mathjax_process">(.*?)</span>', re.DOTALL)

HARMLESS = [
    "x",
    "42",
    r"\frac{a}{b}",
    r"e^{i\pi} + 1 = 0",
    r"\sum_{i=1}^{n} x_i^2",
    r"\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}",
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}",
    r"\begin{array}{lc|r} a & b & c \\ \hline d & e & f \end{array}",
    r"\begin{align*} a &= b \\[4pt] c &= d \\[0.5em] e &= f \end{align*}",
    r"f(x) = \begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}",
    r"\operatorname*{arg\,max}_\theta \mathcal{L}(\theta)",
    r"\left\{ x \in \mathbb{R} \;\middle|\; \lVert x \rVert \le 1 \right\}",
    r"\boxed{42\%}",
    r"\hat{y} \ne \bar{y}, \vec{v} \cdot \mathbf{w}",
    "ä < é",
]
HARMFUL = [
    r"\href{javascript:alert(1)}{x}",
    r"\url{x}",
    r"\require{bbox}",
    r"\def\alpha{x}",
    r"\let\alpha\beta",
    r"\newcommand{\x}{y}",
    r"\renewcommand\sum{1}",
    r"\DeclareMathOperator{\x}{y}",
    r"\class{jp-Dialog}{x}",
    r"\cssId{main}{x}",
    r"\style{position:fixed}{x}",
    r"\color{red}{x}",
    r"\bbox[red]{x}",
    r"\rule{99em}{99em}",
    r"\Rule{99em}{99em}{0em}",
    r"\hspace{-99em}",
    r"\kern99em",
    r"\raise99em{x}",
    r"\llap{x}",
    r"\Huge x",
    r"\tag{1}",
    r"\label{a}",
    r"\unicode{x41}",
    r"\verb|x|",
    r"\csname def\endcsname",
    r"\includegraphics{x}",
    r"\mmlToken{mi}[href=x]{y}",
    r"\unknown",
    r"\FRAC{a}{b}",
    "\\\u017fmash{x}",
    "\\alpha\u212a",
    r"\begin{foo} x \end{foo}",
    r"\begin{array}{*{99}{c}} x \end{array}",
    r"\begin{array}{p{99em}} x \end{array}",
    r"\begin{array} x \end{array}",
    r"\begin\def",
    r"\begin*{align} x \end{align}",
    r"a \\[-9em] b",
    r"a \\[999pt] b",
    r"a \\[99em] b",
    r"a \\ [ -1em ] b",
    r"a \\*[-1em] b",
    r"a \\[1in] b",
    r"\text{\(x\)}",
    r"\text{\[x\]}",
    r"a \) b",
    "x\\",
    "50% of",
    "#1",
    "a\x1bb",
    "a\u202eb",
    r"\!" * 20 + "x",
    "{" * (MAX_DEPTH + 1) + "x" + "}" * (MAX_DEPTH + 1),
    "{x",
    "x}",
    "}{",
    "x" * (MAX_CHARACTERS + 1),
]


@pytest.mark.parametrize("tex", HARMLESS)
def test_formulas_that_only_draw_are_typeset(tex: str) -> None:
    """What mathematicians write is handed to MathJax as it was written."""
    assert is_typeset(tex)
    for text, shown in (
        (f"a ${tex}$ b", rf"\({tex}\)"),
        (f"$$\n{tex}\n$$", rf"\[{tex}\]"),
        (f"a \\({tex}\\)", rf"\({tex}\)"),
    ):
        html = markdown_html(text)
        assert shown in judge(html).text
        assert len(TYPESET.findall(html)) == 1


@pytest.mark.parametrize("tex", HARMFUL)
def test_formulas_that_could_do_more_are_shown_as_code(tex: str) -> None:
    """One macro, length or character that is not known to be harmless, and the formula is code."""
    assert not is_typeset(tex)
    for text in (f"a ${tex}$ b", f"$$\n{tex}\n$$", f"\\[ {tex} \\]", f"\\({tex}\\)"):
        assert tex not in "".join(TYPESET.findall(markdown_html(text)))


@settings(deadline=None)
@given(texts(*HARMFUL, *HARMLESS, max_size=8) | st.text(st.sampled_from("\\$()[]{}^_a1 \n%")))
def test_whatever_is_typeset_is_on_the_list(text: str) -> None:
    """However formulas, delimiters and text meet, MathJax gets whole formulas in one pair of delimiters."""
    for found in TYPESET.findall(markdown_html(text)):
        tex = judge(found).text
        assert tex[:2] + tex[-2:] in (r"\(\)", r"\[\]")
        assert is_typeset(tex[2:-2])


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5 and $10.",
        "From $5-$10 or $1,000/month and then $2 off",
        "It costs $5, then 10$ more",
        "US$5 and US$6",
        "$HOME and $PATH",
        "a $ b $ c",
        "$ x$ and $x $",
        "$$$",
        r"\$x\$",
        "`$x$`",
        "`a $` and `b $`",
        r"\\(x\\)",
        "(x) and [y]",
        "```\n$x$\n```",
        "$x`y$`",
        r"\( \)",
    ],
)
def test_text_that_is_no_formula_stays_text(text: str) -> None:
    """Money, variables of a shell, escapes and code are not mathematics."""
    assert TYPESET.findall(markdown_html(text)) == []


def test_a_formula_is_not_markdown() -> None:
    """Underscores, stars and brackets in a formula mean what they mean in mathematics."""
    html = markdown_html("$a_1 * b_2 * [c](d)$ and *\\(x_1\\)*")

    assert TYPESET.findall(html) == [r"\(a_1 * b_2 * [c](d)\)", r"\(x_1\)"]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("$$\nx\n", "<p><code>x</code></p>\n"),
        ("$$\n*x*\n\ny", "<p><code>*x*</code></p>\n<p>y</p>\n"),
        ("\\[ x", "<p><code>x</code></p>\n"),
        ("- $$\n  x\n  $$\n- y", None),
        ("text\n$$\nx\n$$\nmore", None),
        ("$$x$$", None),
        ("$$x$$ is *it*", None),
        ("$$\nx\n$$ is it", None),
    ],
)
def test_formulas_on_lines_of_their_own(text: str, html: str | None) -> None:
    """A block of mathematics ends at its closer; one without is shown as code and takes no more than its paragraph."""
    if html is None:
        assert TYPESET.findall(markdown_html(text)) == [r"\[x\]"]
    else:
        assert markdown_html(text) == html
