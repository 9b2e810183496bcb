"""How a type is asked for and repaired, beside other things a turn does: tools, continuing, stores, views."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llm_magic
from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.backends.base import BackendInfo, Request
from llm_magic.config import Config, shown
from llm_magic.content import Message, TextPart, message
from llm_magic.errors import ConfigurationError, RequestRejectedError, SchemaError
from llm_magic.events import Completed, NextRound, TextDelta, ToolCallDelta
from llm_magic.reply import Reply, answer_bundle
from llm_magic.schemas import Schema, schema_of
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says
from llm_magic.turns import Turn
from llm_magic.typed import Types, lowered, planned, typed, with_words
from llm_magic.views.growing import GrowingText
from tests.fakes.kinds import Currency, Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_magic.testing import Script

RIGHT = '{"what": "tea", "pieces": 2, "unit price": 1.5}'
LINE = Line(what="tea", pieces=2, price=1.5)
INFO = BackendInfo(name="b", is_local=False, base_url="u")
ASKED = Request(model="m", messages=(message("system", "s"), message("user", "u")), params={"seed": 1})


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of its own, without anything of the environment."""
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    yield made
    made.close()


def talk(session: Session, *scripts: Script) -> tuple[Conversation, ScriptedBackend]:
    """A conversation with a scripted backend."""
    backend = ScriptedBackend(scripts)
    return Conversation(backend=backend, model="m", session=session), backend


@pytest.mark.capability("E8")
def test_every_way_needs_less_of_the_server() -> None:
    """The schema, then JSON and words, then words; the prompt of another request is left as it is."""
    schema = schema_of(Line)
    by_schema = typed(ASKED, schema, "schema")
    refused = lowered(by_schema, schema)
    assert refused is not None
    again = lowered(refused[1], schema)
    assert again is not None

    assert by_schema.messages == ASKED.messages
    assert by_schema.params == {"seed": 1, "response_format": schema.to_response_format()}
    assert refused[0] == "schema"
    assert refused[1] == typed(ASKED, schema, "object")
    assert refused[1].params["response_format"] == {"type": "json_object"}
    assert refused[1].messages[-1].text.startswith("u\n\nAnswer with one JSON object and nothing else. It has to fit")
    assert json.dumps(schema.json) in refused[1].messages[-1].text
    assert again == ("object", typed(ASKED, schema, "words"))
    assert again[1].params == {"seed": 1}
    assert lowered(again[1], schema) is None


def test_a_completion_has_no_form() -> None:
    """A type is refused; the session's form of answers is not sent with it."""
    ask = Ask(prompt=ASKED.messages, is_completion=True)
    asked = typed(ASKED, schema_of(Line), "schema")
    base = Turn(id="0", prompt=())

    schema, request, _ = planned(asked, base, ask, types=Types(), info=INFO, facts={})

    assert schema is None
    assert request == ASKED
    with pytest.raises(ConfigurationError, match="A completion has no type"):
        planned(asked, base, replace(ask, schema=schema_of(Line)), types=Types(), info=INFO, facts={})


def test_words_of_ours_stand_in_the_users_last_message() -> None:
    """Also where results of tools follow it; in one of their own where there is none of the user's."""
    called = (*ASKED.messages, Message(role="assistant"), Message(role="tool", parts=(TextPart(text="r"),)))

    assert [item.text for item in with_words(called, "w")] == ["s", "u\n\nw", "", "r"]
    assert [(item.role, item.text) for item in with_words((), "w")] == [("user", "w")]


@given(refusals=st.lists(st.sampled_from(["schema", "object", "words"])))
def test_what_was_refused_is_not_asked_for_again(refusals: list[Any]) -> None:
    """In whatever order refusals come in, of parallel requests; only of this model at this place."""
    types, schema = Types(), schema_of(Line)
    for way in refusals:
        types.note_refused(way, INFO, "m")

    ways = ["schema", "object", "words"]
    expected = min(max((ways.index(way) + 1 for way in refusals), default=0), 2)
    assert types.way(schema, INFO, "m") == ways[expected]
    assert types.way(schema, INFO, "other") == "schema"
    assert types.way(schema_of(dict), INFO, "other") == "object"


