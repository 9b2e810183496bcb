"""Which way texts run: Arabic, Hebrew and their like from right to left, each block by its own first letter.

Comes in: tokens of a parse; goes out: ``dir`` on those blocks that run another way than what they stand in, so that
other answers do not grow. Code always runs from left to right.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

Direction: TypeAlias = Literal["ltr", "rtl"]

# Letters of scripts that run from right to left, in the blocks Unicode keeps for them.
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
_DIRECTIONS: dict[str, Direction] = {"L": "ltr", "R": "rtl", "AL": "rtl"}
_BLOCKS = frozenset(
    f"{name}_open" for name in "blockquote bullet_list heading ordered_list paragraph table td th".split()
)
# Where the search for a first letter ends before the block does: a list or table that grows must not change its way.
_ENDS = {
    "bullet_list_open": "list_item_close",
    "ordered_list_open": "list_item_close",
    "table_open": "thead_close",
}
_SEARCHED_CHARACTERS = 500


def mark_directions(state: StateCore) -> None:
    """Say which way blocks run; ``env["direction"]`` is that of the block which the first one goes on with."""
    continued: Direction | None = state.env.get("direction")
    if continued != "rtl" and not _RIGHT_TO_LEFT.search(state.src):
        return
    ways: list[Direction] = ["ltr"]
    for index, token in enumerate(state.tokens):
        if token.type in ("fence", "code_block") and ways[-1] == "rtl":
            token.attrSet("dir", "ltr")
        elif token.nesting == -1:
            ways.pop()
        elif token.nesting == 1:
            way = ways[-1]
            if token.type in _BLOCKS:
                own = continued if continued and index == 0 else _own_direction(state.tokens, index)
                way = own or way
            if way != ways[-1]:
                token.attrSet("dir", way)
            ways.append(way)


def _own_direction(tokens: Sequence[Token], index: int) -> Direction | None:
    """The way of the first letter in a block, code and formulas left out; None where it has none."""
    opening = tokens[index]
    end = _ENDS.get(opening.type)
    for token in tokens[index + 1 :]:
        if token.nesting == -1 and (token.level == opening.level or token.type == end):
            return None
        for child in token.children or ():
            found = _first_direction(child.content) if child.type == "text" else None
            if found is not None:
                return found
    return None


def _first_direction(text: str) -> Direction | None:
    ways = (_DIRECTIONS.get(unicodedata.bidirectional(char)) for char in text[:_SEARCHED_CHARACTERS])
    return next((way for way in ways if way is not None), None)
