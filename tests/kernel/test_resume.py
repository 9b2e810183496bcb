"""A conversation across kernels: resume, usage by scope, forget; a restart is a real one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.kernel.conftest import CANARY, Chat
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.server import FakeServer

pytestmark = pytest.mark.kernel
SLOTS = "[len(slot.versions) for slot in get_ipython()._llm_magic.session.current.slots]"


@pytest.fixture
def notebook(tmp_path: Path, fake_server: FakeServer) -> Iterator[Chat]:
    """A kernel of a notebook with a name, as Jupyter tells it."""
    environ = {
        "OPENAI_API_KEY": CANARY,
        "OPENAI_BASE_URL": fake_server.url,
        "LLM_MAGIC_MODEL": "echo",
        "JPY_SESSION_NAME": "/home/ada/walks.ipynb",
    }
    with Kernel(tmp_path, environ=environ) as kernel:
        kernel.run("%load_ext llm_magic").checked()
        yield Chat(kernel=kernel, server=fake_server)


def ask(chat: Chat, *cells: str) -> None:
    for cell in cells:
        chat.run(f"%%chat\nask {cell}", cell).checked()


def restart(chat: Chat) -> None:
    chat.kernel.restart()
    chat.run("%load_ext llm_magic", "load").checked()


def said(chat: Chat, line: str) -> str:
    """What a command printed of itself; what is said once of the store beside it is left out."""
    lines = chat.run(f"%chat {line}", "command").checked().stdout.splitlines()
    (own,) = (line for line in lines if "kept in" not in line and "are kept:" not in line and "is kept:" not in line)
    return own


def rows(chat: Chat, scope: str = "") -> int:
    return int(chat.kernel.value(f"len(get_ipython().run_line_magic('chat', 'usage {scope}'))"))


def store_bytes(chat: Chat) -> bytes:
    """All bytes of all files of the store."""
    files = [path for path in (chat.kernel.home / "xdg-data").rglob("*") if path.is_file()]
    assert files
    return b"".join(path.read_bytes() for path in files)


def test_resume_after_a_restart_takes_the_cells_back(notebook: Chat) -> None:
    """The turns are there again, and running all cells adds versions to them, not turns."""
    notebook.run("%chat new walk", "n").checked()
    ask(notebook, "a", "b", "c")
    restart(notebook)

    line = said(notebook, "resume")

    assert re.fullmatch(r"conversation 'walk': 3 turns, last changed \d{4}-\d\d-\d\d \d\d:\d\d", line)
    assert notebook.kernel.value(SLOTS) == [1, 1, 1]
    shown = notebook.run("%chat", "s").checked().bundles[-1]["text/plain"]
    assert shown.endswith("This session has asked nothing yet.")
    ask(notebook, "a", "b", "c", "d")
    assert notebook.kernel.value(SLOTS) == [2, 2, 2, 1]
    assert said(notebook, "resume").startswith("conversation 'walk': 4 turns")
    assert "No conversation 'wolk' is kept." in notebook.one_line(notebook.run("%chat resume wolk", "e"))


def test_marks_survive_a_restart(notebook: Chat) -> None:
    """What was picked, hidden, moved and taken back is so after a restart, without an ask in between."""
    notebook.run("%chat new walk", "n").checked()
    ask(notebook, "a", "b", "c", "d", "a")
    for line in ("pick 1.1", "hide 2", "move 3 before 1", "undo", "system Be brief."):
        notebook.run(f"%chat {line}", "command").checked()
    ask(notebook, "e")
    said(notebook, "undo")
    restart(notebook)
    said(notebook, "resume walk")

    shown = notebook.run("%chat", "s").checked().bundles[-1]["text/plain"]

    assert [line.split()[:3] for line in shown.splitlines()[1:-1]] == [
        [str(n), "ask", c] for n, c in enumerate("abcd", 1)
    ]
    assert "hidden" in shown.splitlines()[2]
    ask(notebook, "f")
    sent = [(m["role"], m["content"]) for m in notebook.server.requests[-1].body["messages"]]
    assert [text for role, text in sent if role == "user"] == ["ask a", "ask c", "ask d", "ask f"]
    assert sent[0] == ("system", "Be brief.")


def test_fork_is_kept_with_its_parent(notebook: Chat) -> None:
    """A fork comes back by its name, and so does what it was forked from."""
    notebook.run("%chat new walk", "n").checked()
    ask(notebook, "a", "b")
    said(notebook, "fork rain at 1")
    ask(notebook, "b")
    restart(notebook)

    assert said(notebook, "resume rain").startswith("conversation 'rain': 2 turns")
    assert said(notebook, "resume walk").startswith("conversation 'walk': 2 turns")
    notebook.run("%chat use rain", "u").checked()
    shown = notebook.run("%chat", "s").checked().bundles[-1]["text/plain"]
    assert shown.startswith("Conversation 'rain' (forked from 'walk') · 2 turns")


def test_loaded_copy_is_kept_beside_its_original(notebook: Chat) -> None:
    """A conversation that was saved and loaded again is kept twice, under both names."""
    notebook.run("%chat new walk", "n").checked()
    ask(notebook, "a")
    notebook.run("%chat save walk.json\n%chat load walk.json", "file").checked()
    ask(notebook, "b")
    restart(notebook)

    assert said(notebook, "resume walk-2").startswith("conversation 'walk-2': 2 turns")
    assert said(notebook, "resume walk").startswith("conversation 'walk': 1 turn,")


def test_usage_is_the_notebooks_across_restarts(notebook: Chat) -> None:
    """Session, notebook, all: what was paid for is there after a restart, once."""
    ask(notebook, "a", "b")
    restart(notebook)
    ask(notebook, "c")

    assert (rows(notebook, "session"), rows(notebook), rows(notebook, "notebook"), rows(notebook, "all")) == (
        1,
        3,
        3,
        3,
    )
    assert notebook.kernel.value("__import__('llm_magic').usage(scope='all').turn_id.nunique()") == 3
    assert "no scope 'ever'" in notebook.one_line(notebook.run("__import__('llm_magic').usage(scope='ever')", "e"))


def test_forget_leaves_nothing_in_the_file(notebook: Chat) -> None:
    """Prompts and answers are gone from the bytes of the store; what they cost stays."""
    notebook.run("%chat new secret", "n").checked()
    notebook.run("%%chat\nthe plaintext of a secret", "a").checked()
    notebook.run("%chat new other", "n").checked()
    ask(notebook, "kept")
    restart(notebook)
    assert b"plaintext of a secret" in store_bytes(notebook)

    assert said(notebook, "forget secret") == "forgotten: 'secret', 1 turn"

    assert b"plaintext of a secret" not in store_bytes(notebook)
    assert b"ask kept" in store_bytes(notebook)
    assert rows(notebook) == 2
    said(notebook, "resume other")
    assert said(notebook, "forget") == "forgotten: 'other', 1 turn"
    assert b"ask kept" not in store_bytes(notebook)
    assert "No conversation 'other' is kept." in notebook.one_line(notebook.run("%chat resume other", "e"))


def test_kept_names_are_offered_by_tab(notebook: Chat) -> None:
    """Conversations of former sessions complete, the last changed first."""
    for name in ("one", "two"):
        notebook.run(f"%chat new {name}", "n").checked()
        ask(notebook, name)
    restart(notebook)

    assert notebook.kernel.complete("%chat resume ") == ["two", "one"]


def test_nothing_to_resume_is_one_line(notebook: Chat) -> None:
    """Without a former session, and without a store, resume says so."""
    assert "No conversation of this notebook is kept." in notebook.one_line(notebook.run("%chat resume", "r"))

    notebook.run("%chat config store=off", "off").checked()

    assert "Nothing is stored here." in notebook.one_line(notebook.run("%chat resume", "r"))
