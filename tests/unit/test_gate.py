"""Before it is sent: what a model cannot do is refused, what does not fit is too, and a budget is never passed."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import llm_magic
from llm_magic import api, model_info
from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import ImagePart, Message, TextPart, ToolCall, ToolResult, message
from llm_magic.counts import Usage
from llm_magic.errors import BudgetExceededError, ConfigurationError, ContextLengthError
from llm_magic.events import Completed, Notice, Opened, TextDelta, UsageReport
from llm_magic.ledger import LedgerRow
from llm_magic.magics.dry_run import fullness, plan_bundle, survey, tokens_frame, tokens_line
from llm_magic.preflight import Admission, measure
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says
from llm_magic.turns import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_magic.testing import Script

PICTURE = ImagePart(data=b"x", media_type="image/png", width=512, height=512)
# A thousand dollars a million tokens: a token is a tenth of a cent.
DEAR = {"input_usd_per_mtok": 1000.0, "output_usd_per_mtok": 1000.0}


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    yield
    model_info._registered.clear()


def talk(session: Session, *scripts: Script, model: str = "m") -> tuple[Conversation, ScriptedBackend]:
    backend = ScriptedBackend(scripts)
    chat = Conversation(backend=backend, model=model, session=session)
    return chat, backend


def streamed(*pieces: str, usage: Usage | None = None) -> list[Any]:
    reports = [] if usage is None else [UsageReport(usage=usage)]
    return [
        Opened(),
        *(TextDelta(text=piece) for piece in pieces),
        *reports,
        Completed(finish_reason="stop", model="m"),
    ]


def row(**values: Any) -> LedgerRow:
    """A row of the ledger, of which only some values matter."""
    blank = dict.fromkeys(field.name for field in fields(LedgerRow))
    blank |= dict.fromkeys(("input_tokens", "output_tokens", "total_tokens", "retries", "round"), 0)
    return LedgerRow(**{**blank, "at": datetime.now(UTC), **values})


# What a model can do


@pytest.mark.capability("C23")
def test_a_picture_is_not_sent_to_a_model_that_does_not_see(session: Session) -> None:
    """It is refused before anything is sent, nothing is kept, and --force sends it."""
    chat, backend = talk(session, model="gpt-3.5-turbo")

    with pytest.raises(ConfigurationError, match=r"gpt-3\.5-turbo does not see pictures") as caught:
        chat.ask("look", PICTURE)

    assert "--force" in str(caught.value)
    assert (backend.requests, chat.slots, session.ledger.rows) == ([], (), ())
    assert chat.ask("look", PICTURE, force=True).text == "Hello."


def test_a_picture_of_an_earlier_turn_is_told_apart(session: Session) -> None:
    """Who changes the model is told what to leave out."""
    chat, _ = talk(session, model="gpt-4o")
    chat.ask("look", PICTURE)
    chat.model = "gpt-4"

    with pytest.raises(ConfigurationError, match=r"an earlier turn has one \(%chat hide"):
        chat.ask("and now?")


@pytest.mark.capability("D8")
def test_tools_are_not_sent_to_a_model_that_calls_none(session: Session) -> None:
    """They are refused before anything is sent; --force sends them."""
    tool = {"type": "function", "function": {"name": "roll"}}
    chat, backend = talk(session, model="o1-mini")
    ask = Ask(prompt=(message("user", "a"),), conversation=chat, backend=backend, settings={"model": "o1-mini"})
    plan = session.plan(replace(ask, is_kept=False))
    plan = replace(plan, request=replace(plan.request, tools=(tool,)))

    with pytest.raises(ConfigurationError, match="o1-mini does not call functions"):
        session.gate.admitted(plan)

    forced = replace(plan, ask=replace(plan.ask, is_forced=True))
    assert session.gate.admitted(forced).request.tools == (tool,)


@pytest.mark.capability("E9")
@pytest.mark.parametrize(
    ("model", "form"),
    [("gpt-4-0613", {"type": "json_object"}), ("gpt-4-turbo", {"type": "json_schema", "json_schema": {}})],
)
def test_a_form_is_not_asked_of_a_model_without_it(session: Session, model: str, form: Any) -> None:
    """JSON mode and schemas that the user asks for by their parameter are refused; --force sends them."""
    chat, backend = talk(session, model=model)

    with pytest.raises(ConfigurationError, match=r"does not take response_format .*--force"):
        chat.ask("a", response_format=form)

    chat.ask("a", response_format=form, force=True)
    assert backend.requests[0].params["response_format"] == form


@pytest.mark.capability("I12", "K9")
def test_an_unknown_model_is_tried_with_one_notice(session: Session) -> None:
    """What nobody knows is sent, and said once."""
    chat, _ = talk(session, model="never-heard-of")

    first, second = chat.ask("a", PICTURE).turn, chat.ask("b", PICTURE).turn

    assert first.notices == ("not known whether never-heard-of takes pictures: tried",)
    assert second.notices == ()
    assert chat.ask("only text", fresh=True).turn.notices == ()


@pytest.mark.capability("I12")
def test_the_setting_says_what_a_model_can_do(session: Session) -> None:
    """model_info goes over what is known, for the cell, the conversation or the session."""
    session.config.session["model_info"] = {"vision": False}
    chat, _ = talk(session, model="gpt-4o")

    with pytest.raises(ConfigurationError, match="does not see"):
        chat.ask(PICTURE)
    chat.ask(PICTURE, model_info={"vision": True})
    with pytest.raises(ConfigurationError, match="Unknown fact"):
        chat.ask("a", model_info={"vison": True})


# What fits


LONG = "word " * 3000


@pytest.mark.capability("H12")
def test_what_does_not_fit_is_not_sent(session: Session) -> None:
    """With its tokens, the window and what to do; --force sends it all the same."""
    model_info.register_model("gpt-tiny", window=2500)
    chat, backend = talk(session, model="gpt-tiny")

    with pytest.raises(ContextLengthError, match=r"The request has 3,0\d\d tokens, and gpt-tiny reads 2,500") as caught:
        chat.ask(LONG)

    assert all(way in str(caught.value) for way in ("%chat prune", "overflow=drop_oldest", "--force"))
    assert (backend.requests, chat.slots) == ([], ())
    assert chat.ask(LONG, force=True).text == "Hello."


@pytest.mark.capability("H12")
def test_an_estimate_is_believed_by_a_margin_only(session: Session) -> None:
    """Another tokenizer may count less: a bit too much is sent, a lot is not."""
    model_info.register_model("llama-x", window=2800)
    chat, backend = talk(session, model="llama-x")
    chat.ask(LONG)
    assert len(backend.requests) == 1

    model_info.register_model("llama-x", window=2200)
    with pytest.raises(ContextLengthError, match="~3,0"):
        chat.ask(LONG, fresh=True)


def test_an_unknown_window_is_no_window(session: Session) -> None:
    """Nobody can say that it does not fit."""
    chat, backend = talk(session)
    chat.ask(LONG * 20)

    assert len(backend.requests) == 1


@pytest.mark.capability("H12")
def test_the_oldest_turns_can_be_left_out(session: Session) -> None:
    """As many as it takes, said in a notice; the system prompt and the question stay."""
    model_info.register_model("gpt-tiny", window=2500)
    session.config.session["overflow"] = "drop_oldest"
    chat, backend = talk(session, model="gpt-tiny")
    chat.system = "Be brief."
    for number in range(4):
        chat.ask(f"{number} " + "word " * 700)

    sent = backend.requests[-1].messages
    assert [item.text.split()[0] for item in sent] == ["Be", "1", "Hello.", "2", "Hello.", "3"]
    assert chat.turns[-1].notices == (
        "the oldest turn was not sent: the request would have been too long for gpt-tiny",
    )
    assert all(not turn.notices for turn in chat.turns[:-1])

    chat.ask("4 " + "word " * 2200)
    assert [item.text.split()[0] for item in backend.requests[-1].messages] == ["Be", "4"]
    assert "the 4 oldest turns were not sent" in chat.turns[-1].notices[0]
    with pytest.raises(ContextLengthError):
        chat.ask(LONG)


@pytest.mark.capability("H12")
def test_a_tools_message_is_never_orphaned(session: Session) -> None:
    """A turn with rounds of tools goes whole, calls and results together."""
    model_info.register_model("gpt-tiny", window=2500)
    session.config.session["overflow"] = "drop_oldest"
    chat, backend = talk(session, model="gpt-tiny")
    chat.ask("first " + "word " * 900)
    call = ToolCall(id="1", name="roll", arguments="{}")
    result = ToolResult(call_id="1", name="roll", parts=(TextPart(text="word " * 300), PICTURE))
    step = Step(reason="tools", tool_calls=(call,), results=(result,))
    slot = chat.slots[0]
    turn = chat.turns[0]
    chat.add_version(slot, replace(turn, id="other", steps=(step,)))
    chat.ask("second " + "word " * 900)
    chat.ask("third " + "word " * 900)

    assert [(item.role, item.text.split()[0]) for item in backend.requests[-1].messages] == [
        ("user", "second"),
        ("assistant", "Hello."),
        ("user", "third"),
    ]


def test_later_requests_of_a_turn_are_looked_at_too(session: Session) -> None:
    """A tool's long result makes the next request too long: it is cut there, not refused by the server."""
    model_info.register_model("gpt-tiny", window=2500)
    chat, backend = talk(session, model="gpt-tiny")
    chat.ask("old " + "word " * 900)
    ask = Ask(prompt=(message("user", "new"),), conversation=chat, backend=backend, is_kept=False)
    plan = session.plan(replace(ask, settings={"model": "gpt-tiny", "overflow": "drop_oldest"}))
    longer = replace(plan.request, messages=(*plan.request.messages, message("assistant", "word " * 2000)))
    told: list[Any] = []

    admitted = Admission(plan, session.gate.trial(plan))(longer, told.append)

    assert [item.role for item in admitted.messages] == ["user", "assistant"]
    assert admitted.messages[0].text == "new"
    assert isinstance(told[0], Notice)


