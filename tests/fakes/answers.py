"""What the fake server's models say, and how they refuse: values, by the model's name. Nothing here is sent."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.fakes.going_on import goes_on, is_asked_to
from tests.fakes.places import deltas_in, finish_in, refusal_in
from tests.fakes.tool_calls import called
from tests.fakes.typed_answers import typed_answer, typed_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Delta: TypeAlias = dict[str, Any]
JSON: TypeAlias = dict[str, Any]
# Short words: a token is about three bytes, as in the answers that are measured.
_TEXT = "it is on an old map of the sea and so we go by day to see a new sun in my own far off bay at ten"
_WORDS = tuple(_TEXT.split())
_WORDS_A_PARAGRAPH = 60
_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")
_MEGABYTE = 1_000_000
_SLOW_S = 0.05
_FINISH_REASONS = ("length", "content_filter", "end_turn", "eos", "function_call")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a well-behaved model says.

    Attributes:
        deltas: What the stream's chunks carry, in order.
        finish_reason: Why it ends.
        rate: Deltas a second, None for as fast as possible.
        is_usage_sent: The server can report usage.
        stops_after: How many deltas are sent before nothing more comes; None for all.
    """

    deltas: tuple[Delta, ...]
    finish_reason: str = "stop"
    rate: float | None = None
    is_usage_sent: bool = True
    stops_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error instead of an answer.

    Attributes:
        status: HTTP status.
        body: JSON, or bytes as they are.
        headers: Sent beside the usual ones.
    """

    status: int
    body: Any
    headers: Mapping[str, str]


def count_tokens(text: str) -> int:
    """Tokens as this server bills them: words and signs, near to what tokenizers find in plain English."""
    return len(_WORD_OR_SIGN.findall(text))


def words(count: int) -> list[str]:
    """A deterministic text in pieces, one a token; a new paragraph after every 60."""
    pieces, state = [], 1
    for number in range(count):
        state = (state * 1_103_515_245 + 12_345) % 2**31
        word = _WORDS[(state >> 16) % len(_WORDS)]
        before = "" if not number else " " if number % _WORDS_A_PARAGRAPH else "\n\n"
        pieces.append(before + word)
    return pieces


def expected_text(model: str, prompt: str = "") -> str:
    """The whole text a model answers to a prompt (of plain text)."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    return "".join(text_of_delta(delta) for delta in answer_to(body).deltas)


def text_of_delta(delta: Delta) -> str:
    """The text in a delta, in either of its forms."""
    content = delta.get("content") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def answer_to(body: JSON) -> Answer:
    """What a model says when it is well; one without an entry repeats the user's last text."""
    name, _, argument = str(body["model"]).partition("@")
    if match := re.fullmatch(r"tokens-(\d+)", name):
        return _say(*words(int(match[1])), rate=float(argument) if argument else None)
    if name.startswith("goes-on-"):
        count, _, after = argument.partition("/")
        said = goes_on(name.removeprefix("goes-on-"), "".join(words(int(count))), body["messages"])
        return _say(*pieces_of(said), stops_after=int(after) if after and not is_asked_to(body["messages"]) else None)
    if name.startswith("calls-"):
        manner = name.removeprefix("calls-")
        return Answer(**called(manner, body["messages"], last_text(body), shards_of=shards_of))
    if (typed := typed_answer(body)) is not None:
        return Answer(deltas=typed[0], finish_reason=typed[1])
    if name in _FINISH_REASONS:
        return _say(*echo(body), finish_reason=name)
    if name.startswith("in-"):
        deltas, asked = deltas_in(name, last_text(body)), last_text(body)
        return Answer(deltas=deltas or (), finish_reason=finish_in(name, asked))
    make = _ANSWERS.get(name)
    return make(body, argument) if make else _say(*echo(body))


def echo(body: JSON) -> list[str]:
    """The user's last text, in pieces of a word."""
    return pieces_of(last_text(body))


def pieces_of(text: str) -> list[str]:
    """A text in pieces of a word."""
    return re.findall(r"\s*\S+|\s+", text)


def shards_of(text: str) -> list[str]:
    """A text in pieces of one to nine characters, cut anywhere."""
    ends = itertools.accumulate((number * number % 9 + 1 for number in range(len(text))), initial=0)
    return [piece for at, end in itertools.pairwise(ends) if (piece := text[at:end])]


def _say(*texts: str, **extra: Any) -> Answer:
    return Answer(deltas=tuple({"content": text} for text in texts), **extra)


def _last_user_content(body: JSON) -> Any:
    return next((item["content"] for item in reversed(body["messages"]) if item["role"] == "user"), "")


