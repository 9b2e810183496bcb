"""``llm-magic autoload`` on a real environment: its kernels and its terminal IPython."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kernel.harness import ROOT

if TYPE_CHECKING:
    from tests.kernel.conftest import StartKernel

pytestmark = pytest.mark.kernel
HAS_CHAT = "'chat' in get_ipython().magics_manager.magics['cell']"


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interpreter of an environment of its own with this one's packages; kernels run in it."""
    venv.create(tmp_path / "environment", with_pip=False, symlinks=os.name != "nt")
    folder = tmp_path / "environment"
    found = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "packages.pth").write_text("\n".join((str(ROOT), *packages)), encoding="utf-8")
    monkeypatch.setattr(sys, "executable", str(found))
    return found


def autoload(python: Path, word: str) -> str:
    """Run the command in the environment."""
    done = subprocess.run(
        [python, "-m", "llm_magic.cli", "autoload", word],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=python.parent,
    )
    return done.stdout


def terminal_has_chat(python: Path, home: Path) -> str:
    """What terminal IPython of the environment says."""
    done = subprocess.run(
        [python, "-m", "IPython", "--colors=NoColor", "-c", f"print({HAS_CHAT})"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=home,
        env={"HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "PATH": os.environ["PATH"]},
    )
    return done.stdout.strip()


def test_autoload_in_kernels_and_terminals(python: Path, tmp_path: Path, start_kernel: StartKernel) -> None:
    """Off: no magic. On: kernel and terminal have it without %load_ext. Off again: they have not."""
    home = tmp_path / "home"
    home.mkdir()
    assert start_kernel().value(HAS_CHAT) is False

    assert "ipython_config.json" in autoload(python, "on")
    assert start_kernel().value(HAS_CHAT) is True
    assert terminal_has_chat(python, home) == "True"

    autoload(python, "off")
    assert start_kernel().value(HAS_CHAT) is False
    assert terminal_has_chat(python, home) == "False"


def test_autoload_beside_a_profile(python: Path, tmp_path: Path, start_kernel: StartKernel) -> None:
    """A profile with an extension list of its own keeps it, and does not hide ours."""
    autoload(python, "on")
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("c.InteractiveShellApp.extensions = ['autoreload']\n")

    kernel = start_kernel(environ={"IPYTHONDIR": str(tmp_path / "ipython")})

    assert kernel.value(HAS_CHAT) is True
    assert kernel.value("'autoreload' in get_ipython().magics_manager.magics['line']") is True
