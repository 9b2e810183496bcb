"""Interrupts in a real kernel: the connection closes, the partial is kept, one line, and queued cells do not run."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.kernel.conftest import Chat
    from tests.kernel.harness import Outcome, Received

pytestmark = pytest.mark.kernel
# A disconnect has to be seen by the server within this. Seconds, the least of TRIES: a busy machine adds to each.
DISCONNECT_S = 0.5
TRIES = 5
# More than can arrive while a busy machine gets round to an interrupt.
ENDLESS = "tokens-20000@100"
SetPatience: TypeAlias = "Callable[[float], None]"
Again: TypeAlias = Literal["not", "at once", "as it closes"]


@pytest.fixture
def patience(chat: Chat) -> Iterator[SetPatience]:
    """Sets for how long further interrupts mean the first one: no test is to depend on half a second."""

    def set_to(seconds: float) -> None:
        chat.kernel.run(f"from llm_magic import interrupts; interrupts.PATIENCE_S = {seconds}").checked()

    yield set_to
    set_to(0.5)


def shows_text(message: Received) -> bool:
    """A view's message with text of the answer, and not only a line that says it is waiting."""
    is_display = message.type in ("display_data", "update_display_data")
    return is_display and "<p>" in message.content["data"].get("text/html", "")


def interrupt_when(
    chat: Chat, code: str, *, arrived: int, is_drawn: bool = False, again: Again = "not"
) -> tuple[Outcome, float]:
    """Run a cell and interrupt it when the server has sent so many tokens, and some of them are drawn if wanted.

    Returns:
        What came of it, and how long after the interrupt the server saw the connection closed, in seconds.
    """
    number, bills = len(chat.server.requests), len(chat.server.billed)
    request_id = chat.kernel.submit(code, cell_id="asking")
    chat.server.wait_until(lambda: len(chat.server.requests) > number)
    if arrived:
        chat.server.wait_until(
            lambda: len(chat.server.billed) > bills and chat.server.billed[-1].output_tokens >= arrived
        )
    if is_drawn:
        chat.kernel.wait_for(shows_text, parent_id=request_id)
    request = chat.server.requests[number]
    at = time.monotonic()
    os.kill(chat.kernel.pid, signal.SIGINT)
    if again == "as it closes":
        chat.server.wait_until(lambda: request.is_over)
    if again != "not":
        os.kill(chat.kernel.pid, signal.SIGINT)
    outcome = chat.kernel.finish(request_id)
    chat.server.wait_until(lambda: request.is_over)
    assert request.disconnected_at is not None
    return outcome, request.disconnected_at - at


@pytest.mark.capability("G22")
def test_an_interrupt_closes_the_connection_within_half_a_second(chat: Chat) -> None:
    """The server sees it leave in that time: what is not wanted is not paid for."""
    chat.begin()

    waits = [interrupt_when(chat, f"%%chat -m {ENDLESS}\ncount", arrived=5)[1] for _ in range(TRIES)]

    assert min(waits) < DISCONNECT_S


@pytest.mark.parametrize("again", ["not", "at once", "as it closes"])
def test_interrupt_in_the_middle_keeps_the_partial(chat: Chat, again: Again, patience: SetPatience) -> None:
    """The text so far is kept and shown, its usage recorded, and the cell ends with one line, pressed twice or not."""
    chat.begin()
    patience(600)

    outcome, _ = interrupt_when(chat, f"%%chat -m {ENDLESS}\ncount", arrived=5, is_drawn=True, again=again)

    assert chat.one_line(outcome).endswith("characters kept")
    assert "interrupted" in outcome.bundles[-1]["text/plain"]
    status, text, turns = chat.kernel.value(
        "(lambda s: (s.last.status, s.last.text, len(s.current.turns)))(get_ipython()._llm_magic.session)"
    )
    assert status == "interrupted"
    assert text
    assert chat.server.text_of(ENDLESS).startswith(text)
    assert turns == 1
    row = chat.kernel.value("(lambda r: (r.status, r.is_estimate))(get_ipython()._llm_magic.session.ledger.rows[-1])")
    assert row == ("interrupted", True)
    chat.run("%%chat\nnext", "next").checked()
    assert chat.kernel.value("_reply.text") == "next"


def test_interrupts_after_an_interrupted_answer_do_not_hit_the_kernel(chat: Chat, patience: SetPatience) -> None:
    """Those of the same moment are swallowed until the cell has ended; the next cell can be interrupted as ever."""
    chat.begin()
    patience(600)
    code = f"""
import signal
try:
    %llm -m {ENDLESS} count
except KeyboardInterrupt:
    for _ in range(3):
        signal.raise_signal(signal.SIGINT)
    print("unharmed")
    raise
"""

    outcome, _ = interrupt_when(chat, code, arrived=5)

    assert chat.one_line(outcome).startswith("Interrupted")
    assert outcome.stdout == "unharmed\n"
    ((name, _, _),) = chat.run("signal.raise_signal(signal.SIGINT)", "next").errors
    assert name == "KeyboardInterrupt"


def test_a_cell_that_catches_the_interrupt_can_be_interrupted_again(chat: Chat, patience: SetPatience) -> None:
    """What comes later is no longer swallowed."""
    chat.begin()
    patience(-1)
    code = f"""
import signal
try:
    %llm -m {ENDLESS} count
except KeyboardInterrupt:
    print("caught")
signal.raise_signal(signal.SIGINT)
"""

    outcome, _ = interrupt_when(chat, code, arrived=5)

    assert outcome.stdout == "caught\n"
    assert [name for name, _, _ in outcome.errors] == ["KeyboardInterrupt"]


@pytest.mark.capability("G22")
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
    reply = %llm -m tokens-20000@100 ask {{ n }}
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
    first = chat.kernel.submit("%%chat -m tokens-20000@100\ncount", cell_id="one")
    second = chat.kernel.submit("ran = True", cell_id="two")
    chat.server.wait_until(lambda: len(chat.server.requests) > number and chat.server.billed[-1].output_tokens > 5)

    chat.kernel.interrupt()

    assert chat.one_line(chat.kernel.finish(first)).startswith("Interrupted")
    assert chat.kernel.finish(second).status == "aborted"
    assert chat.kernel.value("'ran' in globals()") is False


@pytest.mark.capability("K1")
def test_interrupt_of_the_python_api(chat: Chat) -> None:
    """Conversation.ask is interrupted like a magic."""
    code = "import llm_magic\nchat = llm_magic.Conversation(model='tokens-20000@100')\nchat.ask('count')"

    outcome, _ = interrupt_when(chat, code, arrived=100)

    assert chat.one_line(outcome).startswith("Interrupted")
    assert chat.kernel.value("chat.turns[0].status") == "interrupted"


def test_interrupt_of_a_table(chat: Chat) -> None:
    """A command that waits for a server is interrupted with one line too."""
    code = """
import asyncio
async def waiting():
    print("begun", flush=True)
    await asyncio.sleep(600)
get_ipython()._llm_magic.session.run(waiting())
"""
    request_id = chat.kernel.submit(code, cell_id="table")
    chat.kernel.wait_for(lambda message: message.type == "stream", parent_id=request_id)

    chat.kernel.interrupt()

    assert chat.one_line(chat.kernel.finish(request_id)) == "Interrupted"
