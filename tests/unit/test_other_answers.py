"""Several answers to one request: versions of one turn, billed once, and none is lost without a word."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.api import Conversation
from llm_magic.backends.chunks import ChunkReader
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.config import Config
from llm_magic.errors import ConfigurationError, StreamInterruptedError
from llm_magic.events import Completed, Event, OtherAnswer, ReasoningDelta, TextDelta
from llm_magic.session import Session
from tests.fakes.sessions import ledger, open_session, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.server import FakeServer


@pytest.fixture
def chat(fake_server: FakeServer) -> Iterator[Conversation]:
    environ = {"OPENAI_BASE_URL": fake_server.url, "OPENAI_API_KEY": "sk-test-0123456789"}
    session = Session(config=Config(environ=environ))
    yield Conversation(session=session)
    session.close()


def chunk(index: int | None, text: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of one answer."""
    number = {} if index is None else {"index": index}
    return {"choices": [{**number, "delta": {"content": text, **more}, "finish_reason": reason}]}


def read(n: int, *chunks: dict[str, Any]) -> list[Event]:
    """The events of a stream."""
    reader = ChunkReader(n=n)
    for item in chunks:
        reader.read(item)
    reader.finish()
    return reader.take()


def test_answers_come_mixed_and_are_told_apart() -> None:
    """Each by its index, with its own end; what is one's own is as ever."""
    events = read(
        3,
        chunk(1, "one "),
        chunk(0, "zero "),
        chunk(2, "", reasoning="hm"),
        chunk(1, "more", "stop"),
        chunk(0, "end"),
        chunk(2, "two", "length"),
    )

    assert [event for event in events if not isinstance(event, OtherAnswer)] == [TextDelta(text="zero end")]
    others: dict[int, list[Event]] = {1: [], 2: []}
    for event in events:
        if isinstance(event, OtherAnswer):
            others[event.index].append(event.event)
    assert others[1] == [TextDelta(text="one more"), Completed(finish_reason="stop")]
    assert others[2] == [ReasoningDelta(text="hm"), TextDelta(text="two"), Completed(finish_reason="length")]


def test_answers_in_one_piece_without_numbers() -> None:
    """They are meant in their order."""
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in ("a", "b")]

    events = read(2, {"choices": choices})

    assert next(event.event for event in events if isinstance(event, OtherAnswer)) == TextDelta(text="b")
    assert TextDelta(text="a") in events


@pytest.mark.capability("B17")
@pytest.mark.parametrize("form", ["streamed", "in one piece"])
def test_answers_are_versions_of_one_turn(chat: Conversation, fake_server: FakeServer, form: str) -> None:
    """The first counts, the rest can be picked; one request, one row, one bill."""
    reply = chat.ask("what?", model="choices", n=3, stream=form == "streamed")

    (slot,) = chat.slots
    assert [turn.text for turn in slot.versions] == ["answer 0", "answer 1", "answer 2"]
    assert slot.current is not None
    assert (slot.current.text, reply.text) == ("answer 0", "answer 0")
    assert [other.text for other in reply.others] == ["answer 1", "answer 2"]
    assert "3 answers came" in " ".join(reply.turn.notices)
    assert chat.session is not None
    (row,) = chat.session.ledger.rows
    (bill,) = fake_server.billed
    assert (row.input_tokens, row.output_tokens) == (bill.input_tokens, bill.output_tokens)
    assert [turn.usage.total_tokens for turn in slot.versions[1:]] == [0, 0]
    assert fake_server.requests[0].body["n"] == 3

    chat.pick(slot, slot.versions[2])
    chat.ask("and then?", model="echo")
    assert [message["content"] for message in fake_server.requests[1].body["messages"]] == [
        "what?",
        "answer 2",
        "and then?",
    ]


@pytest.mark.capability("B17")
def test_an_aside_has_them_all(chat: Conversation) -> None:
    """Nothing is kept, and nothing is lost."""
    reply = chat.ask("what?", model="choices", n=2, keep=False)

    assert ([reply.text, *(other.text for other in reply.others)], chat.slots) == (["answer 0", "answer 1"], ())
    assert reply.others[0].cost_usd == 0.0


