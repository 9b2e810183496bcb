"""Typed answers over a real server: in which form they are asked for, what is repaired, what is kept and billed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import llm_magic
from llm_magic import api
from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.errors import ConfigurationError, ContentError, RequestRejectedError, SchemaError
from llm_magic.events import NextRound, TextDelta
from llm_magic.jsontext import partial_json
from llm_magic.model_info import register_model
from llm_magic.reply import Reply
from llm_magic.session import Session
from tests.fakes.kinds import PERSON, Currency, Line, Point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.server import FakeServer

RIGHT = '{"what": "tea", "pieces": 2, "unit price": 1.5}'
WRONG = '{"what": "tea", "pieces": -2}'
LINE = Line(what="tea", pieces=2, price=1.5)


@pytest.fixture
def session(fake_server: FakeServer) -> Iterator[Session]:
    """A session on the fake server, without anything of the environment."""
    environ = {"OPENAI_BASE_URL": fake_server.url, "OPENAI_API_KEY": "sk-test-0123456789", "LLM_MAGIC_MAX_RETRIES": "0"}
    made = Session(config=Config(environ=environ), conversation_type=Conversation)
    yield made
    made.close()


@pytest.fixture
def chat(session: Session) -> Conversation:
    """A conversation with a model that takes every form."""
    return Conversation(session=session, model="typed")


def answers(*texts: str) -> str:
    """A prompt that is answered with these, in order."""
    return json.dumps(texts)


def forms(server: FakeServer) -> list[str | None]:
    """The form each request asked for."""
    return [(one.body.get("response_format") or {}).get("type") for one in server.requests]


def rounds(session: Session) -> list[tuple[int, str]]:
    """Round and status of each row of the ledger."""
    return [(row.round, row.status) for row in session.ledger.rows]


@pytest.mark.capability("E8", "E12")
def test_an_answer_is_the_type_that_was_asked_for(chat: Conversation, fake_server: FakeServer) -> None:
    """The schema goes strictly, the answer comes back as an instance; the text stays the JSON."""
    reply = chat.ask(answers(RIGHT), schema=Line)

    assert reply.data == reply.parsed == LINE
    assert reply.text == RIGHT
    sent = fake_server.requests[0].body["response_format"]
    assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == ("json_schema", "Line", True)
    assert chat.turns[0].settings["response_format"] == sent


@pytest.mark.capability("E8")
def test_lists_of_objects_are_frames(chat: Conversation) -> None:
    """A column a field, with the same dtypes also when there is none; ``parsed`` has the objects."""
    reply = chat.ask(answers(f'{{"items": [{RIGHT}]}}'), schema=list[Line])
    none = chat.ask(answers('{"items": []}'), schema=list[Line])

    expected = pd.DataFrame(
        {
            "what": pd.array(["tea"], dtype="string"),
            "pieces": pd.array([2], dtype="Int64"),
            "price": pd.array([1.5], dtype="Float64"),
        }
    )
    pd.testing.assert_frame_equal(pd.DataFrame(reply.data), expected, check_dtype=False)
    assert [str(dtype) for dtype in none.data.dtypes] == [str(dtype) for dtype in reply.data.dtypes]
    assert [str(dtype) for dtype in none.data.dtypes][1:] == ["Int64", "Float64"]
    assert list(none.data.columns) == ["what", "pieces", "price"]
    assert len(none.data) == 0
    assert reply.parsed == [LINE]


@pytest.mark.capability("E8", "E11")
@pytest.mark.parametrize(
    ("schema", "text", "data"),
    [
        (Currency, '{"value": "eur"}', Currency.EUR),
        (int, '{"value": 7}', 7),
        (list[str], '{"items": ["a"]}', ["a"]),
        (Point, '{"x": 1, "y": null, "tags": null}', Point(x=1)),
        (PERSON, '{"name": "Ada", "age": null}', {"name": "Ada"}),
        (dict, '{"any": ["thing"]}', {"any": ["thing"]}),
    ],
)
def test_every_kind_of_type_comes_back(chat: Conversation, schema: Any, text: str, data: Any) -> None:
    """Unwrapped from the object it is sent in."""
    assert chat.ask(answers(text), schema=schema).data == data


@pytest.mark.capability("E8", "E10", "E11")
def test_json_output_and_response_format_are_other_words(chat: Conversation, fake_server: FakeServer) -> None:
    """True is any object, a type is a schema, False is text; a form of the user's own goes as it is."""
    own = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": PERSON, "strict": False}}

    assert chat.ask(answers('{"a": 1}'), json_output=True).data == {"a": 1}
    assert chat.ask(answers(RIGHT), json_output=Line).data == LINE
    assert chat.ask(answers("words"), json_output=False).text == "words"
    assert chat.ask(answers('{"name": 5}'), response_format=own).data == {"name": 5}
    assert chat.ask(answers("words"), response_format={"type": "text"}).text == "words"
    assert chat.ask(answers("[1]"), response_format={"type": "json_object"}).data == [1]
    assert forms(fake_server) == ["json_object", "json_schema", None, "json_schema", "text", "json_object"]
    assert fake_server.requests[3].body["response_format"] == own


