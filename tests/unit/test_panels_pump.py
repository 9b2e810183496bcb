"""The pump: soon after it was woken, seldom enough, and never for nothing."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from llm_magic.engine import Engine
from llm_magic.panels.pump import Pump

WAIT_S = 30.0


@pytest.fixture
def engine() -> Engine:
    """A loop of the test's own."""
    return Engine()


def test_it_works_on_the_engines_thread_once_for_many_calls(engine: Engine) -> None:
    """However often it is woken before it comes to work, it works once."""
    threads: list[str] = []
    is_done = threading.Event()
    is_free = threading.Event()

    def work() -> bool:
        threads.append(threading.current_thread().name)
        is_done.set()
        return False

    pump = Pump(engine, work, every_s=0.0)
    engine.later(0.0, lambda: is_free.wait(WAIT_S))
    for _ in range(100):
        pump.wake()
    is_free.set()

    assert is_done.wait(WAIT_S)
    quiet = threading.Event()
    engine.later(0.0, quiet.set)
    assert quiet.wait(WAIT_S)
    assert threads == ["llm_magic"]


def test_it_never_works_more_often_than_it_may(engine: Engine) -> None:
    """Woken all the time, it leaves at least the pause between two times."""
    times: list[float] = []
    is_enough = threading.Event()

    def work() -> bool:
        times.append(time.monotonic())
        if len(times) == 4:
            is_enough.set()
        return True

    Pump(engine, work, every_s=0.05).wake()

    assert is_enough.wait(WAIT_S)
    assert all(later - earlier >= 0.045 for earlier, later in pairwise(times[:4]))


def test_what_breaks_is_logged_and_the_next_time_comes(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """An error ends one time, not the pump."""
    calls: list[int] = []
    is_done = threading.Event()

    def work() -> bool:
        calls.append(1)
        if len(calls) == 1:
            broken.set()
            raise RuntimeError("pipes burst")
        is_done.set()
        return False

    broken = threading.Event()
    pump = Pump(engine, work, every_s=0.0)
    pump.wake()
    assert broken.wait(WAIT_S)
    while not is_done.is_set():
        pump.wake()

    assert "pipes burst" in caplog.text


def test_the_child_of_a_fork_pumps_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked process has no pages, and must not start a loop for them."""
    pump = Pump(engine, lambda: False)
    monkeypatch.setattr("os.getpid", lambda: -1)

    pump.wake()

    assert not engine.is_running