def last_text(body: JSON) -> str:
    """The user's last text; what is no text by its kind."""
    content = _last_user_content(body)
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or f"[{part['type']}]" for part in content)


def _looked_at(body: JSON) -> Answer:
    """Says what pictures came, in order: media type, hash of the address, detail."""
    content, seen = _last_user_content(body), []
    for part in content if isinstance(content, list) else []:
        if part["type"] == "image_url":
            url, detail = part["image_url"]["url"], part["image_url"].get("detail", "auto")
            seen.append(f"{url.partition(',')[0]} {hashlib.sha256(url.encode()).hexdigest()[:8]} {detail}\n")
    return _say(*seen or ["no picture\n"])


def _parts(body: JSON) -> Answer:
    return Answer(deltas=tuple({"content": [{"type": "text", "text": piece}]} for piece in echo(body)))


def _reasoning(key: str) -> Answer:
    thoughts: tuple[Delta, ...] = ({key: "first ", "content": None}, {key: "I think", "content": ""})
    return Answer(deltas=(*thoughts, {"content": "then "}, {"content": "I say"}))


def _ponder(body: JSON, count: str) -> Answer:
    """Thinks for long before it repeats what it was asked; a hundred thoughts a second."""
    thoughts = tuple({"reasoning_content": piece} for piece in words(int(count or 20_000)))
    return Answer(deltas=(*thoughts, *({"content": piece} for piece in echo(body))), rate=100)


def _calls(*, has_index: bool = True, finish_reason: str = "tool_calls") -> Answer:
    pieces: tuple[tuple[int, JSON], ...] = (
        (0, {"id": "call_1", "function": {"name": "add", "arguments": ""}}),
        (0, {"function": {"arguments": '{"a": 1,'}}),
        (0, {"function": {"arguments": ' "b": 2}'}}),
        (1, {"id": "call_2", "function": {"name": "now", "arguments": "{}"}}),
    )
    calls = ({"index": index, "type": "function", **piece} for index, piece in pieces)
    return Answer(
        deltas=tuple(
            {"tool_calls": [call if has_index else {k: v for k, v in call.items() if k != "index"}]} for call in calls
        ),
        finish_reason=finish_reason,
    )


