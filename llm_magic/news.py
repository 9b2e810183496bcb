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
        run: Listen to it for its events and its outcome, or stop it; do not wait for it.
        conversation: Which conversation it sees.
        slot: The slot its turn will be kept in, as it was when it was taken; None for an aside.
        turn: As far as it is known before the answer: id, prompt, model, the text it goes on from …
    """

    run: Run
    conversation: Conversation
    slot: Slot | None
    turn: Turn


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
        self._asks: dict[str, AskBegan] = {}

    @property
    def runs(self) -> list[Run]:
        """The asks under way."""
        with self._lock:
            return [began.run for began in self._asks.values()]

    def add(self, watcher: Watcher) -> Callable[[], object]:
        """Tell this one too: first, here and now, of the asks that are under way, then whatever comes.

        Returns:
            Tells it no more. Harmless when repeated; news on its way in another thread may still arrive.
        """
        with self._lock:
            self._watchers = (*self._watchers, watcher)
            under_way = tuple(self._asks.values())
        for began in under_way:
            self._tell(watcher, began)
        return functools.partial(self._remove, watcher)

    def note_began(self, began: AskBegan) -> None:
        """An ask begins: tell all."""
        with self._lock:
            # Both at once: who is just being added is told here or there, and once.
            self._asks[began.turn.id] = began
            watchers = self._watchers
        for watcher in watchers:
            self._tell(watcher, began)

    def note_ended(self, turn_id: str) -> None:
        """An ask has ended and is kept: tell all."""
        with self._lock:
            self._asks.pop(turn_id, None)
        self.note_changed()

    def note_changed(self) -> None:
        """Something may be different: tell all."""
        for watcher in self._watchers:
            self._tell(watcher, Changed())

    def stop(self, turn_id: str) -> bool:
        """See :meth:`Session.stop`."""
        with self._lock:
            began = self._asks.get(turn_id)
            if began is None or began.run.is_stopping:
                return False
            began.run.cancel()
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
