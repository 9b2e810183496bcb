"""Where a model is asked, and with which key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.openai import OpenAIBackend
from llm_magic.backends.registry import Registry, model_name
from llm_magic.config import Config
from llm_magic.errors import AuthenticationError, ConfigurationError
from llm_magic.providers import known, register_profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROXY = "http://127.0.0.1:4000/v1"
OPENAI = {"OPENAI_API_KEY": "sk-openai", "OPENAI_ORG_ID": "org-1"}


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No profiles of the user's."""
    monkeypatch.setattr(known, "_registered", {})
    monkeypatch.setattr(known, "_file", ("", 0, {}))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def chosen(environ: Mapping[str, str] | None = None, **session: Any) -> tuple[str, str, str, Any]:
    """Backend's name, address, model and key."""
    environ = environ or {}
    found = Registry(environ).resolve(Config(session=session, environ=environ).look_up)
    assert isinstance(found.backend, OpenAIBackend)
    return found.backend.name, found.backend.info().base_url, found.model, key_of(found.backend)


def key_of(backend: OpenAIBackend) -> Any:
    """The key that would be sent first."""
    keys = backend.connection.opened_by.keys
    return keys[0].value if keys else None


@pytest.mark.capability("A36")
@pytest.mark.parametrize(
    ("model", "name", "url", "sent"),
    [
        ("ollama/llama3.2", "ollama", "http://localhost:11434/v1", "llama3.2"),
        ("ollama/hf.co/bartowski/x", "ollama", "http://localhost:11434/v1", "hf.co/bartowski/x"),
        ("vllm/Qwen/Qwen3-8B", "vllm", "http://localhost:8000/v1", "Qwen/Qwen3-8B"),
        ("lmstudio/qwen3", "lmstudio", "http://localhost:1234/v1", "qwen3"),
        ("llamacpp/any", "llamacpp", "http://localhost:8080/v1", "any"),
        ("llama.cpp/any", "llamacpp", "http://localhost:8080/v1", "any"),
    ],
)
def test_a_local_profile_needs_only_its_name(model: str, name: str, url: str, sent: str) -> None:
    """No key, no address; OpenAI's key does not go there."""
    assert chosen(OPENAI, model=model) == (name, url, sent, None)


@pytest.mark.parametrize(
    ("model", "variable", "name", "sent"),
    [
        ("openrouter/meta-llama/llama-3.3", "OPENROUTER_API_KEY", "openrouter", "meta-llama/llama-3.3"),
        ("openrouter/auto", "OPENROUTER_API_KEY", "openrouter", "openrouter/auto"),
        ("groq/llama-3.3-70b-versatile", "GROQ_API_KEY", "groq", "llama-3.3-70b-versatile"),
        ("groq/openai/gpt-oss-20b", "GROQ_API_KEY", "groq", "openai/gpt-oss-20b"),
        ("gemini/gemini-2.5-pro", "GOOGLE_API_KEY", "gemini", "gemini-2.5-pro"),
        ("anthropic/claude-x", "ANTHROPIC_API_KEY", "claude", "claude-x"),
        ("nvidia/nemotron", "NVIDIA_API_KEY", "nvidia", "nvidia/nemotron"),
    ],
)
def test_a_hosted_profile_takes_its_own_key(model: str, variable: str, name: str, sent: str) -> None:
    """And says which one is missing."""
    found = chosen({variable: "own", **OPENAI}, model=model)

    assert (found[0], *found[2:]) == (name, sent, "own")
    with pytest.raises(AuthenticationError, match=f"No key for {sent}"):
        chosen(OPENAI, model=model)


def test_openai_is_a_profile_too() -> None:
    """Its name before a model is taken off, where nothing else is configured."""
    assert chosen(OPENAI, model="openai/gpt-4o")[2:] == ("gpt-4o", "sk-openai")
    assert chosen({**OPENAI, "OPENAI_BASE_URL": PROXY}, model="openai/gpt-4o")[1:3] == (PROXY, "openai/gpt-4o")


