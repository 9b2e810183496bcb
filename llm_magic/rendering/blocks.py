"""Blocks as the parser sees them: where each begins and ends, and whether further text can change it.

Comes in: tokens of a parse, and lines; goes out: groups of tokens, one a top-level block, and judgements on them. Knows
CommonMark's rules of what continues what; renders nothing itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markdown_it.token import Token

    Block = list[Token]

_FENCE = re.compile(r" {0,3}(?:(`{3,})[^`\n]*|(~{3,})[^\n]*)(?:\n|\Z)")
_LETTER = re.compile(r"[^\W\d_]")
_ROWS = "<tbody>\n"


def split(tokens: Sequence[Token]) -> list[Block]:
    """The tokens of each top-level block."""
    found: list[Block] = []
    block: Block = []
    for token in tokens:
        block.append(token)
        if token.level == 0 and token.nesting != 1:
            found.append(block)
            block = []
    return found


def start(block: Block) -> int:
    """The line a block begins at."""
    return _lines(block[0])[0]


def end(block: Block) -> int:
    """The line after a block."""
    return _lines(block[0])[1]


def is_final(block: Block, lines: Sequence[str]) -> bool:
    """Whether no further line can change the last block of the text.

    Args:
        block: The last block.
        lines: All lines of the text, each complete.
    """
    token = block[0]
    match token.type:
        case "heading_open" | "hr":
            return True
        case "fence":
            fence_end = _fence_end(lines[start(block)].lstrip(" "))
            return end(block) - start(block) > 1 and fence_end.fullmatch(lines[end(block) - 1]) is not None
        case "formula_block":
            return bool(token.meta["is_closed"]) or end(block) < len(lines)
        case _:
            # What follows it is a blank line, else there would be a block.
            return ends_at_blank(block) and end(block) < len(lines)


def ends_at_blank(block: Block) -> bool:
    """Whether a blank line ends a block; within lists and code there may be some."""
    return block[0].type in ("paragraph_open", "table_open", "blockquote_open")


def before_definitions(line: int, environment: dict[str, Any], *, floor: int) -> int:
    """The line, or the first of the link definitions that end right there: what follows may be part of their title.

    Args:
        line: Where the tail would begin.
        environment: Of the parse.
        floor: Definitions before this line are inside of blocks, or long closed.
    """
    references = [*environment["references"].values(), *environment.get("duplicate_refs", ())]
    begins = {found["map"][1]: found["map"][0] for found in references if "map" in found and found["map"][0] >= floor}
    while line in begins:
        line = begins[line]
    return line


def open_fence(source: str) -> re.Pattern[str] | None:
    """What ends the fence that a text begins with and is in to its end; None where it is in none.

    Fences that are indented are left to the parser, which takes the indentation off their lines.
    """
    if not source.startswith(("```", "~~~")):
        return None
    opening, newline, _ = source.partition("\n")
    if not newline or not _FENCE.match(source):
        return None
    fence_end = _fence_end(opening)
    return None if fence_end.search(source, len(opening) + 1) else fence_end


def ends_in_word(block: Block, source: str) -> bool:
    """Whether a text ends in a word, in a place where further words are only more text."""
    if not source[-1].isalnum() or not _LETTER.search(source, source.rfind("\n") + 1):
        return False
    closers = 0
    while closers < len(block) and block[-1 - closers].nesting == -1:
        closers += 1
    token = block[-1 - closers]
    if token.type != "inline" or not token.children or token.children[-1].type != "text":
        return False
    if not _LETTER.search(token.children[-1].content):
        return False  # the first letter of a block says which way it runs
    # A row may hold more than its cells show; a definition after a paragraph is no token at all.
    is_cell = block[-closers].type in ("td_close", "th_close")
    is_last = _lines(token)[1] == source.count("\n") + 1 and source.endswith(token.content.rpartition("\n")[2])
    return is_last and not is_cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The finished items of an open list, or rows of an open table, as they were rendered.

    Attributes:
        html: HTML of those that were frozen last; with what was frozen before, the block from its beginning.
        source: The lines of all.
        is_loose: The list has blank lines between its items, so that their text stands in paragraphs; None: a table.
        direction: Which way the block runs.
    """

    html: str
    source: str
    is_loose: bool | None
    direction: str

    def is_contradicted_by(self, block: Block) -> bool:
        """Whether the rest of the list shows that the frozen items look different."""
        return self.is_loose is False and _is_loose(block) is True

    def rest(self, block: Block, render: Callable[[Block], str]) -> str:
        """HTML of the block from there to its end.

        Args:
            block: What is left of it: the last items, or the table's head and the last rows.
            render: Makes HTML of it.
        """
        if self.is_loose:
            _loosen(block)
        return render(block).partition(_mark(block))[2]


