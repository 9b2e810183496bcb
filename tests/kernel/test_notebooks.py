"""The notebooks that document the package, run as CI runs them, but against the fake server: what they show is true.

With the local model, and their answers, they are run by ``jupyter execute``.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import nbformat
import pytest

from tests.kernel.harness import ROOT, run_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

    from tests.fakes.server import FakeServer

pytestmark = pytest.mark.kernel
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # half typed
    return notebook


def run_cells(path: Path, home: Path, server: FakeServer, *, model: str = "slow@0.01") -> NotebookNode:
    """Run a notebook against the fake server, and return it with its outputs."""
    notebook = read(path)
    # Each word takes a moment, so that an answer can be left while it comes.
    environ = {
        "OPENAI_API_KEY": "sk-notebook-0123456789",
        "OPENAI_BASE_URL": server.url,
        "LLM_MAGIC_MODEL": model,
    }
    return run_notebook(notebook, home, environ=environ)


def run(path: Path, home: Path, server: FakeServer, *, model: str = "slow@0.01") -> dict[str, str]:
    """Run a notebook; the text that each of its code cells shows, by the cell's id."""
    executed = run_cells(path, home, server, model=model)
    return {cell.id: "".join(map(text, cell.outputs)) for cell in executed.cells if cell.cell_type == "code"}


def text(output: NotebookNode) -> str:
    # What is printed comes in as many pieces as there was time for.
    return str(output.text) if output.output_type == "stream" else f"{output.data['text/plain']}\n"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    """Outputs are made by running: none is in the repository, nor the count of a run."""
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]

    assert [(cell.outputs, cell.execution_count) for cell in cells] == [([], None)] * len(cells)


def test_conversation_notebook_shows_what_it_says(tmp_path: Path, fake_server: FakeServer) -> None:
    """Three stale turns are refreshed, versions picked and taken back, a turn is stopped, a fork made, a file equal."""
    shown = run(ROOT / "notebooks" / "conversation.ipynb", tmp_path, fake_server)

    assert shown["stale"].count("(stale)") == 3
    assert shown["plan"].startswith("3 stale turns; turns 3, 4 and 5 to ask again: 3 requests, ~")
    assert [line for line in shown["refresh"].splitlines() if line.startswith("turn ")][-1].startswith("turn 5: ")
    assert "2.2 · complete" in shown["versions"]
    assert shown["pick"].splitlines()[0] == "version 1 of turn 2 counts · 3 stale turns: %chat refresh"
    assert shown["pick"].splitlines()[3] == "taken back: picking a version of turn 2; version 2 counts"
    assert "3.3 · failed" in shown["failed-shown"]
    assert "hidden" in shown["hide"]
    assert shown["back"].endswith("nothing is stale: nothing to ask again\n")
    assert shown["ask-10"] == "'interrupted'\n"
    assert " 10  Count from one to fifty in words." in shown["totals"]
    assert "(2 versions)" in shown["totals"].splitlines()[-2]
    assert "(forked from 'weekend') · 6 turns" in shown["fork-shown"]
    assert shown["save"].endswith("True\n")
    assert " 10  Count from one" in shown["totals"]
    assert "conversation 'weekend': 10 turns, last changed " in shown["restart"]
    assert " 10  Count from one" in shown["restart"]
    forgotten = ["forgotten: 'weekend', 10 turns", "forgotten: 'rain', 6 turns", "forgotten: 'weekend-2', 10 turns"]
    assert shown["forget"].splitlines() == forgotten
    assert list((tmp_path / "work").iterdir()) == []
    asked = len(fake_server.requests)

    assert "10 turns" in run(ROOT / "notebooks" / "conversation.ipynb", tmp_path, fake_server)["totals"]
    assert len(fake_server.requests) == 2 * asked


def test_panel_notebook_shows_what_it_says(tmp_path: Path, fake_server: FakeServer) -> None:
    """Run by a program, it says that nobody can see the panel, and all else is done."""
    shown = run(ROOT / "notebooks" / "panel.ipynb", tmp_path, fake_server)

    assert shown["panel"].startswith("The chat panel needs a notebook with widgets; ")
    assert shown["turns"].strip() == "On which day did I walk the most?"
    assert "  2  Say in three words" in shown["totals"]
    assert shown["driven"].strip() == "2 versions, the first one counts"
    assert shown["ledger"].count("complete") == 4
    assert "forgotten: 'walks', 3 turns" in shown["end"]


def test_images_notebook_shows_what_it_says(tmp_path: Path, fake_server: FakeServer) -> None:
    """Sizes and tokens are those it tells of; one cell asks a server, and a model that does not see refuses there."""
    path = ROOT / "notebooks" / "images.ipynb"
    shown = run(path, tmp_path, fake_server)

    assert shown["values"] == "RGBA I;16 (3000, 2000) (200, 300, 3)\n"
    sizes = re.findall(r"\[image (\d+ × \d+), \d+ kB\]", shown["dry"])
    assert sizes[1:] == ["120 × 120", "2048 × 1365", "300 × 200"]
    assert re.findall(r"\[image (\d+ × \d+),", shown["attached-dry"]) == ["2048 × 1365", "120 × 120"]
    assert _tokens_of(shown["attached-dry"]) < _tokens_of(shown["dry"]) / 4
    assert shown["ask"].startswith("It rises, but for a dip in **2023**.")
    assert shown["sent"].count("image/png, image 120 × 120") == 2
    assert shown["sent"].endswith("True\n")
    assert shown["tokens"].count("turn ") == 2
    assert shown["blind"] == "What colour is this?[image_url]\n"
    assert list((tmp_path / "work").iterdir()) == []
    assert len(fake_server.requests) == 1

    assert run(path, tmp_path, fake_server, model="no-image")["blind"].startswith("The model does not take pictures")


def test_columns_notebook_shows_what_it_says(tmp_path: Path, fake_server: FakeServer) -> None:
    """The index is kept, gaps stay in their rows, and each request is in the ledger."""
    shown = run(ROOT / "notebooks" / "columns.ipynb", tmp_path, fake_server)

    assert "r2  Oslo  Cold, and the tram was late.  Cold, and the tram was late." in shown["map"]
    assert "r3  complete  Name a dish of Lima in one word." in shown["template"]
    assert "The prompt is missing." in shown["errors"]
    assert shown["embed"] == "3 vectors, index ['r1', 'r2', 'r3']\n"
    assert re.findall(r"^(embed|map) ", shown["cost"], re.MULTILINE) == ["embed", "map"]
    assert len(fake_server.requests) == 8


def test_pictures_sent_are_kept_small_in_the_notebook(tmp_path: Path, fake_server: FakeServer) -> None:
    """The saved output of a cell that sent two pictures holds both, at most 8 kB each, and loads nothing."""
    executed = run_cells(ROOT / "notebooks" / "images.ipynb", tmp_path, fake_server)
    (output,) = next(cell.outputs for cell in executed.cells if cell.id == "ask")
    sources = re.findall(r'<img class="llm-magic-thumbnail" src="([^"]+)"', output.data["text/html"])

    assert [source.partition(",")[0] for source in sources] == ["data:image/jpeg;base64", "data:image/png;base64"]
    assert all(len(base64.b64decode(source.partition(",")[2])) <= 8_000 for source in sources)


def _tokens_of(text: str) -> int:
    """What a dry run says."""
    found = re.search(r"^tokens: ~?([\d,]+) in", text, re.MULTILINE)
    assert found is not None
    return int(found[1].replace(",", ""))
