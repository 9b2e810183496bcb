"""Hostile text to safe HTML and safe plain text.

Comes in: what a model wrote. Goes out: HTML in which nothing runs, loads or restyles, and text that a terminal only
shows. The parser, the cleaner and the highlighter are imported by the first rendering, not with this package.
"""

from __future__ import annotations

from .calls import CallState, ShownCall, arguments_text, call_html, call_text, called, one_line, signature
from .clean import harmless
from .fields import fields_html
from .highlight import code_html
from .incremental import IncrementalRenderer, markdown_pieces
from .markdown import markdown_html
from .parts import answer_html, footer_html, notice_html, preformatted_html, reasoning_html
from .pieces import Piece
from .plain import PlainStream, plain_text, sound_values
from .prompts import pictures_html, prompt_html

__all__ = [
    "CallState",
    "IncrementalRenderer",
    "Piece",
    "PlainStream",
    "ShownCall",
    "answer_html",
    "arguments_text",
    "call_html",
    "call_text",
    "called",
    "code_html",
    "fields_html",
    "footer_html",
    "harmless",
    "markdown_html",
    "markdown_pieces",
    "notice_html",
    "one_line",
    "pictures_html",
    "plain_text",
    "preformatted_html",
    "prompt_html",
    "reasoning_html",
    "signature",
    "sound_values",
]