def freeze(
    block: Block, lines: Sequence[str], render: Callable[[Block], str], before: Frozen | None
) -> tuple[Frozen, list[str], int] | None:
    """Freeze all but the last item or row of a block.

    Args:
        block: The last block of the text, over complete lines.
        lines: The lines of the text.
        render: Makes HTML of tokens.
        before: What is frozen of the same block already.

    Returns:
        What is frozen now; the lines that must stand before the rest; the line at which the rest begins. None where
        there is nothing to freeze.
    """
    is_table = block[0].type == "table_open"
    is_loose = None if is_table else _is_loose(block)
    if not is_table and is_loose is None:
        return None
    cut = _last_row(block) if is_table else _last_item(block)
    if cut is None:
        return None
    if before is not None and before.is_loose:
        is_loose = True
        _loosen(block)
    at, first = _lines(block[cut])[0], start(block)
    html = render(block[:cut] + block[-1 - is_table :])
    html = html[: html.rindex("</tbody>" if is_table else f"</{block[0].tag}>")]
    kept = list(lines[first : first + 2]) if is_table else []
    source = "".join(f"{line}\n" for line in lines[first:at])
    if before is not None:
        html, source = html.partition(_mark(block))[2], before.source + source
    direction = str(block[0].attrs.get("dir", "ltr"))
    return Frozen(html=html, source=source, is_loose=is_loose, direction=direction), kept, at


def _lines(token: Token) -> list[int]:
    assert token.map is not None  # of opening, inline and single tokens
    return token.map


def _fence_end(opening: str) -> re.Pattern[str]:
    char = opening[0]
    count = len(opening) - len(opening.lstrip(char))
    return re.compile(rf"^ {{0,3}}{char}{{{count},}}[ \t]*$", re.MULTILINE)


def _paragraphs(block: Block) -> list[Token]:
    inside_item = 2
    tags = ("paragraph_open", "paragraph_close")
    return [token for token in block if token.level == inside_item and token.type in tags]


def _is_loose(block: Block) -> bool | None:
    if block[0].type not in ("bullet_list_open", "ordered_list_open"):
        return None
    paragraphs = _paragraphs(block)
    return not paragraphs[0].hidden if paragraphs else None


def _last_row(block: Block) -> int | None:
    """Where the last row begins, if it is neither the head nor the first after it."""
    rows = [i for i, token in enumerate(block) if token.type == "tr_open"]
    return rows[-1] if len(rows) > 2 else None  # noqa: PLR2004


def _last_item(block: Block) -> int | None:
    """Where the last item begins that has a paragraph of its own, if it is not the first item.

    Items without one would not show whether the list they are the rest of is loose.
    """
    last = max(i for i, token in enumerate(block) if token.level == 2 and token.type == "paragraph_open")  # noqa: PLR2004
    items = [i for i, token in enumerate(block[:last]) if token.level == 1 and token.type == "list_item_open"]
    return items[-1] if len(items) > 1 else None


def _loosen(block: Block) -> None:
    for token in _paragraphs(block):
        token.hidden = False


def _mark(block: Block) -> str:
    """What the items or rows of a block stand behind, in its HTML."""
    return _ROWS if block[0].type == "table_open" else "\n"
