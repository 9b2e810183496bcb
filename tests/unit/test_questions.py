"""Lines that end with a question mark, as IPython's own transformation of a cell leaves them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from llm_magic.magics import questions

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """A real shell without history, with the transformer installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        made = InteractiveShell(config=Config(HistoryManager={"enabled": False}))  # type: ignore[no-untyped-call]  # half typed
    questions.install(made)
    yield made
    questions.uninstall(made)


def transformed(shell: InteractiveShell, cell: str) -> str:
    return str(shell.transform_cell(cell))  # type: ignore[no-untyped-call]  # half typed


def call(name: str, text: str) -> str:
    return f"get_ipython().run_line_magic({name!r}, {text!r})"


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("%llm What is this?", call("llm", "What is this?")),
        ("%llm why??", call("llm", "why??")),
        ("%llm What is {{ df }}?", call("llm", "What is {{ df }}?")),
        ("x = %llm What is this?", "x = " + call("llm", "What is this?")),
        ("d['k'] = %llm -m x Isn't it?", "d['k'] = " + call("llm", "-m x Isn't it?")),
        ("%chat tokens How many?", call("chat", "tokens How many?")),
        (
            "for i in a:\n    x = %llm Is {{ i }} odd?\n    b",
            f"for i in a:\n    x = {call('llm', 'Is {{ i }} odd?')}\n    b",
        ),
        ("if a:\n    %llm Why?\nelse:\n    b", f"if a:\n    {call('llm', 'Why?')}\nelse:\n    b"),
        ("%llm one?\n%llm two?", f"{call('llm', 'one?')}\n{call('llm', 'two?')}"),
        ("%llm who ( is it?\nb = 1", f"{call('llm', 'who ( is it?')}\nb = 1"),
        ("%llm no question", call("llm", "no question")),
        ("%%chat Is it?\nIs this?", "get_ipython().run_cell_magic('chat', 'Is it?', 'Is this?\\n')"),
    ],
)
def test_question_is_asked(shell: InteractiveShell, cell: str, code: str) -> None:
    """A line of our magics is a call with its text, question mark and all."""
    assert transformed(shell, cell) == f"{code}\n"


@pytest.mark.parametrize(
    "cell",
    [
        "%llm?",
        "%chat?",
        "%%llm?",
        "this?",
        "x = this?",
        "%timeit?",
        "%llmx What is this?",
        "% llm What is this?",
        "x = 5 %llm",
        "s = '''\n%llm What is this?\n'''",
        "# %llm What is this?",
        "print('%llm What is this?')",
        "x == %llm What is this?",
    ],
)
def test_help_and_other_code_are_ipythons(shell: InteractiveShell, cell: str) -> None:
    """What is not a line of our magics is transformed as without us."""
    ours = transformed(shell, cell)

    questions.uninstall(shell)
    theirs = transformed(shell, cell)
    questions.install(shell)

    assert ours == theirs


# Where IPython ends a line is its own affair, and a backslash at the end goes on with the next.
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\\")))
def test_any_line_is_asked_as_typed(shell: InteractiveShell, text: str) -> None:
    """For any line of text, what is asked is what was typed."""
    typed = f"a{text}?"

    code = transformed(shell, f"x = %llm {typed}\ny = 1\n")

    first, second = ast.parse(code).body
    assert isinstance(first, ast.Assign)
    assert isinstance(first.value, ast.Call)
    argument = first.value.args[1]
    assert isinstance(argument, ast.Constant)
    assert argument.value == typed
    assert ast.unparse(second) == "y = 1"


def test_install_twice_is_once(shell: InteractiveShell) -> None:
    """Loading again adds nothing; unloading leaves what was there."""
    transformers = shell.input_transformer_manager.token_transformers
    questions.install(shell)
    questions.install(shell)
    assert [one.__qualname__ for one in transformers].count("QuestionLine") == 1

    questions.uninstall(shell)
    assert "QuestionLine" not in [one.__qualname__ for one in transformers]
    questions.install(shell)
