"""Events of requests: for callbacks, for the log, and as a table."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.call_log import COLUMNS, CallLog
from llm_magic.config import Config
from llm_magic.counts import Usage
from llm_magic.errors import AuthenticationError, StreamInterruptedError
from llm_magic.events import Completed, Opened, TextDelta, UsageReport
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_magic.call_log import CallEvent

SECRET = "the code word is plover"


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(config=Config(environ={}))
    yield made
    made.close()


def chat(session: Session, *scripts: object) -> Conversation:
    """A conversation whose model says these."""
    backend = ScriptedBackend(scripts)  # type: ignore[arg-type]  # rows of events and errors
    return Conversation(session=session, backend=backend, model="m")


@pytest.mark.capability("K8")
def test_three_events_a_request(session: Session) -> None:
    """Sent, begun, ended: with sizes, tokens, times and end, and nothing of what was said."""
    events: list[CallEvent] = []
    session.calls.listen(events.append)

    turn = chat(session, says(SECRET, usage=Usage(input_tokens=5, output_tokens=4, total_tokens=9))).ask(SECRET).turn

    assert [event.kind for event in events] == ["started", "streaming", "ended"]
    ended = events[-1]
    assert (ended.turn_id, ended.round, ended.status, ended.finish_reason) == (turn.id, 1, "complete", "stop")
    assert (ended.input_tokens, ended.output_tokens, ended.n_messages) == (5, 4, 1)
    assert ended.latency_s is not None
    assert ended.latency_s >= (ended.ttft_s or 0) >= (events[1].ttft_s or 0) >= 0
    assert SECRET not in repr(events)


@pytest.mark.capability("K8")
def test_content_is_given_to_those_who_ask_for_it(session: Session) -> None:
    """What was sent, what came, and why it ended: to this listener, and to no other."""
    told: list[CallEvent] = []
    untold: list[CallEvent] = []
    session.calls.listen(told.append, content=True)
    session.calls.listen(untold.append)
    fault = StreamInterruptedError(f"broke off near {SECRET!r}", is_billable=True)

    with pytest.raises(StreamInterruptedError):
        chat(session, [Opened(), TextDelta(text="It is "), fault]).ask(SECRET)

    assert [message.text for message in told[0].messages or ()] == [SECRET]
    assert (told[-1].answer, told[-1].status) == ("It is ", "truncated")
    assert SECRET in str(told[-1].error)
    assert SECRET not in repr(untold)


@pytest.mark.capability("K8")
def test_log_has_a_line_of_json_for_each_event(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """At the level INFO, without what was said."""
    with caplog.at_level(logging.INFO, logger="llm_magic.calls"):
        chat(session, says(SECRET)).ask(SECRET)

    lines = [record.getMessage() for record in caplog.records if record.name == "llm_magic.calls"]
    assert [json.loads(line)["kind"] for line in lines] == ["started", "streaming", "ended"]
    assert SECRET not in "".join(lines)


@pytest.mark.capability("K8")
def test_table_has_its_columns_and_every_event(session: Session) -> None:
    """Fixed columns, also when empty; refused requests are in it too."""
    assert list(session.calls.to_frame().columns) == list(COLUMNS)
    conversation = chat(session, [AuthenticationError("no")], says("yes"))

    with pytest.raises(AuthenticationError):
        conversation.ask("a")
    conversation.ask("b")

    frame = session.calls.to_frame()
    assert frame["kind"].tolist() == ["started", "ended", "started", "streaming", "ended"]
    assert frame["status"].dropna().tolist() == ["failed", "complete"]


def test_listener_that_raises_is_dropped(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """The answer is there all the same, and the log says why it is called no more."""
    calls: list[str] = []

    def broken(event: CallEvent) -> None:
        calls.append(event.kind)
        raise ZeroDivisionError

    session.calls.listen(broken)
    reply = chat(
        session, [Opened(), TextDelta(text="yes"), UsageReport(usage=Usage()), Completed(finish_reason="stop")]
    )

    assert reply.ask("?").text == "yes"
    assert calls == ["started"]
    assert "a listener of calls is dropped" in caplog.text


def test_listening_ends(session: Session) -> None:
    """By what was given back; again is harmless."""
    events: list[CallEvent] = []
    end = session.calls.listen(events.append)
    end()
    end()

    chat(session, says("yes")).ask("?")

    assert events == []


def test_log_does_not_grow_for_ever() -> None:
    """The oldest events make room."""
    log = CallLog()
    session = Session(config=Config(environ={}))

    def repeat(event: CallEvent) -> None:
        for _ in range(200):
            log.note(event)

    session.calls.listen(repeat)
    chat(session, says("yes")).ask("?")
    session.close()

    assert len(log.to_frame()) == 300
