"""Asks whose cell does not wait for them: a thread each hands the events to a view, in that cell's output.

Comes in: an ask under way, its view, and what is to be done when it has ended. The thread carries the context of the
cell, by which IPython knows where output belongs. Nothing is raised in it: how an ask failed is told by its view, and
a mistake of ours goes to the log ``llm_magic``.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from .watch import drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .run import Outcome, Run
    from .turns import Turn
    from .watch import View

# Closing a connection takes milliseconds, and so does the last drawing: whoever waits longer waits for a dead network.
PATIENCE_S = 2.0
log = logging.getLogger("llm_magic")


class Background:
    """The asks that go on by themselves. Ended with the process, or by :meth:`close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[Run, threading.Thread] = {}

    def follow(self, run: Run, view: View | None, then: Callable[[Outcome], object]) -> None:
        """Let an ask go on; returns at once.

        Args:
            run: The ask.
            view: What draws it, here once and from then on in a thread; None draws nothing.
            then: Called in that thread when it has ended and is kept, before the final state is drawn.
        """
        if view is not None:
            # The display is made in the cell, whatever a front end makes of what comes from threads.
            view.tick()
        target = contextvars.copy_context().run
        thread = threading.Thread(
            target=target, args=(self._follow, run, view, then), name="llm_magic background", daemon=True
        )
        with self._lock:
            if not self._threads:
                # Called before the session's own: what is stopped is still drawn and kept.
                atexit.register(self.close)
            self._threads[run] = thread
        thread.start()

    def wait(self, runs: Iterable[Run], timeout_s: float = PATIENCE_S) -> None:
        """Until these have ended and are drawn, or the time is over."""
        deadline = time.monotonic() + timeout_s
        for run in runs:
            run.wait(max(0.0, deadline - time.monotonic()))
            with self._lock:
                thread = self._threads.get(run)
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Stop all; what came is kept and drawn."""
        with self._lock:
            runs = tuple(self._threads)
        for run in runs:
            run.cancel()
        self.wait(runs)

    # In its thread

    def _follow(self, run: Run, view: View | None, then: Callable[[Outcome], object]) -> None:
        try:
            outcome, view = _drawn(run, view)
            then(outcome)
            if view is not None:
                view.end(_told(outcome))
        except Exception:
            log.exception("an ask in the background")
        finally:
            with self._lock:
                del self._threads[run]
                if not self._threads:
                    atexit.unregister(self.close)


def _drawn(run: Run, view: View | None) -> tuple[Outcome, View | None]:
    """The outcome, and the view if it is still one."""
    try:
        return drawn(run, view), view
    except Exception:
        # Its page may be gone. The answer is kept all the same, and its reply is wanted.
        log.exception("the view of an ask in the background is dropped")
        return drawn(run, None), None


def _told(outcome: Outcome) -> Turn:
    """The turn with its error as the user would have read it below the cell."""
    turn, error = outcome.turn, outcome.error
    if error is None:
        return turn
    if turn.status == "failed":
        return replace(turn, error=str(error))
    return replace(turn, notices=(*turn.notices, str(error)))
