"""What is being typed where the cursor stands in a cell: an option, a value, a command, an expression.

Text up to the cursor comes in, a place or None goes out. It reads as ``options.py`` does, but a line that is
not finished; it never raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from ..errors import ConfigurationError
from .command_table import command
from .options import FLAG, parse
from .table import option
from .words import read_word, skip_space

if TYPE_CHECKING:
    from .command_table import CommandRow
    from .table import Magic, OptionRow

# Other cell magics (%%time, %%capture) may stand above ours.
_CELL = re.compile(r"\s*(?:%%(?!(?:chat|llm)\b)[^\n]*\n\s*)*%%(chat|llm)(?=[ \n])")
_LINE = re.compile(r"(?:[^%#\n]*=)?\s*%(chat|llm) ")
# "${{", "\{{", "{{#" and "{{%" are plain text.
_OPEN = re.compile(r"(?<![\\$])\{\{(?![#%])")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagPlace:
    """An option's name is typed.

    Attributes:
        magic: Whose option.
        typed: What there is of it.
        given: Names of the options before it.
    """

    magic: Magic
    typed: str
    given: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePlace:
    """An option's value is typed."""

    row: OptionRow
    typed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPlace:
    """A command's name is typed."""

    typed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentPlace:
    """A command's argument is typed.

    Attributes:
        row: Whose argument.
        typed: What there is of it.
        position: How many words went before: of two arguments, 1 is the keyword between them, 2 the second.
    """

    row: CommandRow
    typed: str
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionPlace:
    """Python is typed, within ``{{ }}``."""

    typed: str


Place: TypeAlias = FlagPlace | ValuePlace | CommandPlace | ArgumentPlace | ExpressionPlace


def place_in(text: str) -> Place | None:
    r"""What is being typed at the end of a text, None where it is none of ours.

    >>> place_in("answer = %llm -m gp")  # doctest: +ELLIPSIS
    ValuePlace(row=OptionRow(name='model', ...), typed='gp')
    >>> place_in("%%llm --fresh\nWhat is in {{ df.he")
    ExpressionPlace(typed='df.he')

    Args:
        text: The cell up to the cursor.
    """
    cell = _CELL.match(text)
    if cell is not None:
        magic, rest = cast("Magic", cell[1]), text[cell.end() :]
        head, newline, _ = rest.partition("\n")
        if not newline:
            return _in_options(magic, head)
        return None if _is_raw(magic, head) else _in_expression(rest)
    line = text.rpartition("\n")[2]
    found = _LINE.match(line)
    if found is None:
        return None
    rest = line[found.end() :]
    return _in_command(rest) if found[1] == "chat" else _in_options("llm", rest)


def _in_options(magic: Magic, line: str) -> Place | None:
    given: list[str] = []
    place = skip_space(line, 0)
    while place < len(line):
        found = FLAG.match(line, place)
        if found is None or found[0] == "--" or found.end() == len(line):
            break
        row = option(found[0])
        if row is None or not row.is_for(magic):
            return None
        given.append(row.name)
        place = found.end()
        if row.metavar:
            start = place + 1 if line[place] == "=" else skip_space(line, place)
            end = _word_end(line, start)
            if end is None:
                return ValuePlace(row=row, typed=line[start:])
            place = end
        place = skip_space(line, place)
    typed = line[place:]
    # A name is typed from its first dash on; before anything is typed it may become one.
    if typed in ("", "-") or ((found := FLAG.match(typed)) and found.end() == len(typed)):
        return FlagPlace(magic=magic, typed=typed, given=tuple(given))
    return None if "raw" in given else _in_expression(typed)


def _is_raw(magic: Magic, head: str) -> bool:
    try:
        return parse(magic, head).options.is_raw
    except ConfigurationError:
        # The line is being mended, and may yet be one that evaluates.
        return False


def _in_command(line: str) -> Place | None:
    name, space, rest = line.lstrip().partition(" ")
    if not space:
        return CommandPlace(typed=name)
    row = command(name)
    if row is None or not row.metavar:
        return None
    typed, position = rest.lstrip(), 0
    while row.reads != "rest" and (end := _word_end(typed, 0)) is not None:
        typed, position = typed[end:].lstrip(), position + 1
    return ArgumentPlace(row=row, typed=typed, position=position) if position <= 2 * bool(row.keyword) else None


def _in_expression(prompt: str) -> ExpressionPlace | None:
    opened = [found.end() for found in _OPEN.finditer(prompt)]
    if not opened or "}}" in prompt[opened[-1] :]:
        return None
    return ExpressionPlace(typed=prompt[opened[-1] :].lstrip())


def _word_end(line: str, start: int) -> int | None:
    """Where the word at a place ends, None where the cursor is still in it."""
    try:
        end = read_word(line, start).end
    except ConfigurationError:
        return None
    return end if end < len(line) else None
