"""Events folded into turns: nothing lost, nothing invented, whatever order they come in."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.content import Message, TextPart, ToolCall, message
from llm_magic.counts import Usage
from llm_magic.events import (
    Completed,
    Event,
    LogprobsDelta,
    Notice,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from llm_magic.turns import Status, Turn, TurnBuilder, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BASE = Turn(
    id="t",
    prompt=(message("user", "hi"),),
    backend="openai",
    requested_model="m",
    at=datetime(2026, 11, 21, tzinfo=UTC),
    system="Be brief.",
    settings={"seed": 7},
    seen="0123456789abcdef",
    continues="former",
    cell_id="c",
    notices=("one stale turn sent",),
)
DONE = Completed(finish_reason="stop", model="m-1")
FULL = Usage(input_tokens=10, output_tokens=2, total_tokens=12)


def clock(*times: float) -> Callable[[], float]:
    """A clock that shows these times, one a look."""
    return iter(times).__next__


def folded(events: Iterable[Event], base: Turn = BASE) -> TurnBuilder:
    """A builder that took these events, by a clock that ticks a second a look."""
    builder = TurnBuilder(base, clock=itertools.count().__next__)
    for event in events:
        builder.add(event)
    return builder


def test_ids_are_unlike() -> None:
    """Ids are 12 hex digits and do not repeat."""
    ids = {new_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(len(item) == 12 and set(item) <= set("0123456789abcdef") for item in ids)


PIECES = st.text(min_size=1, max_size=5)
DELTAS = st.lists(
    st.one_of(
        st.builds(TextDelta, text=PIECES),
        st.builds(ReasoningDelta, text=PIECES),
        st.builds(RefusalDelta, text=PIECES),
        st.builds(
            ToolCallDelta,
            index=st.integers(0, 2),
            id=st.just(""),
            name=st.sampled_from(["", "add"]),
            arguments=PIECES,
        ),
    ),
    max_size=20,
)


@pytest.mark.capability("G5")
@given(DELTAS)
def test_builder_keeps_every_piece_in_its_place(deltas: list[Event]) -> None:
    """However text, reasoning, refusal and calls are mixed, each is the joined whole of its pieces."""
    turn = folded([*deltas, DONE]).build()

    assert turn.text == "".join(e.text for e in deltas if isinstance(e, TextDelta))
    assert turn.reasoning == "".join(e.text for e in deltas if isinstance(e, ReasoningDelta))
    assert turn.refusal == "".join(e.text for e in deltas if isinstance(e, RefusalDelta))
    calls = [e for e in deltas if isinstance(e, ToolCallDelta)]
    assert [call.arguments for call in turn.tool_calls] == [
        "".join(e.arguments for e in calls if e.index == index) for index in sorted({e.index for e in calls})
    ]
    assert turn.status == "complete"


@given(DELTAS)
def test_output_text_counts_all_that_was_produced(deltas: list[Event]) -> None:
    """What tokens are estimated from is every character the model produced."""
    calls = [e.name + e.arguments for e in deltas if isinstance(e, ToolCallDelta)]
    texts = [e.text for e in deltas if isinstance(e, TextDelta | ReasoningDelta | RefusalDelta)]

    assert sorted(folded(deltas).output_text) == sorted("".join(calls + texts))


@given(st.lists(PIECES, max_size=10))
def test_text_so_far_is_the_text_so_far(pieces: list[str]) -> None:
    """Looking at the text while it comes changes nothing in what comes out."""
    builder = folded([])
    for count, piece in enumerate(pieces, start=1):
        builder.add(TextDelta(text=piece))
        assert builder.text == "".join(pieces[:count])

    assert builder.build().text == "".join(pieces)


def test_tool_calls_are_assembled_by_index() -> None:
    """Calls whose pieces are mixed come out whole, in the order of their index; the first id counts."""
    turn = folded(
        [
            ToolCallDelta(index=1, id="b", name="mul"),
            ToolCallDelta(index=0, id="a", name="ad", arguments="{"),
            ToolCallDelta(index=1, id="other", arguments="{}"),
            ToolCallDelta(index=0, name="d", arguments="}"),
            DONE,
        ]
    ).build()

    assert turn.tool_calls == (
        ToolCall(id="a", name="add", arguments="{}"),
        ToolCall(id="b", name="mul", arguments="{}"),
    )


def test_build_keeps_what_was_known_before() -> None:
    """What the turn was asked with is in it, and what the end of the stream says."""
    turn = folded([TextDelta(text="x"), UsageReport(usage=FULL), DONE]).build(cost_usd=0.5)

    assert replace(
        turn,
        text="",
        usage=Usage(),
        cost_usd=None,
        model=None,
        finish_reason=None,
        latency_s=None,
        ttft_s=None,
    ) == replace(BASE, status="complete")
    assert (turn.text, turn.usage, turn.cost_usd) == ("x", FULL, 0.5)
    assert (turn.model, turn.finish_reason) == ("m-1", "stop")


def test_reported_usage_counts_before_an_estimate() -> None:
    """An estimate fills in only where the server reported nothing."""
    guess = replace(FULL, is_estimate=True)

    assert folded([UsageReport(usage=FULL), DONE]).build(usage=guess).usage == FULL
    assert folded([DONE]).build(usage=guess).usage == guess
    assert folded([DONE]).build().usage == Usage()


def test_times_are_measured_from_the_ask() -> None:
    """Time to the first piece and to the end, whatever came between."""
    builder = TurnBuilder(BASE, clock=clock(10.0, 11.5, 14.0))
    for event in (Opened(), TextDelta(text="a"), TextDelta(text="b"), DONE):
        builder.add(event)

    turn = builder.build()

    assert (turn.ttft_s, turn.latency_s) == (1.5, 4.0)


@pytest.mark.parametrize("event", [ReasoningDelta(text="a"), RefusalDelta(text="a"), ToolCallDelta(index=0, name="f")])
def test_first_piece_may_be_of_any_kind(event: Event) -> None:
    """Reasoning, a refusal and a call are the first of an answer too."""
    assert folded([event]).build().ttft_s == 1


def test_no_piece_has_no_first_time() -> None:
    """Where nothing came there is no time to the first piece."""
    assert folded([Opened(), DONE]).build().ttft_s is None


def test_retries_are_counted_by_whoever_saw_most() -> None:
    """Retries shown and retries that the server's acceptance reports are the same ones."""
    retry = Retrying(attempt=1, max_retries=2, wait_s=0.5, reason="rate limited")

    assert folded([retry]).build().retries == 1
    assert folded([retry, Opened(retries=2)]).build().retries == 2
    assert folded([retry, replace(retry, attempt=2), Opened()]).build().retries == 2


