"""A job: all rows of one ``map()``, asked side by side on the engine's loop.

Comes in: a plan made once, the rows, how many may be under way. Goes out: a result for each row, in their order, and
a row in the ledger for each request. It ends when all are answered, when it is cancelled, or at an error that all
others would meet too; what has been answered then stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..budgets import Till
from ..errors import AuthenticationError, BudgetExceededError, LLMMagicError, QuotaError
from ..rounds import Places
from ..turns import new_id
from ..typed import typed
from .results import NOT_ASKED, Result, Tally, answered, unsendable
from .rows import is_quick, messages_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from typing import Any

    from ..asks import Plan
    from ..content import Message
    from ..session import Session
    from ..values import Limits
    from .rows import Rows

WRITE_EVERY_S = 0.5
# What one row meets, every other one would: no key, no credit, no budget left.
_HOPELESS = (AuthenticationError, QuotaError, BudgetExceededError)


class Job:
    """The rows of one ``map()`` under way.

    Args:
        session: Whose ledger it is.
        plan: How a row is asked; its own prompt is only a place for theirs.
        rows: What is asked.
        in_flight: How many requests may be under way at once.
        limits: How large content may be.
        stops_on_error: The first row that fails ends it.

    Attributes:
        results: By row, "not asked" where nothing has come yet.
        tally: How far it is.
        error: What ended it before its end, None where nothing did.
        finished: Set when it is over.
    """

    def __init__(
        self, session: Session, plan: Plan, rows: Rows, *, in_flight: int, limits: Limits, stops_on_error: bool
    ) -> None:
        self.results = [NOT_ASKED] * len(rows.prompts)
        self.tally = Tally(total=len(rows.prompts))
        self.error: LLMMagicError | None = None
        self.finished = threading.Event()
        self._session = session
        # A budget is that of all rows together.
        self._plan = replace(plan, pool=Till())
        self._limits = limits
        self._stops_on_error = stops_on_error
        self._todo = iter(enumerate(rows.prompts))
        self._places = Places(lambda: in_flight)
        self._n_workers = min(in_flight, len(rows.prompts))
        self._workers: list[asyncio.Task[None]] = []
        self._is_over = self._is_stopping = False
        self._future: Future[None] = session.jobs.submit(self._run(), job=self)

    def cancel(self) -> None:
        """Stop: close the connections, keep what came. From any thread, a signal handler too; returns at once."""
        self._session.jobs.call(self._stop)

    def settled(self) -> list[Result]:
        """The results as they stand; what was not asked says why, where an error is the reason."""
        if self.error is None:
            return list(self.results)
        unasked = Result(status="not asked", error=f"not asked after: {self.error.message}")
        return [unasked if result is NOT_ASKED else result for result in self.results]

    async def ended(self) -> None:
        """Wait until it is over, on any loop; what went wrong is told by :meth:`check`."""
        over = asyncio.wrap_future(self._future)
        over.add_done_callback(lambda future: future.cancelled() or future.exception())
        await asyncio.wait((over,))

    def check(self) -> None:
        """Raise what was no fault of a row, once it is over."""
        self._future.result()

    async def _run(self) -> None:
        n_workers = 0 if self._is_over else self._n_workers
        self._workers = [asyncio.create_task(self._work()) for _ in range(n_workers)]
        writing = asyncio.create_task(self._write())
        try:
            with _settled_heap():
                if self._workers:
                    await asyncio.wait(self._workers)
            # Who interrupts wants the cell back at once.
            await self._session.flush(is_waiting=not self._is_stopping)
        finally:
            writing.cancel()
            self.finished.set()
        for worker in self._workers:
            if not worker.cancelled():
                worker.result()

    async def _write(self) -> None:
        """Write what was answered, so that a killed process loses a second of it at most."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self._session.flush()

    def _stop(self) -> None:
        if self._is_stopping:
            return
        self._is_over = self._is_stopping = True
        for worker in self._workers:
            if worker is not asyncio.current_task():
                worker.cancel()

    async def _work(self) -> None:
        while not self._is_over and (item := next(self._todo, None)) is not None:
            number, prompt = item
            result, error = await self._ask(prompt)
            self.results[number] = result
            self.tally = self.tally.plus(result)
            if error is not None and self.error is None:
                self._look_at(error)

    def _look_at(self, error: LLMMagicError) -> None:
        if self._stops_on_error:
            self.error = error
            self._stop()
        elif isinstance(error, _HOPELESS):
            # What is under way may still be answered.
            self.error = error
            self._is_over = True

    async def _ask(self, prompt: Any) -> tuple[Result, LLMMagicError | None]:
        try:
            messages = await self._messages(prompt)
        except LLMMagicError as exc:
            return unsendable(exc), exc
        plan = self._typed(planned(self._plan, messages))
        outcome = await self._session.answer_alone(plan, self._places)
        return answered(outcome.turn, outcome.error), outcome.error

    def _typed(self, plan: Plan) -> Plan:
        """The plan, in the way the server takes types by now."""
        if plan.schema is None:
            return plan
        way = self._session.types.way(plan.schema, plan.info, plan.request.model, plan.facts)
        return replace(plan, request=typed(plan.request, plan.schema, way))

    async def _messages(self, prompt: Any) -> tuple[Message, ...]:
        if is_quick(prompt):
            return messages_of(prompt, self._limits)
        return await asyncio.to_thread(messages_of, prompt, self._limits)


def planned(plan: Plan, messages: tuple[Message, ...]) -> Plan:
    """The plan of one row: the common one with other messages; a system prompt of its own goes before the common."""
    head = plan.request.messages[: -len(plan.ask.prompt)]
    if messages[0].role in ("system", "developer"):
        head = ()
    base = replace(plan.base, id=new_id(), prompt=messages, at=datetime.now(UTC))
    return replace(plan, request=replace(plan.request, messages=(*head, *messages)), base=base)


@contextlib.contextmanager
def _settled_heap() -> Iterator[None]:
    """Let the garbage collector look through new objects only.

    Many small requests make enough of them for a full collection every thousand or so, and one look at all that a
    notebook has loaded costs as much as a hundred requests, and stops them all meanwhile.
    """
    # Somebody else's frozen objects are not ours to thaw; and of two maps at once, one is enough.
    is_ours = gc.get_freeze_count() == 0
    if is_ours:
        gc.freeze()
    try:
        yield
    finally:
        if is_ours:
            gc.unfreeze()
