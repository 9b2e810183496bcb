"""The panel's widget: the live view's store and turns, and around them the panel's own scripts and style."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..views.widgets import FeedWidget

_STATIC = Path(__file__).parent / "static"
# Each uses what those before it define; the last one is the module's export.
_PARTS = ("parts", "choices", "desk", "attachments", "composer", "row", "log", "header", "panel")
SCRIPTS = tuple(_STATIC / f"{part}.js" for part in _PARTS)
STYLES = (_STATIC / "panel.css",)


@functools.cache
def panel_type() -> type[FeedWidget]:
    """The widget of the panel. Imports anywidget, which takes a moment."""
    from ..views.widgets import SHARED_SCRIPTS, SHARED_STYLES, widget_type

    return widget_type("PanelWidget", script=(*SHARED_SCRIPTS, *SCRIPTS), style=(*SHARED_STYLES, *STYLES))