@pytest.mark.capability("B17")
def test_tools_want_one_answer(chat: Conversation, fake_server: FakeServer) -> None:
    """Which of three would be gone on with is nobody's guess: it is said before anything is sent."""
    with pytest.raises(ConfigurationError, match="Several answers and tools"):
        chat.ask("what?", model="choices", n=2, tools=[len])

    assert fake_server.requests == []


def test_undo_takes_back_all_of_them(chat: Conversation) -> None:
    """They came with one ask."""
    chat.ask("what?", model="choices", n=3)

    chat.undo()

    assert chat.turns == ()


def test_what_broke_off_breaks_off_for_all(chat: Conversation) -> None:
    """What had come of each is kept and marked; one that was whole is whole."""
    with pytest.raises(StreamInterruptedError):
        chat.ask("what?", model="choices-broken", n=3)

    (slot,) = chat.slots
    assert [(turn.text, turn.status) for turn in slot.versions] == [
        ("answer", "truncated"),
        ("answer 1", "complete"),
        ("answer", "truncated"),
    ]


def test_stop_strings_hold_for_each(chat: Conversation) -> None:
    """Also where the server does not keep to them."""
    reply = chat.ask("what?", model="choices", n=2, stop=[" 0", "er"])

    assert [reply.text, *(other.text for other in reply.others)] == ["answ", "answ"]


def test_the_first_stop_string_is_the_same_for_all(chat: Conversation) -> None:
    """The one that is whole first ends each answer, and an answer that was ended so has stopped."""
    reply = chat.ask("what?", model="choices", n=2, stop=["nswer", "we"])

    assert [reply.text, *(other.text for other in reply.others)] == ["ans", "ans"]
    assert [other.finish_reason for other in reply.others] == ["stop"]


def test_versions_are_kept_in_the_store(tmp_path: Path, fake_server: FakeServer) -> None:
    """All of them, and one ledger row."""
    with contextlib.closing(open_session(tmp_path / "store.db")) as session:
        chat = session.current
        assert isinstance(chat, Conversation)
        chat.session = session
        chat.backend = OpenAIBackend(base_url=fake_server.url, environ={})
        chat.ask("what?", model="choices", n=3)
        session.run(chat.backend.aclose())

    kept = stored(tmp_path / "store.db", chat)
    assert kept.slots == chat.slots
    assert [turn.text for turn in kept.slots[0].versions] == ["answer 0", "answer 1", "answer 2"]
    assert len(ledger(tmp_path / "store.db")) == 1


@pytest.mark.capability("B17", "E15")
@pytest.mark.parametrize("is_streaming", [True, False])
def test_fewer_answers_than_asked_for_are_told(chat: Conversation, *, is_streaming: bool) -> None:
    """A server that passes over ``n``: no version is made of what did not come."""
    reply = chat.ask("what?", model="echo", n=3, stream=is_streaming)

    assert (reply.text, reply.others, len(chat.slots[0].versions)) == ("what?", (), 1)
    assert reply.turn.notices == ("3 answers were asked for: the server sent 1",)


@pytest.mark.capability("E15")
def test_more_answers_than_asked_for_are_told(chat: Conversation) -> None:
    """A server that sends what nobody asked for."""
    reply = chat.ask("what?", model="two-choices")

    assert (reply.text, reply.others) == ("first", ())
    assert any("more than one answer" in line for line in reply.turn.notices)


@pytest.mark.capability("B17")
@pytest.mark.parametrize("n", [0, -1, "two", 1.5, True])
def test_n_that_does_not_fit_is_refused(chat: Conversation, fake_server: FakeServer, n: object) -> None:
    """In one line, and nothing is sent."""
    with pytest.raises(ConfigurationError, match="does not fit n"):
        chat.ask("what?", model="echo", n=n)

    assert fake_server.requests == []
