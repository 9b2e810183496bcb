"""A conversation that comes back: kernel restarted, notebook renamed, everything run again, in the real front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.lab import App, Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("app", ["lab", "notebook"])]

USAGE = "rows = %chat usage notebook\nprint(len(rows), 'requests in', rows.session.nunique(), 'sessions')"
CELLS = ["%load_ext llm_magic", "%chat resume", "%%chat\none", "%%chat\ntwo", "%chat", USAGE]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers with what it was asked."""
    with FakeServer() as started:
        yield started


def opened(lab: Lab, server: FakeServer, app: App) -> Notebook:
    """A notebook that has asked two things, and whose kernel was started again."""
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", "LLM_MAGIC_MODEL": "echo"}
    notebook = lab.open(CELLS, environ=environ, app=app)
    for index in (0, 2, 3):
        notebook.run_cell(index)
    return notebook


def test_conversation_is_there_after_a_restart(lab: Lab, server: FakeServer, app: App) -> None:
    """Restart, resume, Run All: as many turns as cells, their former versions, and all requests in the ledger."""
    notebook = opened(lab, server, app)
    notebook.restart()

    notebook.run_all()

    expect(notebook.output(1)).to_contain_text("conversation 'main': 2 turns")
    assert [row.locator("td").last.inner_text() for row in notebook.output(4).locator("tbody tr").all()] == [
        "2 versions",
        "2 versions",
    ]
    expect(notebook.output(5)).to_contain_text("4 requests in 2 sessions")
    assert len(server.requests) == 4


def test_conversation_is_offered_after_a_rename_and_a_restart(lab: Lab, server: FakeServer, app: App) -> None:
    """What was asked under the former name is found under the new one."""
    notebook = opened(lab, server, app)
    notebook.rename(f"{notebook.path.stem}-renamed.ipynb")
    notebook.restart()
    notebook.run_cell(0)

    notebook.run_cell(4)
    expect(notebook.output(4)).to_contain_text("which is not there any more, are kept: %chat resume")
    notebook.run_cell(1)

    expect(notebook.output(1)).to_contain_text("conversation 'main': 2 turns")
