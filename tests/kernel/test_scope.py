"""``error()`` and ``cell(n)`` in a prompt, in a real kernel: what is sent, and what is said where there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_magic.magics.scope import HELPER_CHARACTERS

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat, StartKernel

pytestmark = pytest.mark.kernel


def prompt(chat: Chat, text: str) -> str:
    """The prompt as it was sent."""
    chat.run(f"%%llm --fresh\n{text}", "ask").checked()
    return str(chat.server.requests[-1].body["messages"][-1]["content"])


def count(chat: Chat, code: str) -> int:
    """Run a cell, whatever becomes of it; the number beside it."""
    return int(chat.run(code, "cell").reply["execution_count"])


def test_error_is_the_last_traceback(chat: Chat) -> None:
    """The whole traceback of the failed cell, with the line that failed."""
    count(chat, "def halve(n):\n    return n / 0\nhalve(4)")

    sent = prompt(chat, "Why? {{ error() }}")

    assert sent.startswith("Why? Traceback (most recent call last):")
    assert "return n / 0" in sent
    assert sent.rstrip().endswith("ZeroDivisionError: division by zero")


def test_cell_is_source_and_output(chat: Chat) -> None:
    """What a cell holds, printed and gave, by its number."""
    number = count(chat, "print('printed')\n6 * 7")

    sent = prompt(chat, f"{{{{ cell({number}) }}}}")

    assert sent == f"In[{number}]:\nprint('printed')\n6 * 7\n\nOut[{number}]:\nprinted\n42"


def test_cell_without_output_is_its_source(chat: Chat) -> None:
    """Where nothing came out, nothing is made up."""
    number = count(chat, "quiet = 1")

    assert prompt(chat, f"{{{{ cell({number}) }}}}") == f"In[{number}]:\nquiet = 1"


def test_long_helpers_are_cut_in_the_middle(chat: Chat) -> None:
    """Beginning and end are kept, and how much was left out is said."""
    number = count(chat, "print('x' * 50_000, 'end')")

    sent = prompt(chat, f"{{{{ cell({number}) }}}}")

    assert len(sent) < HELPER_CHARACTERS + 100
    assert "characters left out" in sent
    assert sent.startswith(f"In[{number}]")
    assert sent.endswith("end")


@pytest.mark.parametrize("expression", ["cell(99999)", "cell(0)", "cell(-1)", "cell('a')"])
def test_cell_that_has_not_run_is_one_line(chat: Chat, expression: str) -> None:
    """Nothing is sent for a number that is none."""
    before = len(chat.server.requests)

    line = chat.one_line(chat.run(f"%%llm\n{{{{ {expression} }}}}", "ask"))

    assert "No cell has run as In[" in line
    assert len(chat.server.requests) == before


def test_own_variable_goes_before_the_helper(chat: Chat) -> None:
    """A variable that is called error is the user's."""
    chat.run("error = 'mine'", "own").checked()
    assert prompt(chat, "{{ error }}") == "mine"
    chat.run("del error", "own").checked()


def test_helpers_are_offered_by_tab(chat: Chat) -> None:
    """Both complete within {{ }}, and nowhere else."""
    assert chat.kernel.complete("%%chat\nWhy? {{ erro") == ["error"]
    assert "cell" in chat.kernel.complete("%%chat\nWhy? {{ cel")
    assert "error" not in chat.kernel.complete("erro")


def test_no_error_yet_is_one_line(start_kernel: StartKernel) -> None:
    """In a fresh kernel there is no traceback to send."""
    kernel = start_kernel(environ={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sk-none-0123456789"})
    kernel.run("%load_ext llm_magic").checked()

    ((_, _, (line,)),) = kernel.run("%%chat\n{{ error() }}", cell_id="a").errors

    assert "No error has happened in this session." in line
