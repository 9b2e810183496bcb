"""A user's first hour in JupyterLab: asked, followed up, run again, interrupted, mistyped, looped, kept."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.fakes.answers import words
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.lab import Lab, Notebook

pytestmark = pytest.mark.browser

LOAD = "%load_ext llm_magic"
DATA = """
import pandas as pd
from PIL import Image
df = pd.DataFrame({"city": ["Lima", "Oslo"], "sun": [7.1, 4.6]})
img = Image.new("RGB", (40, 30), (0, 128, 128))
"""
FIRST = "%%chat\nWhich city has more sun in {{ df }} and what colour is {{ img }}"
FOLLOW_UP = "%%chat\nAnd which one has **less**?"
# Twenty words, and then nothing more.
STALLING = "%%chat -m stall\nSing the whole song"
SO_FAR = "".join(words(20))
TYPO = "%%chat\nWhat is wrong in {{ dff }}"
LOOP = """
def foods(cities):
    found = []
    for city in cities:
        reply = %llm Name one food of {{ city }}
        found.append(reply.text)
    return found

print(foods(["Lima", "Oslo"]))
"""
CELLS = [LOAD, DATA, FIRST, FOLLOW_UP, STALLING, TYPO, LOOP, "%chat", "%chat usage", "%chat frame"]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers with what it was asked."""
    with FakeServer() as started:
        yield started


def settings(server: FakeServer) -> dict[str, str]:
    """The environment of a user who has a key."""
    return {
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": "sk-canary-0123456789",
        "LLM_MAGIC_MODEL": "echo",
    }


def sent(server: FakeServer, number: int) -> list[dict[str, object]]:
    """The messages of a request, counted from 0."""
    return list(server.requests[number].body["messages"])


def ask_about_a_table_and_a_picture(notebook: Notebook, server: FakeServer) -> None:
    """The first turn: table as text, picture as picture, in the order they were written."""
    notebook.run_cell(2)

    expect(notebook.output(2)).to_contain_text("Lima")
    (message,) = sent(server, 0)
    content = message["content"]
    assert isinstance(content, list)
    assert [part["type"] for part in content][-1] == "image_url"
    assert "Oslo" in "".join(part.get("text", "") for part in content)
    data = content[-1]["image_url"]["url"].partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (40, 30)


def follow_up_and_run_the_first_again(notebook: Notebook, server: FakeServer) -> None:
    """A follow-up sees the first turn; running the first again asks what it asked, and adds no turn."""
    notebook.run_cell(3)
    expect(notebook.output(3).locator("strong")).to_have_text("less")
    assert [message["role"] for message in sent(server, 1)] == ["user", "assistant", "user"]

    notebook.run_cell(2)
    assert sent(server, 2) == sent(server, 0)


def interrupt_an_answer(notebook: Notebook, server: FakeServer) -> None:
    """An interrupt keeps the text so far, ends the cell with one line, and the server sees it go."""
    notebook.run_cell_nowait(4)
    expect(notebook.output(4)).to_contain_text(SO_FAR)
    notebook.interrupt()
    notebook.finish()

    server.wait_until(lambda: server.requests[3].disconnected_at is not None)
    shown = notebook.outputs(4).text
    assert SO_FAR in shown
    assert [line for line in shown.splitlines() if line.startswith("Interrupted")]
    assert "Traceback" not in shown


def mistype_a_name(notebook: Notebook, server: FakeServer) -> None:
    """A typo is one line with the nearest name, and nothing is sent."""
    before = len(server.requests)

    notebook.run_cell(5)

    expect(notebook.output(5)).to_contain_text("did you mean df?")
    assert len(notebook.outputs(5).text.strip().splitlines()) == 1
    assert len(server.requests) == before


def ask_in_a_loop(notebook: Notebook, server: FakeServer) -> None:
    """Asides in a function see its locals and the conversation, and are not added to it."""
    notebook.run_cell(6)

    expect(notebook.output(6)).to_contain_text("['Name one food of Lima', 'Name one food of Oslo']")
    assert len(sent(server, -1)) == len(sent(server, -2))


