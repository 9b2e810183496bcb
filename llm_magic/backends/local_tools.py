"""Tools for the built-in local model, whose own template knows none: told in words, and read from its words.

Comes in: a request with tools, calls and results. Goes out: one of plain messages, and the calls in what is answered. A
call that is required (``tool_choice``) is written under a grammar made of the tools' schemas; else the model, which is
very small, mostly just answers.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..content import Message, TextPart, message
from ..events import Completed, TextDelta, ToolCallDelta
from .text_calls import TextCall, TextCallParser, calls_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..content import ToolCall
    from ..events import Event
    from .base import Request

_OFFER = (
    "You can call these functions:\n{tools}\n"
    'To call one, answer with nothing but <tool_call>{{"name": …, "arguments": {{…}}}}</tool_call>.'
)
_OURS = ("tool_choice", "parallel_tool_calls")
# How a result is told: the model sometimes goes on with the tag's end.
_RESULT, _RESULT_END = "<tool_response>", "</tool_response>"


def has_tools(request: Request) -> bool:
    """Tools are handed over, or have been called before."""
    return bool(request.tools) or any(item.tool_calls or item.role == "tool" for item in request.messages)


def forced_names(request: Request) -> tuple[str, ...]:
    """The tools of which one has to be called; none where the model may choose."""
    names = tuple(tool["function"]["name"] for tool in request.tools)
    match request.params.get("tool_choice"):
        case "required":
            return names
        case {"function": {"name": str(name)}} if name in names:
            return (name,)
        case _:
            return ()


def in_words(request: Request) -> Request:
    """The request without tools, calls and results: all of them said in its messages."""
    messages = [_plain(item) for item in request.messages]
    if request.tools and request.params.get("tool_choice") != "none":
        offer = _OFFER.format(tools="\n".join(json.dumps(tool["function"]) for tool in request.tools))
        if messages and messages[0].role == "system":
            messages[0] = message("system", f"{messages[0].text}\n\n{offer}")
        else:
            messages.insert(0, message("system", offer))
    params: dict[str, Any] = {name: value for name, value in request.params.items() if name not in _OURS}
    if names := forced_names(request):
        params["response_format"] = _form(request, names)
    elif any(item.role == "tool" for item in request.messages):
        given = params.get("stop") or []
        params["stop"] = [*([given] if isinstance(given, str) else given), _RESULT_END]
    return replace(request, messages=tuple(messages), params=params, tools=())


class CallReader:
    """Finds calls in an answer's text.

    Args:
        request: What was asked, before it was put in words.
    """

    def __init__(self, request: Request) -> None:
        self._is_forced = bool(forced_names(request))
        self._parser = TextCallParser("hermes")
        self._held: list[str] = []
        self._n_calls = 0

    def read(self, event: Event) -> Iterator[Event]:
        """The events that one of the model's stands for."""
        match event:
            case TextDelta(text=text) if self._is_forced:
                self._held.append(text)
            case TextDelta(text=text):
                yield from self._events(self._parser.feed(text))
            case Completed():
                if self._is_forced:
                    text = "".join(self._held)
                    # Cut off at its limit, it is no call: what came is shown.
                    yield from self._events(calls_in(text) or ([text] if text else []))
                else:
                    yield from self._events(self._parser.finish())
                yield replace(event, finish_reason="tool_calls") if self._n_calls else event
            case _:
                yield event

    def _events(self, pieces: list[str | TextCall] | list[TextCall] | list[str]) -> Iterator[Event]:
        for piece in pieces:
            if isinstance(piece, str):
                yield TextDelta(text=piece)
            else:
                call_id = f"call_{secrets.token_hex(4)}"
                yield ToolCallDelta(index=self._n_calls, id=call_id, name=piece.name, arguments=piece.arguments)
                self._n_calls += 1


def _plain(item: Message) -> Message:
    """A message with its calls, or as a result, in words."""
    if item.role == "tool":
        return message("user", f"{_RESULT}\n{item.text}\n{_RESULT_END}")
    if not item.tool_calls:
        return item
    said = "\n".join(filter(None, (item.text, *map(_written, item.tool_calls))))
    return Message(role=item.role, parts=(TextPart(text=said),), name=item.name)


def _written(call: ToolCall) -> str:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:  # kept as the model wrote it
        arguments = call.arguments
    return f"<tool_call>\n{json.dumps({'name': call.name, 'arguments': arguments})}\n</tool_call>"


def _form(request: Request, names: tuple[str, ...]) -> Mapping[str, Any]:
    """The form of an answer that is a call of one of these tools."""
    calls, shared = list[dict[str, Any]](), dict[str, Any]()
    for tool in request.tools:
        if (name := tool["function"]["name"]) in names:
            parameters = tool["function"].get("parameters") or {"type": "object", "additionalProperties": False}
            # References are looked up from the root.
            arguments = _moved(parameters, name, shared)
            calls.append(
                {
                    "type": "object",
                    "properties": {"name": {"const": name}, "arguments": arguments},
                    "required": ["name", "arguments"],
                    "additionalProperties": False,
                }
            )
    schema: dict[str, Any] = calls[0] if len(calls) == 1 else {"anyOf": calls}
    schema |= {"$defs": shared} if shared else {}
    return {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}


def _moved(schema: Mapping[str, Any], tool: str, shared: dict[str, Any]) -> dict[str, Any]:
    """A schema without its definitions: they go to ``shared``, under names that no other tool's have."""
    kept = {name: value for name, value in schema.items() if name != "$defs"}
    found = schema.get("$defs") or {}
    shared |= {f"{tool}.{name}": _renamed(value, tool) for name, value in found.items()}
    renamed: dict[str, Any] = _renamed(kept, tool) if found else kept
    return renamed


def _renamed(value: Any, tool: str) -> Any:
    match value:
        case dict():
            return {
                name: item.replace("#/$defs/", f"#/$defs/{tool}.", 1)
                if name == "$ref" and isinstance(item, str)
                else _renamed(item, tool)
                for name, item in value.items()
            }
        case list():
            return [_renamed(item, tool) for item in value]
        case _:
            return value
