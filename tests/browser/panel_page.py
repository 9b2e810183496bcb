"""The panel in a bare page of Chromium: no Jupyter, a kernel of our own that notes what it is told."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llm_magic.panels.widget import SCRIPTS, STYLES
from llm_magic.views.widgets import SHARED_SCRIPTS, SHARED_STYLES, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from playwright.sync_api import Browser, ConsoleMessage, Locator

Theme: TypeAlias = Literal["light", "dark"]

# Never resolved: the page is made here. Loopback counts as secure, as clipboards want it.
_URL = "http://127.0.0.1/panel"
_MODEL = Path(__file__).with_name("panel_model.js")
_NOTEBOOK = """
<div class="jp-NotebookPanel"><div class="jp-Notebook">
<div class="jp-Cell">one</div><div class="jp-Cell jp-mod-active">two</div><div class="jp-Cell">three</div>
</div></div>
"""
HEAD: Mapping[str, Any] = {
    "name": "main",
    "names": [{"name": "main", "turns": 2}, {"name": "weather", "turns": 12}],
    "model": "gpt-5.4-mini",
    "models": ["gpt-5.4", "gpt-5.4-mini", "o4-mini"],
    "totals": "2 turns · 3,400 → 900 tokens · ≥ $0.0123",
    "window": {"used": 3400, "limit": 128000, "is_estimate": True},
    "undo": "ask",
}


def turn(number: int, **fields: Any) -> dict[str, Any]:
    """A turn that is done, as the kernel describes it."""
    answered: dict[str, Any] = {
        "n": number,
        "v": 1,
        "vs": 1,
        "w": f"turn-{number}",
        "s": "complete",
        "p": f"<p>Question {number}</p>",
        "e": f"Question {number}",
        "marks": [],
        "hidden": False,
        "a": [f"<p>Answer {number}</p>"],
        "r": [],
        "foot": "gpt-5.4-mini · 12 → 3 tokens",
    }
    return answered | fields


class PanelPage:
    """A page that shows one panel.

    Args:
        browser: Where.
        turns: What the conversation holds at first, by slot.
        head: Fields of the whole, over those of ``HEAD``.
        theme: Which of JupyterLab's themes.
        size: Width and height of the page, in CSS pixels.
        is_calm: The user wants reduced motion.
    """

    def __init__(
        self,
        browser: Browser,
        turns: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        head: Mapping[str, Any] | None = None,
        theme: Theme = "light",
        size: tuple[int, int] = (400, 800),
        is_calm: bool = False,
    ) -> None:
        self.errors: list[str] = []
        self._whole = {
            "q": 0,
            "t": "panel",
            "head": {**HEAD, **(head or {})},
            "order": list(turns or {}),
            "turns": dict(turns or {}),
        }
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce" if is_calm else "no-preference",
            permissions=["clipboard-read", "clipboard-write"],
        )
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear_console)
        self.page.route(_URL, lambda route: route.fulfill(body=_html(theme), content_type="text/html"))
        self.open()

    def open(self) -> None:
        """Open the page, or open it again."""
        self.page.goto(_URL)
        self.page.evaluate(_MODEL.read_text(encoding="utf-8"))
        source = joined(*SHARED_SCRIPTS, *SCRIPTS)
        self.page.evaluate("([source, whole]) => fake.start(source, whole)", [source, self._whole])
        self.root.wait_for()

    def close(self) -> None:
        """Close the page."""
        self._context.close()

    def _hear_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    # What there is to see

    @property
    def root(self) -> Locator:
        """The panel."""
        return self.page.locator(".llm-magic-panel")

    @property
    def message(self) -> Locator:
        """Where a question is written."""
        return self.page.get_by_label("Message", exact=True)

    @property
    def chips(self) -> Locator:
        """What is attached to the question."""
        return self.page.get_by_label("Attachments").get_by_role("listitem")

    def button(self, name: str) -> Locator:
        """A button by its whole name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def turn(self, number: int) -> Locator:
        """A turn by its number."""
        return self.page.get_by_role("article", name=f"Turn {number}", exact=True)

    def line(self) -> Locator:
        """The line that tells what happened."""
        return self.page.locator(".lmp-told")

    # The kernel's side

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What the panel asked to be done, with the sizes of what came with it; ids are left out."""
        made: list[dict[str, Any]] = self.page.evaluate("() => fake.requests")
        return [{name: value for name, value in request.items() if name not in ("id", "k")} for request in made]

    @property
    def said(self) -> list[dict[str, Any]]:
        """What the panel said over the control channel."""
        return list(self.page.evaluate("() => fake.said"))

    def answer_with(self, name: str, answer: Mapping[str, Any] | None) -> None:
        """How requests of that name are answered from now on; None leaves them open."""
        self.page.evaluate("([name, answer]) => { fake.answers[name] = answer }", [name, answer])

    def answer(self, index: int, answer: Mapping[str, Any]) -> None:
        """Answer a request that was left open."""
        self.page.evaluate("([index, answer]) => fake.answer(index, answer)", [index, answer])

    def patch(self, **changes: Any) -> None:
        """Send the next patch."""
        self.page.evaluate("changes => fake.patch(changes)", changes)

    def put(self, slot: str, **fields: Any) -> None:
        """Send a patch of one turn; ``a`` and ``r`` are whole."""
        self.page.evaluate("([slot, fields]) => fake.turn(slot, fields)", [slot, fields])

    def hear(self, message: Mapping[str, Any]) -> None:
        """Send any message."""
        self.page.evaluate("message => fake.hear(message)", message)

    # The user's hands

    def paste(self, files: Mapping[str, tuple[str, int]], *, text: str = "", html: str = "") -> None:
        """Paste files (name: type and size) and text into the message."""
        self._transfer("paste", files, text, html)

    def drop(self, files: Mapping[str, tuple[str, int]]) -> None:
        """Drop files on the log."""
        self._transfer("drop", files, "", "")

    def _transfer(self, kind: str, files: Mapping[str, tuple[str, int]], text: str, html: str) -> None:
        target = self.message if kind == "paste" else self.page.get_by_role("log")
        target.evaluate(
            """(target, [kind, files, text, html]) => {
                const data = new DataTransfer();
                for (const [name, [type, size]] of Object.entries(files)) {
                    data.items.add(new File([new Uint8Array(size).fill(65)], name, { type }));
                }
                if (text) data.setData("text/plain", text);
                if (html) data.setData("text/html", html);
                const options = { bubbles: true, cancelable: true };
                target.dispatchEvent(
                    kind === "paste"
                        ? new ClipboardEvent("paste", { ...options, clipboardData: data })
                        : new DragEvent("drop", { ...options, dataTransfer: data }),
                );
            }""",
            [kind, {name: list(described) for name, described in files.items()}, text, html],
        )


def _html(theme: Theme) -> str:
    colours = _theme_css(theme)
    own = "body { margin: 0; background: var(--jp-layout-color1) } .llm-magic-panel { height: 100vh !important }"
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Panel</title>
<style>{colours}</style><style>{joined(*SHARED_STYLES, *STYLES)}</style>
<style>{own} .jp-NotebookPanel {{ display: none }}</style></head>
<body class="jp-ThemedContainer"><main id="host"></main>{_NOTEBOOK}</body></html>"""


def _theme_css(theme: Theme) -> str:
    folder = resources.files("jupyterlab") / "themes" / "@jupyterlab" / f"theme-{theme}-extension"
    return (folder / "index.css").read_text(encoding="utf-8")
