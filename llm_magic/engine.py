"""The one event loop: asyncio in one daemon thread, used from any other thread.

Started by the first ask, never by an import; owns every async client. The same under ipykernel, IPython, pytest and
scripts, whatever loop the host runs. After a fork the loop's thread is gone, so the loop is built anew on first use.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import MissingDependencyError, SessionBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

T = TypeVar("T")


class Engine:
    """An asyncio loop in a daemon thread of its own."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start from nothing, as in the child of a fork: the old loop's thread is not here."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    @property
    def is_running(self) -> bool:
        """The loop has been started in this process."""
        return self._loop is not None and self._pid == os.getpid()

    @property
    def is_here(self) -> bool:
        """The caller runs on the engine's own thread, where blocking would wait for itself."""
        return self.is_running and threading.current_thread() is self._thread

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, started if need be."""
        with self._lock:
            if not self.is_running:
                self._start()
            assert self._loop is not None
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop; its future may be waited for in any thread but the engine's."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop())

    def run(self, coroutine: Coroutine[Any, Any, T], *, timeout_s: float | None = None) -> T:
        """Run a coroutine and wait for its result.

        Raises:
            SessionBusyError: Called on the engine's own thread.
            TimeoutError: No result within ``timeout_s`` seconds; the coroutine is cancelled.
        """
        if self.is_here:
            coroutine.close()
            raise SessionBusyError("A blocking call from inside an answer.", hint="await the async form instead")
        return self.wait(self.submit(coroutine), timeout_s=timeout_s)

    def wait(self, future: Future[T], *, timeout_s: float | None = None) -> T:
        """Wait for what was submitted, in any thread but the engine's; where that ends early, it is cancelled.

        Raises:
            TimeoutError: No result within ``timeout_s`` seconds.
        """
        try:
            # A KeyboardInterrupt has to get through on every platform, so no wait is longer than 50 ms.
            while True:
                try:
                    return future.result(timeout=0.05 if timeout_s is None else min(0.05, timeout_s))
                except TimeoutError:
                    if future.done():
                        raise
                    if timeout_s is not None and (timeout_s := timeout_s - 0.05) <= 0:
                        raise
        finally:
            future.cancel()

    def later(self, delay_s: float, function: Callable[[], object]) -> None:
        """Call a function on the loop's thread after a while; it must not block."""
        loop = self.loop()
        loop.call_soon_threadsafe(loop.call_later, delay_s, function)

    def _start(self) -> None:
        # Locks of a parent process may be held for ever in its fork: nothing of the old loop is touched.
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm_magic", daemon=True)
        self._thread.start()


@functools.cache
def shared_engine() -> Engine:
    """The process's engine; its thread starts with the first ask."""
    engine = Engine()
    # A fork while another thread holds the lock would leave it locked in the child.
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=engine.forget)
    return engine


def allow_nested() -> None:
    """Let code on the running event loop run the same loop again, for tools that need the kernel's own loop.

    Off by default, and nothing in this package needs it: it patches asyncio for the whole process (nest-asyncio2),
    which
    under a running cell leaks streams that are interrupted.

    Raises:
        MissingDependencyError: nest-asyncio2 is not installed.
    """
    try:
        import nest_asyncio2
    except ImportError as exc:
        raise MissingDependencyError("nest-asyncio2 is not installed.", hint="pip install nest-asyncio2") from exc
    nest_asyncio2.apply()
