"""Background turns in JupyterLab and Notebook: they stream on in their cells, and a button stops its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.lab import App, Lab, Notebook

pytestmark = pytest.mark.browser
ASK = "%%chat --background -c {0} -m tokens-100000@100\n{0}"
# A cell that blocks the kernel until one of two answers has ended.
BLOCK = """
import time
session = get_ipython()._llm_magic.session
while len(session.watchers.runs) > 1:
    time.sleep(0.01)
"""
CELLS = ["%load_ext llm_magic", ASK.format("left"), ASK.format("right"), "print('meanwhile')", BLOCK, "%chat stop"]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers without an end."""
    with FakeServer() as started:
        yield started


def grows(notebook: Notebook, index: int) -> None:
    """Wait until a cell shows more of its answer than it does now."""
    area = notebook.output(index)
    condition = "([area, length]) => area.innerText.length > length + 100"
    notebook.page.wait_for_function(condition, arg=[area.element_handle(), len(area.inner_text())], timeout=60_000)


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_background_turns_stream_on_and_stop_by_their_own_button(lab: Lab, server: FakeServer, app: App) -> None:
    """Two at once, each in its output, while other cells run; stopped from the page while a cell blocks."""
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary-0123456789", "LLM_MAGIC_STORE": "off"}
    notebook = lab.open(CELLS, environ=environ, app=app)
    for index in range(4):
        notebook.run_cell(index)
    assert notebook.outputs(3).text == "meanwhile\n"
    grows(notebook, 1)
    grows(notebook, 2)

    notebook.run_cell_nowait(4)
    notebook.output(1).get_by_role("button", name="Stop answering").click()
    notebook.finish()

    expect(notebook.output(1)).to_contain_text("interrupted")
    grows(notebook, 2)
    expect(notebook.output(2).get_by_role("button", name="Stop answering")).to_be_visible()
    is_over = {request.body["messages"][-1]["content"]: request.is_over for request in server.requests}
    assert is_over == {"left": True, "right": False}
    notebook.run_cell(5)
    expect(notebook.output(2)).to_contain_text("interrupted")
    assert notebook.outputs(5).text == "1 answer stopped\n"
    for index in (1, 2):
        (saved,) = notebook.saved(index)
        assert set(saved["data"]) == {"text/html", "text/plain"}
        assert "interrupted" in saved["data"]["text/plain"]


@pytest.mark.parametrize("end", ["restart", "shutdown"])
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_page_says_that_the_kernel_has_ended(lab: Lab, server: FakeServer, app: App, end: str) -> None:
    """What it would have said comes too late: the text stays, and nothing seems to go on."""
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary-0123456789", "LLM_MAGIC_STORE": "off"}
    notebook = lab.open(CELLS[:2], environ=environ, app=app)
    notebook.run_cell(0)
    notebook.run_cell(1)
    grows(notebook, 1)
    area = notebook.output(1)
    before = area.locator(".llm-magic-answer").inner_text()

    notebook.restart() if end == "restart" else notebook.page.evaluate("() => rig.shutdown(60)")

    expect(area).to_contain_text(re.compile("interrupted: (the kernel has ended|what had arrived is kept)"))
    expect(area.get_by_role("button", name="Stop answering")).to_be_hidden()
    expect(area).to_contain_text(before[:100])
