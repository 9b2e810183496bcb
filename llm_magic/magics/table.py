"""The one table of options; ``command_table.py`` is that of commands.

Parser, help, completion and the documentation's tables are made from it: what is not here does not exist.
Rows only: ``options.py`` reads lines by them, ``help.py`` makes texts of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import nearest
from ..settings import SETTINGS

if TYPE_CHECKING:
    from ..reply import Form

Magic: TypeAlias = Literal["chat", "llm"]
# What Tab offers for a value; "" offers nothing.
Completes: TypeAlias = Literal[
    "",
    "models",
    "conversations",
    "kept",
    "files",
    "values",
    "tools",
    "names",
    "parameters",
    "settings",
    "commands",
    "turns",
    "versions",
    "turns and versions",
]
FORMS: tuple[Form, ...] = ("text", "markdown", "json", "code", "data")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionRow:
    """One option of ``%%chat`` and ``%llm``.

    Attributes:
        name: Its long name, without dashes.
        help: One line; units included.
        letter: Its short name, without dash; "" where it has none.
        metavar: What its value is called; "" for an option without a value.
        setting: The setting it sets for this one cell, "" where it sets none.
        is_repeatable: It may be given more than once.
        choices: Allowed values, empty for any.
        completes: What Tab offers for its value, beside the choices.
        not_for_chat: Why ``%%chat`` does not take it; "" where it does.
    """

    name: str
    help: str
    letter: str = ""
    metavar: str = ""
    setting: str = ""
    is_repeatable: bool = False
    choices: tuple[str, ...] = ()
    completes: Completes = ""
    not_for_chat: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """As the user types it, the short name first."""
        return (*((f"-{self.letter}",) if self.letter else ()), f"--{self.name}")

    def is_for(self, magic: Magic) -> bool:
        """Whether a magic takes it."""
        return magic == "llm" or not self.not_for_chat


OPTIONS: tuple[OptionRow, ...] = (
    OptionRow(name="model", letter="m", metavar="NAME", setting="model", completes="models", help="the model to ask"),
    OptionRow(
        name="conversation",
        letter="c",
        metavar="NAME",
        completes="conversations",
        help="the conversation to ask, instead of the current one",
    ),
    OptionRow(name="system", letter="s", metavar="TEXT", setting="system", help='the system prompt; "" for none'),
    OptionRow(
        name="image",
        letter="i",
        metavar="X",
        is_repeatable=True,
        completes="values",
        help="a picture to send along: an expression, a path or a URL; repeatable",
    ),
    OptionRow(
        name="file",
        letter="f",
        metavar="X",
        is_repeatable=True,
        completes="values",
        help="a file to send along: an expression, a path or a URL; repeatable",
    ),
    OptionRow(
        name="tool",
        metavar="NAME",
        is_repeatable=True,
        completes="tools",
        help="a function the model may call: an expression, or the name of a built-in tool; repeatable",
    ),
    OptionRow(
        name="schema",
        metavar="EXPR",
        completes="names",
        help="the type of the answer, an expression: a model, dataclass, list[Model], Enum, Literal, JSON schema",
    ),
    OptionRow(name="json", help="the answer is a JSON object, whatever is in it"),
    OptionRow(
        name="as",
        metavar="|".join(FORMS),
        choices=FORMS,
        help="how the answer is shown; json and code take it out of its fence, data makes a table of JSON",
    ),
    OptionRow(name="into", metavar="VAR", completes="names", help="the variable that gets the reply"),
    OptionRow(
        name="fresh",
        help="without the conversation before it",
        not_for_chat="%%chat always goes on with the conversation: use %%llm --fresh",
    ),
    OptionRow(
        name="keep",
        help="add the turn to the conversation",
        not_for_chat="%%chat always keeps its turn: leave it out",
    ),
    OptionRow(
        name="complete",
        help="go on with the prompt as text (the completions of before chat), without conversation and system prompt",
        not_for_chat="a completion is no turn of a conversation: use %%llm --complete",
    ),
    OptionRow(name="raw", help="send {{ }} as it stands, without evaluating it"),
    OptionRow(
        name="param",
        letter="p",
        metavar="KEY=VALUE",
        completes="parameters",
        is_repeatable=True,
        help="any request parameter; VALUE is JSON where it parses, else text; repeatable",
    ),
    OptionRow(name="temperature", metavar="NUMBER", setting="temperature", help=SETTINGS["temperature"].help),
    OptionRow(name="max-tokens", metavar="COUNT", setting="max_tokens", help=SETTINGS["max_tokens"].help),
    OptionRow(name="seed", metavar="NUMBER", setting="seed", help=SETTINGS["seed"].help),
    OptionRow(name="stop", metavar="TEXT", is_repeatable=True, help="where the answer ends; repeatable"),
    OptionRow(
        name="detail",
        metavar="|".join(SETTINGS["detail"].choices),
        setting="detail",
        choices=SETTINGS["detail"].choices,
        help=SETTINGS["detail"].help,
    ),
    OptionRow(
        name="budget",
        metavar="AMOUNT",
        setting="budget",
        help="most this ask may cost, in US dollars or tokens (0.05, 20000tok): an answer stops there and is kept",
    ),
    OptionRow(name="timeout", metavar="SECONDS", help="seconds for the whole answer"),
    OptionRow(name="dry-run", help="show what would be sent, and its tokens and price; send nothing"),
    OptionRow(name="force", help="send it also where the model is known not to do it, or not to read so much"),
    OptionRow(name="no-stream", setting="stream", help="show the answer when it is complete"),
    OptionRow(
        name="inline-images",
        setting="inline_images",
        help="fetch pictures given by an address here and send them, instead of letting the server fetch them",
    ),
    OptionRow(name="quiet", help="show nothing"),
    OptionRow(
        name="background",
        help="go on when the cell has ended, in its output; the reply is there at the end (not for %llm)",
    ),
)

_BY_FLAG = {flag: row for row in OPTIONS for flag in row.flags}


def option(flag: str) -> OptionRow | None:
    """The option the user types like this (``-m``, ``--model``), None where there is none."""
    return _BY_FLAG.get(flag)


def nearest_flag(flag: str, magic: Magic) -> str | None:
    """The option most like what was typed, dashes and case aside; None where none is close."""
    typed = flag.lstrip("-").lower()
    rows = [row for row in OPTIONS if row.is_for(magic)]
    by_word = {row.name: f"--{row.name}" for row in rows} | {row.letter: f"-{row.letter}" for row in rows if row.letter}
    match = nearest(typed.replace("_", "-"), by_word)
    return by_word[match] if match else None


def usage_line(row: OptionRow) -> str:
    """An option as it is typed.

    >>> usage_line(OPTIONS[0])
    '-m/--model NAME'
    """
    return "/".join(row.flags) + (f" {row.metavar}" if row.metavar else "")


def flags() -> tuple[str, ...]:
    """All options as they are typed, short names and long ones."""
    return tuple(_BY_FLAG)
