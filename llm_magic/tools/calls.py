"""A model's call, checked before anything runs: bound to its tool, or a result that says what does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..content import TextPart, ToolCall, ToolResult
from ..errors import SchemaError, ToolError

if TYPE_CHECKING:
    from .definition import Tool

_MAX_LINES = 10
_MAX_LINE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A call that fits its tool.

    Attributes:
        tool: What is called.
        call: The call as the model made it.
        arguments: What the function is called with, by parameter; those the model left out are missing.
    """

    tool: Tool
    call: ToolCall
    arguments: Mapping[str, Any] = field(default_factory=dict)


def checked(tool: Tool, call: ToolCall) -> Bound | ToolResult:
    """The call with its arguments, or what the model is told is wrong with them.

    Args:
        tool: What is called. Of one without a function only the JSON is looked at.
        call: The model's call; arguments are JSON text, an empty one stands for none, a dict is taken as it is.
    """
    try:
        arguments = parsed_arguments(call.arguments)
        bound = arguments if tool.signature is None else tool.signature.check(arguments)
    except Exception as exc:  # noqa: BLE001  # a type's own validation is any code; all of it is told to the model
        return refused(call, f"{call.name} was not called: its arguments do not fit.\n{_told(exc)}")
    return Bound(tool=tool, call=call, arguments=bound)


def refused(call: ToolCall, text: str) -> ToolResult:
    """A result that says why a call was not made."""
    return ToolResult(call_id=call.id, name=call.name, parts=(TextPart(text=text),), is_error=True)


def parsed_arguments(arguments: object) -> dict[str, Any]:
    """The arguments of a call as an object.

    Raises:
        ToolError: They are no JSON, or no object.
    """
    parsed: object = arguments
    # Some models put the JSON text of the object into a JSON text.
    for _ in range(2):
        if isinstance(parsed, str):
            parsed = _parsed(parsed)
    if not isinstance(parsed, Mapping):
        raise ToolError(f"The arguments are one JSON object, not {_kind(parsed)}.")
    return dict(parsed)


def _parsed(text: str) -> object:
    if not text.strip():
        return {}
    try:
        # Line breaks inside of a text, as models write them in code, are taken.
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as exc:
        place = f" (line {exc.lineno}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        reason = exc.msg if isinstance(exc, json.JSONDecodeError) else str(exc)
        raise ToolError(f"The arguments are not valid JSON: {reason}{place}.") from exc


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case list():
            return "a list"
        case str():
            return "text"
        case bool():
            return "true or false"
        case _:
            return "a number"


def _told(exc: Exception) -> str:
    """What does not fit, a line each."""
    if isinstance(exc, SchemaError):
        lines = [line[:_MAX_LINE] for line in exc.problems]
        more = len(lines) - _MAX_LINES
        return "\n".join(lines[:_MAX_LINES] + ([f"… and {more} more"] if more > 0 else []))
    return str(exc) if isinstance(exc, ToolError) else f"{type(exc).__name__}: {exc}"[:_MAX_LINE]
