"""A user's whole story of a conversation that can be trusted, in a real kernel, restarts included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fakes.server import FakeServer
from tests.kernel.harness import Kernel, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kernel
CELLS = {f"cell-{number}": f"%%chat\nquestion {number}" for number in range(1, 11)}


class Notebook:
    """A notebook of ten asking cells and a kernel that is started again."""

    def __init__(self, kernel: Kernel, server: FakeServer) -> None:
        self.kernel = kernel
        self.server = server

    def run(self, code: str, cell_id: str = "command") -> Outcome:
        """Run a cell as JupyterLab does."""
        return self.kernel.run(code, cell_id=cell_id).checked()

    def says(self, code: str) -> str:
        """What a command prints or shows."""
        outcome = self.run(code)
        shown = [bundle["text/plain"] for bundle in outcome.bundles]
        return "\n".join([outcome.stdout.strip(), *shown]).strip()

    def run_all(self) -> None:
        """Run all asking cells, top to bottom."""
        for cell_id, code in CELLS.items():
            self.run(code, cell_id)

    def numbers(self, word: str) -> list[int]:
        """Numbers of the turns that ``%chat`` marks so."""
        lines = (line.split() for line in self.says("%chat").splitlines() if word in line)
        return [int(line[0]) for line in lines if line[0].isdigit()]

    def texts(self) -> list[str]:
        """The answers that count, in order."""
        value: list[str] = self.kernel.value("[turn.text for turn in __import__('llm_magic').conversation().turns]")
        return value


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    """A notebook with the extension loaded."""
    environ = {"OPENAI_API_KEY": "sk-story", "LLM_MAGIC_MODEL": "gpt-5.4-mini"}
    environ["JPY_SESSION_NAME"] = str(tmp_path / "story.ipynb")
    with (
        FakeServer() as server,
        Kernel(tmp_path / "home", environ=environ | {"OPENAI_BASE_URL": server.url}) as kernel,
    ):
        made = Notebook(kernel, server)
        made.run("%load_ext llm_magic")
        yield made


def test_story_of_a_conversation(notebook: Notebook, tmp_path: Path) -> None:
    """Ten cells: edited, refreshed, picked, undone, deleted, forked, resumed, run again, saved, forgotten."""
    notebook.run_all()
    notebook.run("%%chat\nquestion 8, edited", "cell-8")
    assert notebook.numbers("stale") == [9, 10]

    # The plan and its price come before anything is asked.
    asked = len(notebook.server.billed)
    plan = notebook.says("%chat refresh plan")
    assert plan.startswith("2 stale turns; turns 9 and 10 to ask again: 2 requests")
    assert "$" in plan
    assert len(notebook.server.billed) == asked
    assert notebook.says("%chat refresh").startswith(plan)
    assert len(notebook.server.billed) == asked + 2
    assert notebook.numbers("stale") == []

    notebook.run("%chat pick 8.1")
    assert notebook.texts()[7] == "question 8"
    notebook.run("%chat undo")
    assert notebook.texts()[7] == "question 8, edited"
    notebook.run("%chat redo")
    assert notebook.texts()[7] == "question 8"

    # A deleted cell is named once; its turn is still sent.
    notebook.kernel.run("1", metadata={"cellId": "other", "deletedCells": ["cell-3"]}).checked()
    assert notebook.numbers("cell gone") == [3]
    told = notebook.run("%%chat\nquestion 10", "cell-10").bundles[-1]["text/plain"]
    assert "1 turn sent whose cell is gone: %chat prune hides it" in told

    notebook.run("%chat fork short at 4")
    assert notebook.texts() == [f"question {number}" for number in range(1, 5)]
    notebook.run("%chat use main")

    rows = len(notebook.server.billed)
    notebook.kernel.restart()
    notebook.run("%load_ext llm_magic")
    assert "10 turns of this notebook are kept: %chat resume" in notebook.says("%chat")
    notebook.run("%chat resume")
    notebook.run("%chat resume")
    assert notebook.texts()[7] == "question 8"
    assert len(notebook.server.billed) == rows, "nothing is asked by coming back"

    notebook.run_all()
    assert len(notebook.texts()) == 10
    assert len(notebook.server.billed) == rows + 10
    assert notebook.kernel.value("len(__import__('llm_magic').usage())") == rows + 10
    assert notebook.kernel.value("__import__('llm_magic').usage().session.nunique()") == 2

    path = tmp_path / "talk.json"
    notebook.run(f"%chat save {path}")
    notebook.run(f"%chat load {path}")
    loaded = "__import__('llm_magic').conversation()"
    assert notebook.kernel.value(f"len({loaded}.slots)") == 10
    assert json.loads(path.read_text())["slots"] == notebook.kernel.value(f"{loaded}.to_dict()['slots']")

    (store,) = notebook.kernel.home.rglob("store.sqlite3")
    assert b"question 8, edited" in store.read_bytes()
    for name in ("main-2", "main", "short"):
        notebook.run(f"%chat forget {name}")
    assert b"question" not in store.read_bytes()


def test_resume_again_changes_nothing(notebook: Notebook) -> None:
    """The cell with ``%chat resume`` can be run as often as one likes, also where more is kept."""
    notebook.run("%%chat\none", "a")
    notebook.run("%chat new second")
    notebook.run("%%chat\ntwo", "b")
    notebook.kernel.restart()
    notebook.run("%load_ext llm_magic")

    for _ in range(2):
        notebook.run("%chat resume")
        assert notebook.texts() == ["two"]
    notebook.run("%chat resume main")
    assert notebook.texts() == ["one"]
    notebook.run("%chat resume")
    assert notebook.texts() == ["two"]
