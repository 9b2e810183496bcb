"""What the table of options and commands says to people: ``%chat help`` and the documentation's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigurationError, nearest
from .command_table import COMMANDS, GROUPS, command, command_line
from .table import OPTIONS, flags, option, usage_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .command_table import CommandGroup
    from .table import OptionRow

_SYNOPSIS = (
    (
        "%%chat [OPTIONS] [TEXT]",
        "ask a turn of the conversation, streamed and remembered; the cell's body is the prompt",
    ),
    ("%llm [OPTIONS] TEXT", "ask an aside: it sees the conversation, is not added to it, and returns the reply"),
    ("%%llm [OPTIONS] [TEXT]", "the same with a long prompt, streamed"),
    ("{{ expression }}", "in a prompt: the value of a Python expression, as text, table, picture, plot or file"),
    (
        "{{ error() }}, {{ cell(3) }}",
        "in a prompt: the last traceback; what the cell that ran as In[3] holds, printed and gave",
    ),
)
_GRAMMAR = (
    "Options come before the first word of the prompt, -- ends them, the rest is sent as it stands. "
    "An option holds for its cell only."
)


def help_text(topic: str | None = None) -> str:
    """What ``%chat help`` prints.

    Args:
        topic: A command (``retry``) or an option (``-m``, ``--model``) to tell about; None tells of all.

    Raises:
        ConfigurationError: There is no such command or option.
    """
    if topic:
        return _topic(topic)
    parts = [
        *_aligned(_SYNOPSIS),
        "",
        _GRAMMAR,
        *_aligned((_typed(row), _full_help(row)) for row in OPTIONS),
        "",
        "Commands. N is a turn's number as %chat prints it, N.v one of its versions.",
        *_grouped(),
    ]
    return "\n".join(parts)


def markdown_tables() -> dict[str, str]:
    """The tables of the documentation, by name: options, commands, and the overview of both."""
    options = [(f"`{usage_line(row)}`", _full_help(row)) for row in OPTIONS]
    commands = [(f"`{command_line(row)}`", row.help, row.gives) for row in COMMANDS]
    ways = [(f"`{typed}`", does) for typed, does in _SYNOPSIS]
    groups = [(_group_line(group), group.help) for group in GROUPS]
    return {
        "overview": markdown_table(("you type", "does"), [*ways, *groups]),
        "options": markdown_table(("option", "does"), options),
        "commands": markdown_table(("command", "does", "gives"), commands),
    }


def _group_line(group: CommandGroup) -> str:
    """All commands of a group, as they are typed: ``%chat`` stands before the first only."""
    first, *others = (command_line(row) for row in group.rows)
    return ", ".join(f"`{line}`" for line in (first, *(line.removeprefix("%chat ") for line in others)))


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns in line."""
    # A bar ends a table's cell, within code too, unless it is escaped.
    cells = [head, *([text.replace("|", r"\|") for text in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["| " + " | ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]])


def _topic(topic: str) -> str:
    found = command(topic.removeprefix("%chat").strip())
    if found is not None:
        gives = f" Gives a {found.gives}." if found.gives else ""
        return f"{command_line(found)}: {found.help}.{gives}"
    row = option(topic)
    if row is not None:
        return f"{usage_line(row)}: {_full_help(row)}."
    match = nearest(topic, [*(row.name for row in COMMANDS), *flags()])
    hint = f"did you mean {match}?" if match else "%chat help lists them all"
    raise ConfigurationError(f"There is no command or option {topic!r}.", hint=hint)


def _grouped() -> list[str]:
    lines = iter(_aligned((command_line(row), row.help) for row in COMMANDS))
    return [line for group in GROUPS for line in (f"{group.name}: {group.help}", *(next(lines) for _ in group.rows))]


def _typed(row: OptionRow) -> str:
    return ("" if row.letter else "   ") + usage_line(row)


def _full_help(row: OptionRow) -> str:
    return row.help + (" (%llm and %%llm only)" if row.not_for_chat else "")


def _aligned(pairs: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(pairs)
    width = max(len(left) for left, _ in rows)
    return [f"  {left:<{width}}  {right}" for left, right in rows]
