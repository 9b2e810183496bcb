"""Markdown to safe HTML: an answer of a model in, blocks of HTML out.

CommonMark with tables, strikethrough, tasks, footnotes and formulas. What could act is not there: HTML is text, an
image is a chip that names its host, a link goes to http, https or mailto or nowhere, and no element has an id, a style
or a title. The parser's tokens are rendered by the rules here, then cleaned (see ``clean``).
"""

from __future__ import annotations

import functools
import html
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .clean import clean, escape, unix_lines
from .direction import mark_directions
from .footnotes import add_footnotes, settled
from .formulas import add_formulas
from .highlight import highlighted_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

    BlockRule = Callable[[StateBlock, int, int, bool], bool]
    Environment = MutableMapping[str, Any]

MAX_NESTING = 20

_TASK = re.compile(r"\[([ xX])\](?=\s)")
# With its slashes: "http:lab" is a page of the notebook's own server.
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)


def markdown_html(text: str, *, highlight: bool = True) -> str:
    """A whole answer as blocks of safe HTML, without anything around them.

    Args:
        text: Markdown, hostile or not.
        highlight: Mark keywords, strings and the like in code.
    """
    environment: Environment = {}
    return render(parse_whole(text, environment), environment, highlight=highlight)


def parse_whole(text: str, environment: Environment) -> list[Token]:
    """The tokens of a text of which no more will come: its footnotes stand at its end."""
    return settled(parse(unix_lines(text), environment))


def parse(text: str, environment: Environment) -> list[Token]:
    """The tokens of a text; ``environment["references"]`` takes and gives its link definitions."""
    return parser().parse(text, environment)


def render(tokens: Sequence[Token], environment: Environment, *, highlight: bool) -> str:
    """Tokens as safe HTML."""
    the_parser = parser()
    environment["highlight"] = highlight
    return clean(the_parser.renderer.render(tokens, the_parser.options, environment))


@functools.cache
def parser() -> MarkdownIt:
    """The one parser; it keeps nothing between texts, so threads may share it."""
    from markdown_it import MarkdownIt

    options = {
        "html": False,
        "linkify": False,
        "typographer": False,
        "maxNesting": MAX_NESTING,
        "xhtmlOut": False,
    }
    made = MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    add_formulas(made)
    add_footnotes(made)
    _limit_nesting(made)
    made.core.ruler.after("inline", "tasks", _mark_tasks)
    made.core.ruler.after("inline", "shallow", _cut_nesting)
    made.core.ruler.after("inline", "directions", mark_directions)
    # A refused link is still parsed as one: as text it would show its brackets, and other links would form.
    made.validateLink = lambda _url: True  # type: ignore[assignment,method-assign]  # how its manual replaces it
    # Plain functions go into the renderer's table; add_render_rule would bind them as methods.
    renderer: Any = made.renderer
    rules: dict[str, Any] = {
        "code_block": _code,
        "fence": _code,
        "image": _image,
        "link_open": _link_open,
        "td_open": _cell,
        "th_open": _cell,
    }
    renderer.rules |= rules
    return made


def _limit_nesting(made: MarkdownIt) -> None:
    """Lists and quotes nested too deeply are text: the parser would leave out all of the answer that follows them."""
    from markdown_it.rules_block import blockquote, list_block

    def limited(rule: BlockRule) -> BlockRule:
        def run(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # a rule's signature
            # A list takes two levels; what is in the innermost needs one.
            return state.level + 3 <= MAX_NESTING and rule(state, start, end, silent)

        return run

    interrupted = ["paragraph", "reference", "blockquote"]
    made.block.ruler.at("list", limited(list_block), {"alt": interrupted})
    made.block.ruler.at("blockquote", limited(blockquote), {"alt": [*interrupted, "list"]})


def _mark_tasks(state: StateCore) -> None:
    """The box of a task becomes a character: an input element could be clicked, and would mean nothing."""
    tokens = state.tokens
    for item, paragraph, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if item.type != "list_item_open" or paragraph.type != "paragraph_open" or not inline.children:
            continue
        first = inline.children[0]
        found = _TASK.match(first.content) if first.type == "text" else None
        if found:
            first.content = ("☐" if found[1] == " " else "☑") + first.content[found.end() :]


def _cut_nesting(state: StateCore) -> None:
    """Emphasis within emphasis is cut at the depth of blocks: thousands of elements in one another stop a browser."""
    for token in state.tokens:
        if token.children and len(token.children) > MAX_NESTING:
            token.children = list(_shallow(token.children))


def _shallow(tokens: list[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth += token.nesting == 1
        if token.nesting == 0 or depth <= MAX_NESTING:
            yield token
        depth -= token.nesting == -1


def _code(tokens: Sequence[Token], index: int, _options: OptionsDict, environment: Environment) -> str:
    token = tokens[index]
    block = highlighted_block(token.content, token.info if environment["highlight"] else None)
    return block.replace("<div", f"<div{_direction(token)}", 1)


def _image(tokens: Sequence[Token], index: int, _options: OptionsDict, _environment: Environment) -> str:
    token = tokens[index]
    words = ["image", token.content.strip()] if token.content.strip() else ["image"]
    host = host_of(str(token.attrs.get("src", "")))
    return f'<span class="llm-magic-image">[{escape(": ".join(words))}{f" ({escape(host)})" if host else ""}]</span>'


def host_of(url: str) -> str:
    """The host that an address names; "" where it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a malformed port or bracket: it names no host
        return ""


def _link_open(tokens: Sequence[Token], index: int, _options: OptionsDict, _environment: Environment) -> str:
    href = str(tokens[index].attrs.get("href", ""))
    # A link of an answer that opened in its own tab would leave the notebook.
    return f'<a href="{html.escape(href)}" target="_blank">' if _LINK.match(href) else "<a>"


def _cell(tokens: Sequence[Token], index: int, _options: OptionsDict, _environment: Environment) -> str:
    # The parser aligns by a style attribute; nothing here has one.
    token = tokens[index]
    align = str(token.attrs.get("style", "")).removeprefix("text-align:")
    aligned = f' align="{align}"' if align in ("left", "center", "right") else ""
    return f"<{token.tag}{aligned}{_direction(token)}>"


def _direction(token: Token) -> str:
    return f' dir="{token.attrs["dir"]}"' if "dir" in token.attrs else ""