@pytest.mark.capability("E8", "E10")
@pytest.mark.parametrize(
    "options",
    [
        {"schema": Line, "response_format": {"type": "json_object"}},
        {"schema": Line, "json_output": True},
        {"json_output": True, "response_format": {"type": "text"}},
        {"json_output": "yes"},
        {"json_output": 1},
        {"schema": "Line"},
    ],
)
def test_conflicts_are_refused_before_anything_is_sent(
    chat: Conversation, fake_server: FakeServer, options: dict[str, Any]
) -> None:
    """One way to say it, and only types."""
    with pytest.raises(ConfigurationError):
        chat.ask(answers(RIGHT), **options)

    assert not fake_server.requests


@pytest.mark.capability("B4")
def test_a_form_of_the_conversation_holds_for_every_call(
    session: Session, chat: Conversation, fake_server: FakeServer
) -> None:
    """Asked, streamed, awaited; a cell's schema goes over it."""
    session.config.session["response_format"] = {"type": "json_object"}

    chat.ask(answers("{}"))
    list(chat.stream(answers("{}")))
    asyncio.run(chat.aask(answers("{}")))
    assert chat.ask(answers(RIGHT), schema=Line).data == LINE

    assert forms(fake_server) == ["json_object"] * 3 + ["json_schema"]


@pytest.mark.capability("E8", "E10")
@pytest.mark.parametrize("given", [Line, list[Line], 5])
def test_a_type_as_response_format_is_told_its_place(chat: Conversation, fake_server: FakeServer, given: Any) -> None:
    """Other wrappers and the SDK's parse() take it there."""
    with pytest.raises(ConfigurationError, match="schema=") as caught:
        chat.ask(answers(RIGHT), response_format=given)

    assert "response_format is the protocol's own form" in caught.value.message
    assert not fake_server.requests


@pytest.mark.capability("E9")
def test_a_form_the_model_is_known_not_to_take_is_refused(session: Session, fake_server: FakeServer) -> None:
    """Before it is sent, unless the user says that it does; a schema is asked for in words instead."""
    chat = Conversation(session=session, model="typed-unable")
    register_model("typed-unable", json=False, typed=False)
    for kind in ("json_object", "json_schema"):
        with pytest.raises(ConfigurationError, match=f"does not take response_format {kind}") as caught:
            chat.ask(answers("{}"), response_format={"type": kind})
        assert "register_model('typed-unable'" in str(caught.value.hint)

    assert chat.ask(answers(RIGHT), schema=Line).data == LINE
    assert chat.ask(answers(RIGHT), schema=Line, model_info={"typed": False, "json": True}).data == LINE
    register_model("typed-unable", json=True)
    assert chat.ask(answers(RIGHT), schema=Line).data == LINE
    assert chat.ask(answers("{}"), response_format={"type": "json_object"}).data == {}

    assert forms(fake_server) == [None, "json_object", "json_schema", "json_object"]


