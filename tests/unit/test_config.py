"""One table of settings: the first layer with a value wins, and what does not fit is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.config import Config, Value, public, shown
from llm_magic.errors import ConfigurationError
from llm_magic.settings import OTHER_NAMES, SETTINGS, setting

if TYPE_CHECKING:
    from llm_magic.setting import Setting

CANARY = "sk-canary-0123456789"


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_defaults_are_in_order(name: str) -> None:
    """Every setting has help, a default that fits, and its own environment variable."""
    row = SETTINGS[name]

    assert row.name == name
    assert row.help
    assert row.checked(row.default) == row.default
    assert row.variables()[0] == f"LLM_MAGIC_{name.upper()}"
    assert Config(environ={}).look_up(name) == Value(value=row.default, origin="default")


def test_no_environment_variable_is_read_twice() -> None:
    """No variable sets two settings."""
    variables = [variable for row in SETTINGS.values() for variable in row.variables()]

    assert len(variables) == len(set(variables))


@pytest.mark.capability("B5")
def test_first_layer_with_a_value_wins() -> None:
    """Cell, conversation, session, %config, environment, default: in this order, None meaning no value."""
    config = Config(environ={"LLM_MAGIC_SEED": "1"})
    assert config.look_up("seed") == Value(value=1, origin="environment")

    config.traits["seed"] = 2
    assert config.look_up("seed") == Value(value=2, origin="%config")

    config.session["seed"] = 3
    assert config.look_up("seed") == Value(value=3, origin="session")

    conversation: dict[str, Any] = {"seed": 4}
    assert config.look_up("seed", ("conversation", conversation)) == Value(value=4, origin="conversation")
    layers = (("cell", {"seed": 0}), ("conversation", conversation))
    assert config.look_up("seed", *layers) == Value(value=0, origin="cell")  # type: ignore[arg-type]  # literals widen in a tuple
    assert config.get("seed", ("cell", {"seed": None})) == 3


def test_empty_is_a_value() -> None:
    """An empty system prompt, set on purpose, stays empty whatever the layers below say."""
    config = Config(session={"system": "Be brief."}, environ={})

    assert config.look_up("system", ("conversation", {"system": ""})) == Value(value="", origin="conversation")


@pytest.mark.capability("A1", "A17")
def test_environment_is_read_in_order() -> None:
    """Our own variable comes before others' names for the same; an empty one is none."""
    environ = {"OPENAI_API_KEY": "b", "MBODI_API_KEY": "c"}

    assert Config(environ=environ).get("api_key") == "b"
    assert Config(environ={**environ, "LLM_MAGIC_API_KEY": "a"}).get("api_key") == "a"
    assert Config(environ={**environ, "OPENAI_API_KEY": ""}).get("api_key") == "c"
    assert Config(environ={"OPENAI_API_BASE": "http://host"}).get("base_url") == "http://host"


def test_environment_is_read_at_each_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable set after the start counts."""
    config = Config()
    monkeypatch.setenv("LLM_MAGIC_SEED", "41")
    assert config.get("seed") == 41

    monkeypatch.setenv("LLM_MAGIC_SEED", "42")
    assert config.get("seed") == 42


def test_environment_that_does_not_fit_is_told() -> None:
    """A misfit in the environment is one line that names the variable."""
    with pytest.raises(ConfigurationError, match=r"LLM_MAGIC_SEED: 'many' does not fit seed\.  Hint: .*whole number"):
        Config(environ={"LLM_MAGIC_SEED": "many"}).get("seed")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("seed", "-5", -5),
        ("temperature", "0.5", 0.5),
        ("temperature", "0", 0.0),
        ("stream", "off", False),
        ("stream", "YES", True),
        ("headers", '{"a": "b"}', {"a": "b"}),
        ("model", "5", "5"),
        ("detail", "low", "low"),
    ],
)
def test_text_becomes_a_value(name: str, text: str, value: Any) -> None:
    """Settings from text have the type of their kind."""
    parsed = setting(name).parse(text)

    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("seed", "1.5"),
        ("seed", ""),
        ("temperature", "warm"),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("temperature", "-0.1"),
        ("max_tokens", "0"),
        ("stream", "maybe"),
        ("headers", "{"),
        ("headers", "[1]"),
        ("headers", '{"a": 1}'),
        ("headers", '"a"'),
        ("detail", "best"),
        ("frame_bytes", "5"),
    ],
)
def test_text_that_does_not_fit_is_told(name: str, text: str) -> None:
    """A misfit is one line with the setting's name and what it takes."""
    with pytest.raises(ConfigurationError, match=rf"does not fit {name}\.  Hint: {name} is ") as caught:
        setting(name).parse(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", True), ("seed", "1"), ("temperature", True), ("stream", 1), ("model", 5), ("detail", "x")],
)
def test_values_of_another_type_do_not_fit(name: str, value: Any) -> None:
    """A value of another type is not made to fit: True is no number, 1 no flag."""
    with pytest.raises(ConfigurationError):
        setting(name).checked(value)


