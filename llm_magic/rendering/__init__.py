"""Model text → safe HTML and safe plain text. What comes in is hostile; what goes out runs, loads and restyles nothing.

The only place where text of a model becomes HTML. markdown-it-py, Pygments and nh3 are loaded by the first rendering.
"""

from __future__ import annotations

from .html import (
    answer_html,
    code_html,
    footer_html,
    markdown_html,
    notice_html,
    preformatted_html,
    reasoning_html,
)
from .plain import PlainStream, plain_text

__all__ = [
    "PlainStream",
    "answer_html",
    "code_html",
    "footer_html",
    "markdown_html",
    "notice_html",
    "plain_text",
    "preformatted_html",
    "reasoning_html",
]