# What may be spent


def test_a_budget_stops_a_stream_within_a_chunk(session: Session) -> None:
    """The partial turn and its row are kept, the stream is closed, and one line says why."""
    model_info.register_model("dear", **DEAR)
    chat, backend = talk(session, streamed(*["12345678"] * 100), model="dear")

    with pytest.raises(BudgetExceededError, match="The budget of this ask is spent") as caught:
        chat.ask("a", budget=0.02)

    turn, (row,) = chat.turns[-1], session.ledger.rows
    # Eight tokens of input and twelve of output are 2 cents: the sixth piece of two tokens spends the last of it.
    assert turn.text == "12345678" * 6
    assert (turn.status, turn.error) == ("truncated", caught.value.message)
    assert row.is_estimate
    assert row.cost_usd is not None
    assert 0.01 < row.cost_usd < 0.06
    assert backend.open_streams == 0
    assert "\n" not in str(caught.value)
    assert session.gate.till.purse(turn.id) is None


def test_a_budget_that_suffices_changes_nothing(session: Session) -> None:
    """The answer is whole, also where the last piece, or the server's own count, is beyond it."""
    model_info.register_model("dear", **DEAR)
    usage = Usage(input_tokens=5, output_tokens=500, total_tokens=505)
    chat, _ = talk(session, streamed("short", usage=usage), model="dear")

    reply = chat.ask("a", budget="$0.10")

    assert (reply.turn.status, reply.cost_usd) == ("complete", 0.505)


