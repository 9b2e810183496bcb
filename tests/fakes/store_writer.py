"""Processes that write to a store, to be killed, starved and forked: ``python -m tests.fakes.store_writer``.

Each line on standard input begins one, in a fork of this process that has imported everything already:
``KIND PATH N``. Lines on standard output tell what it does, each after it is done.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_magic.slots import Conversation
from llm_magic.store import BusyStoreError, Draft, Store
from tests.fakes.kept import asked, difference, row_of, some_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIES = 100


def tell(*words: object) -> None:
    """One line, at once and whole, also where several tell."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write_turns(path: str, n_turns: int) -> None:
    """Write turns to a conversation of one's own, one at a time; try again where another process is faster."""
    store = patiently(lambda: Store(path))
    talk = Conversation(name="many")
    session = f"session {os.getpid()}"
    for number in range(n_turns):
        before = talk.slots
        turn = some_turn(f"answer {number}")
        asked(talk, turn)
        changes = replace(difference(talk, before, session=session), rows=(row_of(turn, session=session),))
        patiently(lambda changes=changes: store.write(changes))
        tell("turn", talk.id, turn.id)
    store.close()


def stream_turns(path: str, n_drafts: int) -> None:
    """Write turns for ever, each as drafts first, until somebody puts an end to it."""
    store = Store(path)
    talk = Conversation(name="killed")
    session = f"session {os.getpid()}"
    while True:
        before = talk.slots
        slot = talk.reserve(None)
        store.write(difference(talk, before, session=session))
        turn = some_turn("", status="interrupted")
        for _ in range(n_drafts):
            turn = replace(turn, text=turn.text + "word " * 20)
            row = row_of(turn, session=session)
            store.write_draft(Draft(turn=turn, row=row, conversation=talk.id, slot=slot.id))
            tell("draft", talk.id, turn.id, len(turn.text))
        turn = replace(turn, text=turn.text + "end", status="complete")
        before = talk.slots
        talk.add_version(slot, turn)
        store.write(replace(difference(talk, before, session=session), rows=(row_of(turn, session=session),)))
        tell("turn", talk.id, turn.id)


KINDS = {"write": write_turns, "stream": stream_turns}


def main() -> None:
    """Fork what is asked for, one process for each line."""
    children: set[int] = set()
    for line in sys.stdin:
        kind, path, number = line.split()
        if kind == "wait":
            for child in children:
                os.waitpid(child, 0)
            children.clear()
            tell("ended")
            continue
        child = os.fork()
        if not child:
            try:
                KINDS[kind](path, int(number))
            finally:
                os._exit(0)
        children.add(child)
        tell("pid", child)


class Writers:
    """The process that forks writers, as a test sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout

    def say(self, kind: str, path: object = "-", number: int = 0) -> None:
        """Begin a writer, or ``wait`` for all to end."""
        self.stdin.write(f"{kind} {path} {number}\n".encode())
        self.stdin.flush()

    def lines(self) -> Iterator[list[str]]:
        """What they tell, until all have ended."""
        for line in iter(self.stdout.readline, b""):
            if line == b"ended\n":
                return
            yield line.decode().split()


@contextlib.contextmanager
def writers() -> Iterator[Writers]:
    """Begin the process; it ends with its input."""
    command = [sys.executable, "-m", "tests.fakes.store_writer"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        yield Writers(process)
        assert process.stdin is not None
        process.stdin.close()


def patiently(action: Any) -> Any:
    """Do something with a store, again while other processes are faster."""
    for _ in range(TRIES):
        with contextlib.suppress(BusyStoreError):
            return action()
    return action()


if __name__ == "__main__":
    main()
