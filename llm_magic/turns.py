"""One ask and its answer: the frozen Turn, and the TurnBuilder that folds a stream of events into one.

What comes in: the events of a backend. What goes out: a Turn, whole or partial. Nothing here sends, shows or
stores anything.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, assert_never

from .content import Message, TextPart, ToolCall, ToolResult, message, text_of
from .counts import Usage
from .events import (
    Completed,
    Event,
    LogprobsDelta,
    NextRound,
    Notice,
    Opened,
    OtherAnswer,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolCallDelta,
    ToolProgress,
    UsageReport,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .content import Part
    from .events import Reason

Status: TypeAlias = Literal["complete", "interrupted", "truncated", "failed"]


def new_id() -> str:
    """An identifier for a turn, slot or conversation: 12 hex digits, unlike any other in practice."""
    return secrets.token_hex(6)


def chained(seen: str, turn_id: str) -> str:
    """The digest of a row of turns with one more at its end, see ``Turn.seen``: 16 hex digits.

    A list would grow with the square of the conversation: every turn lists all turns before it.
    """
    return hashlib.blake2b(f"{seen} {turn_id}".encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of a turn before its last: what came, and what was answered to it.

    Attributes:
        reason: Why another request followed: tools, repair or fallback; see ``events.NextRound``.
        text: What the model said, exactly as it came.
        reasoning: What it thought aloud.
        tool_calls: Functions it wanted called.
        results: What became of them, in the same order.
        error: Why the answer could not stand, one line; None where tools were called.
        finish_reason: stop, length, tool_calls, content_filter, unknown; None where the request was refused.
        model: The model that answered, None where none did.
        usage: Tokens of this request.
        cost_usd: Price in US dollars, None where no price is known.
        request_id: The server's id of the request.
        latency_s: From sending to the end of the answer, in seconds; running tools not included.
        ttft_s: From sending to the first piece of the answer, in seconds; None where none came.
        retries: Retries before the first byte. Count.
    """

    reason: Reason
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    error: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    request_id: str | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    retries: int = 0

    def messages(self) -> tuple[Message, ...]:
        """The step as context: nothing but calls of tools and their results is sent again.

        A tool's message takes text only: pictures follow in one message of the user's.
        """
        if self.reason != "tools":
            return ()
        said = Message(
            role="assistant",
            parts=message("assistant", self.text).parts,
            tool_calls=self.tool_calls,
            reasoning=self.reasoning,
        )
        told = [
            Message(
                role="tool",
                parts=tuple(part for part in result.parts if isinstance(part, TextPart)),
                tool_call_id=result.call_id,
            )
            for result in self.results
        ]
        shown = [part for result in self.results for part in _shown(result)]
        return (said, *told, *([Message(role="user", parts=tuple(shown))] if shown else []))


