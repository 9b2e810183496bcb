"""Code blocks: highlighted compactly, within limits of language, size and time.

Only keywords, strings, comments, numbers and defined names are marked, by the class names that JupyterLab styles in light
and dark. Only languages whose lexers are known to be quick: others (perl, for one) can take seconds on hostile input.
"""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pygments.token import _TokenType

MAX_CHARACTERS = 8000
MAX_S = 0.25
_LANGUAGES = {
    name: lexer
    for lexer, names in {
        "python": "python py python3 ipython",
        "json": "json",
        "bash": "bash sh shell zsh",
        "sql": "sql",
        "javascript": "javascript js",
        "typescript": "typescript ts",
        "c": "c",
        "cpp": "cpp c++",
        "java": "java",
        "go": "go golang",
        "rust": "rust rs",
        "splus": "r",
        "yaml": "yaml yml",
        "toml": "toml",
        "ini": "ini",
        "diff": "diff",
        "css": "css",
    }.items()
    for name in names.split()
}
CLASSES = ("k", "s", "c", "m", "nf", "gd", "gi")


def code_block(text: str, language: str) -> str:
    """A block of code as safe HTML.

    Args:
        text: The code.
        language: What the fence names; highlighted if known.
    """
    return f'<div class="highlight"><pre>{_highlighted(text, language.lower())}</pre></div>\n'


def _highlighted(text: str, language: str) -> str:
    if language not in _LANGUAGES or len(text) > MAX_CHARACTERS:
        return escape(text, quote=False)
    pieces: list[str] = []
    for css, run in _runs(text, _LANGUAGES[language]):
        escaped = escape(run, quote=False)
        pieces.append(f'<span class="{css}">{escaped}</span>' if css and run.strip() else escaped)
    return "".join(pieces)


def _runs(text: str, lexer_name: str) -> Iterator[tuple[str, str]]:
    """Neighbouring tokens of one class, joined; the rest unmarked once the time is up."""
    from pygments.lexers import get_lexer_by_name

    deadline = time.monotonic() + MAX_S
    css, run, place = "", "", 0
    for _, kind, value in get_lexer_by_name(lexer_name).get_tokens_unprocessed(text):
        place += len(value)
        found = _css(kind)
        if found != css and value.strip():
            yield css, run
            css, run = found, ""
        run += value
        if time.monotonic() > deadline:
            break
    yield css, run
    yield "", text[place:]


def _css(kind: _TokenType) -> str:
    from pygments.token import Comment, Generic, Keyword, Name, Number, String

    for family, css in (
        (Keyword, "k"),
        (String, "s"),
        (Comment, "c"),
        (Number, "m"),
        (Name.Function, "nf"),
        (Name.Class, "nf"),
        (Generic.Deleted, "gd"),
        (Generic.Inserted, "gi"),
    ):
        if kind in family:
            return css
    return ""
