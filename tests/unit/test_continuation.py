"""Going on with a partial answer: what is sent, what is kept and shown, and that it ends equal to the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.errors import ConfigurationError, StreamInterruptedError
from llm_magic.events import (
    Completed,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from llm_magic.repeats import onward
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says
from tests.fakes.answers import words
from tests.fakes.partial import PartialBackend

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_magic.backends.base import Request
    from llm_magic.events import Event
    from llm_magic.testing import Script
    from llm_magic.turns import Turn

GONE = StreamInterruptedError("Gone.", is_billable=True)
PIECES = words(200)
WHOLE = "".join(PIECES)


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of its own, without anything of the environment."""
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    yield made
    made.close()


def talk(session: Session, *scripts: Script) -> tuple[Conversation, ScriptedBackend]:
    """A conversation with a scripted backend."""
    backend = ScriptedBackend(scripts)
    return Conversation(backend=backend, model="m", session=session), backend


def prefixed(session: Session, *scripts: Script) -> tuple[Conversation, ScriptedBackend]:
    """The same with one that goes on by prefix."""
    backend = ScriptedBackend(scripts, continues="prefix")
    return Conversation(backend=backend, model="m", session=session), backend


def texts(request: Request) -> list[tuple[str, str]]:
    """Role and text of what was sent."""
    return [(item.role, item.text) for item in request.messages]


def fail(chat: Conversation, *parts: str) -> None:
    """Ask, or go on, and let it break."""
    with pytest.raises(StreamInterruptedError):
        chat.ask(*parts) if parts else chat.go_on()


def interrupted(session: Session, backend: PartialBackend, ask: Ask, *, after: int) -> tuple[Turn, list[Event]]:
    """Ask, and stop after so many pieces."""
    backend.stops_after = after
    backend.has_stopped.clear()
    run = session.ask(replace(ask, backend=backend, settings={**ask.settings, "model": "m"}))
    assert backend.has_stopped.wait(60)
    run.cancel()
    turn = run.outcome().turn
    backend.stops_after = None
    return turn, list(run)


