"""What the fake server answers: one scenario by model name, faults included.

A name is ``SCENARIO`` or ``SCENARIO@ARGUMENT``: ``tokens-10000@500`` writes 10,000 tokens at 500 a second,
``429-then-ok@0.05`` refuses a body once with ``Retry-After: 0.05`` and answers it the second time. Unknown names are
answered as "echo" would be, which repeats the last text of the user.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.fakes.server import Bill, Exchange

Delta: TypeAlias = dict[str, Any]
# Short words: a token is about three bytes, as in the answers that are measured.
_WORDS = (
    "it is on an old map of the sea and so we go by day to see a new sun in my own far off bay at ten".split()
)  # noqa: SIM905
_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
_MEGABYTE = 1_000_000
_SLOW_S = 0.05
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a well-behaved model says.

    Attributes:
        deltas: What the stream's chunks carry, in order.
        finish_reason: Why it ends.
        rate: Deltas a second, None for as fast as possible.
        is_usage_sent: The server can report usage.
    """

    deltas: tuple[Delta, ...]
    finish_reason: str = "stop"
    rate: float | None = None
    is_usage_sent: bool = True


def count_tokens(text: str) -> int:
    """Tokens as this server bills them: words and signs, which is close to what tokenizers find in plain English."""
    return len(_WORD_OR_SIGN.findall(text))


