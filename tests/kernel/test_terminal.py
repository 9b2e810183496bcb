"""Terminal IPython: a real one in a process of its own, asked through its standard input."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kernel.harness import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.server import FakeServer

pytestmark = pytest.mark.kernel


def ipython(home: Path, server: FakeServer, *lines: str, is_watched: bool = False) -> str:
    """What a terminal IPython prints for these lines.

    Args:
        home: Its folder.
        server: Who answers.
        lines: What is typed.
        is_watched: Typed at a terminal; else it comes from a pipe.
    """
    environ = environment(home) | {
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": "sk-canary-0123456789",
        "LLM_MAGIC_MODEL": "echo",
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
    }
    typed = "\n".join(["%load_ext llm_magic", *lines, "exit", ""])
    keyboard, stdin = pty.openpty() if is_watched else os.pipe()[::-1]
    os.write(keyboard, typed.encode())
    if not is_watched:
        os.close(keyboard)
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor"],
        stdin=stdin,
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    os.close(stdin)
    if is_watched:
        os.close(keyboard)
    return done.stdout + done.stderr


@pytest.mark.capability("G20")
def test_terminal_prints_safe_text_and_every_ask_is_a_turn(tmp_path: Path, fake_server: FakeServer) -> None:
    """Answers are printed, escape sequences in them are not, and a line that is asked twice is two turns."""
    shown = ipython(
        tmp_path,
        fake_server,
        r"text = 'red \x1b[31mtext\x1b[0m \u202egnol'",
        "get_ipython().run_cell_magic('chat', '', text)",
        "get_ipython().run_cell_magic('chat', '', text)",
        "reply = %llm in passing",
        "print('got', reply.text)",
        "%chat",
    )

    assert "red text <U+202E>gnol" in shown
    assert "\x1b[31m" not in shown
    assert "[echo-2026 · " in shown
    assert "got in passing" in shown
    assert "2 turns" in shown
    assert "Traceback" not in shown


def test_terminal_shows_an_error_as_one_line(tmp_path: Path, fake_server: FakeServer) -> None:
    """No traceback in a terminal either."""
    shown = ipython(tmp_path, fake_server, "%llm -m status-401 hello", "%llm {{ missing }}")

    assert "AuthenticationError: The key was refused (HTTP 401)" in shown
    assert "InterpolationError: No variable named 'missing'" in shown
    assert "Traceback" not in shown
    assert "site-packages" not in shown


def test_terminal_goes_on_in_the_background(tmp_path: Path, fake_server: FakeServer) -> None:
    """A line when it is asked, a line when it is answered; what still goes on at the end is stopped without a word."""
    background = "get_ipython().run_cell_magic('chat', {!r}, 'hello there')"
    shown = ipython(
        tmp_path,
        fake_server,
        background.format("--background --into note"),
        "import time",
        "while 'note' not in globals(): time.sleep(0.01)",
        "",
        "print(note.text.upper())",
        "%chat show 1",
        background.format("--background -m tokens-100000@100"),
    )

    assert "[turn 1: asked in the background]" in shown
    assert "[turn 1: answered · note]" in shown
    assert "HELLO THERE" in shown
    assert "[turn 2: asked in the background]" in shown
    assert "Traceback" not in shown
    assert "Fatal" not in shown
    fake_server.wait_until(lambda: all(request.is_over for request in fake_server.requests))


@pytest.mark.parametrize("is_watched", [True, False])
def test_terminal_asks_whether_a_call_may_run(tmp_path: Path, fake_server: FakeServer, is_watched: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """At the prompt, with the next line typed as the answer; behind a pipe nobody is asked, and a line says so."""
    shown = ipython(
        tmp_path,
        fake_server,
        "def add(a: int, b: int): return a + b",
        "",
        "get_ipython().run_cell_magic('chat', '-m calls --tool add', '[[\"add\", {\"a\": 20, \"b\": 22}]]')",
        "a" if is_watched else "pass",
        is_watched=is_watched,
    )

    question = 'Run add({"a": 20, "b": 22}) from cell '
    assert (question in shown) is is_watched
    assert ('[add({"a": 20, "b": 22}): done: 42]' in shown) is is_watched
    assert ("nobody could be asked: no page shows this answer" in shown) is not is_watched
    assert "Traceback" not in shown
