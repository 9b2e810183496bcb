r"""Formulas in Markdown: ``$…$``, ``\(…\)``, ``$$…$$`` and ``\[…\]``, typeset only where that is safe.

MathJax is an interpreter that shares its macros with the whole page: a formula could make links, redefine macros of
other outputs, load extensions, cover the page. So a formula is handed to it only if all its macros, environments
and lengths are on the lists below; any other is shown as code, its source readable. Comes in: the parser and its
states; goes out: tokens of type ``formula`` and their HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .clean import escape
from .macros import ENVIRONMENTS, MACROS, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from typing import Any

    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

MAX_CHARACTERS = 2_000
MAX_DEPTH = 16
MAX_NEGATIVE_SPACES = 12

# The name of a macro as MathJax reads it: its pattern ignores case by Unicode's rules, and so must ours.
_MACRO = re.compile(r"\\((?i:[a-z]+)\*?|.)?", re.DOTALL)
_SYMBOL = re.compile(r"\\[^A-Za-z]")
_ENVIRONMENT = re.compile(r"\s*\{([A-Za-z]+\*?)\}")
_COLUMNS = re.compile(r"\s*(?:\[[tbc]\]\s*)?\{[lcr|: ]{1,40}\}")
# A line may be set off by a small length: a large or a negative one would cover the page.
_LENGTH = re.compile(r"\s*\*?\s*\[(?!\s*(?:\d{1,2}\s*(?:pt|px|mm)|\d?(?:\.\d{1,3})?\s*(?:em|ex))\s*\])")
_FORBIDDEN = re.compile(r"[%#\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# A dollar opens before a character that is no space and closes after one, not before a digit: "$5 and $10" is money.
_DOLLAR = re.compile(r"\$(?![\s$])((?:\\.|[^\\$`]){1,1000}?)(?<!\s)\$(?!\d)", re.DOTALL)
_DOLLARS = re.compile(r"\$\$((?:\\.|[^\\$`]){1,2000}?)\$\$", re.DOTALL)
_AMOUNT = re.compile(r"\d[\d.,]*\s*[kKmMbB%]?(?:\s+|\s*[-–/,;:()]\s*)[A-Za-z]{2}")

_CLOSERS = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}


def add_formulas(parser: MarkdownIt) -> None:
    """Teach a parser formulas."""
    parser.inline.ruler.before("escape", "bracket_formula", _bracket_formula)
    parser.inline.ruler.before("escape", "dollar_formula", _dollar_formula)
    parser.block.ruler.before(
        "fence", "formula_block", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    # The renderer keeps its rules in a plain mapping; add_render_rule binds functions as methods, which these are not.
    rules: Any = parser.renderer
    rules.rules["formula"] = _render_formula
    rules.rules["formula_block"] = _render_formula_block


def is_typeset(tex: str) -> bool:
    r"""Whether a formula is handed to MathJax: everything in it is known and harmless.

    >>> is_typeset(r"\frac{a}{b} \le \sqrt{2}"), is_typeset(r"\href{javascript:alert(1)}{a}")
    (True, False)
    """
    if len(tex) > MAX_CHARACTERS or tex.count("\\!") > MAX_NEGATIVE_SPACES:
        return False
    bare = _SYMBOL.sub("", tex)
    if _FORBIDDEN.search(bare) or not _is_shallow(bare):
        return False
    return all(_is_known(found, tex) for found in _MACRO.finditer(tex))


def formula_html(tex: str, *, is_display: bool) -> str:
    """A formula as HTML: for MathJax where that is safe, else as code."""
    if not is_typeset(tex):
        return f"<code>{escape(tex)}</code>"
    opener, closer = ("\\[", "\\]") if is_display else ("\\(", "\\)")
    return f'<span class="tex2jax_process mathjax_process">{opener}{escape(tex)}{closer}</span>'


def _is_known(found: re.Match[str], tex: str) -> bool:
    name = found[1]
    if name is None:
        return False
    bare = name.removesuffix("*") if len(name) > 1 else name
    if bare in ("begin", "end"):
        environment = _ENVIRONMENT.match(tex, found.end())
        if bare != name or environment is None or environment[1] not in ENVIRONMENTS:
            return False
        return bare == "end" or environment[1] != "array" or _COLUMNS.match(tex, environment.end()) is not None
    if name == "\\":
        return _LENGTH.match(tex, found.end()) is None
    return bare in MACROS or name in SYMBOLS


def _is_shallow(tex: str) -> bool:
    depth = 0
    for char in tex:
        depth += (char == "{") - (char == "}")
        if not 0 <= depth <= MAX_DEPTH:
            return False
    return depth == 0


def _bracket_formula(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # a rule's signature
    source, start = state.src, state.pos
    closer = _CLOSERS.get(source[start : start + 2])
    if closer is None or closer == "$$":
        return False
    end = source.find(closer, start + 2, min(state.posMax, start + 2 + MAX_CHARACTERS))
    if end < 0 or not source[start + 2 : end].strip():
        return False
    if not silent:
        _push(state, source[start + 2 : end], is_display=closer == "\\]")
    state.pos = end + 2
    return True


def _dollar_formula(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # a rule's signature
    source, start = state.src, state.pos
    if source[start] != "$" or (start and (source[start - 1].isalnum() or source[start - 1] == "$")):
        return False
    is_display = source.startswith("$$", start)
    found = (_DOLLARS if is_display else _DOLLAR).match(source, start, state.posMax)
    if found is None or not found[1].strip() or (not is_display and _AMOUNT.match(found[1])):
        return False
    if not silent:
        _push(state, found[1], is_display=is_display)
    state.pos = found.end()
    return True


def _push(state: StateInline, tex: str, *, is_display: bool) -> None:
    token = state.push("formula", "", 0)
    token.content = tex
    token.meta = {"is_display": is_display}


def _formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # a rule's signature
    r"""A formula that begins a line with ``$$`` or ``\[``, up to its closer.

    One that is not closed is a block all the same, shown as code: as a paragraph, it would be another kind of block
    while
    its end is still to come than after. A blank line ends it unclosed.
    """
    if state.is_code_block(start):
        return False
    first = _line(state, start)
    closer = _CLOSERS.get(first[:2])
    if closer is None or first[:2] == "\\(":
        return False
    body, mark, after = first[2:].partition(closer)
    if mark and (after.strip() or not body.strip()):
        return False  # "$$x$$ is …" is a paragraph with a formula in it
    if silent:
        return True
    lines, line = [body], start + 1
    while not mark and line < end and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        body, mark, after = _line(state, line).partition(closer)
        lines.append(body)
        line += 1
    token = state.push("formula_block", "", 0)
    token.content = "\n".join(lines).strip()
    token.map = [start, line]
    token.block = True
    token.meta = {"is_closed": bool(mark), "after": after.strip()}
    state.line = line
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _render_formula(tokens: Sequence[Token], index: int, _options: OptionsDict, _env: MutableMapping[str, Any]) -> str:
    token = tokens[index]
    return formula_html(token.content, is_display=token.meta["is_display"])


def _render_formula_block(
    tokens: Sequence[Token], index: int, _options: OptionsDict, _env: MutableMapping[str, Any]
) -> str:
    token = tokens[index]
    if token.meta["is_closed"]:
        formula, after = formula_html(token.content, is_display=True), escape(token.meta["after"])
    else:
        formula, after = f"<code>{escape(token.content)}</code>", ""
    return f"<p>{formula} {after}".rstrip() + "</p>\n"
