"""What a backend yields while a model answers: a closed union of frozen values.

A stream is any number of deltas, at most one :class:`UsageReport`, and exactly one :class:`Completed`, which
is its last event; a stream that breaks raises a ``BackendError`` instead of completing. Before it, the session may tell
that it has to wait; after it, how tools run, and that a further request of the same turn begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .content import ToolCall, ToolResult
    from .counts import Usage
    from .permission import Question

ToolState: TypeAlias = Literal["asking", "running", "done", "failed", "denied"]
Reason: TypeAlias = Literal["tools", "repair", "fallback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """More text of the answer; never empty. Neighbouring deltas may arrive joined.

    Attributes:
        text: The piece.
        snapshot: The answer's text so far, this piece included, where ``Conversation.stream()`` or ``astream()`` gives
            the event. None elsewhere: a backend does not fill it in.
    """

    text: str
    snapshot: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """More of what the model thinks aloud; never part of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalDelta:
    """More text of a refusal, which the protocol keeps apart from the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of one tool call.

    Attributes:
        index: Which call of this answer the piece belongs to, counted from 0 in order of appearance.
        id: The call's id, "" where this piece brings none.
        name: The function's name, "" where this piece brings none.
        arguments: More of the JSON text of the arguments.
        signature: The call's signature, "" where this piece brings none.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogprobsDelta:
    """Log probabilities of further answer tokens, as the server sent them (token, logprob, bytes, top_logprobs)."""

    tokens: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """What the server bills for the request."""

    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """The request failed before its first byte and is tried again.

    Attributes:
        attempt: The retry about to be made, from 1.
        max_retries: How many there may be.
        wait_s: Pause before it, in seconds.
        reason: Why, in a few words ("rate limited", "server error 500").
    """

    attempt: int
    max_retries: int
    wait_s: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The request is not sent yet: it has to wait for another. Told by the session, not by a backend.

    Attributes:
        reason: For what, in a few words ("another answer of this conversation is under way").
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The wait is over, the request is sent. Told after :class:`Waiting` only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the user should read once beside the answer ("the local model was restarted")."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The server accepted the request: from here on it bills, and nothing is retried.

    Attributes:
        request_id: The server's id of the request, None where it sent none.
        retries: Retries that went before. Count.
        is_cached: Nobody was asked: the answer is a former one, kept here.
        organization: The organization billed, where the backend has several; None where it has not.
    """

    request_id: str | None = None
    retries: int = 0
    is_cached: bool = False
    organization: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The answer is whole.

    Attributes:
        finish_reason: stop, length, tool_calls, content_filter, or "unknown" where the server did not say.
        model: The model that answered, as the server names it; None where it does not.
        service_tier: The tier the server billed, None where it does not say.
    """

    finish_reason: str
    model: str | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress:
    """Where one tool call of the answer stands. Told by the session, once for each state.

    A call goes from asking (where the user has to allow it) to running and ends as done, failed (it raised, took too
    long, is unknown, its arguments do not fit) or denied.

    Attributes:
        number: Which call of this turn, counted from 0 over all rounds.
        round: In which request's answer it was made, from 1.
        call: The call, whole.
        state: Where it stands.
        where: Where the function is defined ("cell 3, line 4", "statistics.py, line 20"); "" where unknown.
        question: While asking: how to answer. Whoever shows it answers; see ``Ask.is_attended``.
        result: Once ended: what the model is told.
    """

    number: int
    round: int
    call: ToolCall
    state: ToolState
    where: str = ""
    question: Question | None = None
    result: ToolResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRound:
    """The turn needs a further request: deltas from here on belong to that one. Told by the session.

    Attributes:
        number: Which request, from 2.
        reason: tools: results go back to the model; repair: a typed answer did not fit and is asked for anew, what was
            shown of it is void; fallback: the server refused the form of the request, it is asked in another.
        text: One line for the user, "" where there is nothing to say.
    """

    number: int
    reason: Reason
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAnswer:
    """Part of a further answer of the same request, where several were asked for (``n`` > 1).

    Attributes:
        index: Which answer, from 1; that of all other events is the first, 0.
        event: What came of it; the last one of a whole answer is its own :class:`Completed`.
    """

    index: int
    event: Event


Event: TypeAlias = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallDelta
    | LogprobsDelta
    | UsageReport
    | Retrying
    | Waiting
    | Sending
    | Notice
    | Opened
    | ToolProgress
    | NextRound
    | OtherAnswer
    | Completed
)
