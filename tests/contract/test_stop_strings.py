"""Stop strings against a server that ignores them: the connection is closed, and the ledger says what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.session import Session
from tests.fakes.answers import count_tokens, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.server import FakeServer

CLOSE = 0.15
WHOLE = "".join(words(10_000))


@pytest.fixture
def chat(fake_server: FakeServer) -> Iterator[Conversation]:
    """A conversation with the fake server."""
    environ = {"OPENAI_BASE_URL": fake_server.url, "OPENAI_API_KEY": "sk-test-0123456789"}
    session = Session(config=Config(environ=environ), conversation_type=Conversation)
    yield Conversation(session=session)
    session.close()


@pytest.mark.capability("G4")
@pytest.mark.parametrize("stop", ["\n\n", ["never", WHOLE[303:330]]], ids=["paragraph", "over-pieces"])
def test_answer_ends_and_the_connection_is_closed(
    chat: Conversation, fake_server: FakeServer, stop: str | list[str]
) -> None:
    """At the first stop string, at once; one ledger row: complete, counted here and said so."""
    end = WHOLE.index(stop if isinstance(stop, str) else stop[1])

    reply = chat.ask("Count.", model="tokens-10000@200", stop=stop)
    received = fake_server.requests[-1]
    fake_server.wait_until(lambda: received.is_over)

    assert (reply.text, reply.finish_reason) == (WHOLE[:end], "stop")
    assert received.body["stop"] == stop
    assert received.finished_at is None
    assert received.disconnected_at is not None
    assert fake_server.billed[-1].output_tokens < 1_000
    assert chat.session is not None
    (row,) = chat.session.ledger.rows
    bill = fake_server.billed[-1]
    assert (row.status, row.finish_reason, row.kind, row.round) == ("complete", "stop", "chat", 1)
    assert (row.requested_model, row.request_id, row.retries) == ("tokens-10000@200", bill.request_id, 0)
    assert row.is_estimate
    assert row.turn_id == chat.turns[0].id
    assert row.total_tokens == row.input_tokens + row.output_tokens
    assert row.output_tokens >= count_tokens(WHOLE[:end]) * (1 - CLOSE)
    assert row.cost_usd is None


@pytest.mark.capability("G4")
def test_text_that_a_server_cuts_anywhere_ends_the_same(chat: Conversation) -> None:
    """The stop string comes in shards; behind it there is more."""
    text = "It is on an old map of the sea: <the end>, and so we go by day to see a new sun."

    reply = chat.ask(text, model="shards@0.001", stop="<the end>")

    assert reply.text == "It is on an old map of the sea: "


def test_whole_answers_are_billed_as_sent(chat: Conversation, fake_server: FakeServer) -> None:
    """Of a server that keeps to ``stop``, or sends its answer in one piece, the row is the server's, to the token."""
    assert chat.session is not None
    chat.ask("one two three", model="echo", stop="never", keep=False)
    cut = chat.ask("one two three", model="echo", stop=" three", keep=False, stream=False)

    assert cut.text == "one two"
    for row, bill in zip(chat.session.ledger.rows, fake_server.billed, strict=True):
        assert (row.input_tokens, row.output_tokens) == (bill.input_tokens, bill.output_tokens)
        assert (row.status, row.finish_reason, row.is_estimate) == ("complete", "stop", False)
