"""Stop strings kept to here: where an answer ends, whatever its pieces, and what is kept and shown of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.errors import StreamInterruptedError
from llm_magic.events import (
    Completed,
    Event,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from llm_magic.repeats import onward
from llm_magic.session import Session
from llm_magic.stopping import StopSearch
from llm_magic.testing import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llm_magic.testing import Script

TEXTS = st.text("abc\n", max_size=40)
STOPS = st.lists(st.text("abc\n", min_size=1, max_size=6), min_size=1, max_size=4).map(tuple)
CUTS = st.lists(st.integers(0, 5), max_size=40)
DONE = Completed(finish_reason="length", model="scripted")


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of its own, without anything of the environment."""
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    yield made
    made.close()


def talk(session: Session, *scripts: Script) -> tuple[Conversation, ScriptedBackend]:
    """A conversation with a scripted backend that goes on by prefix."""
    backend = ScriptedBackend(scripts, continues="prefix")
    return Conversation(backend=backend, model="m", session=session), backend


def says(*pieces: str) -> list[Event]:
    """A script of these pieces, in which the server goes on as far as it may."""
    return [*(TextDelta(text=piece) for piece in pieces), DONE]


def text_of(events: Iterable[Event]) -> str:
    """What a view has drawn."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def ended(text: str, stops: Sequence[str]) -> str:
    """Where a text ends by the slowest reading: character by character, until a stop string is whole."""
    for end in range(len(text) + 1):
        if whole := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, whole))]
    return text


def split(text: str, sizes: Iterable[int]) -> list[str]:
    """A text in pieces of these sizes, empty ones too, and the rest."""
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    return [*pieces, text]


# The search


@given(text=TEXTS, stops=STOPS, sizes=CUTS)
@example(text="abcabd", stops=("abd",), sizes=[5])
@example(text="abcd", stops=("abcd", "bc"), sizes=[3])
@example(text="aab", stops=("ab",), sizes=[1, 1])
def test_search_gives_the_same_for_every_split(text: str, stops: tuple[str, ...], sizes: list[int]) -> None:
    """The text ends before the stop string that is whole first; nothing else is lost, nothing comes twice."""
    search = StopSearch(stops)
    shown = "".join(search.add(piece) for piece in split(text, sizes)) + search.end()

    assert shown == ended(text, stops)
    assert search.is_met == (shown != text)
    assert shown + search.left_out == text


@given(text=TEXTS, stops=STOPS, sizes=CUTS)
def test_search_holds_back_only_what_may_begin_one(text: str, stops: tuple[str, ...], sizes: list[int]) -> None:
    """After each piece, what is not shown is the beginning of a stop string, and no longer one is there."""
    search, came, shown = StopSearch(stops), "", ""
    for piece in split(text, sizes):
        came += piece
        shown += search.add(piece)
        if search.is_met:
            break
        held = came[len(shown) :]
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


@given(before=TEXTS, text=TEXTS, stops=STOPS, sizes=CUTS)
@example(before="abE", text="NDc", stops=("END",), sizes=[1])
def test_search_takes_nothing_back(before: str, text: str, stops: tuple[str, ...], sizes: list[int]) -> None:
    """A stop string that begins in what is shown ends the text there; one that was whole in it is past."""
    search = StopSearch(stops, before=before)
    shown = "".join(search.add(piece) for piece in split(text, sizes)) + search.end()

    first = next((end for end in range(1, len(text) + 1) if _ends_with_new(before, text[:end], stops)), None)
    if first is None:
        assert shown == text
    else:
        whole = max(len(stop) for stop in stops if _ends_with_new(before, text[:first], [stop]))
        assert shown == text[: max(first - whole, 0)]
    assert shown + search.left_out == text


def _ends_with_new(before: str, text: str, stops: Sequence[str]) -> bool:
    return any((before + text).endswith(stop) for stop in stops)


# In a session


@pytest.mark.capability("G4")
@pytest.mark.parametrize("stop", ["END", ["never", "END"]])
def test_answer_ends_before_a_stop_string_over_pieces(session: Session, stop: str | list[str]) -> None:
    """The server goes on past it: text and events end there, the stream is closed, the answer is complete."""
    chat, backend = talk(session, [*says("one E", "N", "D two"), 30.0])
    run = session.ask(Ask(prompt=(message("user", "a"),), conversation=chat, backend=backend, params={"stop": stop}))
    turn, events = run.outcome().turn, list(run)

    assert (turn.text, turn.status, turn.finish_reason) == ("one ", "complete", "stop")
    assert text_of(events) == "one "
    assert events[-1] == Completed(finish_reason="stop")
    assert backend.open_streams == 0


def test_what_only_begins_like_one_is_shown(session: Session) -> None:
    """Held back where it may begin a stop string, at the end it is there: whole, broken off, or stopped."""
    broken = StreamInterruptedError("Gone.", is_billable=True)
    chat, backend = talk(session, says("a EN", "T E"), [TextDelta(text="b E"), broken], [TextDelta(text="c E"), 30.0])

    whole = chat.ask("1", stop="END")
    with pytest.raises(StreamInterruptedError):
        chat.ask("2", stop="END")
    stream = chat.stream("3", stop="END")
    first = next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator

    assert (whole.text, whole.finish_reason) == ("a ENT E", "length")
    assert [turn.text for turn in chat.turns[1:]] == ["b E", "c E"]
    assert [turn.status for turn in chat.turns] == ["complete", "truncated", "interrupted"]
    assert first == TextDelta(text="c ", snapshot="c ")
    assert backend.open_streams == 0


def test_only_the_answers_text_is_searched(session: Session) -> None:
    """Reasoning, a refusal and arguments of tools may hold a stop string; they pass at once, in their order."""
    others = (
        ReasoningDelta(text="END"),
        RefusalDelta(text="END"),
        ToolCallDelta(index=0, id="1", name="END", arguments="END"),
    )
    script: list[Event] = [TextDelta(text="E"), *others, TextDelta(text="N."), DONE]
    chat, _ = talk(session, script)
    events = list(chat.stream("a", stop="END"))

    assert events == [*others, TextDelta(text="EN.", snapshot="EN."), DONE]


def test_without_a_stop_string_events_pass_as_they_are(session: Session) -> None:
    """An empty list, an empty string, and none change nothing."""
    script: list[Event] = [TextDelta(text="a\n"), LogprobsDelta(tokens=({"token": "a\n"},)), TextDelta(text="b"), DONE]
    chat, backend = talk(session, script)
    nothing: tuple[object, ...] = ([], "", None)
    for stop in nothing:
        params = {"stop": stop}
        ask = Ask(prompt=(message("user", "a"),), conversation=chat, backend=backend, params=params)
        run = session.ask(ask)
        run.outcome()

        assert list(run) == script


def test_usage_is_as_sent_or_counted_of_all_that_came(session: Session) -> None:
    """Usage that came is the server's; else it is estimated, the stop string and what was behind it included."""
    sent = Usage(input_tokens=5, output_tokens=9, total_tokens=14)
    rest = "E" + " more and more" * 20
    reported = [UsageReport(usage=sent), *says("one", rest)]
    chat, _ = talk(session, reported, says("one", rest), says("one"))
    one = chat.ask("a", stop="E", fresh=True)
    two = chat.ask("a", stop="E", fresh=True)
    three = chat.ask("a", stop="E", fresh=True)

    assert [row.status for row in session.ledger.rows] == ["complete"] * 3
    assert one.usage == sent
    assert (two.text, two.usage.is_estimate) == ("one", True)
    assert two.usage.output_tokens > three.usage.output_tokens + 40
    assert two.usage.input_tokens == three.usage.input_tokens


