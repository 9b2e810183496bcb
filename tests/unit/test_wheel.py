"""What is installed: the wheel holds the package, all of it, and nothing else; the source archive makes the same."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tarfile
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


# What pages load: all of it must be installed, since nothing is fetched.
STATIC = {
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT / "llm_magic").rglob("static")
    for path in folder.iterdir()
    if path.suffix in (".js", ".css")
}


def build(target: str, source: Path, folder: Path) -> Path:
    """Build from a source tree, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the working tree."""
    return zipfile.ZipFile(build("wheel", ROOT, tmp_path_factory.mktemp("dist")))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive of the working tree, unpacked."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


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


def test_scripts_and_styles_are_in_wheel_and_source_archive(wheel: zipfile.ZipFile, unpacked: Path) -> None:
    """What the live view and the panel load is there, byte for byte, and so is what says that the package is typed."""
    assert {Path(name).parent.as_posix() for name in STATIC} == {"llm_magic/views/static", "llm_magic/panels/static"}
    assert {Path(name).suffix for name in STATIC} == {".js", ".css"}
    for name in (*STATIC, "llm_magic/py.typed"):
        assert wheel.read(name) == (unpacked / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_source_archive_builds_the_same_wheel(wheel: zipfile.ZipFile, unpacked: Path, tmp_path: Path) -> None:
    """Who builds from it gets what is on offer, and finds tests, documentation and notebooks beside it."""
    again = zipfile.ZipFile(build("wheel", unpacked, tmp_path))

    assert {one.filename: one.CRC for one in again.infolist()} == {one.filename: one.CRC for one in wheel.infolist()}
    for folder in ("tests/unit", "tests/browser", "docs/decisions", "notebooks"):
        here = {path.name for path in (ROOT / folder).iterdir() if path.is_file()}
        assert here <= {path.name for path in (unpacked / folder).iterdir()}, folder


def test_extras_bring_what_the_panel_and_its_tests_need(wheel: zipfile.ZipFile) -> None:
    """The panel docks where the notebook is to run, and is checked with axe where it is tested."""
    requirements = metadata(wheel).get_all("Requires-Dist", [])

    assert [one for one in requirements if one.startswith("sidecar") and one.endswith("extra == 'lab'")]
    assert [one for one in requirements if one.startswith("axe-playwright-python") and one.endswith("extra == 'test'")]


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
