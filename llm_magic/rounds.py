"""Rounds: one request of a turn, sent and taken in, and the places where requests wait. On the engine's loop only.

Comes in: a request, and what its answer goes on with. Goes out: the turn it would be if it were the only one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from .accounting import estimated, may_be_billed, price
from .backends.base import closing
from .continuation import Seam
from .counts import Usage
from .errors import BackendError, LLMMagicError
from .events import OtherAnswer, Sending, Waiting
from .other_answers import OtherAnswers
from .stopping import Stops, stop_strings
from .turns import TurnBuilder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from .asks import Plan
    from .backends.base import Request
    from .content import ToolCall
    from .events import Event
    from .turns import Status, Turn

# Called after every event of an answer; may raise an LLMMagicError, which ends the stream and the turn.
Check: TypeAlias = "Callable[[Request, TurnBuilder], None]"


class Places:
    """The places for requests in flight.

    Args:
        limit: Gives how many there are, at each use.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._of = 0
        self._free = asyncio.Semaphore(0)

    @contextlib.asynccontextmanager
    async def taken(self, emit: Callable[[Event], None], *, has_waited: bool) -> AsyncIterator[None]:
        """Hold one of them.

        Args:
            emit: Is told of the wait and of its end.
            has_waited: There was a wait before this, whose end is still to be told.
        """
        limit = self._limit()
        if limit != self._of:
            self._of, self._free = limit, asyncio.Semaphore(limit)
        free = self._free
        if free.locked():
            has_waited = True
            emit(Waiting(reason="other answers are under way"))
        async with free:
            if has_waited:
                emit(Sending())
            yield


class Round:
    """One request under way.

    Args:
        plan: What is asked of whom.
        request: What is sent.
        base: The turn as far as it is known before the answer.
        continues: The partial turn the answer goes on with, None where it begins anew.

    Attributes:
        request: What is sent.
        start: When it was begun, in seconds of the monotonic clock.
    """

    def __init__(self, plan: Plan, request: Request, base: Turn, *, continues: Turn | None = None) -> None:
        self.request = request
        self.start = time.monotonic()
        self._plan = plan
        self._continues = continues
        self._builder = TurnBuilder(base)
        self._others = OtherAnswers(base, stop_strings(request.params))
        self._was_sent = False

    async def consume(self, show: Callable[[Event], None], checks: Sequence[Check] = ()) -> None:
        """Send it, and take in the answer.

        Args:
            show: Shows an event.
            checks: Look at every event.

        Raises:
            LLMMagicError: It failed, or broke off, or a check does not let it go on.
        """
        self._was_sent = True
        request, builder, plan = self.request, self._builder, self._plan
        # Where several answers were asked for, the stop of one is not that of the others.
        may_leave = request.is_streaming and request.n_answers == 1
        stream = plan.backend.stream(request) if plan.cache is None else plan.cache.stream(plan.backend, request)
        stops = Stops(stop_strings(request.params), builder=builder, show=show)
        seam = Seam(self._continues, plan.info.continues, builder=builder, show=show, take=stops.add)
        async with closing(stream):
            try:
                async for event in stream:
                    if isinstance(event, OtherAnswer):
                        self._others.add(event)
                        show(event)
                    else:
                        seam.add(event)
                    for check in checks:
                        check(request, builder)
                    # An answer in one piece is all here, and so is what it is billed.
                    if stops.is_met and may_leave:
                        break
            finally:
                seam.end()
                stops.end()
                self._others.end()

    def turn(self, *, status: Status | None = None, error: LLMMagicError | None = None) -> Turn:
        """What has come of it, if it ends here.

        Args:
            status: How it ended; None means complete if the stream completed, else truncated.
            error: Why it is not whole.
        """
        builder = self._builder
        usage = builder.usage
        if usage is None and self._was_sent and may_be_billed(builder, error):
            usage = estimated(self.request, builder, more=self._others.output_text)
        turn = builder.build(
            status=status,
            error=error.message if error else None,
            request_id=getattr(error, "request_id", None),
            usage=usage,
            cost_usd=0.0 if builder.is_cached else price(self._plan, usage or Usage(), _model(builder)),
        )
        if isinstance(error, BackendError):
            turn = replace(turn, retries=max(turn.retries, error.retries))
        turn = replace(turn, tool_calls=_identified(turn.tool_calls))
        return replace(turn, others=self._others.turns(turn))

    def draft(self, error: str) -> Turn:
        """As :meth:`turn`, where this process is killed now."""
        builder = self._builder
        usage = estimated(self.request, builder, more=self._others.output_text)
        status: Status = "interrupted" if builder.text else "failed"
        return builder.build(status=status, error=error, usage=usage, cost_usd=price(self._plan, usage, None))


def _model(builder: TurnBuilder) -> str | None:
    """The model that answered, None where none has said so."""
    return builder.completed.model if builder.completed else None


def _identified(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """Calls with an id each: some servers send none, or one for all."""
    ids = [call.id for call in calls]
    # Nine letters and digits: some servers take no others.
    return tuple(
        call if call.id and call.id not in ids[:number] else replace(call, id=f"call{number:05d}")
        for number, call in enumerate(calls)
    )
