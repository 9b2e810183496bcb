"""What Tab offers at each place of a cell; with a real kernel in ``tests/kernel/test_completion.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.magics.command_lines import parse_command
from llm_magic.magics.command_table import COMMANDS
from llm_magic.magics.completion import Offer, Offers, Sources, install, uninstall
from llm_magic.magics.cursor import place_in
from llm_magic.magics.options import parse
from llm_magic.magics.table import OPTIONS, Completes

if TYPE_CHECKING:
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from llm_magic.magics.command_table import CommandRow
    from llm_magic.magics.table import OptionRow

_SOURCES = Sources(
    models=lambda: ["gpt-5.4", "gpt-5.4-mini", "smollm2"],
    conversations=lambda: ["main", "my talk"],
    kept=lambda: ["old", "old talk"],
    versions=lambda: [1, 3, 2],
    namespace=lambda: {"df": 1, "dog": 2, "_hidden": 3},
)


def python(typed: str) -> Offer:
    """Stands for Python's own completion: names the expression it was asked about."""
    return Offer(typed=typed, texts=((f"<{typed}>", "python"),))


def texts(text: str) -> list[str]:
    return [offered for offered, _ in Offers(_SOURCES, python).at_end(text).texts]


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """A real shell without history."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    return InteractiveShell(config=Config(HistoryManager={"enabled": False}))  # type: ignore[no-untyped-call]  # half typed


@pytest.mark.parametrize("before", ["%llm ", "%%llm ", "%%chat ", "x = %llm ", "d['a'] = %llm ", "    %llm "])
def test_options_are_offered_in_every_form(before: str) -> None:
    """Each magic that takes options offers them, in line and cell form and in an assignment."""
    assert texts(f"{before}--mod") == ["--model"]
    assert texts(f"{before}-m gpt-5.4 --te") == ["--temperature"]
    assert "-m" in texts(f"{before}-")
    assert "--model" in texts(before)


def test_only_options_that_fit_are_offered() -> None:
    """An option given is offered again only if it is repeatable; %%chat has none that are for %llm alone."""
    assert "--model" not in texts("%llm -m x --")
    assert "--stop" in texts("%llm --stop x --")
    assert {"--fresh", "--keep"} <= set(texts("%%llm --"))
    assert not {"--fresh", "--keep"} & set(texts("%%chat --"))


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%llm -m gpt", ["gpt-5.4", "gpt-5.4-mini"]),
        ("%llm --model=smo", ["smollm2"]),
        ("%llm -m ", ["gpt-5.4", "gpt-5.4-mini", "smollm2"]),
        ("%llm -c m", ["main", "'my talk'"]),
        ("%llm -c 'my", ["'my talk'"]),
        ("%llm --as ", ["text", "markdown", "json", "code", "data"]),
        ("%%chat --detail=l", ["low"]),
        ("%llm --into d", ["df", "dog"]),
        ("%llm -p t", ["temperature=", "top_p="]),
        ("%llm -i dog.", ["<dog.>"]),
        ("%llm -s Be", []),
        ("%llm --max-tokens 5", []),
        ("%chat ", [row.name for row in COMMANDS if row.name]),
        ("%chat re", ["redo", "retry", "refresh", "resume"]),
        ("%chat retry ", ["1", "2", "3"]),
        ("%chat hide 2", ["2"]),
        ("%chat hide 2.", []),
        ("%chat hide 2 ", []),
        ("%chat pick ", ["2.1", "2.2", "2.3", "3.1", "3.2"]),
        ("%chat pick 3", ["3.1", "3.2"]),
        ("%chat show ", ["1", "2", "3"]),
        ("%chat show 3.", ["3.1", "3.2"]),
        ("%chat move ", ["1", "2", "3"]),
        ("%chat move 3 ", ["before"]),
        ("%chat move 3 before ", ["1", "2", "3"]),
        ("%chat move 3 before 1 ", []),
        ("%chat fork 'my", ["'my talk'"]),
        ("%chat fork 'my talk' a", ["at"]),
        ("%chat fork 'my talk' at 2", ["2"]),
        ("%chat undo ", []),
        ("x = %chat us", ["use", "usage"]),
        ("%chat use m", ["main", "'my talk'"]),
        ("%chat use main ", []),
        ("%chat resume o", ["old", "'old talk'"]),
        ("%chat forget m", ["main", "'my talk'"]),
        ("%chat usage ", ["session", "notebook", "all"]),
        ("%chat model gpt-5.4-", ["gpt-5.4-mini"]),
        ("%chat local ", ["download", "stop"]),
        ("%chat config max_t", ["max_tokens="]),
        ("%chat config view=", ["auto", "plain", "static", "live"]),
        ("%chat config footer=o", ["on", "off"]),
        ("%chat config seed=", []),
        ("%chat help --te", ["--temperature"]),
        ("%chat system Be", []),
        ("%chat list ", []),
        ("%chat nothing ", []),
    ],
)
def test_values_and_commands_are_offered(text: str, offered: list[str]) -> None:
    """A value or a command is offered by what it is."""
    assert texts(text) == offered


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("%llm Why {{ df.he", "df.he"),
        ("%%chat\nWhy {{ df.he", "df.he"),
        ("%%chat -m x Why {{\n df.he", "df.he"),
        ("%%time\n%%chat\n{{df", "df"),
        ("%%chat\n{{ a }} and {{ {'k': d", "{'k': d"),
        ("%llm -m x -- --{{ df", "df"),
    ],
)
def test_expressions_are_handed_to_python(text: str, expression: str) -> None:
    """Within {{ }} Python's own completion is asked, about the expression alone."""
    assert texts(text) == [f"<{expression}>"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "df.he",
        "%llmx -",
        "%chat",
        "%llm Why -",
        "%llm Why df.he",
        "%llm -- --mo",
        "%llm --unknown x --mo",
        "%%chat --fresh --mo",
        "%%chat\n-m gp",
        "%%chat\nx = %llm -m gp",
        "%%chat\n{{ df }} is",
        r"%%chat" + "\n" + r"\{{ df",
        "%%chat\n${{ df",
        "%%chat\n{{# df",
        "%%chat\n{{% df",
        "%%chat --raw\n{{ df",
        "%llm --raw Why {{ df",
        "a % llm -m",
        "x = 3 %llm -m gp",
        "# %llm -m gp",
        "%%bash\necho %llm",
    ],
)
def test_nothing_is_offered_elsewhere(text: str) -> None:
    """Prose, plain braces and other code are left to IPython."""
    assert texts(text) == []