@pytest.mark.capability("A36")
def test_one_setting_switches_from_openai_to_a_local_server() -> None:
    """In every way a setting is set; the address may come from the server's own variable."""
    for settings, environ in (({"profile": "ollama"}, {}), ({}, {"LLM_MAGIC_PROFILE": "ollama"})):
        name, url, model, key = chosen({**OPENAI, **environ, "OLLAMA_HOST": "gpu7"}, model="qwen3", **settings)
        assert (name, url, model, key) == ("ollama", "http://gpu7:11434/v1", "qwen3", None)


@pytest.mark.capability("A35")
def test_an_address_that_was_given_beats_every_rule() -> None:
    """A proxy is asked for models of any name, as they are called."""
    for model in ("claude-x", "groq/llama-3", "ollama/qwen3", "openai/gpt-4o"):
        assert chosen({**OPENAI, "GROQ_API_KEY": "g"}, model=model, base_url=PROXY)[1:] == (PROXY, model, "sk-openai")


@pytest.mark.capability("A35")
def test_the_environments_address_gives_way_to_a_profile_that_can_be_asked() -> None:
    """One without its key is a name of the proxy's."""
    environ = {**OPENAI, "OPENAI_BASE_URL": PROXY}

    assert chosen(environ, model="ollama/qwen3")[:3] == ("ollama", "http://localhost:11434/v1", "qwen3")
    assert chosen({**environ, "GROQ_API_KEY": "g"}, model="groq/llama-3")[0] == "groq"
    assert chosen(environ, model="groq/llama-3")[1:3] == (PROXY, "groq/llama-3")
    assert chosen(environ, model="claude-x")[1] == PROXY


def test_a_routers_models_do_not_lead_away() -> None:
    """Their names begin with their makers'."""
    environ = {"OPENROUTER_API_KEY": "or", "DEEPSEEK_API_KEY": "ds"}

    found = chosen(environ, model="deepseek/deepseek-chat", profile="openrouter")
    by_address = chosen(
        {**OPENAI, "OPENAI_BASE_URL": "https://openrouter.ai/api/v1", **environ}, model="deepseek/deepseek-chat"
    )

    assert (found[0], found[2], found[3]) == ("openrouter", "deepseek/deepseek-chat", "or")
    assert (by_address[0], by_address[2], by_address[3]) == ("openrouter", "deepseek/deepseek-chat", "or")
    assert chosen(environ, model="openrouter/meta/llama", profile="openrouter")[2] == "meta/llama"
    assert chosen(environ, model="ollama/qwen3", profile="openrouter")[0] == "openrouter"
    assert chosen(environ, model="deepseek/deepseek-chat", profile="ollama")[0] == "deepseek"


@pytest.mark.capability("A35")
def test_address_and_key_that_were_given_go_with_the_profile() -> None:
    """Its quirks stay; the profile's key is used where none was given."""
    own = chosen({**OPENAI, "VLLM_API_KEY": "v"}, profile="vllm", base_url=PROXY, model="m")
    given = chosen({"VLLM_API_KEY": "v"}, profile="vllm", base_url=PROXY, model="m", api_key="k")
    environ = {"LLM_MAGIC_PROFILE": "vllm", "LLM_MAGIC_BASE_URL": PROXY, "LLM_MAGIC_API_KEY": "ours"}

    assert own == ("vllm", PROXY, "m", "v")
    assert given == ("vllm", PROXY, "m", "k")
    assert chosen(environ, model="m") == ("vllm", PROXY, "m", "ours")


def test_our_own_key_goes_nowhere_by_a_models_name() -> None:
    """Only where a setting names the profile."""
    with pytest.raises(AuthenticationError):
        chosen({"LLM_MAGIC_API_KEY": "ours"}, model="groq/llama-3")
    assert chosen({"LLM_MAGIC_API_KEY": "ours"}, model="llama-3", profile="groq")[3] == "ours"


def test_a_known_address_takes_its_providers_key() -> None:
    """Where there is one; OpenAI's goes along only where it is the only one, as many guides have it."""
    groq = "https://api.groq.com/openai/v1"

    assert chosen({**OPENAI, "GROQ_API_KEY": "g"}, base_url=groq, model="m") == ("groq", groq, "m", "g")
    assert chosen({"GROQ_API_KEY": "g"}, base_url=groq, model="m")[3] == "g"
    assert chosen(OPENAI, base_url=groq, model="m")[3] == "sk-openai"


