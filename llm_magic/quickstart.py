"""``llm-magic quickstart``: run the quickstart notebook in a real kernel and print its answers as they come.

In: the configured backend (a key or base URL in the environment, else the local model). Out: lines for the
terminal, and the executed notebook as a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from . import rendering
from .errors import ConfigurationError, LLMMagicError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbformat import NotebookNode

CELL_TIMEOUT_S = 600
OUTPUT_NAME = "quickstart-executed.ipynb"
_NAME = "quickstart.ipynb"
_SOURCE_LINES = 12


class QuickstartError(LLMMagicError):
    """A cell of the quickstart notebook failed."""


def notebook_path() -> Path:
    """The quickstart notebook: in an installed package inside it, in a source tree beside it.

    Raises:
        ConfigurationError: It is in neither place.
    """
    package = Path(__file__).parent
    for path in (package / "_notebooks" / _NAME, package.parent / "notebooks" / _NAME):
        if path.is_file():
            return path
    raise ConfigurationError(
        "The quickstart notebook is not part of this installation.", hint="install llm-magic again"
    )


def check_installed() -> None:
    """Find out before anything is downloaded whether a notebook can be run here.

    Raises:
        MissingDependencyError: It cannot.
    """
    for name in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(name) is None:
            raise MissingDependencyError(
                f"The quickstart needs {name}, which is not installed.", hint='pip install "llm-magic[lab]"'
            )


def run(output: Path, *, say: Callable[[str], None] = print) -> None:
    """Run the notebook and save the executed copy, also where a cell failed.

    Args:
        output: Where the executed copy goes.
        say: Gets text for the terminal: each cell's source when it starts, its outputs when it is done.

    Raises:
        QuickstartError: A cell failed or took too long.
        ConfigurationError: The copy cannot be written.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = nbformat.read(notebook_path(), as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
    interrupts: list[str] = []
    client = NotebookClient(
        notebook,
        km=_kernel_manager(),
        timeout=CELL_TIMEOUT_S,
        resources={"metadata": {"path": str(Path.cwd())}},
        on_notebook_start=lambda **_: _hear_interrupts(interrupts),
        on_cell_start=lambda cell, **_: say(_source(cell)),
        on_cell_executed=lambda cell, **_: say(_outputs(cell)),
    )
    with tempfile.TemporaryFile() as log:
        try:
            # The kernel manager is ours, so nbclient must be told to end the kernel as well.
            asyncio.run(client.async_execute(cleanup_kc=True, stderr=log))
        except CellExecutionError as exc:
            raise QuickstartError(f"The quickstart stopped: {_one_line(f'{exc.ename}: {exc.evalue}')}") from exc
        except CellTimeoutError as exc:
            raise QuickstartError(f"The quickstart stopped: a cell took longer than {CELL_TIMEOUT_S} s.") from exc
        except (asyncio.CancelledError, DeadKernelError, RuntimeError) as exc:
            if interrupts:
                raise KeyboardInterrupt from exc
            raise QuickstartError("The quickstart stopped: its kernel died.", hint=_last_line(log)) from exc
        finally:
            _save(notebook, output)


def _hear_interrupts(interrupts: list[str]) -> None:
    """Let Ctrl-C cancel the run, and remember it: nbclient takes every cancellation for a dead kernel."""
    task = asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        interrupts.append("Ctrl-C")
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows: a KeyboardInterrupt comes by itself
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, cancel)


def _last_line(log: IO[bytes]) -> str | None:
    log.seek(0)
    lines = log.read().decode(errors="replace").split("\n")
    return next((_one_line(line)[:200] for line in reversed(lines) if line.strip()), None)


def _kernel_manager() -> Any:
    """A kernel of this very interpreter: an installed kernelspec of that name may be another's."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class OwnSpecs(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name=kernel_name, language="python")

    return AsyncKernelManager(kernel_spec_manager=OwnSpecs())


def _source(cell: NotebookNode) -> str:
    """A cell's source as the terminal shows it: text as it is, code behind a prompt, long code cut."""
    text: str = rendering.plain_text(cell.source)
    if cell.cell_type != "code":
        return f"\n{text}"
    lines = text.splitlines()
    kept = lines[:_SOURCE_LINES] + (["…"] if len(lines) > _SOURCE_LINES else [])
    return "\n" + "\n".join(f"  > {line}".rstrip() for line in kept)


def _outputs(cell: NotebookNode) -> str:
    """What a cell shows, as plain text without control characters."""
    texts = []
    for output in cell.get("outputs", ()):
        match output.output_type:
            case "stream":
                texts.append(output.text)
            case "display_data" | "execute_result":
                texts.append(output.data.get("text/plain", ""))
            case _:
                continue  # an error ends the notebook and is told there
    shown: str = rendering.plain_text("\n".join(text.rstrip("\n") for text in texts if text))
    return shown


def _one_line(text: str) -> str:
    return " ".join(rendering.plain_text(text).split())


def _save(notebook: NotebookNode, output: Path) -> None:
    import nbformat

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, output)  # type: ignore[no-untyped-call]  # nbformat has no types
    except OSError as exc:
        raise ConfigurationError(
            f"{output} cannot be written: {exc.strerror}.", hint="--output names another file"
        ) from exc
