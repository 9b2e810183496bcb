"""The chat panel docked in JupyterLab and in an output of Notebook: the story of a user who asks beside the cells."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator

    from tests.browser.lab import App, Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("app", ["lab", "notebook"])]

CELLS = ["%load_ext llm_magic", "%chat panel", "%%chat\nAnd from a *cell*?", "input()"]
PLACE = {"lab": ".jupyterlab-sidecar .llm-magic-panel", "notebook": ".jp-OutputArea .llm-magic-panel"}
CODE = "print('from the panel')\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers with what it was asked."""
    with FakeServer() as started:
        yield started


class Panel:
    """The panel of a notebook, as its user sees it.

    Args:
        notebook: Whose.
        app: Where it is open.
    """

    def __init__(self, notebook: Notebook, app: App) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.root = self.page.locator(PLACE[app])
        expect(self.root).to_be_visible()

    @property
    def message(self) -> Locator:
        """Where a question is written."""
        return self.root.get_by_label("Message", exact=True)

    def turn(self, number: int) -> Locator:
        """A turn by its number."""
        return self.root.get_by_role("article", name=f"Turn {number}", exact=True)

    def answer(self, number: int) -> Locator:
        """A turn's answer."""
        return self.turn(number).locator(".llm-magic-answer")

    def ask(self, text: str, *, number: int) -> None:
        """Ask, and wait until it is answered."""
        self.message.fill(text)
        self.message.press("Enter")
        expect(self.turn(number).get_by_role("button", name="Copy the answer")).to_be_visible()

    def use_model(self, name: str) -> None:
        """Choose the model in its field."""
        field = self.root.get_by_label("Model", exact=True)
        field.fill(name)
        field.press("Enter")
        self.message.focus()
        expect(field).to_have_value(name)

    def paste_picture(self) -> None:
        """Paste a screenshot into the message."""
        made = io.BytesIO()
        Image.new("RGB", (48, 32), (0, 128, 128)).save(made, "PNG")
        self.message.evaluate(
            """(target, data) => {
                const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                const clipboardData = new DataTransfer();
                clipboardData.items.add(new File([bytes], "screenshot.png", { type: "image/png" }));
                target.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
            }""",
            base64.b64encode(made.getvalue()).decode(),
        )


def opened(lab: Lab, server: FakeServer, app: App) -> Panel:
    """The panel in a notebook of a user who has a key."""
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", "LLM_MAGIC_MODEL": "echo"}
    notebook = lab.open(CELLS, environ=environ, app=app)
    # Notebook opens with an error of an extension of JupyterLab.
    notebook.watch.errors.clear()
    notebook.run_cell(0)
    notebook.run_cell(1)
    return Panel(notebook, app)


def last_content(server: FakeServer) -> Any:
    """What the last question was, on the wire."""
    return server.requests[-1].body["messages"][-1]["content"]


def ask_about_a_screenshot(panel: Panel, server: FakeServer) -> None:
    """A pasted picture goes with the question."""
    panel.paste_picture()
    panel.ask("What is this?", number=1)

    expect(panel.answer(1)).to_contain_text("What is this?")
    assert [part["type"] for part in last_content(server)] == ["text", "image_url"]


def edit_and_go_back(panel: Panel, server: FakeServer) -> None:
    """The question edited is a new version, with the picture; the first is one click away."""
    panel.turn(1).hover()
    panel.turn(1).get_by_role("button", name="Edit and ask again").click()
    editor = panel.root.get_by_label("Edit the message")
    editor.fill("What colour is this?")
    editor.press("Enter")
    expect(panel.answer(1)).to_contain_text("What colour is this?")
    versions = panel.turn(1).get_by_role("group", name="Versions")
    expect(versions).to_have_text("2/2")
    assert [part["type"] for part in last_content(server)] == ["text", "image_url"]

    versions.get_by_role("button", name="Earlier version").click()

    expect(versions).to_have_text("1/2")
    expect(panel.answer(1)).to_contain_text("What is this?")


def insert_code_and_run_it(panel: Panel) -> None:
    """Code of an answer becomes a cell behind the active one, and is run by hand."""
    panel.ask(f"```python\n{CODE}```", number=2)
    before = len(panel.notebook.cell_ids)

    panel.turn(2).get_by_role("button", name="Insert as cell").click()

    expect(panel.root.locator(".lmp-told")).to_have_text("Inserted as cell 3 of the notebook.")
    assert len(panel.notebook.cell_ids) == before + 1
    assert panel.notebook.saved(2) == []
    panel.notebook.run_cell(2)
    expect(panel.notebook.output(2)).to_have_text("from the panel")


