"""Providers as data: ours, those users add, and where each is."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import llm_magic
from llm_magic import providers
from llm_magic.config import Config
from llm_magic.errors import ConfigurationError
from llm_magic.providers import known, register_profile
from llm_magic.providers.local_table import LOCAL
from llm_magic.providers.profile import Profile, Quirks
from llm_magic.providers.table import HOSTED

# What the product promises, and the rows of K15.
PROMISED = (
    *("openai", "azure", "gemini", "claude", "llama", "ollama", "vllm", "lmstudio", "llamacpp", "openrouter", "groq"),
    *("mistral", "deepseek", "together", "xai", "cerebras", "fireworks", "nvidia", "sambanova"),
)


@pytest.fixture(autouse=True)
def own_profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a test registers, or reads from a file, is gone after it; there is no file of the user's."""
    monkeypatch.setattr(known, "_registered", {})
    monkeypatch.setattr(known, "_file", ("", 0, {}))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def written(tmp_path: Path, text: str) -> str:
    """A file of profiles."""
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.capability("K15")
def test_the_promised_providers_are_there() -> None:
    """Each tested against a fixture or a real server, with its source; names and prefixes are each one's own."""
    names = [item.name for item in (*HOSTED, *LOCAL)]
    prefixes = [prefix for item in (*HOSTED, *LOCAL) for prefix in item.prefixes]

    assert set(PROMISED) <= set(names)
    assert all(providers.named(name).tested in ("fixture", "local") for name in PROMISED)
    assert len(set(names)) == len(names)
    assert len(set(prefixes)) == len(prefixes)
    for item in (*HOSTED, *LOCAL):
        assert item.source.startswith("https://")
        assert item.base_url.startswith(("https://", "http://localhost:")) or item.name == "azure"
        assert all(re.fullmatch(r"[A-Z][A-Z_]+", variable) for variable in (*item.key_variables, *item.url_variables))


@pytest.mark.capability("A36")
def test_servers_of_ones_own_need_no_key() -> None:
    """And are known by no host: many kinds share localhost."""
    assert [item.needs_key for item in LOCAL] == [False] * 4
    assert providers.at("http://localhost:11434/v1") is None


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://localhost:11434/v1"),
        ("gpu7", "http://gpu7:11434/v1"),
        ("gpu7:8080", "http://gpu7:8080/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:9", "http://127.0.0.1:9/v1"),
        ("https://ollama.example.org", "https://ollama.example.org/v1"),
        ("https://ollama.example.org/proxy/v1/", "https://ollama.example.org/proxy/v1"),
        ("http://[::1]:11434", "http://[::1]:11434/v1"),
        ("http://ada:secret@gpu7:1", "http://ada:secret@gpu7:1/v1"),
    ],
)
def test_a_variable_may_say_less_than_an_address(value: str, url: str) -> None:
    """OLLAMA_HOST is a host, a host with its port, or an address."""
    assert providers.named("ollama").url({"OLLAMA_HOST": value}) == url


def test_an_address_tells_its_provider() -> None:
    """By host, also where one has many; a proxy's path does not count."""
    assert [
        getattr(providers.at(url), "name", None)
        for url in (
            "https://api.openai.com/v1",
            "https://eu.api.openai.com/v1",
            "https://mine.openai.azure.com/openai/v1",
            "https://api.together.ai/v1",
            "https://OPENROUTER.ai/api/v1",
            "https://proxy.example.org/api.openai.com",
            "https://notopenrouter.ai/",
            "",
        )
    ] == ["openai", "openai", "azure", "together", "openrouter", None, None, None]


@pytest.mark.capability("A32", "A33", "A34")
@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gemini-2.5-flash", "gemini"),
        ("claude-sonnet-4-5", "claude"),
        ("Llama-4-Maverick", "llama"),
        ("grok-4", "xai"),
        ("gpt-5.4-mini", None),
        ("llama3.2", None),
        ("my-claude-3", None),
        ("", None),
    ],
)
def test_models_are_routed_by_prefix(model: str, name: str | None) -> None:
    """To their makers' servers; other names say nothing of where."""
    assert getattr(providers.for_model(model), "name", None) == name


@pytest.mark.capability("A32")
def test_prefixes_can_be_added() -> None:
    """The longest wins."""
    register_profile("lab", base_url="http://127.0.0.1:1/v1", prefixes=["gemini-lab-"], needs_key=False)

    assert getattr(providers.for_model("gemini-lab-7"), "name", None) == "lab"
    assert getattr(providers.for_model("gemini-2.5-pro"), "name", None) == "gemini"


def test_a_profile_may_begin_with_another() -> None:
    """Its quirks are kept but for those that are named; what leads to the other by itself does not lead here."""
    mine = register_profile("mine", like="gemini", base_url="http://gpu7/v1", quirks={"names": "sent"})

    assert (mine.name, mine.title, mine.tested) == ("mine", "mine", "no")
    assert (mine.quirks.names, mine.quirks.system_messages, mine.prefixes) == ("sent", "moved", ())
    assert providers.named("mine") == mine


