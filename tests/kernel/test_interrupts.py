"""Interrupts in a real kernel: the connection closes, the partial is kept, one line, and queued cells do not run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fakes.server import Received
    from tests.kernel.conftest import Chat
    from tests.kernel.harness import Outcome

pytestmark = pytest.mark.kernel
# A disconnect has to be seen by the server within this. Seconds.
DISCONNECT_S = 0.5


def interrupt_when(chat: Chat, code: str, *, arrived: int, times: int = 1) -> tuple[Outcome, Received]:
    """Run a cell and interrupt it when the server has sent so many tokens."""
    number, bills = len(chat.server.requests), len(chat.server.billed)
    request_id = chat.kernel.submit(code, cell_id="asking")
    chat.server.wait_until(lambda: len(chat.server.requests) > number)
    if arrived:
        chat.server.wait_until(
            lambda: len(chat.server.billed) > bills and chat.server.billed[-1].output_tokens >= arrived
        )
    at = time.monotonic()
    for _ in range(times):
        chat.kernel.interrupt()
    outcome = chat.kernel.finish(request_id, timeout_s=20)
    request = chat.server.requests[number]
    chat.server.wait_until(lambda: request.is_over)
    assert request.disconnected_at is not None
    assert request.disconnected_at - at < DISCONNECT_S
    return outcome, request


@pytest.mark.parametrize("times", [1, 2])
def test_interrupt_in_the_middle_keeps_the_partial(chat: Chat, times: int) -> None:
    """The text so far is kept and shown, its usage recorded, and the cell ends with one line."""
    chat.begin()

    outcome, _ = interrupt_when(chat, "%%chat -m tokens-2000@100\ncount", arrived=30, times=times)

    assert chat.one_line(outcome).startswith("Interrupted")
    chat.kernel.run("").checked()
    status, text, turns = chat.kernel.value(
        "(lambda s: (s.last.status, s.last.text, len(s.current.turns)))(get_ipython()._llm_magic.session)"
    )
    assert status == "interrupted"
    assert text
    assert chat.server.text_of("tokens-2000").startswith(text)
    assert turns == 1
    if times == 1:
        assert "interrupted" in outcome.bundles[-1]["text/plain"]
    row = chat.kernel.value("(lambda r: (r.status, r.is_estimate))(get_ipython()._llm_magic.session.ledger.rows[-1])")
    assert row == ("interrupted", True)
    chat.run("%%chat\nnext", "next").checked()
    assert chat.kernel.value("_reply.text") == "next"


def test_interrupt_before_the_first_byte(chat: Chat) -> None:
    """Waiting for a silent server can be interrupted; the turn counts as not answered."""
    chat.begin()

    outcome, _ = interrupt_when(chat, "%%chat -m silent\nhello", arrived=0)

    assert chat.one_line(outcome) == "Interrupted: nothing had arrived"
    assert chat.kernel.value("len(get_ipython()._llm_magic.session.current.turns)") == 0
    chat.run("%%chat\nnext", "next").checked()


def test_interrupt_ends_a_loop_and_its_function(chat: Chat) -> None:
    """A loop of asides stops at the interrupt: it does not go on spending."""
    chat.begin()
    code = """
done = []
for n in range(50):
    reply = %llm -m tokens-200@100 ask {{ n }}
    done.append(n)
"""
    before = len(chat.server.requests)

    outcome, _ = interrupt_when(chat, code, arrived=5)

    assert chat.one_line(outcome).startswith("Interrupted")
    assert chat.kernel.value("done") == []
    assert len(chat.server.requests) == before + 1


def test_interrupt_keeps_queued_cells_from_running(chat: Chat) -> None:
    """Under Run All the cells behind the interrupted one are not run."""
    chat.begin()
    number = len(chat.server.requests)
    first = chat.kernel.submit("%%chat -m tokens-2000@100\ncount", cell_id="one")
    second = chat.kernel.submit("ran = True", cell_id="two")
    chat.server.wait_until(lambda: len(chat.server.requests) > number and chat.server.billed[-1].output_tokens > 5)

    chat.kernel.interrupt()

    assert chat.one_line(chat.kernel.finish(first)).startswith("Interrupted")
    assert chat.kernel.finish(second).status == "aborted"
    assert chat.kernel.value("'ran' in globals()") is False


def test_interrupt_of_the_python_api(chat: Chat) -> None:
    """Conversation.ask is interrupted like a magic."""
    code = "import llm_magic\nchat = llm_magic.Conversation(model='tokens-2000@100')\nchat.ask('count')"

    outcome, _ = interrupt_when(chat, code, arrived=10)

    assert chat.one_line(outcome).startswith("Interrupted")
    assert chat.kernel.value("chat.turns[0].status") == "interrupted"


def test_interrupt_of_a_table(chat: Chat) -> None:
    """A command that waits for a server is interrupted with one line too."""
    code = """
import asyncio
async def waiting():
    print("begun", flush=True)
    await asyncio.sleep(30)
get_ipython()._llm_magic.session.run(waiting())
"""
    request_id = chat.kernel.submit(code, cell_id="table")
    chat.kernel.wait_for(lambda message: message.type == "stream", parent_id=request_id)

    chat.kernel.interrupt()

    assert chat.one_line(chat.kernel.finish(request_id)) == "Interrupted"
