"""The import contract of pyproject.toml: who may import whom, kept and able to be broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lint(folder: Path) -> tuple[int, str]:
    """Exit code and output of import-linter on the package in ``folder``."""
    command = [sys.executable, "-c", "from importlinter.cli import import_linter; import_linter()"]
    done = subprocess.run(
        [*command, "lint", "--no-cache", "--no-logo"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package with its contract, to be broken."""
    shutil.copytree(ROOT / "llm_magic", tmp_path / "llm_magic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_module_imports_only_from_layers_below() -> None:
    """The package keeps its import contract, and every module has its place in it."""
    code, told = lint(ROOT)

    assert code == 0, told


def test_an_import_from_above_breaks_the_contract(copy: Path) -> None:
    """A lower module that imports a higher one, even inside a function, is found and named."""
    with (copy / "llm_magic" / "counts.py").open("a") as module:
        module.write("\n\ndef shortcut() -> object:\n    from .session import Session\n\n    return Session\n")

    code, told = lint(copy)

    assert code == 1
    assert "llm_magic.counts is not allowed to import llm_magic.session" in told


def test_a_heavy_package_outside_its_home_breaks_the_contract(copy: Path) -> None:
    """A package that has one home is found where it is imported elsewhere."""
    with (copy / "llm_magic" / "session.py").open("a") as module:
        module.write("\n\ndef shortcut() -> object:\n    import openai\n\n    return openai\n")

    code, told = lint(copy)

    assert code == 1
    assert "Illegal imports of protected package openai" in told


def test_a_module_without_a_place_breaks_the_contract(copy: Path) -> None:
    """A new module must be given its layer."""
    (copy / "llm_magic" / "sundries.py").write_text('"""Things."""\n')

    code, told = lint(copy)

    assert code == 1
    assert "llm_magic.sundries" in told
