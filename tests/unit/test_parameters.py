"""Parameters of a request, by whatever name they have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.asks import Ask, plan_ask
from llm_magic.backends.registry import Registry
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.errors import ConfigurationError
from llm_magic.magics.options import parse
from llm_magic.parameters import (
    KNOWN,
    STRATEGIES,
    Sampling,
    by_own_names,
    checked_parameter,
    expanded,
    nearest_parameter,
    sampling_of,
    sampling_params,
)
from llm_magic.slots import Conversation

# The protocol's list, and those that are settable by row B18; a value that fits each.
SETTABLE = {
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "parallel_tool_calls": False,
    "presence_penalty": -0.5,
    "response_format": {"type": "json_object"},
    "seed": 7,
    "stop": ["END"],
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tool_choice": "auto",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "top_logprobs": 3,
    "top_p": 0.9,
    "user": "ada",
}


def sent(params: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The parameters of the request for an ask."""
    config = Config(session={"api_key": "k", **settings}, environ={})
    plan = plan_ask(
        Ask(prompt=(message("user", "hi"),), params=params),
        Conversation(),
        None,
        look_up=config.look_up,
        resolve=Registry({}).resolve,
    )
    return dict(plan.request.params)


@pytest.mark.capability("B7", "B12", "B18")
@pytest.mark.parametrize("name", SETTABLE)
def test_every_parameter_of_the_protocol_is_taken(name: str) -> None:
    """From a cell and from Python alike."""
    own = "max_tokens" if name == "max_completion_tokens" else name

    assert sent({name: SETTABLE[name]}) == {own: SETTABLE[name]}
    assert name in (*KNOWN, "max_completion_tokens")


@pytest.mark.capability("B12", "B16")
@pytest.mark.parametrize("name", ["stream", "messages", "functions", "function_call"])
def test_parameters_this_package_decides_are_refused(name: str) -> None:
    """With what to do instead; one answer is what every ask has."""
    with pytest.raises(ConfigurationError, match=f"'{name}' cannot be set") as caught:
        checked_parameter(name, 2)

    assert caught.value.hint
    assert checked_parameter("n", 1) is None


@pytest.mark.capability("B6")
@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"max_new_tokens": 9}, {"max_tokens": 9}),
        ({"stop_words": ["a"]}, {"stop": ["a"]}),
        ({"repeat_penalty": 1.2}, {"repetition_penalty": 1.2}),
        ({"json_mode": True}, {"response_format": {"type": "json_object"}}),
        ({"json_mode": False}, {}),
        ({"n": 1}, {}),
        ({"top_k": 40, "min_p": 0.1}, {"top_k": 40, "min_p": 0.1}),
    ],
)
def test_names_of_other_wrappers_are_understood(given: dict[str, Any], meant: dict[str, Any]) -> None:
    """Under OpenAI's names; what only servers of open models know goes along as it is."""
    assert sent(given) == meant


@pytest.mark.capability("B6")
@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["max_tokens", "max_new_tokens", "max_completion_tokens"])
def test_a_limit_without_room_is_refused(name: str, value: int) -> None:
    """Before anything is sent, with a message; never an empty answer."""
    with pytest.raises(ConfigurationError, match="leaves no room for an answer"):
        sent({name: value})


@pytest.mark.capability("B9", "B11")
def test_none_and_neutral_values_are_not_sent() -> None:
    """None would be null; a penalty of 1 and no strings to stop at ask for nothing. False and 0 are values."""
    assert sent({"stop": None, "repetition_penalty": 1.0, "temperature": None}) == {}
    assert sent({"stop": [], "repeat_penalty": 1}) == {}
    assert sent({"seed": 0, "parallel_tool_calls": False}) == {"seed": 0, "parallel_tool_calls": False}


def test_a_parameter_under_two_names_is_refused() -> None:
    """Which of them should count?"""
    for options in ({"max_tokens": 1, "max_new_tokens": 2}, {"stop": "a", "stop_words": ["b"]}):
        with pytest.raises(ConfigurationError, match="given twice"):
            by_own_names(options)
    with pytest.raises(ConfigurationError, match="given twice"):
        parse("llm", "-p max_new_tokens=5 --max-tokens 6 hi")


@pytest.mark.capability("B15")
@pytest.mark.parametrize(
    ("typed", "meant"),
    [("presence_penality", "presence_penalty"), ("temprature", "temperature"), ("logprob", "logprobs")],
)
def test_a_misspelt_parameter_names_the_one_that_was_meant(typed: str, meant: str) -> None:
    """It is not sent, unless it is insisted on."""
    with pytest.raises(ConfigurationError, match=f"did you mean {meant}\\?") as caught:
        sent({typed: 1})

    assert f"extra_body.{typed}" in (caught.value.hint or "")
    assert sent({f"extra_body.{typed}": 1}) == {"extra_body": {typed: 1}}
    assert parse("llm", f"-p extra_body.{typed}=1 hi").options.params == {f"extra_body.{typed}": 1}


