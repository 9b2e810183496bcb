"""Tools are counted by the known formula, whatever their schemas hold."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.tool_tokens import json_tokens, tool_tokens


def words(text: str) -> int:
    """A tokenizer whose counts can be checked by hand."""
    return len(text.split())


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_weather", **function}}


@pytest.mark.capability("I4")
def test_a_flat_schema_counts_by_the_formula() -> None:
    """Name and description -2, a property its name, type +2, description +2, enum -3 and +3 each; +11, and 12 once."""
    properties = {
        "city": {"type": "string", "description": "a city name"},
        "unit": {"type": "string", "enum": ["degrees C", "F"]},
    }
    counted = tool_tokens([tool(description="tells the weather", parameters={"properties": properties})], words)

    function = 1 + 3 - 2
    city = 1 + (2 + 1) + (2 + 3)
    unit = 1 + (2 + 1) + (-3 + (3 + 2) + (3 + 1))
    assert counted == function + city + unit + 11 + 12


@pytest.mark.capability("I4")
@pytest.mark.parametrize(
    ("function", "tokens"),
    [
        ({}, 1 - 2 + 12),
        ({"parameters": {"type": "object", "properties": {}}}, 1 - 2 + 11 - 2 + 12),
        ({"parameters": {"type": "object"}}, 1 - 2 + 12),
        ({"description": None, "parameters": None}, 1 - 2 + 12),
    ],
)
def test_a_function_without_arguments(function: dict[str, Any], tokens: int) -> None:
    """No parameters add nothing, no properties 11 - 2."""
    assert tool_tokens([tool(**function)], words) == tokens


def test_no_tools_cost_nothing() -> None:
    """The 12 tokens are there only where there is a tool."""
    assert tool_tokens([], words) == 0


@pytest.mark.capability("I4")
def test_nested_schemas_are_counted() -> None:
    """Lists of types, numbers to choose from, arrays, objects, alternatives, definitions: all count, none crashes."""
    leaf = {"type": "string"}
    cases: list[dict[str, Any]] = [
        {"type": ["string", "null"]},
        {"enum": [1, 2, None]},
        {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
        {"anyOf": [leaf, {"$ref": "#/$defs/Place"}]},
        {"type": "integer", "minimum": 3, "default": 7},
    ]
    base = tool_tokens([tool(parameters={"properties": {"a": {}}})], words)

    added = [tool_tokens([tool(parameters={"properties": {"a": case}})], words) - base for case in cases]

    assert added == [2 + 2, -3 + 3 * 4, (2 + 1) + (2 + 1) + (1 + 2 + 1), (2 + 1) + (1 + 1), (2 + 1) + 2 + 2]
    with_place = {"properties": {"a": {}}, "$defs": {"Place": leaf}}
    assert tool_tokens([tool(parameters=with_place)], words) == base + 1 + (2 + 1)


@pytest.mark.capability("I6")
def test_what_is_no_json_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A value no server could be sent is not counted, and the log tells its type, not its content."""
    properties = {"a": {"type": "string", "default": {"secret"}}, "b": object()}
    with caplog.at_level(logging.WARNING, "llm_magic"):
        counted = tool_tokens([tool(parameters={"properties": properties})], words)

    assert counted == tool_tokens([tool(parameters={"properties": {"a": {"type": "string"}, "b": {}}})], words) + 1
    assert [record.message for record in caplog.records] == [
        "not counted: a set is not JSON (TypeError)",
        "not counted: a object is not JSON (TypeError)",
    ]


@pytest.mark.capability("I6")
def test_a_circle_ends(caplog: pytest.LogCaptureFixture) -> None:
    """A schema that holds itself is counted so deep and no deeper."""
    circle: dict[str, Any] = {"type": "object"}
    circle["properties"] = {"child": circle}
    circle["default"] = circle
    with caplog.at_level(logging.WARNING, "llm_magic"):
        assert 0 < tool_tokens([tool(parameters=circle)], words) < 1000

    assert any("deeper" in record.message for record in caplog.records)
    assert json_tokens(circle, words) == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "description", "enum", "properties", "items", "anyOf", "$defs", "title", "x"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_schema_crashes(schema: Any) -> None:
    """Whatever JSON stands in its place, a schema has a count."""
    assert isinstance(tool_tokens([tool(parameters=schema)], words), int)
    assert isinstance(tool_tokens([tool(parameters={"properties": {"a": schema}})], words), int)
