"""A loopback server that speaks Chat Completions, and misbehaves where the model's name asks it to.

:class:`FakeServer` runs it in a thread of this process; ``python -m tests.fakes.server`` as a process of its
own: it prints ``{"url": …}`` on one line and ends when stdin closes. What each model name does is in
``scenarios.py``. Every request is recorded with the moment its client went away, and what it is billed; other
processes read both at ``GET /_records``. Times are ``time.monotonic()``, which is one clock for all processes
of a machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.fakes.answers import expected_text
from tests.fakes.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PHRASES = {200: "OK", 307: "Temporary Redirect", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
_END_TIMEOUT_S = 60.0


@dataclass(slots=True, kw_only=True)
class Received:
    """One request, filled in while it is answered.

    Attributes:
        number: Counted from 1.
        method: GET or POST.
        path: As sent, query included.
        headers: By lower-case name.
        raw: The body's bytes.
        body: The body, parsed; None where it is no JSON.
        at: When it had arrived, monotonic seconds.
        peer: The client's end of the connection.
        status: What was answered, None while nothing was.
        finished_at: When the answer was sent whole, None where it was not.
        disconnected_at: When the client went away before that, None where it did not.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: Any
    at: float
    peer: str = ""
    status: int | None = None
    finished_at: float | None = None
    disconnected_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Answered, or left by its client."""
        return self.finished_at is not None or self.disconnected_at is not None


@dataclass(slots=True, kw_only=True)
class Bill:
    """What one accepted request costs, growing while its answer is written.

    Attributes:
        request_id: As sent in ``x-request-id``.
        model: The model asked for.
        input_tokens: Tokens of its messages. Count.
        output_tokens: Tokens written so far. Count.
        is_reported: A usage report was written.
    """

    request_id: str
    model: str
    input_tokens: int
    output_tokens: int = 0
    is_reported: bool = False


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and the way its answer takes; what scenarios write to."""

    received: Received
    writer: asyncio.StreamWriter
    bills: list[Bill]
    request_id: str
    is_open: bool = False
    is_dropped: bool = False
    extra_headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON object."""
        return self.received.body if isinstance(self.received.body, dict) else {}

    def bill(self, input_tokens: int) -> Bill:
        """Begin to bill the request."""
        bill = Bill(request_id=self.request_id, model=self.body["model"], input_tokens=input_tokens)
        self.bills.append(bill)
        return bill

    async def reply(self, status: int, body: object, *, headers: Mapping[str, str] | None = None) -> None:
        """Answer in one piece: a JSON value, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._head(
            status,
            {"content-type": "application/json", "content-length": str(len(data))} | dict(headers or {}),
        )
        self.writer.write(data)
        await self.writer.drain()

    async def open(self, content_type: str = "text/event-stream; charset=utf-8") -> None:
        """Send the head of a stream."""
        self._head(200, {"content-type": content_type, "transfer-encoding": "chunked", "cache-control": "no-cache"})
        self.is_open = True
        await self.writer.drain()

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream in one write."""
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def end(self) -> None:
        """End the stream as HTTP wants it."""
        self.writer.write(b"0\r\n\r\n")
        self.is_open = False
        await self.writer.drain()

    def drop(self) -> None:
        """Cut the connection."""
        self.is_dropped = True
        self.writer.transport.abort()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.received.status = status
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Status')}"]
        headers = {"x-request-id": self.request_id, **headers, **self.extra_headers}
        lines += [f"{name}: {value}" for name, value in headers.items() if value]
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")


class FakeServer:
    """The server, in a thread of its own; a context manager.

    Attributes:
        url: The base URL, "http://127.0.0.1:PORT/v1".
        requests: Every request so far.
        billed: What the accepted ones cost.
    """

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.billed: list[Bill] = []
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._scenarios = Scenarios()
        self._thread = threading.Thread(target=self._run, name="fake server", daemon=True)
        self._listening = threading.Event()
        self._stopping = asyncio.Event()
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._listening.wait(_END_TIMEOUT_S):
            raise TimeoutError("the fake server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_END_TIMEOUT_S)
        self._loop.close()

    @property
    def open_connections(self) -> int:
        """Connections that no client has closed, and the server has not either. Count."""
        return len(self._tasks)

    def text_of(self, model: str, prompt: str = "") -> str:
        """The whole answer of a model to a prompt."""
        return expected_text(model, prompt)

    def open_gate(self) -> None:
        """Let the answers of the model "gated" go on past their first piece."""
        self._loop.call_soon_threadsafe(self._scenarios.gate.set)

    def wait_until(self, holds: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """Wait until something about the records holds.

        Raises:
            TimeoutError: It did not in time.
        """
        end = time.monotonic() + timeout_s
        with self._changed:
            while not holds():
                # Bills grow without a notice: one for every token would cost more than the tokens.
                self._changed.wait(0.01)
                if time.monotonic() > end:
                    raise TimeoutError(f"not so within {timeout_s:g} s; requests: {len(self.requests)}")

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 26)
        self._port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the server ends
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer the connection's next request; False where the connection is over."""
        received = await self._receive(reader)
        if received.path == "/_records":
            records = {
                "requests": [_json_able(item) for item in self.requests],
                "billed": [asdict(b) for b in self.billed],
            }
            exchange = Exchange(received=received, writer=writer, bills=[], request_id="")
            await exchange.reply(200, records)
            return True
        received.number = len(self.requests) + 1
        received.peer = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        self.requests.append(received)
        exchange = Exchange(
            received=received, writer=writer, bills=self.billed, request_id=f"req_{received.number:04d}"
        )
        self._notify()
        answering = asyncio.ensure_future(self._scenarios.answer(exchange))
        # No client sends its next request before this answer ends: any byte read here is the end of the
        # connection.
        leaving = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() or (answering.done() and isinstance(answering.exception(), ConnectionError)):
                received.disconnected_at = time.monotonic()
                return False
            answering.result()
            received.finished_at = time.monotonic()
            return not exchange.is_dropped
        finally:
            for pending in (answering, leaving):
                pending.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
            self._notify()

    async def _receive(self, reader: asyncio.StreamReader) -> Received:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        body = None
        with contextlib.suppress(ValueError):
            body = json.loads(raw)
        return Received(number=0, method=method, path=path, headers=headers, raw=raw, body=body, at=time.monotonic())


def _json_able(received: Received) -> dict[str, Any]:
    record = asdict(received)
    record["raw"] = len(received.raw)
    record["is_over"] = received.is_over
    return record


def main() -> None:
    """Serve until stdin closes."""
    with FakeServer() as server:
        print(json.dumps({"url": server.url}), flush=True)
        while sys.stdin.buffer.read(4096):
            pass


if __name__ == "__main__":
    main()