def test_a_request_beyond_its_budget_is_not_sent(session: Session) -> None:
    """Nothing is kept, nothing is in the ledger."""
    model_info.register_model("dear", **DEAR)
    chat, backend = talk(session, model="dear")

    with pytest.raises(BudgetExceededError, match="alone is worth more"):
        chat.ask("word " * 50, budget=0.02)

    assert (backend.requests, chat.slots, session.ledger.rows) == ([], (), ())


def test_a_sessions_budget_counts_all_its_requests(session: Session) -> None:
    """Asides and other conversations too; once it is spent nothing is sent until there is more."""
    model_info.register_model("dear", **DEAR)
    session.config.session["budget"] = "0.05"
    usage = Usage(input_tokens=10, output_tokens=15, total_tokens=25)
    chat, backend = talk(session, streamed("hello", usage=usage), model="dear")
    other = Conversation(backend=backend, model="dear", session=session)
    assert session.gate.told() == "$0 of $0.0500 spent, $0.0500 left"

    chat.ask("a", keep=False)
    other.ask("b")
    with pytest.raises(BudgetExceededError, match="The budget of the session is spent"):
        chat.ask("c")

    assert len(backend.requests) == 2
    assert session.gate.told() == "$0.0500 of $0.0500 spent, $0 left"
    session.config.session["budget"] = "1"
    chat.ask("c")


