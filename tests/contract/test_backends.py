"""Every backend keeps the protocol; the OpenAI backend on a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from llm_magic.api import Conversation
from llm_magic.backends.base import Timeouts
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.backends.wire import part_to_openai
from llm_magic.config import Config
from llm_magic.content import ImagePart, Message, TextPart, message
from llm_magic.errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    ContextLengthError,
    QuotaError,
    RateLimitedError,
    RequestRejectedError,
    StreamInterruptedError,
)
from llm_magic.events import Notice, Opened, RefusalDelta, Retrying, TextDelta, ToolCallDelta
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, check_backend
from tests.fakes.asking import aask, ask, request
from tests.fakes.going_on import MANNERS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from llm_magic.events import Event
    from llm_magic.providers.profile import PrefixForm
    from tests.fakes.server import FakeServer

CANARY = "sk-canary-0123456789abcdef"
PICTURE = Message(role="user", parts=(TextPart(text="see"), ImagePart(data=b"\x89PNG", media_type="image/png")))


@pytest.fixture
def backend(fake_server: FakeServer) -> Iterator[OpenAIBackend]:
    """The OpenAI backend on the fake server; its key is in no log."""
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keeping()
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    yield OpenAIBackend(base_url=fake_server.url, api_key=CANARY)
    logging.getLogger().setLevel(level)
    logging.getLogger().removeHandler(handler)
    assert not any(CANARY in record.getMessage() for record in records)


def test_the_openai_backend_keeps_the_protocol(fake_server: FakeServer) -> None:
    """On a real server, over real connections."""

    def make() -> OpenAIBackend:
        return OpenAIBackend(base_url=fake_server.url, api_key=CANARY)

    asyncio.run(check_backend(make, model="echo", failing_model="status-401", secret=CANARY))


def test_the_scripted_backend_keeps_the_protocol() -> None:
    """What other tests stand on."""
    asyncio.run(check_backend(ScriptedBackend, model="any"))
    asyncio.run(check_backend(lambda: ScriptedBackend(continues="prefix"), model="any"))


# What is sent


@pytest.mark.capability("B19", "C5")
def test_a_request_is_sent_as_it_is(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """Path, key, user agent, body; usage is asked for by default."""
    system = Message(role="system", parts=(TextPart(text="be brief"),))
    ask(backend, request("echo", system, "hi", params={"temperature": 0.5, "max_tokens": 7, "stop": None}))

    received = fake_server.requests[-1]
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {CANARY}"
    assert received.headers["user-agent"].startswith("llm_magic/")
    assert " (openai/" in received.headers["user-agent"]
    assert received.body == {
        "model": "echo",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.capability("C2", "C3", "J6")
def test_pictures_arrive_whole_and_in_order(backend: OpenAIBackend) -> None:
    """Bytes, detail and place, as a server sees them that looks at them."""
    pictures = [ImagePart(data=bytes([n]) * 1000, media_type="image/png", detail="low") for n in range(3)]
    interleaved = [part for number, picture in enumerate(pictures) for part in (TextPart(text=f"{number}"), picture)]

    answer = ask(backend, request("see", Message(role="user", parts=tuple(interleaved))))

    urls = [part_to_openai(picture)["image_url"]["url"] for picture in pictures]
    expected = [f"data:image/png;base64 {hashlib.sha256(url.encode()).hexdigest()[:8]} low\n" for url in urls]
    assert answer.text == "".join(expected)


def test_ten_megabytes_of_prompt_arrive(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """With braces, quotes, controls and emoji."""
    prompt = '{"{{x}}"}\x00\N{GRINNING FACE}\u2028' * 500_000

    ask(backend, request("empty", prompt))

    assert fake_server.requests[-1].body["messages"][0]["content"] == prompt


# What comes back


@pytest.mark.capability("E1", "E6", "C12")
@pytest.mark.parametrize("is_streaming", [True, False])
@pytest.mark.parametrize("model", ["echo", "content-list", "no-usage", "non-stream", "non-stream-untyped"])
def test_an_answer_is_the_same_in_every_form(backend: OpenAIBackend, model: str, *, is_streaming: bool) -> None:
    """Streamed or in one piece, content as text or as parts, streams where none was asked for and the reverse."""
    answer = ask(backend, request(model, is_streaming=is_streaming))

    assert answer.text == "hello there, world"
    assert answer.completed is not None
    assert (answer.completed.finish_reason, answer.completed.model) == ("stop", f"{model}-2026")
    assert isinstance(answer.events[0], Opened)
    if model != "no-usage":
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 4)


@pytest.mark.capability("G3", "G6", "G16")
@pytest.mark.parametrize("model", ["comments", "crlf", "multiline", "bytewise", "usage-with-choices", "empty-chunks"])
def test_streams_are_read_in_every_form(backend: OpenAIBackend, fake_server: FakeServer, model: str) -> None:
    """Comments, line ends, events of several lines, byte by byte, usage anywhere, empty chunks."""
    answer = ask(backend, request(model, "gr\u00fc\u00dfe \N{GRINNING FACE} an alle"))

    assert answer.text == "gr\u00fc\u00dfe \N{GRINNING FACE} an alle"
    assert answer.usage is not None
    assert answer.usage.output_tokens == fake_server.billed[-1].output_tokens


def test_ten_thousand_tokens_arrive_exactly(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """As many chunks as tokens, as fast as the server can: not a character is lost or doubled."""
    answer = ask(backend, "tokens-10000")

    assert answer.text == fake_server.text_of("tokens-10000")


def test_tokens_that_come_together_are_one_delta(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """What is read from the connection at once is handed on at once: far fewer deltas than tokens."""
    prompt = fake_server.text_of("tokens-10000")

    # One write: how much of it a read gets is up to the sockets, and never as little as a few tokens.
    answer = ask(backend, request("at-once", prompt))

    assert answer.text == prompt
    assert len(answer.of_type(TextDelta)) < 1_000


def test_text_comes_as_soon_as_it_is_there(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """The first piece is had while the server holds back the second."""

    async def run() -> str:
        stream = backend.stream(request("gated"))
        text = ""
        async for event in stream:
            if isinstance(event, TextDelta):
                text += f"[{event.text}]"
                fake_server.open_gate()
        await backend.aclose()
        return text

    assert asyncio.run(run()) == "[before][ after]"


def test_a_megabyte_in_one_chunk_arrives(backend: OpenAIBackend) -> None:
    """However large an event is."""
    assert len(ask(backend, "megabyte").text) == 1_000_000


@pytest.mark.capability("F1", "F2", "F3")
@pytest.mark.parametrize("model", ["think", "reasoning", "reasoning-openrouter", "deepseek-r1"])
@pytest.mark.parametrize("is_streaming", [True, False])
def test_thoughts_come_apart_from_the_answer(backend: OpenAIBackend, model: str, *, is_streaming: bool) -> None:
    """In tags cut anywhere, with the opening one missing, or in a field of their own."""
    answer = ask(backend, request(model, is_streaming=is_streaming))

    assert (answer.reasoning, answer.text) == ("first I think", "then I say")


@pytest.mark.capability("E21")
def test_a_refusal_is_no_answer(backend: OpenAIBackend) -> None:
    """It comes in events of its own."""
    answer = ask(backend, "refusal")

    assert (answer.text, "".join(event.text for event in answer.of_type(RefusalDelta))) == ("", "I cannot do that.")


@pytest.mark.capability("G8")
@pytest.mark.parametrize("model", ["tool-call", "tool-call-no-index", "tool-call-stop"])
@pytest.mark.parametrize("is_streaming", [True, False])
def test_tool_calls_come_whole(backend: OpenAIBackend, model: str, *, is_streaming: bool) -> None:
    """With indexes or without."""
    answer = ask(backend, request(model, is_streaming=is_streaming))

    calls: dict[int, str] = {}
    for piece in answer.of_type(ToolCallDelta):
        calls[piece.index] = calls.get(piece.index, "") + piece.id + piece.name + piece.arguments
    assert calls == {0: 'call_1add{"a": 1, "b": 2}', 1: "call_2now{}"}
    assert answer.completed is not None
    assert answer.completed.finish_reason == "tool_calls"


@pytest.mark.capability("E19")
def test_an_empty_answer_is_an_answer(backend: OpenAIBackend) -> None:
    """It is complete, and it is billed."""
    answer = ask(backend, "empty")

    assert answer.completed is not None
    assert (answer.text, answer.usage and answer.usage.output_tokens) == ("", 0)


@pytest.mark.capability("E2", "E3")
@pytest.mark.parametrize(
    ("model", "reason"),
    [("length", "length"), ("content_filter", "content_filter"), ("end_turn", "stop"), ("eos", "stop")],
)
def test_finish_reasons_are_ours(backend: OpenAIBackend, model: str, reason: str) -> None:
    """Whatever the server calls them."""
    completed = ask(backend, model).completed

    assert completed is not None
    assert completed.finish_reason == reason


@pytest.mark.capability("G12")
@pytest.mark.parametrize(
    ("model", "reason"), [("no-done", "stop"), ("drop-after-end", "stop"), ("truncated-done", "unknown")]
)
def test_one_end_mark_is_enough(backend: OpenAIBackend, model: str, reason: str) -> None:
    """A finish reason without [DONE], [DONE] without one, or the connection lost after it."""
    answer = ask(backend, model)

    assert answer.error is None
    assert answer.completed is not None
    assert answer.completed.finish_reason == reason


def test_only_the_first_of_two_answers_is_read(backend: OpenAIBackend) -> None:
    """And it is said once."""
    answer = ask(backend, "two-choices")

    assert answer.text == "first"
    assert len(answer.of_type(Notice)) == 1


# Streams that break


@pytest.mark.capability("G21")
@pytest.mark.parametrize(
    ("model", "kind", "says"),
    [
        ("truncated", StreamInterruptedError, "ended without its end mark"),
        ("truncated-in-event", StreamInterruptedError, "ended without its end mark"),
        ("garbage", StreamInterruptedError, "not an answer: {this is no JSON"),
        ("misshapen", StreamInterruptedError, "not an answer"),
        ("error-event", StreamInterruptedError, "The server broke off: The server had an error."),
        ("context-event", ContextLengthError, "context window"),
        ("drop", StreamInterruptedError, "The connection broke off"),
        ("stall", BackendTimeoutError, "The answer stalled after 0.3 s."),
    ],
)
def test_a_broken_stream_keeps_what_came(
    backend: OpenAIBackend, fake_server: FakeServer, model: str, kind: type[BackendError], says: str
) -> None:
    """All text before the fault, then the right error, which may be billed and names the request."""
    answer = ask(backend, request(model, timeouts=Timeouts(first_byte_s=10, stall_s=0.3)))

    assert answer.text == fake_server.text_of("tokens-20")
    assert type(answer.failure) is kind
    assert says in answer.failure.message
    assert answer.failure.is_billable
    assert answer.failure.request_id == "req_0001"
    assert answer.completed is None
    assert len(fake_server.requests) == 1
    assert CANARY not in "".join(traceback.format_exception(answer.failure))


@pytest.mark.capability("A25", "H9")
def test_a_server_that_opens_and_says_nothing_stalls(backend: OpenAIBackend) -> None:
    """Headers alone are no answer."""
    answer = ask(backend, request("dead-slot", timeouts=Timeouts(first_byte_s=10, stall_s=0.2)))

    assert [type(event) for event in answer.events] == [Opened]
    assert isinstance(answer.failure, BackendTimeoutError)


@pytest.mark.capability("A24", "H9")
def test_a_silent_server_is_not_waited_for_for_ever(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """Nor asked again: it may have worked, and bill it."""
    answer = ask(backend, request("silent", timeouts=Timeouts(first_byte_s=1.0, stall_s=60)))

    assert answer.events == ()
    assert isinstance(answer.failure, BackendTimeoutError)
    assert "did not reply within 1 s" in answer.failure.message
    assert answer.failure.is_billable
    assert len(fake_server.requests) == 1


def test_an_answer_in_one_piece_has_the_time_of_a_whole_one(backend: OpenAIBackend) -> None:
    """Its first byte comes with its last."""
    timeouts = Timeouts(first_byte_s=0.05, stall_s=0.5)
    start = time.monotonic()

    answer = ask(backend, request("silent", is_streaming=False, timeouts=timeouts))

    assert isinstance(answer.failure, BackendTimeoutError)
    assert time.monotonic() - start >= 0.5


@pytest.mark.capability("E7")
@pytest.mark.parametrize("is_streaming", [True, False])
@pytest.mark.parametrize("model", ["html", "not-a-completion"])
def test_a_reply_of_another_kind_is_shown_short(backend: OpenAIBackend, model: str, *, is_streaming: bool) -> None:
    """A proxy's page, another protocol: what came is in the error, cut."""
    error = ask(backend, request(model, is_streaming=is_streaming)).failure

    assert type(error) is RequestRejectedError
    assert error.message.startswith("The server's reply is not a chat completion: ")
    assert len(error.message) < 400
    assert "base_url" in (error.hint or "")
    # More than the message shows can be looked at.
    assert error.reply is not None
    assert (len(error.reply) > 400) == (model != "html")


