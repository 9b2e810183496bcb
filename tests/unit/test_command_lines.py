"""Reading the line of ``%chat``: command, argument, numbers."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.errors import ConfigurationError
from llm_magic.magics.command_lines import Command, parse_command
from llm_magic.magics.command_table import COMMANDS

_RESTS = st.lists(
    st.sampled_from(["1", "2.1", ".", " ", "at", "before", "'", '"', ";", "-", "x", "\n"]) | st.text(max_size=3),
    max_size=8,
).map("".join)


def refused_command(line: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_command(line)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Command(name="")),
        ("  ", Command(name="")),
        ("show", Command(name="show")),
        ("show\t12", Command(name="show", numbers=(12,))),
        ("show 3.2", Command(name="show", numbers=(3, 2))),
        ("pick 12.3;", Command(name="pick", numbers=(12, 3))),
        ("hide 3", Command(name="hide", numbers=(3,))),
        ("move 3  before\t1", Command(name="move", numbers=(3, 1))),
        ("fork side", Command(name="fork", argument="side")),
        ("fork 'my talk' at 4", Command(name="fork", argument="my talk", numbers=(4,))),
        ("fork at at 4", Command(name="fork", argument="at", numbers=(4,))),
        ("undo", Command(name="undo")),
        ("new", Command(name="new")),
        ("new 'my talk'", Command(name="new", argument="my talk")),
        ("list;", Command(name="list")),
        ("show 3 ;", Command(name="show", numbers=(3,))),
        ("system", Command(name="system")),
        ("system  Answer 'so'; briefly.", Command(name="system", argument="Answer 'so'; briefly.")),
        ('system ""', Command(name="system", argument="")),
        ("tokens How many  are these?", Command(name="tokens", argument="How many  are these?")),
        ("config", Command(name="config")),
        ("config system=Be kind", Command(name="config", argument="system=Be kind")),
        (r"save C:\new\talk.json", Command(name="save", argument=r"C:\new\talk.json")),
        ("load train.jsonl at 12", Command(name="load", argument="train.jsonl", numbers=(12,))),
        ("save 'my talk.md'", Command(name="save", argument="my talk.md")),
        ("local download", Command(name="local", argument="download")),
        ("usage session", Command(name="usage", argument="session")),
        ("usage all", Command(name="usage", argument="all")),
        ("resume", Command(name="resume")),
        ("resume 'my talk'", Command(name="resume", argument="my talk")),
        ("forget side", Command(name="forget", argument="side")),
        ("help retry", Command(name="help", argument="retry")),
    ],
)
def test_command_is_read(line: str, command: Command) -> None:
    """A command and its argument, as meant."""
    assert parse_command(line) == command


def test_command_number_is_an_integer() -> None:
    """Commands that take a turn give its number."""
    assert parse_command("retry 3").number == 3
    assert parse_command("retry").number is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("What is this?", "Unknown command 'What'.  Hint: to ask, use %%chat or %llm"),
        ("retri", "did you mean %chat retry?"),
        ("undo 3", "%chat undo takes nothing after it"),
        ("pick", "%chat pick needs its N.v"),
        ("pick 3", "'3' is not a turn's number and a version's, such as 2.1.  Hint: %chat pick N.v; to ask, use"),
        ("pick 3.0", "'3.0' is not"),
        ("pick 0.1", "'0.1' is not"),
        ("pick 3.1.2", "'3.1.2' is not"),
        ("show 3.", "'3.' is not a turn's number"),
        ("hide", "%chat hide needs its N"),
        ("hide 1 2", "'1 2' is not a turn's number"),
        ("unhide all", "'all' is not a turn's number"),
        ("move", "%chat move needs its N before M"),
        ("move 3", "'3' is not two turns' numbers, such as 3 before 1.  Hint: %chat move N before M"),
        ("move 3 after 1", "'3 after 1' is not two turns' numbers"),
        ("move 3 before", "'3 before' is not two turns' numbers"),
        ("fork", "%chat fork needs its NAME [at N]"),
        ("fork ''", "%chat fork: NAME is empty"),
        ("fork side 4", "'4' is not 'at' and a number.  Hint: %chat fork NAME [at N]"),
        ("fork side at", "'at' is not 'at' and a number"),
        ("fork side at 0", "'at 0' is not 'at' and a number"),
        ("show me", "'me' is not a turn's number"),
        ("show 0", "'0' is not a turn's number"),
        ("retry 1.2", "'1.2' is not a turn's number"),
        ("use", "%chat use needs its NAME"),
        ("save", "%chat save needs its FILE"),
        (
            "load my talk.json",
            "'talk.json' is not 'at' and a number.  Hint: %chat load FILE [at LINE]; quote what holds spaces",
        ),
        ("list all", "%chat list takes nothing after it.  Hint: to ask, use"),
        ("new my talk", "quote it if it holds spaces"),
        ("use ''", "NAME is empty"),
        ("use 'x", "A quote (') is not closed"),
        ("local start", "'start' does not fit %chat local.  Hint: %chat local [download|stop]"),
        ("usage ever", "'ever' does not fit %chat usage.  Hint: %chat usage [session|notebook|all]"),
        ("resume my talk", "%chat resume takes one NAME"),
    ],
)
def test_command_refusal_says_what_to_type(line: str, said: str) -> None:
    """An unknown command or a misfit argument is refused in one line."""
    assert said in refused_command(line)


@given(st.sampled_from([row.name for row in COMMANDS]), _RESTS)
def test_parse_command_raises_only_configuration_errors(name: str, rest: str) -> None:
    """Whatever follows a command is read or refused."""
    with contextlib.suppress(ConfigurationError):
        assert parse_command(f"{name} {rest}").name in {row.name for row in COMMANDS}