def words(count: int) -> list[str]:
    """A deterministic text in pieces, one a token; a new paragraph after every 60."""
    pieces = []
    for number in range(count):
        word = _WORDS[(number * 7 + number // 13) % len(_WORDS)]
        pieces.append(word if not number else f"\n\n{word}" if number % 60 == 0 else f" {word}")
    return pieces


def expected_text(model: str, prompt: str = "") -> str:
    """The whole text a scenario answers to a prompt (of plain text)."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    return "".join(_text_of_delta(delta) for delta in _answer(body).deltas)


def _text_of_delta(delta: Delta) -> str:
    content = delta.get("content") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _say(*texts: str, **extra: Any) -> Answer:
    return Answer(deltas=tuple({"content": text} for text in texts), **extra)


def _last_user_content(body: dict[str, Any]) -> Any:
    return next((item["content"] for item in reversed(body["messages"]) if item["role"] == "user"), "")


def _echo(body: dict[str, Any]) -> list[str]:
    """The last user text, in pieces of a word."""
    content = _last_user_content(body)
    if not isinstance(content, str):
        content = "".join(part.get("text") or f"[{part['type']}]" for part in content)
    return re.findall(r"\s*\S+|\s+", content)


def _call(index: int | None, **fields: Any) -> Delta:
    call: dict[str, Any] = {"type": "function", **fields}
    return {"tool_calls": [call if index is None else {"index": index, **call}]}


def _tool_deltas(*, has_index: bool) -> tuple[Delta, ...]:
    first, second = (0, 1) if has_index else (None, None)
    return (
        _call(first, id="call_1", function={"name": "add", "arguments": ""}),
        _call(first, function={"arguments": '{"a": 1,'}),
        _call(first, function={"arguments": ' "b": 2}'}),
        _call(second, id="call_2", function={"name": "now", "arguments": "{}"}),
    )


def _looked_at(body: dict[str, Any]) -> Answer:
    """Says what pictures came, in order: their address, or type, size and hash."""
    content = _last_user_content(body)
    seen = []
    for part in content if isinstance(content, list) else []:
        if part["type"] != "image_url":
            continue
        url, detail = part["image_url"]["url"], part["image_url"].get("detail", "auto")
        seen.append(f"{url.partition(',')[0]} {hashlib.sha256(url.encode()).hexdigest()[:8]} {detail}")
    return _say(*(f"{line}\n" for line in seen or ["no picture"]))


def _answer(body: dict[str, Any]) -> Answer:
    """What a model says when it is well."""
    name, _, argument = str(body["model"]).partition("@")
    if match := re.fullmatch(r"tokens-(\d+)", name):
        return _say(*words(int(match[1])), rate=float(argument) if argument else None)
    match name:
        case "slow":
            return _say(*(_echo(body) or ["nothing"]), rate=1 / float(argument or _SLOW_S))
        case "no-usage":
            return _say(*_echo(body), is_usage_sent=False)
        case "empty":
            return Answer(deltas=())
        case "megabyte":
            return _say("m" * _MEGABYTE)
        case "content-list":
            return Answer(
                deltas=tuple({"content": [{"type": "text", "text": piece}]} for piece in _echo(body))
            )
        case "think":
            return _say("<th", "ink>first ", "I think</thi", "nk>", "\n\nthen ", "I say")
        case "think-open":  # as templates that write the opening tag themselves
            return _say("first ", "I think</", "think>", "then I say")
        case "reasoning" | "reasoning-openrouter":
            key = "reasoning_content" if name == "reasoning" else "reasoning"
            thoughts: tuple[Delta, ...] = ({key: "first ", "content": None}, {key: "I think", "content": ""})
            return Answer(deltas=(*thoughts, {"content": "then "}, {"content": "I say"}))
        case "refusal":
            return Answer(deltas=({"refusal": "I cannot "}, {"refusal": "do that."}))
        case "tool-call" | "tool-call-no-index":
            return Answer(deltas=_tool_deltas(has_index=name == "tool-call"), finish_reason="tool_calls")
        case "tool-call-stop":
            return Answer(deltas=_tool_deltas(has_index=True))
        case "length" | "content_filter" | "end_turn" | "eos" | "function_call":
            return _say(*_echo(body), finish_reason=name)
        case "see":
            return _looked_at(body)
        case _:
            return _say(*_echo(body))


class Scenarios:
    """The server's behaviour; remembers which bodies it has refused once.

    Attributes:
        gate: What "gated" waits for after its first piece.
    """

    def __init__(self, at_gate: Callable[[], None]) -> None:
        self.gate = asyncio.Event()
        self._at_gate = at_gate
        self._seen: dict[bytes, int] = {}

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.received.path.partition("?")[0]
        if path.startswith("/moved/"):
            await exchange.reply(307, {}, headers={"location": path.removeprefix("/moved")})
        elif path.endswith("/models"):
            await exchange.reply(200, _models())
        elif not path.endswith("/chat/completions"):
            await exchange.reply(
                404, _error(f"Unknown request URL: {exchange.received.method} {path}.", "unknown_url")
            )
        elif not isinstance(exchange.body.get("messages"), list) or not exchange.body.get("model"):
            await exchange.reply(400, _error("you must provide a model parameter and messages"))
        elif not await self._refuse(exchange):
            await self._accept(exchange)

    # Refusals: nothing is billed

    async def _refuse(self, exchange: Exchange) -> bool:
        """Answer with an error, where the scenario is one; whether it was."""
        name, _, argument = exchange.body["model"].partition("@")
        if name == "silent":
            await asyncio.Event().wait()
        if name == "hang-up":
            exchange.drop()
            return True
        if name.endswith("-then-ok"):
            if self._is_repeated(exchange):
                return False
            await self._refuse_once(exchange, name.removesuffix("-then-ok"), argument)
            return True
        status, body = _refusal(name, argument, exchange)
        if status == 0:
            return False
        headers = {"retry-after": argument} if name == "status-429" else {}
        await exchange.reply(status, body, headers=headers | _REFUSAL_HEADERS.get(name, {}))
        return True

    async def _refuse_once(self, exchange: Exchange, fault: str, argument: str) -> None:
        if fault == "drop":
            exchange.drop()
            return
        name = "retry-after-ms" if fault == "429-ms" else "retry-after"
        status = int(fault.partition("-")[0])
        await exchange.reply(
            status,
            _error("try again", "rate_limit_exceeded" if status == 429 else None),
            headers={name: argument},
        )

    def _is_repeated(self, exchange: Exchange) -> bool:
        """Every second request with the same body is."""
        body = exchange.received.raw
        self._seen[body] = self._seen.get(body, 0) + 1
        return self._seen[body] % 2 == 0

    # Answers: from here on it is billed

    async def _accept(self, exchange: Exchange) -> None:
        bill = exchange.bill(_input_tokens(exchange.body))
        name, _, argument = exchange.body["model"].partition("@")
        if name == "html":
            await exchange.reply(
                200, b"<html><body>a proxy's page</body></html>", headers={"content-type": "text/html"}
            )
        elif name == "not-a-completion":
            await exchange.reply(200, {"detail": "x" * 5000})
        elif not exchange.body.get("stream") or name == "non-stream":
            await _reply_whole(exchange, bill)
        else:
            writer = _Writer(exchange, bill)
            await exchange.open()
            if not await self._misbehave(name, argument, writer):
                await writer.play(_answer(exchange.body))

    async def _misbehave(self, name: str, argument: str, writer: _Writer) -> bool:
        """Stream as no server should, where the scenario is one; whether it was."""
        pieces = words(int(argument) if argument.isdigit() else 20)
        if name in ("stall", "drop", "truncated", "truncated-done", "garbage", "error-event", "gated"):
            await writer.deltas({"content": piece} for piece in pieces)
        match name:
            case "dead-slot" | "stall":
                await asyncio.Event().wait()
            case "drop":
                await writer.exchange.write(b'data: {"choices"')
                writer.exchange.drop()
            case "truncated":
                await writer.exchange.end()
            case "truncated-done":
                await writer.close()
            case "garbage":
                await writer.exchange.write(b"data: {this is no JSON\n\n")
                await writer.finish("stop")
            case "error-event":
                await writer.event(
                    {"error": {"message": "The server had an error", "type": "server_error", "code": None}}
                )
                await writer.exchange.end()
            case "gated":
                self._at_gate()
                await self.gate.wait()
                await writer.deltas([{"content": " after"}])
                await writer.finish("stop")
            case _:
                return await self._oddities(name, writer)
        return True

    async def _oddities(self, name: str, writer: _Writer) -> bool:
        """Stream validly, and unlike others; whether the scenario is one."""
        body = writer.exchange.body
        match name:
            case "usage-with-choices":
                for piece in _echo(body):
                    writer.bill.output_tokens += count_tokens(piece)
                    await writer.event(writer.chunk({"content": piece}) | {"usage": writer.usage()})
                await writer.event(writer.chunk({}, "stop") | {"usage": None})
                await writer.close()
            case "empty-chunks":
                for _ in range(25):
                    await writer.event(writer.chunk(None))
                await writer.play(_answer(body))
            case "two-choices":
                chunk = writer.chunk({"content": "first"})
                chunk["choices"].append({"index": 1, "delta": {"content": "second"}, "finish_reason": None})
                await writer.event(chunk)
                await writer.finish("stop")
            case "comments" | "crlf" | "multiline" | "bytewise":
                await _write_oddly(name, writer, _echo(body))
            case "no-done":  # a finish reason, and no [DONE]
                await writer.deltas({"content": piece} for piece in _echo(body))
                await writer.event(writer.chunk({}, "stop"))
                await writer.exchange.end()
            case _:
                return False
        return True


async def _write_oddly(name: str, writer: _Writer, pieces: list[str]) -> None:
    data = b"".join(writer.encoded({"content": piece}) for piece in pieces) + writer.last_events("stop")
    if name == "crlf":
        await writer.exchange.write(data.replace(b"\n", b"\r\n"))
    elif name == "comments":
        await writer.exchange.write(
            b": keep-alive\n\n" + data.replace(b"\n\n", b"\n\n: ping\n\nevent: message\nid: 7\n")
        )
    elif name == "multiline":
        await writer.exchange.write(data.replace(b', "choices"', b',\ndata: "choices"'))
    else:
        for byte in data:
            await writer.exchange.write(bytes((byte,)))
    await writer.exchange.end()


class _Writer:
    """Writes the chunks of one stream, and counts what they cost."""

    def __init__(self, exchange: Exchange, bill: Bill) -> None:
        self.exchange = exchange
        self.bill = bill
        self._is_usage_asked = bool((exchange.body.get("stream_options") or {}).get("include_usage"))

    def chunk(self, delta: Delta | None, finish_reason: str | None = None) -> dict[str, Any]:
        """A chunk; without choices where there is no delta."""
        choices = (
            []
            if delta is None
            else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        )
        return {
            "id": f"chatcmpl-{self.bill.request_id}",
            "object": "chat.completion.chunk",
            "created": 1_790_000_000,
            "model": f"{self.bill.model}-2026",
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
            "choices": choices,
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
        for number, delta in enumerate(answer.deltas):
            if answer.rate is not None and (wait_s := start + number / answer.rate - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            await self.exchange.write(self.encoded(delta))
        await self.exchange.write(self.last_events(answer.finish_reason, is_usage_sent=answer.is_usage_sent))
        await self.exchange.end()


async def _reply_whole(exchange: Exchange, bill: Bill) -> None:
    """Answer without a stream."""
    answer = _answer(exchange.body)
    bill.output_tokens = sum(_billed(delta) for delta in answer.deltas)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for delta in answer.deltas:
        for key, value in delta.items():
            if key == "tool_calls":
                _merge_call(message.setdefault(key, []), value[0])
            elif value is not None:
                message[key] = value if message.get(key) is None else message[key] + value
    body: dict[str, Any] = {
        "id": f"chatcmpl-{bill.request_id}",
        "object": "chat.completion",
        "model": f"{bill.model}-2026",
        "service_tier": "default",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
    }
    if answer.is_usage_sent:
        bill.is_reported = True
        body["usage"] = _usage(bill)
    await exchange.reply(200, body)


def _merge_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    if piece.get("id"):
        calls.append({"id": piece["id"], "type": "function", "function": dict(piece["function"])})
    else:
        calls[-1]["function"]["arguments"] += piece["function"]["arguments"]


def _encoded(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"


def _billed(delta: Delta) -> int:
    """Tokens of one delta: every kind of text in it."""
    texts = [delta.get(key) or "" for key in ("reasoning_content", "reasoning", "refusal")]
    texts += [
        call["function"].get("name", "") + call["function"]["arguments"]
        for call in delta.get("tool_calls", ())
    ]
    return sum(count_tokens(text) for text in (_text_of_delta(delta), *texts))


def _input_tokens(body: dict[str, Any]) -> int:
    total = 3
    for item in body["messages"]:
        content = item.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        total += 4 + sum(count_tokens(part["text"]) if part["type"] == "text" else 85 for part in parts)
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
    rows = [
        {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "fake"}
        for name in ("echo", "see", "slow")
    ]
    return {"object": "list", "data": rows}


_REFUSAL_HEADERS = {
    "no-retry-500": {"x-should-retry": "false"},
    "quota": {"retry-after": "1"},
}


def _error(
    message: str, code: str | None = None, *, kind: str = "invalid_request_error", param: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _refusal(name: str, argument: str, exchange: Exchange) -> tuple[int, object]:
    """Status and body of a scenario's error; status 0 where it is none."""
    body = exchange.body
    if match := re.fullmatch(r"status-(\d{3})", name):
        return int(match[1]), _status_body(int(match[1]), exchange)
    match name:
        case "quota":
            text = "You exceeded your current quota, please check your plan and billing details."
            return 429, _error(text, "insufficient_quota", kind="insufficient_quota")
        case "context":
            text = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
            return 400, _error(text, "context_length_exceeded", param="messages")
        case "context-llama":
            return 400, {
                "error": {
                    "code": 400,
                    "message": "request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it",
                    "type": "exceed_context_size_error",
                    "n_ctx": 8192,
                }
            }
        case "no-image" if "image_url" in json.dumps(body["messages"]):
            return 400, _error(
                "Invalid content type. image_url is only supported by certain models.", param="messages"
            )
        case "no-retry-500":
            return 500, _error("no use", kind="server_error")
        case "refuses-stream-options" if "stream_options" in body:
            if argument == "422":
                detail = [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "stream_options"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
                return 422, {"detail": detail}
            return 400, _error(
                "Unknown parameter: 'stream_options'.", "unknown_parameter", param="stream_options"
            )
        case "refuses-temperature" if "temperature" in body:
            text = "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported."
            return 400, _error(text, "unsupported_value", param="temperature")
        case "wants-max-tokens" if "max_completion_tokens" in body:
            return 400, _error("Unrecognized request argument supplied: max_completion_tokens")
        case "wants-max-completion-tokens" if "max_tokens" in body:
            text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return 400, _error(text, "unsupported_parameter", param="max_tokens")
        case _:
            return 0, None


def _status_body(status: int, exchange: Exchange) -> object:
    key = exchange.received.headers.get("authorization", "").removeprefix("Bearer ")
    match status:
        case 401:
            return _error(
                f"Incorrect API key provided: {key}. You can find yours in the dashboard.", "invalid_api_key"
            )
        case 403:
            return _error("You do not have access to this project.", "permission_denied")
        case 404:
            return _error(
                f"The model `{exchange.body['model']}` does not exist or you do not have access to it.",
                "model_not_found",
            )
        case 429:
            return _error("Rate limit reached for requests", "rate_limit_exceeded", kind="requests")
        case 502 | 503 | 504:
            return b"<html><head><title>Bad Gateway</title></head><body>\n<h1>Bad Gateway</h1></body></html>"
        case _ if status >= 500:
            return _error("The server had an error while processing your request", kind="server_error")
        case _:
            return _error(f"refused with {status}")
