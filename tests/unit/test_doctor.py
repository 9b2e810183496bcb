"""``llm-magic doctor`` says what is so, in lines, and no secret."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from llm_magic import autoload
from llm_magic._version import __version__
from llm_magic.backends import weights
from llm_magic.config import Config
from llm_magic.doctor import Finding, examine
from llm_magic.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting, no proxy, no weights, no configuration of this machine."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "LLM_MAGIC_", "MBODI_", "AZURE_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LLM_MAGIC_STORE", str(tmp_path / "store.sqlite3"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this machine where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def findings(topic: str) -> list[Finding]:
    """What doctor finds about a topic."""
    return [finding for finding in examine() if finding.topic == topic]


def text(topic: str) -> str:
    """The lines about a topic."""
    return "\n".join(finding.text for finding in findings(topic))


def test_a_bare_machine_is_not_broken() -> None:
    """With nothing configured: the local model, no key, and nothing to mend."""
    assert not any(finding.is_broken for finding in examine())
    assert "smollm2-135m-instruct on this machine" in text("backend")
    assert "api_key: not set" in text("setting")
    assert findings("reachable") == []
    assert "llm-magic download" in text("local model")
    assert text("autoload").startswith("off")


def test_versions_are_named() -> None:
    """Ours, Python's, and those of the packages."""
    assert __version__ in text("version")
    assert any(line.startswith(("openai 3", "openai 4")) for line in text("package").splitlines())


def test_settings_come_with_their_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is set is listed, with where it was set."""
    monkeypatch.setenv("LLM_MAGIC_TEMPERATURE", "0.5")

    assert "temperature = 0.5 (environment)" in text("setting")
    assert "seed" not in text("setting")


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, listening: int) -> None:
    """Keys, headers, and credentials in an address are not in the report."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("LLM_MAGIC_HEADERS", '{"Authorization": "Bearer canary"}')
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:canary@127.0.0.1:{listening}/v1?key=canary")

    report = "\n".join(f"{finding}" for finding in examine())

    assert "canary" not in report
    assert "api_key = set (hidden)" in report
    assert "Authorization" in report


def test_a_server_that_listens_is_reachable(monkeypatch: pytest.MonkeyPatch, listening: int) -> None:
    """The configured server is tried, and named."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listening}/v1")
    monkeypatch.setenv("OPENAI_MODEL", "m")

    assert text("reachable") == f"yes: 127.0.0.1:{listening}"
    assert f"m at http://127.0.0.1:{listening}/v1" in text("backend")


def test_a_server_that_does_not_listen_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is found, with its reason."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")

    (found,) = findings("reachable")

    assert found.is_broken
    assert "127.0.0.1:9: Connection refused" in found.text


def test_a_proxy_is_what_is_tried(monkeypatch: pytest.MonkeyPatch, listening: int) -> None:
    """Behind a proxy it is the proxy that must be reachable."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://models.invalid/v1")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening}")

    assert text("reachable") == f"yes: the proxy 127.0.0.1:{listening}"


def test_a_setting_that_does_not_fit_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad value in the environment is named with its variable."""
    monkeypatch.setenv("LLM_MAGIC_SEED", "many")

    assert any(finding.is_broken and "LLM_MAGIC_SEED" in finding.text for finding in findings("setting"))


def test_the_local_model_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloaded weights are named; a model of one's own that is not there is broken."""
    weights.path().parent.mkdir(parents=True)
    with weights.path().open("wb") as file:
        file.truncate(weights.SMOLLM2.file_bytes)
    assert str(weights.path()) in text("local model")

    monkeypatch.setenv("LLM_MAGIC_LOCAL_MODEL", str(tmp_path / "none.gguf"))
    (found,) = findings("local model")
    assert found.is_broken


def test_store_is_told(tmp_path: Path) -> None:
    """Where conversations are kept and how many there are; looking makes no file, and a damaged one is broken."""
    path = tmp_path / "store.sqlite3"
    assert text("store") == f"{path} (begun with the first turn)"
    assert not path.exists()

    Store(str(path)).close()
    assert text("store") == f"{path}: 0 conversations, 0 turns"

    path.write_bytes(b"no database" * 500)
    (finding,) = findings("store")
    assert finding.is_broken
    assert str(path) in finding.text


def test_autoload_is_told(tmp_path: Path) -> None:
    """On, off, or a configuration that cannot be read."""
    autoload.turn_on()
    assert text("autoload").startswith("on")

    (autoload.folder() / autoload.BASE_FILE).write_text("{")
    (found,) = findings("autoload")
    assert found.is_broken


def test_settings_of_the_session_can_be_examined() -> None:
    """Other settings than the environment's, for a session's own report."""
    found = [finding.text for finding in examine(Config(session={"seed": 7})) if finding.topic == "setting"]

    assert "seed = 7 (session)" in found
