"""What tools cost in tokens: how OpenAI's models are known to be told of functions, counted piece by piece.

Comes in: tools in the protocol's own form, and a function that counts texts. Goes out: a number, always an estimate:
the form is not documented, it was found by comparing with what was billed.

Source: OpenAI cookbook, "How to count tokens with tiktoken" (tool calls), as AutoGen's client applies it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# The formula's constants: once, a function with parameters, one without any, its name and description, a field.
_ONCE, _PARAMETERS, _NO_PROPERTY, _FUNCTION, _FIELD, _ENUM = 12, 11, -2, -2, 2, 3
# Schemas refer to each other in circles where they are Python objects, and nothing sensible is as deep as this.
_DEEPEST = 20
log = logging.getLogger("llm_magic")


def tool_tokens(tools: Sequence[Mapping[str, Any]], count: Callable[[str], int]) -> int:
    """The tokens of the tools of a request; 0 where there are none.

    What a schema holds beyond names, types, descriptions and values to choose from is counted as its JSON text; what
    is no JSON is left out, with a warning to the log ``llm_magic``.

    Args:
        tools: As the protocol has them: ``{"type": "function", "function": {…}}``, or the inner part alone.
        count: Counts the tokens of a text.
    """
    if not tools:
        return 0
    return _ONCE + sum(_function(tool.get("function") or tool, count) for tool in tools)


def json_tokens(value: Any, count: Callable[[str], int]) -> int:
    """The tokens of a value as JSON text; 0, with a warning to the log, where it is none."""
    try:
        return count(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as exc:
        # The value itself may be anybody's: only its type is told.
        log.warning("not counted: a %s is not JSON (%s)", type(value).__name__, type(exc).__name__)
        return 0


def _function(function: Mapping[str, Any], count: Callable[[str], int]) -> int:
    tokens = count(str(function.get("name") or "")) + _FUNCTION
    if function.get("description"):
        tokens += count(str(function["description"]))
    parameters = function.get("parameters")
    if isinstance(parameters, Mapping) and isinstance(parameters.get("properties"), Mapping):
        tokens += _PARAMETERS + _properties(parameters["properties"], count, 0)
        if not parameters["properties"]:
            tokens += _NO_PROPERTY
        # Definitions that properties refer to are sent beside them.
        tokens += sum(_properties(parameters[name], count, 0) for name in _definitions(parameters))
    return tokens


def _definitions(schema: Mapping[str, Any]) -> Iterable[str]:
    return (name for name in ("$defs", "definitions") if isinstance(schema.get(name), Mapping))


def _properties(properties: Mapping[str, Any], count: Callable[[str], int], depth: int) -> int:
    return sum(count(str(name)) + _schema(schema, count, depth) for name, schema in properties.items())


def _schema(schema: Any, count: Callable[[str], int], depth: int) -> int:
    """One property: its type, description and values to choose from, and what is nested in it."""
    if not isinstance(schema, Mapping):
        return json_tokens(schema, count)  # True and False are schemas, too
    if depth > _DEEPEST:
        log.warning("not counted: a tool's schema is nested deeper than %s", _DEEPEST)
        return 0
    tokens = 0
    for field, value in schema.items():
        match field, value:
            case "type" | "description", _:
                tokens += _FIELD + sum(count(str(item)) for item in (value if isinstance(value, list) else [value]))
            case "enum", list() | tuple():
                tokens += -_ENUM + sum(_ENUM + count(str(item)) for item in value)
            case "properties" | "$defs" | "definitions", Mapping():
                tokens += _properties(value, count, depth + 1)
            case "anyOf" | "oneOf" | "allOf" | "prefixItems", list() | tuple():
                tokens += sum(_schema(item, count, depth + 1) for item in value)
            case "items" | "additionalProperties", Mapping():
                tokens += _schema(value, count, depth + 1)
            case _:
                # The formula says nothing of other fields: their text is what they add at most.
                tokens += count(str(field)) + json_tokens(value, count)
    return tokens
