"""Which backend answers for a model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from llm_magic.backends import registry as registry_module
from llm_magic.backends.local import LocalBackend
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.backends.registry import Choice, Registry, backend_names, factory, register_backend
from llm_magic.backends.transport import Transport
from llm_magic.catalog import DEFAULT_MODEL, LOCAL_MODEL
from llm_magic.config import Config
from llm_magic.errors import AuthenticationError, ConfigurationError
from llm_magic.testing import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry_module, "_registered", {})


def resolve(*, environ: Mapping[str, str] | None = None, registry: Registry | None = None, **session: Any) -> Choice:
    """Backend and model for settings of the session and variables of the environment."""
    environ = environ or {}
    config = Config(session=session, environ=environ)
    return (registry or Registry(environ)).resolve(config.look_up)


def key_of(choice: Choice) -> Any:
    """The key that would be sent."""
    assert isinstance(choice.backend, OpenAIBackend)
    keys = choice.backend.connection.opened_by.keys
    return keys[0].value if keys else None


def test_with_nothing_configured_the_local_model_answers() -> None:
    """No key, no address, no model named."""
    choice = resolve()

    assert isinstance(choice.backend, LocalBackend)
    assert choice.model == LOCAL_MODEL


@pytest.mark.parametrize("model", ["local", LOCAL_MODEL, "local/anything"])
def test_the_local_model_is_had_by_name(model: str) -> None:
    """Also with a key."""
    choice = resolve(model=model, environ={"OPENAI_API_KEY": "sk-1"})

    assert isinstance(choice.backend, LocalBackend)


def test_a_file_of_ones_own_is_the_local_model() -> None:
    """Its name is the file's; each file has a backend of its own."""
    registry = Registry({})

    mine = resolve(registry=registry, model="local", local_model="/models/Tiny.gguf")

    assert mine.model == "tiny"
    assert mine.backend is not resolve(registry=registry).backend


@pytest.mark.capability("A8")
def test_a_key_or_an_address_brings_the_default_model() -> None:
    """Where no model is named."""
    keyed, addressed = resolve(environ={"OPENAI_API_KEY": "sk-1"}), resolve(base_url=SERVER)

    assert keyed.model == addressed.model == DEFAULT_MODEL
    assert keyed.backend.info().base_url == "https://api.openai.com/v1"
    assert addressed.backend.info().base_url == SERVER


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "gpt-99", "llama3.2"])
def test_a_model_that_is_named_without_a_key_is_an_error(model: str) -> None:
    """Never the local one, and before anything is sent."""
    with pytest.raises(AuthenticationError, match=f"No key for {model}") as caught:
        resolve(model=model)

    assert "OPENAI_API_KEY" in (caught.value.hint or "")


@pytest.mark.capability("A32", "A33", "A34")
@pytest.mark.parametrize(
    ("model", "variable", "name", "host"),
    [
        ("gemini-2.5-flash", "GEMINI_API_KEY", "gemini", "generativelanguage.googleapis.com"),
        ("claude-sonnet-4-5", "ANTHROPIC_API_KEY", "claude", "api.anthropic.com"),
        ("Llama-4", "LLAMA_API_KEY", "llama", "api.llama.com"),
        ("grok-4", "XAI_API_KEY", "xai", "api.x.ai"),
    ],
)
def test_routed_models_take_their_own_key(model: str, variable: str, name: str, host: str) -> None:
    """And address: OpenAI's key, organization and project of the environment never go there."""
    openai_variables = {"OPENAI_API_KEY": "sk-openai", "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1"}

    choice = resolve(model=model, environ={variable: "their-key", **openai_variables})

    assert key_of(choice) == "their-key"
    assert choice.backend.name == name
    assert urlsplit(choice.backend.info().base_url).hostname == host
    assert choice.backend.info().provider is not None
    assert choice.backend.info().organization is None
    with pytest.raises(AuthenticationError, match=f"No key for {model}") as caught:
        resolve(model=model, environ=openai_variables)
    assert variable in (caught.value.hint or "")


@pytest.mark.capability("A35")
def test_a_key_that_was_given_beats_the_rule() -> None:
    """By session, conversation or cell: it was meant for this model."""
    choice = resolve(model="claude-sonnet-4-5", api_key="given", environ={"ANTHROPIC_API_KEY": "other"})

    assert key_of(choice) == "given"
    assert choice.backend.name == "claude"


@pytest.mark.capability("A35")
@pytest.mark.parametrize("from_environment", [True, False])
def test_an_address_beats_the_rule(*, from_environment: bool) -> None:
    """A proxy serves models of any name; the key is the one for it."""
    if from_environment:
        choice = resolve(model="claude-x", environ={"OPENAI_BASE_URL": SERVER, "OPENAI_API_KEY": "sk-1"})
    else:
        choice = resolve(model="claude-x", base_url=SERVER, environ={"OPENAI_API_KEY": "sk-1"})

    assert choice.backend.info().base_url == SERVER
    assert (choice.backend.name, key_of(choice)) == ("openai", "sk-1")


@pytest.mark.capability("A1")
def test_a_server_of_ones_own_needs_no_key() -> None:
    """Ollama, vLLM, LM Studio, llama.cpp."""
    choice = resolve(model="llama3.2", base_url="http://localhost:11434/v1")

    assert key_of(choice) is None


