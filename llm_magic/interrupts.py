"""SIGINT while an answer is under way, and in the moment after.

In: signals. Out: a cancelled ask, and at last, where even closing it takes long, an exception. A user who presses
Stop once more, because nothing has happened yet, means the same interrupt: it must hit neither the drawing of what is
kept nor the kernel's own messages about the cell's end, without which the cell looks busy for ever.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any, TypeAlias

    Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None

# Closing a connection takes milliseconds. For so long after the first interrupt the next ones mean the same.
PATIENCE_S = 0.5


class Cancellable(Protocol):
    """What an interrupt cancels."""

    def cancel(self) -> None:
        """Stop soon. Called from signal handlers: takes no lock, and does no harm when repeated."""


class Interrupts:
    """A SIGINT handler. The first interrupt cancels; only insistent ones do more.

    Attributes:
        count: How many have come.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first_at = 0.0
        self._target: Cancellable | None = None
        self._is_raising = False

    @property
    def is_insistent(self) -> bool:
        """One came more than once, and what the first began is not done in time: do not wait for it."""
        return self.count > 1 and time.monotonic() - self._first_at > PATIENCE_S

    def attach(self, target: Cancellable) -> None:
        """From now on an interrupt cancels this; one that came before does so now."""
        self._target = target
        if self.count:
            target.cancel()

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Around what waits for the user, or runs a function of theirs: there the first interrupt raises, too, once."""
        self._is_raising = True
        try:
            if self.count:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_raising = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Take one.

        Raises:
            KeyboardInterrupt: Something waits for the user. Or it is at least the third, and late: whoever should look
                between two drawings is stuck.
        """
        self.count += 1
        if self.count == 1:
            self._first_at = time.monotonic()
        if self._target is not None:
            self._target.cancel()
        if self._is_raising:
            self._is_raising = False
            raise KeyboardInterrupt
        if self.count > 2 and self.is_insistent:  # noqa: PLR2004  # the second is the watcher's to see
            raise KeyboardInterrupt


class _Lingering:
    """Swallows the SIGINTs that follow a heeded one at once; hands on, and gives way to, the former handler then."""

    def __init__(self, former: Handler) -> None:
        self.former = former
        self._until = time.monotonic() + PATIENCE_S

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() < self._until:
            return
        signal.signal(number, self.former)
        if callable(self.former):
            self.former(number, frame)
        elif self.former == signal.SIG_DFL:
            signal.raise_signal(number)


@contextlib.contextmanager
def deferred() -> Iterator[Interrupts]:
    """Take SIGINTs for a while, and after one for a moment longer. Outside the main thread they do not arrive."""
    interrupts = Interrupts()
    former = _former()
    if former is None:
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, _after(former) if interrupts.count else former)


def linger() -> None:
    """Let the interrupt that has just become an exception stand for those that follow at once."""
    former = _former()
    if former is not None:
        signal.signal(signal.SIGINT, _after(former))


def _former() -> Handler:
    """The handler in force, None where it is not ours to change: in another thread, or not Python's."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler.former if isinstance(handler, _Lingering) else handler


def _after(former: Handler) -> Handler:
    """What follows on a heeded interrupt.

    A kernel sets the handler anew with every cell and ignores SIGINT between them, so there it may linger for the rest
    of this cell. Elsewhere nobody would clear it away, and an interrupt too many does no harm.
    """
    return _Lingering(former) if _is_in_kernel() else former


def _is_in_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