# Errors before the answer


@pytest.mark.capability("H10")
@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("status-400", RequestRejectedError, 400),
        ("status-401", AuthenticationError, 401),
        ("status-403", AuthenticationError, 403),
        ("status-404", RequestRejectedError, 404),
        ("status-422", RequestRejectedError, 422),
        ("quota", QuotaError, 429),
        ("context", ContextLengthError, 400),
        ("context-llama", ContextLengthError, 400),
        ("no-image", RequestRejectedError, 400),
        ("no-retry-500", RequestRejectedError, 500),
        ("status-429@3600", RateLimitedError, 429),
    ],
)
def test_a_refusal_is_asked_once_and_costs_nothing(
    backend: OpenAIBackend, fake_server: FakeServer, model: str, kind: type[BackendError], status: int
) -> None:
    """One request, one line, no key in it, nothing billed."""
    answer = ask(backend, request(model, PICTURE))

    assert answer.events == ()
    assert type(answer.failure) is kind
    assert (answer.failure.status_code, answer.failure.request_id) == (status, "req_0001")
    assert not answer.failure.is_billable
    assert len(fake_server.requests) == 1
    assert fake_server.billed == []
    assert "\n" not in str(answer.failure)
    shown = "".join(traceback.format_exception(answer.failure))
    assert CANARY[:10] not in shown
    assert answer.failure.__cause__ is not None


