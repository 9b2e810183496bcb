"""How the fake server answers what is not chat: embeddings, old completions, pictures, speech, transcription.

What it says follows from what it got, so that a test can tell. A model's name is ``SCENARIO`` or ``SCENARIO@ARGUMENT``,
as in ``scenarios.py``: ``429-then-ok@0.05``, ``500``, ``broken-json``, ``error-in-reply``, ``wrong-count``,
``no-usage``, ``late@0.05``, ``silent``, ``missing`` (the server has no such endpoint), and some for one endpoint each.
Unknown names behave.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import io
import json
import struct
from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.fakes.answers import count_tokens, error

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.server import Exchange

JSON = dict[str, Any]
_DIMENSIONS = 4
_LONGEST_S = 600.0


def vector(text: str, dimensions: int = _DIMENSIONS) -> list[float]:
    """What a text is embedded as: no two of a test's texts alike."""
    numbers = [float(len(text)), float(ord(text[0])), float(ord(text[-1])), 0.5]
    return (numbers * dimensions)[:dimensions]


def is_endpoint(path: str) -> bool:
    """It is one of these."""
    return any(path.endswith(end) for end in _ENDPOINTS) and not path.endswith("/chat/completions")


class Endpoints:
    """Answers; remembers which endpoints have refused once."""

    def __init__(self) -> None:
        self._refused: set[str] = set()

    async def answer(self, exchange: Exchange, path: str) -> None:
        """Answer one request."""
        fields = form_of(exchange)
        name, _, argument = str(fields.get("model", "")).partition("@")
        if name == "late":
            await asyncio.sleep(float(argument))
        if name == "silent":
            await asyncio.sleep(_LONGEST_S)
        elif name == "missing":
            await exchange.reply(404, b"<html>Not Found</html>", headers={"content-type": "text/html"})
        elif name == "500":
            await exchange.reply(500, error("The server had an error"))
        elif name == "429-then-ok" and path not in self._refused:
            self._refused.add(path)
            await exchange.reply(429, error("Slow down", "rate_limit_exceeded"), headers={"retry-after": argument})
        elif name == "broken-json":
            await exchange.reply(200, b'{"data": [')
        elif name == "error-in-reply":
            await exchange.reply(200, {"error": {"message": "The model is overloaded", "type": "server_error"}})
        else:
            make = next(make for end, make in _ENDPOINTS.items() if path.endswith(end))
            answer = make(fields, name)
            await (_stream(exchange, answer) if fields.get("stream") else _reply(exchange, answer))


def form_of(exchange: Exchange) -> JSON:
    """The fields of a request, of JSON or of a form; a file is (name, bytes, media type), several are a list."""
    kind = exchange.received.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return dict(exchange.body)
    head = f"content-type: {kind}\r\n\r\n".encode()
    message = email.message_from_bytes(head + exchange.received.raw, policy=email.policy.HTTP)
    fields: JSON = {}
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename() is None:
            fields[name] = data.decode()
        else:
            fields.setdefault(name, []).append((part.get_filename(), data, part.get_content_type()))
    return fields


async def _stream(exchange: Exchange, answer: JSON | bytes) -> None:
    """One completion word by word, as servers stream what is not chat."""
    assert isinstance(answer, dict)
    *words, last = answer["choices"][0]["text"].split(" ")
    await exchange.open()
    for text, reason in [*((f"{word} ", None) for word in words), (last, "stop")]:
        chunk = {**answer, "usage": None, "choices": [{"index": 0, "text": text, "finish_reason": reason}]}
        await exchange.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await exchange.write(f"data: {json.dumps(answer | {'choices': []})}\n\ndata: [DONE]\n\n".encode())
    await exchange.end()


async def _reply(exchange: Exchange, answer: JSON | bytes) -> None:
    if isinstance(answer, bytes):
        await exchange.reply(200, answer, headers={"content-type": "audio/mpeg"})
    else:
        status = answer.pop("status", 200)
        await exchange.reply(status, answer)


def _embeddings(fields: JSON, name: str) -> JSON | bytes:
    texts = [fields["input"]] if isinstance(fields["input"], str) else fields["input"]
    if not all(texts):
        return error("'$.input' is invalid", "invalid_request_error") | {"status": 400}
    is_base64 = fields.get("encoding_format") == "base64"
    if name == "no-base64" and is_base64:
        return error("Unrecognized request argument: encoding_format") | {"status": 400}
    rows = []
    for number, text in enumerate(texts):
        numbers = vector(text, fields.get("dimensions", _DIMENSIONS))
        packed = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
        embedding = packed if is_base64 and name != "floats" else numbers
        rows.append({"object": "embedding", "index": number, "embedding": embedding})
    if name == "reversed":
        rows.reverse()
    if name == "wrong-count":
        rows.pop()
    if name == "twice":
        rows[-1]["index"] = 0
    tokens = sum(count_tokens(text) for text in texts)
    return _with_usage({"object": "list", "data": rows}, name, {"prompt_tokens": tokens, "total_tokens": tokens})


