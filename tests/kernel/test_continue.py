"""``%chat continue`` in a real kernel against a real server: an answer is stopped, and becomes whole."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.fakes.answers import words

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat
    from tests.kernel.harness import Outcome

pytestmark = pytest.mark.kernel
COUNT, AFTER = 200, 60
MODEL = f"goes-on-anchor@{COUNT}/{AFTER}"
WHOLE = "".join(words(COUNT))


def interrupted(chat: Chat) -> Outcome:
    """A cell whose answer stops in the middle, and is interrupted there."""
    bills = len(chat.server.billed)
    request_id = chat.kernel.submit(f"%%chat -m {MODEL}\nsay it", cell_id="asking")
    chat.server.wait_until(lambda: len(chat.server.billed) > bills and chat.server.billed[-1].output_tokens == AFTER)
    chat.kernel.wait_for(lambda m: m.type in ("display_data", "update_display_data"), parent_id=request_id)
    os.kill(chat.kernel.pid, signal.SIGINT)
    return chat.kernel.finish(request_id)


def test_an_interrupted_answer_becomes_whole(chat: Chat) -> None:
    """One slot, two versions, two rows of the ledger; what is shown, kept and sent next is the joined text."""
    chat.begin()
    rows = chat.kernel.value("len(get_ipython()._llm_magic.session.ledger.rows)")
    chat.one_line(interrupted(chat))
    partial = chat.kernel.value("_reply.text")
    assert partial
    assert WHOLE.startswith(partial)

    outcome = chat.run("%chat continue", "command").checked()

    (bundle,) = outcome.bundles
    shown = " ".join(bundle["text/plain"].split())
    assert shown.startswith(" ".join(WHOLE.split()))
    assert "interrupted" not in shown
    assert chat.kernel.value("(_reply.text, _reply.turn.status)") == (WHOLE, "complete")
    versions = chat.kernel.value(
        "[[v.status for v in slot.versions] for slot in get_ipython()._llm_magic.session.current.slots]"
    )
    assert versions == [["interrupted", "complete"]]
    added = chat.kernel.value(
        f"[(r.status, r.is_estimate) for r in get_ipython()._llm_magic.session.ledger.rows[{rows}:]]"
    )
    assert added == [("interrupted", True), ("complete", False)]

    chat.run("%%chat\nnext", "next").checked()
    sent = [(item["role"], item["content"]) for item in chat.server.requests[-1].body["messages"]]
    assert sent == [("user", "say it"), ("assistant", WHOLE), ("user", "next")]


def test_continue_may_stay_in_a_notebook(chat: Chat) -> None:
    """Where the turn is whole, Run All goes on; where there is none, one line says so."""
    chat.begin()
    assert "no turn to go on with" in chat.one_line(chat.run("%chat continue", "command"))
    chat.run("%%chat\nhello", "asking").checked()
    requests = len(chat.server.requests)

    outcome = chat.run("%chat continue", "command").checked()

    assert outcome.stdout == "turn 1 is whole: %chat retry asks it again\n"
    assert len(chat.server.requests) == requests