@pytest.mark.capability("E8", "E9")
@pytest.mark.parametrize(
    ("model", "sent", "says"),
    [
        ("typed-no-schema", ["json_schema", "json_object"], "takes no JSON schema"),
        ("typed-no-form", ["json_schema", "json_object", None], "JSON was asked for in words alone"),
        ("typed-event", ["json_schema", "json_object"], "takes no JSON schema"),
        ("typed-invalid", ["json_schema", "json_object"], "does not take the schema of Line"),
    ],
)
def test_a_server_that_refuses_schemas_is_asked_otherwise(
    session: Session, fake_server: FakeServer, model: str, sent: list[str | None], says: str
) -> None:
    """Each refusal is told and in the ledger; what is kept is one turn, and the prompt as it was typed."""
    chat = Conversation(session=session, model=model)
    events = list(chat.stream(answers(f"Well:\n```json\n{RIGHT}\n```"), schema=Line))

    turn = chat.turns[0]
    assert Reply(turn=turn, schema=session.types.of(turn.settings)).data == LINE
    assert forms(fake_server) == sent
    tellings = [event for event in events if isinstance(event, NextRound)]
    assert [event.reason for event in tellings] == ["fallback"] * (len(sent) - 1)
    assert says in tellings[-1].text
    assert [step.error for step in turn.steps] == [event.text for event in tellings]
    assert [number for number, _ in rounds(session)] == list(range(1, len(sent) + 1))
    assert rounds(session)[-1][1] == "complete"
    assert "JSON schema" in str(fake_server.requests[-1].body["messages"])
    assert "JSON schema" not in turn.prompt_text


@pytest.mark.capability("E8")
def test_what_a_server_refuses_is_remembered(session: Session, fake_server: FakeServer) -> None:
    """For the session and the model; a schema that alone was refused is not held against the server."""
    chat = Conversation(session=session, model="typed-no-form")
    chat.ask(answers(RIGHT), schema=Line)
    reply = chat.ask(answers('{"value": "usd"}'), schema=Currency)
    again = Conversation(session=session, model="typed-invalid")
    again.ask(answers(RIGHT), schema=Line)
    again.ask(answers(RIGHT), schema=Line)

    assert reply.data is Currency.USD
    assert reply.turn.steps == ()
    assert forms(fake_server) == ["json_schema", "json_object", None, None, *["json_schema", "json_object"] * 2]


def test_other_refusals_are_not_taken_for_it(session: Session, fake_server: FakeServer) -> None:
    """One request, and the server's own words."""
    with pytest.raises(RequestRejectedError, match="refused with 400"):
        Conversation(session=session, model="status-400").ask("hi", schema=Line)

    assert len(fake_server.requests) == 1


@pytest.mark.capability("E12")
def test_an_answer_that_does_not_fit_is_asked_for_once_more(
    session: Session, chat: Conversation, fake_server: FakeServer
) -> None:
    """With what does not fit; the try is a step of the turn, and no context of the next ask."""
    events = list(chat.stream(answers(WRONG, RIGHT), schema=Line))
    chat.ask(answers("then"))

    turn = chat.turns[0]
    assert turn.text == RIGHT
    assert [(step.reason, step.text) for step in turn.steps] == [("repair", WRONG)]
    assert any(isinstance(event, NextRound) and event.reason == "repair" for event in events)
    sent = [(item["role"], item["content"]) for item in fake_server.requests[1].body["messages"]]
    assert sent[1] == ("assistant", WRONG)
    assert sent[2][1].startswith("Your answer cannot be used:\n- pieces: Input should be greater than or equal to 0\n")
    assert WRONG not in [item["content"] for item in fake_server.requests[2].body["messages"]]
    assert rounds(session) == [(1, "complete"), (2, "complete"), (1, "complete")]
    assert turn.usage.total_tokens == sum(row.total_tokens for row in session.ledger.rows[:2])


@pytest.mark.capability("E12")
def test_an_answer_that_never_fits_is_told_in_one_line_and_kept(session: Session, chat: Conversation) -> None:
    """The text is there, whole; the error says what is wrong with it."""
    with pytest.raises(SchemaError) as caught:
        chat.ask(answers("no", WRONG), schema=Line)

    assert caught.value.message == (
        "The answer does not fit Line: pieces: Input should be greater than or equal to 0 (and 1 more)."
    )
    assert isinstance(caught.value, ContentError)
    turn = chat.turns[0]
    assert (turn.text, turn.status, turn.error) == (WRONG, "complete", caught.value.message)
    assert rounds(session) == [(1, "complete"), (2, "complete")]
    assert Conversation.from_dict(chat.to_dict()).turns == chat.turns
    assert Conversation.from_frame(chat.to_frame()).turns == chat.turns
    with pytest.raises(SchemaError):
        _ = Reply(turn=turn, schema=session.types.of(turn.settings)).data


