"""The strict form of schemas: held against a checker of OpenAI's rules."""

from __future__ import annotations

import copy
import re
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.fitting import json_schema
from llm_magic.schemas import schema_of
from llm_magic.strictness import strict
from tests.fakes.kinds import PERSON, Currency, Invoice, Line, Owner, Place, Point, Strict

_ALLOWED = {"type", "enum", "description", "anyOf", "$ref", "properties", "required", "additionalProperties", "items"}
_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}


def faults(schema: Any, *, is_root: bool = True) -> list[str]:
    """What OpenAI's guide to structured outputs does not allow in a strict schema."""
    found = []
    defs = schema.get("$defs", {})
    if is_root and (schema.get("type") != "object" or "anyOf" in schema):
        found.append("the root is no object")
    if unknown := schema.keys() - _ALLOWED - ({"$defs"} if is_root else set()):
        found.append(f"{sorted(unknown)} is not taken")
    if "$ref" in schema and len(schema) > 1:
        found.append("something stands beside a $ref")
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not (schema.keys() & {"$ref", "anyOf"} or (kinds and set(kinds) <= _TYPES)):
        found.append(f"no type in {schema}")
    if "object" in kinds:
        if schema.get("additionalProperties") is not False:
            found.append("additionalProperties is not false")
        if list(schema.get("properties", [])) != schema.get("required"):
            found.append("not every property is required")
    if "array" in kinds and "items" not in schema:
        found.append("an array of anything")
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *defs.values()]
    inner += [schema["items"]] if "items" in schema else []
    for one in inner:
        found += faults(one, is_root=False)
    if is_root:
        refs = re.findall(r"'\$ref': '#/\$defs/([^']*)'", str(schema))
        found += [f"nothing is called {name}" for name in refs if name not in defs]
    return found


@pytest.mark.capability("D5", "E8")
@pytest.mark.parametrize(
    "kind",
    [Invoice, Line, Strict, Owner, Place, Point, PERSON, list[Invoice], Currency, Literal["a", 1], int, list[str]],
)
def test_strict_forms_keep_openais_rules(kind: Any) -> None:
    """Whatever type is asked for, where it can be said at all."""
    schema = schema_of(kind)

    assert schema.is_strict
    assert faults(schema.json) == []


def test_the_checker_finds_what_is_not_strict() -> None:
    """pydantic's own schemas break several rules."""
    assert len(set(faults(json_schema(Invoice)))) > 3


def test_strict_leaves_the_schema_as_it_is() -> None:
    """A new one is made."""
    schema = json_schema(Invoice)
    before = copy.deepcopy(schema)

    assert strict(schema) != before
    assert schema == before


def test_what_may_be_left_out_may_be_null() -> None:
    """Once, and with its description outside the choice."""
    made = strict(json_schema(Line))
    assert made is not None

    assert made["properties"]["pieces"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "how many\nminimum: 0, default: 1",
    }
    due = strict(json_schema(Invoice))
    assert due is not None
    assert due["properties"]["due"] == {
        "anyOf": [{"type": "string", "description": "format: date"}, {"type": "null"}],
    }


def test_bounds_and_formats_are_said_in_words() -> None:
    """Azure and others refuse them as keywords; the model reads them all the same."""
    made = strict({"type": "object", "properties": {"a": {"type": "string", "maxLength": 3, "pattern": "^a"}}})
    assert made is not None

    assert made["properties"]["a"]["description"] == "pattern: ^a, maxLength: 3"
    assert "maxLength" not in made["properties"]["a"]["anyOf"][0]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": True},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [{"type": "integer"}]}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 1}]}}},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"enum": [[1]]}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.org/schema.json"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "array", "items": {"type": "string"}},
        {"$ref": "#/$defs/missing"},
    ],
)
def test_what_the_strict_form_cannot_say_is_none(schema: dict[str, Any]) -> None:
    """Free objects, tuples, intersections, other files, anything at all; a root that is no object."""
    assert strict(schema) is None


def test_old_names_for_definitions_are_taken() -> None:
    """Draft 7's ``definitions``, an ``allOf`` of one, ``oneOf`` and ``const``."""
    schema = {
        "type": "object",
        "properties": {"a": {"allOf": [{"$ref": "#/definitions/A"}], "description": "d"}},
        "required": ["a"],
        "definitions": {"A": {"oneOf": [{"const": 1}, {"type": "string"}]}},
    }

    assert strict(schema) == {
        "type": "object",
        "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}], "description": "d"}},
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {"A": {"anyOf": [{"type": "integer", "enum": [1]}, {"type": "string"}]}},
    }


_scalars = st.sampled_from(
    [{"type": "string"}, {"type": "integer", "minimum": 1}, {"type": ["number", "null"]}, {"enum": ["a", None]}, {}]
)
_schemas = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda many: {"anyOf": many}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda fields, kept: {"type": "object", "properties": fields, "required": list(fields)[:kept]},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            st.integers(0, 3),
        ),
    ),
    max_leaves=8,
)


@given(inner=_schemas)
def test_any_strict_form_keeps_the_rules(inner: dict[str, Any]) -> None:
    """Of any schema, or there is none; it is the strict form of itself."""
    made = strict({"type": "object", "properties": {"a": inner}, "required": ["a"]})

    if made is not None:
        assert faults(made) == []
        assert strict(made) == made
