"""The strict form of a JSON schema: what OpenAI's servers, and those that follow them, hold a model to word by word.

A schema comes in, another goes out, or None where the strict form cannot say it. What it has no word for is not lost:
bounds and formats are said in the description, where the model reads them, and are checked when the answer is here.

Source: OpenAI's guide "Structured Outputs", supported schemas. It has taken ``pattern``, ``format`` and bounds since
2025; Azure, Anthropic and Groq refuse most of them, so none is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SAID = frozenset(
    ("type", "enum", "const", "properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "allOf")
) | {"$ref", "$defs", "definitions", "description"}
# Said in words, in this order.
_WORDS = (
    *("format", "pattern", "minLength", "maxLength", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
    *("multipleOf", "minItems", "maxItems", "uniqueItems", "default"),
)
# Of no use to who answers.
_DROPPED = frozenset(
    ("title", "examples", "example", "deprecated", "readOnly", "writeOnly", "discriminator", "nullable")
) | {"$schema", "$id", "$comment", "contentEncoding", "contentMediaType"}
_NAMES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_PLACES = ("#/$defs/", "#/definitions/")
_NULL: Mapping[str, Any] = {"type": "null"}


class _UnsaidError(Exception):
    """The strict form has no word for it."""


def strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The strict form of a schema, which is left as it is.

    Every object names all its properties, requires them all and allows no others: one that may be left out may be null
    instead. Whoever reads the answer has to take null for "left out".

    Args:
        schema: JSON schema of an object, with ``$ref`` to its own ``$defs`` where it likes.

    Returns:
        None where the shape cannot be said strictly: free objects, tuples, intersections, anything at all.

    >>> of = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}, "required": ["n"]}
    >>> strict(of)["properties"]
    {'n': {'type': 'integer', 'description': 'minimum: 0'}}
    >>> strict({"type": "object", "additionalProperties": {"type": "integer"}}) is None
    True
    """
    defs = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    try:
        made = _strict(_root(schema, defs))
        if made.get("type") != "object":
            return None
        if defs:
            made["$defs"] = {name: _strict(one) for name, one in defs.items()}
    except (_UnsaidError, RecursionError):
        return None
    return made


def referred(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema itself where it only refers to one of these definitions; what it refers to elsewhere stays away.

    Raises:
        KeyError: There is no such definition.
    """
    seen = set()
    while isinstance(ref := schema.get("$ref"), str) and ref.startswith(_PLACES) and ref not in seen:
        seen.add(ref)
        schema = defs[ref.rpartition("/")[2]]
    return schema


def _root(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    # A model that holds itself is a bare $ref at its root, which must be an object.
    try:
        found = referred(schema, defs)
    except KeyError as exc:
        raise _UnsaidError from exc
    return {name: value for name, value in found.items() if name not in ("$defs", "definitions")}


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or schema.keys() - _SAID - _DROPPED - set(_WORDS):
        raise _UnsaidError
    made: dict[str, Any]
    if "$ref" in schema:
        made = {"$ref": f"#/$defs/{_definition(schema['$ref'])}"}
    elif "allOf" in schema:
        # One alone is a reference that old generators could not give a description otherwise.
        if len(schema["allOf"]) != 1:
            raise _UnsaidError
        rest = {name: value for name, value in schema.items() if name != "allOf"}
        return _strict({**schema["allOf"][0], **rest})
    elif "anyOf" in schema or "oneOf" in schema:
        if schema.keys() & {"properties", "items", "enum", "const"} or {"anyOf", "oneOf"} <= schema.keys():
            raise _UnsaidError
        made = {"anyOf": [_strict(branch) for branch in schema.get("anyOf", schema.get("oneOf"))]}
    else:
        made = _single(schema)
    return _described(made, schema)


def _single(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The strict form of a schema that is neither a reference nor a choice."""
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else list(schema["enum"])
        if not values or not all(type(value) in _NAMES for value in values):
            raise _UnsaidError
        kinds = list(dict.fromkeys(_NAMES[type(value)] for value in values))
        return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": values}
    kind = schema.get("type") or ("object" if "properties" in schema else None)
    kinds = [kind] if isinstance(kind, str) else list(kind or ())
    if not kinds:
        raise _UnsaidError
    made: dict[str, Any] = {"type": kind}
    if "object" in kinds:
        made |= _object(schema)
    if "array" in kinds:
        made["items"] = _strict(schema.get("items"))
    return made


def _object(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties, required = schema.get("properties"), schema.get("required", ())
    if properties is None or schema.get("additionalProperties", False) is not False:
        raise _UnsaidError
    made = {name: _strict(one) for name, one in properties.items()}
    return {
        "properties": {name: one if name in required else _nullable(one) for name, one in made.items()},
        "required": list(made),
        "additionalProperties": False,
    }


def _nullable(made: dict[str, Any]) -> dict[str, Any]:
    kind = made.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind):
        return made
    if "anyOf" in made:
        return made if _NULL in made["anyOf"] else {**made, "anyOf": [*made["anyOf"], dict(_NULL)]}
    description = {"description": made.pop("description")} if "description" in made else {}
    return {"anyOf": [made, dict(_NULL)], **description}


def _described(made: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    words = [f"{name}: {_plain(schema[name])}" for name in _WORDS if schema.get(name) is not None]
    said = [text for text in (schema.get("description"), ", ".join(words)) if text]
    if not said:
        return made
    # Nothing may stand beside a $ref.
    return {**({"anyOf": [made]} if "$ref" in made else made), "description": "\n".join(said)}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _definition(ref: Any) -> str:
    """The definition a reference names."""
    if not str(ref).startswith(_PLACES):
        # The root ("#"), another file, an anchor.
        raise _UnsaidError
    return str(ref).rpartition("/")[2]