def test_an_unknown_price_asks_for_tokens(session: Session) -> None:
    """Dollars cannot be counted; tokens can, and stop the answer."""
    chat, backend = talk(session, streamed(*["1234"] * 100))

    with pytest.raises(ConfigurationError, match="20000tok"):
        chat.ask("a", budget=1)
    assert backend.requests == []
    with pytest.raises(BudgetExceededError, match="of 20 tokens spent"):
        chat.ask("a", budget="20tok")

    assert 0 < len(chat.turns[-1].text) <= 4 * 20


def test_a_bad_budget_is_refused_where_it_is_set(session: Session) -> None:
    """Before it could count."""
    chat, _ = talk(session)

    with pytest.raises(ConfigurationError, match="is no budget"):
        chat.ask("a", budget="lots")


def test_what_is_booked_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as a row is in the ledger, while it is still being written, its ask counts no more beside it."""
    made = Session(config=Config(environ={"LLM_MAGIC_STORE": "memory"}), conversation_type=Conversation, is_kept=True)
    assert made.keeper is not None
    keep, seen = made.keeper.keep, []

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(made.gate.till.purse(kwargs["ended"]))
        return keep(*args, **kwargs)

    monkeypatch.setattr(made.keeper, "keep", watched)
    chat, _ = talk(made)
    chat.ask("a", budget="1000tok")
    made.close()

    assert seen == [None]


def test_rows_of_a_map_share_their_budget(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of all rows together: what is beyond it is not asked."""
    monkeypatch.setattr(api, "session", lambda: session)
    model_info.register_model("dear", **DEAR)
    usage = Usage(input_tokens=8, output_tokens=12, total_tokens=20)
    backend = ScriptedBackend([streamed("hello", usage=usage)])

    frame = llm_magic.map(["a", "b", "c", "d"], backend=backend, model="dear", budget=0.05, in_flight=1)

    # Two rows cost two cents each, and of a third the input alone is worth what is left, or nearly.
    assert list(frame["status"])[:2] == ["complete", "complete"]
    assert list(frame["status"])[3] == "not asked"
    assert 2 <= len(backend.requests) <= 3


def test_what_is_no_chat_counts_and_stops_too(session: Session) -> None:
    """Where a session's budget is spent, other endpoints are not asked either."""
    session.gate.require()
    session.config.session["budget"] = "0.01"
    session.gate.require()
    session.ledger.add(row(cost_usd=0.02))

    with pytest.raises(BudgetExceededError, match=r"\$0.0200 of \$0.0100 spent"):
        session.gate.require()


# What people see


def test_dry_run_tells_what_would_be_sent(session: Session) -> None:
    """Pieces, pictures, tools, window, price, and why it would not be sent."""
    chat, backend = talk(session, model="gpt-4o")
    chat.system = "Be brief."
    chat.ask("first")
    tool = {"type": "function", "function": {"name": "roll", "description": "rolls"}}
    prompt = Message(role="user", parts=(TextPart(text="look"), PICTURE))
    plan = session.plan(Ask(prompt=(prompt,), conversation=chat, backend=backend, is_kept=False))
    plan = replace(plan, request=replace(plan.request, tools=(tool,)))

    lines = plan_bundle(session, plan)["text/plain"].splitlines()

    total = measure(plan).tokens
    assert f"tokens: ~{total} in, $0.00073 for the input" in lines
    assert lines[3] == "made of: system 7, turn 1 11, prompt 260, tools 13, frame 3"
    assert "pictures: 1, 255 of the tokens" in lines
    assert "tools: roll" in lines
    assert f"window: 128,000, ~{128_000 - total:,} left" in lines
    assert not any("would not" in line for line in lines)
    assert len(backend.requests) == 1

    blind = replace(plan, request=replace(plan.request, model="gpt-4"))
    text = plan_bundle(session, blind)["text/plain"]
    called = Message(
        role="assistant", parts=(TextPart(text="hm"),), tool_calls=(ToolCall(id="c", name="roll", arguments="{}"),)
    )
    after = replace(plan, request=replace(plan.request, messages=(called,)))
    assert plan_bundle(session, after)["text/plain"].splitlines()[-1] == "assistant: hm [calls roll({})]"
    assert "it would not be sent: gpt-4 does not see pictures" in text


