"""What an expression in ``{{ }}`` can see: the caller's locals, the user's namespace, and two helpers."""

from __future__ import annotations

import inspect
import sys
import traceback
from typing import TYPE_CHECKING, Any

from ..errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from IPython.core.interactiveshell import InteractiveShell

HELPER_CHARACTERS = 8000


def scope(shell: InteractiveShell) -> dict[str, Any]:
    """Names for ``{{ }}``: helpers, under the user's namespace, under the locals of the caller."""
    return {**helpers(shell), **shell.user_ns, **caller_locals()}


def caller_locals() -> Mapping[str, Any]:
    """Locals of the code that ran the magic, empty at the top level of a cell.

    IPython hands a line magic its caller's locals, but a cell magic only the user's namespace, also when it is
    called in a function: hence the walk, the same for both.
    """
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name in ("run_line_magic", "run_cell_magic") and frame.f_globals.get("__name__", "").startswith(
            "IPython."
        ):
            caller = frame.f_back
            if caller is None or caller.f_locals is caller.f_globals:
                return {}
            is_user_code = not caller.f_globals.get("__name__", "").startswith("IPython.")
            return dict(caller.f_locals) if is_user_code else {}
        frame = frame.f_back
    return {}


def helpers(shell: InteractiveShell) -> dict[str, Callable[..., str]]:
    """``error()`` and ``cell(n)``."""

    def error() -> str:
        """The last traceback, capped."""
        value = getattr(sys, "last_value", None)
        if value is None:
            raise ContentError("No error has happened in this session.", hint="run the failing cell first")
        return _capped("".join(traceback.format_exception(value)))

    def cell(number: int) -> str:
        """Source and text output of an executed cell, by its execution count."""
        history = shell.history_manager
        sources = history.input_hist_raw if history is not None else []
        if not isinstance(number, int) or not 0 < number < len(sources) or history is None:
            raise ContentError(f"No cell has run as In[{number}].", hint="the number in the brackets beside the cell")
        # IPython files what a cell printed and displayed under its count; the reprs of results lie beside it.
        outputs = [*_streams(history, number), history.output_hist_reprs.get(number, "")]
        shown = "\n".join(text.rstrip() for text in outputs if text)
        return _capped(f"In[{number}]:\n{sources[number].rstrip()}" + (f"\n\nOut[{number}]:\n{shown}" if shown else ""))

    return {"error": error, "cell": cell}


def _streams(history: Any, number: int) -> list[str]:
    texts = []
    for output in getattr(history, "outputs", {}).get(number, ()):
        if output.output_type in ("out_stream", "err_stream"):
            texts.append("".join(output.bundle.get("stream", ())))
        elif output.output_type == "display_data":
            texts.append(str(output.bundle.get("text/plain", "")))
    return texts


def _capped(text: str) -> str:
    if len(text) <= HELPER_CHARACTERS:
        return text
    half = HELPER_CHARACTERS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