@pytest.mark.capability("E12")
def test_a_form_that_is_passed_over_is_not_relied_on_again(session: Session, fake_server: FakeServer) -> None:
    """No JSON came where JSON was promised: the repair says the schema in words, and so do later asks."""
    chat = Conversation(session=session, model="typed")

    assert chat.ask(answers("Gladly!", RIGHT), schema=Line).data == LINE
    assert chat.ask(answers("Gladly!", RIGHT), schema=Line).data == LINE
    chat.ask(answers(RIGHT), schema=Line)

    assert forms(fake_server) == ["json_schema", "json_object", "json_object", None, None]
    assert "JSON schema" in str(fake_server.requests[1].body["messages"])


@pytest.mark.capability("E12", "E21")
@pytest.mark.parametrize(
    ("model", "says", "advises"),
    [
        ("typed-length", "cut off at the limit of tokens", "--max-tokens"),
        ("typed-filter", "content filter cut the answer off", "its text is kept"),
        ("typed-refuses", "refused to answer", "refusal"),
    ],
)
def test_an_answer_that_was_not_let_to_its_end_is_not_asked_for_again(
    session: Session, fake_server: FakeServer, model: str, says: str, advises: str
) -> None:
    """It would end the same way; the line names what to do."""
    chat = Conversation(session=session, model=model)

    with pytest.raises(SchemaError, match=says) as caught:
        chat.ask(answers('{"what": "te'), schema=Line)

    assert advises in str(caught.value.hint)
    assert len(fake_server.requests) == 1
    assert chat.turns[0].text or chat.turns[0].refusal == "I would rather not."


@pytest.mark.capability("E12")
def test_a_whole_answer_at_the_limit_is_taken(session: Session) -> None:
    """The last token may be the last brace."""
    assert Conversation(session=session, model="typed-length").ask(answers(RIGHT), schema=Line).data == LINE


@pytest.mark.capability("E13")
def test_an_answer_is_data_while_it_grows(chat: Conversation) -> None:
    """As far as it has come; pieces may arrive joined."""
    events = chat.stream(answers(RIGHT), schema=Line)
    partial = [partial_json(event.snapshot or "") for event in events if isinstance(event, TextDelta)]

    assert partial[-1] == json.loads(RIGHT)
    assert all(json.loads(RIGHT) | one == json.loads(RIGHT) | {"what": one.get("what", "tea")} for one in partial)


@pytest.mark.capability("E8")
def test_a_turn_asked_again_has_its_type_again(chat: Conversation) -> None:
    """Retried with its own type, or with another; after a restart it is plain JSON."""
    chat.ask(answers(f'{{"items": [{RIGHT}]}}'), schema=list[Line])

    assert chat.retry().parsed == [LINE]
    assert chat.retry(schema=list[dict[str, Any]]).parsed == [json.loads(RIGHT)]
    kept = Conversation.from_dict(chat.to_dict())
    assert Reply(turn=kept.slots[0].versions[0]).data == [json.loads(RIGHT)]
    assert json.loads(chat.to_frame().query("role == 'assistant'")["data"].iloc[0]) == {"items": [json.loads(RIGHT)]}


@pytest.mark.capability("C6", "E8")
def test_map_gives_the_fields_of_the_type(
    session: Session, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column each; a row that does not fit has none, and says why; what is refused is refused but once or twice."""
    monkeypatch.setattr(api, "session", lambda: session)
    prompts = [answers(RIGHT), answers("no"), *[answers(WRONG, RIGHT)] * 3]

    frame = llm_magic.map(prompts, schema=Line, model="typed-no-schema", in_flight=1, progress=False)
    kinds = llm_magic.map([answers("usd"), answers("yen")], schema=Currency, model="typed-no-form", progress=False)

    assert list(frame.columns)[:5] == ["answer", "what", "pieces", "price", "status"]
    assert [None if pd.isna(value) else value for value in frame["price"]] == [1.5, None, 1.5, 1.5, 1.5]
    assert str(frame["pieces"].dtype) == "Int64"
    assert "does not fit Line: this is not JSON" in frame["error"][1]
    assert list(kinds["data"]) == ["usd", None]
    assert forms(fake_server)[:9].count("json_schema") == 1


@pytest.mark.capability("E13")
def test_asides_and_awaited_asks_are_typed_too(chat: Conversation) -> None:
    """Not streamed, not kept, on a loop of the caller's."""
    assert chat.ask(answers(RIGHT), schema=Line, keep=False, stream=False).data == LINE
    assert asyncio.run(chat.aask(answers(WRONG, RIGHT), schema=Line)).data == LINE
