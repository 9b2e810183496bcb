"""Terminal IPython: a real one in a process of its own, asked through its standard input."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kernel.harness import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.server import FakeServer

pytestmark = pytest.mark.kernel


def ipython(home: Path, server: FakeServer, *lines: str) -> str:
    """What a terminal IPython prints for these lines."""
    environ = environment(home) | {
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": "sk-canary-0123456789",
        "LLM_MAGIC_MODEL": "echo",
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
    }
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor"],
        input="\n".join(["%load_ext llm_magic", *lines, "exit", ""]),
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
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
