"""A connection: a request that is sent until it is accepted, whatever it asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.base import Timeouts
from llm_magic.backends.connection import Call, Connection
from llm_magic.backends.posting import Posted, post
from llm_magic.errors import BackendTimeoutError, StreamInterruptedError

if TYPE_CHECKING:
    from tests.fakes.server import FakeServer

PATH = "/chat/completions"


def connection(server: FakeServer, **more: Any) -> Connection:
    """To the fake server."""
    options = more.pop("options", {})
    return Connection(base_url=server.url, environ={}, options=options, **more)


def body(model: str) -> dict[str, Any]:
    """A question in the protocol's form, to be answered in one piece."""
    return {"model": model, "messages": [{"role": "user", "content": "hello there, world"}]}


def sent(to: Connection, call: Call) -> Posted:
    """Send one request: its reply."""

    async def run() -> Posted:
        try:
            return await post(to, call)
        finally:
            await to.aclose()

    return asyncio.run(run())


def test_send_retries_until_it_is_accepted(fake_server: FakeServer) -> None:
    """Each retry is counted; the same body is sent again."""
    reply = sent(connection(fake_server), Call(path=PATH, body=body("429-then-ok@0.01")))

    assert reply.json("an answer")["choices"][0]["message"]["content"] == "hello there, world"
    assert reply.retries == 1
    assert fake_server.requests[0].raw == fake_server.requests[1].raw


def test_send_takes_a_form_with_files(fake_server: FakeServer) -> None:
    """Fields and files as a form, at whatever path."""
    call = Call(
        path="/audio/transcriptions",
        body={"model": "whisper-1", "timestamp_granularities": ["word", "segment"]},
        files=(("file", ("talk.wav", b"RIFF\x00\xff", "audio/wav")),),
        max_retries=0,
    )

    sent(connection(fake_server), call)

    received = fake_server.requests[-1]
    assert received.path == "/v1/audio/transcriptions"
    assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="talk.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\x00\xff\r\n' in received.raw
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in received.raw
    assert received.raw.count(b'name="timestamp_granularities[]"') == 2


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [("stall", BackendTimeoutError, "stalled after 0.2 s"), ("drop", StreamInterruptedError, "broke off")],
)
def test_a_whole_reply_that_breaks_is_an_error(
    fake_server: FakeServer, model: str, error: type[Exception], words: str
) -> None:
    """In our words, as for a stream."""
    call = Call(path=PATH, body=body(model) | {"stream": True}, timeouts=Timeouts(first_byte_s=10, stall_s=0.2))

    with pytest.raises(error, match=words):
        sent(connection(fake_server), call)