def text_of(events: Iterable[Event]) -> str:
    """What a view has drawn."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


# To the end


@pytest.mark.parametrize("manner", ["prefix", "anchor", "exact", "sentence", "all", "spaced", "sure"])
def test_interrupted_anywhere_it_ends_equal_to_the_whole(session: Session, manner: str) -> None:
    """After every one of 200 pieces: one slot, two versions, and the text of an answer that was never stopped."""
    backend = PartialBackend(PIECES, manner=manner)
    wrong = {}
    for after in range(1, len(PIECES) + 1):
        chat = Conversation(backend=backend, model="m", session=session)
        partial, _ = interrupted(session, backend, Ask(prompt=(message("user", "a"),), conversation=chat), after=after)
        assert (partial.status, partial.text) == ("interrupted", "".join(PIECES[:after]))

        run = session.ask(replace(onward(chat), backend=backend))
        turn, drawn = run.outcome().turn, text_of(run)

        (slot,) = chat.slots
        assert slot.versions == (partial, turn)
        assert (slot.current, turn.continues, turn.status) == (turn, partial.id, "complete")
        if (turn.text, drawn) != (WHOLE, WHOLE):
            wrong[after] = turn.text[len(partial.text) - 20 : len(partial.text) + 20]

    assert wrong == {}


@pytest.mark.parametrize("manner", ["prefix", "anchor", "exact", "spaced"])
def test_interrupted_again_and_again_it_ends_equal_to_the_whole(session: Session, manner: str) -> None:
    """Each time a few pieces more, some times none."""
    backend = PartialBackend(PIECES, manner=manner)
    chat = Conversation(backend=backend, model="m", session=session)
    interrupted(session, backend, Ask(prompt=(message("user", "a"),), conversation=chat), after=3)

    for after in range(1, 24):
        turn, _ = interrupted(session, backend, onward(chat), after=after)
        assert WHOLE.startswith(turn.text)

    assert chat.go_on().text == WHOLE
    assert len(chat.slots) == 1
    assert len(session.ledger.rows) == len(chat.slots[0].versions) == 25


# What is sent


def test_prefix_is_the_last_message(session: Session) -> None:
    """Without the white space at its end, after which no model goes on well."""
    chat, backend = prefixed(session, says("one"), [TextDelta(text="half a \n"), GONE], says("\nwhole"), says("next"))
    chat.system = "Be brief."
    chat.ask("a")
    fail(chat, "b")

    reply = chat.go_on(temperature=0.5)
    chat.ask("c")

    sent = [("system", "Be brief."), ("user", "a"), ("assistant", "one"), ("user", "b"), ("assistant", "half a")]
    assert texts(backend.requests[2]) == sent
    assert dict(backend.requests[2].params) == {"temperature": 0.5}
    assert reply.text == "half a\nwhole"
    assert texts(backend.requests[3])[1:] == [*sent[1:4], ("assistant", "half a\nwhole"), ("user", "c")]


def test_asking_to_go_on_names_the_last_words(session: Session) -> None:
    """The partial answer, then a message that quotes its end; the form of a whole answer is not asked of its rest."""
    form = {"type": "json_object"}
    half = TextDelta(text="It is a long answer, that ends in the mid ")
    chat, backend = talk(session, [half, GONE], says("answer, that ends in the middle."))
    fail(chat, "a")
    reply = chat.go_on(response_format=form)

    assert texts(backend.requests[1])[:2] == [("user", "a"), ("assistant", "It is a long answer, that ends in the mid")]
    role, please = texts(backend.requests[1])[2]
    assert role == "user"
    assert "<last_words>long answer, that ends in the mid</last_words>" in please
    assert "response_format" not in backend.requests[1].params
    assert reply.turn.settings == {"response_format": form}
    assert reply.turn.prompt == chat.slots[0].versions[0].prompt


def test_retry_of_a_turn_gone_on_with_asks_its_prompt(session: Session) -> None:
    """As it was asked first: nothing of the partial answer is sent."""
    chat, backend = talk(session, [TextDelta(text="half"), GONE], says(" whole"), says("anew"))
    fail(chat, "a")
    chat.go_on()

    turn = chat.retry().turn

    assert texts(backend.requests[2]) == texts(backend.requests[0]) == [("user", "a")]
    assert (turn.text, turn.continues) == ("anew", None)


def test_a_stale_beginning_stays_stale(session: Session) -> None:
    """Half of the answer saw another context: going on does not hide that."""
    chat, _ = talk(session, says("one"), [TextDelta(text="half"), GONE], says("two"), says(" whole"))
    chat.ask("a")
    fail(chat, "b")
    chat.retry(1)
    assert chat.is_stale(chat.slots[1])

    chat.go_on()

    assert chat.turns[1].text == "half whole"
    assert chat.is_stale(chat.slots[1])


# What is kept


def test_result_is_a_version_with_its_own_usage(session: Session) -> None:
    """Text and reasoning of both; tokens, times and end of the second request alone."""
    first, second = Usage(input_tokens=3, output_tokens=9), Usage(input_tokens=20, output_tokens=4)
    half: Script = [ReasoningDelta(text="Well."), TextDelta(text="half"), UsageReport(usage=first)]
    rest: Script = [ReasoningDelta(text="So."), TextDelta(text=" whole"), UsageReport(usage=second)]
    chat, _ = prefixed(session, [*half, Completed(finish_reason="length")], [*rest, Completed(finish_reason="stop")])
    chat.ask("a")

    turn = chat.go_on().turn

    assert (turn.text, turn.reasoning, turn.usage) == ("half whole", "Well.\n\nSo.", second)
    assert (turn.finish_reason, turn.continues) == ("stop", chat.slots[0].versions[0].id)
    assert [row.output_tokens for row in session.ledger.rows] == [9, 4]


def test_estimate_counts_what_was_repeated_and_not_what_was_there(session: Session) -> None:
    """A model is paid for the last words a second time, for the rest of the former answer not."""
    former = "word " * 500 + "and these are the last words"
    chat, _ = talk(session, [TextDelta(text=former), GONE], [TextDelta(text=former[-28:] + " and more."), GONE])
    fail(chat, "a")
    fail(chat)

    assert chat.turns[0].text == former + " and more."
    assert 6 <= chat.turns[0].usage.output_tokens < 20


@pytest.mark.parametrize(
    ("former", "rest", "way", "expected"),
    [
        (("a",), ("b",), "prefix", ("a", "b")),
        ((), ("b",), "prefix", None),
        (("a",), (), "prefix", None),
        (("a",), ("b",), "ask", None),
    ],
)
def test_logprobs_are_of_all_tokens_or_none(
    session: Session, former: tuple[str, ...], rest: tuple[str, ...], way: Literal["ask", "prefix"], expected: Any
) -> None:
    """And where words are repeated, they are of other tokens than the text's."""

    def script(text: str, tokens: tuple[str, ...]) -> Script:
        probable = tuple({"token": token, "logprob": -1.0} for token in tokens)
        return [TextDelta(text=text), *([LogprobsDelta(tokens=probable)] if tokens else [])]

    backend = ScriptedBackend([[*script("a", former), GONE], [*script("b", rest), *says("")]], continues=way)
    chat = Conversation(backend=backend, model="m", session=session)
    fail(chat, "a")

    tokens = chat.go_on().turn.logprobs

    assert (tokens and tuple(token["token"] for token in tokens)) == expected


