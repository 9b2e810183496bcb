"""Every provider's profile against answers written by hand from its documentation, through one contract.

``tests/fixtures/providers/NAME.json`` names the page it follows and the day it was written, and holds: answers, each as
a stream and in one piece, with what they mean; and what a request has to look like there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic import providers
from llm_magic.asks import Ask
from llm_magic.backends.base import Request
from llm_magic.backends.registry import Registry
from llm_magic.config import Config
from llm_magic.content import Message, TextPart, ToolCall, message
from llm_magic.counts import Usage
from llm_magic.engine import shared_engine
from llm_magic.errors import RequestRejectedError
from llm_magic.events import Notice
from llm_magic.session import Session
from llm_magic.turns import Turn, TurnBuilder
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_magic.backends.registry import Choice
    from llm_magic.events import Event
    from tests.fakes.server import Exchange

FOLDER = Path(__file__).parents[1] / "fixtures" / "providers"
FIXTURES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
# Gateways put their own path before the protocol's.
PATH = "/team/7/openai/v1"
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CONVERSATION = (
    message("system", "Be brief."),
    message("developer", "Speak English."),
    Message(role="user", parts=(TextPart(text="And in Paris?"),), name="ada"),
    Message(
        role="assistant",
        tool_calls=(ToolCall(id="call_abc", name="get_weather", arguments='{"city": "Paris"}'),),
        reasoning="Look it up.",
    ),
    Message(role="tool", parts=(TextPart(text="18"),), tool_call_id="call_abc"),
    message("assistant", "18 °C."),
    message("user", "  "),
    message("user", "Thanks."),
)
PARAMS = {"max_tokens": 50, "seed": 7, "temperature": 0.5, "repetition_penalty": 1.1, "logprobs": True, "user": "ada"}


class Player:
    """Answers every request with a fixture's answer, as a stream where that is asked for.

    Attributes:
        answer: The answer.
        body: The request that came last.
        path: Its path.
        refusals: What the next requests are refused with, status 400, before one is answered.
        bodies: All requests.
    """

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {}
        self.body: dict[str, Any] = {}
        self.path = ""
        self.authorization: str | None = None
        self.refusals: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, exchange: Exchange) -> None:
        self.body, self.path = exchange.body, exchange.received.path
        self.authorization = exchange.received.headers.get("authorization")
        self.bodies.append(exchange.body)
        if self.refusals:
            await exchange.reply(400, {"error": {"message": self.refusals.pop(0), "type": "invalid_request_error"}})
            return
        if not exchange.body.get("stream"):
            await exchange.reply(200, self.answer["whole"])
            return
        await exchange.open()
        for item in self.answer["stream"]:
            text = item if isinstance(item, str) else "data: " + json.dumps(item, ensure_ascii=False)
            await exchange.write(text.encode() + b"\n\n")
        await exchange.end()


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Player, str]]:
    """A server that plays answers, and its address, with a path of its own."""
    player = Player()
    server = FakeServer()
    server._scenarios.answer = player  # type: ignore[method-assign]  # the fake plays instead of inventing
    with server:
        yield player, server.url.removesuffix("/v1") + PATH


def choice(name: str, url: str, model: str) -> Choice:
    """The backend of a profile, at an address of its own."""
    config = Config(session={"profile": name, "base_url": url, "api_key": "sk-x", "model": model}, environ={})
    return Registry({}).resolve(config.look_up)


def ask(backend: Any, request: Request) -> tuple[Turn, list[Event]]:
    """The turn that comes back, and its events."""
    builder = TurnBuilder(Turn(id="t", prompt=()))
    events: list[Event] = []

    async def run() -> None:
        try:
            async for event in backend.stream(request):
                builder.add(event)
                events.append(event)
        finally:
            await backend.aclose()

    shared_engine().run(run())
    return builder.build(usage=builder.usage, cost_usd=None), events


@pytest.mark.capability("K15", "F1", "F2", "F4", "F5", "E1", "E2", "E6", "A36", "J9")
@pytest.mark.parametrize("is_streaming", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("answer", [0, 1], ids=["text", "tools"])
@pytest.mark.parametrize("name", FIXTURES)
def test_a_providers_answer_is_read(played: tuple[Player, str], name: str, answer: int, *, is_streaming: bool) -> None:
    """Text, thoughts apart from it, tool calls put together, usage, finish reason and model: the same in both forms."""
    player, url = played
    fixture = FIXTURES[name]
    player.answer = fixture["answers"][answer]
    expected = player.answer["expected"]
    chosen = choice(name, url, fixture["model"])

    turn, events = ask(
        chosen.backend,
        Request(model=chosen.model, messages=(message("user", "hi"),), tools=(TOOL,), is_streaming=is_streaming),
    )

    assert (turn.text, turn.reasoning, turn.finish_reason, turn.model) == (
        expected["text"],
        expected["reasoning"],
        expected["finish_reason"],
        expected["model"],
    )
    assert [[call.id, call.name, json.loads(call.arguments)] for call in turn.tool_calls] == expected["tool_calls"]
    assert [call.signature for call in turn.tool_calls] == expected.get("signatures", [""] * len(turn.tool_calls))
    assert turn.usage == Usage.from_dict(expected["usage"])
    assert turn.status == "complete"
    assert not [event for event in events if isinstance(event, Notice)]
    assert player.path == f"{PATH}/chat/completions"
    assert player.body["model"] == fixture["model"]


@pytest.mark.capability("B2", "B19", "C15", "C18", "C20", "C21", "C22", "C25", "K15")
@pytest.mark.parametrize("name", FIXTURES)
def test_a_request_has_the_form_the_provider_takes(played: tuple[Player, str], name: str) -> None:
    """Names of parameters, roles, system messages, authors, blank messages, ids and thoughts, by its quirks."""
    player, url = played
    fixture = FIXTURES[name]
    player.answer = fixture["answers"][0]
    chosen = choice(name, url, fixture["model"])

    ask(chosen.backend, Request(model=chosen.model, messages=CONVERSATION, params=PARAMS, tools=(TOOL,)))

    sent = dict(player.body)
    assert sent.pop("model") == fixture["model"]
    assert sent.pop("tools") == [TOOL]
    assert sent.pop("stream") is True
    assert sent == fixture["sent"]
    assert player.authorization == "Bearer sk-x"


@pytest.mark.capability("B1", "B19", "C18")
@pytest.mark.parametrize(
    ("refusal", "without", "said"),
    [
        ("Unsupported parameter: 'parallel_tool_calls'.", "parallel_tool_calls", "parallel_tool_calls"),
        ("tool_choice is not supported by this model", "tool_choice", "tool_choice"),
        ("body.seed: Extra inputs are not permitted", "seed", "seed"),
        ("Argument not supported on this model: stop", "stop", "stop"),
        ("Unsupported parameter: presencePenalty", "presence_penalty", "presence_penalty"),
        ("Unrecognized request argument supplied: logprobs", "logprobs", "logprobs"),
        ("Unknown parameter: 'stream_options'.", "stream_options", "stream_options"),
        ("'temperature' does not support 0.5 with this model", "temperature", "temperature"),
    ],
)
def test_a_refusal_teaches(played: tuple[Player, str], refusal: str, without: str, said: str) -> None:
    """The same is asked again at once without what was refused, never with it again, and that is said."""
    player, url = played
    player.answer, player.bodies = FIXTURES["openai"]["answers"][0], []
    player.refusals = [refusal]
    params = {"parallel_tool_calls": False, "tool_choice": "auto", "seed": 7, "stop": ["X"], "presence_penalty": 0.5}
    params |= {"logprobs": True, "temperature": 0.5}
    chosen = choice("openai", url, "gpt-5.4-mini")
    request = Request(model=chosen.model, messages=(message("user", "hi"),), params=params, tools=(TOOL,))

    _, events = ask(chosen.backend, request)
    _, again = ask(chosen.backend, request)

    first, second, third = player.bodies
    assert first.keys() - second.keys() == {without}
    assert {key: value for key, value in first.items() if key != without} == second == third
    assert [said in event.text for event in events if isinstance(event, Notice)] == [True]
    assert len([event for event in again if isinstance(event, Notice)]) == (without != "stream_options")


@pytest.mark.capability("C18", "B21")
def test_refused_names_and_roles_are_said_otherwise(played: tuple[Player, str]) -> None:
    """An author's name stands before the text, a developer's message is a system message; both are said."""
    player, url = played
    player.answer, player.bodies = FIXTURES["openai"]["answers"][0], []
    player.refusals = [
        "'messages.2' : property 'name' is unsupported",
        "Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user', and 'tool'.",
    ]
    chosen = choice("openai", url, "gpt-5.4-mini")

    _, events = ask(chosen.backend, Request(model=chosen.model, messages=CONVERSATION[:3]))

    assert player.bodies[-1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Speak English."},
        {"role": "user", "content": "ada said: And in Paris?"},
    ]
    notice = next(event.text for event in events if isinstance(event, Notice))
    assert "names of authors" in notice
    assert "role developer" in notice


@pytest.mark.parametrize("name", ["tools", "response_format", "n"])
def test_what_changes_the_meaning_is_never_left_out(played: tuple[Player, str], name: str) -> None:
    """Its refusal is an error, and nothing is asked again."""
    player, url = played
    player.answer, player.bodies = FIXTURES["openai"]["answers"][0], []
    player.refusals = [f"Unsupported parameter: '{name}'."]
    chosen = choice("openai", url, "gpt-5.4-mini")
    params = {"response_format": {"type": "json_object"}, "n": 2}

    with pytest.raises(RequestRejectedError, match=name):
        ask(chosen.backend, Request(model=chosen.model, messages=CONVERSATION[:1], params=params, tools=(TOOL,)))

    assert len(player.bodies) == 1


@pytest.mark.capability("E16")
def test_another_model_that_answers_is_said_once(played: tuple[Player, str]) -> None:
    """A dated name of the same model is none; the turn keeps the name that came."""
    player, url = played
    player.answer = FIXTURES["openai"]["answers"][0]
    chosen = choice("openai", url, "gpt-4o")

    turns = [ask(chosen.backend, Request(model="gpt-4o", messages=CONVERSATION[:1])) for _ in range(2)]

    said = [[event.text for event in events if isinstance(event, Notice)] for _, events in turns]
    deployed = choice("azure", url, "my-deployment")
    _, events = ask(deployed.backend, Request(model="my-deployment", messages=CONVERSATION[:1]))

    assert not [event for event in events if isinstance(event, Notice)]  # whoever deploys it names it
    assert said == [["gpt-4o was asked, gpt-5.4-mini-2026-03-17 answered"], []]
    assert {turn.model for turn, _ in turns} == {"gpt-5.4-mini-2026-03-17"}


@pytest.mark.capability("A36", "A35")
def test_one_option_switches_to_a_local_server(fake_server: FakeServer) -> None:
    """For one ask, and back; OpenAI's key stays with OpenAI's, and each request is in the ledger as what it was."""
    with FakeServer() as ollama:
        environ = {
            "OPENAI_BASE_URL": fake_server.url,
            "OPENAI_API_KEY": "sk-canary",
            "OPENAI_MODEL": "echo",
            "OLLAMA_HOST": ollama.url.removesuffix("/v1"),
        }
        session = Session(config=Config(environ=environ), registry=Registry(environ))
        conversation = session.current
        for settings in ({}, {"model": "ollama/echo"}, {}):
            ask = Ask(prompt=(message("user", "hi"),), conversation=conversation, settings=settings)
            assert session.ask(ask).outcome().turn.text == "hi"
        session.close()

        assert [len(server.requests) for server in (fake_server, ollama)] == [2, 1]
        assert "canary" not in str(ollama.requests[0].headers)
        assert ollama.requests[0].body["model"] == "echo"
        assert len(ollama.requests[0].body["messages"]) == 3
        assert [row.backend for row in session.ledger.rows] == ["openai", "ollama", "openai"]


@pytest.mark.capability("K15")
def test_every_profile_says_how_it_was_tested() -> None:
    """Those that are "fixture" or "local" have a fixture, with the page it follows and the day; all others say "no"."""
    table = providers.profiles()

    assert set(table.loc[table["tested"] != "no", "name"]) == set(FIXTURES)
    for name, fixture in FIXTURES.items():
        assert fixture["profile"] == name
        assert fixture["source"].startswith("https://")
        assert fixture["written_on"] == "2026-11-21"
        assert [item["name"] for item in fixture["answers"]] == ["text", "tools"]
