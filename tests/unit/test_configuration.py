"""Backends as data: written, read, made again, and never with a secret in it."""

from __future__ import annotations

import json
import pickle
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llm_magic
from llm_magic.backends import registry
from llm_magic.backends.azure import AzureOpenAIBackend
from llm_magic.backends.configuration import to_toml
from llm_magic.backends.local import LocalBackend
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.errors import AuthenticationError, ConfigurationError
from llm_magic.providers import Profile, named
from llm_magic.testing import ScriptedBackend
from tests.fakes.asking import ask

if TYPE_CHECKING:
    from tests.fakes.server import FakeServer

SECRET = "sk-canary-0123456789abcdef"
SERVER = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys with names of their own, none of this machine's user's."""
    monkeypatch.setattr(registry, "_registered", {})
    for name in ("OPENAI_API_KEY", "LLM_MAGIC_API_KEY", "LLM_MAGIC_API_KEYS", "MBODI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAB_KEY", SECRET)
    monkeypatch.setenv("LAB_KEYS", f"{SECRET}-1, {SECRET}-2")


@pytest.mark.capability("K3", "K4", "K7")
def test_a_backend_comes_back_from_its_configuration(fake_server: FakeServer, tmp_path: Path) -> None:
    """By dict, JSON and TOML: the same requests, opened by the same key, which stands nowhere."""
    made = OpenAIBackend(
        base_url=fake_server.url,
        api_key="env:LAB_KEY",
        organization=["org-a", "org-b"],
        headers={"X-Team": "biology", "X-Pass": "env:LAB_KEY"},
        default_query={"v": "1"},
        user_agent="lab/1",
        queries_per_second=500,
        max_retries=1,
        continues="prefix",
        http_options={"http1": True},
        name="lab",
    )
    path = tmp_path / "lab.toml"
    path.write_text(made.to_toml(), encoding="utf-8")
    config = made.to_config()

    again: tuple[Any, ...] = (
        OpenAIBackend.from_config(config),
        llm_magic.load_backend(json.loads(json.dumps(config))),
        llm_magic.load_backend(path),
        OpenAIBackend.from_config(str(path)),
    )

    assert config["provider"] == "openai"
    assert SECRET not in f"{config} {made.to_toml()}"
    for backend in (made, *again):
        assert type(backend) is OpenAIBackend
        ask(backend, "echo")
    heads = [
        {name: value for name, value in received.headers.items() if name != "host"} for received in fake_server.requests
    ]
    assert heads == heads[:1] * 5
    assert heads[0]["authorization"] == f"Bearer {SECRET}"
    assert heads[0]["x-pass"] == SECRET
    assert {received.path for received in fake_server.requests} == {"/v1/chat/completions?v=1"}
    assert [backend.to_config() for backend in again] == [config] * 4
    assert {(backend.name, backend.info().continues) for backend in again} == {("lab", "prefix")}


@pytest.mark.capability("K3", "K7")
@pytest.mark.parametrize(
    "config",
    [
        {"provider": "openai", "config": {"api_key": "env:LAB_KEY"}},
        {"provider": "openai", "config": {"api_key": ["env:LAB_KEY", "env:LAB_KEYS"], "organization": "org-1"}},
        {"provider": "openai", "config": {"base_url": SERVER, "profile": "ollama", "max_redirects": 0}},
        {
            "provider": "azure",
            "config": {
                "api_key": "env:LAB_KEY",
                "azure_endpoint": "https://lab.openai.azure.com",
                "azure_deployment": "gpt",
                "api_version": "2024-10-21",
                "name": "azure",
            },
        },
        {"provider": "local", "config": {"model_path": "/models/x.gguf", "threads": 2, "context_tokens": 4096}},
    ],
)
def test_configurations_are_what_they_were(config: dict[str, Any]) -> None:
    """Written, read, written: nothing is lost and nothing added."""
    made: Any = llm_magic.load_backend(config)

    kinds: dict[str, type[Any]] = {"openai": OpenAIBackend, "azure": AzureOpenAIBackend, "local": LocalBackend}
    assert isinstance(made, kinds[config["provider"]])
    assert made.to_config() == config
    assert tomllib.loads(to_toml(config)) == config


@pytest.mark.capability("K4")
def test_a_key_of_the_environment_is_written_as_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to name it."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    by_rule = OpenAIBackend(organization="org-1")
    by_value = OpenAIBackend(api_key=SECRET, key_name="LAB_KEY")
    by_shorthand = OpenAIBackend(api_key="ENV")

    assert by_rule.to_config()["config"] == {"api_key": "env:OPENAI_API_KEY", "organization": "org-1"}
    assert by_value.to_config()["config"] == {"api_key": "env:LAB_KEY", "key_name": "LAB_KEY"}
    assert by_shorthand.to_config()["config"] == {"api_key": "env:OPENAI_API_KEY"}


@pytest.mark.capability("K4", "A18")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"api_key": SECRET}, "A key"),
        ({"api_key": ["env:LAB_KEY", f"{SECRET}-9"]}, "A key"),
        ({"api_key": lambda: SECRET}, "A key that a function returns"),
        ({"headers": {"X-Api-Key": SECRET}}, "X-Api-Key holds a secret, which"),
        ({"proxy": f"http://ann:{SECRET}@127.0.0.1:9"}, "proxy holds a secret, which"),
        ({"base_url": f"http://127.0.0.1:9/v1?key={SECRET}"}, "base_url holds a secret, which"),
        ({"default_query": {"api_key": SECRET}}, "api_key holds a secret, which"),
        ({"webhook_secret": SECRET}, "webhook_secret holds a secret, which"),
    ],
)
def test_a_secret_is_never_written(arguments: dict[str, Any], name: str) -> None:
    """It is an error that says how to name it; a pickle leaves it behind."""
    backend = OpenAIBackend(**{"base_url": SERVER, **arguments})

    with pytest.raises(ConfigurationError) as caught:
        backend.to_config()

    assert caught.value.message == f"{name} cannot be written to a configuration."
    assert "env:NAME" in (caught.value.hint or "")
    assert SECRET.encode() not in pickle.dumps(backend)


@pytest.mark.capability("K6")
def test_a_token_provider_that_is_a_function_is_not_written() -> None:
    """What can be is named."""
    backend = AzureOpenAIBackend(
        azure_endpoint=SERVER, api_version="2024-10-21", azure_ad_token_provider=lambda: SECRET
    )

    with pytest.raises(ConfigurationError, match="azure_ad_token_provider is a function, which cannot") as caught:
        backend.to_config()

    assert "default" in (caught.value.hint or "")


@pytest.mark.capability("K3")
def test_what_is_no_plain_value_is_not_written() -> None:
    """Said with its name and type."""
    client = openai.AsyncOpenAI(api_key=SECRET, base_url=SERVER)

    with pytest.raises(ConfigurationError, match="client is a AsyncOpenAI, which cannot be written"):
        OpenAIBackend(client=client).to_config()
    with pytest.raises(ConfigurationError, match="The profile 'ollama' was changed, which cannot be written"):
        OpenAIBackend(base_url=SERVER, profile=Profile(name="ollama", title="mine")).to_config()
    assert OpenAIBackend(base_url=SERVER, profile=named("ollama")).to_config()["config"]["profile"] == "ollama"


@pytest.mark.capability("A30", "K7")
@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        (
            {"provider": "openai", "config": {"max_retry": 1}},
            "OpenAIBackend has no argument 'max_retry'.",
            "max_retries",
        ),
        ({"provider": "local", "config": {"thread": 1}}, "LocalBackend has no argument 'thread'.", "threads"),
        ({"provider": "opnai", "config": {}}, "There is no backend 'opnai'.", "openai"),
        ({"provider": "mine", "config": {"nmae": "x"}}, "The configuration of 'mine' does not fit: ", ""),
        ({"provider": "openai", "config": {}, "key": "x"}, "That is no configuration of a backend.", "provider"),
        ({"config": {}}, "That is no configuration of a backend.", "provider"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told(config: dict[str, Any], message: str, hint: str) -> None:
    """With the nearest name."""
    llm_magic.register_backend("mine", ScriptedBackend)

    with pytest.raises(ConfigurationError) as caught:
        llm_magic.load_backend(config)

    assert caught.value.message.startswith(message)
    assert hint in (caught.value.hint or "")


@pytest.mark.capability("K7")
def test_backends_of_others_are_made_by_their_names() -> None:
    """Called with the configuration; without one, as they are."""
    llm_magic.register_backend("mine", ScriptedBackend)

    assert llm_magic.load_backend({"provider": "mine", "config": {"name": "hers"}}).name == "hers"
    assert llm_magic.load_backend({"provider": "mine"}).name == "scripted"


def test_one_providers_configuration_is_not_anothers() -> None:
    """``load_backend`` takes any."""
    with pytest.raises(ConfigurationError, match="The configuration is one of 'local'"):
        OpenAIBackend.from_config({"provider": "local", "config": {}})


@pytest.mark.capability("K4")
def test_a_reference_to_nothing_is_told_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable's name."""
    config = OpenAIBackend(base_url=SERVER, api_key="env:LAB_KEY").to_config()
    monkeypatch.delenv("LAB_KEY")

    with pytest.raises(AuthenticationError, match="The variable LAB_KEY is not set"):
        llm_magic.load_backend(config)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "cannot be read: it is no text"),
        (b"provider = ", "is no TOML: "),
        (b"[table]\n", "That is no configuration"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, data: bytes | None, message: str) -> None:
    """One line, with its path or its fault."""
    path = tmp_path / "lab.toml"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(ConfigurationError, match=message):
        llm_magic.load_backend(path)


def test_the_documentation_is_true() -> None:
    """Every example of the page runs, and gives what it says."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "connections.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    for example in examples:
        exec(example, names)

    (shown,) = re.findall(r"^# (\{.*\})$", examples[-1], re.MULTILINE)
    assert repr(names["backend"].to_config()) == shown


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(max_size=10), st.dictionaries(st.text(max_size=8), _VALUES, max_size=5))
def test_whatever_is_plain_survives_toml(provider: str, config: dict[str, Any]) -> None:
    """Every text, number, list and table comes back as it was."""
    configuration = {"provider": provider, "config": config}

    assert tomllib.loads(to_toml(configuration)) == configuration
