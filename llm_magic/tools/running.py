"""One call runs: in a thread, on the main thread, or on a loop; it always becomes a result.

A thread cannot be ended from outside. Where a call is given up, because its time is over or the user interrupts, a
coroutine is cancelled, and of a function in a thread it is said that it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from ..content import TextPart, ToolResult
from ..errors import ToolError
from .places import code_of, place
from .results import result_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ..content import Part
    from ..values import Limits
    from .calls import Bound

# Has a function called on the main thread. A KeyboardInterrupt passes through it: that one is the user's.
OnMain: TypeAlias = "Callable[[Callable[[], Any]], Future[Any]]"
_MAX_REASON = 2000
_CANCEL_S = 0.25  # how long a cancelled coroutine has to clean up before it counts as one that goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How a call ended: what the model is told, and whether that is a failure."""

    parts: tuple[Part, ...]
    is_error: bool = False


async def run(
    bound: Bound,
    *,
    timeout_s: float | None,
    limits: Limits,
    on_main: OnMain | None = None,
    on_left: Callable[[Bound], None] | None = None,
) -> ToolResult:
    """Call the function and wait for its result; whatever it raises is a result too.

    Args:
        bound: What to call, with which arguments.
        timeout_s: Longest time, in seconds, where the tool has none of its own; None: no limit.
        limits: How large pictures and tables of the result may be.
        on_main: Has a function called on the main thread; None where nobody waits there.
        on_left: Told, on this loop, of a call that was given up (time over, or cancelled) and whose function goes on
            nevertheless, before this function returns or the cancellation goes on.

    Returns:
        What the model is told. A failure is told as type, message and line, without a traceback.

    Raises:
        asyncio.CancelledError: The caller was cancelled; a coroutine of the tool is cancelled with it.
    """
    limit = timeout_s if bound.tool.timeout_s is None else bound.tool.timeout_s
    begun = time.monotonic()
    try:
        started = _start(bound, limits, on_main)
    except ToolError as exc:
        return _result(bound, _error(str(exc)), None)
    try:
        await asyncio.wait([started.future], timeout=limit)
        if started.future.done():
            outcome = _outcome(started.future, bound)
        else:
            outcome = _error(await _too_late(started, bound, limit, on_left))
    except asyncio.CancelledError:
        await _give_up(started, bound, on_left)
        raise
    return _result(bound, outcome, time.monotonic() - begun)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Started:
    """A call under way.

    Attributes:
        future: Done when the call is.
        source: What the other thread fulfils; None of a coroutine on this loop.
    """

    future: asyncio.Future[_Outcome]
    source: Future[_Outcome] | None = None


def _start(bound: Bound, limits: Limits, on_main: OnMain | None) -> _Started:
    tool = bound.tool
    if tool.function is None or tool.signature is None:
        raise ToolError(f"{tool.name} is only a schema: it cannot be called.")
    call = partial(tool.signature.apply, tool.function, bound.arguments)
    match tool.runs_on:
        case "loop":
            return _Started(future=asyncio.create_task(_awaited(call, bound, limits), name=f"tool {tool.name}"))
        case "thread":
            source = _in_thread(partial(_called, call, bound, limits), name=tool.name)
        case "main" | "kernel":
            if on_main is None:
                raise ToolError(f"{tool.name} was not called: it runs on the main thread, which is not here to run it.")
            if tool.runs_on == "kernel":
                call = partial(_on_own_loop, call, tool.name)
            source = on_main(partial(_called, call, bound, limits, is_main=True))
        case _:
            assert_never(tool.runs_on)
    return _Started(future=asyncio.wrap_future(source), source=source)


async def _too_late(
    started: _Started, bound: Bound, limit: float | None, on_left: Callable[[Bound], None] | None
) -> str:
    """Give a call up whose time is over; what the model is told."""
    goes_on = await _give_up(started, bound, on_left)
    said = f"TimeoutError: {bound.tool.name} did not end within {limit:g} s"
    return f"{said}; it still runs." if goes_on else f"{said} and was cancelled."


async def _give_up(started: _Started, bound: Bound, on_left: Callable[[Bound], None] | None) -> bool:
    """End a call, or say that it goes on."""
    if started.source is not None:
        goes_on = not started.source.cancel() and not started.source.done()
    else:
        started.future.cancel()
        await asyncio.wait([started.future], timeout=_CANCEL_S)
        goes_on = not started.future.done()
    if goes_on and on_left is not None:
        on_left(bound)
    return goes_on


