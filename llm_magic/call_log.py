"""What is asked of servers, as it happens: events for callbacks, for the log, and as a table.

Three events a request: it is sent, its answer begins to arrive, it is over. They tell of sizes, tokens, times and ends;
what was said is in them only for callbacks that ask for it, and never in the log ``llm_magic.calls``.
"""

from __future__ import annotations

import collections
import functools
import json
import logging
import threading
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .frames import typed_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from .backends.base import Request
    from .content import Message
    from .frames import Columns
    from .turns import Turn, TurnBuilder

Kind: TypeAlias = Literal["started", "streaming", "ended"]
# What is looked at afterwards is what went wrong last; the ledger has every request.
KEPT_EVENTS = 300
COLUMNS: Columns = {
    "at": "time",
    "kind": "text",
    "conversation": "text",
    "turn_id": "text",
    "round": "count",
    "backend": "text",
    "model": "text",
    "n_messages": "count",
    "n_tools": "count",
    "status": "text",
    "finish_reason": "text",
    "input_tokens": "count",
    "output_tokens": "count",
    "cost_usd": "number",
    "ttft_s": "number",
    "latency_s": "number",
    "request_id": "text",
}
log = logging.getLogger("llm_magic")
lines = logging.getLogger("llm_magic.calls")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """One moment of one request.

    Attributes:
        kind: started: it is about to be sent; streaming: the first piece of its answer is here; ended.
        at: When, UTC.
        conversation: Name of the conversation.
        turn_id: The turn it belongs to.
        round: Which request of the turn, from 1.
        backend: Name of the backend.
        model: The model asked for; once it has ended, the one that answered.
        n_messages: Messages sent. Count.
        n_tools: Tools handed over. Count.
        status: complete, interrupted, truncated or failed, once it has ended.
        finish_reason: Why the answer ended, once it has.
        input_tokens: Tokens sent, once it has ended. Count.
        output_tokens: Tokens answered, once it has ended. Count.
        cost_usd: Price in US dollars, once it has ended and one is known.
        ttft_s: From sending to the first piece, in seconds.
        latency_s: From sending to the end, in seconds.
        request_id: The server's id of the request.
        messages: What was sent; None unless content was asked for.
        answer: What came; None unless content was asked for.
        error: Why it is not whole, one line. A server's words may quote the prompt: None unless content was asked for.
    """

    kind: Kind
    at: datetime
    conversation: str
    turn_id: str
    round: int
    backend: str
    model: str
    n_messages: int
    n_tools: int = 0
    status: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    ttft_s: float | None = None
    latency_s: float | None = None
    request_id: str | None = None
    messages: tuple[Message, ...] | None = None
    answer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listener:
    function: Callable[[CallEvent], object]
    has_content: bool


class CallLog:
    """The events of one session's requests. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[_Listener, ...] = ()
        self._events: collections.deque[CallEvent] = collections.deque(maxlen=KEPT_EVENTS)

    def listen(self, function: Callable[[CallEvent], object], *, content: bool = False) -> Callable[[], object]:
        """Have a function called with every event.

        Args:
            function: Called on the engine's thread, where it keeps all answers waiting: it must not block. One that
                raises is written to the log ``llm_magic`` and called no more.
            content: With what was sent and answered.

        Returns:
            Ends it. Harmless when repeated.
        """
        listener = _Listener(function=function, has_content=content)
        with self._lock:
            self._listeners = (*self._listeners, listener)
        return functools.partial(self._remove, listener)

    def to_frame(self) -> pd.DataFrame:
        """The last 300 events, one row each, without what was said; columns and dtypes as ``COLUMNS``."""
        with self._lock:
            events = tuple(self._events)
        return typed_frame(COLUMNS, [{name: getattr(event, name) for name in COLUMNS} for event in events])

    def note(self, event: CallEvent) -> None:
        """Tell of an event, whose content is left out where it was not asked for."""
        bare = replace(event, messages=None, answer=None, error=None)
        with self._lock:
            self._events.append(bare)
            listeners = self._listeners
        if lines.isEnabledFor(logging.INFO):
            lines.info("%s", _line(bare))
        for listener in listeners:
            try:
                listener.function(event if listener.has_content else bare)
            except Exception:
                log.exception("a listener of calls is dropped")
                self._remove(listener)

    def _remove(self, listener: _Listener) -> None:
        with self._lock:
            self._listeners = tuple(one for one in self._listeners if one is not listener)


class CallNotes:
    """Notes the requests of one turn.

    Args:
        log: Where to.
        base: The turn as far as it is known before its answer.
        conversation: Name of its conversation.
    """

    def __init__(self, log: CallLog, base: Turn, conversation: str) -> None:
        self._log = log
        self._base = base
        self._conversation = conversation
        self._sent: list[Request] = []
        self._is_streaming = False
        self._n_ended = 0

    def sent(self, request: Request) -> None:
        """The next request is about to be sent."""
        self._sent.append(request)
        self._is_streaming = False
        self._log.note(self._event("started", len(self._sent)))

    def check(self, _request: Request, builder: TurnBuilder) -> None:
        """Look at an answer after each of its events."""
        if not self._is_streaming and builder.ttft_s is not None:
            self._is_streaming = True
            self._log.note(replace(self._event("streaming", len(self._sent)), ttft_s=builder.ttft_s))

    def ended(self, turn: Turn) -> None:
        """The next request that has not ended has, with what came of it alone; one that was never sent is no call."""
        self._n_ended += 1
        if self._n_ended > len(self._sent):
            return
        event = self._event("ended", self._n_ended)
        self._log.note(
            replace(
                event,
                model=turn.model or event.model,
                status=turn.status,
                finish_reason=turn.finish_reason,
                input_tokens=turn.usage.input_tokens,
                output_tokens=turn.usage.output_tokens,
                cost_usd=turn.cost_usd,
                ttft_s=turn.ttft_s,
                latency_s=turn.latency_s,
                request_id=turn.request_id,
                answer=turn.text,
                error=turn.error,
            )
        )

    def _event(self, kind: Kind, number: int) -> CallEvent:
        request = self._sent[number - 1]
        return CallEvent(
            kind=kind,
            at=datetime.now(UTC),
            conversation=self._conversation,
            turn_id=self._base.id,
            round=number,
            backend=self._base.backend,
            model=request.model,
            n_messages=len(request.messages),
            n_tools=len(request.tools),
            messages=request.messages,
        )


def _line(event: CallEvent) -> str:
    """An event as one line of JSON, without what is not known."""
    values: dict[str, Any] = {name: value for name, value in asdict(event).items() if value is not None}
    return json.dumps(values | {"at": event.at.isoformat()})
