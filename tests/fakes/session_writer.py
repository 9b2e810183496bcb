"""Processes that ask a server and keep what comes, to be killed: ``python -m tests.fakes.session_writer URL``.

Each line on standard input, the path of a store, begins one, in a fork of this process that has imported everything
already. Lines on standard output tell what it does, each after it is done: ``turn CONVERSATION TURN`` once its ask has
returned.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from llm_magic import books
from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.events import TextDelta
from llm_magic.session import Session
from tests.fakes.store_writer import tell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "tokens-40@400"
ONCE = b"killed\n"


def ask_for_ever(url: str, path: str) -> None:
    """Ask until somebody puts an end to it; drafts are written much more often than once a second."""
    books.DRAFT_EVERY_S = 0.02
    environ = {"LLM_MAGIC_STORE": path, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-of-a-test"}
    session = Session(config=Config(environ=environ), conversation_type=Conversation, is_kept=True)
    session.note_notebook("killed.ipynb", "/home/ada/killed.ipynb")
    chat = Conversation(session=session, model=MODEL, name="killed")
    while True:
        for event in chat.stream("go on"):
            if isinstance(event, TextDelta):
                tell("text")
        tell("turn", chat.id, chat.slots[-1].versions[-1].id)


def main() -> None:
    """Fork one process for each line, and wait until it has been killed."""
    # Imported before the first fork, not in each.
    importlib.import_module("openai")
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                tell("pid", os.getpid())
                ask_for_ever(sys.argv[1], line.strip())
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        tell("killed")


class SessionWriters:
    """The process that forks, as a test sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def begin(self, path: Path) -> int:
        """Begin a process; its id."""
        self._stdin.write(f"{path}\n".encode())
        self._stdin.flush()
        return int(self._stdout.readline().split()[1])

    def lines(self) -> Iterator[list[str]]:
        """What it tells, until it has been killed."""
        for line in iter(self._stdout.readline, b""):
            if line == ONCE:
                return
            yield line.decode().split()


@contextlib.contextmanager
def session_writers(url: str) -> Iterator[SessionWriters]:
    """Begin the process; it ends with its input."""
    command = [sys.executable, "-m", "tests.fakes.session_writer", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        yield SessionWriters(process)
        assert process.stdin is not None
        process.stdin.close()


if __name__ == "__main__":
    main()