def _shown(result: ToolResult) -> tuple[Part, ...]:
    """What of a result a tool's message cannot hold, with its origin before it."""
    parts = tuple(part for part in result.parts if not isinstance(part, TextPart))
    return (TextPart(text=f"From the tool {result.name}:"), *parts) if parts else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One version of one ask: what was asked, what came back, what it cost.

    Attributes:
        id: Unique, 12 hex digits.
        prompt: The messages asked, usually one of the user; evaluated, never a template.
        text: The answer, exactly as it came, reasoning and refusal apart.
        status: complete; interrupted by the user; truncated (the stream ended without its end); failed.
        reasoning: What the model thought aloud.
        refusal: The refusal, where the model refused.
        tool_calls: Functions the last request's answer wanted called; nobody has.
        steps: The requests before the last, in order: rounds of tools, tries that could not stand.
        tool_names: Names of the tools that were handed over.
        logprobs: Per answer token what the server sent (token, logprob, bytes, top_logprobs); None if not asked.
        finish_reason: stop, length, tool_calls, content_filter, unknown; None where the answer is not whole.
        error: Why it is not complete, or does not fit the type that was asked for, one line; None where it is whole.
        usage: Tokens of all its requests.
        cost_usd: Price of all its requests in US dollars, None where one of them has no known price.
        backend: Name of the backend.
        requested_model: The model asked for.
        model: The model that answered, None where none did.
        service_tier: The tier the server billed, None where it does not say.
        request_id: The server's id of the request.
        at: When it was asked, UTC.
        latency_s: From asking to the end, in seconds.
        ttft_s: From asking to the first piece of the answer, in seconds; None where none came.
        retries: Retries before the first byte. Count.
        system: The system prompt that was sent, None where none was.
        settings: Request parameters that were sent, by their OpenAI name.
        seen: Digest of the ids of the turns that were sent as context, in order; "" where none was.
        is_fresh: Asked without the conversation before it, whatever that holds.
        cell_id: Hashed identity of the cell that asked, None where there is none.
        continues: Id of the version whose text this one goes on from and holds, None where it stands alone.
        notices: Lines shown beside the answer.
        is_cached: The answer is a former one, kept here: it cost nothing.
        others: Further answers of the same request (``n`` > 1), on the turn that has just been answered; kept, they are
            versions beside it, and here are none.
        organization: Billed for it, None where that is not said; in the store, in no file of a conversation.
    """

    id: str
    prompt: tuple[Message, ...]
    text: str = ""
    status: Status = "complete"
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    steps: tuple[Step, ...] = ()
    tool_names: tuple[str, ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] | None = None
    finish_reason: str | None = None
    error: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    backend: str = ""
    requested_model: str = ""
    model: str | None = None
    service_tier: str | None = None
    request_id: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    latency_s: float | None = None
    ttft_s: float | None = None
    retries: int = 0
    system: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seen: str = ""
    is_fresh: bool = False
    cell_id: str | None = None
    continues: str | None = None
    notices: tuple[str, ...] = ()
    is_cached: bool = False
    others: tuple[Turn, ...] = field(default=(), compare=False)
    organization: str | None = field(default=None, compare=False)

    @property
    def is_partial(self) -> bool:
        """The answer is not whole."""
        return self.status != "complete"

    @property
    def is_sendable(self) -> bool:
        """The turn can be context of later asks: it did not fail, and it has something to say."""
        return self.status != "failed" and bool(self.text or self.refusal)

    @property
    def prompt_text(self) -> str:
        """Text of the prompt, other parts left out."""
        return "\n".join(text_of(item.parts) for item in self.prompt)

    def messages(self) -> tuple[Message, ...]:
        """The turn as context: the prompt, the rounds of tools, the answer. Reasoning is not sent again."""
        rounds = (item for step in self.steps for item in step.messages())
        return (*self.prompt, *rounds, message("assistant", self.text or self.refusal))


class TurnBuilder:
    """Folds the events of one stream into one Turn.

    Args:
        base: The turn as far as it is known before the first event; its id, prompt, model … are kept. The text,
            reasoning and log probabilities of a turn that goes on with another are those it goes on from.
        clock: Seconds, monotonic; the only thing tests replace.

    Attributes:
        left_out: Text the model produced that is not part of the answer: what it repeated, or said after a stop string.
        output_bytes: How much the model produced: what :attr:`output_text` holds, as UTF-8.
    """

    def __init__(self, base: Turn, *, clock: Any = time.monotonic) -> None:
        self._base = base
        self._clock = clock
        self._start = clock()
        self._text: list[str] = [base.text] if base.text else []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._logprobs: list[Mapping[str, Any]] = []
        self._notices: list[str] = list(base.notices)
        self._ttft_s: float | None = None
        self._opened: Opened | None = None
        self._retries = 0
        self.left_out = ""
        self.output_bytes = 0
        self.usage: Usage | None = None
        self.completed: Completed | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        return self._text[0] if self._text else ""

    @property
    def output_text(self) -> str:
        """All text this request produced so far: answer, reasoning, refusal, arguments of calls."""
        calls = (piece for call in self._calls.values() for piece in call[1:3])
        return "".join([*self._reasoning, self.left_out, self._new_text, *self._refusal, *calls])

    @property
    def _new_text(self) -> str:
        return self.text[len(self._base.text) :]

    @property
    def ttft_s(self) -> float | None:
        """From the beginning to the first piece of the answer, in seconds; None while none has come."""
        return self._ttft_s

    @property
    def is_cached(self) -> bool:
        """The answer is a former one."""
        return self._opened is not None and self._opened.is_cached

    @property
    def is_opened(self) -> bool:
        """The server accepted the request, so it bills."""
        return self._opened is not None

    def add(self, event: Event) -> None:  # noqa: C901  # one case for each member of a closed union
        """Take the next event."""
        match event:
            case TextDelta(text=text):
                self._first(text)
                self._text.append(text)
            case ReasoningDelta(text=text):
                self._first(text)
                self._reasoning.append(text)
            case RefusalDelta(text=text):
                self._first(text)
                self._refusal.append(text)
            case ToolCallDelta():
                self._first(event.name + event.arguments)
                call = self._calls.setdefault(event.index, ["", "", "", ""])
                call[0] = call[0] or event.id
                call[1] += event.name
                call[2] += event.arguments
                call[3] = event.signature or call[3]
            case LogprobsDelta(tokens=tokens):
                self._logprobs.extend(tokens)
            case UsageReport(usage=usage):
                self.usage = usage
            case Retrying(attempt=attempt):
                self._retries = attempt
            case Notice(text=text):
                self._notices.append(text)
            case Opened():
                self._opened = event
                self._retries = max(self._retries, event.retries)
            case Completed():
                self.completed = event
            case Waiting() | Sending() | ToolProgress() | NextRound() | OtherAnswer():
                pass
            case _:
                assert_never(event)

    def cut(self, left_out: str) -> None:
        """End the text before the end of what the model produced.

        Args:
            left_out: What it produced more. Log probabilities are of all tokens or none: they are not kept.
        """
        self.left_out += left_out
        self.output_bytes += _size(left_out)
        self._logprobs.clear()

    def build(
        self,
        *,
        status: Status | None = None,
        error: str | None = None,
        request_id: str | None = None,
        usage: Usage | None = None,
        cost_usd: float | None = None,
    ) -> Turn:
        """The turn as it stands.

        Args:
            status: How it ended; None means complete if the stream completed, else truncated.
            error: One line that says why it is not complete.
            request_id: The server's id, where only the error knows it.
            usage: Tokens to record where the server reported none.
            cost_usd: Price of ``usage``.
        """
        base = self._base
        done = self.completed
        if status is None:
            status = "complete" if done else "truncated"
        text, refusal = self.text, "".join(self._refusal)
        if status in ("interrupted", "truncated") and not (self._new_text or refusal or self._calls):
            status = "failed" if status == "truncated" else status
            # One that goes on with another and brings nothing must not take its place.
            text = ""
        return replace(
            base,
            text=text,
            status=status,
            reasoning="\n\n".join(filter(None, (base.reasoning, "".join(self._reasoning)))),
            refusal=refusal,
            tool_calls=tuple(
                ToolCall(id=call[0], name=call[1], arguments=call[2], signature=call[3])
                for _, call in sorted(self._calls.items())
            ),
            logprobs=self._all_logprobs(),
            finish_reason=done.finish_reason if done else None,
            error=error,
            usage=self.usage or usage or Usage(),
            cost_usd=cost_usd,
            model=done.model if done else None,
            service_tier=done.service_tier if done else None,
            request_id=request_id or (self._opened.request_id if self._opened else None),
            latency_s=self._clock() - self._start,
            ttft_s=self._ttft_s,
            retries=self._retries,
            notices=tuple(self._notices),
            is_cached=self.is_cached,
            organization=self._opened.organization if self._opened else None,
        )

    def _all_logprobs(self) -> tuple[Mapping[str, Any], ...] | None:
        """Those of all tokens or none: a part of them would be taken for the whole."""
        before, new = self._base.logprobs or (), tuple(self._logprobs)
        if self._base.text and (not before or bool(new) != bool(self._new_text)):
            return None
        return (*before, *new) or None

    def _first(self, text: str) -> None:
        self.output_bytes += _size(text)
        if self._ttft_s is None:
            self._ttft_s = self._clock() - self._start


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