@pytest.mark.capability("I1", "I7")
def test_tokens_are_told_piece_by_piece(session: Session) -> None:
    """A row each, with fixed columns, that add up; what is left and what it costs in one line."""
    backend = ScriptedBackend()
    conversation = session.current
    assert isinstance(conversation, Conversation)
    conversation.backend, conversation.session, conversation.model = backend, session, "gpt-4o"
    session.config.session["api_key"] = "sk-test"
    conversation.system = "Be brief."
    conversation.ask("first")

    plan, measured = survey(session, "How many?")
    frame = tokens_frame(measured, has_prompt=True)

    assert list(frame["what"]) == ["system", "turn 1", "prompt", "frame"]
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "what": "string",
        "tokens": "Int64",
        "is_estimate": "boolean",
        "method": "string",
    }
    assert int(frame["tokens"].sum()) == measured.tokens
    assert not measured.is_estimate
    assert tokens_line(plan, measured) == (
        f"{measured.tokens} tokens of 128,000, {128_000 - measured.tokens:,} left; $0.000070 for the input"
    )
    assert "prompt" not in list(tokens_frame(survey(session, None)[1], has_prompt=False)["what"])
    assert fullness(session).endswith(" of 128,000 tokens used")
    conversation.model = "never-heard-of"
    assert fullness(session) == ""


def test_says_of_a_script_has_no_budget(session: Session) -> None:
    """Without a budget no tokenizer looks at an answer while it streams."""
    chat, _ = talk(session, says("one two"))

    chat.ask("a")

    assert session.gate.told() is None
    assert not session.gate.trial(
        session.plan(Ask(prompt=(message("user", "a"),), settings={"model": "local"}))
    ).is_bounded


@pytest.mark.capability("I1", "A8")
def test_a_session_tokenizes_for_its_model(session: Session) -> None:
    """That of the current conversation, else the default one, which can be configured."""
    assert session.tokenize("hello world") == [24912, 2375]

    session.config.session["model"] = "gpt-4"
    assert session.tokenize("hello world") == llm_magic.tokenize("hello world", "gpt-4") != [24912, 2375]
    assert session.tokenize("hello world", "gpt-5.4-mini") == [24912, 2375]
    by_environment = Config(environ={"LLM_MAGIC_MODEL": "gpt-5.5"})
    assert by_environment.get("model") == "gpt-5.5"


@pytest.mark.capability("I8", "I11", "I16")
def test_everything_a_server_tells_of_usage_is_kept(session: Session) -> None:
    """With the turn, in files and frames, what it does not tell as None; the main counts in the ledger."""
    usage = Usage(
        input_tokens=50,
        output_tokens=30,
        total_tokens=80,
        cached_tokens=10,
        cache_write_tokens=4,
        input_audio_tokens=5,
        input_image_tokens=6,
        input_text_tokens=39,
        reasoning_tokens=7,
        output_audio_tokens=8,
        accepted_prediction_tokens=2,
        rejected_prediction_tokens=1,
    )
    done = Completed(finish_reason="stop", model="m", service_tier="flex")
    chat, backend = talk(session, [Opened(), TextDelta(text="a"), UsageReport(usage=usage), done], [*says("b")])

    reply, plain = chat.ask("a"), chat.ask("b")

    assert (reply.usage, reply.service_tier, plain.service_tier) == (usage, "flex", None)
    assert Conversation.from_dict(chat.to_dict()).turns[0] == reply.turn
    assert Conversation.from_frame(chat.to_frame()).turns[0] == reply.turn
    kept = session.ledger.rows[0]
    assert (kept.cached_tokens, kept.reasoning_tokens, kept.total_tokens) == (10, 7, 80)
    # A server that tells nothing: counted here, and flagged.
    assert session.ledger.rows[1].is_estimate
    assert session.ledger.rows[1].input_tokens > 0
    assert {"organization", "is_estimate"} < set(session.ledger.to_frame().columns)
    assert len(backend.requests) == 2
