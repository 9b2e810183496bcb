"""The ledger against what a server billed: exact where usage was sent, flagged and close where it was not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.errors import LLMMagicError
from llm_magic.session import Session

if TYPE_CHECKING:
    from tests.fakes.server import FakeServer

REQUESTS = 200
MODELS = (
    *("echo",) * 6,
    "tokens-60",
    "usage-with-choices",
    "reasoning",
    "non-stream",
    "no-usage",
    "refuses-stream-options",
    "truncated",
    "drop",
    "garbage",
    "error-event",
    "status-401",
    "status-500",
    "quota",
    "500-then-ok",
    "empty",
)
WORDS = "the old map shows a bay where we go by day to see the sun and the sea".split()
CLOSE = 0.15


@pytest.mark.capability("I8", "I9")
def test_two_hundred_mixed_requests_are_billed_exactly(fake_server: FakeServer) -> None:
    """Exact rows sum to what the server billed for them; estimated rows are flagged and within 15 % together."""
    environ = {"OPENAI_BASE_URL": fake_server.url, "OPENAI_API_KEY": "sk-test-0123456789", "LLM_MAGIC_MAX_RETRIES": "1"}
    session = Session(config=Config(environ=environ), conversation_type=Conversation)
    order = random.Random(3)
    chat = Conversation(session=session)
    for _ in range(REQUESTS):
        prompt = " ".join(order.choices(WORDS, k=order.randint(20, 60)))
        try:
            chat.ask(prompt, model=order.choice(MODELS), keep=False)
        except LLMMagicError:
            continue
    rows = session.ledger.rows
    session.close()

    assert len(rows) == REQUESTS
    billed = {bill.request_id: bill for bill in fake_server.billed}
    exact = [row for row in rows if not row.is_estimate]
    assert sum(row.input_tokens for row in exact) == sum(
        billed[row.request_id].input_tokens for row in exact if row.request_id in billed
    )
    assert sum(row.output_tokens for row in exact) == sum(
        billed[row.request_id].output_tokens for row in exact if row.request_id in billed
    )
    estimated = [row for row in rows if row.is_estimate]
    assert {row.status for row in estimated} == {"complete", "truncated"}
    assert {row.request_id for row in rows if row.request_id in billed} == set(billed)
    for name in ("input_tokens", "output_tokens"):
        ours = sum(getattr(row, name) for row in estimated)
        theirs = sum(getattr(billed[row.request_id], name) for row in estimated if row.request_id)
        assert ours == pytest.approx(theirs, rel=CLOSE), name