def _completions(fields: JSON, name: str) -> JSON | bytes:
    prompt = fields["prompt"]
    is_one = isinstance(prompt, str) or isinstance(prompt[0], int)
    prompts = [prompt] if is_one else prompt
    n = fields.get("n", 1)
    choices = []
    for number, one in enumerate(prompts):
        said = one if isinstance(one, str) else " ".join(map(str, one))
        for copy in range(n):
            text = (said if fields.get("echo") else "") + f" … and so on ({copy})"
            choices.append({"index": number * n + copy, "text": text, "finish_reason": "length", "logprobs": None})
    if fields.get("logprobs"):
        choices[0]["logprobs"] = {"tokens": [" …"], "token_logprobs": [-0.5], "top_logprobs": [{}], "text_offset": [0]}
    if fields.get("prompt_logprobs"):
        choices[0]["prompt_logprobs"] = [None, {"7": {"logprob": -0.25}}]
    if name == "reversed":
        choices.reverse()
    if name == "wrong-count":
        choices.pop()
    sent = sum(count_tokens(one) if isinstance(one, str) else len(one) for one in prompts)
    usage = {"prompt_tokens": sent, "completion_tokens": 7 * len(choices), "total_tokens": sent + 7 * len(choices)}
    body = {"id": "cmpl-1", "object": "text_completion", "created": 1_790_000_000, "choices": choices}
    return _with_usage(body, name, usage)


def _images(fields: JSON, name: str) -> JSON | bytes:
    width, height = map(int, str(fields.get("size", "8x8")).split("x"))
    colour: Any = (255, 0, 0)
    files = fields.get("image", []) + fields.get("image[]", []) if "image" in fields or "image[]" in fields else []
    if files:
        with Image.open(io.BytesIO(files[0][1])) as given:
            colour = given.convert("RGB").getpixel((0, 0))
    drawn = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(drawn, "PNG")
    row = {"b64_json": base64.b64encode(drawn.getvalue()).decode()}
    if name.startswith("url"):
        row = {"url": f"http://127.0.0.1:{name.partition('-')[2] or 9}/picture.png"}
    if name == "no-picture":
        row = {"b64_json": base64.b64encode(b"this is no picture").decode()}
    rows = [row] * (int(fields.get("n", 1)) - (name == "wrong-count"))
    usage = {"input_tokens": 9, "output_tokens": 272, "total_tokens": 281, "input_tokens_details": {"text_tokens": 9}}
    return _with_usage({"created": 1_790_000_000, "data": rows}, name, usage)


def _speech(fields: JSON, name: str) -> JSON | bytes:
    if name == "json":
        return {"detail": "no sound today"}
    if name == "empty":
        return b""
    return f"{fields['response_format']}:{fields['voice']}:{fields['input']}".encode()


def _transcriptions(fields: JSON, name: str) -> JSON | bytes:
    ((filename, data, media_type),) = fields["file"]
    body: JSON = {"text": f"{filename}, {media_type}, {len(data)} bytes, {fields.get('language')}"}
    if fields.get("response_format") == "verbose_json":
        body |= {"language": "english", "duration": 1.5, "segments": [{"id": 0, "start": 0.0, "end": 1.5}]}
    if name == "seconds":
        return body | {"usage": {"type": "duration", "seconds": 3}}
    if name == "no-text":
        return {"segments": []}
    details = {"text_tokens": 0, "audio_tokens": 14}
    usage = {"type": "tokens", "input_tokens": 14, "input_token_details": details, "output_tokens": 5}
    return _with_usage(body, name, usage | {"total_tokens": 19})


def _with_usage(body: JSON, name: str, usage: JSON) -> JSON:
    return body | ({} if name == "no-usage" else {"usage": usage, "model": f"{name}-2026"})


_ENDPOINTS: dict[str, Callable[[JSON, str], JSON | bytes]] = {
    "/embeddings": _embeddings,
    "/images/generations": _images,
    "/images/edits": _images,
    "/audio/speech": _speech,
    "/audio/transcriptions": _transcriptions,
    "/completions": _completions,
}
