"""The way from a page to the kernel that is open while a cell blocks: messages on the control channel, by widget.

Comes in: what a page says, ``{k, t, …}``; goes out: a call of the widget it names, on the control thread. Kernels
without such a channel lose nothing but this: pages say the same by comm, which is heard between cells.
"""

from __future__ import annotations

import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

MESSAGE_TYPE = "llm_magic"
# The kernel says "idle" right after a handler has returned.
IDLE_AFTER_S = 0.03
log = logging.getLogger("llm_magic")


class Listener(Protocol):
    """What a page talks to."""

    def hear(self, message: Mapping[str, Any], buffers: Sequence[object] = ()) -> None:
        """Take a message. Called on any thread: looks at ids and state, sets, sends, and returns at once."""


class Channel:
    """The control channel of one kernel.

    Args:
        shell: The kernel's shell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._listeners: weakref.WeakValueDictionary[str, Listener] = weakref.WeakValueDictionary()
        self._heard_at: float | None = None
        handlers = getattr(getattr(shell, "kernel", None), "control_handlers", None)
        self.is_open = isinstance(handlers, dict)
        if self.is_open:
            handlers[MESSAGE_TYPE] = self._handle  # type: ignore[index]  # a dict, as was just seen

    def listen(self, key: str, listener: Listener) -> None:
        """Hand on what pages say to a widget; until it is gone."""
        self._listeners[key] = listener

    def hear(self, message: Any) -> None:
        """Hand on one message, from whichever channel; one to nobody, or that is none, is dropped."""
        listener = self._listeners.get(message.get("t", "")) if isinstance(message, dict) else None
        if listener is not None:
            listener.hear(message)

    def stay_busy(self) -> None:
        """Say again that the cell is busy, where a control message made the kernel look idle.

        Called by the blocked main thread only: whatever it says comes before the cell's own end.
        """
        if self._heard_at is None or time.monotonic() - self._heard_at < IDLE_AFTER_S:
            return
        self._heard_at = None
        kernel: Any = self._shell.kernel  # type: ignore[attr-defined]  # a shell without one has no open channel
        kernel.session.send(
            kernel.iopub_socket,
            "status",
            {"execution_state": "busy"},
            parent=kernel.get_parent("shell"),
            ident=kernel.topic("status") if hasattr(kernel, "topic") else kernel._topic("status"),  # noqa: SLF001  # 6.x
        )

    def _handle(self, _stream: object, _ident: object, parent: Mapping[str, Any]) -> None:
        try:
            self.hear(parent.get("content"))
        except Exception:
            # An exception here would end in the kernel's log without a name, and nobody waits for an answer.
            log.exception("a message of a page could not be heard")
        finally:
            self._heard_at = time.monotonic()


def channel_of(shell: InteractiveShell) -> Channel:
    """The channel of a shell's kernel: the one that is open, else a new one."""
    handlers = getattr(getattr(shell, "kernel", None), "control_handlers", None) or {}
    owner = getattr(handlers.get(MESSAGE_TYPE), "__self__", None)
    return owner if isinstance(owner, Channel) else Channel(shell)