def _calls_as_told(body: JSON) -> Answer:
    """Calls what the prompt lists as JSON, ``[[name, arguments], …]``; then says what came of it."""
    answered = itertools.takewhile(lambda message: message["role"] != "user", reversed(body["messages"]))
    results = [message["content"] for message in answered if message["role"] == "tool"][::-1]
    if results:
        return _say(*pieces_of(f"I have: {'; '.join(results)}"))
    written = [
        (name, arguments if isinstance(arguments, str) else json.dumps(arguments))
        for name, arguments in json.loads(last_text(body))
    ]
    begun = [
        {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        for index, (name, _) in enumerate(written)
    ]
    pieces = [
        {"index": index, "function": {"arguments": piece}}
        for index, (_, arguments) in enumerate(written)
        for piece in shards_of(arguments)
    ]
    said: Delta = {"content": "Let me look."}
    return Answer(deltas=(said, *({"tool_calls": [piece]} for piece in [*begun, *pieces])), finish_reason="tool_calls")


_ANSWERS: Mapping[str, Callable[[JSON, str], Answer]] = {
    "slow": lambda body, pause_s: _say(*echo(body), rate=1 / float(pause_s or _SLOW_S)),
    "shards": lambda body, pause_s: _say(*shards_of(last_text(body)), rate=1 / float(pause_s or _SLOW_S)),
    "letters": lambda body, rate: _say(*last_text(body), rate=float(rate)),
    "no-usage": lambda body, _: _say(*echo(body), is_usage_sent=False),
    "empty": lambda _body, _: Answer(deltas=()),
    "megabyte": lambda _body, _: _say("m" * _MEGABYTE),
    "content-list": lambda body, _: _parts(body),
    "think": lambda _body, _: _say("<th", "ink>first ", "I think</thi", "nk>", "\n\nthen ", "I say"),
    # As templates do that write the opening tag themselves; the model's name says so.
    "deepseek-r1": lambda _body, _: _say("first ", "I think</", "think>", "then I say"),
    "reasoning": lambda _body, _: _reasoning("reasoning_content"),
    "ponder": _ponder,
    "reasoning-openrouter": lambda _body, _: _reasoning("reasoning"),
    "refusal": lambda _body, _: Answer(deltas=({"refusal": "I cannot "}, {"refusal": "do that."})),
    "tool-call": lambda _body, _: _calls(),
    "tool-call-no-index": lambda _body, _: _calls(has_index=False),
    "tool-call-stop": lambda _body, _: _calls(finish_reason="stop"),
    "calls": lambda body, _: _calls_as_told(body),
    "see": lambda body, _: _looked_at(body),
}


def error(
    message: str, code: str | None = None, *, kind: str = "invalid_request_error", param: str | None = None
) -> JSON:
    """An error's body as OpenAI sends it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refusal_of(body: JSON, key: str) -> Refusal | None:
    """The error a model answers a request with; None where it answers."""
    name, _, argument = str(body["model"]).partition("@")
    if match := re.fullmatch(r"status-(\d{3})", name):
        status = int(match[1])
        headers = {"retry-after": argument} if argument else {}
        return Refusal(status=status, body=_status_body(status, body, key), headers=headers)
    if refused := refusal_in(name, last_text(body)):
        return Refusal(status=refused[0], body=refused[1], headers=refused[2])
    if typed := typed_refusal(body):
        return Refusal(status=typed[0], body=typed[1], headers={})
    make = _REFUSALS.get(name)
    made = make(body, argument) if make else None
    if made is None:
        return None
    status, answer, *headers_sent = made
    return Refusal(status=status, body=answer, headers=headers_sent[0] if headers_sent else {})


def _status_body(status: int, body: JSON, key: str) -> Any:
    if status in (502, 503, 504):
        return b"<html><head><title>Bad Gateway</title></head><body>\n<h1>Bad Gateway</h1></body></html>"
    texts: Mapping[int, tuple[str, str]] = {
        401: (f"Incorrect API key provided: {key}. You can find yours in the dashboard.", "invalid_api_key"),
        403: ("You do not have access to this project.", "permission_denied"),
        404: (f"The model `{body['model']}` does not exist or you do not have access to it.", "model_not_found"),
        429: ("Rate limit reached for requests", "rate_limit_exceeded"),
        500: ("The server had an error while processing your request", "server_error"),
    }
    message, code = texts.get(status, (f"refused with {status}", ""))
    return error(message, code or None)


def _context(limit: int = 8192) -> JSON:
    text = f"This model's maximum context length is {limit} tokens. However, your messages resulted in 9001 tokens."
    return error(text, "context_length_exceeded", param="messages")


def _context_of_llama(limit: int = 8192) -> JSON:
    text = f"request (9001 tokens) exceeds the available context size ({limit} tokens), try increasing it"
    return {"error": {"code": 400, "message": text, "type": "exceed_context_size_error", "n_ctx": limit}}


def _refuses_stream_options(body: JSON, argument: str) -> tuple[Any, ...] | None:
    if "stream_options" not in body:
        return None
    if argument == "422":
        detail = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
        return 422, {"detail": [detail]}
    if argument == "unnamed":
        return 400, error("Extra inputs are not permitted")
    return 400, error("Unknown parameter: 'stream_options'.", "unknown_parameter", param="stream_options")


def _refuses(name: str, code: str, message: str) -> Callable[[JSON, str], tuple[Any, ...] | None]:
    """Refuses a parameter wherever it is sent."""
    return lambda body, _: (400, error(message, code, param=name)) if name in body else None


_REFUSALS: Mapping[str, Callable[[JSON, str], tuple[Any, ...] | None]] = {
    "quota": lambda _body, _: (
        429,
        error(
            "You exceeded your current quota, please check your plan.", "insufficient_quota", kind="insufficient_quota"
        ),
        {"retry-after": "1"},
    ),
    "context": lambda _body, _: (400, _context()),
    "context-llama": lambda _body, _: (400, _context_of_llama()),
    "no-image": lambda body, _: (
        (400, error("Invalid content type. image_url is only supported by certain models."))
        if "image_url" in json.dumps(body["messages"])
        else None
    ),
    "no-retry-500": lambda _body, _: (500, error("no use", kind="server_error"), {"x-should-retry": "false"}),
    "refuses-stream-options": _refuses_stream_options,
    "refuses-temperature": _refuses(
        "temperature",
        "unsupported_value",
        "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is.",
    ),
    "wants-max-tokens": _refuses(
        "max_completion_tokens", "", "Unrecognized request argument supplied: max_completion_tokens"
    ),
    "wants-max-completion-tokens": _refuses(
        "max_tokens",
        "unsupported_parameter",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
    # Refuses both, each for the other: whoever believes it asks for ever.
    "wants-no-limit": lambda body, _: next(
        (
            (400, error(f"Unsupported parameter: '{mine}' is not supported. Use '{other}' instead."))
            for mine, other in itertools.permutations(("max_tokens", "max_completion_tokens"))
            if mine in body
        ),
        None,
    ),
}