def test_former_version_counts_until_something_came(session: Session) -> None:
    """A failure that brought nothing, or only a repetition, hides no partial answer; the next one goes on from it."""
    former = "This is the first half of it"
    again = TextDelta(text=former[:14])
    chat, _ = talk(session, [TextDelta(text=former), GONE], [GONE], [again, GONE], says(former + "."))
    fail(chat, "a")
    fail(chat)
    fail(chat)

    (slot,) = chat.slots
    assert [turn.status for turn in slot.versions] == ["truncated", "failed", "failed"]
    assert (slot.current, slot.versions[1].text) == (slot.versions[0], "")

    assert chat.go_on().text == former + "."
    assert chat.turns[0].continues == slot.versions[0].id
    chat.undo()
    assert chat.turns == slot.versions[:1]


def test_broken_continuation_keeps_the_joined_text(session: Session) -> None:
    """What came of the rest is kept, and can be gone on with."""
    chat, _ = talk(session, [TextDelta(text="one"), GONE], [TextDelta(text=" two"), GONE], says(" three"))
    fail(chat, "a")
    fail(chat)

    assert (chat.turns[0].text, chat.turns[0].status) == ("one two", "truncated")
    assert chat.go_on().text == "one two three"
    assert [turn.status for turn in chat.slots[0].versions] == ["truncated", "truncated", "complete"]


def test_nothing_more_to_say_makes_it_whole(session: Session) -> None:
    """A model that only repeats, or says nothing, says that this was all."""
    former = "And this was all there is to say."
    for rest in (says(former), says("")):
        chat, _ = talk(session, [TextDelta(text=former), GONE], rest)
        fail(chat, "a")

        turn = chat.go_on().turn

        assert (turn.text, turn.status) == (former, "complete")
        assert chat.turns == (turn,)


# What cannot be gone on with


def test_only_a_partial_last_turn_can_be_gone_on_with(session: Session) -> None:
    """One line says why not, and what to do; nothing is sent."""
    chat, backend = talk(session)
    said = [refused(chat)]
    chat.ask("a")
    said.append(refused(chat))
    chat.reserve(None)
    said.append(refused(chat))

    assert said == [
        "There is no turn to go on with.  Hint: %%chat asks one.",
        "Turn 1 is whole.  Hint: %chat retry asks it again.",
        "Turn 2 has not been answered yet.  Hint: wait for it.",
    ]
    assert len(backend.requests) == 1


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([], "has no text to go on from"),
        ([RefusalDelta(text="I cannot")], "is a refusal, which cannot be gone on with"),
        ([TextDelta(text="So"), ToolCallDelta(index=0, name="f")], "calls a tool, which cannot be gone on with"),
    ],
)
def test_some_partial_answers_cannot_be_gone_on_with(session: Session, events: list[Event], why: str) -> None:
    """Nothing, a refusal, a call."""
    chat, _ = talk(session, [*events, GONE])
    fail(chat, "a")

    assert refused(chat) == f"Turn 1 {why}.  Hint: %chat retry asks it again."


def refused(chat: Conversation) -> str:
    """Why it cannot be gone on with."""
    with pytest.raises(ConfigurationError) as caught:
        chat.go_on()
    return str(caught.value)
