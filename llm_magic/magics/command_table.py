"""The one table of the commands of ``%chat``; ``table.py`` is that of the options.

Parser, help, completion and the documentation's tables are made from it: what is not here does not exist.
Rows only: ``command_lines.py`` reads lines by them, ``help.py`` makes texts of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from .table import Completes

ASK_HINT = "to ask, use %%chat or %llm"
# How a command's argument is read: one word (quoted where it holds spaces), the number of a turn (3), of a version
# (3.2), of either, two turns (3 before 1), a word and a number (NAME at 3), or all that follows, as it is.
Reads: TypeAlias = Literal["word", "turn", "version", "turn or version", "two turns", "word and number", "rest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """One command of ``%chat``.

    Attributes:
        name: Its name; "" is ``%chat`` alone.
        help: One line.
        metavar: What its argument is called; "" for none.
        reads: How the argument is read.
        is_required: It cannot do without its argument.
        keyword: The word between its two arguments, where it takes two; the second is a number.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandGroup:
    """Commands that belong together.

    Attributes:
        name: What they are for, in a word or two.
        help: One line for all of them.
        rows: The commands.
    """

    name: str
    help: str
    rows: tuple[CommandRow, ...]


GROUPS: tuple[CommandGroup, ...] = (
    CommandGroup(
        name="looking",
        help="where am I: the numbered turns and their marks; one turn whole; all conversations",
        rows=(
            CommandRow(name="", help="where am I: the conversation, its numbered turns, model, tokens, cost"),
            CommandRow(
                name="show",
                metavar="[N|N.v]",
                reads="turn or version",
                completes="turns and versions",
                help="the same; with N, that turn whole; with N.v, one of its versions, failed ones too",
            ),
            CommandRow(name="list", gives="DataFrame", help="the conversations: turns, size, dates, tokens, cost"),
        ),
    ),
    CommandGroup(
        name="conversations",
        help="start, switch, go on differently from a turn",
        rows=(
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
            CommandRow(
                name="fork",
                metavar="NAME [at N]",
                reads="word and number",
                keyword="at",
                is_required=True,
                completes="conversations",
                help="go on in a copy of the conversation, up to turn N; an existing NAME is archived",
            ),
        ),
    ),
    CommandGroup(
        name="second thoughts",
        help="take back, choose what counts and what is sent; nothing is lost",
        rows=(
            CommandRow(name="undo", help="take back the last ask, pick, move or hide"),
            CommandRow(name="redo", help="make again what was taken back"),
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
                name="unhide",
                metavar="N",
                reads="turn",
                is_required=True,
                completes="turns",
                help="take turn N in again",
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
        ),
    ),
    CommandGroup(
        name="asking again",
        help="ask a turn again, go on with a partial answer, ask all that is stale, its price said first",
        rows=(
            CommandRow(
                name="retry",
                metavar="[N]",
                reads="turn",
                completes="turns",
                help="ask turn N again (default: the last)",
            ),
            CommandRow(name="continue", help="go on with the last turn where its answer was interrupted or cut off"),
            CommandRow(
                name="refresh",
                metavar="[plan]",
                choices=("plan",),
                help="ask all stale turns and those after them again, the price said first; with plan, only say it",
            ),
        ),
    ),
    CommandGroup(
        name="settings",
        help="read or set, for the conversation or the session",
        rows=(
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
            CommandRow(
                name="budget",
                metavar="[AMOUNT|none]",
                gives="value",
                help="read or set the most this session may cost, in US dollars or tokens (0.50, 20000tok)",
            ),
            CommandRow(
                name="config",
                metavar="[NAME[=VALUE]]",
                reads="rest",
                gives="value",
                completes="settings",
                help="read or set a setting for the session; alone, all values and where they come from",
            ),
        ),
    ),
    CommandGroup(
        name="tables",
        help="models, tokens, cost and messages as DataFrames",
        rows=(
            CommandRow(
                name="models",
                metavar="[TEXT]",
                gives="DataFrame",
                help="the models the server offers, those whose name contains TEXT: window, abilities, prices",
            ),
            CommandRow(
                name="tokens",
                metavar="[TEXT]",
                reads="rest",
                gives="DataFrame",
                help="the tokens of what would be sent, TEXT the prompt: system, turns, tools; what is left, its price",
            ),
            CommandRow(
                name="usage",
                metavar="[session|notebook|all]",
                choices=("session", "notebook", "all"),
                gives="DataFrame",
                help="every request of this notebook, across restarts: model, tokens, cost, times",
            ),
            CommandRow(
                name="frame", gives="DataFrame", help="the conversation, a row for each message of every version"
            ),
        ),
    ),
    CommandGroup(
        name="keeping",
        help="bring back what a former session asked, really delete it; to a file and back",
        rows=(
            CommandRow(
                name="resume",
                metavar="[NAME]",
                completes="kept",
                help="go on with a conversation of a former session (default: this notebook's last)",
            ),
            CommandRow(
                name="forget",
                metavar="[NAME]",
                completes="conversations",
                help="delete a conversation for good (default: the current one), from the store's file too",
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
                metavar="FILE [at LINE]",
                reads="word and number",
                keyword="at",
                is_required=True,
                completes="files",
                help="make a conversation of a saved one or of OpenAI's messages; LINE: one of several in .jsonl",
            ),
        ),
    ),
    CommandGroup(
        name="more",
        help="the chat panel; stop background turns; the local model; every option and command",
        rows=(
            CommandRow(name="panel", help="the conversation in a chat panel beside the notebook, both ways"),
            CommandRow(
                name="stop",
                metavar="[N]",
                reads="turn",
                completes="turns",
                help="stop what is answered in the background (default: all); what had arrived is kept",
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
        ),
    ),
)
COMMANDS: tuple[CommandRow, ...] = tuple(row for group in GROUPS for row in group.rows)
_BY_NAME = {row.name: row for row in COMMANDS}


def command(name: str) -> CommandRow | None:
    """The command of this name, None where there is none."""
    return _BY_NAME.get(name)


def command_line(row: CommandRow) -> str:
    """A command as it is typed.

    >>> command_line(COMMANDS[1])
    '%chat show [N|N.v]'
    """
    return " ".join(part for part in ("%chat", row.name, row.metavar) if part)
