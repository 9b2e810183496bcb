"""What a long conversation costs: a turn late in it beside an early one, its memory, and coming back from the store.

In this process, on a scripted backend: everything but the wire.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import time
import tracemalloc
from typing import TYPE_CHECKING, Self

from benchmarks.measures import Measure
from llm_magic.api import Conversation
from llm_magic.call_log import CallLog
from llm_magic.config import Config
from llm_magic.session import Session
from llm_magic.store.reading import Rows
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# A question with a small table in it, as people ask in notebooks: 1.3 kB; the answers are of 2 kB.
TABLE = "\n".join(f"{row:>3}  2026-11-{row:02}  {row * 1.7:>8.2f}  {row % 7:>4}  station {row}" for row in range(1, 29))
PROMPT = f"What stands out in this table, and what would you look at next?\n\n{TABLE}"
ANSWER_CHARACTERS = 2000
WINDOW = 50


def growth(folder: Path, answers: Sequence[str]) -> Measure:
    """CPU of a turn around the 1,000th beside that around the 100th; medians of 100 turns each."""
    spent: list[float] = []
    with _Talk(folder, answers) as talk:
        for _ in range(1000 + WINDOW):
            start = time.process_time()
            talk.ask()
            spent.append(time.process_time() - start)
    late, early = (statistics.median(spent[number - WINDOW : number + WINDOW]) for number in (1000, 100))
    return Measure(name="turn 1,000, CPU against turn 100", ours=late, floor=early, unit="s", limit=1.5)


def memory(folder: Path, answers: Sequence[str], *, turns: int = 1000) -> Measure:
    """Memory that a conversation takes, beside its text."""
    with _Talk(folder, answers) as talk:
        # What is loaded once, some of it by the first longer request, is no part of the conversation.
        for _ in range(20):
            talk.ask()
        gc.collect()
        tracemalloc.start()
        try:
            before, characters = tracemalloc.get_traced_memory()[0], talk.characters
            for _ in range(turns):
                talk.ask()
            # The log of events has a fixed size, whatever the conversation's, and is not full yet.
            talk.session.calls = CallLog()
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        text = talk.characters - characters
    return Measure(name=f"memory of {turns:,} turns against their text", ours=taken, floor=text, unit="bytes", limit=2)


def coming_back(folder: Path, answers: Sequence[str]) -> Measure:
    """CPU of reading 1,000 turns from the store, beside that of sqlite3 reading the same rows; medians of 15."""
    with _Talk(folder, answers) as talk:
        for _ in range(1000):
            talk.ask()
        keeper, kept, path = talk.session.keeper, talk.conversation.id, talk.path
        assert keeper is not None
        store = keeper.call(lambda opened: opened)
        connection = sqlite3.connect(path)
        ours = _median(lambda: store.read(kept))
        floor = _median(lambda: Rows(connection, kept))
        connection.close()
    return Measure(name="resume of 1,000 turns, CPU against sqlite3", ours=ours, floor=floor, unit="s", limit=5)


def every_measure(home: Callable[[], Path], answers: Sequence[str]) -> list[Measure]:
    """All of them."""
    return [growth(home(), answers), memory(home(), answers), coming_back(home(), answers)]


class _Talk:
    """A conversation in a store of its own; a context manager."""

    def __init__(self, folder: Path, answers: Sequence[str]) -> None:
        self.path = str(folder / "store.sqlite3")
        config = Config(environ={"LLM_MAGIC_STORE": self.path})
        self.session = Session(config=config, conversation_type=Conversation, is_kept=True)
        self.conversation = Conversation(name="long", model="m", session=self.session)
        self.characters = 0
        text = "\n\n".join(answers)
        self._answer = (text * (1 + ANSWER_CHARACTERS // len(text)))[:ANSWER_CHARACTERS]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def ask(self) -> None:
        """One more turn; every text is one of its own, as it is in life."""
        number = len(self.conversation.slots)
        self.conversation.backend = ScriptedBackend([says(f"{number}. {self._answer}")])
        self.characters += len(self.conversation.ask(f"{number}. {PROMPT}").text) + len(PROMPT)


def _median(work: Callable[[], object]) -> float:
    spent = []
    for _ in range(15):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return statistics.median(spent)
