"""The way from a page to the kernel that is open while a cell blocks: messages on the control channel, by widget.

Comes in: what a page says, ``{k, t, …}``; goes out: a call of the widget it names, on the control thread. Kernels
without such a channel lose nothing but this: pages say the same by comm, which is heard between cells.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

MESSAGE_TYPE = "llm_magic"
# A page that begins says more to the kernel than we hear: JupyterLab asks for a subshell for its widgets, for one.
AGAIN_AFTER_S = (0.5, 2.0)
log = logging.getLogger("llm_magic")


class Listener(Protocol):
    """What a page talks to."""

    def hear(self, message: Mapping[str, Any], buffers: Sequence[object] = ()) -> None:
        """Take a message. Called on any thread: looks at ids and state, sets, sends, and returns at once."""


class Channel:
    """The control channel of one kernel.

    Args:
        shell: The kernel's shell.

    Attributes:
        is_open: The kernel lets us hear such messages.
        is_heard: One has come: this kernel does hand them on.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._listeners: weakref.WeakValueDictionary[str, Listener] = weakref.WeakValueDictionary()
        # When the kernel has looked idle, or may have.
        self._idle_at: list[float] = []
        self.is_heard = False
        handlers = getattr(getattr(shell, "kernel", None), "control_handlers", None)
        self.is_open = isinstance(handlers, dict)
        if self.is_open:
            handlers[MESSAGE_TYPE] = self._handle  # type: ignore[index]  # a dict, as was just seen

    def listen(self, key: str, listener: Listener) -> None:
        """Hand on what pages say to a widget; until it is gone."""
        self._listeners[key] = listener

    def hear(self, message: Any) -> None:
        """Hand on one message, from whichever channel; one to nobody, or that is none, is dropped."""
        key = message.get("t") if isinstance(message, dict) else None
        listener = self._listeners.get(key) if isinstance(key, str) else None
        if listener is not None:
            listener.hear(message)

    def stay_busy(self) -> None:
        """Say again that the cell is busy, where a control message made the kernel look idle.

        Called by the blocked main thread only: whatever it says comes before the cell's own end.
        """
        if not self._idle_at or time.monotonic() < self._idle_at[0]:
            return
        self._idle_at.pop(0)
        kernel: Any = self._shell.kernel  # type: ignore[attr-defined]  # a shell without one has no open channel
        kernel.session.send(
            kernel.iopub_socket,
            "status",
            {"execution_state": "busy"},
            parent=kernel.get_parent("shell"),
            ident=kernel.topic("status") if hasattr(kernel, "topic") else kernel._topic("status"),  # noqa: SLF001  # 6.x
        )

    def _handle(self, _stream: object, _ident: object, parent: Mapping[str, Any]) -> None:
        self.is_heard = True
        try:
            self.hear(parent.get("content"))
        except Exception:
            # An exception here would end in the kernel's log without a name, and nobody waits for an answer.
            log.exception("a message of a page could not be heard")
        finally:
            self._after_this_message(self._note_idle)

    def _note_idle(self) -> None:
        now = time.monotonic()
        self._idle_at = [now, *(now + later_s for later_s in AGAIN_AFTER_S)]

    @staticmethod
    def _after_this_message(function: Callable[[], None]) -> None:
        """Call a function when the kernel has said "idle": it does in the same step of the control thread's loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            function()
        else:
            loop.call_soon(function)


def channel_of(shell: InteractiveShell) -> Channel:
    """The channel of a shell's kernel: the one that is open, else a new one."""
    handlers = getattr(getattr(shell, "kernel", None), "control_handlers", None) or {}
    owner = getattr(handlers.get(MESSAGE_TYPE), "__self__", None)
    return owner if isinstance(owner, Channel) else Channel(shell)
