"""The widgets whose state is a feed: the one place that imports anywidget.

Imported by what shows a widget, when it does: it costs what importing ipywidgets costs.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from .. import rendering

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .channel import Channel, Listener
    from .feed import Feed

_STATIC = Path(__file__).parent / "static"
# What draws turns, in every widget of ours.
SHARED_SCRIPTS = (_STATIC / "store.js", _STATIC / "turn.js")
SHARED_STYLES = (_STATIC / "turn.css",)
_COMMENTS = ("//", "/*", "*")
VIEW_TYPE = "application/vnd.jupyter.widget-view+json"


class FeedWidget(anywidget.AnyWidget):
    """A widget whose pages show a feed.

    Args:
        feed: What they show.
        listener: Hears what the pages say.
        channel: How they say it while a cell blocks.
    """

    snap = traitlets.Dict().tag(sync=True)

    def __init__(self, feed: Feed, *, listener: Listener, channel: Channel) -> None:
        self._feed = feed
        self._channel = channel
        self._is_open = False
        # What is there already is in the first state.
        self._patch()
        # Pages know the widget by the same name as its outputs do.
        super().__init__(model_id=feed.key)
        self._is_open = True
        _answer_in_main_thread(self.comm)
        channel.listen(feed.key, listener)
        self.on_msg(lambda _widget, content, buffers: listener.hear(content, buffers))

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  # ipywidgets' signature
        """The state as pages are given it: the whole of the feed, fresh each time."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if "snap" in state or key is None:
            # A page that asks for everything comes later than the first, and may be the only one left that shows it.
            state["snap"] = rendering.sound_values(self._feed.snapshot()) | {"late": self._is_open and key is None}
        return state

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to all pages. Half of a character, as prompts and answers may hold, cannot be sent."""
        super().send(rendering.sound_values(content), buffers)

    def send_whole(self) -> None:
        """Send the whole state to all pages."""
        self.send_state("snap")

    def send_patch(self) -> bool:
        """Send what changed; whether there was anything. The caller holds the feed's lock."""
        patch = self._patch()
        if patch is not None:
            self.send(patch)
        return patch is not None

    def _patch(self) -> dict[str, Any] | None:
        # A page that knows that it is heard on the control channel need never interrupt to stop an answer.
        if self._channel.is_heard:
            self._feed.head(control=True)
        return self._feed.patch()

    def bundle(self, kept: Mapping[str, str]) -> dict[str, Any]:
        """What is displayed: this widget where the front end has widgets, else what is given."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {VIEW_TYPE: view, **kept}

    def close(self) -> None:
        """Close the widget and what ipywidgets made for it."""
        self.layout.close()
        super().close()


def _answer_in_main_thread(comm: Any) -> None:
    """Have what pages say by comm heard in the main thread, between cells, whichever page says it.

    ipykernel 7.4 takes a page's message to the subshell for which the widget has sent its last one. Where that was a
    page that has been closed or loaded anew since, its subshell is gone and the message with it.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, _default: None  # noqa: SLF001  # there is no other way to say it


def joined(*paths: Path) -> str:
    """Files as one text, without comments and indentation, which every turn would send again.

    Modules of a widget have no imports, so that none of them can be late.
    """
    lines = (line.strip() for path in paths for line in path.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(_COMMENTS))


@functools.cache
def live_type() -> type[FeedWidget]:
    """The widget of the live view."""
    return widget_type("LiveWidget", script=(*SHARED_SCRIPTS, _STATIC / "live.js"), style=SHARED_STYLES)


def widget_type(name: str, *, script: Iterable[Path], style: Iterable[Path]) -> type[FeedWidget]:
    """A widget of a feed, made of these files; the last script exports."""
    return type(name, (FeedWidget,), {"_esm": joined(*script), "_css": joined(*style), "__module__": __name__})
