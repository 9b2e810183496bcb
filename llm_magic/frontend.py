"""Which front end runs the cell, the cell's identity in it, and how an answer can be shown there.

One adapter for all: it reads the request that started the cell, as ipykernel keeps it. What comes out is a
value; nothing is remembered here and nothing is drawn. What counts as the same cell where: ``docs/cells.md``.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

Kind: TypeAlias = Literal["terminal", "console", "nbclient", "jupyter", "vscode", "colab", "none"]
Path: TypeAlias = Literal["plain", "print", "final", "static", "live"]
# VS Code tells the kernel the notebook's file by this name, and gives cells a URI that begins so.
_VSCODE_NAME = "__vsc_ipynb_file__"
_BY_VIEW: Mapping[str, Path] = {"plain": "print", "static": "static", "live": "live"}
_VSCODE_SCHEME = "vscode-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """Where the running cell comes from.

    Attributes:
        kind: The front end; "none" where Python runs without one.
        path: How answers are shown: ``plain`` prints to a terminal, ``print`` to an output that takes no
            updates, ``final`` is one display, updated at the end only, ``static`` one display, updated while
            the answer grows, ``live`` a widget until the answer is whole.
        cell_id: Identity of the cell, a keyed hash of what the front end calls it; None where it tells none. The
            same in every session where the front end's ids are stable, else in this kernel only.
        source: Hash of the cell's notebook and code, where ids are not stable: how its slot of a former session is
            found again; None elsewhere.
        run_id: Identity of this one execution of the cell, None outside of a kernel.
        notebook: Name of the notebook's file without folders, None where it is not known.
        notebook_path: Its full path, as it was when the kernel was started; None where it is not known.
    """

    kind: Kind
    path: Path
    cell_id: str | None = None
    source: str | None = None
    run_id: str | None = None
    notebook: str | None = None
    notebook_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How the cells of one kernel are named: by what their front end calls them, hashed.

    Attributes:
        secret: The key; without it, nobody can tell from a name which notebook or cell it is.
        kernel: Identity of the kernel, hashed in where ids end with it.
    """

    secret: bytes
    kernel: str = ""

    def cell_id(self, raw_id: str) -> str:
        """Identity of a cell. Copied notebooks share ids; VS Code's hold a path, and each window counts them anew."""
        return self._hashed(raw_id, *(() if _is_stable(raw_id) else (self.kernel,)))

    def source(self, raw_id: str, code: str) -> str | None:
        """Hash of a cell's notebook and code where its id is not stable, None elsewhere."""
        return None if _is_stable(raw_id) else self._hashed(raw_id.partition("#")[0], code)

    def _hashed(self, *parts: str) -> str:
        hashed = hashlib.blake2b(key=hashlib.sha256(self.secret).digest(), digest_size=8)
        for part in parts:
            # Each with its length: parts that run into each other must not look like others.
            data = part.encode(errors="surrogatepass")
            hashed.update(len(data).to_bytes(8, "big") + data)
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a request says of cells, by the front end's own ids.

    Attributes:
        raw_id: The cell it runs, None where the front end tells none.
        run_id: Identity of this one execution.
        deleted: Cells that were deleted, in the order of deletion.
    """

    raw_id: str | None
    run_id: str | None
    deleted: tuple[str, ...]


def detect(shell: InteractiveShell | None, *, view: str = "auto", secret: bytes) -> Frontend:
    """The front end of the cell that is running.

    Args:
        shell: The shell it runs in, None outside of IPython.
        view: The setting ``view``: ``plain``, ``static`` and ``live`` overrule what is found.
        secret: Key of the hash that a cell's identity is.
    """
    if shell is None or not hasattr(shell, "kernel"):
        kind: Kind = "terminal" if _is_terminal(shell) else "none"
        # A terminal draws no updates: the static view comes to one display at the end there.
        return Frontend(kind=kind, path="final" if view == "static" else "plain")
    request = _request(shell)
    raw_id = _raw_cell_id(request)
    kind = _kind(shell, request, raw_id)
    names = naming(shell, secret)
    code = _mapping(request, "content").get("code")
    path = _notebook_path(shell)
    return Frontend(
        kind=kind,
        path=_path(shell, kind, view),
        cell_id=None if raw_id is None else names.cell_id(raw_id),
        source=names.source(raw_id, code) if raw_id is not None and isinstance(code, str) else None,
        run_id=_mapping(request, "header").get("msg_id"),
        notebook=None if path is None else re.split(r"[\\/]", path)[-1] or None,
        notebook_path=path if path is None or _is_absolute(path) else _beside(shell, path),
    )


def naming(shell: Any, secret: bytes) -> Naming:
    """How the cells of a kernel's shell are named."""
    return Naming(secret=secret, kernel=str(shell.kernel.session.session))


