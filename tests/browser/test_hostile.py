"""A page full of hostile answers in JupyterLab, live and reopened: nothing runs, nothing is fetched or restyled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.fakes.markup import HOSTILE
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.browser.lab import Lab, Notebook

pytestmark = pytest.mark.browser

# JupyterLab shows at most 50 outputs a cell.
PER_CELL = 40
# Typeset last: once it is drawn, MathJax has had all others.
FORMULA = "$x^2$"
# A blank prompt cannot be asked, so no fake model can be made to answer one.
TEXTS = [*(text for text in HOSTILE if text.strip()), FORMULA]
CELLS = -(-len(TEXTS) // PER_CELL)
SHOW = """
%load_ext llm_magic
import json
from pathlib import Path
from IPython.display import display
from llm_magic import rendering

def show(texts):
    for text in texts:
        html = rendering.answer_html(rendering.markdown_html(text))
        display({"text/html": html, "text/plain": rendering.plain_text(text)}, raw=True)

def ask(texts):
    for text in texts:
        get_ipython().run_cell_magic("llm", "--raw --fresh", text)

def show_raw(texts):
    for text in texts:
        display({"text/markdown": text}, raw=True)

hostile = json.loads(Path("hostile.json").read_text())
"""


def open_corpus(lab: Lab, function: str, *, environ: Mapping[str, str] | None = None) -> Notebook:
    """A notebook that has loaded the corpus, and shows it with one of its functions from its second cell on."""
    (lab.server.folder / "hostile.json").write_text(json.dumps(TEXTS))
    starts = range(0, len(TEXTS), PER_CELL)
    cells = [f"{function}(hostile[{start}:{start + PER_CELL}])" for start in starts]
    notebook = lab.open([SHOW, *cells], environ=environ)
    notebook.run_cell(0)
    assert notebook.saved(0) == []
    return notebook


def run_corpus(notebook: Notebook) -> None:
    """Run the cells that show the corpus; each text is an output."""
    for cell in range(1, 1 + CELLS):
        notebook.run_cell(cell)
    assert sum(len(notebook.saved(cell)) for cell in range(1, 1 + CELLS)) == len(TEXTS)


def assert_harmless(notebook: Notebook) -> None:
    """Nothing has run, been fetched, opened, or slipped into an output; formulas are drawn by then."""
    expect(notebook.page.locator(".jp-Cell-outputArea").last.locator("mjx-container").last).to_be_visible()
    notebook.settle()
    assert notebook.page.evaluate("() => window.__pwned") is None
    assert notebook.foreign_requests() == []
    assert notebook.watch.intrusions == []
    assert notebook.intruders() == []


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers with what it was asked."""
    with FakeServer() as started:
        yield started


def settings(server: FakeServer, *, model: str = "echo") -> dict[str, str]:
    """The environment of a user of that server."""
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", "LLM_MAGIC_MODEL": model}


def test_hostile_texts_are_harmless_as_rendered(lab: Lab) -> None:
    """What the renderer makes of hostile texts does nothing: live, reopened, and reopened by somebody else."""
    notebook = open_corpus(lab, "show")
    look = notebook.look()

    run_corpus(notebook)

    assert_harmless(notebook)
    assert notebook.look() == look
    notebook.save()
    for is_trusted in (True, False):
        reopened = lab.reopen(notebook, is_trusted=is_trusted)
        expect(reopened.output(CELLS).locator(".jp-RenderedHTMLCommon").first).to_be_visible()
        assert_harmless(reopened)


def test_hostile_answers_are_harmless_from_the_wire_to_the_notebook(lab: Lab, server: FakeServer) -> None:
    """The same on their whole way: a server says them, ``%%llm`` shows them, the notebook keeps them."""
    notebook = open_corpus(lab, "ask", environ=settings(server))
    look = notebook.look()

    run_corpus(notebook)

    assert len(server.requests) == len(TEXTS)
    assert_harmless(notebook)
    assert notebook.look() == look
    notebook.save()
    assert_harmless(lab.reopen(notebook))


def test_a_hostile_answer_is_harmless_while_it_streams(lab: Lab, server: FakeServer) -> None:
    """Nothing slips through half an answer: drawn many times on its way, it does nothing."""
    prompt = "\n\n".join(text for text in TEXTS if text.isprintable())
    notebook = lab.open(["%load_ext llm_magic", f"%%chat --raw\n{prompt}"], environ=settings(server, model="slow@0.01"))
    notebook.run_cell(0)
    look = notebook.look()
    notebook.watch_output(1)

    notebook.run_cell(1)

    assert len(notebook.watched) > 2
    assert_harmless(notebook)
    assert notebook.look() == look


def test_the_same_texts_bite_where_they_are_shown_as_they_are(lab: Lab) -> None:
    """The corpus is hostile: shown as plain Markdown, it runs and asks for other hosts' files."""
    notebook = open_corpus(lab, "show_raw")

    notebook.run_cell(1)

    notebook.page.wait_for_function("() => window.__pwned === 1")
    assert any("attacker.invalid" in url for url in notebook.foreign_requests())
    assert notebook.intruders() != []
