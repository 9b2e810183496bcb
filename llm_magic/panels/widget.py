"""The panel's widget: the live view's store and turns, and around them the panel's own script and style."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..views.widgets import FeedWidget

_STATIC = Path(__file__).parent / "static"
# In this order; the last one is the module's export.
SCRIPTS: tuple[str, ...] = ("panel.js",)


@functools.cache
def panel_type() -> type[FeedWidget]:
    """The widget of the panel. Imports anywidget, which takes a moment."""
    from ..views.widgets import SHARED_SCRIPTS, SHARED_STYLES, widget_type

    scripts = [*SHARED_SCRIPTS, *(_STATIC / name for name in SCRIPTS)]
    return widget_type("PanelWidget", script=scripts, style=[*SHARED_STYLES, _STATIC / "panel.css"])