def test_a_picture_for_a_text_model_is_named(backend: OpenAIBackend) -> None:
    """Not "bad request"."""
    assert "does not take pictures" in ask(backend, request("no-image", PICTURE)).failure.message


@pytest.mark.capability("H11")
def test_a_rate_limit_says_when_to_try_again(backend: OpenAIBackend) -> None:
    """A wait that is too long to wait is told."""
    assert "wait 3600 s: try again after" in (ask(backend, "status-429@3600").failure.hint or "")


@pytest.mark.capability("H1", "H2")
@pytest.mark.parametrize(
    ("model", "reason", "wait_s"),
    [
        ("429-then-ok@0.05", "rate limited", 0.05),
        ("429-ms-then-ok@50", "rate limited", 0.05),
        ("500-then-ok@0.05", "server error 500", 0.05),
        ("503-then-ok@0.05", "server error 503", 0.05),
        ("409-then-ok@0.05", "conflict", 0.05),
        ("408-then-ok@0.05", "the server timed out", 0.05),
        ("429-then-ok", "rate limited", None),
        ("500-then-ok", "server error 500", None),
        ("drop-then-ok", "connection closed", None),
    ],
)
def test_a_passing_fault_is_tried_again_and_shown(
    backend: OpenAIBackend, fake_server: FakeServer, model: str, reason: str, wait_s: float | None
) -> None:
    """The retry is an event before its wait; the answer is billed once."""
    answer = ask(backend, model)

    first, opened = answer.events[:2]
    assert isinstance(first, Retrying)
    assert (first.attempt, first.max_retries, first.reason) == (1, 2, reason)
    assert first.wait_s == wait_s if wait_s else 0.3 < first.wait_s <= 0.5
    assert opened == Opened(request_id="req_0002", retries=1)
    assert answer.text == "hello there, world"
    assert len(fake_server.billed) == 1
    one, two = fake_server.requests
    assert two.at - one.at >= first.wait_s * 0.9
    assert one.raw == two.raw