def test_a_known_profile_can_be_changed() -> None:
    """Under its own name: what is not said stays."""
    changed = register_profile("ollama", base_url="http://gpu7:11434/v1")

    assert (changed.title, changed.quirks) == ("Ollama", next(item for item in LOCAL if item.name == "ollama").quirks)
    assert providers.find("ollama") == changed


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "my lab"}, "'my lab' is no name"),
        ({"name": "x", "like": "olama"}, r"There is no profile 'olama'\.  Hint: did you mean ollama\?"),
        ({"name": "x", "base_uri": "http://a"}, "did you mean base_url"),
        ({"name": "x", "quirks": {"limitname": "max_tokens"}}, "did you mean limit_name"),
        ({"name": "x", "base_url": "gpu7:8000"}, "not an address"),
        ({"name": "x", "base_url": 7}, "base_url of profile 'x' does not fit"),
        ({"name": "x", "prefixes": "a-"}, "a list of texts"),
        ({"name": "x", "prefixes": [""]}, "a list of texts"),
        ({"name": "x", "needs_key": "no"}, "true or false"),
        ({"name": "x", "quirks": {"names": "shouted"}}, "one of sent, dropped, prefixed"),
        ({"name": "x", "quirks": {"continues": "never"}}, "one of ask, plain, prefix"),
        ({"name": "x", "quirks": {"roles": ["user"]}}, "a table of texts"),
        ({"name": "x", "quirks": "none"}, "is no table"),
        ({"name": "x", "tested": "local"}, "has no tested"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(values: dict[str, Any], message: str) -> None:
    """With the profile, the field, and what it takes."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        register_profile(**values)

    assert "\n" not in str(caught.value)


def test_a_file_adds_profiles(tmp_path: Path) -> None:
    """A table each, which may begin with another of the file; ours of that name is changed; changes are read again."""
    path = written(
        tmp_path,
        '[lab]\nlike = "vllm"\nbase_url = "http://gpu7:8000/v1"\n[lab.quirks]\nnames = "dropped"\n'
        '[lab2]\nlike = "lab"\n[ollama]\nmodel = "qwen3"\n',
    )

    providers.read_file(path)

    assert providers.named("lab2").base_url == "http://gpu7:8000/v1"
    assert providers.named("lab2").quirks.names == "dropped"
    assert providers.named("lab").quirks.continues == "continue_final_message"
    assert (providers.named("ollama").model, providers.named("ollama").base_url) == (
        "qwen3",
        "http://localhost:11434/v1",
    )
    written(tmp_path, "")
    os.utime(path, ns=(0, 0))
    providers.read_file(path)
    assert providers.find("lab") is None


def test_the_users_own_file_is_read_where_it_is(tmp_path: Path) -> None:
    """In the configuration folder; none there is no fault."""
    providers.read_file(None)
    folder = tmp_path / "config" / "llm_magic"
    folder.mkdir(parents=True)
    (folder / "profiles.toml").write_text('[lab]\nbase_url = "http://gpu7/v1"\n', encoding="utf-8")

    providers.read_file(None)

    assert providers.named("lab").base_url == "http://gpu7/v1"


def test_the_users_file_is_found_without_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever asks for a profile first."""
    monkeypatch.setenv("LLM_MAGIC_PROFILES", written(tmp_path, '[lab]\nbase_url = "http://gpu7/v1"\n'))

    assert "lab" in set(llm_magic.profiles()["name"])
    monkeypatch.setattr(known, "_file", ("", 0, {}))
    assert llm_magic.OpenAIBackend(profile="lab", base_url="http://gpu8/v1").name == "lab"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lab", "is not TOML"),
        ("lab = 7", "'lab' is no table"),
        ('[lab]\nlike = "olama"', "There is no profile 'olama'"),
        ("[lab]\nbase_uri = 'x'", "did you mean base_url"),
        ("[lab]\nquirks = 7", "is no table"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    """With its path."""
    path = written(tmp_path, text)

    with pytest.raises(ConfigurationError, match=message) as caught:
        providers.read_file(path)

    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Where it was named."""
    with pytest.raises(ConfigurationError, match="There is no file"):
        providers.read_file(str(tmp_path / "no.toml"))


@pytest.mark.capability("K15")
def test_profiles_are_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row each, no key in it, and no login of an address."""
    monkeypatch.setenv("GROQ_API_KEY", "gsk-canary")
    monkeypatch.setenv("OLLAMA_HOST", "http://ada:canary@gpu7:1")
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)

    table = llm_magic.profiles().set_index("name")

    assert set(PROMISED) <= set(table.index)
    assert (table.loc["groq", "has_key"], table.loc["mistral", "has_key"], table.loc["vllm", "has_key"]) == (
        True,
        False,
        True,
    )
    assert table["has_key"].dtype == "boolean"
    assert table.loc["ollama", "base_url"] == "http://gpu7:1/v1"
    assert "canary" not in table.to_csv()


def test_names_of_other_projects_lead_to_the_same() -> None:
    """By alias; a registered name goes before one."""
    assert providers.named("anthropic").name == "claude"
    assert providers.named("llama.cpp").name == "llamacpp"
    register_profile("anthropic", base_url="http://proxy/v1")
    assert providers.named("anthropic").base_url == "http://proxy/v1"


def test_settings_name_profile_and_file() -> None:
    """In the environment too."""
    config = Config(environ={"LLM_MAGIC_PROFILE": "ollama", "LLM_MAGIC_PROFILES": "/x.toml"})

    assert (config.get("profile"), config.get("profiles")) == ("ollama", "/x.toml")


def test_a_model_without_its_maker_is_the_providers_own() -> None:
    """At providers whose models' names have makers."""
    router = Profile(name="r", title="R", model_names="maker")

    assert (router.model_here("auto"), router.model_here("meta/llama")) == ("r/auto", "meta/llama")
    assert Profile(name="p", title="P").model_here("auto") == "auto"


def test_what_the_documentation_says_of_profiles_is_so(tmp_path: Path) -> None:
    """Every field and quirk is named there, and its file of profiles is one."""
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
    toml = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)

    providers.read_file(written(tmp_path, toml[0]))

    assert (providers.named("lab").quirks.names, providers.named("ollama").model) == ("prefixed", "qwen3")
    assert all(f"`{item.name}`" in page for item in fields(Quirks))
    assert all(item.name in page for item in fields(Profile) if item.name not in ("name", "quirks", "tested"))
