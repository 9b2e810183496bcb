"""From the line of ``%chat`` to a command with its argument and numbers, by the table.

Text comes in; a frozen value goes out, or one :class:`ConfigurationError` that says what to type instead. Whether
there is such a turn is not known here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, nearest
from .command_table import ASK_HINT, COMMANDS, command, command_line
from .words import cut, read_word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .command_table import CommandRow, Reads
    from .words import Word

_N = "([1-9][0-9]{0,8})"
# What the numbers of a command look like, and what is missing where they do not.
_NUMBERS: Mapping[Reads, tuple[str, str]] = {
    "word": ("", "nothing"),
    "turn": (_N, "a turn's number"),
    "version": (rf"{_N}\.{_N}", "a turn's number and a version's, such as 2.1"),
    "turn or version": (rf"{_N}(?:\.{_N})?", "a turn's number"),
    "two turns": (rf"{_N}\s+KEYWORD\s+{_N}", "two turns' numbers, such as 3 before 1"),
    "word and number": (rf"(?:KEYWORD\s+{_N})?", "KEYWORD and a number"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of ``%chat``.

    Attributes:
        name: Its name; "" for ``%chat`` alone.
        argument: What followed it, numbers left out; None where nothing did.
        numbers: The numbers that followed it, of turns and versions, in order.
    """

    name: str
    argument: str | None = None
    numbers: tuple[int, ...] = ()

    @property
    def number(self) -> int | None:
        """The first number, of a turn; None where none followed."""
        return self.numbers[0] if self.numbers else None


def parse_command(line: str) -> Command:
    """The command that follows ``%chat``.

    >>> parse_command("move 3 before 1")
    Command(name='move', argument=None, numbers=(3, 1))
    >>> parse_command("fork 'my talk' at 2")
    Command(name='fork', argument='my talk', numbers=(2,))

    Raises:
        ConfigurationError: There is no such command, or its argument is missing or does not fit.
    """
    typed, *rest = line.split(None, 1) or [""]
    name = typed.rstrip(";")
    row = command(name)
    if row is None:
        match = nearest(name.lower(), [row.name for row in COMMANDS])
        hint = ASK_HINT + (f"; did you mean %chat {match}?" if match else "; %chat help lists the commands")
        raise ConfigurationError(f"Unknown command {cut(name)}.", hint=hint)
    return _command(row, "".join(rest).strip())


def _command(row: CommandRow, text: str) -> Command:
    if row.reads == "rest":
        # Empty quotes are how one sets an empty text.
        text, is_given = ("", True) if text in ("''", '""') else (text, bool(text))
    else:
        # A semicolon at the end is IPython's way to say "do not show the result".
        text = text.rstrip(";").rstrip()
        is_given = bool(text)
    if not is_given:
        if row.is_required:
            raise ConfigurationError(f"%chat {row.name} needs its {row.metavar}.", hint=command_line(row))
        return Command(name=row.name)
    if not row.metavar:
        raise ConfigurationError(f"%chat {row.name} takes nothing after it.", hint=ASK_HINT)
    if row.reads == "rest":
        return Command(name=row.name, argument=text)
    if row.reads not in ("word", "word and number"):
        return Command(name=row.name, numbers=_numbers(row, text))
    word = _one_word(row, text)
    if row.choices and word.text not in row.choices:
        raise ConfigurationError(f"{cut(word.text)} does not fit %chat {row.name}.", hint=command_line(row))
    return Command(name=row.name, argument=word.text, numbers=_numbers(row, text[word.end :].lstrip()))


def _one_word(row: CommandRow, text: str) -> Word:
    word = read_word(text, 0)
    name = row.metavar.strip("[]").partition(" ")[0]
    if not word.text:
        raise ConfigurationError(f"%chat {row.name}: {name} is empty.", hint=command_line(row))
    if row.reads == "word" and word.end < len(text):
        raise ConfigurationError(f"%chat {row.name} takes one {name}.", hint=f"quote it if it holds spaces; {ASK_HINT}")
    return word


def _numbers(row: CommandRow, text: str) -> tuple[int, ...]:
    pattern, what = _NUMBERS[row.reads]
    found = re.fullmatch(pattern.replace("KEYWORD", row.keyword), text)
    if found is None:
        what = what.replace("KEYWORD", f"'{row.keyword}'")
        also = "quote what holds spaces" if row.reads == "word and number" else ASK_HINT
        raise ConfigurationError(f"{cut(text)} is not {what}.", hint=f"{command_line(row)}; {also}")
    return tuple(int(number) for number in found.groups() if number is not None)
