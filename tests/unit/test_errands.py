"""Errands: what is left by one thread and done by another, and what an interrupt hits."""

from __future__ import annotations

import contextlib
import signal
import threading
from contextvars import ContextVar

import pytest

from llm_magic.errands import Errands

HERE: ContextVar[str] = ContextVar("here", default="nobody")


def test_a_function_runs_on_the_thread_of_its_errands_in_the_context_it_was_left_in() -> None:
    """Its value is the future's; nothing runs before that thread does it."""
    errands = Errands()

    def leave() -> None:
        HERE.set("somebody")
        futures.append(errands.leave(lambda: (threading.current_thread(), HERE.get())))

    futures: list[object] = []
    thread = threading.Thread(target=leave)
    thread.start()
    thread.join(60)
    (future,) = futures
    assert not future.done()  # type: ignore[attr-defined]  # a future

    errands.do(contextlib.nullcontext)

    assert future.result(0) == (threading.current_thread(), "somebody")  # type: ignore[attr-defined]  # a future
    assert HERE.get() == "nobody"


def test_what_a_function_raises_is_the_futures() -> None:
    """And nobody else's; what was taken back before does not run."""
    errands = Errands()
    failing = errands.leave(lambda: 1 / 0)
    done: list[int] = []
    taken_back = errands.leave(lambda: done.append(1))
    assert taken_back.cancel()

    errands.do(contextlib.nullcontext)

    assert isinstance(failing.exception(0), ZeroDivisionError)
    assert done == []


def test_an_interrupt_is_told_and_goes_on() -> None:
    """It is the user's: who does the errands hears of it, and so does who left them."""
    errands = Errands()

    def stopped() -> None:
        raise KeyboardInterrupt

    future = errands.leave(stopped)

    with pytest.raises(KeyboardInterrupt):
        errands.do(contextlib.nullcontext)

    assert isinstance(future.exception(0), KeyboardInterrupt)


def test_only_a_function_that_is_being_called_is_interrupted() -> None:
    """From another thread; before and after, an interrupt would hit who knows what."""
    errands = Errands()
    hits: list[object] = []
    former = signal.signal(signal.SIGINT, lambda *_: hits.append(inside[-1:]))
    inside: list[str] = []

    def interrupt() -> None:
        thread = threading.Thread(target=errands.interrupt)
        thread.start()
        thread.join(60)

    def function() -> None:
        inside.append("function")
        errands.interrupt()  # on its own thread: whoever runs here can raise
        interrupt()

    try:
        interrupt()
        errands.leave(function)
        errands.do(contextlib.nullcontext)
        interrupt()
    finally:
        signal.signal(signal.SIGINT, former)

    assert hits == [["function"]]
