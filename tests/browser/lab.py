"""A notebook in JupyterLab, or in Notebook, in a real Chromium, driven as a person would.

In go cells, runs, interrupts and saves; out comes what the page shows, what the notebook holds, and all that
the page asked of the network, of the user (dialogs, windows, downloads) or of the console.
"""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from playwright.sync_api import (
        Browser,
        BrowserContext,
        BrowserType,
        ConsoleMessage,
        Dialog,
        Locator,
        Page,
    )

    from tests.browser.server import LabServer

App: TypeAlias = Literal["lab", "notebook"]
_RIG = Path(__file__).with_name("rig.js")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No name but the server's has an address: what a page asks of others is seen and goes nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_OPEN_TIMEOUT_S = 120.0
_COMMAND_TIMEOUT_S = 60.0


def find_chromium() -> str | None:
    """Path of the system's Chromium, None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def launch(chromium: BrowserType, path: str) -> Browser:
    """Start a Chromium without profile or window; its sandbox cannot start as root or in most containers."""
    return chromium.launch(executable_path=path, args=list(_FLAGS), chromium_sandbox=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a cell shows.

    Attributes:
        text: As a reader sees it.
        html: Its elements.
    """

    text: str
    html: str


# Without slots: playwright keeps its wrappers of bound methods on their object.
@dataclass(kw_only=True)
class Watch:
    """What a page has done besides showing itself.

    Attributes:
        requests: Every URL it asked for, by HTTP or WebSocket.
        errors: Errors on its console and uncaught ones.
        intrusions: Dialogs, windows and downloads it opened.
    """

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    intrusions: list[str] = field(default_factory=list)

    def attach(self, context: BrowserContext, page: Page) -> None:
        """Note from now on what the page does."""
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("page", lambda other: self.intrusions.append(f"window {other.url}"))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._dialog)
        page.on("download", lambda download: self.intrusions.append(f"download {download.url}"))

    def foreign(self, origin: str) -> list[str]:
        """What it asked of others than ``origin``; what is in the page itself (data:, blob:) counts not."""
        home = urlsplit(origin).netloc
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in ("data", "blob", "about") and urlsplit(url).netloc != home
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _dialog(self, dialog: Dialog) -> None:
        self.intrusions.append(f"{dialog.type} {dialog.message}")
        dialog.dismiss()


