"""What is installed: the wheel holds the package, all of it, and nothing else."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the working tree, built without the network."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = target.glob("*.whl")
    return zipfile.ZipFile(path)


def dist_info(wheel: zipfile.ZipFile, name: str) -> str:
    """A file of the wheel's metadata."""
    (found,) = [member for member in wheel.namelist() if member.endswith(f".dist-info/{name}")]
    return wheel.read(found).decode()


def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's metadata."""
    return Parser().parsestr(dist_info(wheel, "METADATA"))


def test_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """Every file of the package is installed, static files too; no test, notebook or note strays in."""
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "llm_magic").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"].get("force-include", {})

    members = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert members == package | set(included.values())


def test_wheel_is_typed_and_licensed(wheel: zipfile.ZipFile) -> None:
    """Type checkers read it, and its licence comes along."""
    assert "llm_magic/py.typed" in wheel.namelist()
    assert dist_info(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"


def test_wheel_metadata_is_the_projects(wheel: zipfile.ZipFile) -> None:
    """Name, Python, extras and description are those of pyproject.toml; the description is the README."""
    told = metadata(wheel)

    assert told["Name"] == "llm-magic"
    assert told["Requires-Python"] == PROJECT["project"]["requires-python"]
    assert set(told.get_all("Provides-Extra", [])) == set(PROJECT["project"]["optional-dependencies"])
    assert told.get_payload().strip() == (ROOT / "README.md").read_text().strip()  # type: ignore[union-attr]  # not multipart: text


def test_entry_points_lead_somewhere(wheel: zipfile.ZipFile) -> None:
    """The command and every backend of the metadata can be loaded."""
    points = ConfigParser()
    points.read_string(dist_info(wheel, "entry_points.txt"))

    assert points.sections() == ["console_scripts", "llm_magic.backends"]
    for section in points.sections():
        for name, target in points[section].items():
            module, _, attribute = target.partition(":")
            assert hasattr(importlib.import_module(module), attribute), name