@pytest.mark.capability("A18", "A30", "B15")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("api_key", "%chat config api_key=VALUE"),
        ("key", "%chat config api_key=VALUE"),
        ("openai_api_base", "%chat config base_url=VALUE"),
        ("user_agent", "%chat config user_agent=VALUE"),
        ("timeout", "write --timeout SECONDS"),
        ("proxies", "%chat config proxy=VALUE"),
        ("extra_query", "OpenAIBackend(default_query={…})"),
        ("user_agnt", "did you mean user_agent"),
        ("timout", "did you mean timeout"),
    ],
)
def test_a_setting_is_no_parameter(name: str, hint: str) -> None:
    """Whatever it is called: a key is never in a request's body, and what was meant is named."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        checked_parameter(name, "sk-1")
    assert hint in (caught.value.hint or "")
    assert "sk-1" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        parse("llm", f"-p {name}=sk-1 hi")


@pytest.mark.parametrize(("typed", "value"), [("schma", int), ("tool", [].append), ("shcema", list[int])])
def test_what_no_parameter_takes_is_a_misspelt_option(typed: str, value: Any) -> None:
    """A type or a function is for options of ours: the nearest is named."""
    meant = "tools" if typed == "tool" else "schema"
    with pytest.raises(ConfigurationError, match=f"{typed!r} is not known.*did you mean {meant}\\?"):
        sent({typed: value})


@pytest.mark.capability("B3", "B15")
@pytest.mark.parametrize("name", ["enable_search", "top_n_sigma", "dry_multiplier", "x"])
def test_a_parameter_nobody_lists_is_sent_as_it_is(name: str) -> None:
    """Servers of one's own have their own."""
    assert nearest_parameter(name) is None
    assert sent({name: [1]}) == {name: [1]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frequency_penalty", 3),
        ("presence_penalty", "much"),
        ("logit_bias", [1]),
        ("stop", 5),
        ("stop", ["a", 1]),
        ("user", 7),
        ("logprobs", 3),
        ("min_p", 1.5),
        ("sampling", "beam"),
        ("temperature", -1),
        ("top_k", True),
    ],
)
@pytest.mark.capability("B7")
def test_values_that_do_not_fit_are_refused_before_sending(name: str, value: Any) -> None:
    """One line that names the parameter and what it takes."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        sent({name: value})

    assert caught.value.hint


@pytest.mark.capability("B8")
def test_a_sampling_strategy_is_said_in_parameters() -> None:
    """greedy, top_p, top_k; anything else is refused."""
    assert sampling_params("greedy") == {"temperature": 0.0}
    assert sampling_params("top_p", temperature=0.7, top_p=0.9) == {"temperature": 0.7, "top_p": 0.9}
    assert sampling_params("top_k", top_k=40) == {"top_k": 40}
    assert sent({"sampling": "top_k", "top_k": 40}, temperature=0.7) == {"temperature": 0.7, "top_k": 40}
    assert sent({"sampling": "greedy"}, temperature=0.7) == {"temperature": 0.0}
    with pytest.raises(ConfigurationError, match="sampling=top_k"):
        sampling_params("top_k")
    with pytest.raises(ConfigurationError, match="sampling=greedy"):
        sampling_params("greedy", temperature=1.0)
    with pytest.raises(ConfigurationError, match="no sampling strategy"):
        sampling_params("beam")  # type: ignore[arg-type]  # what a user may type


@pytest.mark.capability("B10")
def test_parameters_tell_their_strategy() -> None:
    """Temperature 0 is greedy; what is not said is 1.0."""
    assert sampling_of({"temperature": 0}) == Sampling(strategy="greedy", temperature=0.0)
    assert sampling_of({}) == Sampling(strategy="top_p", temperature=1.0, top_p=1.0)
    assert sampling_of({"top_k": 40, "temperature": 0.5}) == Sampling(strategy="top_k", temperature=0.5, top_k=40)
    assert sampling_of({"top_k": -1}).strategy == "top_p"  # how servers say "all"


@pytest.mark.capability("B8", "B10")
@given(
    strategy=st.sampled_from(STRATEGIES),
    temperature=st.floats(0.01, 2),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(1, 100),
)
def test_a_strategy_survives_its_parameters(strategy: Any, temperature: float, top_p: float, top_k: int) -> None:
    """There and back."""
    ways: dict[str, dict[str, Any]] = {"greedy": {}, "top_p": {"top_p": top_p}, "top_k": {"top_k": top_k}}
    values = ways[strategy]
    if strategy != "greedy":
        values["temperature"] = temperature

    assert sampling_of(sampling_params(strategy, **values)).strategy == strategy


def test_two_forms_of_json_mode_must_agree() -> None:
    """A schema is more than JSON."""
    with pytest.raises(ConfigurationError, match="both given"):
        expanded({"json_mode": True, "response_format": {"type": "json_schema", "json_schema": {}}})


def test_raw_parameters_stand_beside_each_other() -> None:
    """extra_body whole, and by its names."""
    given = {"extra_body": {"a": 1}, "extra_body.b": 2}

    assert expanded(given) == {"extra_body": {"a": 1, "b": 2}}


@pytest.mark.capability("B5")
def test_an_ask_goes_over_the_session_and_the_session_over_the_defaults() -> None:
    """And the session's value stays what it was."""
    assert sent({"temperature": 0.1}, temperature=0.9, top_p=0.5) == {"temperature": 0.1, "top_p": 0.5}
    assert sent({}, temperature=0.9) == {"temperature": 0.9}


@pytest.mark.capability("C17")
def test_an_author_signs_what_is_asked() -> None:
    """The name goes along, and is checked before."""
    config = Config(session={"api_key": "k", "author": "ada"}, environ={})
    ask = Ask(prompt=(message("user", "hi"),))

    def plan(config: Config) -> Any:
        return plan_ask(ask, Conversation(), None, look_up=config.look_up, resolve=Registry({}).resolve)

    assert [item.name for item in plan(config).request.messages] == ["ada"]
    for name in ("ada l", "x" * 65, "é"):
        with pytest.raises(ConfigurationError, match="does not fit author"):
            plan(Config(session={"api_key": "k", "author": name}, environ={}))
