"""The store behind real kernels: killed in mid-stream, restarted, two on one notebook, and where nothing is stored."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from tests.kernel.conftest import CANARY
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.server import FakeServer
    from tests.kernel.harness import Outcome

pytestmark = pytest.mark.kernel
_SESSION = "get_ipython()._llm_magic.session"
# Status and length of the answer of each turn that counts.
TURNS = f"[(t.status, len(t.text)) for t in {_SESSION}.current.turns]"
PROMPTS = f"[t.prompt[0].text.strip() for t in {_SESSION}.current.turns]"
ROWS = f"[(r.status, r.is_estimate) for r in {_SESSION}.usage_rows('notebook')]"


@contextlib.contextmanager
def kernel_at(home: Path, server: FakeServer, **environ: str) -> Iterator[Kernel]:
    """A kernel of one notebook, with the extension loaded; its home may have been another's before."""
    home.mkdir(exist_ok=True)
    known = {
        "OPENAI_API_KEY": CANARY,
        "OPENAI_BASE_URL": server.url,
        "LLM_MAGIC_MODEL": "echo",
        "JPY_SESSION_NAME": "/home/ada/walks.ipynb",
        # A store of its own, also where two have one home.
        "XDG_DATA_HOME": str(home.parent / "data"),
    }
    with Kernel(home, environ=known | environ) as kernel:
        kernel.run("%load_ext llm_magic").checked()
        yield kernel


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The store of those kernels."""
    return tmp_path / "data" / "llm_magic" / "store.sqlite3"


def ask(kernel: Kernel, *cells: str) -> list[Outcome]:
    """Run cells that ask, as JupyterLab does."""
    return [kernel.run(f"%%chat\nask {cell}", cell_id=cell).checked() for cell in cells]


def drafted(path: Path) -> int:
    """Characters of the answer under way that are in the file."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        found = file.execute("SELECT max(length(text)) FROM drafts JOIN turns ON turns.number = drafts.turn")
        return int(found.fetchone()[0] or 0)


def test_killed_in_mid_stream(tmp_path: Path, path: Path, fake_server: FakeServer) -> None:
    """After kill -9 the next kernel says what is kept; it all comes back, the partial answer and its costs too."""
    with kernel_at(tmp_path / "one", fake_server) as kernel:
        ask(kernel, "a", "b")
        streaming = kernel.submit("%%chat -m tokens-2000@100\nask long", cell_id="long")
        stored = 0

        def has_come(_message: object) -> bool:
            nonlocal stored
            stored = drafted(path)
            return stored > 500

        kernel.wait_for(has_come, parent_id=streaming, timeout_s=100)
        kernel.kill()

    before = len(fake_server.requests)
    with kernel_at(tmp_path / "one", fake_server) as kernel:
        first = kernel.run("%chat config model=echo", cell_id="first").checked()
        assert "3 turns of this notebook are kept: %chat resume" in first.stdout
        kernel.run("%chat resume", cell_id="second").checked()

        *whole, (status, length) = kernel.value(TURNS)
        assert [found for found, _ in whole] == ["complete", "complete"]
        assert status == "interrupted"
        assert length >= stored
        assert kernel.value(PROMPTS) == ["ask a", "ask b", "ask long"]
        assert kernel.value(ROWS) == [("complete", False), ("complete", False), ("interrupted", True)]
        assert len(fake_server.requests) == before

        # Run All: as many requests as asks, and no turn more.
        ask(kernel, "a", "b", "long")
        assert len(fake_server.requests) == before + 3
        assert kernel.value(PROMPTS) == ["ask a", "ask b", "ask long"]
        assert kernel.value(f"[len(s.versions) for s in {_SESSION}.current.slots]") == [2, 2, 2]


def test_two_kernels_of_one_notebook(tmp_path: Path, fake_server: FakeServer) -> None:
    """The second takes the conversation up, the first goes on as a copy; neither misses a turn of its own."""
    with kernel_at(tmp_path / "one", fake_server) as one, kernel_at(tmp_path / "two", fake_server) as two:
        ask(one, "a")
        two.run("%chat resume", cell_id="resume").checked()
        ask(two, "theirs")
        (outcome,) = ask(one, "ours")
        ask(two, "theirs too")

        assert "here it goes on as a copy" in outcome.stdout
        assert one.value(PROMPTS) == ["ask a", "ask ours"]
        assert two.value(PROMPTS) == ["ask a", "ask theirs", "ask theirs too"]
        kept = f"sorted(k.n_turns for k in {_SESSION}.keeper.call(lambda store: store.conversations()))"
        assert one.value(kept) == [2, 3]
        assert len(one.value(ROWS)) == len(two.value(ROWS)) == 4


@pytest.mark.parametrize("store", ["off", "memory"])
def test_nothing_is_written_where_nothing_is_to_be(
    tmp_path: Path, path: Path, fake_server: FakeServer, store: str
) -> None:
    """With LLM_MAGIC_STORE=off or memory there is no file, no folder, and nothing of what was asked on the disk."""
    with kernel_at(tmp_path / "one", fake_server, LLM_MAGIC_STORE=store, HOME=str(tmp_path / "one")) as kernel:
        # IPython's own history is not ours.
        kernel.run("%config HistoryManager.enabled = False").checked()
        (outcome,) = ask(kernel, "a")
        kernel.run("%chat undo", cell_id="undo").checked()
        assert outcome.stdout == ""

    assert not path.parent.exists()
    assert not [file for file in tmp_path.rglob("*") if "llm_magic" in file.name or file.name.startswith("store")]


def test_first_ask_says_where_and_the_file_is_the_users_alone(
    tmp_path: Path, path: Path, fake_server: FakeServer
) -> None:
    """One line, once, says where things are kept; file and folder are private, and no key is in them."""
    with kernel_at(tmp_path / "one", fake_server) as kernel:
        first, second = ask(kernel, "a", "b")
        kernel.run("%chat config temperature=0.5", cell_id="c").checked()
        ask(kernel, "c")

        assert first.stdout == f"Conversations are kept in {path}; %chat config store=off keeps nothing.\n"
        assert second.stdout == ""
        if sys.platform != "win32":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"ask c" in written
    assert CANARY.encode() not in written
