"""Footnotes in Markdown: ``[^1]`` in a text, ``[^1]: …`` where it is explained.

A definition is a block of its own, shown where it stands until the text is whole: only then is it known which notes
there are. Whole texts have numbers where notes are referred to, and the notes in a list at the end; nothing links from
one to the other, since that takes ids, which would be those of the page. Comes in: the parser and its states, then the
tokens of a whole text; goes out: tokens. A note that nothing refers to stays where it is.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from .blocks import split
from .clean import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence
    from typing import Any

    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

    from .blocks import Block

_LABEL = r"\[\^([^\s\[\]^]{1,80})\]"
# What is in parentheses after it makes a link of it.
_REFERENCE = re.compile(rf"{_LABEL}(?!\()")
_DEFINITION = re.compile(rf"{_LABEL}:[ \t]*")
_INDENTATION = 4


def add_footnotes(parser: MarkdownIt) -> None:
    """Teach a parser footnotes."""
    from markdown_it.rules_block import reference

    def other_reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001
        # A definition where none may stand must not be taken for that of a link, which is shown nowhere.
        return not state.src.startswith("[^", _first(state, start)) and reference(state, start, end, silent)

    parser.block.ruler.at("reference", other_reference)
    parser.block.ruler.before(
        "reference", "footnote", _definition, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.before("link", "footnote_reference", _reference)
    parser.core.ruler.after("inline", "footnote_labels", _put_labels)
    rules: Any = parser.renderer
    rules.rules |= {
        "footnote_open": _render_open,
        "footnote_close": lambda *_: "",
        "footnote_label": lambda tokens, index, *_: escape(tokens[index].content),
        "footnote_reference": _render_reference,
    }


def settled(tokens: list[Token]) -> list[Token]:
    """The tokens of a whole text with its footnotes numbered and put at its end."""
    found = split(tokens)
    definitions: dict[str, Block] = {}
    for block in found:
        if block[0].type == "footnote_open":
            definitions.setdefault(block[0].meta["label"], block)
    if not definitions:
        return tokens
    notes = _numbered((block for block in found if block[0].type != "footnote_open"), definitions)
    if not notes:
        return tokens
    moved = {id(note) for note in notes}
    text = [token for block in found if id(block) not in moved for token in block]
    return text + _section(notes)


def _numbered(text: Iterable[Block], definitions: dict[str, Block]) -> list[Block]:
    """Number the references in the text, then those in notes; the notes in the order of their numbers."""
    numbers: dict[str, int] = {}
    notes: list[Block] = []
    for block in chain(text, notes):  # which grow meanwhile
        for child in (child for token in block for child in token.children or ()):
            label = child.meta.get("label") if child.type == "footnote_reference" else None
            if label not in definitions:
                continue
            if label not in numbers:
                numbers[label] = len(numbers) + 1
                notes.append(definitions[label])
            child.meta["number"] = numbers[label]
    return notes


def _section(notes: Iterable[Block]) -> list[Token]:
    from markdown_it.token import Token

    tokens = [Token("hr", "hr", 0, block=True), Token("ordered_list_open", "ol", 1, block=True)]
    for note in notes:
        content = note[1:-1]
        if content and content[0].type == "paragraph_open":
            assert content[1].children is not None
            del content[1].children[0]  # the label
        if len(content) == 3 and not content[0].attrs:  # noqa: PLR2004  # one paragraph: begin, text, end
            content[0].hidden = content[2].hidden = True
        item = Token("list_item_open", "li", 1, block=True, level=1)
        tokens += [item, *content, Token("list_item_close", "li", -1, block=True, level=1)]
    return [*tokens, Token("ordered_list_close", "ol", -1, block=True)]


def _first(state: StateBlock, line: int) -> int:
    return state.bMarks[line] + state.tShift[line]


def _definition(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # a rule's signature
    """A label and blocks; those after the first are indented. Only at the top: elsewhere it would not be at an end."""
    found = _DEFINITION.match(state.src, _first(state, start), state.eMarks[start])
    if found is None or state.is_code_block(start):
        return False
    if silent:
        return True
    if state.level > 0:
        return False
    opening = state.push("footnote_open", "", 1)
    opening.meta = {"label": found[1]}
    # The rest of the line, as the first one of what is in it.
    before = state.bMarks[start], state.tShift[start], state.sCount[start], state.parentType
    state.bMarks[start], state.tShift[start] = found.end(), 0
    state.blkIndent += _INDENTATION
    state.sCount[start] = state.blkIndent
    state.parentType = "footnote"
    state.md.block.tokenize(state, start, end)
    state.blkIndent -= _INDENTATION
    state.bMarks[start], state.tShift[start], state.sCount[start], state.parentType = before
    opening.map = [start, state.line]
    state.push("footnote_close", "", -1)
    return True


def _reference(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # a rule's signature
    found = _REFERENCE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push("footnote_reference", "", 0)
        token.content = found[0]
        token.meta = {"label": found[1]}
    state.pos = found.end()
    return True


def _put_labels(state: StateCore) -> None:
    """A definition that is shown where it stands begins with its label."""
    from markdown_it.token import Token

    for opening, first, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if opening.type == "footnote_open" and first.type == "paragraph_open" and inline.children is not None:
            inline.children.insert(0, Token("footnote_label", "", 0, content=f"{_label(opening)} "))


def _render_open(
    tokens: Sequence[Token], index: int, _options: OptionsDict, _environment: MutableMapping[str, Any]
) -> str:
    is_labelled = index + 1 < len(tokens) and tokens[index + 1].type == "paragraph_open"
    return "" if is_labelled else f"<p>{escape(_label(tokens[index]))}</p>\n"


def _label(opening: Token) -> str:
    return f"[^{opening.meta['label']}]:"


def _render_reference(
    tokens: Sequence[Token], index: int, _options: OptionsDict, _environment: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    number = token.meta.get("number")
    return escape(token.content) if number is None else f"<sup>[{number}]</sup>"