@pytest.mark.capability("E8")
def test_a_typed_answer_may_need_tools_first(session: Session) -> None:
    """Calls are run, what comes then is held against the type, and repaired with all in context."""

    @llm_magic.tool(read_only=True)
    def price() -> float:
        """What tea costs."""
        return 1.5

    call: Script = [
        ToolCallDelta(index=0, id="c", name="price", arguments="{}"),
        Completed(finish_reason="tool_calls"),
    ]
    chat, backend = talk(session, call, says("1.5, I think"), says(RIGHT))

    reply = chat.ask("tea?", schema=Line, tools=[price])

    assert reply.data == LINE
    assert [step.reason for step in reply.turn.steps] == ["tools", "repair"]
    assert [item.role for item in backend.requests[2].messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert all("response_format" in request.params for request in backend.requests)
    assert [row.round for row in session.ledger.rows] == [1, 2, 3]


@pytest.mark.capability("E12")
def test_an_answer_that_was_cut_off_can_be_gone_on_with(session: Session) -> None:
    """Its rest has no form of its own; the whole is held against the type, and is not repaired."""
    chat, backend = talk(
        session,
        says('{"what": "tea", "pieces"', finish_reason="length"),
        says('"pieces": 2, "unit price": 1.5}'),
    )
    with pytest.raises(SchemaError, match="cut off"):
        chat.ask("tea?", schema=Line)

    reply = chat.go_on()

    assert reply.data == LINE
    assert "response_format" not in backend.requests[1].params
    assert len(backend.requests) == 2


@pytest.mark.capability("E12")
def test_what_was_gone_on_with_is_not_asked_for_anew(session: Session) -> None:
    """A repair would throw away what was paid for: the line says what is wrong, and the text is kept."""
    chat, backend = talk(session, says('{"what": "tea", "pieces"', finish_reason="length"), says('"pieces": -1}'))
    with pytest.raises(SchemaError):
        chat.ask("tea?", schema=Line)

    with pytest.raises(SchemaError, match="does not fit Line: pieces"):
        chat.go_on()

    assert len(backend.requests) == 2
    assert chat.turns[0].text == '{"what": "tea", "pieces": -1}'


def test_a_server_that_fails_otherwise_is_not_asked_otherwise(session: Session) -> None:
    """Text that came before the error, and errors of another kind, stand."""
    late: Script = [TextDelta(text="{"), RequestRejectedError("The server broke off: response_format")]
    chat, backend = talk(session, late, [RequestRejectedError("No such model.")])

    for says_ in ("broke off", "No such model"):
        with pytest.raises(RequestRejectedError, match=says_):
            chat.ask("tea?", schema=Line)

    assert len(backend.requests) == 2


@pytest.mark.capability("E12")
def test_an_empty_answer_is_repaired_without_an_empty_message(session: Session) -> None:
    """Many servers refuse one that says nothing."""
    chat, backend = talk(session, [Completed(finish_reason="stop")], says(RIGHT))

    assert chat.ask("tea?", schema=Line).data == LINE
    assert [item.role for item in backend.requests[1].messages] == ["user"]
    assert "there is no text" in backend.requests[1].messages[0].text


def test_events_tell_of_a_repair_before_its_text(session: Session) -> None:
    """A view can make room; snapshots begin anew."""
    chat, _ = talk(session, says("no"), says(RIGHT))

    events = list(chat.stream("tea?", schema=Line))

    place = next(number for number, event in enumerate(events) if isinstance(event, NextRound))
    assert events[place].text == "asked once more, as the first answer does not fit Line: this is not JSON"  # type: ignore[union-attr]  # just found
    assert [event.snapshot for event in events[place:] if isinstance(event, TextDelta)][-1] == RIGHT


@pytest.mark.capability("B4")
def test_the_form_of_answers_is_a_setting_that_is_shown() -> None:
    """It holds no secret, other than further objects of the settings."""
    form = {"type": "json_object"}
    config = Config(environ={"LLM_MAGIC_RESPONSE_FORMAT": json.dumps(form)})

    assert config.get("response_format") == form
    assert shown("response_format", form) == '{"type": "json_object"}'
    assert "hidden" in shown("http_options", {"a": "b"})


def turn(schema: Schema | None, text: str, **fields: Any) -> Turn:
    """A whole answer to an ask for a type."""
    settings = {} if schema is None else {"response_format": schema.to_response_format()}
    return Turn(id="0", prompt=(), text=text, settings=settings, finish_reason="stop", **fields)


@pytest.mark.capability("E8")
def test_objects_are_shown_as_tables() -> None:
    """Rows of a list, fields of one, also when the type is not known any more; as JSON where it is wished."""
    rows = turn(schema_of(list[Line]), f'{{"items": [{RIGHT}]}}')

    html = answer_bundle(rows)["text/html"]
    assert "<th>unit price</th>" in html
    assert "<td>tea</td><td>2</td><td>1.5</td>" in html
    assert "<tr><th>what</th><td>tea</td></tr>" in answer_bundle(turn(schema_of(Line), RIGHT))["text/html"]
    assert "<table>" not in answer_bundle(rows, form="json")["text/html"]
    assert '"what": "tea"' in answer_bundle(rows)["text/plain"]
    assert "<td>" not in answer_bundle(turn(None, RIGHT))["text/html"]
    assert "<td>" not in answer_bundle(turn(schema_of(Currency), '{"value": "eur"}'))["text/html"]


def test_what_does_not_fit_is_shown_as_it_came() -> None:
    """With the line that says so."""
    bundle = answer_bundle(turn(schema_of(Line), "I <b>cannot</b>", error="The answer does not fit Line: …"))

    assert "<pre>I &lt;b&gt;cannot&lt;/b&gt;</pre>" in bundle["text/html"]
    assert "does not fit Line" in bundle["text/plain"]


def test_a_table_of_hostile_values_is_harmless() -> None:
    """Names and values are text, cut where they are long; so are the rows."""
    bad = "<script>alert(1)</script>\u202e\x1b"
    value = {"items": [{bad: bad, "n": None, "deep": [{"a": bad}], "long": "x" * 900}] * 300}

    html = answer_bundle(turn(schema_of(list[Line]), json.dumps(value)))["text/html"]

    assert "<script" not in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "x" * 501 not in html
    assert html.count("<tr>") == 201
    assert "and 100 more rows" in html


@pytest.mark.capability("E13")
def test_json_is_indented_while_it_grows() -> None:
    """At every cut it is what has come so far; without JSON it is the text."""
    growing = GrowingText("data")
    shown = []
    for piece in ('{"items": [{"wh', 'at": "te', 'a"}]}'):
        growing.feed(piece)
        shown.append(growing.html())

    assert shown[0] == '<pre>{\n  "items": [\n    {}\n  ]\n}</pre>\n'
    assert '"what": "te"' in shown[1]
    assert '"what": "tea"' in shown[2]
    growing.drop()
    growing.feed("Well, ")
    assert growing.html() == "<pre>Well, </pre>\n"


@pytest.mark.capability("E13")
@given(cut=st.integers(0, len(RIGHT) + 12))
def test_partial_json_is_a_part_of_the_whole(cut: int) -> None:
    """However it is cut: keys in order, whole values, and texts as far as they have come."""
    partial = llm_magic.partial_json(f"```json\n{RIGHT}\n```"[:cut])
    whole = json.loads(RIGHT)

    if partial is not None:
        assert list(partial) == list(whole)[: len(partial)]
        assert all(whole[name] == value or str(whole[name]).startswith(str(value)) for name, value in partial.items())
    assert (partial is None) == (cut <= len("```json\n"))


def test_partial_json_of_no_json_is_none() -> None:
    """Words, broken brackets; of a whole value with words behind it, the value."""
    assert llm_magic.partial_json("no") is None
    assert llm_magic.partial_json("{]") is None
    assert llm_magic.partial_json("[1] and so on") == [1]


def test_data_without_a_type_is_plain_json() -> None:
    """As after a restart: unwrapped, with or without words around it."""
    assert Reply(turn=turn(schema_of(list[Line]), f'Here: {{"items": [{RIGHT}]}}')).data == [json.loads(RIGHT)]
    assert Reply(turn=turn(schema_of(Currency), "eur")).parsed == "eur"
    assert Reply(turn=turn(None, "```json\n[1]\n```")).data == [1]
    with pytest.raises(llm_magic.ContentError, match="not JSON"):
        _ = Reply(turn=turn(schema_of(Line), "no")).data
