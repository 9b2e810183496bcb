"""Jobs: what runs on the engine's loop for a session beside its asks, and how it is waited for and stopped."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import Interrupted, SessionBusyError
from .interrupts import linger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    from .engine import Engine
    from .interrupts import Cancellable

T = TypeVar("T")


class Jobs:
    """The jobs of one session. May be used from any thread.

    Args:
        engine: Where they run.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: set[Cancellable | Future[Any]] = set()

    @property
    def is_here(self) -> bool:
        """The caller runs on the engine's own thread, where blocking would wait for itself."""
        return self._engine.is_here

    def submit(self, coroutine: Coroutine[Any, Any, T], *, job: Cancellable | None = None) -> Future[T]:
        """Run a coroutine on the engine's loop.

        Args:
            coroutine: What to run.
            job: What :meth:`cancel` cancels while it runs; None cancels the coroutine itself.
        """
        # Known before it begins: cancel() in another thread must not miss it.
        if job is not None:
            self._known.add(job)
        future = self._engine.submit(coroutine)
        known = job if job is not None else future
        self._known.add(known)
        future.add_done_callback(lambda _: self._known.discard(known))
        return future

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the engine's loop and wait for its result.

        Raises:
            Interrupted: The user interrupted, or :meth:`cancel` was called; the coroutine is cancelled.
            SessionBusyError: Called on the engine's own thread.
        """
        if self.is_here:
            coroutine.close()
            raise SessionBusyError("A blocking call from inside an answer.", hint="await the async form instead")
        try:
            return self._engine.wait(self.submit(coroutine))
        except KeyboardInterrupt:
            linger()
            raise Interrupted from None
        except CancelledError:
            raise Interrupted from None

    async def arun(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """As :meth:`run`, awaited on any loop; cancelling the awaiting task cancels the coroutine."""
        return await asyncio.wrap_future(self.submit(coroutine))

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the engine's loop, soon. From a signal handler too."""
        self._engine.loop().call_soon_threadsafe(function)

    def cancel(self) -> None:
        """Cancel all of them."""
        for job in tuple(self._known):
            job.cancel()
