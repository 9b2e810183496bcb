"""A server's reply → events: streams and completions in one piece, whole, broken, stalled or of another kind.

In: a response whose headers have come. Out: events, neighbouring text of one network read joined. What
arrived before a fault is yielded before its error is raised. The response is closed by the caller.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from ..events import UsageReport
from . import failures
from .chunks import ChunkReader
from .pump import Pump
from .sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ..errors import BackendError
    from ..events import Event
    from ..providers.profile import TextCalls

_SHOWN_BYTES = 2000
# How long to wait for the connection's end after the answer's: then it can be used again.
_DRAIN_S = 0.2


async def read_reply(
    response: Any,
    asked: failures.Asked,
    *,
    stall_s: float,
    begins_thinking: bool = False,
    stop_tokens: tuple[str, ...] = (),
    text_calls: TextCalls = "none",
    n: int = 1,
) -> AsyncGenerator[Event, None]:
    """The events of a reply.

    Args:
        response: Has ``aiter_bytes()``.
        asked: Who was asked for what.
        stall_s: How long to wait between two reads, in seconds.
        begins_thinking: The model is known to begin inside a thought.
        stop_tokens: The model's own, taken off the end.
        text_calls: In whose form tool calls may stand in the text.
        n: How many answers were asked for. Count.

    Raises:
        BackendError: The reply broke off, stalled, holds an error, or is no answer.
    """
    reader = ChunkReader(begins_thinking=begins_thinking, stop_tokens=stop_tokens, text_calls=text_calls, n=n)
    reply = _Reply(reader, asked)
    async with Pump(response.aiter_bytes()) as pump:
        while not reply.is_over:
            await reply.read_on(pump, stall_s=stall_s)
            for event in reader.take():
                yield event
        completed = reader.finish() if reply.error is None else None
        for event in reader.take():
            yield event
        if reader.usage is not None:
            yield UsageReport(usage=reader.usage)
        if reply.error is not None:
            raise reply.error
        assert completed is not None
        yield completed
        await _drain(pump)


def _caused(error: BackendError, cause: Exception) -> BackendError:
    """The error with its cause, to be raised later: first comes what arrived before it."""
    error.__cause__ = cause
    return error


async def _drain(pump: Pump) -> None:
    # The answer is whole: whatever goes wrong now only costs the connection.
    with contextlib.suppress(Exception):
        while await pump.read(timeout_s=_DRAIN_S):
            pass


class _Reply:
    """Finds chunks in a reply's bytes, be it a stream of events or one completion.

    Attributes:
        is_over: There is nothing more to read.
        error: What is wrong with the reply, None while nothing is.
    """

    def __init__(self, reader: ChunkReader, asked: failures.Asked) -> None:
        self.is_over = False
        self.error: BackendError | None = None
        self._reader = reader
        self._asked = asked
        self._splitter = EventSplitter()
        self._head = bytearray()
        self._is_stream: bool | None = None
        self._has_end_mark = False

    async def read_on(self, pump: Pump, *, stall_s: float) -> None:
        """Read what has come."""
        try:
            read = await pump.read(timeout_s=stall_s)
        except Exception as exc:  # noqa: BLE001  # of whatever transport: the connection is lost
            self.is_over = True
            if self._reader.finish_reason is None:  # else the answer had ended: it is whole
                is_stalled = isinstance(exc, TimeoutError)
                lost = failures.stalled(stall_s, self._asked) if is_stalled else failures.broken(exc, self._asked)
                self.error = _caused(lost, exc)
            return
        if read is None:
            self.is_over = True
            self.error = self._end()
        else:
            self.error = self._feed(read)
            self.is_over |= self.error is not None

    def _feed(self, read: bytes) -> BackendError | None:
        if self._is_stream is None:
            # A JSON object or a page where a stream should be: servers are not sure of their content types.
            self._head += read
            start = bytes(self._head.lstrip()[:1])
            if not start:
                return None
            self._is_stream = start not in (b"{", b"[", b"<")
            read = bytes(self._head)
        elif not self._is_stream:
            self._head += read
        return self._read_items(self._splitter.feed(read)) if self._is_stream else None

    def _end(self) -> BackendError | None:
        if not self._is_stream:
            return self._read_completion()
        if (error := self._read_items(self._splitter.finish())) is not None:
            # The last event was cut off in its middle: an end without an end mark, not garbage.
            return failures.unfinished(self._asked) if error.__cause__ is not None else error
        is_whole = self._has_end_mark or self._reader.finish_reason is not None
        return None if is_whole else failures.unfinished(self._asked)

    def _read_items(self, items: list[bytes]) -> BackendError | None:
        for item in items:
            if item.strip() == b"[DONE]":
                self.is_over = self._has_end_mark = True
                return None
            try:
                chunk = json.loads(item.decode("utf-8", "replace"))
                if chunk.get("error"):
                    return failures.reported(chunk["error"], self._asked)
                self._reader.read(chunk)
            except (ValueError, TypeError, AttributeError, LookupError) as exc:
                # Not JSON, or JSON of no form that a chunk can have.
                shown = item[:_SHOWN_BYTES].decode("utf-8", "replace")
                return _caused(failures.garbled(shown, self._asked), exc)
        return None

    def _read_completion(self) -> BackendError | None:
        data = bytes(self._head)
        shown = data[:_SHOWN_BYTES].decode("utf-8", "replace")
        try:
            completion = json.loads(data)
            if completion.get("error"):
                return failures.reported(completion["error"], self._asked)
            choice = completion["choices"][0]
            if not isinstance(choice.get("message"), dict) and not isinstance(choice.get("text"), str):
                return failures.no_completion(shown, self._asked)
            self._reader.read(completion)
        except (ValueError, TypeError, AttributeError, LookupError) as exc:
            return _caused(failures.no_completion(shown, self._asked), exc)
        return None
