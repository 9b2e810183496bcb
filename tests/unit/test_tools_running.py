"""One call runs in its place, ends in its time, and is a result whatever happens."""

from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

import llm_magic
from llm_magic.content import ToolCall, ToolResult, text_of
from llm_magic.errors import ToolError
from llm_magic.tools import Bound, as_tool, checked, run, tool
from llm_magic.values import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")


class Main:
    """A main thread that takes functions, one after the other."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.future: Future[Any] = Future()
        self.raised: list[BaseException] = []

    def __call__(self, function: Callable[[], Any]) -> Future[Any]:
        if self.takes:
            threading.Thread(target=self._take, args=(function,), name="main", daemon=True).start()
        return self.future

    def _take(self, function: Callable[[], Any]) -> None:
        self.future.set_running_or_notify_cancel()
        try:
            self.future.set_result(function())
        except BaseException as exc:
            self.raised.append(exc)
            self.future.set_exception(exc)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed until the test is over: nothing it stops is left behind."""
    event = threading.Event()
    yield event
    event.set()


def bind(value: Any, **arguments: Any) -> Bound:
    """A call of a tool, checked."""
    made = as_tool(value)
    bound = checked(made, ToolCall(id="c1", name=made.name, arguments=json.dumps(arguments)))
    assert isinstance(bound, Bound), bound
    return bound


def result_of(value: Any, *, timeout_s: float | None = 60.0, **more: Any) -> ToolResult:
    """What comes of a call without arguments."""
    return asyncio.run(run(bind(value), timeout_s=timeout_s, limits=DEFAULT_LIMITS, **more))


@pytest.mark.capability("D19")
def test_a_function_runs_in_a_thread_of_its_own() -> None:
    """In the caller's context, so that what it prints lands in the cell; its time is measured."""
    seen: list[object] = []

    def add(a: int, b: int = 2) -> int:
        seen.extend((threading.current_thread().name, threading.current_thread().daemon, place.get()))
        return a + b

    async def called() -> ToolResult:
        place.set("here")
        return await run(bind(add, a=1), timeout_s=60.0, limits=DEFAULT_LIMITS)

    result = asyncio.run(called())

    assert (result.call_id, result.name, text_of(result.parts), result.is_error) == ("c1", "add", "3", False)
    assert result.latency_s is not None
    assert seen == ["tool add", True, "here"]


def test_a_coroutine_runs_on_the_loop() -> None:
    """That of the caller; a sync function that hands one on is waited for too."""

    async def where() -> str:
        return threading.current_thread().name

    def handed() -> Any:
        return where()

    assert text_of(result_of(where).parts) == threading.current_thread().name
    assert text_of(result_of(handed).parts) == "tool handed"


@pytest.mark.capability("D20")
def test_an_error_is_a_result_with_its_line() -> None:
    """Type, message, and the line of the function's own file; no traceback, no folder."""

    def divide() -> Any:
        return json.loads("1 /")

    async def adivide() -> float:
        return 1 / 0

    result = result_of(divide)

    assert result.is_error
    line = divide.__code__.co_firstlineno + 1
    assert text_of(result.parts) == (
        f"JSONDecodeError: Extra data: line 1 column 3 (char 2) (test_tools_running.py, line {line})"
    )
    assert text_of(result_of(adivide).parts).startswith("ZeroDivisionError: division by zero (test_tools_running.py, ")


