"""Notebooks full of hostile texts, by every way a text takes to a page: nothing runs, is fetched, covered or restyled.

One notebook a front end: its cells show the corpus (``tests/fakes/hostile.py``) as rendered, as answered in the live
view and in the panel, letter by letter, in places other than answers, in errors, tables and commands, and in the static
view. It is looked at after each, and once more when reopened, trusted and untrusted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from llm_magic.rendering import markdown_html
from tests.fakes.hostile import aimed_at, batches, lines, some
from tests.fakes.server import FakeServer
from tests.fakes.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.browser.lab import App, Lab, Notebook

pytestmark = pytest.mark.browser

# Six in one output, and JupyterLab shows at most 50 outputs a cell.
PER_CELL = 240
PER_ANSWER = 50
LETTERS_A_SECOND = 1500
# Typeset first and last: MathJax is there while the others are drawn, and has had them all when the last is drawn.
FORMULA = "$x^2$"
PLACES = ("in-reasoning", "in-refusal")
LINES = ("in-model", "in-finish", "in-id")
ERRORS = ("in-400", "in-401", "in-429", "in-502", "in-event")

SETUP = """
%load_ext llm_magic
import json
from pathlib import Path
import llm_magic
import pandas as pd
from IPython.display import HTML, display
from llm_magic import rendering

pd.set_option("display.max_columns", None, "display.max_rows", None, "display.max_colwidth", None)
shell = get_ipython()
hostile = json.loads(Path("hostile.json").read_text())

def show(texts):
    for at in range(0, len(texts), 6):
        html = "".join(rendering.answer_html(rendering.markdown_html(text)) for text in texts[at : at + 6])
        display({"text/html": html, "text/plain": rendering.plain_text("".join(texts[at : at + 6]))}, raw=True)

def begin(name):
    shell.run_line_magic("chat", f"new {name}")

def ask(texts, options=""):
    for text in texts:
        shell.run_cell_magic("chat", f"--raw {options}", text)

def fail(texts, model):
    for text in texts:
        try:
            ask([text], f"-m {model}")
        except llm_magic.LLMMagicError:
            shell.showtraceback()

def show_raw(texts):
    for text in texts:
        display({"text/markdown": text}, raw=True)

llm_magic.panel()
HTML("$x$")
"""
ATTACHED = """
class Named:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text

folder = Path("attached")
folder.mkdir(exist_ok=True)
paths = []
for text in hostile["lines"]:
    name = text.replace("/", "").replace("\\0", "").encode("utf-8", "replace")[:80].decode("utf-8", "ignore")
    paths.append(folder / f"{name}.txt")
    paths[-1].write_text(text, errors="replace")
things = {text: Named(text) for text in hostile["lines"]}
files = " ".join(f"{{{{ paths[{number}] }}}}" for number in range(0, len(paths), 16))
shell.run_cell_magic("chat", "", f"{{{{ list(things.values()) }}}} {{{{ things }}}} {files}")
shell.run_cell_magic("chat", "", "{{ things['words and then <scr'] }} {{ '<img src=x onerror=alert(1)>' }}")
"""
NAMED = """
for text in hostile["lines"][::24]:
    begin(text)
    ask([text])
begin("names")
"""
TABLES = """
for frame in (
    llm_magic.usage(),
    llm_magic.conversation().to_frame(),
    llm_magic.conversation().to_frame()[["role", "text"]],
    shell.run_line_magic("chat", "list"),
    shell.run_line_magic("chat", "models"),
    shell.run_line_magic("chat", "tokens $\\\\rule{300em}{300em}$"),
    llm_magic.conversation().to_frame()["text"],
):
    display(frame)
