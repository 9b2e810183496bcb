"""News: what a session tells whoever watches it, beside the one who asked.

The panel shows the same conversation that cells ask, so it hears of asks it did not make and of changes that commands
made. News are frozen values of a closed union; :meth:`Session.watch` gives them, :meth:`Run.listen` the events of one
ask.

Threads: a watcher is called in the thread where the news is made, and perhaps in several at once: in the one that asks,
in the one whose command changed something, in the engine's for an answer that has been kept. No lock of ours is held
meanwhile. It must not block. One that raises is written to the log ``llm_magic`` and dropped: whoever asked gets the
answer all the same.
"""

from __future__ import annotations

import functools
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from .run import Run
    from .slots import Conversation, Slot
    from .turns import Turn

log = logging.getLogger("llm_magic")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskBegan:
    """An ask begins, whoever asked. Told before anything is sent.

    Attributes:
        run: Listen to it for its events and its outcome, or stop it; do not wait for it. Its plan says what is asked.
    """

    run: Run

    @property
    def conversation(self) -> Conversation:
        """The conversation it sees."""
        return self.run.plan.conversation

    @property
    def slot(self) -> Slot | None:
        """The slot its turn will be kept in, as it was when it was taken; None for an aside."""
        return self.run.plan.slot

    @property
    def turn(self) -> Turn:
        """The turn as far as it is known before the answer: id, prompt, model and so on."""
        return self.run.plan.base


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Something may be different now: look.

    Told when an answer has been kept, when a command of ``%chat`` has ended, and when a cell has: what Python code
    did to a conversation, and what became of cells, is seen then. Often nothing is different.
    """


News: TypeAlias = AskBegan | Changed
Watcher: TypeAlias = "Callable[[News], object]"


class Watchers:
    """Those who watch one session, and what they can watch: the asks that are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watchers: tuple[Watcher, ...] = ()
        self._runs: dict[str, Run] = {}

    @property
    def runs(self) -> tuple[Run, ...]:
        """The asks under way, in the order they began."""
        with self._lock:
            return tuple(self._runs.values())

    def add(self, watcher: Watcher) -> Callable[[], object]:
        """Tell this one too: first, here and now, of the asks that are under way, then whatever comes.

        Returns:
            Tells it no more. Harmless when repeated; news on its way in another thread may still arrive.
        """
        with self._lock:
            self._watchers = (*self._watchers, watcher)
            under_way = tuple(self._runs.values())
        for run in under_way:
            self._tell(watcher, AskBegan(run=run))
        return functools.partial(self._remove, watcher)

    def note_began(self, run: Run) -> None:
        """An ask begins: tell all."""
        with self._lock:
            # Both at once: who is just being added is told here or there, and once.
            self._runs[run.turn_id] = run
            watchers = self._watchers
        for watcher in watchers:
            self._tell(watcher, AskBegan(run=run))

    def note_ended(self, turn_id: str) -> None:
        """An ask has ended and is kept: tell all."""
        with self._lock:
            self._runs.pop(turn_id, None)
        self.note_changed()

    def note_changed(self) -> None:
        """Something may be different: tell all."""
        for watcher in self._watchers:
            self._tell(watcher, Changed())

    def stop(self, turn_id: str) -> bool:
        """See :meth:`Session.stop`."""
        with self._lock:
            run = self._runs.get(turn_id)
            if run is None or run.is_stopping:
                return False
            run.cancel()
        return True

    def _tell(self, watcher: Watcher, news: News) -> None:
        try:
            watcher(news)
        except Exception:
            log.exception("a watcher of the session is dropped")
            self._remove(watcher)

    def _remove(self, watcher: Watcher) -> None:
        with self._lock:
            self._watchers = tuple(one for one in self._watchers if one is not watcher)
