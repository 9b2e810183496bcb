"""SIGINTs, really sent: what one does, what the next ones do, and who has the handler afterwards."""

from __future__ import annotations

import signal
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from llm_magic import interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_S = 600.0


class Target:
    """Counts how often it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture(autouse=True)
def former() -> Iterator[list[int]]:
    """The handler of whoever calls us: it takes down what it gets."""
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def in_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell with a kernel runs this cell."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def interrupt(times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def test_the_first_interrupt_cancels(former: list[int]) -> None:
    """It raises nothing, and the handler is put back."""
    handler, target = signal.getsignal(signal.SIGINT), Target()

    with interrupts.deferred() as taken:
        taken.attach(target)
        interrupt()

    assert (taken.count, target.cancelled, taken.is_insistent) == (1, 1, False)
    assert signal.getsignal(signal.SIGINT) is handler
    assert former == []


def test_an_interrupt_before_the_ask_cancels_it_as_it_begins() -> None:
    """It is not lost."""
    target = Target()

    with interrupts.deferred() as taken:
        interrupt()
        taken.attach(target)

    assert target.cancelled == 1


def test_interrupts_that_follow_at_once_mean_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, none raises: they would hit what draws the end."""
    monkeypatch.setattr(interrupts, "PATIENCE_S", LONG_S)

    with interrupts.deferred() as taken:
        interrupt(times=9)

    assert (taken.count, taken.is_insistent) == (9, False)


def test_what_waits_for_the_user_is_interrupted_once() -> None:
    """The first raises where it waits, and cancels; what follows at once, or was before, does not raise elsewhere."""
    target = Target()

    with interrupts.deferred() as taken:
        taken.attach(target)
        with taken.raising():
            with pytest.raises(KeyboardInterrupt):
                interrupt()
            interrupt()
        interrupt()
        with pytest.raises(KeyboardInterrupt), taken.raising():
            pytest.fail("an interrupt that came before is forgotten")

    assert (taken.count, target.cancelled) == (3, 3)


def test_insistence_is_seen_and_then_felt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the end is not reached in time, a second interrupt is for the watcher to see, a third one raises."""
    monkeypatch.setattr(interrupts, "PATIENCE_S", -1.0)

    with interrupts.deferred() as taken:
        interrupt()
        assert not taken.is_insistent
        interrupt()
        assert taken.is_insistent
        with pytest.raises(KeyboardInterrupt):
            interrupt()


@pytest.mark.usefixtures("in_kernel")
def test_in_a_kernel_the_handler_lingers_and_swallows(former: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """After an interrupt, the next ones within a moment do not hit the kernel's own messages."""
    monkeypatch.setattr(interrupts, "PATIENCE_S", LONG_S)
    with interrupts.deferred():
        interrupt()

    interrupt(times=3)

    assert former == []


@pytest.mark.usefixtures("in_kernel")
def test_a_lingering_handler_hands_on_what_comes_later(former: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the cell can be interrupted as ever, and the former handler is back."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(interrupts, "PATIENCE_S", -1.0)
    interrupts.linger()
    assert signal.getsignal(signal.SIGINT) is not handler

    interrupt(times=2)

    assert former == [signal.SIGINT] * 2
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.usefixtures("in_kernel")
def test_handlers_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lingering handler is never taken for the former one; an ask without an interrupt clears it away."""
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(interrupts, "PATIENCE_S", LONG_S)
    for _ in range(3):
        with interrupts.deferred():
            interrupt()

    with interrupts.deferred():
        pass

    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.usefixtures("in_kernel")
def test_a_lingering_handler_knows_handlers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SIGINT was ignored it is ignored again."""
    monkeypatch.setattr(interrupts, "PATIENCE_S", -1.0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.linger()

    interrupt()

    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_outside_a_kernel_nothing_lingers(former: list[int]) -> None:
    """Nobody would clear it away there."""
    handler = signal.getsignal(signal.SIGINT)

    with interrupts.deferred():
        interrupt()
    interrupts.linger()
    interrupt()

    assert signal.getsignal(signal.SIGINT) is handler
    assert former == [signal.SIGINT]


def test_in_another_thread_the_handler_is_left_alone() -> None:
    """Signals arrive in the main thread only."""
    seen: list[object] = []

    def run() -> None:
        with interrupts.deferred() as taken:
            taken.attach(Target())
            interrupts.linger()
            seen.append(signal.getsignal(signal.SIGINT))

    handler = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert seen == [handler]