"""


class Showing:
    """A notebook that shows the corpus, path by path.

    Args:
        lab: Opens it.
        server: Whom it asks.
        target: Whom nothing may ask.
        app: Which front end shows it.
    """

    def __init__(self, lab: Lab, server: FakeServer, target: Target, app: App) -> None:
        self.target = target
        texts = corpus(target)
        (lab.server.folder / "hostile.json").write_text(json.dumps(texts))
        self.cells = cells(len(texts["all"]))
        environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", "LLM_MAGIC_MODEL": "echo"}
        self.notebook = lab.open([source for _, source in self.cells], environ=environ, app=app)
        self.notebook.run_cell(0)
        expect(self.notebook.output(0).locator("mjx-container")).to_be_visible()
        self.panel = self.notebook.page.locator(".llm-magic-panel")
        expect(self.panel).to_be_visible()
        self.notebook.settle()
        self.notebook.guard()
        self.look = self.notebook.look()

    @property
    def paths(self) -> list[str]:
        """All paths, in order."""
        return list(dict.fromkeys(name for name, _ in self.cells[1:]))

    def run(self, path: str) -> None:
        """Run the cells of one path, and look at what they did."""
        for index in self.indices(path):
            self.notebook.run_cell(index)
            assert has_no_traceback(self.notebook.saved(index)), (path, index)
        if path != "commands":
            expect(self.panel.locator(".lmp-turn .llm-magic-answer").last).to_have_text(f"End of {path}")
        assert_harmless(self.notebook, self.target, path)
        assert self.notebook.look() == self.look, path

    def indices(self, path: str) -> list[int]:
        """The cells of a path."""
        return [index for index, (name, _) in enumerate(self.cells) if name == path]


def corpus(target: Target) -> Mapping[str, list[str]]:
    """The corpus as the notebook takes it, aimed at a host that listens."""
    # A blank prompt cannot be asked, so no model can be made to answer one.
    texts = [text for text in aimed_at(target.host) if text.strip()]
    selection = [text for text in aimed_at(target.host, some(2)) if text.strip()]
    ends = [text for text in texts if "<strong>seen</strong>" not in markdown_html(f"{text}\n\n**seen**")]
    single = lines(texts)
    return {
        "all": [*texts, FORMULA],
        "answers": [*batches([*texts, FORMULA], swallows=ends, size=PER_ANSWER)],
        "letters": [*batches([*selection, FORMULA], swallows=ends, size=PER_ANSWER)],
        "lines": single,
        "joined": [" ".join(single[at::9]) for at in range(9)],
        "tools": [json.dumps(single)],
    }


def cells(count: int) -> list[tuple[str, str]]:
    """Name of the path, and source, of every cell; the first sets up."""
    sources = {
        "rendered": [f"show(hostile['all'][{at}:{at + PER_CELL}])" for at in range(0, count, PER_CELL)],
        "live": ["ask(hostile['answers'])"],
        "letters": [f"ask(hostile['letters'], '-m letters@{LETTERS_A_SECOND}')"],
        "places": [
            *(f"ask(hostile['answers'], '-m {model}')" for model in PLACES),
            "ask(hostile['tools'], '-m in-tools')",
            "ask(hostile['joined'], '-m in-model')",
        ],
        "lines": [f"ask(hostile['lines'][{at}::24], '-m {model} --quiet')" for at, model in enumerate(LINES)],
        "errors": [f"fail(hostile['lines'][{at}::80], '{model}')" for at, model in enumerate(ERRORS)],
        "attached": [ATTACHED],
        "commands": ["%chat use lines", "%chat", "%chat use attached", "%chat", "%chat show 1", "%chat show 2"],
        "names": [NAMED],
        "tables": ["begin('tables')\nask(hostile['lines'][::24], '-m in-model --quiet')", TABLES],
        "static": ["%chat config view=static", "ask(hostile['answers'])"],
    }
    made = [("setup", SETUP)]
    for path, parts in sources.items():
        if path == "commands":
            made += [(path, source) for source in parts]
            continue
        # What the panel shows at the end tells that it has shown all before.
        made += [(path, source) for source in (f"begin({path!r})", *parts, f"ask(['End of {path}'])")]
    return made


def has_no_traceback(outputs: list[dict[str, Any]]) -> bool:
    """Nothing failed but what was to be refused, in its one line; nothing complained of what it could not show."""
    return all(
        len(output["traceback"]) == 1 if output["output_type"] == "error" else "Traceback" not in output.get("text", "")
        for output in outputs
    )


def assert_harmless(notebook: Notebook, target: Target, where: str) -> None:
    """Nothing has run, been fetched, opened, done, or slipped into an output, not even for a moment."""
    notebook.settle()
    assert notebook.page.evaluate("() => window.__pwned") is None, where
    assert notebook.intruders() == [], where
    assert notebook.foreign_requests() == [], where
    assert target.visits == [], where
    assert notebook.watch.intrusions == [], where
    assert notebook.commands() == [], where


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers with what it was asked."""
    with FakeServer() as started:
        yield started


@pytest.fixture
def target() -> Iterator[Target]:
    """The host that hostile texts want to reach."""
    with Target() as started:
        yield started


@pytest.mark.timeout(600)
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_hostile_texts_are_harmless_by_every_path(lab: Lab, server: FakeServer, target: Target, app: App) -> None:
    """Whatever a model or a server says, and wherever: live, reopened, and reopened by somebody else."""
    showing = Showing(lab, server, target, app)

    for path in showing.paths:
        showing.run(path)

    showing.notebook.save()
    with_formula = showing.indices("rendered")[-2]
    for is_trusted in (True, False):
        reopened = lab.reopen(showing.notebook, is_trusted=is_trusted, app=app)
        reopened.guard()
        expect(reopened.output(with_formula).locator("mjx-container").last).to_be_visible()
        assert_harmless(reopened, target, f"reopened, trusted: {is_trusted}")


def test_the_same_texts_bite_where_they_are_shown_as_they_are(lab: Lab, server: FakeServer, target: Target) -> None:
    """The corpus is hostile: shown as plain Markdown, it runs, asks the other host, and is seen to be there."""
    showing = Showing(lab, server, target, "lab")
    showing.notebook.set_source(1, "show_raw(hostile['all'][:40])")

    showing.notebook.run_cell(1)

    showing.notebook.page.wait_for_function("() => window.__pwned === 1")
    showing.notebook.settle()
    assert any(target.host in url for url in showing.notebook.foreign_requests())
    assert any(visit.startswith("GET /") for visit in target.visits)
    assert showing.notebook.intruders() != []
