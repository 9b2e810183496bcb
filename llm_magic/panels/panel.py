"""The chat panel of one kernel: what its pages say goes to the session, what happens there to its pages.

Pages are answered over the widget's messages; patches leave on the engine's thread, at most 20 a second, so a cell that
blocks does not keep the panel from showing what it asks, nor the panel the cell.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any

from .. import api, frontend
from ..engine import shared_engine
from ..views.channel import channel_of
from ..views.feed import Feed
from .actions import Actions
from .board import Board
from .busy import Busy
from .docking import Dock, sidecar
from .pump import Pump
from .rows import sound_values
from .said import Said
from .widget import panel_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from ..session import Session

# How long turns are rendered in one go: before the panel opens, and each time on the engine's loop after.
FIRST_S, EACH_S = 0.3, 0.04
NO_WIDGETS = "The chat panel needs a notebook with widgets; %chat, %%chat and %llm do the same here."
log = logging.getLogger("llm_magic")


class Panel:
    """The panel on the conversations of one session.

    Args:
        shell: The kernel's shell, whose variables can be attached.
        session: Whose current conversation is shown.
    """

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        engine = shared_engine()
        self._session = session
        self._feed = Feed(f"{session.id}-panel")
        self._pump = Pump(engine, self._send)
        self._board = Board(session, self._feed, self._pump.wake)
        self._actions = Actions(
            session, self._board, namespace=lambda: shell.user_ns, hidden=frozenset(shell.user_ns_hidden)
        )
        session.watch(self._board.note)
        # Where the extension is not loaded, nothing else tells what a cell has changed.
        shell.events.register("post_run_cell", self._look)
        self._busy = Busy(shell, engine, lambda is_busy: self._board.set(busy=is_busy or None))
        with self._feed.lock:
            self._board.fill(until=time.monotonic() + FIRST_S)
            self._feed.patch()  # what is there already is in the widget's first state
            self._widget = panel_type()(self._feed, listener=self, channel=channel_of(shell))
        self._dock = Dock(self._widget, engine, sidecar=sidecar())
        self._pump.wake()

    def show(self) -> None:
        """Show it: beside the notebook in JupyterLab, here elsewhere."""
        self._dock.show()

    def hear(self, message: Mapping[str, Any], buffers: Sequence[object] = ()) -> None:
        """Take what a page says; on any thread."""
        match message:
            case {"k": "do", "id": int() | str() as number, "do": str() as name}:
                self._do(number, name, Said(message), buffers)
            case {"k": "need", "q": number}:
                self._answer_need(number)
            case {"k": "stop", "turn": str() as turn_id}:
                self._session.stop(turn_id)
                self._widget.send({"k": "ack", "turn": turn_id})
            case {"k": "permit", "turn": str() as turn_id, **said}:
                is_taken = self._board.permit(turn_id, said)
                self._widget.send({"k": "ack", "turn": turn_id, "call": said.get("call"), "is_taken": is_taken})
            case {"k": "text", "slot": str() as slot_id}:
                self._widget.send(sound_values({"k": "text", "slot": slot_id, "text": self._board.source(slot_id)}))
            case {"k": "page", "app": str() as application}:
                self._dock.note_page(application)
            case {"k": "view"}:
                self._dock.note_view()
            case _:
                # A page of another version, or a greeting: nobody waits for an answer.
                pass

    def _do(self, number: int | str, name: str, said: Said, buffers: Sequence[object]) -> None:
        done = self._actions.do(name, said, buffers)
        answer: dict[str, Any] = {"k": "done", "id": number, "ok": done.is_ok}
        if done.line:
            answer["line"] = done.line
        if done.data is not None:
            answer["data"] = done.data
        self._widget.send(sound_values(answer))
        for line in self._session.lines():
            self._board.say(line)

    def _answer_need(self, number: object) -> None:
        with self._feed.lock:
            if number == self._feed.number:
                self._widget.send({"k": "same"})
            else:
                self._widget.send_whole()

    def _look(self, _result: object = None) -> None:
        self._board.touch()

    def _send(self) -> bool:
        with self._feed.lock:
            is_whole = self._board.fill(until=time.monotonic() + EACH_S)
            self._widget.send_patch()
        return not is_whole


def panel() -> None:
    """Show the chat panel: the notebook's current conversation beside it, both ways.

    In JupyterLab with the package ``sidecar`` it docks at the right, elsewhere it stands in the cell's output. Calling
    it again shows the same panel again. Where there are no widgets, one line says so.
    """
    from IPython import get_ipython

    shell = get_ipython()
    show(shell, api.session())


def show(shell: InteractiveShell | None, session: Session) -> None:
    """As :func:`panel`, of any shell and session."""
    here = frontend.detect(shell, view=session.config.get("view"), secret=session.secret)
    if shell is None or here.path not in ("static", "live"):
        print(NO_WIDGETS)
        return
    _panel_of(shell, session).show()


@functools.lru_cache(maxsize=1)
def _panel_of(shell: InteractiveShell, session: Session) -> Panel:
    return Panel(shell, session)
