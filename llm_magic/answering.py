"""Answering: one planned ask, from its request to the turn it becomes. On the engine's loop only.

Comes in: a :class:`~llm_magic.asks.Plan`, and a function that shows events. Goes out: an :class:`Answer`. Who asks, and
where the turn is kept, is the session's.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .accounting import estimated, may_be_billed, price
from .continuation import Seam
from .counts import Usage
from .errors import BackendError, BackendTimeoutError, LLMMagicError
from .events import Sending, Waiting
from .stopping import Stops, stop_strings
from .turns import Turn, TurnBuilder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from .asks import Plan
    from .events import Event
    from .turns import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How an ask ended.

    Attributes:
        turn: What is to be kept.
        error: Why it is not whole; None where it is, or where the user stopped it.
    """

    turn: Turn
    error: LLMMagicError | None = None


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


class Answering:
    """One ask being answered.

    Args:
        plan: What is asked of whom.
        emit: Shows an event.
        places: Where its requests wait for their turn.
    """

    def __init__(self, plan: Plan, *, emit: Callable[[Event], None], places: Places) -> None:
        self._plan = plan
        self._emit = emit
        self._places = places
        self._builder = TurnBuilder(plan.base)
        self._was_sent = False

    async def answer(self, *, has_waited: bool = False) -> Answer:
        """Ask, to the end. An answer that is cancelled has ended: the cancellation is taken back.

        Args:
            has_waited: The user was told of a wait whose end is still to be told.
        """
        plan = self._plan
        status: Status | None = None
        error: LLMMagicError | None = None
        try:
            async with asyncio.timeout(plan.ask.timeout_s), self._places.taken(self._emit, has_waited=has_waited):
                self._was_sent = True
                await self._consume()
        except asyncio.CancelledError:
            uncancel()
            status = "interrupted"
        except TimeoutError as exc:
            error = BackendTimeoutError(f"No whole answer within {plan.ask.timeout_s} s.", is_billable=True)
            error.__cause__ = exc
        except LLMMagicError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001  # a backend that breaks its promise must not lose the turn; shown below
            error = BackendError(
                f"The backend {plan.info.name!r} failed: {type(exc).__name__}: {exc}", is_billable=True
            )
            error.__cause__ = exc
        return self.ended(status=status, error=error)

    def ended(self, *, status: Status | None = None, error: LLMMagicError | None = None) -> Answer:
        """The answer as it stands, if it ends here.

        Args:
            status: How it ended; None means complete if the stream completed, else truncated.
            error: Why it is not whole.
        """
        builder = self._builder
        usage = builder.usage
        if usage is None and self._was_sent and may_be_billed(builder, error):
            usage = estimated(self._plan.request, builder)
        model = builder.completed.model if builder.completed else None
        turn = builder.build(
            status=status,
            error=error.message if error else None,
            request_id=getattr(error, "request_id", None),
            usage=usage,
            cost_usd=price(self._plan, usage or Usage(), model),
        )
        if isinstance(error, BackendError):
            turn = replace(turn, retries=max(turn.retries, error.retries))
        return Answer(turn=turn, error=error)

    def draft(self) -> Turn:
        """The turn as it is to be kept if this process is killed now."""
        usage = estimated(self._plan.request, self._builder)
        return self._builder.build(
            status="interrupted" if self._builder.text else "failed",
            error="the kernel ended",
            usage=usage,
            cost_usd=price(self._plan, usage, None),
        )

    async def _consume(self) -> None:
        plan, builder = self._plan, self._builder
        stream = plan.backend.stream(plan.request)
        stops = Stops(stop_strings(plan.request.params), builder=builder, show=self._emit)
        seam = Seam(plan.ask.continues, plan.info.continues, builder=builder, show=self._emit, take=stops.add)
        try:
            async for event in stream:
                seam.add(event)
                # An answer in one piece is all here, and so is what it is billed.
                if stops.is_met and plan.request.is_streaming:
                    break
        finally:
            seam.end()
            stops.end()
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()


def uncancel() -> None:
    """Take back the cancellation of the current task: it has done its work, and what follows may await again."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