class Notebook:
    """One notebook, open in a page of its own.

    Args:
        server: Who serves it.
        browser: Where it is opened.
        path: Its file, in the server's folder.
        has_kernel: Start its kernel; Notebook always does.
        app: Which front end shows it.
    """

    def __init__(
        self, server: LabServer, browser: Browser, path: Path, *, has_kernel: bool = True, app: App = "lab"
    ) -> None:
        self.path = path
        self.watch = Watch()
        self._server = server
        self._browser = browser
        self._app = app
        self._context = browser.new_context(viewport={"width": 1200, "height": 1400}, service_workers="block")
        try:
            self._context.add_init_script(path=_RIG)
            self.page = self._context.new_page()
            self.watch.attach(self._context, self.page)
            # A workspace of its own: the notebooks of other pages are not restored here.
            where = f"lab/workspaces/{path.stem}?reset&" if app == "lab" else f"notebooks/{path.name}?"
            self.page.goto(f"{server.url}{where}token={server.token}", timeout=_OPEN_TIMEOUT_S * 1000)
            self._do("open", path.name if app == "lab" else None, has_kernel, timeout_s=_OPEN_TIMEOUT_S)
        except BaseException:
            self._context.close()
            raise

    def close(self) -> None:
        """End the kernel and close the page. Doing it twice does no harm."""
        if self.page.is_closed():
            return
        if self.kernel is not None:
            self._do("shutdown")
        self._context.close()

    # Running

    def run_cell(self, index: int, *, timeout_s: float = 60.0) -> None:
        """Run one cell and wait until it has ended, in whatever way, and its outputs are drawn."""
        self.run_cell_nowait(index)
        self.finish(timeout_s=timeout_s)

    def run_cell_nowait(self, index: int) -> None:
        """Start running one cell; :meth:`finish` waits for it."""
        self.page.evaluate("index => rig.start(index)", index)

    def run_all(self, *, timeout_s: float = 120.0) -> None:
        """Run all cells, as the menu does, and wait until they have ended."""
        self.run_all_nowait()
        self.finish(timeout_s=timeout_s)

    def run_all_nowait(self) -> None:
        """Start running all cells; :meth:`finish` waits for them."""
        self.page.evaluate("() => rig.start(null)")

    def finish(self, *, timeout_s: float = 60.0) -> None:
        """Wait until what was started has ended, in whatever way, and its outputs are drawn."""
        self._do("finish", timeout_s=timeout_s)

    def interrupt(self) -> None:
        """Interrupt the kernel as the toolbar's button does."""
        self._do("interrupt")

    def restart(self) -> None:
        """Restart the kernel and wait until it is idle."""
        self._do("restart")

    def reload(self) -> None:
        """Load the page again, while a cell runs or not, and wait until it has found its kernel."""
        self.page.reload(timeout=_OPEN_TIMEOUT_S * 1000)
        self._do("openBusy", self.path.name if self._app == "lab" else None, timeout_s=_OPEN_TIMEOUT_S)

    # Editing

    def command(self, name: str, index: int | None = None) -> None:
        """Do a command of the front end's menus, to a cell where there is an index."""
        self._do("command", name, index)

    @property
    def cell_ids(self) -> list[str]:
        """The front end's ids of all cells, in order."""
        return list(self.page.evaluate("() => rig.ids()"))

    def rename(self, name: str) -> None:
        """Give the notebook's file another name."""
        self._do("rename", name)
        self.path = self.path.with_name(name)

    def set_source(self, index: int, source: str) -> None:
        """Change the text of a cell."""
        self.page.evaluate("([index, source]) => rig.setSource(index, source)", [index, source])

    # What there is to see

    def output(self, index: int) -> Locator:
        """The output area of a cell, to wait for or to look into."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def outputs(self, index: int) -> Output:
        """What a cell shows now."""
        area = self.output(index)
        return Output(text=area.inner_text(), html=area.inner_html())

    def wait_for_text(self, index: int, text: str) -> None:
        """Wait until a cell shows exactly this: a page just opened may still be drawing."""
        condition = "([area, text]) => area.innerText === text"
        self.page.wait_for_function(
            condition, arg=[self.output(index).element_handle(), text], timeout=_COMMAND_TIMEOUT_S * 1000
        )

    def saved(self, index: int) -> list[dict[str, Any]]:
        """The outputs of a cell as its notebook holds them, in nbformat."""
        return list(self.page.evaluate("index => rig.model(index)", index))

    def watch_output(self, index: int) -> None:
        """Note from now on every text the output of a cell shows; :attr:`watched` has them."""
        self.page.evaluate("index => rig.watch(index)", index)

    @property
    def watched(self) -> list[str]:
        """Texts that the watched output has shown, in order."""
        return list(self.page.evaluate("() => rig.watched()"))

    def trace(self, index: int) -> None:
        """Note from now on, at every change, how an answer grows in the output of a cell; :attr:`traced` has it."""
        self.page.evaluate("index => rig.trace(index)", index)

    @property
    def traced(self) -> list[dict[str, Any]]:
        """What it has shown, in order: the ``size`` of all text, and the texts of the answer's ``blocks``."""
        return list(self.page.evaluate("() => rig.traced()"))

    def wait_for_text_of(self, index: int, selector: str, html: str) -> None:
        """Wait until an element of a cell's output has exactly the text of some HTML, formulas aside."""
        self._do("hasTextOf", index, selector, html)

    @property
    def kernel(self) -> dict[str, Any] | None:
        """Id and name of the kernel, None where there is none."""
        found: dict[str, Any] | None = self.page.evaluate("() => rig.kernel()")
        return found

    def is_trusted(self, index: int) -> bool:
        """Whether the user is taken to have made the cell's output."""
        return bool(self.page.evaluate("index => rig.isTrusted(index)", index))

    def foreign_requests(self) -> list[str]:
        """What the page asked of others than its own server."""
        return self.watch.foreign(self._server.url)

    def settle(self) -> None:
        """Wait until what has been shown had its turn to run and to load."""
        self._do("settle")

    def intruders(self) -> list[str]:
        """Elements in outputs that no answer may have, with their content."""
        return list(self.page.evaluate("() => rig.intruders()"))

    def guard(self) -> None:
        """Note from now on what slips into an output if only for a moment, and which commands are done."""
        self.page.evaluate("() => rig.guard()")

    def commands(self) -> list[str]:
        """Commands of the front end that were done since :meth:`guard` and that this rig did not ask for."""
        return list(self.page.evaluate("() => rig.commands()"))

    def look(self) -> list[Any]:
        """Where the page is, and what it looks like around the outputs."""
        return list(self.page.evaluate("() => rig.look()"))

    def screenshot(self, path: Path) -> None:
        """Take a picture of the page as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    # Keeping

    def save(self) -> None:
        """Save, as the menu does, and wait until it is saved."""
        self._do("save")

    def reopen(self, *, is_trusted: bool = True, app: App = "lab") -> Notebook:
        """End the kernel, close the page, and open the saved file in a fresh profile; Notebook starts a new kernel.

        Args:
            is_trusted: False opens a copy that another user could have made: the same outputs, without the
                signature that saving here left.
            app: Which front end shows it.
        """
        self.close()
        path = self.path if is_trusted else _unsigned_copy(self.path)
        return Notebook(self._server, self._browser, path, has_kernel=app != "lab", app=app)

    def _do(self, name: str, *args: object, timeout_s: float = _COMMAND_TIMEOUT_S) -> None:
        self.page.evaluate("([name, args]) => rig[name](...args)", [name, [*args, timeout_s]])


class Lab:
    """Opens notebooks, and closes them all at the end.

    Args:
        server: Who serves them.
        browser: Where they are opened.
    """

    _numbers = itertools.count(1)

    def __init__(self, server: LabServer, browser: Browser) -> None:
        self.server = server
        self._browser = browser
        self.notebooks: list[Notebook] = []

    def open(self, cells: Sequence[str], *, environ: Mapping[str, str] | None = None, app: App = "lab") -> Notebook:
        """Write a notebook of code cells and open it, with a kernel of its own that is ready.

        Args:
            cells: Source of each cell.
            environ: Further environment variables of its kernel.
            app: Which front end shows it.
        """
        path = self.server.write(f"notebook-{next(self._numbers)}", cells, environ=environ)
        return self._kept(Notebook(self.server, self._browser, path, app=app))

    def reopen(self, notebook: Notebook, *, is_trusted: bool = True, app: App = "lab") -> Notebook:
        """See :meth:`Notebook.reopen`; closed with the others."""
        return self._kept(notebook.reopen(is_trusted=is_trusted, app=app))

    def close(self) -> None:
        """Close all notebooks."""
        for notebook in self.notebooks:
            notebook.close()

    def _kept(self, notebook: Notebook) -> Notebook:
        self.notebooks.append(notebook)
        return notebook


def _unsigned_copy(path: Path) -> Path:
    # What is signed is the content: changed anywhere, the signature does not fit.
    notebook = json.loads(path.read_text())
    notebook["metadata"]["copied"] = True
    copy = path.with_name(f"{path.stem}-copy.ipynb")
    copy.write_text(json.dumps(notebook))
    return copy