@pytest.mark.capability("H2")
def test_a_retry_is_told_before_it_is_waited_for(backend: OpenAIBackend) -> None:
    """The user reads why nothing happens while nothing happens."""

    async def run() -> float:
        start = time.monotonic()
        stream = backend.stream(request("429-then-ok@60"))
        event = await anext(aiter(stream))
        assert isinstance(event, Retrying)
        assert event.wait_s == 60
        await stream.aclose()
        await backend.aclose()
        return time.monotonic() - start

    assert asyncio.run(run()) < 60


@pytest.mark.capability("H1", "H5", "H7")
def test_retries_end(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """After as many as were asked for; the error counts them."""
    answer = ask(backend, request("status-429@0.02", max_retries=2))

    assert [event.attempt for event in answer.of_type(Retrying)] == [1, 2]
    assert isinstance(answer.failure, RateLimitedError)
    assert answer.failure.retries == 2
    assert "after 2 retries" in answer.failure.message
    assert len(fake_server.requests) == 3
    assert ask(backend, request("status-500", max_retries=0)).of_type(Retrying) == []


@pytest.mark.capability("H3")
def test_nothing_is_tried_again_once_the_answer_began(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """It would be billed twice."""
    ask(backend, request("drop", max_retries=5))

    assert len(fake_server.requests) == 1


def test_a_server_that_is_not_there_is_named() -> None:
    """Refused connections, and hosts that do not exist."""
    refused = ask(OpenAIBackend(base_url="http://127.0.0.1:9/v1"), request("m", max_retries=0)).failure
    unknown = ask(OpenAIBackend(base_url="http://nowhere.invalid/v1"), request("m", max_retries=0)).failure

    assert str(refused).startswith("Cannot reach 127.0.0.1:9 (connection refused).")
    assert str(unknown).startswith("Cannot reach nowhere.invalid (unknown host).")
    assert not refused.is_billable


# Servers that take less than others


@pytest.mark.capability("B19")
@pytest.mark.parametrize("argument", ["", "@422", "@unnamed"])
def test_usage_is_not_asked_for_where_it_is_refused(
    backend: OpenAIBackend, fake_server: FakeServer, argument: str
) -> None:
    """It switches itself off, and remembers."""
    answer = ask(backend, f"refuses-stream-options{argument}", times=2)

    assert answer.text == "hello there, world"
    assert ["stream_options" in item.body for item in fake_server.requests] == [True, False, False]
    assert answer.of_type(Retrying) == []


@pytest.mark.capability("B2")
@pytest.mark.parametrize("model", ["wants-max-tokens", "wants-max-completion-tokens"])
def test_the_limit_goes_by_the_name_the_server_wants(fake_server: FakeServer, model: str) -> None:
    """Whichever it is."""
    backend = OpenAIBackend(base_url=fake_server.url)

    answer = ask(backend, request(model, params={"max_tokens": 7}), times=2)

    assert answer.text == "hello there, world"
    wanted = model.removeprefix("wants-").replace("-", "_")
    assert fake_server.requests[-1].body[wanted] == 7
    assert len(fake_server.requests) == (2 if wanted == "max_tokens" else 3)


def test_a_server_that_wants_neither_name_is_asked_no_more(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """It says use the other, for ever."""
    answer = ask(backend, request("wants-no-limit", params={"max_tokens": 7}))

    assert isinstance(answer.failure, RequestRejectedError)
    assert len(fake_server.requests) == 2


@pytest.mark.capability("B1")
def test_a_refused_temperature_is_left_out_and_told(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """Once learned, it is not sent again; the user reads it beside each answer."""
    answer = ask(backend, request("refuses-temperature", params={"temperature": 0.5}), times=2)

    assert answer.text == "hello there, world"
    assert ["temperature" in item.body for item in fake_server.requests] == [True, False, False]
    assert [notice.text for notice in answer.of_type(Notice)] == [
        "not sent, as refuses-temperature does not take it: temperature"
    ]


def test_two_streams_at_once_may_both_be_refused_first(backend: OpenAIBackend) -> None:
    """What one learned meanwhile helps the other."""

    async def run() -> list[str]:
        asked = request("refuses-stream-options")
        answers = await asyncio.gather(*(aask(backend, asked) for _ in range(8)))
        await backend.aclose()
        return [answer.text for answer in answers]

    assert asyncio.run(run()) == ["hello there, world"] * 8


# Leaving


@pytest.mark.capability("G22")
@pytest.mark.parametrize("model", ["silent", "dead-slot", "stall", "tokens-100000@200"])
def test_a_cancelled_request_lets_go_of_its_connection(
    backend: OpenAIBackend, fake_server: FakeServer, model: str
) -> None:
    """Before the first byte and in the middle: the server sees it within half a second.

    The least of some tries is that figure: a busy machine adds to each.
    """

    async def run() -> float:
        seen = asyncio.Event()
        number = len(fake_server.requests)

        async def read() -> None:
            async for event in backend.stream(request(model)):
                if isinstance(event, Opened | TextDelta):
                    seen.set()

        task = asyncio.create_task(read())
        if model == "silent":
            await asyncio.to_thread(fake_server.wait_until, lambda: len(fake_server.requests) > number)
        else:
            await seen.wait()
        cancelled_at = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.requests[number].is_over)
        await backend.aclose()
        left_at = fake_server.requests[number].disconnected_at
        assert left_at is not None
        return left_at - cancelled_at

    assert min(asyncio.run(run()) for _ in range(5)) < 0.5


@pytest.mark.parametrize("last", [Opened, TextDelta])
def test_closing_the_stream_early_closes_the_connection(
    backend: OpenAIBackend, fake_server: FakeServer, last: type[Any]
) -> None:
    """Wherever it is left; and the next request works."""

    async def run() -> str:
        stream = backend.stream(request("tokens-100000@200"))
        async for event in stream:
            if isinstance(event, last):
                break
        await stream.aclose()
        await asyncio.to_thread(fake_server.wait_until, lambda: fake_server.requests[0].disconnected_at is not None)
        answer = await aask(backend, request("echo"))
        await backend.aclose()
        return answer.text

    assert asyncio.run(run()) == "hello there, world"


@pytest.mark.parametrize("model", ["echo", "late-end"])
def test_connections_are_used_again(
    backend: OpenAIBackend, fake_server: FakeServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other over the same connection, also where it ends a moment after the answer."""
    monkeypatch.setattr("llm_magic.backends.reading._DRAIN_S", 60.0)
    ask(backend, model, times=5)

    assert len({received.peer for received in fake_server.requests}) == 1


def test_many_requests_are_billed_as_reported(backend: OpenAIBackend, fake_server: FakeServer) -> None:
    """Over mixed requests, at once, with faults: the sums are the server's."""
    models = ["echo", "tokens-50", "500-then-ok@0.01", "status-404", "usage-with-choices", "drop", "429-then-ok@0.01"]

    async def run() -> list[Any]:
        asked = [request(model, f"question {n} of many") for n in range(8) for model in models]
        answers = await asyncio.gather(*(aask(backend, replace(item, max_retries=3)) for item in asked))
        await backend.aclose()
        return answers

    reported = [answer.usage for answer in asyncio.run(run()) if answer.usage is not None]

    exact = [bill for bill in fake_server.billed if bill.is_reported]
    assert len(reported) == len(exact) == 40
    assert sum(usage.total_tokens for usage in reported) == sum(b.input_tokens + b.output_tokens for b in exact)


# Going on with a partial answer


@pytest.mark.parametrize("manner", ["prefix", *sorted(MANNERS)])
@pytest.mark.parametrize("after", [1, 17, 60, 61, 199, 200])
def test_a_partial_answer_becomes_whole(fake_server: FakeServer, manner: str, after: int) -> None:
    """Over HTTP: stopped after some tokens, it ends as if it had never been stopped, by prefix and by asking."""
    whole = fake_server.text_of("tokens-200")
    way: Literal["ask", "plain"] = "plain" if manner == "prefix" else "ask"
    backend = OpenAIBackend(base_url=fake_server.url, api_key=CANARY, continues=way)
    session = Session(config=Config(environ={}), conversation_type=Conversation)
    chat = Conversation(backend=backend, model=f"goes-on-{manner}@200/{after}", session=session)
    came = ""
    with contextlib.closing(cast("Generator[Event]", chat.stream("say it"))) as events:
        while came != fake_server.text_of(f"tokens-{after}"):
            event = next(events)
            came += event.text if isinstance(event, TextDelta) else ""
    assert (chat.turns[0].text, chat.turns[0].status) == (came, "interrupted")

    reply = chat.go_on()
    session.run(backend.aclose())

    assert (reply.text, reply.turn.status) == (whole, "complete")
    assert len(fake_server.billed) == len(session.ledger.rows) == 2
    bill, row = fake_server.billed[1], session.ledger.rows[1]
    assert (row.input_tokens, row.output_tokens, row.is_estimate) == (bill.input_tokens, bill.output_tokens, False)


@pytest.mark.parametrize("form", ["plain", "prefix", "continue_final_message"])
def test_servers_are_told_of_the_beginning_in_their_own_way(fake_server: FakeServer, form: PrefixForm) -> None:
    """The last message is the partial answer, marked as the server wants it."""
    beginning = message("assistant", fake_server.text_of("tokens-3"))
    backend = OpenAIBackend(base_url=fake_server.url, api_key=CANARY, continues=form)

    answer = ask(backend, request("goes-on-prefix@5", message("user", "say it"), beginning))

    assert beginning.text + answer.text == fake_server.text_of("tokens-5")
    body = fake_server.requests[0].body
    assert body["messages"][1] == {"role": "assistant", "content": beginning.text} | (
        {"prefix": True} if form == "prefix" else {}
    )
    assert body.get("continue_final_message", False) is (form == "continue_final_message")
    assert body.get("add_generation_prompt") is (False if form == "continue_final_message" else None)


def test_a_thinking_model_goes_on_answering(fake_server: FakeServer) -> None:
    """Its template begins an answer with thoughts, but not in the middle of one."""
    backend = OpenAIBackend(base_url=fake_server.url, api_key=CANARY, continues="plain")
    asked = request("deepseek-r1", message("user", "say it"), message("assistant", "then"))

    answer = ask(backend, asked)

    assert answer.reasoning == ""
    assert "I say" in answer.text
