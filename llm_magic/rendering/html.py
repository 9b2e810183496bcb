"""Markdown of a model → safe HTML.

Two walls: a parser that makes no HTML but its own (raw HTML off, pictures as inert chips, links only to http, https and
mailto), then nh3 with a short list of tags, attributes and classes.
"""

from __future__ import annotations

import functools
import re
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .code import CLASSES, code_block
from .math import add_math

if TYPE_CHECKING:
    import nh3
    from markdown_it import MarkdownIt

_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_VISIBLE: dict[int, str | None] = {
    **{code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"},
    **{ord(c): f"<U+{ord(c):04X}>" for c in _BIDI},
}
_LINK = re.compile(r"(https?://|mailto:)", re.I)
_TASK = re.compile(r"\[([ xX])\] ")
_MAX_NESTING = 20
_TAGS = set(
    "p br hr h1 h2 h3 h4 h5 h6 blockquote ul ol li pre code span div em strong s a "
    "table thead tbody tr th td small details summary".split()
)
_CLASSES = {
    "div": {"highlight", "llm-magic", "mathjax_ignore", "tex2jax_ignore"},
    "span": {*CLASSES, "llm-image", "mathjax_process", "tex2jax_process"},
    "p": {"llm-footer", "llm-notice"},
}


def markdown_html(text: str) -> str:
    """A model's Markdown as safe HTML blocks, without a wrapper; see :func:`answer_html`."""
    return _cleaner().clean(_parser().render(visible_text(text)))


def answer_html(body: str) -> str:
    """Blocks in their wrapper, inside which only marked formulas are typeset: "$5 and $10" stays money."""
    return f'<div class="llm-magic mathjax_ignore tex2jax_ignore">{body}</div>'


def footer_html(text: str) -> str:
    """The line under an answer."""
    return f'<p class="llm-footer"><small>{escape(visible_text(text), quote=False)}</small></p>'


def notice_html(text: str) -> str:
    """A line beside an answer."""
    return f'<p class="llm-notice"><em>{escape(visible_text(text), quote=False)}</em></p>'


def reasoning_html(text: str) -> str:
    """What a model thought aloud, folded."""
    return f"<details><summary>Reasoning</summary>{markdown_html(text)}</details>"


def code_html(code: str, language: str) -> str:
    """A block of code, highlighted if its language is known."""
    return _cleaner().clean(code_block(visible_text(code), language))


def preformatted_html(text: str) -> str:
    """Text as it stands, line by line."""
    return f"<pre>{escape(visible_text(text), quote=False)}</pre>"


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    md = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": _MAX_NESTING})
    md.enable(["table", "strikethrough"])
    md.core.ruler.after("inline", "llm_tasks", _mark_tasks)
    add_math(md)
    # Every link and picture parses, and is judged where it is rendered: a refused one must not turn back into markup.
    md.validateLink = lambda _url: True  # type: ignore[method-assign]
    for name, rule in (
        ("fence", _fence),
        ("code_block", _code_block),
        ("image", _image),
        ("link_open", _link_open),
        ("th_open", _cell_open),
        ("td_open", _cell_open),
    ):
        md.add_render_rule(name, rule)
    return md


@functools.cache
def _cleaner() -> nh3.Cleaner:
    import nh3

    return nh3.Cleaner(
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}},
        allowed_classes=_CLASSES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )


def _mark_tasks(state: Any) -> None:
    """``[ ]`` and ``[x]`` at the start of a list item become characters, not inputs."""
    tokens = state.tokens
    for index in range(2, len(tokens)):
        if [t.type for t in tokens[index - 2 : index + 1]] != ["list_item_open", "paragraph_open", "inline"]:
            continue
        children = tokens[index].children
        if children and children[0].type == "text" and (found := _TASK.match(children[0].content)):
            box = "☐" if found[1] == " " else "☑"
            children[0].content = f"{box} {children[0].content[found.end() :]}"


def _fence(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    words = tokens[index].info.split(None, 1)
    return code_block(tokens[index].content, words[0] if words else "")


def _code_block(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    return code_block(tokens[index].content, "")


def _image(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    """A chip that names what would have been fetched from where."""
    token = tokens[index]
    described = escape(token.content or "image", quote=False)
    return f'<span class="llm-image">[{described}: not loaded, {escape(_host(str(token.attrs.get("src", ""))), quote=False)}]</span>'


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return parts.hostname or (f"a {parts.scheme}: address" if parts.scheme else "no host named")
    except ValueError:
        return "an address that cannot be read"


def _link_open(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    href = str(tokens[index].attrs.get("href", ""))
    return f'<a href="{escape(href)}">' if _LINK.match(href) else "<a>"


def _cell_open(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    style = str(tokens[index].attrs.get("style", ""))
    align = style.removeprefix("text-align:")
    return f'<{tokens[index].tag} align="{align}">' if align in ("left", "right", "center") else f"<{tokens[index].tag}>"


def visible_text(text: str) -> str:
    """Text without control characters, its bidi controls shown: what is read is the order it is in."""
    return text.translate(_VISIBLE)
