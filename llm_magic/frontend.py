"""Which front end runs the cell, the cell's identity in it, and how an answer can be shown there.

One adapter for all: it reads the request that started the cell, as ipykernel keeps it. What comes out is a
value; nothing is remembered here and nothing is drawn.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

Kind: TypeAlias = Literal["terminal", "console", "nbclient", "jupyter", "vscode", "colab", "none"]
Path: TypeAlias = Literal["plain", "print", "final", "static"]
# VS Code tells the kernel the notebook's file by this name, and gives cells a URI that begins so.
_VSCODE_NAME = "__vsc_ipynb_file__"
_VSCODE_SCHEME = "vscode-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """Where the running cell comes from.

    Attributes:
        kind: The front end; "none" where Python runs without one.
        path: How answers are shown: ``plain`` prints to a terminal, ``print`` to an output that takes no
            updates, ``final`` is one display, updated at the end only, ``static`` one display, updated while
            the answer grows.
        cell_id: Identity of the cell, hashed with the kernel's session; None where the front end tells none.
        run_id: Identity of this one execution of the cell, None outside of a kernel.
        notebook: Name of the notebook's file without folders, None where it is not known.
    """

    kind: Kind
    path: Path
    cell_id: str | None = None
    run_id: str | None = None
    notebook: str | None = None


def detect(shell: InteractiveShell | None, *, view: str = "auto") -> Frontend:
    """The front end of the cell that is running.

    Args:
        shell: The shell it runs in, None outside of IPython.
        view: The setting ``view``: ``plain`` and ``static`` overrule what is found.
    """
    if shell is None or not hasattr(shell, "kernel"):
        kind: Kind = "terminal" if _is_terminal(shell) else "none"
        # A terminal draws no updates: the static view comes to one display at the end there.
        return Frontend(kind=kind, path="final" if view == "static" else "plain")
    request = _request(shell)
    raw_id = _raw_cell_id(request)
    kind = _kind(shell, request, raw_id)
    return Frontend(
        kind=kind,
        path=_path(shell, kind, view),
        cell_id=None if raw_id is None else _hashed(shell, raw_id),
        run_id=_mapping(request, "header").get("msg_id"),
        notebook=_notebook(shell),
    )


def deleted_cells(shell: InteractiveShell | None) -> frozenset[str]:
    """Identities of cells that the front end reports as deleted with the request that is running.

    JupyterLab and Notebook report each deletion once, with the next execution; others never do.
    """
    if shell is None or not hasattr(shell, "kernel"):
        return frozenset()
    deleted = _mapping(_request(shell), "metadata").get("deletedCells")
    if not isinstance(deleted, list):
        return frozenset()
    return frozenset(_hashed(shell, raw_id) for raw_id in deleted if isinstance(raw_id, str))


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
    if view == "plain":
        return "print"
    if _is_captured(shell):
        return "final"
    if view == "static":
        return "static"
    match kind:
        case "console":
            return "print"
        case "nbclient":
            return "final"
        case _:
            return "static"


def _is_captured(shell: Any) -> bool:
    """Whether displays are gathered, as ``%%capture`` does: each update would be kept as one more output."""
    from IPython.core.displaypub import CapturingDisplayPublisher

    return isinstance(shell.display_pub, CapturingDisplayPublisher)


def _notebook(shell: Any) -> str | None:
    path = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get(_VSCODE_NAME)
    if not isinstance(path, str):
        return None
    return re.split(r"[\\/]", path)[-1] or None


def _hashed(shell: Any, raw_id: str) -> str:
    """A cell's identity in this kernel only: copied notebooks have the same ids, VS Code's hold a path."""
    key = hashlib.sha256(str(shell.kernel.session.session).encode()).digest()
    return hashlib.blake2b(raw_id.encode(), key=key, digest_size=8).hexdigest()


def _mapping(data: Any, name: str) -> Mapping[str, Any]:
    """A mapping in JSON that others wrote; empty where it is missing or something else."""
    found = data.get(name) if isinstance(data, Mapping) else None
    return found if isinstance(found, Mapping) else {}
