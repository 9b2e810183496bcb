"""The one table of options and commands.

Parser, help, completion and the documentation's tables are made from it: what is not here does not exist.
Rows only: ``options.py`` reads lines by them, ``help.py`` makes texts of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..config import SETTINGS
from ..errors import nearest

if TYPE_CHECKING:
    from ..reply import Form

Magic: TypeAlias = Literal["chat", "llm"]
# What Tab offers for a value; "" offers nothing.
Completes: TypeAlias = Literal[
    "",
    "models",
    "conversations",
    "files",
    "values",
    "names",
    "parameters",
    "settings",
    "commands",
    "turns",
    "versions",
    "turns and versions",
]
# How a command's argument is read: one word (quoted where it holds spaces), the number of a turn (3), of a version
# (3.2), of either, two turns (3 before 1), a word and a turn (NAME at 3), or all that follows, as it is.
Reads: TypeAlias = Literal["word", "turn", "version", "turn or version", "two turns", "word and turn", "rest"]
FORMS: tuple[Form, ...] = ("text", "markdown", "json", "code")
ASK_HINT = "to ask, use %%chat or %llm"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """One command of ``%chat``.

    Attributes:
        name: Its name; "" is ``%chat`` alone.
        help: One line.
        metavar: What its argument is called; "" for none.
        reads: How the argument is read.
        is_required: It cannot do without its argument.
        keyword: The word between its two arguments, where it takes two; the second is a turn's number.
        choices: Allowed arguments, empty for any.
        gives: What it returns: "DataFrame", "value", or "" for nothing.
        completes: What Tab offers for its argument, beside the choices.
    """

    name: str
    help: str
    metavar: str = ""
    reads: Reads = "word"
    is_required: bool = False
    keyword: str = ""
    choices: tuple[str, ...] = ()
    gives: Literal["", "DataFrame", "value"] = ""
    completes: Completes = ""


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
        name="as",
        metavar="|".join(FORMS),
        choices=FORMS,
        help="how the answer is shown; json and code take it out of its fence",
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
    OptionRow(name="timeout", metavar="SECONDS", help="seconds for the whole answer"),
    OptionRow(name="dry-run", help="show what would be sent, and its tokens and price; send nothing"),
    OptionRow(name="no-stream", setting="stream", help="show the answer when it is complete"),
    OptionRow(name="quiet", help="show nothing"),
)

COMMANDS: tuple[CommandRow, ...] = (
    CommandRow(name="", help="where am I: the conversation, its numbered turns, model, tokens, cost"),
    CommandRow(
        name="show",
        metavar="[N|N.v]",
        reads="turn or version",
        completes="turns and versions",
        help="the same; with N, that turn whole; with N.v, one of its versions, failed ones too",
    ),
    CommandRow(
        name="new",
        metavar="[NAME]",
        completes="conversations",
        help="start a conversation; an existing NAME is archived and begun afresh",
    ),
    CommandRow(
        name="use",
        metavar="NAME",
        is_required=True,
        completes="conversations",
        help="switch to a conversation",
    ),
    CommandRow(name="list", gives="DataFrame", help="the conversations: turns, size, dates, tokens, cost"),
    CommandRow(
        name="fork",
        metavar="NAME [at N]",
        reads="word and turn",
        keyword="at",
        is_required=True,
        completes="conversations",
        help="go on in a copy of the conversation, up to turn N; an existing NAME is archived",
    ),
    CommandRow(name="undo", help="take back the last ask, pick, move or hide"),
    CommandRow(name="redo", help="make again what was taken back"),
    CommandRow(
        name="retry", metavar="[N]", reads="turn", completes="turns", help="ask turn N again (default: the last)"
    ),
    CommandRow(
        name="refresh",
        metavar="[plan]",
        choices=("plan",),
        help="ask all stale turns again, and those after them, tokens and price said first; plan only says them",
    ),
    CommandRow(
        name="pick",
        metavar="N.v",
        reads="version",
        is_required=True,
        completes="versions",
        help="let version v of turn N count",
    ),
    CommandRow(
        name="hide",
        metavar="N",
        reads="turn",
        is_required=True,
        completes="turns",
        help="leave turn N out of what is sent",
    ),
    CommandRow(
        name="unhide", metavar="N", reads="turn", is_required=True, completes="turns", help="take turn N in again"
    ),
    CommandRow(
        name="move",
        metavar="N before M",
        reads="two turns",
        keyword="before",
        is_required=True,
        completes="turns",
        help="put turn N right before turn M",
    ),
    CommandRow(name="prune", help="hide all turns whose cell is gone"),
    CommandRow(
        name="system",
        metavar="[TEXT]",
        reads="rest",
        gives="value",
        help='read or set the conversation\'s system prompt; "" for none',
    ),
    CommandRow(
        name="model",
        metavar="[NAME]",
        gives="value",
        completes="models",
        help="read or set the conversation's model",
    ),
    CommandRow(name="models", gives="DataFrame", help="the models the server offers"),
    CommandRow(
        name="tokens",
        metavar="[TEXT]",
        reads="rest",
        gives="DataFrame",
        help="count the tokens of TEXT, or of the conversation",
    ),
    CommandRow(
        name="usage",
        metavar="[session]",
        choices=("session",),
        gives="DataFrame",
        help="every request: model, tokens, cost, times",
    ),
    CommandRow(name="frame", gives="DataFrame", help="the conversation, a row for each message of every version"),
    CommandRow(
        name="config",
        metavar="[NAME[=VALUE]]",
        reads="rest",
        gives="value",
        completes="settings",
        help="read or set a setting for the session; alone, all values and where they come from",
    ),
    CommandRow(
        name="save",
        metavar="FILE",
        is_required=True,
        completes="files",
        help="save the conversation, by suffix: .json (all), .jsonl (messages as sent), .md, .csv, .parquet",
    ),
    CommandRow(
        name="load",
        metavar="FILE",
        is_required=True,
        completes="files",
        help="make a new conversation of a saved one",
    ),
    CommandRow(
        name="local",
        metavar="[download|stop]",
        choices=("download", "stop"),
        help="the local model: its state, get its weights, end it",
    ),
    CommandRow(
        name="help",
        metavar="[COMMAND]",
        completes="commands",
        help="this page, or one command or option of it",
    ),
)
_BY_FLAG = {flag: row for row in OPTIONS for flag in row.flags}
_BY_NAME = {row.name: row for row in COMMANDS}


def option(flag: str) -> OptionRow | None:
    """The option the user types like this (``-m``, ``--model``), None where there is none."""
    return _BY_FLAG.get(flag)


def command(name: str) -> CommandRow | None:
    """The command of this name, None where there is none."""
    return _BY_NAME.get(name)


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


def command_line(row: CommandRow) -> str:
    """A command as it is typed.

    >>> command_line(COMMANDS[1])
    '%chat show [N|N.v]'
    """
    return " ".join(part for part in ("%chat", row.name, row.metavar) if part)


def flags() -> tuple[str, ...]:
    """All options as they are typed, short names and long ones."""
    return tuple(_BY_FLAG)
