"""Front ends without a kernel; those with one are in ``tests/kernel/test_frontend.py``."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llm_magic.frontend import Frontend, detect, report

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture(params=["terminal", "none"])
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> InteractiveShell:
    """A real shell of each kind that has no kernel."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.terminal.interactiveshell import TerminalInteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    kind = TerminalInteractiveShell if request.param == "terminal" else InteractiveShell
    return kind(config=Config(HistoryManager={"enabled": False}))  # type: ignore[no-untyped-call]  # half typed


def test_shell_without_kernel_is_plain(shell: InteractiveShell, request: pytest.FixtureRequest) -> None:
    """Terminal IPython and bare shells print, and know neither cell nor notebook."""
    kind = request.node.callspec.params["shell"]

    assert detect(shell, secret=b"") == Frontend(kind=kind, path="plain")
    assert detect(shell, view="plain", secret=b"").path == "plain"
    assert detect(shell, view="static", secret=b"").path == "final"
    assert report(shell) is None


def test_no_shell_is_plain() -> None:
    """A script without IPython prints."""
    assert detect(None, secret=b"") == Frontend(kind="none", path="plain")
    assert report(None) is None


def test_import_loads_neither_ipython_nor_ipykernel() -> None:
    """Asking where one is costs nothing where one is nowhere."""
    code = (
        "import sys; from llm_magic.frontend import detect; detect(None, secret=b''); loaded = {*sys.modules}; "
        "print(sorted(loaded & {'IPython', 'ipykernel', 'traitlets'}))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout == "[]\n"