def report(shell: InteractiveShell | None) -> Report | None:
    """What the request that is running says of cells; None where no front end runs anything.

    JupyterLab and Notebook send each deletion with the executions that are asked for next, until the first of them
    has ended: all cells of a Run All say the same. Other front ends never do.
    """
    request = {} if shell is None or not hasattr(shell, "kernel") else _request(shell)
    if not request:
        return None
    deleted = _mapping(request, "metadata").get("deletedCells")
    return Report(
        raw_id=_raw_cell_id(request),
        run_id=_mapping(request, "header").get("msg_id"),
        deleted=tuple(raw_id for raw_id in deleted if isinstance(raw_id, str)) if isinstance(deleted, list) else (),
    )


def _is_terminal(shell: InteractiveShell | None) -> bool:
    # Asked by module: a terminal shell that exists has been imported, and nothing need be imported to see it.
    module = sys.modules.get("IPython.terminal.interactiveshell")
    return module is not None and isinstance(shell, module.TerminalInteractiveShell)


def _request(shell: Any) -> Mapping[str, Any]:
    """The message that started what is running, {} where there is none or it is not an execution."""
    request = shell.get_parent()
    is_execution = _mapping(request, "header").get("msg_type") == "execute_request"
    return request if is_execution else {}


def _raw_cell_id(request: Mapping[str, Any]) -> str | None:
    metadata = _mapping(request, "metadata")
    for raw_id in (metadata.get("cellId"), _mapping(metadata, "colab").get("cell_id")):
        if isinstance(raw_id, str) and raw_id:
            return raw_id
    return None


def _kind(shell: Any, request: Mapping[str, Any], raw_id: str | None) -> Kind:
    if "colab" in _mapping(request, "metadata"):
        return "colab"
    if _VSCODE_NAME in shell.user_ns or (raw_id or "").startswith(_VSCODE_SCHEME):
        return "vscode"
    if raw_id is not None:
        return "jupyter"
    if not request:
        # A widget's callback, or code at start-up: only notebooks have the one, and the other shows nothing.
        return "jupyter"
    # Programs that run notebooks cannot ask anyone; consoles can.
    return "console" if _mapping(request, "content").get("allow_stdin") else "nbclient"


def _path(shell: Any, kind: Kind, view: str) -> Path:
    if view != "plain" and _is_captured(shell):
        return "final"
    if view in _BY_VIEW:
        return _BY_VIEW[view]
    match kind:
        case "console":
            return "print"
        case "nbclient":
            return "final"
        case _:
            return "live"


def _is_captured(shell: Any) -> bool:
    """Whether displays are gathered, as ``%%capture`` does: each update would be kept as one more output."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    return isinstance(shell.display_pub, CapturingDisplayPublisher)


def _notebook_path(shell: Any) -> str | None:
    """What the server or VS Code said the notebook's file is, when it started the kernel.

    jupyter_server says the full path, or what its client called the path where that named no file. A notebook that
    is renamed has its new name with the next restart of its kernel.
    """
    path = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get(_VSCODE_NAME)
    return path if isinstance(path, str) and path else None


def _is_absolute(path: str) -> bool:
    # Of whatever system: VS Code says the path on its own machine.
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()


def _beside(shell: Any, path: str) -> str | None:
    """The file a relative path means: servers start a kernel in its notebook's folder."""
    found = FilePath(shell.starting_dir, PurePosixPath(path).name)
    return str(found) if found.is_file() else None


def _is_stable(raw_id: str) -> bool:
    """The id is saved with the notebook; a URI of VS Code's counts its window's cells."""
    return not raw_id.startswith(_VSCODE_SCHEME)


def _mapping(data: Any, name: str) -> Mapping[str, Any]:
    """A mapping in JSON that others wrote; empty where it is missing or something else."""
    found = data.get(name) if isinstance(data, Mapping) else None
    return found if isinstance(found, Mapping) else {}
