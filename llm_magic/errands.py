"""Errands: functions that have to be called on the main thread, where it watches an ask, between two drawings.

The engine leaves them; the watching thread does them, and an interrupt then hits the function, not the watching.
"""

from __future__ import annotations

import _thread
import contextvars
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

T = TypeVar("T")


class Errands:
    """What is to be done on one thread: that in which this is made."""

    def __init__(self) -> None:
        self._thread = threading.current_thread()
        self._left: queue.SimpleQueue[tuple[contextvars.Context, Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_busy = False

    def leave(self, function: Callable[[], T]) -> Future[T]:
        """Have a function called, in the context of this call. Cancelling the future before that takes it back."""
        future: Future[T] = Future()
        self._left.put((contextvars.copy_context(), function, future))
        return future

    def do(self, interruptible: Callable[[], AbstractContextManager[object]]) -> None:
        """Call what was left. On the thread of its own only.

        Args:
            interruptible: Around each call: an interrupt is raised in it.

        Raises:
            KeyboardInterrupt: One was, and the function let it pass.
        """
        while not self._left.empty():
            context, function, future = self._left.get()
            if future.set_running_or_notify_cancel():
                self._do(context, function, future, interruptible)

    def interrupt(self) -> None:
        """Interrupt the function that is being called, from another thread. Only the main thread can be."""
        if threading.current_thread() is self._thread:
            return
        with self._lock:
            if self._is_busy and self._thread is threading.main_thread():
                _thread.interrupt_main()

    def _do(
        self,
        context: contextvars.Context,
        function: Callable[[], Any],
        future: Future[Any],
        interruptible: Callable[[], AbstractContextManager[object]],
    ) -> None:
        try:
            with interruptible():
                self._is_busy = True
                result = context.run(function)
        except BaseException as exc:
            future.set_exception(exc)
            if isinstance(exc, KeyboardInterrupt):
                raise
        else:
            future.set_result(result)
        finally:
            # From here on none is sent, and one that is being sent arrives here, where it hits nobody.
            self._is_busy = False
            with self._lock:
                pass
