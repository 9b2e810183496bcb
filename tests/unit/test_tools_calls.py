"""A model's call is checked before anything runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from llm_magic.content import ToolCall, ToolResult, text_of
from llm_magic.tools import Bound, as_tool, checked, normalized_name


def forecast(city: str, days: int = 1) -> str:
    """Tell the weather."""
    raise AssertionError("nothing runs here")


class Trip(BaseModel):
    """A trip."""

    stops: list[int]

    @field_validator("stops")
    @classmethod
    def some(cls, value: list[int]) -> list[int]:
        """At least one."""
        if not value:
            raise ValueError("no stops")
        if value == [0]:
            raise KeyError("zero")
        return value


def call(value: Any, arguments: Any) -> Bound | ToolResult:
    """The call of a tool, checked."""
    tool = as_tool(value)
    return checked(tool, ToolCall(id="c1", name=tool.name, arguments=arguments))


def told(value: Any, arguments: Any) -> list[str]:
    """What the model is told of a call that does not fit, without the first line, which is always the same."""
    result = call(value, arguments)
    assert isinstance(result, ToolResult)
    assert (result.call_id, result.name, result.is_error, result.latency_s) == (
        "c1",
        as_tool(value).name,
        True,
        None,
    )
    first, *lines = text_of(result.parts).split("\n")
    assert first == f"{result.name} was not called: its arguments do not fit."
    return lines


@pytest.mark.capability("D10", "D17")
@pytest.mark.parametrize(
    "arguments",
    [
        '{"city": "Bern"}',
        {"city": "Bern"},
        json.dumps('{"city": "Bern"}'),
        ' {"city": "Bern", "days": null}\n',
    ],
)
def test_arguments_are_read_in_every_form(arguments: Any) -> None:
    """JSON text, an object, text within text; the call itself is kept as it came."""
    bound = call(forecast, arguments)

    assert isinstance(bound, Bound)
    assert bound.arguments == {"city": "Bern"}
    assert bound.call.arguments == arguments


def test_no_arguments_are_an_empty_object() -> None:
    """Some servers send "" for a function without parameters."""

    def tick() -> None: ...

    sent: list[Any] = ["", " ", "{}", {}]
    for arguments in sent:
        bound = call(tick, arguments)
        assert isinstance(bound, Bound)
        assert bound.arguments == {}


def test_line_breaks_within_text_are_taken() -> None:
    """Models write code so."""
    bound = call(forecast, '{"city": "a\nb"}')

    assert isinstance(bound, Bound)
    assert bound.arguments == {"city": "a\nb"}


@pytest.mark.capability("D11")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"city": ', "The arguments are not valid JSON: Expecting value (line 1, column 10)."),
        ("Bern", "The arguments are not valid JSON: Expecting value (line 1, column 1)."),
        ("[1]", "The arguments are one JSON object, not a list."),
        ("3", "The arguments are one JSON object, not a number."),
        ("null", "The arguments are one JSON object, not null."),
        ("true", "The arguments are one JSON object, not true or false."),
        ('"\\"x\\""', "The arguments are one JSON object, not text."),
        ('{"a":' * 100_000, "The arguments are not valid JSON: "),
        ('{"a": ' + "9" * 5000 + "}", "The arguments are not valid JSON: Exceeds the limit"),
    ],
)
def test_broken_arguments_are_told_to_the_model(arguments: str, said: str) -> None:
    """Where they break, in one line; nothing is raised, whatever comes."""
    (line,) = told(forecast, arguments)

    assert line.startswith(said)
    assert len(line) < 400


@pytest.mark.capability("D10")
def test_each_misfit_is_a_line() -> None:
    """Missing, unknown, of a wrong type: the model is told all at once."""
    assert told(forecast, '{"cty": "Bern", "days": "two", "zoom": 3}') == [
        "cty: no such argument, did you mean city?",
        "zoom: no such argument, it takes city, days",
        "city: Field required",
        "days: Input should be a valid integer, unable to parse string as an integer",
    ]


def test_a_models_own_checks_count() -> None:
    """A validator's words go to the model; one that fails in another way is told too."""
    assert told(Trip, '{"stops": []}') == ["stops: Value error, no stops"]
    assert told(Trip, '{"stops": ["x"]}')[0].startswith("stops[0]: ")
    assert told(Trip, '{"stops": [0]}') == ["KeyError: 'zero'"]


def test_many_misfits_are_counted() -> None:
    """A list of a thousand wrong items does not fill the context."""
    lines = told(Trip, json.dumps({"stops": ["x"] * 1000}))

    assert len(lines) == 11
    assert lines[-1] == "… and 990 more"


def test_a_schemas_calls_are_read_as_json_alone() -> None:
    """Their arguments are handed back to the user."""
    bound = call(
        {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}, '{"a": "x"}'
    )

    assert isinstance(bound, Bound)
    assert bound.arguments == {"a": "x"}
    assert isinstance(call({"name": "f"}, "{"), ToolResult)


@pytest.mark.capability("D7")
def test_names_a_model_makes_up_are_normalized() -> None:
    """As servers take them back."""
    assert normalized_name("functions.get weather!") == "functions_get_weather_"
    assert normalized_name("é" * 100) == "_" * 64
    assert normalized_name("") == "_"