def ask_in_a_cell(panel: Panel, server: FakeServer) -> None:
    """A cell sees what the panel asked, and the panel what the cell asks."""
    panel.notebook.run_cell(3)

    expect(panel.answer(3)).to_have_text("And from a cell?")
    asked = [message["content"] for message in server.requests[-1].body["messages"] if message["role"] == "user"]
    assert asked[1:] == [f"```python\n{CODE}```", "And from a *cell*?"]


def type_what_the_notebook_has_commands_for(panel: Panel) -> None:
    """Keys typed in the panel do nothing to the notebook."""
    cells = panel.notebook.cell_ids
    panel.message.click()

    for key in ("d", "d", "x", "a", "b", "Escape", "ArrowUp"):
        panel.page.keyboard.press(key)

    assert panel.notebook.cell_ids == cells
    expect(panel.message).to_be_focused()
    expect(panel.message).to_have_value("ddxab")


def save_from_the_panel(panel: Panel) -> None:
    """The keys that save the notebook save it from here, too."""
    panel.notebook.set_source(0, "# saved from the panel")
    panel.message.press("Control+s")

    panel.page.wait_for_function("() => !rig.isDirty()")
    assert "# saved from the panel" in panel.notebook.path.read_text()
    expect(panel.message).to_be_focused()


def ask_while_a_cell_waits(panel: Panel) -> None:
    """A cell that blocks keeps a question waiting, visibly."""
    panel.notebook.run_cell_nowait(4)
    stdin = panel.page.locator("input.jp-Stdin-input")
    expect(stdin).to_be_visible()

    panel.message.fill("Wait for me")
    panel.message.press("Enter")
    waiting = panel.root.get_by_role("article", name="Waiting question")
    expect(waiting).to_contain_text("Waiting for the running cell …")
    stdin.fill("done")
    stdin.press("Enter")

    expect(panel.answer(4)).to_have_text("Wait for me")
    expect(waiting).to_have_count(0)
    panel.notebook.finish()


def test_story_of_a_user_who_asks_beside_the_notebook(lab: Lab, server: FakeServer, app: App) -> None:
    """A user asks in the panel, beside cells that ask too; each sees the other, and neither is in the other's way."""
    panel = opened(lab, server, app)

    ask_about_a_screenshot(panel, server)
    edit_and_go_back(panel, server)
    insert_code_and_run_it(panel)
    ask_in_a_cell(panel, server)
    type_what_the_notebook_has_commands_for(panel)
    save_from_the_panel(panel)
    ask_while_a_cell_waits(panel)

    assert panel.notebook.watch.errors == []
    assert panel.notebook.foreign_requests() == []


def test_a_reload_in_mid_answer_loses_nothing(lab: Lab, server: FakeServer, app: App) -> None:
    """The page is loaded again while an answer arrives: all is back, the draft too; the next is stopped by Escape."""
    panel = opened(lab, server, app)
    panel.ask("One", number=1)
    panel.use_model("gated")
    panel.message.fill("Two")
    panel.message.press("Enter")
    expect(panel.answer(2)).to_have_text("before")
    panel.message.fill("a draft")
    panel.notebook.save()

    panel.notebook.reload()

    again = Panel(panel.notebook, app)
    expect(again.answer(1)).to_have_text("One")
    expect(again.answer(2)).to_have_text("before")
    expect(again.message).to_have_value("a draft")
    server.open_gate()
    expect(again.answer(2)).to_have_text("before after")
    assert len(server.requests) == 2

    again.use_model("stall")
    again.message.press("Enter")
    expect(again.answer(3)).not_to_be_empty()
    again.message.press("Escape")
    server.wait_until(lambda: server.requests[2].disconnected_at is not None)
    expect(again.turn(3).get_by_role("button", name="Continue the answer")).to_be_visible()
    expect(again.answer(3)).not_to_be_empty()

    panel.notebook.restart()
    expect(again.root.locator(".lmp-told")).to_contain_text("The kernel has ended")
    expect(again.message).to_be_disabled()
