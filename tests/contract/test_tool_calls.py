"""Rounds of tools against a server: however its chunks are cut, the same turn, and a ledger that is exact."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.content import ImagePart
from llm_magic.export import from_frame
from llm_magic.session import Session
from llm_magic.tools import tool
from tests.fakes.tool_calls import MANNERS, SAID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.server import FakeServer

ASKED = 'add {"a": 1, "b": 2}\nsay {"text": "{\\"x\\": [1, \\"é 🦊\\"]}"}\nadd {"a": 20, "b": 1}'


@tool(read_only=True)
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool(read_only=True)
def say(text: str) -> str:
    """Say it."""
    return text


@pytest.fixture
def chat(fake_server: FakeServer) -> Iterator[Conversation]:
    """A conversation with the fake server."""
    environ = {"OPENAI_BASE_URL": fake_server.url, "OPENAI_API_KEY": "sk-test-0123456789"}
    session = Session(config=Config(environ=environ), conversation_type=Conversation)
    yield Conversation(name="tools", session=session)
    session.close()


@pytest.mark.capability("D10", "D16", "D17", "D19", "E4", "G7", "G8", "G11", "G19", "I9")
@pytest.mark.parametrize("manner", [manner for manner in MANNERS if manner != "again"])
def test_calls_come_whole_however_they_are_cut(chat: Conversation, fake_server: FakeServer, manner: str) -> None:
    """Index and id may be missing, arguments cut anywhere, text beside calls: each call is made once, in order."""
    reply = chat.ask(ASKED, model=f"calls-{manner}", tools=[add, say], parallel_tool_calls=True)

    assert reply.text == 'I was told: 3; {"x": [1, "é 🦊"]}; 21'
    (step,) = reply.turn.steps
    assert [call.name for call in step.tool_calls] == ["add", "say", "add"]
    assert len({call.id for call in step.tool_calls}) == 3
    assert step.finish_reason == "tool_calls"
    assert step.text == (SAID if manner == "one-delta" else "")
    first, second = (received.body for received in fake_server.requests[-2:])
    assert first is not None
    assert second is not None
    assert [one["function"]["name"] for one in first["tools"]] == ["add", "say"]
    assert first["parallel_tool_calls"] is True
    assert second["tools"] == first["tools"]
    assert [item["role"] for item in second["messages"]] == ["user", "assistant", "tool", "tool", "tool"]


@pytest.mark.capability("C14")
def test_pictures_of_a_result_reach_the_server(chat: Conversation, fake_server: FakeServer) -> None:
    """Behind the tool's text, in a message of the user's: of tools the protocol takes text only."""

    @tool(read_only=True)
    def draw() -> list[object]:
        """Draw."""
        return ["drawn", ImagePart(data=b"\x89PNG", media_type="image/png")]

    assert chat.ask("draw {}", model="calls-plain", tools=[draw]).text == "I was told: drawn"

    result, pictures = (fake_server.requests[-1].body or {})["messages"][-2:]
    assert (result["role"], result["content"]) == ("tool", "drawn")
    assert (pictures["role"], pictures["content"][-1]["image_url"]["url"]) == ("user", "data:image/png;base64,iVBORw==")


@pytest.mark.capability("D10")
@pytest.mark.parametrize("arguments", ['{ "a": 1,"b":2}', '{"a": 1, "b"'])
def test_arguments_are_kept_parsed_and_raw(chat: Conversation, arguments: str) -> None:
    """In the turn and in its row; what is no JSON has no values, and its text is there all the same."""
    reply = chat.ask(f"add {arguments}", model="calls-plain", tools=[add])
    (call,) = reply.turn.steps[0].tool_calls
    cells = chat.to_frame()["tool_calls"].dropna()

    assert call.arguments == arguments
    assert call.parsed == ({"a": 1, "b": 2} if arguments.endswith("}") else None)
    assert [item["function"]["arguments"] for cell in cells for item in json.loads(cell)] == [arguments]
    assert [call.arguments for turn in from_frame(chat.to_frame()).turns for call in turn.steps[0].tool_calls] == [
        arguments
    ]


@pytest.mark.capability("D19", "I9")
@pytest.mark.parametrize("is_streaming", [True, False])
def test_each_request_of_a_turn_is_a_row(chat: Conversation, fake_server: FakeServer, *, is_streaming: bool) -> None:
    """Rows are what the server billed, request by request; the turn is their sum, whose price nobody knows."""
    reply = chat.ask(ASKED, model="calls-plain", tools=[add, say], stream=is_streaming)

    assert chat.session is not None
    rows = chat.session.ledger.rows
    bills = fake_server.billed[-2:]
    assert [(row.round, row.request_id, row.input_tokens, row.output_tokens) for row in rows] == [
        (number, bill.request_id, bill.input_tokens, bill.output_tokens) for number, bill in enumerate(bills, 1)
    ]
    assert [(row.status, row.finish_reason) for row in rows] == [("complete", "tool_calls"), ("complete", "stop")]
    assert {row.turn_id for row in rows} == {reply.turn.id}
    assert not any(row.is_estimate for row in rows)
    assert reply.usage.input_tokens == sum(bill.input_tokens for bill in bills)
    assert reply.usage.output_tokens == sum(bill.output_tokens for bill in bills)
    assert reply.cost_usd is None
    assert reply.turn.steps[0].request_id == bills[0].request_id
    assert reply.request_id == bills[1].request_id


@pytest.mark.capability("D11", "G10")
def test_broken_arguments_are_kept_raw(chat: Conversation) -> None:
    """What no JSON is goes back as an error, as the model wrote it."""
    reply = chat.ask('add {"a": 1, "b"', model="calls-plain", tools=[add])

    (step,) = reply.turn.steps
    assert step.tool_calls[0].arguments == '{"a": 1, "b"'
    assert step.results[0].is_error
    assert "not valid JSON" in reply.text


@pytest.mark.capability("D12", "D13")
def test_calls_of_nothing(chat: Conversation) -> None:
    """A tool nobody handed over, and a call that does not come, are lines beside the answer."""
    unknown = chat.ask("shout {}", model="calls-plain", tools=[add])
    missing = chat.ask("-", model="calls-none", tools=[add])

    assert unknown.text == "I was told: There is no tool 'shout'. There is: add."
    assert unknown.turn.notices[-1:] == ("the model called 'shout', which was not handed over",)
    assert (missing.text, missing.turn.notices[-1:]) == (SAID, ("the model says that it calls a tool, and names none",))


@pytest.mark.capability("D14", "D9")
def test_without_tools_a_call_is_only_kept(chat: Conversation, fake_server: FakeServer) -> None:
    """Nothing is sent of tools where there are none; what the model said is the answer."""
    reply = chat.ask("add {}", model="calls-one-delta")

    assert (reply.text, reply.turn.steps) == (SAID, ())
    assert [call.name for call in reply.tool_calls] == ["add"]
    assert "tools" not in (fake_server.requests[-1].body or {})


@pytest.mark.capability("D18")
@pytest.mark.parametrize("is_streaming", [True, False])
def test_a_call_of_the_former_protocol_is_a_call(chat: Conversation, *, is_streaming: bool) -> None:
    """``function_call`` in a reply is read as the one call it is."""
    reply = chat.ask('add {"a": 1, "b": 2}', model="calls-legacy", tools=[add], stream=is_streaming)

    assert reply.text == "I was told: 3"