def look_around(notebook: Notebook, server: FakeServer) -> None:
    """The overview counts turns, not runs; the tables have a row for every request and message."""
    for cell in (7, 8, 9):
        notebook.run_cell(cell)

    overview = notebook.output(7).locator("table tbody tr")
    expect(overview).to_have_count(3)
    expect(overview.nth(0)).to_contain_text("2 versions")
    expect(overview.nth(2)).to_contain_text("interrupted")
    expect(notebook.output(8).locator("table tbody tr")).to_have_count(len(server.requests))
    # Two versions of the first turn, the follow-up, the interrupted one: a prompt and an answer each.
    expect(notebook.output(9).locator("table tbody tr")).to_have_count(8)


def test_story_of_a_user_with_a_key(lab: Lab, server: FakeServer) -> None:
    """A user's first hour works, and all of it is there when the notebook is reopened without a kernel."""
    notebook = lab.open(CELLS, environ=settings(server))
    notebook.run_cell(0)
    notebook.run_cell(1)
    assert notebook.saved(0) == notebook.saved(1) == []

    ask_about_a_table_and_a_picture(notebook, server)
    follow_up_and_run_the_first_again(notebook, server)
    interrupt_an_answer(notebook, server)
    mistype_a_name(notebook, server)
    ask_in_a_loop(notebook, server)
    look_around(notebook, server)

    shown = [notebook.outputs(cell).text for cell in range(len(CELLS))]
    assert all(shown[2:])
    assert "sk-canary-0123456789" not in "".join(shown)
    notebook.save()
    assert "sk-canary-0123456789" not in notebook.path.read_text()
    assert notebook.foreign_requests() == []
    assert notebook.watch.errors == []

    for is_trusted in (True, False):
        reopened = lab.reopen(notebook, is_trusted=is_trusted)
        assert reopened.kernel is None
        for cell, text in enumerate(shown):
            reopened.wait_for_text(cell, text)
        assert reopened.foreign_requests() == []


def test_run_all_twice_leaves_one_turn_a_cell(lab: Lab, server: FakeServer) -> None:
    """Run All, again and again, adds no turn; it stops at an error and runs nothing behind it."""
    cells = [LOAD, "%%chat\nOne", "%%chat\nTwo", "%chat", "%%chat\n{{ missing }}", "%%chat\nNever"]
    notebook = lab.open(cells, environ=settings(server))

    notebook.run_all()
    notebook.run_all()

    expect(notebook.output(3).locator("table tbody tr")).to_have_count(2)
    assert len(server.requests) == 4
    assert notebook.saved(5) == []


@pytest.mark.local_model
def test_local_model_is_seen_to_stream_and_is_kept(lab: Lab, local_weights: Path) -> None:
    """Without a key a real model answers: seen to grow, labelled, and there when reopened."""
    cells = [
        LOAD,
        "%%chat --max-tokens 250\nTell me a long story about a lighthouse.",
        "%llm What is the capital of France?",
    ]
    notebook = lab.open(cells, environ={"LLM_MAGIC_LOCAL_MODEL": str(local_weights)})
    notebook.run_cell(0)
    notebook.watch_output(1)

    notebook.run_cell(1, timeout_s=120)
    notebook.run_cell(2, timeout_s=60)

    # How many steps it grows in depends on the machine; at least one comes before the last.
    assert len({len(text) for text in notebook.watched if len(text) > 100}) > 1, notebook.watched
    assert "local" in notebook.outputs(1).text
    assert "Paris" in notebook.outputs(2).text
    shown = [notebook.outputs(cell).text for cell in range(len(cells))]
    notebook.save()
    reopened = lab.reopen(notebook)
    assert reopened.kernel is None
    for cell, text in enumerate(shown):
        reopened.wait_for_text(cell, text)