@pytest.mark.parametrize("variable", ["LLM_MAGIC_API_KEY", "OPENAI_API_KEY", "MBODI_API_KEY"])
def test_errors_name_the_variable_of_the_key(variable: str) -> None:
    """The one it came from."""
    choice = resolve(environ={variable: "sk-1"})

    assert isinstance(choice.backend, OpenAIBackend)
    assert choice.backend.connection.opened_by.name == variable


def test_backends_are_kept_by_their_configuration() -> None:
    """The same settings use the same connections; others do not; no key is kept in clear."""
    registry = Registry({})
    one = resolve(registry=registry, base_url=SERVER, api_key="sk-canary", headers={"X-A": "1"})

    assert resolve(registry=registry, base_url=SERVER, api_key="sk-canary", headers={"X-A": "1"}).backend is one.backend
    assert resolve(registry=registry, base_url=SERVER, api_key="sk-canary").backend is not one.backend
    assert (
        resolve(registry=registry, base_url=SERVER, api_key="sk-other", headers={"X-A": "1"}).backend is not one.backend
    )
    assert resolve(registry=registry, base_url=SERVER, api_key=lambda: "sk").backend is not one.backend
    assert "sk-canary" not in f"{registry!r} {list(registry._backends)}"


@pytest.mark.capability("A31", "A19", "A22")
def test_settings_reach_the_backend() -> None:
    """Organization, project, headers, pace, and how it is reached."""
    way: dict[str, Any] = {"user_agent": "lab/1", "proxy": "", "max_connections": 4, "http_options": {"http1": True}}
    choice = resolve(
        api_key="sk-1",
        organization="org-1",
        project="proj-1",
        headers={"X-Team": "biology"},
        queries_per_second=0.5,
        **way,
    )

    assert isinstance(choice.backend, OpenAIBackend)
    assert choice.backend.info().organization == "org-1"
    assert (choice.backend.connection.project, choice.backend.connection._clients.headers) == (
        "proj-1",
        {"X-Team": "biology"},
    )
    assert choice.backend.connection.pace.per_second == 0.5
    assert choice.backend.connection._clients._transport == Transport(**way, max_redirects=3)


def test_headers_that_are_none_are_refused() -> None:
    """They are names and texts."""
    for headers in ([1], "x", {"a": 1}):
        with pytest.raises(ConfigurationError, match="headers"):
            resolve(base_url=SERVER, headers=headers)


def test_a_registered_backend_is_asked_by_name() -> None:
    """NAME/MODEL; made once, when first asked; whatever address is configured."""
    made = []

    def make() -> ScriptedBackend:
        made.append(1)
        return ScriptedBackend(name="mine")

    register_backend("mine", make)
    registry = Registry({})

    first, second = resolve(registry=registry, model="mine/small"), resolve(registry=registry, model="mine/large")

    assert first.backend is second.backend
    assert (first.model, second.model, made) == ("small", "large", [1])
    assert resolve(model="mine/small", environ={"OPENAI_BASE_URL": SERVER}).backend.name == "mine"
    assert "mine" in backend_names()


def test_a_registered_backend_may_stand_in_for_ours() -> None:
    """Under its name."""

    def make(**options: Any) -> ScriptedBackend:
        return ScriptedBackend(name=f"stands in for {options['base_url']}")

    register_backend("openai", make)

    assert resolve(base_url=SERVER).backend.name == f"stands in for {SERVER}"


def test_models_of_routers_keep_their_slash() -> None:
    """The model openai/gpt-4o is a router's, not a backend's."""
    assert resolve(model="openai/gpt-4o", base_url=SERVER).model == "openai/gpt-4o"
    assert resolve(model="meta-llama/x", environ={"OPENAI_API_KEY": "sk-1"}).model == "meta-llama/x"


@pytest.mark.parametrize("model", ["ollama/", "local/", "azure/ ", "openai/"])
def test_a_slash_wants_a_model_behind_it(model: str) -> None:
    """In one line, before anything is sent as the model's name."""
    with pytest.raises(ConfigurationError, match="names no model"):
        resolve(model=model, base_url=SERVER)


def test_ours_are_found_by_their_entry_points() -> None:
    """They come through the same door as everybody's."""
    assert {"local", "openai"} <= set(backend_names())
    assert factory("openai") is OpenAIBackend
    assert factory("local") is LocalBackend


def test_unknown_and_misfit_names_are_refused() -> None:
    """With the nearest name."""
    with pytest.raises(ConfigurationError, match="no backend 'opnai'") as caught:
        factory("opnai")
    assert caught.value.hint == "did you mean openai?"
    for name in ("", "a/b", "a b"):
        with pytest.raises(ConfigurationError, match="no name"):
            register_backend(name, ScriptedBackend)


def test_closing_closes_all_and_stopping_those_of_a_name() -> None:
    """They may be used again afterwards."""
    closed: list[str] = []

    class Closing(ScriptedBackend):
        async def aclose(self) -> None:
            closed.append(self.name)

    for name in ("one", "two"):
        register_backend(name, lambda name=name: Closing(name=name))
    registry = Registry({})
    one, _two = (resolve(registry=registry, model=f"{name}/m") for name in ("one", "two"))

    asyncio.run(registry.stop("one"))
    assert closed == ["one"]
    asyncio.run(registry.aclose())

    assert closed == ["one", "one", "two"]
    assert resolve(registry=registry, model="one/m").backend is one.backend
