"""Tools that come with the package: they work on the names of the user's notebook, and are handed over as any other.

``--tool python`` and ``--tool dataframe`` mean these where the notebook has no such name of its own.
"""

from __future__ import annotations

import ast
import contextlib
import io
import sys
import traceback
from dataclasses import replace
from types import MethodType
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from ..content import Part, TextPart, ToolResult
from ..values import to_parts
from .frames import look
from .making import as_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .definition import Tool

_SOURCE = "<code>"
_WHERE = "llm_magic"


def python(namespace: Mapping[str, Any]) -> Tool:
    """A tool that runs Python in the user's notebook, on the main thread, as a cell would.

    Args:
        namespace: The user's names. The code changes them.
    """
    # Bound to the namespace itself: an "always" is remembered for this notebook, not for this very tool.
    tool = as_tool(MethodType(_run, namespace), name="python")
    return replace(tool, runs_on="main", where=_WHERE)


def dataframe(namespace: Mapping[str, Any]) -> Tool:
    """A tool that looks at DataFrames of the user's notebook: read-only, of a fixed set of operations.

    Args:
        namespace: The user's names.
    """
    tool = as_tool(MethodType(look, namespace), name="dataframe")
    return replace(tool, is_read_only=True, where=_WHERE)


BUILTINS: Mapping[str, Callable[[Mapping[str, Any]], Tool]] = {"python": python, "dataframe": dataframe}


def builtin(name: str, namespace: Mapping[str, Any]) -> Tool | None:
    """The tool of that name that comes with the package; None where there is none."""
    make = BUILTINS.get(name)
    return None if make is None else make(namespace)


def _run(
    namespace: dict[str, Any],
    code: Annotated[str, "Python. Ends with an expression whose value is wanted, or prints."],
) -> ToolResult:
    """Run Python code in the user's notebook, where all its variables are; new ones stay.

    Gives what was printed and the value of the last expression.
    """
    printed = io.StringIO()
    try:
        with _heard(printed):
            value = _evaluated(code, namespace)
        shown = () if value is None else to_parts(value)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  # of the model's own code: it is told, to do better
        return _result(printed.getvalue(), (TextPart(text=_told(exc)),), is_error=True)
    return _result(printed.getvalue(), shown)


def _evaluated(code: str, namespace: dict[str, Any]) -> Any:
    """Run a cell's code; the value of its last statement where that is an expression."""
    tree = ast.parse(code, _SOURCE)
    last: ast.Expression | None = None
    match tree.body:
        case [*_, ast.Expr(value=value)]:
            tree.body.pop()
            last = ast.Expression(value)
    exec(compile(tree, _SOURCE, "exec"), namespace)  # noqa: S102  # what the tool is for; the user allows each call
    return None if last is None else eval(compile(last, _SOURCE, "eval"), namespace)  # noqa: S307  # as above


def _result(printed: str, shown: tuple[Part, ...], *, is_error: bool = False) -> ToolResult:
    parts = ((TextPart(text=printed),) if printed.strip() else ()) + shown
    return ToolResult(call_id="", name="python", parts=parts or (TextPart(text="done"),), is_error=is_error)


def _told(exc: BaseException) -> str:
    """What failed, and in which line of the code."""
    if isinstance(exc, SyntaxError):
        return f"{type(exc).__name__}: {exc.msg} (line {exc.lineno})"
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == _SOURCE]
    place = f" (line {lines[-1]})" if lines else ""
    return f"{type(exc).__name__}: {exc}{place}"


@contextlib.contextmanager
def _heard(buffer: io.StringIO) -> Iterator[None]:
    """What is printed meanwhile also gets into a buffer."""
    out, err = _Both(sys.stdout, buffer), _Both(sys.stderr, buffer)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


class _Both(io.TextIOBase):
    """Writes to the cell and to a buffer."""

    def __init__(self, cell: TextIO, buffer: io.StringIO) -> None:
        self._cell, self._buffer = cell, buffer

    def write(self, text: str) -> int:
        self._buffer.write(text)
        return self._cell.write(text)

    def flush(self) -> None:
        self._cell.flush()

    def writable(self) -> bool:
        return True