async def _awaited(call: Callable[[], Any], bound: Bound, limits: Limits) -> _Outcome:
    """Run a coroutine on this loop; nothing it raises may reach the loop, which would end with it."""
    try:
        value = await call()
        # A figure is drawn, a table written: not on the loop that all streams share.
        return await asyncio.wrap_future(_in_thread(partial(_given, value, limits), name=bound.tool.name))
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return _failed(exc, bound)  # something the tool waited for was cancelled, not the tool
    except GeneratorExit:
        raise
    except BaseException as exc:  # noqa: BLE001  # SystemExit of a tool is a failure of it, not the end of the loop
        return _failed(exc, bound)


def _called(call: Callable[[], Any], bound: Bound, limits: Limits, *, is_main: bool = False) -> _Outcome:
    """Run a function on this thread."""
    try:
        value = call()
        if inspect.iscoroutine(value):  # a plain function that hands a coroutine on
            value = asyncio.run(value)
        return _given(value, limits)
    except BaseException as exc:
        if is_main and isinstance(exc, KeyboardInterrupt):
            raise
        return _failed(exc, bound)


def _on_own_loop(call: Callable[[], Coroutine[Any, Any, Any]], name: str) -> Any:
    """Run a coroutine on the loop the main thread has: the kernel's own, under which a cell is running."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # A terminal's loop rests while a cell runs; a script has none.
        helpers = sys.modules.get("IPython.core.async_helpers")
        return asyncio.run(call()) if helpers is None else helpers.get_asyncio_loop().run_until_complete(call())
    if not hasattr(loop, "_nest_patched"):
        raise ToolError(
            f"{name} was not called: it runs on the kernel's own loop, which is busy.",
            hint="the user has to call llm_magic.allow_nested() first",
        )
    return loop.run_until_complete(call())


def _in_thread(function: Callable[[], Any], *, name: str) -> Future[Any]:
    """Call a function in a daemon thread of its own, in the caller's context: what it prints lands in the cell."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # from here on it cannot be cancelled

    def fill() -> None:
        try:
            future.set_result(function())
        except BaseException as exc:  # noqa: BLE001  # who waits for the future gets it
            future.set_exception(exc)

    threading.Thread(target=contextvars.copy_context().run, args=(fill,), name=f"tool {name}", daemon=True).start()
    return future


def _given(value: Any, limits: Limits) -> _Outcome:
    is_error = isinstance(value, ToolResult) and value.is_error
    return _Outcome(parts=result_parts(value, limits=limits), is_error=is_error)


def _outcome(future: asyncio.Future[_Outcome], bound: Bound) -> _Outcome:
    if future.cancelled():
        return _error(f"{bound.tool.name} was cancelled.")
    exc = future.exception()
    return future.result() if exc is None else _failed(exc, bound)


def _failed(exc: BaseException, bound: Bound) -> _Outcome:
    if isinstance(exc, ToolError):  # said for the model in the first place
        return _error(str(exc))
    try:
        reason = str(exc).strip()[:_MAX_REASON]
    except Exception:  # noqa: BLE001  # an exception that cannot tell itself: its type must do
        reason = ""
    where = _line(exc, bound)
    said = f"{type(exc).__name__}: {reason}" if reason else type(exc).__name__
    return _error(f"{said} ({where})" if where else said)


def _line(exc: BaseException, bound: Bound) -> str:
    """The last line of the function's own file or cell that was running; "" where there is none."""
    code = code_of(bound.tool.function)
    found, trace = "", exc.__traceback__
    while code is not None and trace is not None:
        if trace.tb_frame.f_code.co_filename == code.co_filename:
            found = place(code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _error(text: str) -> _Outcome:
    return _Outcome(parts=(TextPart(text=text),), is_error=True)


def _result(bound: Bound, outcome: _Outcome, latency_s: float | None) -> ToolResult:
    return ToolResult(
        call_id=bound.call.id,
        name=bound.call.name,
        parts=outcome.parts,
        is_error=outcome.is_error,
        latency_s=latency_s,
    )
