"""Takes pictures of the live view and the panel in a real JupyterLab: ``python docs/screenshots.py [FOLDER]``.

Light and dark, wide and narrow, while an answer arrives and when it is there. A server on loopback says what a model
could have said; all else is as a user sees it. The pictures go to ``artifacts/screenshots``, or to the folder named.
"""  # noqa: INP001  # a script, not a package

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from playwright.sync_api import expect, sync_playwright  # noqa: E402  # the working tree's, also where none is installed

from tests.browser.lab import Lab, find_chromium, launch  # noqa: E402
from tests.browser.server import LabServer  # noqa: E402
from tests.fakes import scenarios  # noqa: E402
from tests.fakes.answers import Answer, pieces_of  # noqa: E402
from tests.fakes.server import FakeServer  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.browser.lab import Notebook

MODEL = "gpt-5.4-mini"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SIZES = {"wide": (1400, 900), "narrow": (820, 900)}
LOAD = """%load_ext llm_magic
import pandas as pd
df = pd.DataFrame({"city": ["Lima", "Oslo", "Reykjavík"], "sun": [7.1, 4.6, 3.4], "rain": [12, 63, 80]})"""
VIEW = "%%chat\nWhat stands out in {{ df }}? Show me how to plot it."
PANEL = "%chat panel"
THOUGHTS = "Three cities, hours of sun and days of rain. Sun falls as rain rises; Lima is far from the others."
TABLE = """Sun and rain move against each other: with $n = 3$ the correlation is $r \\approx -0.99$.

| city | sun, h/day | rain, days |
|:-----|-----------:|-----------:|
| Lima | 7.1 | 12 |
| Oslo | 4.6 | 63 |
| Reykjavík | 3.4 | 80 |

**Lima** stands apart: twice the sun of Reykjavík at a seventh of its rain. To see it:

```python
# one point a city, named
ax = df.plot.scatter("rain", "sun")
for row in df.itertuples():
    ax.annotate(row.city, (row.rain, row.sun))
```

- [x] no value is missing
- [ ] three rows are too few for a test
"""
PICTURE = """The chart shows **hours of sun** falling as **days of rain** rise; the point far to the left is Lima.

1. Label the points, so that nobody has to guess.
2. Start the axis of sun at zero.
"""
SHORT = "Yes: add `s=df.sun * 20` to the call, and the points grow with the sun.\n"
MARKED = "plot it"


def said(body: dict[str, Any]) -> Answer:
    """What the model says: a long answer about the table, one about a picture, a short one to all else."""
    content = next(message["content"] for message in reversed(body["messages"]) if message["role"] == "user")
    if not isinstance(content, str) and any(part["type"] == "image_url" for part in content):
        return Answer(deltas=tuple({"content": piece} for piece in pieces_of(PICTURE)), rate=200)
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    if MARKED not in text:
        return Answer(deltas=tuple({"content": piece} for piece in pieces_of(SHORT)), rate=200)
    thoughts = tuple({"reasoning_content": piece} for piece in pieces_of(THOUGHTS))
    return Answer(deltas=(*thoughts, *({"content": piece} for piece in pieces_of(TABLE))), rate=40)


class Camera:
    """Takes pictures of a notebook in both themes and sizes.

    Args:
        notebook: Of what.
        folder: Where they go.
    """

    def __init__(self, notebook: Notebook, folder: Path) -> None:
        self._notebook = notebook
        self._folder = folder

    def take(self, name: str) -> None:
        """A picture in each theme and size."""
        for _ in self._ways(name):
            pass

    def take_one(self, name: str) -> None:
        """A picture as it is now: of what does not wait."""
        self._notebook.screenshot(self._folder / f"{name}.png")

    def look(self, theme: str, size: str) -> None:
        """Change theme and size."""
        page = self._notebook.page
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        command = "theme => jupyterapp.commands.execute('apputils:change-theme', { theme })"
        page.evaluate(command, THEMES[theme])
        page.wait_for_function(
            "name => document.body.dataset.jpThemeName === name && !document.getElementById('jupyterlab-splash')",
            arg=THEMES[theme],
        )

    def _ways(self, name: str) -> Iterator[None]:
        for theme in THEMES:
            for size in SIZES:
                self.look(theme, size)
                self._notebook.settle()
                yield self.take_one(f"{name}-{theme}-{size}")
        self.look("light", "wide")


