"""Rounds of tools in a real kernel: asked again, interrupted and gone on with, and asking from inside a tool."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat
    from tests.kernel.harness import Outcome

pytestmark = pytest.mark.kernel
TOOLS = """
import threading, llm_magic
ran = []
def add(a: int, b: int) -> int:
    ran.append("add")
    return a + b
def wait() -> None:
    print("begun")
    threading.Event().wait(60)
@llm_magic.tool(runs_on="main")
def main_wait() -> None:
    print("begun")
    threading.Event().wait(60)
def aside() -> str:
    return get_ipython().run_line_magic("llm", "-m echo inside").text
def kept() -> str:
    get_ipython().run_cell_magic("llm", "-m echo --keep", "deeper")
"""
ADD = 'add {"a": 1, "b": 2}'


@pytest.fixture
def ready(chat: Chat) -> Chat:
    """The chat kernel with an empty conversation and functions that may run."""
    chat.begin()
    chat.run("%chat config tool_permission=auto", "allow").checked()
    chat.run(TOOLS, "tools").checked()
    return chat


def asking(*calls: str, options: str = "") -> str:
    """A cell whose model makes these calls, then says what they gave."""
    names = " ".join(f"--tool {call.split()[0]}" for call in calls)
    return f"%%chat -m calls-plain {names} {options}\n" + "\n".join(calls)


def interrupted(chat: Chat, code: str) -> Outcome:
    """Run a cell, and interrupt it when its tool has begun."""
    request_id = chat.kernel.submit(code, cell_id="asking")
    chat.kernel.wait_for(
        lambda message: message.type == "stream" and "begun" in message.content["text"], parent_id=request_id
    )
    os.kill(chat.kernel.pid, signal.SIGINT)
    return chat.kernel.finish(request_id)


@pytest.mark.capability("D19", "I9")
def test_a_turn_with_tools_is_asked_again_with_them(ready: Chat) -> None:
    """retry hands the same functions over; each request is a row of its own."""
    ready.run(asking(ADD), "asking").checked()

    ready.run("%chat retry", "again").checked()

    assert ready.kernel.value("_reply.text") == "I was told: 3"
    assert ready.kernel.value("ran") == ["add", "add"]
    assert ready.kernel.value("llm_magic.usage().tail(4)['round'].tolist()") == [1, 2, 1, 2]
    assert ready.kernel.value("llm_magic.usage().tail(4)['turn_id'].nunique()") == 2


@pytest.mark.parametrize("name", ["wait", "main_wait"])
def test_an_interrupt_ends_the_turn_and_keeps_what_other_calls_gave(ready: Chat, name: str) -> None:
    """Of a function in a thread a line says that it goes on, one on the main thread ends; the turn can go on."""
    outcome = interrupted(ready, asking(ADD, name))

    assert ready.one_line(outcome) == "Interrupted: what its tools gave is kept"
    assert ready.kernel.value("_reply.turn.status") == "interrupted"
    notices = " ".join(ready.kernel.value("_reply.turn.notices"))
    assert ("wait still runs" in notices) == (name == "wait")

    ready.run("%chat continue", "on").checked()

    assert ready.kernel.value("_reply.text").startswith("I was told: 3; ")
    assert ready.kernel.value("ran") == ["add"]


def test_a_tool_may_ask_an_aside_and_not_its_own_conversation(ready: Chat) -> None:
    """The one is answered, the other is an error for the model to read: not a wait for ever."""
    ready.run(asking("aside {}", "kept {}"), "asking").checked()

    said = ready.kernel.value("_reply.text")
    assert said.startswith("I was told: inside; SessionBusyError: Conversation ")
    assert "was asked by a tool of its own answer" in said
