"""The parts an answer's display is made of: wrapper, reasoning, notices, footer, preformatted text.

Comes in: HTML from ``markdown_html`` for the wrapper, hostile text for all else; goes out: safe HTML. Classes are
names for a stylesheet; every part is readable, and folds, without one and without script.
"""

from __future__ import annotations

from .clean import escape
from .markdown import markdown_html


def answer_html(body: str) -> str:
    """The element around a turn: safe blocks in it, typeset formulas only where the renderer says so.

    Args:
        body: Safe HTML, from the functions of this package only.
    """
    return f'<div class="llm-magic mathjax_ignore tex2jax_ignore">{body}</div>'


def reasoning_html(*texts: str) -> str:
    """What a model thought before it answered, in one request or several, as a folded section."""
    body = "".join(markdown_html(text, highlight=False) for text in texts)
    return f'<details class="llm-magic-reasoning"><summary>Reasoning</summary>\n{body}</details>\n'


def notice_html(text: str) -> str:
    """A line of ours about an answer."""
    return f'<p class="llm-magic-notice"><em>{_lines(text)}</em></p>\n'


def footer_html(text: str) -> str:
    """The line under an answer."""
    return f'<p class="llm-magic-footer"><small>{_lines(text)}</small></p>\n'


def preformatted_html(text: str) -> str:
    """Text as it is, line for line."""
    # The first newline of a <pre> is not shown: one more makes up for it.
    first = "\n" if text[:1] in ("\n", "\r") else ""
    return f"<pre>{first}{escape(text)}</pre>\n"


def _lines(text: str) -> str:
    return escape(text).strip().replace("\n", "<br>\n")
