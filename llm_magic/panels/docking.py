"""Where the panel's widget is shown: beside the notebook in JupyterLab, in the output elsewhere.

A kernel does not know which application shows its notebook; the page says it once the widget's module runs in it.
Until then the output holds a line. A dock of JupyterLab (sidecar) opens with its model, so a page that is loaded anew
has it again, and the notebook holds nothing but the line.
"""

from __future__ import annotations

import functools
import importlib.util
import threading
from typing import TYPE_CHECKING, Any

from .. import rendering
from ..views.static import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..engine import Engine
    from ..views.widgets import FeedWidget

JUPYTERLAB = "JupyterLab"
TITLE = "Chat"
# A page that is there says so in a moment; one with a slow network, later. A view takes longer to appear.
PAGE_PATIENCE_S, VIEW_PATIENCE_S = 2.0, 5.0
_OPENING = "The chat panel opens beside the notebook."
_DOCKED = "The chat panel is beside the notebook; %chat panel shows it again."
_INLINE = "The chat panel: %chat panel shows it while the kernel runs."


class Dock:
    """Shows one widget.

    Args:
        widget: The panel's.
        engine: Whose loop waits for pages.
        sidecar: Makes what docks a widget's view in JupyterLab; None where that is not installed.
        display: Makes an output.
    """

    def __init__(
        self,
        widget: FeedWidget,
        engine: Engine,
        *,
        sidecar: Callable[[Mapping[str, Any]], Any] | None,
        display: Callable[[], Display] = Display,
    ) -> None:
        self._widget = widget
        self._engine = engine
        self._sidecar = sidecar
        self._make_display = display
        self._lock = threading.Lock()
        self._docked: Any = None
        self._pending: list[Display] = []
        self._application: str | None = None
        self._views = 0

    def show(self) -> None:
        """Show it, again where it has been shown: one model, another view."""
        output = self._make_display()
        if self._sidecar is None or self._application not in (None, JUPYTERLAB):
            output.show(self._inline())
            return
        output.show(_line(_OPENING))
        with self._lock:
            self._pending.append(output)
        if self._application is None:
            self._engine.later(PAGE_PATIENCE_S, lambda: self._stand_in(output))
        else:
            self._settle(output)

    def note_page(self, application: str) -> None:
        """A page runs the widget's module. On any thread."""
        self._application = application
        for output in [*self._pending]:
            self._engine.later(0.0, functools.partial(self._settle, output))

    def note_view(self) -> None:
        """A page shows a view of the widget. On any thread."""
        self._views += 1

    def _stand_in(self, output: Display) -> None:
        """No page has said anything: it may be one that never does, or one that is slow."""
        if output in self._pending:
            output.show(self._inline())

    def _settle(self, output: Display) -> None:
        """Decide where an output's panel goes, once."""
        with self._lock:
            if output not in self._pending:
                return
            self._pending.remove(output)
        if self._application != JUPYTERLAB or self._sidecar is None:
            output.show(self._inline())
            return
        if self._docked is not None:
            # It may have been closed in the page, which nobody tells: a new one is seen in any case.
            self._docked.close()
        seen = self._views
        self._docked = self._sidecar(self._view())
        output.show(_line(_DOCKED))
        self._engine.later(VIEW_PATIENCE_S, lambda: self._check(output, seen))

    def _check(self, output: Display, seen: int) -> None:
        # The server may lack the part of sidecar that runs in the page.
        if self._views == seen:
            output.show(self._inline())

    def _view(self) -> dict[str, Any]:
        return self._widget.bundle({})

    def _inline(self) -> dict[str, Any]:
        return self._widget.bundle(_line(_INLINE))


def sidecar() -> Callable[[Mapping[str, Any]], Any] | None:
    """What docks in JupyterLab, None where the package is not installed."""
    if importlib.util.find_spec("sidecar") is None:
        return None

    def dock(bundle: Mapping[str, Any]) -> Any:
        from sidecar import Sidecar

        output = {"output_type": "display_data", "data": dict(bundle), "metadata": {}}
        return Sidecar(title=TITLE, outputs=(output,))

    return dock


def _line(text: str) -> dict[str, str]:
    return {"text/html": rendering.answer_html(rendering.notice_html(text)), "text/plain": text}