def test_request_id_is_the_error_s_or_the_stream_s() -> None:
    """The server's id is kept, whoever knows it."""
    assert folded([Opened(request_id="r")]).build().request_id == "r"
    assert folded([]).build(request_id="e").request_id == "e"
    assert folded([]).build().request_id is None


def test_opened_says_that_the_server_bills() -> None:
    """From its acceptance on a request is billed."""
    assert not folded([]).is_opened
    assert folded([Opened()]).is_opened


def test_notices_follow_those_that_were_there() -> None:
    """Lines beside the answer are kept in order."""
    assert folded([Notice(text="restarted")]).build().notices == ("one stale turn sent", "restarted")


@pytest.mark.capability("E14")
def test_logprobs_are_joined_and_none_without() -> None:
    """Log probabilities come in pieces; None says that there are none."""
    pieces = [LogprobsDelta(tokens=({"token": "a"},)), LogprobsDelta(tokens=({"token": "b"}, {"token": "c"}))]

    assert folded(pieces).build().logprobs == ({"token": "a"}, {"token": "b"}, {"token": "c"})
    assert folded([]).build().logprobs is None


@pytest.mark.parametrize(
    ("events", "status", "expected"),
    [
        ([TextDelta(text="a"), DONE], None, "complete"),
        ([DONE], None, "complete"),
        ([TextDelta(text="a")], None, "truncated"),
        ([RefusalDelta(text="a")], None, "truncated"),
        ([ToolCallDelta(index=0, name="f")], None, "truncated"),
        ([ReasoningDelta(text="a")], None, "failed"),
        ([], None, "failed"),
        ([TextDelta(text="a")], "interrupted", "interrupted"),
        ([], "interrupted", "interrupted"),
        ([TextDelta(text="a"), DONE], "failed", "failed"),
    ],
)
def test_status_says_how_it_ended(events: list[Event], status: Status | None, expected: Status) -> None:
    """A stream that ended early is truncated if something came, else failed; an interrupt is always one."""
    turn = folded(events).build(status=status)

    assert turn.status == expected
    assert turn.is_partial == (expected != "complete")


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("text", ["", "a"])
@pytest.mark.parametrize("refusal", ["", "no"])
def test_turn_is_sendable_if_it_says_something_and_did_not_fail(status: Status, text: str, refusal: str) -> None:
    """Failed turns and empty ones are no context."""
    turn = Turn(id="t", prompt=(), status=status, text=text, refusal=refusal)

    assert turn.is_sendable == (status != "failed" and bool(text or refusal))


@pytest.mark.capability("F5")
def test_turn_as_context_is_prompt_and_answer() -> None:
    """What is sent again: the prompt as it was and the text; no reasoning."""
    turn = replace(BASE, text="hello", reasoning="hm")

    assert turn.messages() == (message("user", "hi"), message("assistant", "hello"))
    assert replace(turn, text="", refusal="no").messages()[-1] == message("assistant", "no")


def test_prompt_text_leaves_other_parts_out() -> None:
    """The text of a prompt is that of its messages, a line each."""
    both = Message(role="user", parts=(TextPart(text="a"), TextPart(text="b", label="df")))

    assert replace(BASE, prompt=(both, message("user", "c"))).prompt_text == "ab\nc"


def test_turn_cannot_be_changed() -> None:
    """A turn is a value."""
    with pytest.raises(FrozenInstanceError):
        BASE.text = "other"  # type: ignore[misc]  # the point


def test_time_of_a_turn_is_utc() -> None:
    """Without being told, a turn was asked now, in UTC."""
    before = datetime.now(UTC)

    at = Turn(id="t", prompt=()).at

    assert before <= at <= datetime.now(UTC)
    assert at.tzinfo is UTC
