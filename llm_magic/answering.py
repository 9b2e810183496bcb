"""Answering: one planned ask, from its first request to the turn it becomes. On the engine's loop only.

Comes in: a :class:`~llm_magic.asks.Plan`, and a function that shows events. Goes out: an :class:`Answer`. Whether a
further request follows on one that is over is decided by strategies: ``calling.py`` is one. Who asks, and where the
turn is kept, is the session's.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .errors import BackendError, BackendTimeoutError, LLMMagicError, SchemaError
from .events import NextRound, Notice
from .rounds import Round
from .turns import Step, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .asks import Plan
    from .backends.base import Request
    from .content import Message, ToolResult
    from .events import Event, Reason
    from .rounds import Check, Places
    from .turns import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One request of a turn, over.

    Attributes:
        number: Which request, from 1.
        request: What was sent.
        messages: What a request begins with that follows on it: what was sent, without the partial answer it goes on
            with.
        turn: What came of this request alone, as the turn it would be if it were the only one.
        error: Why the answer is not whole; None where it is.
    """

    number: int
    request: Request
    messages: tuple[Message, ...]
    turn: Turn
    error: LLMMagicError | None = None

    def step(self, reason: Reason, *, results: tuple[ToolResult, ...] = (), error: str | None = None) -> Step:
        """What is kept of it where another request follows."""
        turn = self.turn
        return Step(
            reason=reason,
            text=turn.text,
            reasoning=turn.reasoning,
            tool_calls=turn.tool_calls,
            results=results,
            error=error or (self.error.message if self.error else None),
            finish_reason=turn.finish_reason,
            model=turn.model,
            usage=turn.usage,
            cost_usd=turn.cost_usd,
            request_id=turn.request_id,
            latency_s=turn.latency_s,
            ttft_s=turn.ttft_s,
            retries=turn.retries,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What a turn sends next.

    Attributes:
        request: The request.
        step: What is kept of the one before it.
        text: One line for the user, "" where there is nothing to say.
    """

    request: Request
    step: Step
    text: str = ""


class Strategy(Protocol):
    """Decides what follows on a request that is over. Made for one turn: it may remember."""

    async def after(self, said: Said, tell: Callable[[Event], None]) -> Next | None:
        """What is sent next; None leaves it to the next strategy, and ends the turn where there is none.

        Cancelled where the user interrupts, or the time of the turn is over.

        Args:
            said: The request that is over; also one that was refused or broke off, whose error stands if nothing
                follows.
            tell: Shows an event; a :class:`~llm_magic.events.Notice` is kept with the turn.

        Raises:
            LLMMagicError: The turn ends with this error.
        """

    def cut(self, said: Said) -> Step | None:
        """What is kept of the request where :meth:`after` was cancelled; None where nothing of it has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How an ask ended.

    Attributes:
        turn: What is to be kept.
        rounds: What came of each of its requests alone, in order; at least one.
        error: Why it is not whole; None where it is, or where the user stopped it.
    """

    turn: Turn
    rounds: tuple[Turn, ...]
    error: LLMMagicError | None = None


NoteRound: TypeAlias = "Callable[[Turn, int], None]"
NoteSent: TypeAlias = "Callable[[Request], None]"
# Called before a request is sent: gives it back as it is to be sent, or raises an LLMMagicError.
Admit: TypeAlias = "Callable[[Request, Callable[[Event], None]], Request]"


class Answering:
    """One ask being answered.

    Args:
        plan: What is asked of whom.
        emit: Shows an event.
        places: Where its requests wait for their turn.
        strategies: Decide, in this order, whether another request follows.
        checks: Look at every event; see :data:`~llm_magic.rounds.Check`.
        note_sent: Told of each request that is about to be sent.
        note_round: Told of each request that is over and on which another follows, with its number.
        admit: Looks at every request before it is sent.
        patience: The time the turn may take.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        emit: Callable[[Event], None],
        places: Places,
        strategies: Sequence[Strategy] = (),
        checks: Sequence[Check] = (),
        note_sent: NoteSent | None = None,
        note_round: NoteRound | None = None,
        admit: Admit | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._plan = plan
        self._emit = emit
        self._places = places
        self._strategies = strategies
        self._checks = checks
        self._note_sent = note_sent
        self._note_round = note_round
        self._admit = admit
        self._start = time.monotonic()
        self._notices = list(plan.base.notices)
        self._steps = list(plan.base.steps)
        self._over: list[Turn] = []
        self._ttft_s: float | None = None
        self._round = Round(plan, plan.request, replace(plan.base, notices=()), continues=plan.ask.continues)
        # The request that is over while it is decided what follows on it, and who decides.
        self._said: Said | None = None
        self._deciding: Strategy | None = None
        self._patience = patience or Patience()

    async def answer(self, *, has_waited: bool = False) -> Answer:
        """Ask, to the end. An answer that is cancelled has ended: the cancellation is taken back.

        Args:
            has_waited: The user was told of a wait whose end is still to be told.
        """
        timeout_s = self._plan.ask.timeout_s
        status: Status | None = None
        error: LLMMagicError | None = None
        try:
            async with asyncio.timeout(timeout_s) as limit:
                self._patience.limit = limit
                await self._ask(has_waited=has_waited)
        except asyncio.CancelledError:
            uncancel()
            status = "interrupted"
        except TimeoutError as exc:
            error = BackendTimeoutError(f"No whole answer within {timeout_s} s.", is_billable=True)
            error.__cause__ = exc
        except LLMMagicError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001  # a mistake of ours between two requests must not lose the turn; shown below
            error = LLMMagicError(f"The turn could not go on: {type(exc).__name__}: {exc}")
            error.__cause__ = exc
        return self.ended(status=status, error=error)

    async def _ask(self, *, has_waited: bool) -> None:
        while True:
            error = await self._send(has_waited=has_waited)
            following = await self._following(error)
            if following is None:
                if error is not None:
                    raise error
                return
            self._go_on(following)
            has_waited = False

    async def _send(self, *, has_waited: bool) -> LLMMagicError | None:
        """Send the request and take its answer, to its end; what it failed with, None where the answer is whole."""
        try:
            if self._admit is not None:
                self._round.request = self._admit(self._round.request, self.tell)
            async with self._places.taken(self.tell, has_waited=has_waited):
                if self._note_sent is not None:
                    self._note_sent(self._round.request)
                await self._round.consume(self.tell, self._checks)
        except LLMMagicError as exc:
            return exc
        except Exception as exc:  # noqa: BLE001  # a backend that breaks its promise must not lose the turn; shown below
            name = self._plan.info.name
            error = BackendError(f"The backend {name!r} failed: {type(exc).__name__}: {exc}", is_billable=True)
            error.__cause__ = exc
            return error
        return None

    async def _following(self, error: LLMMagicError | None) -> Next | None:
        number, request = len(self._over) + 1, self._round.request
        is_onward = number == 1 and self._plan.ask.continues is not None
        messages = self._plan.asked if is_onward else request.messages
        turn = self._round.turn(error=error)
        self._said = Said(number=number, request=request, messages=messages, turn=turn, error=error)
        for strategy in self._strategies:
            self._deciding = strategy
            following = await strategy.after(self._said, self.tell)
            if following is not None:
                return following
        self._deciding = None
        return None

    def _go_on(self, following: Next) -> None:
        """Begin with the next request; the one before it is a step now."""
        assert self._said is not None
        self._end_round(self._said.turn)
        if self._note_round is not None:
            self._note_round(self._said.turn, self._said.number)
        self._steps.append(following.step)
        self._said = self._deciding = None
        # What was gone on with is in the first request's answer.
        base = replace(self._plan.base, text="", reasoning="", logprobs=None, notices=(), at=datetime.now(UTC))
        self._round = Round(self._plan, following.request, base)
        self.tell(NextRound(number=len(self._over) + 1, reason=following.step.reason, text=following.text))

    def tell(self, event: Event) -> None:
        """Show an event; a notice is kept with the turn."""
        if isinstance(event, Notice):
            self._notices.append(event.text)
        self._emit(event)

    def ended(self, *, status: Status | None = None, error: LLMMagicError | None = None) -> Answer:
        """The answer as it stands, if it ends here.

        Args:
            status: How it ended; None means complete if the last stream completed, else truncated.
            error: Why it is not whole.
        """
        said = self._said
        if said is None:
            last = self._round.turn(status=status, error=error)
            return Answer(turn=self._whole(last), rounds=(*self._over, last), error=error)
        rounds = (*self._over, said.turn)
        return Answer(turn=self._cut(said, status, error), rounds=rounds, error=error)

    def draft(self) -> Answer:
        """The answer as it is to be kept if this process is killed now."""
        if self._said is not None:
            cut = replace(self._cut(self._said, "interrupted", None), error=_KILLED)
            return Answer(turn=cut, rounds=(*self._over, self._said.turn))
        last = self._round.draft(_KILLED)
        return Answer(turn=self._whole(last), rounds=(*self._over, last))

    def _cut(self, said: Said, status: Status | None, error: LLMMagicError | None) -> Turn:
        """The turn where it ends after a request that is over, perhaps in the middle of what was to follow on it."""
        step = self._deciding.cut(said) if self._deciding is not None else None
        if step is not None:
            status = status or "failed"
            last = replace(said.turn, text="", reasoning="", refusal="", tool_calls=(), logprobs=None)
            whole = self._whole(replace(last, finish_reason=None), (*self._steps, step))
        else:
            whole = self._whole(said.turn)
        if error is not None and error is not said.error:
            whole = replace(whole, error=error.message)
            # An answer that does not fit its type is all there.
            is_all = isinstance(error, SchemaError)
            status = status or (whole.status if is_all else "truncated" if whole.text else "failed")
        return replace(whole, status=status or whole.status)

    def _whole(self, last: Turn, steps: Sequence[Step] | None = None) -> Turn:
        """The turn of all requests, of which this is the last."""
        turns = (*self._over, last)
        costs = [turn.cost_usd for turn in turns]
        usage = turns[0].usage
        for turn in turns[1:]:
            usage += turn.usage
        return replace(
            last,
            steps=tuple(self._steps if steps is None else steps),
            usage=usage,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            at=self._plan.base.at,
            latency_s=time.monotonic() - self._start,
            ttft_s=self._ttft_s if self._ttft_s is not None else self._first(last),
            retries=sum(turn.retries for turn in turns),
            notices=tuple(self._notices),
            is_cached=all(turn.is_cached for turn in turns),
        )

    def _end_round(self, turn: Turn) -> None:
        if self._ttft_s is None:
            self._ttft_s = self._first(turn)
        self._over.append(turn)

    def _first(self, turn: Turn) -> float | None:
        """From asking to the first piece of a request's answer."""
        return None if turn.ttft_s is None else self._round.start - self._start + turn.ttft_s


_KILLED = "the kernel ended"


class Patience:
    """The time a turn may take. It stands still while somebody is asked.

    Attributes:
        limit: The time limit in force, None where there is none.
    """

    def __init__(self) -> None:
        self.limit: asyncio.Timeout | None = None
        self._waiting = 0
        self._left_s = 0.0

    def __enter__(self) -> None:
        """Stop the clock; again is harmless."""
        when = self.limit.when() if self.limit is not None else None
        self._waiting += 1
        if self.limit is not None and when is not None:
            self._left_s = when - asyncio.get_running_loop().time()
            self.limit.reschedule(None)

    def __exit__(self, *_: object) -> None:
        """Let it go on where nobody is asked any more."""
        self._waiting -= 1
        if self.limit is not None and self._left_s > 0 and not self._waiting:
            self.limit.reschedule(asyncio.get_running_loop().time() + self._left_s)
            self._left_s = 0.0


def uncancel() -> None:
    """Take back the cancellation of the current task: it has done its work, and what follows may await again."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