@given(st.sampled_from(["seed", "temperature", "stream", "headers", "detail"]), st.text(max_size=20))
def test_any_text_is_a_value_or_an_error(name: str, text: str) -> None:
    """Whatever is typed: a value that fits, or a ConfigurationError."""
    row: Setting = SETTINGS[name]
    try:
        value = row.parse(text)
    except ConfigurationError:
        return

    assert row.checked(value) == value


def test_unknown_setting_names_the_nearest() -> None:
    """A typo names the setting that was meant."""
    with pytest.raises(ConfigurationError, match=r"setting 'temprature'\.  Hint: did you mean temperature\?"):
        Config(environ={}).look_up("temprature")
    with pytest.raises(ConfigurationError, match="%chat config lists them"):
        setting("zzz")


@pytest.mark.capability("A30")
@pytest.mark.parametrize(("name", "own"), OTHER_NAMES.items())
def test_other_wrappers_names_lead_to_settings(name: str, own: str) -> None:
    """Not to what is written alike."""
    with pytest.raises(ConfigurationError) as caught:
        setting(name)
    assert caught.value.hint == f"did you mean {own}?"
    assert own in SETTINGS


def test_secrets_are_never_shown() -> None:
    """A key is in no shown value, repr or error."""
    config = Config(session={"api_key": CANARY}, environ={"OPENAI_API_KEY": CANARY})

    with pytest.raises(ConfigurationError) as caught:
        setting("api_key").checked(5)

    assert CANARY not in repr(config)
    assert CANARY not in shown("api_key", CANARY)
    assert "5" not in str(caught.value)
    assert shown("api_key", None) == "not set"


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("headers", {"Authorization": f"Bearer {CANARY}"}, {"Authorization": "(hidden)"}),
        ("headers", CANARY, "(hidden)"),
        ("base_url", f"https://me:{CANARY}@host.example/v1?key={CANARY}", "https://host.example/v1"),
        ("base_url", f"{CANARY}@host.example#{CANARY}", "host.example"),
        ("api_key", CANARY, "set (hidden)"),
    ],
)
def test_what_opens_a_server_is_not_shown(name: str, value: Any, seen: Any) -> None:
    """Headers are shown by name, addresses without credentials, keys not at all: what is shown may be saved."""
    assert public(name, value) == seen
    assert CANARY not in shown(name, value)


def test_what_opens_a_server_is_not_in_an_error() -> None:
    """Also where it is mistyped."""
    with pytest.raises(ConfigurationError) as caught:
        Config(environ={"LLM_MAGIC_HEADERS": f'{{"Authorization": "Bearer {CANARY}"'}).get("headers")

    assert "LLM_MAGIC_HEADERS" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_shown_values_are_json() -> None:
    """Other values are shown as JSON, and what is not set as that."""
    assert shown("seed", 5) == "5"
    assert json.loads(shown("system", "ü")) == "ü"
    assert shown("system", None) == "not set"


def test_traits_set_nothing_by_themselves() -> None:
    """%config LLMMagic knows every setting, and none has a value until it is given one."""
    from llm_magic.magics.traits import make_traits

    settings: dict[str, Any] = {}
    made: Any = make_traits(settings)

    assert settings == {}
    made.model_info = {"vision": False}
    made.budget = "20tok"
    assert settings == {"model_info": {"vision": False}, "budget": "20tok"}