def test_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files by the path as typed, folders with a slash, hidden ones only where a dot is typed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "my plot.png").touch()
    for name in ("talk.json", "table.csv", ".hidden"):
        (tmp_path / name).touch()

    assert texts("%chat save ") == ["data/", "table.csv", "talk.json"]
    assert texts("%chat load ta") == ["table.csv", "talk.json"]
    assert texts("%chat load ./tal") == ["./talk.json"]
    assert texts("%chat load ~/tal") == ["~/talk.json"]
    assert texts(f"%chat load {tmp_path}/tal") == [f"{tmp_path}/talk.json"]
    assert texts("%chat load .h") == [".hidden"]
    assert texts("%chat load nowhere/") == []
    assert texts("%chat load ~nobody-of-that-name/") == []
    assert texts("%chat load \0/") == []
    assert texts("%llm -i data/") == ["<data/>", "'data/my plot.png'"]
    assert texts("%llm -i 'data/my") == ["'data/my plot.png'"]
    assert texts("%llm -f ta") == ["<ta>", "table.csv", "talk.json"]


def test_every_kind_of_completion_is_known() -> None:
    """Whatever the table says Tab offers, it offers."""
    for kind in get_args(Completes):
        rows: tuple[OptionRow | CommandRow, ...] = (*OPTIONS, *COMMANDS)
        row = next(row for row in rows if row.completes == kind)
        assert Offers(_SOURCES, python)._value(row, "").typed == ""


_CELLS = st.builds(
    str.__add__,
    st.sampled_from(["%llm ", "%%llm ", "%%chat ", "%chat ", "x = %llm ", "%%chat\n", "%%time\n%%llm -m x\n", ""]),
    st.lists(
        st.sampled_from(["-m ", "--", "-", "=", "{{", "}}", " ", "'", '"', "(", "use ", "save ", "\n"]) | st.text()
    ).map("".join),
)


@given(_CELLS)
def test_offers_replace_the_end_of_the_text(text: str) -> None:
    """Whatever is typed, nothing is raised, and what would be replaced is what stands before the cursor."""
    assert text.endswith(Offers(_SOURCES, python).at_end(text).typed)


@given(st.sampled_from([row for row in OPTIONS if row.metavar]), st.text())
def test_cursor_and_parser_agree(row: Any, typed: str) -> None:
    """Where the parser reads the end of a line as an option's value, Tab completes that option's value."""
    place = place_in(f"%llm --{row.name}={typed}")

    if not typed or typed.isalnum():
        assert getattr(place, "row", None) is row
        assert getattr(place, "typed", None) == typed


def test_offers_are_understood_by_the_parser() -> None:
    """What is offered for options and commands can be typed."""
    for text in ("-c my", "--as j", "--detail=l"):
        for offered in texts(f"%llm {text}"):
            assert parse("llm", f"{text.replace('=', ' ').split()[0]} {offered} x").prompt == "x"
    for offered in texts("%chat use "):
        assert parse_command(f"use {offered}").argument in ("main", "my talk")


def test_install_twice_is_once_and_uninstall_takes_all_back(shell: InteractiveShell) -> None:
    """Loading again does not offer twice; unloading leaves the completer as it was."""
    before = list(shell.Completer.custom_matchers)

    install(shell, _SOURCES)
    install(shell, _SOURCES)
    assert len(shell.Completer.custom_matchers) == len(before) + 1

    uninstall(shell)
    uninstall(shell)
    assert shell.Completer.custom_matchers == before
