"""Code as HTML, highlighted compactly and within limits.

Highlighting multiplies what a notebook stores, so only what helps reading is marked: keywords, strings, comments,
numbers and
the names a definition gives. Lexers are programs run on hostile text, so only languages whose lexers stay quick on the
worst text are lexed, only code of moderate length, and only for a moment; the rest is shown plain.
"""

from __future__ import annotations

import functools
import re
import time
from typing import TYPE_CHECKING

from .clean import clean, escape, unix_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pygments.lexer import Lexer
    from pygments.token import _TokenType

MAX_CHARACTERS = 8_000
MAX_CPU_S = 0.1

LANGUAGES = {
    alias: lexer
    for lexer, aliases in {
        "bash": "bash sh shell zsh",
        "css": "css",
        "go": "go golang",
        "html": "html",
        "javascript": "javascript js jsx mjs",
        "json": "json jsonc",
        "julia": "julia jl",
        "python": "python py python3 ipython ipython3",
        "rust": "rust rs",
        "sql": "sql",
        "toml": "toml",
        "typescript": "typescript ts tsx",
        "yaml": "yaml yml",
    }.items()
    for alias in aliases.split()
}
"""Names that are highlighted, and the lexer for each."""

CODE_OPEN, CODE_CLOSE = '<div class="highlight"><pre><code>', "</code></pre></div>\n"

_WORD = re.compile(r"[A-Za-z0-9+#.-]{1,20}")


def code_html(code: str, language: str | None = None) -> str:
    """A block of code as HTML.

    Args:
        code: Any text.
        language: What a fence says after its marks; unknown or None: plain.
    """
    return clean(highlighted_block(unix_lines(code), language))


def highlighted_block(code: str, language: str | None) -> str:
    """A block of code as HTML that is still to be cleaned."""
    word = _WORD.match(language.strip()) if language else None
    lexer = LANGUAGES.get(word[0].lower()) if word else None
    body = escape(code) if lexer is None or len(code) > MAX_CHARACTERS else "".join(_spans(code, lexer))
    return f"{CODE_OPEN}{body}{CODE_CLOSE}"


def _spans(code: str, language: str) -> Iterator[str]:
    """Runs of equal class, each escaped and in one span; plain from the moment the time is used up."""
    lexer = _lexer(language)  # its import is not the code's fault
    deadline = time.thread_time() + MAX_CPU_S
    run, run_class, at = "", "", 0
    # Unprocessed: get_tokens would drop a byte order mark and change line ends.
    for _, kind, value in lexer.get_tokens_unprocessed(code):
        at += len(value)
        # White space takes the class of what is before it: a comment of three lines is one span.
        css = run_class if value.isspace() and run_class in _SPACED else _css_class(kind)
        if css != run_class:
            yield _span(run, run_class)
            run, run_class = "", css
        run += value
        if time.thread_time() > deadline:
            break
    yield _span(run, run_class)
    yield escape(code[at:])


_SPACED = frozenset({"c", "s"})


def _span(text: str, css: str) -> str:
    # White space at the ends of a run needs no colour.
    bare = text.strip()
    if not css or not bare:
        return escape(text)
    before, after = text.split(bare, 1)
    return f'{escape(before)}<span class="{css}">{escape(bare)}</span>{escape(after)}'


@functools.cache
def _css_class(kind: _TokenType) -> str:
    from pygments.token import Comment, Keyword, Name, Number, Operator, String

    classes = {
        Keyword: "k",
        Operator.Word: "k",
        String: "s",
        Comment: "c",
        Number: "m",
        Name.Function: "nf",
        Name.Class: "nc",
    }
    return next((css for parent, css in classes.items() if parent in kind.split()), "")


@functools.cache
def _lexer(language: str) -> Lexer:
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(language, stripnl=False, ensurenl=False)