@pytest.mark.capability("D20")
@pytest.mark.parametrize("exc", [SystemExit(2), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_nothing_a_function_raises_ends_the_loop(exc: BaseException) -> None:
    """In a thread or on the loop: what would end a process is a result too."""

    def raising() -> None:
        raise exc

    async def araising() -> None:
        raise exc

    for function in (raising, araising):
        if function is araising and isinstance(exc, GeneratorExit):
            continue  # that is how Python ends a coroutine itself
        result = result_of(function)
        assert result.is_error
        assert text_of(result.parts).startswith(type(exc).__name__)


def test_errors_said_for_the_model_are_said_alone() -> None:
    """A ToolError of the function's is its words; an error that cannot tell itself, its type."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def refusing() -> None:
        raise ToolError("No such city.", hint="ask for Bern")

    def mute() -> None:
        raise MuteError

    assert text_of(result_of(refusing).parts) == "No such city.  Hint: ask for Bern."
    assert text_of(result_of(mute).parts).startswith("MuteError (test_tools_running.py")


def test_a_result_that_cannot_be_sent_is_an_error() -> None:
    """The model learns why."""

    def bad() -> bytes:
        return b"\x00\x01\x02"

    result = result_of(bad)

    assert result.is_error
    assert "ContentError" in text_of(result.parts)


def test_a_function_may_say_that_it_failed() -> None:
    """With a result of its own."""

    def failing() -> ToolResult:
        return ToolResult(call_id="?", name="?", is_error=True)

    result = result_of(failing)

    assert (result.call_id, result.name, result.is_error) == ("c1", "failing", True)


@pytest.mark.capability("D20")
def test_a_thread_whose_time_is_over_goes_on(gate: threading.Event) -> None:
    """It cannot be ended: the model and the caller are told."""
    left: list[Bound] = []

    def slow() -> None:
        gate.wait()

    result = result_of(slow, timeout_s=0.01, on_left=left.append)

    assert result.is_error
    assert text_of(result.parts) == "TimeoutError: slow did not end within 0.01 s; it still runs."
    assert [bound.tool.name for bound in left] == ["slow"]


def test_a_tools_own_time_counts(gate: threading.Event) -> None:
    """Over that of the caller; None means no limit."""

    @tool(timeout_s=0.01)
    def slow() -> None:
        gate.wait()

    @tool(timeout_s=60.0)
    def quick() -> str:
        return "so soon"

    assert "within 0.01 s" in text_of(result_of(slow, timeout_s=None).parts)
    assert text_of(result_of(quick, timeout_s=0.0).parts) == "so soon"
    assert text_of(result_of(quick, timeout_s=None).parts) == "so soon"


def test_a_coroutine_whose_time_is_over_is_cancelled() -> None:
    """It may clean up; one that refuses to end goes on, and that is said."""
    cleaned, left = [], list[str]()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("slow")

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    note = [left.append]
    result = result_of(slow, timeout_s=0.01, on_left=lambda bound: note[0](bound.tool.name))
    assert text_of(result.parts) == "TimeoutError: slow did not end within 0.01 s and was cancelled."
    assert (cleaned, left) == (["slow"], [])

    result = result_of(stubborn, timeout_s=0.01, on_left=lambda bound: note[0](bound.tool.name))
    assert text_of(result.parts).endswith("it still runs.")
    assert left == ["stubborn"]


def test_cancelling_the_caller_ends_a_coroutine_and_leaves_a_thread(gate: threading.Event) -> None:
    """The cancellation goes on at once; of the thread it is said that it still runs."""
    left: list[str] = []
    cleaned: list[str] = []
    begun = threading.Event()

    def slow() -> None:
        begun.set()
        gate.wait()

    async def aslow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("aslow")

    async def cancelled(function: Any) -> None:
        begun.clear()
        bound = bind(function)
        task = asyncio.create_task(
            run(bound, timeout_s=60.0, limits=DEFAULT_LIMITS, on_left=lambda bound: left.append(bound.tool.name))
        )
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled(slow))
    asyncio.run(cancelled(aslow))

    assert left == ["slow"]
    assert cleaned == ["aslow"]


def test_the_main_thread_runs_what_asks_for_it() -> None:
    """Through the caller's door; without one the model is told why not."""

    @tool(runs_on="main")
    def where() -> str:
        return threading.current_thread().name

    assert text_of(result_of(where, on_main=Main()).parts) == "main"
    result = result_of(where)
    assert result.is_error
    assert result.latency_s is None
    assert text_of(result.parts) == "where was not called: it runs on the main thread, which is not here to run it."


def test_a_call_the_main_thread_never_took_is_withdrawn() -> None:
    """It does not run later, behind everybody's back."""
    left: list[Bound] = []

    @tool(runs_on="main")
    def late() -> None: ...

    main = Main(takes=False)
    result = result_of(late, timeout_s=0.01, on_main=main, on_left=left.append)

    assert text_of(result.parts).endswith("and was cancelled.")
    assert main.future.cancelled()
    assert not left


def test_an_interrupt_on_the_main_thread_is_the_users() -> None:
    """It passes through to who watches there; other ends of a process do not."""

    @tool(runs_on="main")
    def interrupted() -> None:
        raise KeyboardInterrupt

    @tool(runs_on="main")
    def leaving() -> None:
        sys.exit(3)

    main, other = Main(), Main()

    assert text_of(result_of(interrupted, on_main=main).parts).startswith("KeyboardInterrupt")
    assert text_of(result_of(leaving, on_main=other).parts).startswith("SystemExit: 3")
    assert [type(exc) for exc in main.raised] == [KeyboardInterrupt]
    assert other.raised == []


def test_the_kernels_own_loop_needs_to_be_allowed() -> None:
    """A coroutine for it is refused while a cell runs on it; one line names what allows it."""

    @tool(runs_on="kernel")
    async def where() -> str:
        return threading.current_thread().name

    def under_a_loop(function: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()

        async def cell() -> None:
            future.set_result(function())

        thread = threading.Thread(target=asyncio.run, args=(cell(),), name="main")
        thread.start()
        thread.join()
        return future

    refused = result_of(where, on_main=under_a_loop)

    assert refused.is_error
    assert "llm_magic.allow_nested()" in text_of(refused.parts)
    assert text_of(result_of(where, on_main=Main()).parts) == "main"


def test_the_kernels_own_loop_runs_a_coroutine_once_allowed() -> None:
    """In a process of its own, since asyncio stays patched."""
    import subprocess

    code = """
import asyncio, concurrent.futures, threading
import llm_magic
from llm_magic.content import ToolCall, text_of
from llm_magic.engine import shared_engine
from llm_magic.tools import checked, run, tool
from llm_magic.values import DEFAULT_LIMITS

loops = []

@tool(runs_on="kernel")
async def where() -> str:
    await asyncio.sleep(0)
    loops.append(asyncio.get_running_loop())
    return threading.current_thread().name

async def cell():
    llm_magic.allow_nested()
    waiting = []
    def on_main(function):
        future = concurrent.futures.Future()
        waiting.append((function, future))
        return future
    bound = checked(where, ToolCall(id="c", name="where", arguments=""))
    answer = shared_engine().submit(run(bound, timeout_s=60, limits=DEFAULT_LIMITS, on_main=on_main))
    while not waiting:
        pass
    function, future = waiting.pop()
    future.set_result(function())
    print(text_of(answer.result().parts), loops == [asyncio.get_running_loop()])

asyncio.run(cell())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.strip() == "MainThread True", done.stderr


def test_a_schema_cannot_run() -> None:
    """Its calls are the user's."""
    bound = Bound(tool=as_tool({"name": "f"}), call=ToolCall(id="c1", name="f", arguments=""))

    result = asyncio.run(run(bound, timeout_s=1.0, limits=DEFAULT_LIMITS))

    assert result.is_error
    assert "only a schema" in text_of(result.parts)


def test_a_models_call_gives_the_object_back() -> None:
    """As JSON, checked; so a model is a form to fill in."""
    from pydantic import BaseModel

    class Invoice(BaseModel):
        """An invoice."""

        total: float
        paid: bool = False

    bound = bind(Invoice, total="3")

    assert (
        text_of(asyncio.run(run(bound, timeout_s=60.0, limits=DEFAULT_LIMITS)).parts) == '{"total": 3.0, "paid": false}'
    )
    assert llm_magic.tool is tool
