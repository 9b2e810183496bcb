"""What becomes of cells in JupyterLab and in Notebook themselves: deleted, restored, cut, pasted, edited, renamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.fakes.frontends import Recorded, shape
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.lab import App, Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("app", ["lab", "notebook"])]

GONE = "1 turn sent whose cell is gone: %chat prune hides it"
LOAD = "%load_ext llm_magic"
# Three that ask, one that looks.
CELLS = [LOAD, "%%chat\none", "%%chat\ntwo", "%%chat\nthree", "%chat"]
RECORDED = {"lab": "jupyterlab", "notebook": "notebook"}
TELL = "import json, os\nprint(json.dumps([get_ipython().get_parent(), os.environ['JPY_SESSION_NAME']], default=str))"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers with what it was asked."""
    with FakeServer() as started:
        yield started


def opened(lab: Lab, server: FakeServer, app: App) -> Notebook:
    """A notebook of a user who has a key, its three asking cells run once."""
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", "LLM_MAGIC_MODEL": "echo"}
    notebook = lab.open(CELLS, environ=environ, app=app)
    notebook.run_all()
    assert marks(notebook) == ["", "", ""]
    return notebook


def marks(notebook: Notebook) -> list[str]:
    """The marks that ``%chat``, the last cell, shows of each turn."""
    last = len(notebook.cell_ids) - 1
    notebook.run_cell(last)
    return [row.locator("td").last.inner_text() for row in notebook.output(last).locator("tbody tr").all()]


def told(notebook: Notebook, index: int) -> list[Any]:
    """The request that ran the cell, and what the kernel holds the notebook's file to be."""
    notebook.run_cell(index)
    return list(json.loads("".join(notebook.saved(index)[0]["text"])))


def test_deleted_cell_is_named_once_and_revived_when_it_is_back(lab: Lab, server: FakeServer, app: App) -> None:
    """Deleted: marked, and the next answer says so once; the deletion undone and the cell run, all is as before."""
    notebook = opened(lab, server, app)
    notebook.command("notebook:delete-cell", 1)

    notebook.run_cell(2)
    expect(notebook.output(2)).to_contain_text("three")
    assert GONE in notebook.outputs(2).text
    assert marks(notebook) == ["cell gone", "", "2 versions"]
    notebook.run_cell(2)
    assert GONE not in notebook.outputs(2).text

    notebook.command("notebook:undo-cell-action")
    assert notebook.cell_ids == [f"cell-{number}" for number in range(5)]
    notebook.run_cell(1)

    assert marks(notebook) == ["2 versions", "stale", "stale, 3 versions"]
    assert GONE not in notebook.outputs(1).text
    assert len(server.requests[-1].body["messages"]) == 1


def test_run_all_after_a_restored_cell_leaves_nothing_gone(lab: Lab, server: FakeServer, app: App) -> None:
    """Run All tells of the deletion with every cell, also behind the cell that is back."""
    notebook = opened(lab, server, app)
    notebook.command("notebook:delete-cell", 2)
    notebook.command("notebook:undo-cell-action")

    notebook.run_all()

    assert marks(notebook) == ["2 versions"] * 3


def test_cut_and_pasted_cell_keeps_its_turn_and_a_copy_has_its_own(lab: Lab, server: FakeServer, app: App) -> None:
    """The first paste after a cut is the same cell at another place; what is pasted again or copied is a new one."""
    notebook = opened(lab, server, app)

    notebook.command("notebook:cut-cell", 1)
    notebook.command("notebook:paste-cell-below", 1)
    assert notebook.cell_ids[1:4] == ["cell-2", "cell-1", "cell-3"]
    assert marks(notebook) == ["cell gone", "", ""]
    notebook.run_cell(2)
    assert marks(notebook) == ["2 versions", "stale", "stale"]

    notebook.command("notebook:paste-cell-below", 2)
    notebook.run_cell(3)
    assert marks(notebook) == ["2 versions", "stale", "stale", ""]


def test_cell_edited_to_ask_no_more_gives_up_its_turn(lab: Lab, server: FakeServer, app: App) -> None:
    """Its turn is marked, sent all the same, and comes back with the ask."""
    notebook = opened(lab, server, app)
    notebook.set_source(1, "1 + 1")
    notebook.run_cell(1)
    assert marks(notebook) == ["cell gone", "", ""]

    notebook.run_cell(2)
    assert GONE in notebook.outputs(2).text
    assert [m["content"] for m in server.requests[-1].body["messages"]][0::2] == ["one", "two"]

    notebook.set_source(1, "%%chat\none")
    notebook.run_cell(1)
    assert marks(notebook)[0] == "2 versions"


def test_request_is_the_recorded_one(lab: Lab, app: App) -> None:
    """What the front end sends today is what the fixture holds, but for its values."""
    notebook = lab.open([TELL], app=app)

    request, _ = told(notebook, 0)

    recorded = Recorded.of(RECORDED[app]).data["request"]
    assert {part: shape(request[part]) for part in recorded} == shape(recorded)


def test_renamed_notebook_keeps_its_ids_and_has_its_name_after_a_restart(lab: Lab, app: App) -> None:
    """A running kernel holds on to the name the notebook had; a restarted one has the new one."""
    notebook = lab.open([TELL], app=app)
    before, name = told(notebook, 0)
    assert name == str(notebook.path)

    notebook.rename(f"{notebook.path.stem}-renamed.ipynb")
    renamed, old = told(notebook, 0)
    notebook.restart()
    restarted, new = told(notebook, 0)

    assert (old, new) == (name, str(notebook.path))
    assert len({one["metadata"]["cellId"] for one in (before, renamed, restarted)}) == 1
