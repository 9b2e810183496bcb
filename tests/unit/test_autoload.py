"""``autoload on`` adds one entry to IPython's configuration, ``off`` takes back exactly that."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic import autoload
from llm_magic.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration of an empty environment would be."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return tmp_path / "etc" / "ipython"


def tree(folder: Path) -> dict[str, bytes | None]:
    """All below a folder: bytes of files, None for folders."""
    return {str(item.relative_to(folder)): item.read_bytes() if item.is_file() else None for item in folder.rglob("*")}


def write(path: Path, config: Mapping[str, Any], *, indent: int = 4) -> None:
    """A configuration file as a user may have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config, indent=indent), encoding="utf-8")


def test_on_writes_what_jupyter_config_holds(etc: Path) -> None:
    """In an empty environment the result is the file in ``jupyter-config/``, to the byte."""
    assert not autoload.is_on()

    assert autoload.turn_on() == [etc / "ipython_config.json"]

    assert autoload.is_on()
    shipped = ROOT / "jupyter-config" / "ipython_config.json"
    assert (etc / "ipython_config.json").read_bytes() == shipped.read_bytes()


def test_off_leaves_an_empty_environment_empty(etc: Path, tmp_path: Path) -> None:
    """File, receipt and folders that ``on`` made are gone."""
    autoload.turn_on()

    assert autoload.turn_off() == [etc / "ipython_config.json"]

    assert tree(tmp_path) == {}


def test_off_leaves_folders_that_were_there(etc: Path, tmp_path: Path) -> None:
    """An empty folder that was there before stays."""
    etc.parent.mkdir()
    before = tree(tmp_path)

    autoload.turn_on()
    autoload.turn_off()

    assert tree(tmp_path) == before


def test_on_twice_adds_once(etc: Path) -> None:
    """Turning on what is on changes nothing."""
    autoload.turn_on()
    before = tree(etc)

    assert autoload.turn_on() == []
    assert tree(etc) == before


_names = st.sampled_from(["autoreload", "line_profiler", "a.b", "ü"])
_sections = st.fixed_dictionaries(
    {},
    optional={
        "extensions": st.lists(_names),
        "extra_extensions": st.lists(_names),
        "exec_lines": st.lists(_names),
    },
)
_configs = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "InteractiveShellApp": _sections,
        "TerminalInteractiveShell": st.dictionaries(_names, st.booleans()),
    },
)


@given(base=_configs, kernel=_configs, indent=st.sampled_from([0, 2, 4]))
def test_on_and_off_restore_any_files(
    base: dict[str, Any] | None,
    kernel: dict[str, Any] | None,
    indent: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever was there: ``on`` adds the entry and nothing else, ``off`` restores every byte."""
    prefix = tmp_path_factory.mktemp("prefix")
    etc = prefix / "etc" / "ipython"
    for name, config in (("ipython_config.json", base), ("ipython_kernel_config.json", kernel)):
        if config is not None:
            write(etc / name, config, indent=indent)
    before = tree(prefix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "prefix", str(prefix))

        autoload.turn_on()
        merged = json.loads((etc / "ipython_config.json").read_text(encoding="utf-8"))
        autoload.turn_off()

    expected: dict[str, Any] = json.loads(json.dumps(base or {}))
    expected.setdefault("InteractiveShellApp", {}).setdefault("extra_extensions", []).append("llm_magic")
    assert merged == expected
    assert tree(prefix) == before


def test_kernel_file_gets_the_entry_only_where_it_would_hide_it(etc: Path) -> None:
    """A list of the kernel's own hides the base file's, so it gets the entry; otherwise it is left alone."""
    write(etc / "ipython_kernel_config.json", {"InteractiveShellApp": {"extra_extensions": ["mine"]}})

    autoload.turn_on()

    kernel = json.loads((etc / "ipython_kernel_config.json").read_text(encoding="utf-8"))
    assert kernel == {"InteractiveShellApp": {"extra_extensions": ["mine", "llm_magic"]}}


def test_off_keeps_what_was_edited_since(etc: Path) -> None:
    """The user's later changes stay; only the entry goes, and what it had made around it."""
    autoload.turn_on()
    path = etc / "ipython_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["InteractiveShellApp"]["exec_lines"] = ["import math"]
    write(path, config)

    autoload.turn_off()

    assert json.loads(path.read_text(encoding="utf-8")) == {"InteractiveShellApp": {"exec_lines": ["import math"]}}
    assert tree(etc).keys() == {"ipython_config.json"}


def test_off_after_the_user_emptied_the_file_again(etc: Path, tmp_path: Path) -> None:
    """An edit that only changed the spacing leaves nothing behind either."""
    autoload.turn_on()
    path = etc / "ipython_config.json"
    write(path, json.loads(path.read_text(encoding="utf-8")), indent=0)

    autoload.turn_off()

    assert tree(tmp_path) == {}


def test_an_entry_of_the_user_stays(etc: Path) -> None:
    """What was on before ``on`` is on after ``off``."""
    write(etc / "ipython_config.json", {"InteractiveShellApp": {"extra_extensions": ["llm_magic"]}})
    before = tree(etc)

    assert autoload.turn_on() == []
    assert autoload.turn_off() == []

    assert tree(etc) == before


def test_off_after_the_file_was_deleted(etc: Path, tmp_path: Path) -> None:
    """A file the user removed meanwhile does not come back."""
    autoload.turn_on()
    (etc / "ipython_config.json").unlink()

    assert autoload.turn_off() == []

    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"InteractiveShellApp": 3}', '{"InteractiveShellApp": {"extra_extensions": "llm"}}']
)
def test_a_file_that_is_no_configuration_is_left_alone(etc: Path, text: str) -> None:
    """A broken file is one line that names it; nothing is changed."""
    etc.mkdir(parents=True)
    (etc / "ipython_config.json").write_text(text)

    with pytest.raises(ConfigurationError, match="ipython_config") as caught:
        autoload.turn_on()

    assert "\n" not in str(caught.value)
    assert tree(etc) == {"ipython_config.json": text.encode()}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, etc: Path) -> None:
    """No place to write is one line with a way out."""
    (tmp_path / "etc").write_text("not a folder")

    with pytest.raises(ConfigurationError, match=r"cannot be (read|written)"):
        autoload.turn_on()


@pytest.mark.skipif(os.name == "nt", reason="POSIX file modes and links")
def test_modes_and_links_stay(etc: Path, tmp_path: Path) -> None:
    """The file behind a link is edited, and keeps its mode."""
    target = tmp_path / "dotfiles.json"
    write(target, {"A": {"b": 1}})
    target.chmod(0o640)
    etc.mkdir(parents=True)
    (etc / "ipython_config.json").symlink_to(target)

    autoload.turn_on()

    assert (etc / "ipython_config.json").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert "llm_magic" in target.read_text(encoding="utf-8")