def test_a_profile_brings_its_model() -> None:
    """Else the common default; nothing is asked to find out."""

    def name(**session: Any) -> str:
        return model_name(Config(session=session, environ={}).look_up)

    assert name(profile="openrouter") == "openrouter/auto"
    assert name(profile="ollama") == name(profile="openai") == "gpt-5.4-mini"
    assert name() == "smollm2-135m-instruct"
    assert name(profile="ollama", model="qwen3") == "qwen3"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"profile": "olama"}, r"no profile 'olama'\.  Hint: did you mean ollama\?"),
        ({"profile": "azure"}, "Azure OpenAI needs api_version"),
        ({"profile": "no-address"}, "has no address"),
        ({"profile": "ollama", "roles": "system"}, "does not fit roles"),
        ({"profiles": "/no/such.toml"}, "There is no file"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(settings: dict[str, Any], message: str) -> None:
    """Before anything is sent."""
    register_profile("no-address")
    with pytest.raises(ConfigurationError, match=message):
        chosen({"AZURE_OPENAI_API_KEY": "k"}, model="m", **settings)


@pytest.mark.capability("B21", "C18", "C21", "E5")
def test_settings_go_over_a_profiles_quirks() -> None:
    """Roles, several system messages, names, tokens at the end; also for a server nobody knows."""
    session = {"roles": "system=developer, user=human", "names": "dropped", "system_messages": "merged"}
    session |= {"stop_tokens": "<end> </s>", "text_calls": "hermes", "model": "m"}
    for more in ({"profile": "ollama"}, {"base_url": PROXY}):
        config = Config(session={**session, **more}, environ={})
        backend = Registry({}).resolve(config.look_up).backend
        assert isinstance(backend, OpenAIBackend)
        quirks = backend._dialect.quirks
        assert dict(quirks.roles) == {"system": "developer", "user": "human"}
        assert (quirks.names, quirks.system_messages, quirks.stop_tokens) == ("dropped", "merged", ("<end>", "</s>"))
        assert quirks.text_calls == "hermes"


@pytest.mark.capability("J9")
@pytest.mark.parametrize(
    "url",
    ["http://gw.example/v1/openai/v1", "http://gw.example:1/a/b", "http://gw.example/v1/openai/v1/chat/completions"],
)
def test_an_address_may_have_any_path(url: str) -> None:
    """With and without the endpoint's own."""
    assert chosen(base_url=url, model="m")[1] == url.removesuffix("/chat/completions")


def test_a_backend_of_python_takes_its_profiles_place() -> None:
    """Address and key, where none are given; nothing of OpenAI's."""
    environ = {**OPENAI, "OPENAI_BASE_URL": PROXY, "GROQ_API_KEY": "g", "OLLAMA_HOST": "gpu7"}

    groq, ollama = (OpenAIBackend(profile=name, environ=environ) for name in ("groq", "ollama"))
    given = OpenAIBackend(profile="groq", base_url=PROXY, api_key="k", environ=environ)

    assert (groq.name, groq.info().base_url, key_of(groq)) == ("groq", "https://api.groq.com/openai/v1", "g")
    assert (ollama.info().base_url, key_of(ollama), ollama.info().organization) == ("http://gpu7:11434/v1", None, None)
    assert (given.info().base_url, key_of(given)) == (PROXY, "k")
    assert OpenAIBackend(profile="openai", environ=environ).info().base_url == PROXY


def test_several_keys_of_ours_stay() -> None:
    """They go before OpenAI's one."""
    environ = {**OPENAI, "LLM_MAGIC_API_KEYS": "k1,k2"}
    found = Registry(environ).resolve(Config(session={"model": "gpt-4o"}, environ=environ).look_up)

    assert isinstance(found.backend, OpenAIBackend)
    assert [key.value for key in found.backend.connection.opened_by.keys] == ["k1", "k2"]
