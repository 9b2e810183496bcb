"""How the fake server answers: one scenario by model name, faults included.

A name is ``SCENARIO`` or ``SCENARIO@ARGUMENT``: ``tokens-10000@500`` writes 10,000 tokens at 500 a second,
``429-then-ok@0.05`` refuses a body once with ``Retry-After: 0.05`` and answers it the second time, ``late@0.2``
answers after 0.2 s. Unknown names repeat the last text of the user. What is said, and refused, is in ``answers.py``.

``goes-on-MANNER@200/17`` writes 200 tokens, and the first time stops after 17 of them; how it goes on is in
``going_on.py``.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from tests.fakes.answers import answer_to, count_tokens, echo, error, last_text, refusal_of, text_of_delta, words
from tests.fakes.choices import mixed_choices, whole_choices
from tests.fakes.endpoints_scenarios import Endpoints, is_endpoint
from tests.fakes.places import error_in, headers_in, model_in
from tests.fakes.typed_answers import typed_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tests.fakes.answers import Answer, Delta
    from tests.fakes.server import Bill, Exchange

_DONE = b"data: [DONE]\n\n"
_DEFAULT_PIECES = 20
_TOKENS_A_PICTURE = 85
_LATE_S = 0.03
_MODELS = ("echo", "see", "slow")


class Scenarios:
    """The server's behaviour; remembers which bodies it has refused once.

    Attributes:
        gate: What "gated" waits for after its first piece.
    """

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self._seen: dict[bytes, int] = {}
        self._endpoints = Endpoints()

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.received.path.partition("?")[0]
        if path.startswith("/moved/"):
            await exchange.reply(307, {}, headers={"location": path.removeprefix("/moved")})
        elif path.startswith("/elsewhere/"):
            await exchange.reply(307, {}, headers={"location": "http://" + path.removeprefix("/elsewhere/")})
        elif path == "/page/v1/models":
            await exchange.reply(200, b"<html>a page</html>", headers={"content-type": "text/html"})
        elif path.endswith("/models"):
            await exchange.reply(200, _models())
        elif is_endpoint(path):
            await self._endpoints.answer(exchange, path)
        elif not path.endswith("/chat/completions"):
            await exchange.reply(404, error(f"Unknown request URL: {path}.", "unknown_url"))
        elif not isinstance(exchange.body.get("messages"), list) or not exchange.body.get("model"):
            await exchange.reply(400, error("you must provide a model parameter and messages"))
        elif not await self._refuse(exchange):
            await self._accept(exchange)

    async def _refuse(self, exchange: Exchange) -> bool:
        """Answer with an error, where the scenario is one; whether it was. Nothing is billed."""
        name, _, argument = exchange.body["model"].partition("@")
        if name == "silent":
            await asyncio.Event().wait()
        if name == "late":
            await asyncio.sleep(float(argument))
        if name == "hang-up":
            exchange.drop()
            return True
        if name.endswith("-then-ok"):
            if self._is_repeated(exchange):
                return False
            await _refuse_once(exchange, name.removesuffix("-then-ok"), argument)
            return True
        key = exchange.received.headers.get("authorization", "").removeprefix("Bearer ")
        is_spent = name == "quota-of" and argument == key
        refusal = refusal_of(exchange.body | ({"model": "quota"} if is_spent else {}), key)
        if refusal is None:
            return False
        await exchange.reply(refusal.status, refusal.body, headers=refusal.headers)
        return True

    def _is_repeated(self, exchange: Exchange) -> bool:
        """Every second request with the same body is."""
        body = exchange.received.raw
        self._seen[body] = self._seen.get(body, 0) + 1
        return self._seen[body] % 2 == 0

    async def _accept(self, exchange: Exchange) -> None:
        """Answer; from here on it is billed."""
        bill = exchange.bill(_input_tokens(exchange.body))
        name, _, argument = exchange.body["model"].partition("@")
        exchange.extra_headers |= headers_in(name, last_text(exchange.body))
        if name == "html":
            page = b"<html><body>a proxy's page</body></html>"
            await exchange.reply(200, page, headers={"content-type": "text/html"})
        elif name == "not-a-completion":
            await exchange.reply(200, {"detail": "x" * 5000})
        elif not exchange.body.get("stream") or name in ("non-stream", "non-stream-untyped"):
            content_type = {"content-type": "text/event-stream"} if name.endswith("untyped") else {}
            await _reply_whole(exchange, bill, headers=content_type)
        else:
            writer = _Writer(exchange, bill)
            await exchange.open()
            if name in _BROKEN:
                count = int(argument) if argument.isdigit() else _DEFAULT_PIECES
                await writer.deltas({"content": piece} for piece in words(count))
                await _BROKEN[name](writer)
            elif (event := typed_event(exchange.body)) is not None:
                await writer.event(event)
                await exchange.end()
            elif name in _ODD:
                await _ODD[name](writer)
            elif name == "gated":
                await writer.deltas([{"content": "before"}])
                await self.gate.wait()
                await writer.deltas([{"content": " after"}])
                await writer.finish("stop")
            else:
                await writer.play(answer_to(exchange.body))


async def _refuse_once(exchange: Exchange, fault: str, argument: str) -> None:
    if fault == "drop":
        exchange.drop()
        return
    name = "retry-after-ms" if fault == "429-ms" else "retry-after"
    status = int(fault.partition("-")[0])
    await exchange.reply(status, error("try again", "rate_limit_exceeded"), headers={name: argument})


class _Writer:
    """Writes the chunks of one stream, and counts what they cost."""

    def __init__(self, exchange: Exchange, bill: Bill) -> None:
        self.exchange = exchange
        self.bill = bill
        self.body = exchange.body
        self._is_usage_asked = bool((exchange.body.get("stream_options") or {}).get("include_usage"))

    def chunk(self, delta: Delta | None, finish_reason: str | None = None) -> dict[str, Any]:
        """A chunk; without choices where there is no delta."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {
            "id": f"chatcmpl-{self.bill.request_id}",
            "object": "chat.completion.chunk",
            "created": 1_790_000_000,
            "model": model_in(self.bill.model, last_text(self.body)) or f"{self.bill.model}-2026",
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
            "choices": [] if delta is None else [choice],
        }

    def usage(self) -> dict[str, Any]:
        """What the request costs so far, as the server reports it."""
        self.bill.is_reported = True
        return _usage(self.bill)

    def encoded(self, delta: Delta) -> bytes:
        """The bytes of a chunk with this delta, which is billed."""
        self.bill.output_tokens += _billed(delta)
        return _encoded(self.chunk(delta))

    def last_events(self, finish_reason: str, *, is_usage_sent: bool = True) -> bytes:
        """What ends a stream: finish reason, usage if it was asked for, end mark."""
        data = _encoded(self.chunk({}, finish_reason))
        if self._is_usage_asked and is_usage_sent:
            data += _encoded(self.chunk(None) | {"usage": self.usage()})
        return data + _DONE

    async def event(self, chunk: dict[str, Any]) -> None:
        """Write one event."""
        await self.exchange.write(_encoded(chunk))

    async def deltas(self, deltas: Iterable[Delta]) -> None:
        """Write a chunk for each delta."""
        for delta in deltas:
            await self.exchange.write(self.encoded(delta))

    async def finish(self, finish_reason: str) -> None:
        """End the answer and the stream."""
        await self.exchange.write(self.last_events(finish_reason))
        await self.exchange.end()

    async def close(self) -> None:
        """End the stream with its mark alone."""
        await self.exchange.write(_DONE)
        await self.exchange.end()

    async def play(self, answer: Answer) -> None:
        """Write a whole answer, at its rate."""
        await self.event(self.chunk({"role": "assistant", "content": "", "refusal": None}))
        start = time.monotonic()
        for number, delta in enumerate(answer.deltas[: answer.stops_after]):
            if answer.rate is not None and (wait_s := start + number / answer.rate - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            await self.exchange.write(self.encoded(delta))
        if answer.stops_after is not None:
            await _never_again(self)
        end = self.last_events(answer.finish_reason, is_usage_sent=answer.is_usage_sent)
        await self.exchange.write(end)
        await self.exchange.end()


# Streams that break after some text


async def _never_again(_: _Writer) -> None:
    await asyncio.Event().wait()


async def _drop(writer: _Writer) -> None:
    await writer.exchange.write(b'data: {"choices"')
    writer.exchange.drop()


async def _drop_after_end(writer: _Writer) -> None:
    await writer.event(writer.chunk({}, "stop"))
    writer.exchange.drop()


async def _truncate(writer: _Writer) -> None:
    await writer.exchange.end()


async def _truncate_in_event(writer: _Writer) -> None:
    await writer.exchange.write(b'data: {"choices": [{"delta": {"content": "ne')
    await writer.exchange.end()


async def _done_without_reason(writer: _Writer) -> None:
    await writer.close()


async def _garbage(writer: _Writer) -> None:
    await writer.exchange.write(b"data: {this is no JSON\n\n")
    await writer.finish("stop")


async def _misshapen(writer: _Writer) -> None:
    await writer.exchange.write(b'data: {"choices": [7]}\n\n')
    await writer.finish("stop")


async def _error_event(writer: _Writer) -> None:
    await writer.event({"error": {"message": "The server had an error", "type": "server_error", "code": None}})
    await writer.exchange.end()


async def _hostile_event(writer: _Writer) -> None:
    await writer.event({"error": error_in(last_text(writer.body))})
    await writer.exchange.end()


async def _context_event(writer: _Writer) -> None:
    await writer.event(error("This model's maximum context length is 8192 tokens.", "context_length_exceeded"))
    await writer.exchange.end()


_BROKEN: dict[str, Callable[[_Writer], Awaitable[None]]] = {
    "stall": _never_again,
    "drop": _drop,
    "drop-after-end": _drop_after_end,
    "truncated": _truncate,
    "truncated-in-event": _truncate_in_event,
    "truncated-done": _done_without_reason,
    "garbage": _garbage,
    "misshapen": _misshapen,
    "error-event": _error_event,
    "in-event": _hostile_event,
    "context-event": _context_event,
}


# Streams that are valid, and unlike others


async def _usage_with_choices(writer: _Writer) -> None:
    for piece in echo(writer.body):
        writer.bill.output_tokens += count_tokens(piece)
        await writer.event(writer.chunk({"content": piece}) | {"usage": writer.usage()})
    await writer.event(writer.chunk({}, "stop") | {"usage": None})
    await writer.close()


async def _empty_chunks(writer: _Writer) -> None:
    for _ in range(25):
        await writer.event(writer.chunk(None))
    await writer.play(answer_to(writer.body))


async def _two_choices(writer: _Writer) -> None:
    chunk = writer.chunk({"content": "first"})
    chunk["choices"].append({"index": 1, "delta": {"content": "second"}, "finish_reason": None})
    await writer.event(chunk)
    await writer.event({**writer.chunk({}), "choices": chunk["choices"][1:]})
    await writer.finish("stop")


async def _choices(writer: _Writer, *, is_broken: bool = False) -> None:
    for choice in mixed_choices(writer.body, is_broken=is_broken):
        writer.bill.output_tokens += count_tokens(choice["delta"].get("content", ""))
        await writer.event(writer.chunk(None) | {"choices": [choice]})
    if is_broken:
        await writer.exchange.end()
        return
    await writer.event(writer.chunk(None) | {"usage": writer.usage()})
    await writer.close()


async def _no_done(writer: _Writer) -> None:
    await writer.deltas({"content": piece} for piece in echo(writer.body))
    await writer.event(writer.chunk({}, "stop"))
    await writer.exchange.end()


async def _late_end(writer: _Writer) -> None:
    await writer.exchange.write(_whole_stream(writer))
    await asyncio.sleep(_LATE_S)
    await writer.exchange.end()


def _rewritten(rewrite: Callable[[bytes], bytes]) -> Callable[[_Writer], Awaitable[None]]:
    """The answer's bytes in one write, in another of the forms the standard allows."""

    async def write(writer: _Writer) -> None:
        await writer.exchange.write(rewrite(_whole_stream(writer)))
        await writer.exchange.end()

    return write


def _whole_stream(writer: _Writer) -> bytes:
    return b"".join(writer.encoded({"content": piece}) for piece in echo(writer.body)) + writer.last_events("stop")


async def _bytewise(writer: _Writer) -> None:
    for byte in _whole_stream(writer):
        await writer.exchange.write(bytes((byte,)))
        await asyncio.sleep(0)
    await writer.exchange.end()


_ODD: dict[str, Callable[[_Writer], Awaitable[None]]] = {
    "dead-slot": _never_again,
    "usage-with-choices": _usage_with_choices,
    "empty-chunks": _empty_chunks,
    "two-choices": _two_choices,
    "choices": _choices,
    "choices-broken": lambda writer: _choices(writer, is_broken=True),
    "no-done": _no_done,
    "late-end": _late_end,
    "bytewise": _bytewise,
    "at-once": _rewritten(lambda data: data),
    "crlf": _rewritten(lambda data: data.replace(b"\n", b"\r\n")),
    "comments": _rewritten(
        lambda data: b": keep-alive\n\n" + data.replace(b"\n\n", b"\n\n: ping\n\nevent: message\nid: 7\n")
    ),
    "multiline": _rewritten(lambda data: data.replace(b', "choices"', b',\ndata: "choices"')),
}


async def _reply_whole(exchange: Exchange, bill: Bill, *, headers: dict[str, str]) -> None:
    """Answer without a stream."""
    answer = answer_to(exchange.body)
    bill.output_tokens = sum(_billed(delta) for delta in answer.deltas)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for delta in answer.deltas:
        for key, value in delta.items():
            if key == "tool_calls":
                for piece in value:
                    _merge_call(message.setdefault(key, []), piece)
            elif value is not None:
                message[key] = value if message.get(key) is None else message[key] + value
    body: dict[str, Any] = {
        "id": f"chatcmpl-{bill.request_id}",
        "object": "chat.completion",
        "model": f"{bill.model}-2026",
        "service_tier": "default",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
    }
    if bill.model == "choices":
        body["choices"] = whole_choices(exchange.body)
        bill.output_tokens = sum(count_tokens(choice["message"]["content"]) for choice in body["choices"])
    if answer.is_usage_sent:
        bill.is_reported = True
        body["usage"] = _usage(bill)
    await exchange.reply(200, body, headers=headers)


def _merge_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    if piece.get("id"):
        calls.append({"id": piece["id"], "type": "function", "function": dict(piece["function"])})
    else:
        calls[-1]["function"]["arguments"] += piece["function"]["arguments"]


def _encoded(chunk: dict[str, Any]) -> bytes:
    try:
        data = json.dumps(chunk, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can say it as an escape
        data = json.dumps(chunk).encode()
    return b"data: " + data + b"\n\n"


def _billed(delta: Delta) -> int:
    """Tokens of one delta: every kind of text in it."""
    texts = [delta.get(key) or "" for key in ("reasoning_content", "reasoning", "refusal")]
    calls = [call["function"] for call in delta.get("tool_calls", ())]
    texts += [call.get("name", "") + str(call["arguments"]) for call in calls]
    return sum(count_tokens(text) for text in (text_of_delta(delta), *texts))


def _input_tokens(body: dict[str, Any]) -> int:
    total = 3
    for item in body["messages"]:
        content = item.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        is_text = [part["type"] == "text" for part in parts]
        total += 4 + _TOKENS_A_PICTURE * is_text.count(False)
        total += sum(count_tokens(part["text"]) for part in parts if part["type"] == "text")
    return total


def _usage(bill: Bill) -> dict[str, Any]:
    return {
        "prompt_tokens": bill.input_tokens,
        "completion_tokens": bill.output_tokens,
        "total_tokens": bill.input_tokens + bill.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _models() -> dict[str, Any]:
    common = {"object": "model", "created": 1_790_000_000, "owned_by": "fake"}
    return {"object": "list", "data": [{"id": name, **common} for name in _MODELS]}