def test_answer_in_one_piece_is_read_to_its_end(session: Session) -> None:
    """All of it is here when its text is: it is cut, and its usage and model are the server's."""
    sent = Usage(input_tokens=5, output_tokens=9, total_tokens=14)
    late = (TextDelta(text=" three"), ReasoningDelta(text="hm"), UsageReport(usage=sent), DONE)
    script: list[Event] = [TextDelta(text="one END two"), *late]
    chat, _ = talk(session, script)
    reply = chat.ask("a", stop="END", stream=False)

    assert (reply.text, reply.usage, reply.model, reply.finish_reason) == ("one ", sent, "scripted", "stop")
    assert reply.reasoning == ""


def test_log_probabilities_of_a_cut_text_are_not_kept(session: Session) -> None:
    """A part of them would be taken for the whole."""
    tokens = LogprobsDelta(tokens=({"token": "one"}, {"token": "E"}))
    chat, _ = talk(session, [TextDelta(text="oneE"), tokens, *says("N", "x")], [TextDelta(text="oneE"), tokens, DONE])

    assert chat.ask("a", stop="EN").logprobs is None
    assert chat.ask("a", stop="EN").turn.logprobs == tokens.tokens


def test_going_on_ends_at_a_stop_string_in_what_is_new(session: Session) -> None:
    """The partial answer stays as it is; the rest ends before a stop string, also before one that began in it."""
    broken = StreamInterruptedError("Gone.", is_billable=True)
    for partial, rest, whole in (("one, ", ("two E", "ND three"), "one,two "), ("one E", ("ND two",), "one E")):
        chat, backend = talk(session, [TextDelta(text=partial), broken], says(*rest))
        with pytest.raises(StreamInterruptedError):
            chat.ask("a", stop="END")
        run = session.ask(replace(onward(chat), backend=backend))
        turn, events = run.outcome().turn, list(run)

        assert (turn.text, text_of(events)) == (whole, whole)
        assert (turn.status, turn.finish_reason) == ("complete", "stop")
        assert turn.settings == {"stop": "END"}
