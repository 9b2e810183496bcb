"""Where code stands, as a user would say it: "cell 3, line 4", "statistics.py, line 20".

Never a whole path: the place is told to a model and kept in notebooks.
"""

from __future__ import annotations

import inspect
import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType

_TERMINAL_CELL = re.compile(r"<ipython-input-(\d+)-")
_COUNT = re.compile(r"In\[(\d+)\]")
_KERNEL_FILE = re.compile(r"[/\\]ipykernel_\d+[/\\]\d+\.py$")


def place_of(function: Any) -> str:
    """Where a function is defined; "" where it is not written in Python.

    >>> import statistics
    >>> place_of(statistics.mean).startswith("statistics.py, line ")
    True
    >>> place_of(len)
    ''
    """
    code = code_of(function)
    return place(code.co_filename, code.co_firstlineno) if code is not None else ""


def place(filename: str, line: int) -> str:
    """A line of a file, or of a notebook's cell."""
    if cell := _cell(filename):
        return f"{cell}, line {line}"
    name = re.split(r"[/\\]", filename)[-1]
    return f"{name}, line {line}"


def code_of(function: Any) -> CodeType | None:
    """The code a callable runs, past wrappers; None where there is none in Python."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None and not isinstance(function, type):
        code = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004  # its code, not whether
    return code if inspect.iscode(code) else None


def _cell(filename: str) -> str:
    """The cell IPython compiled under this name; "" where it is a file."""
    if found := _TERMINAL_CELL.match(filename):
        return f"cell {found[1]}"
    shell_type = getattr(sys.modules.get("IPython.core.interactiveshell"), "InteractiveShell", None)
    if shell_type is not None and shell_type.initialized():
        named = shell_type.instance().compile.format_code_name(filename)
        if named is not None and (found := _COUNT.search(named[1])):
            return f"cell {found[1]}"
    # A cell of which the shell knows no number (of another kernel): its file says nothing to anybody.
    return "a cell" if _KERNEL_FILE.search(filename) else ""
