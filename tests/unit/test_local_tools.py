"""Tools in words, for the model on this machine: what it is told, and what of its words is a call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends.base import Request
from llm_magic.backends.local_tools import CallReader, forced_names, has_tools, in_words
from llm_magic.content import Message, TextPart, ToolCall, message
from llm_magic.counts import Usage
from llm_magic.events import Completed, Event, TextDelta, ToolCallDelta, UsageReport

if TYPE_CHECKING:
    from collections.abc import Iterable

DONE = Completed(finish_reason="stop")


def tool(name: str, **parameters: Any) -> dict[str, Any]:
    """A tool in the protocol's form."""
    function: dict[str, Any] = {"name": name, "description": f"does {name}"}
    if parameters:
        function["parameters"] = {"type": "object", "properties": parameters, "required": [*parameters]}
    return {"type": "function", "function": function}


ADD, NOW = tool("add", a={"type": "integer"}, b={"type": "integer"}), tool("now")


def request(*messages: Message, tools: Iterable[dict[str, Any]] = (ADD, NOW), **params: Any) -> Request:
    """A request with tools."""
    return Request(model="m", messages=messages or (message("user", "1 + 2?"),), tools=tuple(tools), params=params)


def read(asked: Request, *events: Event) -> list[Event]:
    """What an answer's events become."""
    reader = CallReader(asked)
    return [one for event in events for one in reader.read(event)]


def test_tools_are_told_in_the_system_message() -> None:
    """With name, description and schema, after what stands there already; nothing else is sent of them."""
    asked = in_words(
        request(message("system", "Be brief."), message("user", "1 + 2?"), temperature=0, parallel_tool_calls=True)
    )

    system, user = asked.messages
    assert system.text.startswith("Be brief.\n\nYou can call these functions:\n")
    assert json.dumps(ADD["function"]) in system.text
    assert (user.text, asked.tools, dict(asked.params)) == ("1 + 2?", (), {"temperature": 0})
    assert in_words(request()).messages[0].role == "system"


def test_calls_and_results_are_told_as_messages() -> None:
    """As the model would have written the call; the result as the user's, by the name of a response."""
    call = ToolCall(id="c", name="add", arguments='{"a": 1, "b": 2}')
    broken = ToolCall(id="d", name="now", arguments="{oh")
    said = Message(role="assistant", parts=(TextPart(text="Let me see."),), tool_calls=(call, broken))
    told = Message(role="tool", parts=(TextPart(text="3"),), tool_call_id="c")

    *_, assistant, result = in_words(request(message("user", "1 + 2?"), said, told)).messages

    assert assistant.text.splitlines() == [
        "Let me see.",
        "<tool_call>",
        '{"name": "add", "arguments": {"a": 1, "b": 2}}',
        "</tool_call>",
        "<tool_call>",
        '{"name": "now", "arguments": "{oh"}',
        "</tool_call>",
    ]
    assert (result.role, result.text) == ("user", "<tool_response>\n3\n</tool_response>")
    assert has_tools(Request(model="m", messages=(told,)))
    assert not has_tools(Request(model="m", messages=(message("user", "hello"),)))


@pytest.mark.capability("D16")
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (None, ()),
        ("auto", ()),
        ("none", ()),
        ("required", ("add", "now")),
        ({"type": "function", "function": {"name": "now"}}, ("now",)),
        ({"type": "function", "function": {"name": "unknown"}}, ()),
    ],
)
def test_a_call_that_is_required_has_a_grammar(choice: Any, names: tuple[str, ...]) -> None:
    """Of the tools that may be meant, and of no others; a choice of none offers none."""
    asked = request(tool_choice=choice)
    form = in_words(asked).params.get("response_format")

    assert forced_names(asked) == names
    assert (form is not None) == bool(names)
    assert all(json.dumps({"const": name}) in json.dumps(form) for name in names)
    assert ("add" in in_words(asked).messages[0].text) == (choice != "none")


def test_definitions_of_a_schema_stand_where_its_references_look() -> None:
    """At the root of the grammar's schema, apart by tool; what was handed over is not changed."""
    find, drop = (tool(name, where={"$ref": "#/$defs/Where"}) for name in ("find", "drop"))
    find["function"]["parameters"]["$defs"] = {"Where": {"type": "string"}}
    drop["function"]["parameters"]["$defs"] = {"Where": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Where"}]}}
    before = json.dumps([find, drop])

    schema = in_words(request(tools=[find, drop, NOW], tool_choice="required")).params["response_format"][
        "json_schema"
    ]["schema"]

    assert schema["$defs"] == {
        "find.Where": {"type": "string"},
        "drop.Where": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/drop.Where"}]},
    }
    assert '{"where": {"$ref": "#/$defs/find.Where"}}' in json.dumps(schema["anyOf"][0])
    assert "$defs" not in schema["anyOf"][0]["properties"]["arguments"]
    assert json.dumps([find, drop]) == before


def test_an_answer_after_a_result_ends_before_its_tag() -> None:
    """The model has seen results in tags, and goes on with their end; stops of the ask's own stay."""
    told = Message(role="tool", parts=(TextPart(text="3"),), tool_call_id="c")

    assert in_words(request(told)).params["stop"] == ["</tool_response>"]
    assert in_words(request(told, stop="END")).params["stop"] == ["END", "</tool_response>"]
    assert "stop" not in in_words(request()).params


def test_a_required_call_is_read_whole() -> None:
    """However it is cut; its end says so, and what the server reports passes."""
    usage = UsageReport(usage=Usage(output_tokens=9))
    pieces = [TextDelta(text=text) for text in ('{"name": "add", "ar', 'guments": {"a": 1, "b": 2}}')]

    events = read(request(tool_choice="required"), *pieces, usage, DONE)

    assert events[0] == usage
    call = events[1]
    assert isinstance(call, ToolCallDelta)
    assert (call.index, call.name, json.loads(call.arguments)) == (0, "add", {"a": 1, "b": 2})
    assert call.id
    assert events[2:] == [Completed(finish_reason="tool_calls")]


def test_a_required_call_that_is_cut_off_is_text() -> None:
    """Nothing that came is lost, and nothing runs."""
    events = read(request(tool_choice="required"), TextDelta(text='{"name": "ad'), Completed(finish_reason="length"))

    assert events == [TextDelta(text='{"name": "ad'), Completed(finish_reason="length")]


@given(st.lists(st.integers(0, 90), max_size=8))
def test_calls_are_found_in_text(cuts: list[int]) -> None:
    """Text before them is the answer's; anywhere cut."""
    said = 'I look.\n<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
    pieces = [TextDelta(text=said[start:end]) for start, end in zip(places, places[1:], strict=False) if end > start]

    events = read(request(), *pieces, DONE)

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "I look."
    assert [event.name for event in events if isinstance(event, ToolCallDelta)] == ["now"]
    assert events[-1] == Completed(finish_reason="tool_calls")


def test_an_answer_without_a_call_is_an_answer() -> None:
    """Letter by letter."""
    assert read(request(), TextDelta(text="It is noon, <b>"), DONE) == [TextDelta(text="It is noon, <b>"), DONE]
