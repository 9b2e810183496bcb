"""The pump: calls what sends, on the engine's loop, soon after it was woken and at most so many times a second."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine import Engine

EVERY_S = 0.05
log = logging.getLogger("llm_magic")


class Pump:
    """Works while a cell blocks, and blocks no cell.

    Args:
        engine: On whose loop.
        work: Does what there is to do, on the engine's thread; whether something is left for the next time.
        every_s: The least time between two calls, in seconds.
    """

    def __init__(self, engine: Engine, work: Callable[[], bool], *, every_s: float = EVERY_S) -> None:
        self._engine = engine
        self._work = work
        self._every_s = every_s
        self._lock = threading.Lock()
        self._is_woken = False
        self._next_at = 0.0
        self._pid = os.getpid()

    def wake(self) -> None:
        """There is something to do. From any thread; returns at once."""
        with self._lock:
            # The child of a fork has no pages.
            if self._is_woken or os.getpid() != self._pid:
                return
            self._is_woken = True
        self._engine.later(max(0.0, self._next_at - time.monotonic()), self._run)

    def _run(self) -> None:
        with self._lock:
            self._is_woken = False
        self._next_at = time.monotonic() + self._every_s
        try:
            is_more = self._work()
        except Exception:
            # On the loop there is nobody to tell, and the next time may do better.
            log.exception("the panel could not be brought up to date")
            return
        if is_more:
            self.wake()
