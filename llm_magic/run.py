"""Run: one ask under way, as its caller sees it.

The work runs on the engine's loop; its events wait in a queue until the caller, in any thread or on any other loop,
takes them. Whoever else wants to know listens. Cancelling is the one way to stop: Stop, interrupt and time limits all
end here.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .errors import Interrupted, LLMMagicError, SessionBusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from concurrent.futures import Future

    from .asks import Plan
    from .engine import Engine
    from .errands import Errands
    from .events import Event
    from .turns import Turn

# A wait longer than this would keep a KeyboardInterrupt waiting on Windows.
TICK_S = 0.05
log = logging.getLogger("llm_magic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an ask ended.

    Attributes:
        turn: What was kept, whole or partial.
        error: Why it is not whole; None where it is, or where the user stopped it.
    """

    turn: Turn
    error: LLMMagicError | None = None


Listener: TypeAlias = "Callable[[Event | Outcome], object]"
Work: TypeAlias = "Callable[[Callable[[Event], None]], Coroutine[object, object, Outcome]]"


class Run:
    """One ask under way.

    Args:
        engine: Where the work runs.
        work: Called with a function to emit events; its coroutine ends with the outcome, also when cancelled.
        plan: What is asked of whom, as it was planned when it was asked.
        first: Called with this, before the work begins.
        errands: What the work leaves to the thread that watches; None where none does.

    Attributes:
        plan: As given.
        errands: As given. Who watches does them.
    """

    def __init__(
        self,
        engine: Engine,
        work: Work,
        *,
        plan: Plan,
        first: Callable[[Run], None] | None = None,
        errands: Errands | None = None,
    ) -> None:
        self.plan = plan
        self.errands = errands
        self._engine = engine
        self._loop = engine.loop()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._finished = threading.Event()
        self._wake: Callable[[], object] | None = None
        self._task: asyncio.Task[Outcome] | None = None
        self._is_stopping = self._is_cancelled = False
        self._said: list[Event] = []
        self._listeners: list[Listener] = []
        self._outcome: Outcome | None = None
        if first is not None:
            first(self)
        self._future: Future[Outcome] = engine.submit(self._work(work))

    @property
    def turn_id(self) -> str:
        """Id of the turn that will be kept, whatever becomes of the ask."""
        return self.plan.base.id

    @property
    def is_finished(self) -> bool:
        """The ask has ended and is kept; events may still wait to be taken."""
        return self._finished.is_set()

    @property
    def is_stopping(self) -> bool:
        """It has been cancelled, and has ended or soon will."""
        return self._is_stopping

    def listen(self, listener: Listener) -> Callable[[], object]:
        """Hear every event of the ask, from the first on whenever this is called, and then its outcome.

        The events stay for the one who takes them. The listener is called on the engine's thread, where it keeps all
        answers waiting: it must not block. Where it raises, that goes to the log ``llm_magic`` and it hears no more.

        Args:
            listener: Called with each event, and last with the outcome; with that alone where the ask has ended.

        Returns:
            Ends it. Harmless when repeated or late.
        """
        self._loop.call_soon_threadsafe(self._listen, listener)
        return functools.partial(self._loop.call_soon_threadsafe, self._ignore, listener)

    def cancel(self) -> None:
        """Stop: close the connection, keep what came. Harmless when repeated or late; returns at once."""
        # Called by signal handlers too, one inside the other: no lock is taken on the way.
        self._is_stopping = True
        if self.errands is not None:
            self.errands.interrupt()
        self._loop.call_soon_threadsafe(self._cancel)

    def batch(self, wait_s: float = TICK_S) -> list[Event]:
        """The events that came within a wait, which the end of the ask cuts short.

        Raises:
            SessionBusyError: Called on the engine's own thread, where waiting would never end.
        """
        self._wait(wait_s)
        return self._drain()

    def __iter__(self) -> Iterator[Event]:
        """Events as they come; leaving the loop early does not cancel."""
        while not self.is_finished:
            yield from self.batch()
        yield from self._drain()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Events as they come, on the caller's own loop."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = functools.partial(loop.call_soon_threadsafe, woken.set)
        try:
            while not self.is_finished:
                for event in self._drain():
                    yield event
                await woken.wait()
                woken.clear()
        finally:
            self._wake = None
        for event in self._drain():
            yield event

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended and is kept; whether it has.

        Raises:
            SessionBusyError: As :meth:`batch`.
        """
        self._wait(timeout_s)
        return self.is_finished

    def outcome(self) -> Outcome:
        """How it ended, once it has; waits for that."""
        while not self.is_finished:
            self._wait(TICK_S)
        return self._future.result()

    async def aturn(self) -> Turn:
        """The turn, awaited. Cancelling the awaiting task cancels the ask.

        Raises:
            Interrupted: It was cancelled.
            LLMMagicError: It failed or broke off; the turn is kept all the same.
        """
        try:
            return checked(await asyncio.shield(asyncio.wrap_future(self._future)))
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _wait(self, wait_s: float) -> None:
        if self._engine.is_here:
            raise SessionBusyError("A conversation was asked from inside an answer.", hint="await the async form")
        self._finished.wait(wait_s)

    def _emit(self, event: Event) -> None:
        self._events.put(event)
        self._said.append(event)
        self._tell(event)
        self._notify()

    def _notify(self) -> None:
        if (wake := self._wake) is None:
            return
        try:
            wake()
        except RuntimeError:
            # The reader's loop was closed under it: nobody is left to wake, the answer is kept all the same.
            self._wake = None

    # Listeners: on the engine's thread only, so that none misses an event or hears it twice

    def _listen(self, listener: Listener) -> None:
        self._listeners.append(listener)
        for one in [*self._said] if self._outcome is None else [self._outcome]:
            self._tell_one(listener, one)
        if self._outcome is not None:
            self._listeners.clear()

    def _ignore(self, listener: Listener) -> None:
        self._listeners = [one for one in self._listeners if one is not listener]

    def _tell(self, one: Event | Outcome) -> None:
        for listener in tuple(self._listeners):
            self._tell_one(listener, one)

    def _tell_one(self, listener: Listener, one: Event | Outcome) -> None:
        # One that is told the past may raise in the middle of it.
        if not any(known is listener for known in self._listeners):
            return
        try:
            listener(one)
        except Exception:
            log.exception("a listener of an answer is dropped")
            self._ignore(listener)

    def _drain(self) -> list[Event]:
        events: list[Event] = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def _cancel(self) -> None:
        # A second cancel would hit the closing of the connection, so only the first counts.
        if self._is_cancelled:
            return
        self._is_cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def _work(self, work: Work) -> Outcome:
        self._task = asyncio.current_task()
        if self._is_cancelled and self._task is not None:
            self._task.cancel()
        try:
            self._outcome = await work(self._emit)
        finally:
            self._finished.set()
            self._notify()
        self._tell(self._outcome)
        # From here on the outcome says it all.
        self._said.clear()
        self._listeners.clear()
        return self._outcome


def checked(outcome: Outcome) -> Turn:
    """The turn of an outcome that is whole.

    Raises:
        Interrupted: The user stopped it.
        LLMMagicError: It failed or broke off.
    """
    if outcome.error is not None:
        raise outcome.error
    if outcome.turn.status == "interrupted":
        raise Interrupted(interrupted_line(outcome.turn))
    return outcome.turn


def interrupted_line(turn: Turn) -> str:
    """What the one line of an interrupt says."""
    if turn.text:
        return f"{len(turn.text)} characters kept"
    return "what its tools gave is kept" if turn.steps else "nothing had arrived"
