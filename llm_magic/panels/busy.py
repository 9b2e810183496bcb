"""Whether a cell runs: told once it has taken longer than a moment, and when it has ended."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from ..engine import Engine

# Most cells take less, and a panel that flickers with each of them tells nothing.
AFTER_S = 0.5


class Busy:
    """Watches a shell's cells.

    Args:
        shell: The shell.
        engine: On whose loop the moment passes.
        tell: Called with whether a cell runs, when that changes; on any thread.
        after_s: How long a moment is, in seconds.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        engine: Engine,
        tell: Callable[[bool], object],
        *,
        after_s: float = AFTER_S,
    ) -> None:
        self._engine = engine
        self._tell = tell
        self._after_s = after_s
        self._cells = 0
        self._is_running = self._is_told = False
        self._lock = threading.Lock()
        shell.events.register("pre_run_cell", self._begin)
        shell.events.register("post_run_cell", self._end)

    def _begin(self, _info: object = None) -> None:
        with self._lock:
            self._cells += 1
            self._is_running = True
            cell = self._cells
        self._engine.later(self._after_s, lambda: self._look(cell))

    def _look(self, cell: int) -> None:
        # Told with the lock held: a cell that ends now says so after this.
        with self._lock:
            if self._is_running and cell == self._cells:
                self._is_told = True
                self._tell(True)

    def _end(self, _result: object = None) -> None:
        with self._lock:
            self._is_running = False
            if self._is_told:
                self._is_told = False
                self._tell(False)