def opened(lab: Lab, server: FakeServer, *cells: str) -> Notebook:
    """A notebook of a user who has a key."""
    environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-none", "LLM_MAGIC_MODEL": MODEL}
    notebook = lab.open([LOAD, *cells], environ=environ)
    notebook.page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    notebook.run_cell(0)
    return notebook


def view(lab: Lab, server: FakeServer, folder: Path) -> None:
    """The live view: while it arrives, and when it is there."""
    for theme in THEMES:
        notebook = opened(lab, server, VIEW)
        camera = Camera(notebook, folder)
        camera.look(theme, "wide")
        notebook.run_cell_nowait(1)
        expect(notebook.output(1).locator("td", has_text="Oslo")).to_be_visible()
        camera.take_one(f"view-arriving-{theme}-wide")
        notebook.finish()
        if theme == "dark":
            camera.take("view-done")
        notebook.close()


def panel(lab: Lab, server: FakeServer, folder: Path) -> None:
    """The panel beside the notebook: with a conversation, with an answer arriving, with a question half written."""
    notebook = opened(lab, server, PANEL, VIEW)
    camera = Camera(notebook, folder)
    notebook.run_cell(1)
    page = notebook.page
    message = page.get_by_label("Message", exact=True)
    message.wait_for()
    paste_chart(notebook)
    message.fill("What would make this chart easier to read?")
    message.press("Enter")
    expect(page.get_by_role("article", name="Turn 1").get_by_text("Start the axis")).to_be_visible()
    for theme in THEMES:
        camera.look(theme, "wide")
        notebook.run_cell_nowait(2)
        expect(
            page.get_by_role("article", name="Turn 2").locator("[aria-busy=true] td", has_text="Oslo")
        ).to_be_visible()
        camera.take_one(f"panel-arriving-{theme}-wide")
        notebook.finish()
    message.fill("Could the size of the points say more?")
    message.press("Enter")
    expect(page.get_by_role("article", name="Turn 3").get_by_text("the points grow")).to_be_visible()
    paste_chart(notebook)
    page.get_by_role("button", name="Add a variable").click()
    expect(page.get_by_role("option", name="df DataFrame")).to_be_visible()
    page.keyboard.type("df")
    page.keyboard.press("Enter")
    message.fill("Is it better now?")
    camera.take("panel")


def paste_chart(notebook: Notebook) -> None:
    """Paste a picture of the table into the panel's message."""
    notebook.page.get_by_label("Message", exact=True).evaluate(
        """async (target) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 200 });
            const pen = canvas.getContext("2d");
            pen.fillStyle = "white";
            pen.fillRect(0, 0, 320, 200);
            pen.strokeStyle = "#444";
            pen.strokeRect(40, 20, 260, 150);
            pen.fillStyle = "#1976d2";
            for (const [rain, sun] of [[12, 7.1], [63, 4.6], [80, 3.4]]) {
                pen.beginPath();
                pen.arc(40 + rain * 3, 190 - sun * 22, 7, 0, 7);
                pen.fill();
            }
            const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([blob], "chart.png", { type: "image/png" }));
            target.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
        }"""
    )


def main(folder: Path) -> None:
    """Take all pictures."""
    scenarios.answer_to = said
    path = find_chromium()
    if path is None:
        sys.exit("no Chromium on this machine: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as home,
        FakeServer() as server,
        LabServer(Path(home)) as lab_server,
        sync_playwright() as playwright,
    ):
        # Longer than it takes on a busy machine; what is waited for comes.
        expect.set_options(timeout=60_000)
        browser: Browser = launch(playwright.chromium, path)
        lab = Lab(lab_server, browser)
        try:
            for part in (view, panel):
                part(lab, server, folder)
        finally:
            lab.close()
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "artifacts" / "screenshots")
