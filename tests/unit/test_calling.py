"""Calls of tools: which run, who is asked, what the model and the user are told, what is kept of them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from llm_magic import model_info
from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.content import ImagePart, ToolResult
from llm_magic.errors import ConfigurationError, SessionBusyError, ToolError
from llm_magic.events import Completed, NextRound, ToolProgress
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says
from llm_magic.tools import tool
from tests.fakes.tool_scripts import answered, begin, calls, sent, states, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_magic.events import Event
    from llm_magic.permission import Answer
    from llm_magic.run import Outcome


@pytest.fixture(autouse=True)
def known_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of which it is known that it calls functions: of another the user would be told so."""
    monkeypatch.setattr(model_info, "_registered", {"m": {"tools": True}})


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of its own, in which whatever is handed over runs."""
    made = Session(config=Config(environ={"LLM_MAGIC_TOOL_PERMISSION": "auto"}), conversation_type=Conversation)
    yield made
    made.close()


@pytest.fixture
def careful(session: Session) -> Session:
    """The same, in which the user is asked."""
    session.config.session["tool_permission"] = "ask"
    return session


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@tool(read_only=True)
def look(name: str) -> str:
    """Look something up."""
    return f"{name} is there"


# Round trips


@pytest.mark.capability("D19", "C24")
def test_results_go_back_to_the_model_in_the_order_of_its_calls(session: Session) -> None:
    """Two calls run at once, whichever ends first; each result is a message of its own, in the order of the calls."""
    is_second = threading.Event()

    def first() -> str:
        assert is_second.wait(60)
        return "one"

    def second() -> str:
        is_second.set()
        return "two"

    both = calls(("first", ""), ("second", "{}"), text="Let me see.")
    run = begin(session, both, says("Done."), tools=(first, second))
    turn = run.outcome().turn

    assert (turn.text, turn.status, turn.tool_calls, turn.finish_reason) == ("Done.", "complete", (), "stop")
    assert sent(run)[1] == [("user", "a"), ("assistant", "Let me see."), ("tool", "one"), ("tool", "two")]
    backend = run.plan.backend
    assert isinstance(backend, ScriptedBackend)
    assert [item.tool_call_id for item in backend.requests[1].messages] == [None, None, "c0", "c1"]
    assert [tool["function"]["name"] for tool in backend.requests[1].tools] == ["first", "second"]
    assert turn.tool_names == ("first", "second")
    (step,) = turn.steps
    assert (step.reason, step.text, step.finish_reason) == ("tools", "Let me see.", "tool_calls")
    assert all(result.latency_s is not None for result in step.results)


@pytest.mark.capability("D19")
def test_the_next_ask_sees_the_rounds_before_it(session: Session) -> None:
    """A turn with tools is context in the protocol's own form; what its text was before them is not lost."""
    chat = Conversation(session=session, model="m", backend=ScriptedBackend())
    answered(session, calls(("double", '{"number": 4}')), says("Eight."), tools=[double], conversation=chat)

    run = begin(session, says("Yes."), conversation=chat)
    run.outcome()

    assert sent(run)[0] == [("user", "a"), ("assistant", ""), ("tool", "8"), ("assistant", "Eight."), ("user", "a")]


@pytest.mark.capability("D7")
def test_a_name_no_tool_can_have_is_the_nearest_one_that_can(session: Session) -> None:
    """The tool runs; what is kept is the name the model wrote, what is sent again one that servers take."""

    def look_up(name: str) -> str:
        return f"{name}: 7"

    run = begin(session, calls(("look up", '{"name": "x"}'), ("look.down", "{}")), says("Seven."), tools=[look_up])
    turn = run.outcome().turn

    assert told(turn) == ["x: 7", "There is no tool 'look.down'. There is: look_up."]
    assert [call.name for call in turn.steps[0].tool_calls] == ["look up", "look.down"]


def test_events_tell_where_each_call_stands(careful: Session) -> None:
    """Numbers go on over all rounds; each state is told once; a further request is announced."""
    run = begin(
        careful,
        calls(("double", '{"number": 1}'), ("look", '{"name": "x"}')),
        calls(("double", '{"number": 2}')),
        says("Done."),
        tools=[double, look],
        answer="yes",
    )
    events = list(run)

    told_of = [(event.number, event.round, event.state) for event in events if isinstance(event, ToolProgress)]
    assert sorted(told_of[:5]) == sorted(
        [(0, 1, "asking"), (0, 1, "running"), (0, 1, "done"), (1, 1, "running"), (1, 1, "done")]
    )
    assert told_of[5:] == [(2, 2, "asking"), (2, 2, "running"), (2, 2, "done")]
    assert [(event.number, event.reason) for event in events if isinstance(event, NextRound)] == [
        (2, "tools"),
        (3, "tools"),
    ]
    asking = next(event for event in events if isinstance(event, ToolProgress) and event.state == "asking")
    assert asking.where.startswith("test_calling.py, line ")


@pytest.mark.capability("D16")
def test_a_forced_choice_holds_for_the_first_request_only(session: Session) -> None:
    """tool_choice and parallel_tool_calls are sent; one that forces a call would be kept to for ever."""
    params = {"tool_choice": "required", "parallel_tool_calls": False}
    run = begin(session, calls(("double", '{"number": 1}')), says("2"), tools=[double], params=params)
    run.outcome()

    backend = run.plan.backend
    assert isinstance(backend, ScriptedBackend)
    assert [dict(request.params) for request in backend.requests] == [params, {"parallel_tool_calls": False}]


@pytest.mark.capability("D16")
def test_a_tool_is_chosen_by_its_name(session: Session) -> None:
    """In the protocol's form, held to like any other; what is nearly a choice is refused, what servers know is not."""
    run = begin(session, says("2"), tools=[double], params={"tool_choice": "double"})
    run.outcome()

    chosen = {"type": "function", "function": {"name": "double"}}
    assert run.plan.request.params["tool_choice"] == chosen
    for typed, meant in (("requird", "required"), ("dubble", "double")):
        with pytest.raises(ConfigurationError, match=f"did you mean {meant}"):
            begin(session, says(""), tools=[double], params={"tool_choice": typed})
    for kept in ("any", "VALIDATED", chosen):
        run = begin(session, says(""), tools=[double], params={"tool_choice": kept})
        run.outcome()
        assert run.plan.request.params["tool_choice"] == kept


@pytest.mark.capability("C14")
def test_pictures_of_a_tool_follow_its_messages(session: Session) -> None:
    """A tool's message takes text only: its pictures come after all results, in a message of the user's."""
    picture = ImagePart(data=b"png", media_type="image/png", width=1, height=1)

    def draw() -> list[object]:
        return ["drawn", picture]

    run = begin(session, calls(("draw", ""), ("double", '{"number": 1}')), says("Nice."), tools=[draw, double])
    run.outcome()

    backend = run.plan.backend
    assert isinstance(backend, ScriptedBackend)
    assert [item.role for item in backend.requests[1].messages] == ["user", "assistant", "tool", "tool", "user"]
    assert picture in backend.requests[1].messages[-1].parts


# What does not run


@pytest.mark.capability("D11", "D20")
def test_arguments_that_do_not_fit_are_told_to_the_model(session: Session) -> None:
    """Broken JSON and wrong types are results; the raw text is kept; nothing runs."""
    run = begin(session, calls(("double", '{"number": 1'), ("double", '{"number": "x"}')), says("Oh."), tools=[double])
    shown = states(run)
    turn = run.outcome().turn

    assert shown == [(0, "failed"), (1, "failed")]
    assert [call.arguments for call in turn.steps[0].tool_calls] == ['{"number": 1', '{"number": "x"}']
    assert "not valid JSON" in told(turn)[0]
    assert "number" in told(turn)[1]
    assert all(result.is_error and result.latency_s is None for result in turn.steps[0].results)


@pytest.mark.capability("D13")
def test_a_tool_nobody_handed_over_is_told_to_both(session: Session) -> None:
    """The model reads what there is; the user reads a line."""
    turn = answered(session, calls(("triple", "{}")), says("Sorry."), tools=[double])

    assert told(turn) == ["There is no tool 'triple'. There is: double."]
    assert turn.notices == ("the model called 'triple', which was not handed over",)
    assert turn.text == "Sorry."


@pytest.mark.capability("D12")
def test_a_promised_call_that_does_not_come_is_a_line(session: Session) -> None:
    """finish_reason tool_calls without a call is a notice beside the text."""
    script = [*says("Hm.")[:-1], Completed(finish_reason="tool_calls")]
    turn = answered(session, script, tools=[double])

    assert (turn.text, turn.status) == ("Hm.", "complete")
    assert turn.notices == ("the model says that it calls a tool, and names none",)


@pytest.mark.capability("D14")
def test_calls_without_tools_are_left_as_they_are(session: Session) -> None:
    """Where no tool was handed over a call is kept, and the text is the answer."""
    turn = answered(session, calls(("double", "{}"), text="I would double."))

    assert (turn.text, turn.status, turn.steps, turn.notices) == ("I would double.", "complete", (), ())
    assert [call.name for call in turn.tool_calls] == ["double"]


def test_calls_of_a_schema_are_handed_back(session: Session) -> None:
    """A tool without a function ends the turn: its calls, and those beside them, are the user's."""
    schema = {"name": "order", "parameters": {"type": "object", "properties": {}}}
    turn = answered(session, calls(("order", "{}"), ("double", "{}")), says("never"), tools=[schema, double])

    assert [call.name for call in turn.tool_calls] == ["order", "double"]
    assert (turn.steps, turn.status, turn.finish_reason) == ((), "complete", "tool_calls")


def test_a_call_that_was_cut_off_does_not_run(session: Session) -> None:
    """At the limit of tokens a call may look whole and not be."""
    turn = answered(session, calls(("double", '{"number": 1}'), finish_reason="length"), tools=[double])

    assert turn.steps == ()
    assert turn.notices == ("the answer was cut off in a tool call, which was not run",)


@pytest.mark.capability("D20")
def test_what_a_tool_raises_is_a_result(session: Session) -> None:
    """An exception is told in a line, with type and place; the turn goes on."""

    def fail() -> None:
        raise ValueError("no such walk")

    run = begin(session, calls(("fail", "")), says("I see."), tools=[fail])
    shown = states(run)
    turn = run.outcome().turn

    assert shown == [(0, "running"), (0, "failed")]
    assert told(turn)[0].startswith("ValueError: no such walk (test_calling.py, line ")
    assert (turn.text, turn.steps[0].results[0].is_error) == ("I see.", True)


@pytest.mark.capability("D19")
def test_rounds_are_limited(session: Session) -> None:
    """At the limit the turn ends with its calls, and a line that names the setting."""
    session.config.session["tool_rounds"] = 2
    run = begin(session, calls(("double", '{"number": 1}'), text="More."), tools=[double])
    turn = run.outcome().turn

    assert len(sent(run)) == 3
    assert (len(turn.steps), len(turn.tool_calls), turn.text, turn.status) == (2, 1, "More.", "complete")
    (line,) = turn.notices
    assert line.startswith("2 rounds of tools are used up")
    assert "%chat config tool_rounds=4" in line


def test_a_call_that_takes_too_long_is_given_up(session: Session) -> None:
    """The model and the user read that it still runs; the turn goes on."""
    session.config.session["tool_timeout_s"] = 0.05
    end = threading.Event()

    def wait() -> None:
        end.wait(60)

    turn = answered(session, calls(("wait", "")), says("Then not."), tools=[wait])
    end.set()

    assert "did not end within 0.05 s; it still runs" in told(turn)[0]
    assert turn.notices == ("wait still runs: a function in a thread cannot be ended from outside",)
    assert turn.text == "Then not."


# Permission


@pytest.mark.capability("D19")
@pytest.mark.parametrize(("answer", "result"), [("yes", "2"), ("no", "The user denied this call.")])
def test_the_user_is_asked(careful: Session, answer: Answer, result: str) -> None:
    """Yes runs it; no is told to the model."""
    run = begin(careful, calls(("double", '{"number": 1}')), says("Well."), tools=[double], answer=answer)
    shown = states(run)
    turn = run.outcome().turn

    assert told(turn) == [result]
    assert shown == [(0, "asking"), *([(0, "running"), (0, "done")] if answer == "yes" else [(0, "denied")])]
    assert turn.steps[0].results[0].is_denied == (answer == "no")


def test_always_holds_for_this_function_in_this_session(careful: Session) -> None:
    """Later calls are not asked for; a function defined anew under the name is."""
    twice = calls(("double", '{"number": 1}'), ("double", '{"number": 2}'))
    first = begin(careful, twice, says("."), tools=[double], answer="always")
    assert told(first.outcome().turn) == ["2", "4"]

    later = begin(careful, calls(("double", '{"number": 3}')), says("."), tools=[double], is_attended=True)
    assert states(later) == [(0, "running"), (0, "done")]

    def anew(number: int) -> int:
        return number

    anew.__name__ = "double"
    other = begin(careful, calls(("double", '{"number": 3}')), says("."), tools=[anew], answer="no")
    assert states(other) == [(0, "asking"), (0, "denied")]


def test_an_always_answers_what_is_asked_at_the_same_time(careful: Session) -> None:
    """Two questions about one function are answered by one word."""
    run = begin(
        careful,
        calls(("double", '{"number": 1}'), ("double", '{"number": 2}')),
        says("."),
        tools=[double],
        is_attended=True,
    )
    open_ones: list[ToolProgress] = []

    def answer_when_both_are_asked(one: Event | Outcome) -> None:
        if isinstance(one, ToolProgress) and one.question is not None:
            open_ones.append(one)
            if len(open_ones) == 2:
                one.question.answer("always")

    run.listen(answer_when_both_are_asked)

    assert told(run.outcome().turn) == ["2", "4"]


def test_what_nobody_can_be_asked_is_denied(careful: Session) -> None:
    """One line says so; what only reads runs."""
    run = begin(careful, calls(("double", '{"number": 1}'), ("look", '{"name": "x"}')), says("."), tools=[double, look])
    turn = run.outcome().turn

    assert told(turn) == ["The call was denied: nobody could be asked: the ask is not watched.", "x is there"]
    (line,) = turn.notices
    assert line.startswith("double was not run: nobody could be asked")


def test_never_runs_nothing(careful: Session) -> None:
    """Not even what only reads."""
    careful.config.session["tool_permission"] = "never"
    run = begin(careful, calls(("look", '{"name": "x"}')), says("."), tools=[look], answer="yes")

    assert states(run) == [(0, "denied")]
    assert told(run.outcome().turn) == ["The call was denied: the setting tool_permission is never."]


# From inside a tool


def test_a_conversation_asked_by_its_own_tool_is_busy(session: Session) -> None:
    """In whatever thread the tool runs: it is an error at once, not a wait for ever. An aside is answered."""
    chat = Conversation(name="main", session=session, model="m", backend=ScriptedBackend([says("inside")]))

    def kept() -> str:
        with pytest.raises(SessionBusyError, match="asked by a tool of its own answer"):
            chat.ask("deeper")
        return "busy"

    def aside() -> str:
        return chat.ask("beside", keep=False).text

    turn = answered(session, calls(("kept", ""), ("aside", "")), says("."), tools=[kept, aside], conversation=chat)

    assert told(turn) == ["busy", "inside"]
    assert len(chat.slots) == 1


def test_a_place_is_free_while_tools_run(session: Session) -> None:
    """With one request at a time a tool can ask a model all the same."""
    session.config.session["max_in_flight"] = 1
    other = Conversation(session=session, model="m", backend=ScriptedBackend([says("inner")]))

    def ask() -> str:
        return other.ask("inner").text

    assert told(answered(session, calls(("ask", "")), says("."), tools=[ask])) == ["inner"]


def test_async_tools_run_on_the_engine(session: Session) -> None:
    """A coroutine is awaited, several at once."""
    first_waits = asyncio.Event()

    async def first() -> str:
        await first_waits.wait()
        return "one"

    async def second() -> str:
        first_waits.set()
        return "two"

    turn = answered(session, calls(("first", ""), ("second", "")), says("."), tools=[first, second])

    assert told(turn) == ["one", "two"]


# Tools and the turns after


def test_retry_finds_the_tools_by_name(session: Session) -> None:
    """They are asked with again; a session that was not handed them says what to do."""
    one, two = (calls(("double", f'{{"number": {number}}}')) for number in (1, 2))
    backend = ScriptedBackend([one, says("2"), two, says("4")])
    chat = Conversation(session=session, model="m", backend=backend)
    chat.ask("a", tools=[double])

    reply = chat.retry()

    assert reply.text == "4"
    assert reply.turn.tool_names == ("double",)
    assert told(reply.turn) == ["4"]
    other = Session(config=Config(environ={}), conversation_type=Conversation)
    with pytest.raises(ToolError, match="double, which this session was not handed"):
        Conversation(slots=chat.slots, session=other, model="m", backend=backend).retry()
    other.close()


@pytest.mark.capability("D8")
def test_tools_for_a_model_that_calls_none_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent, and what is known of a model can be said anew."""
    monkeypatch.setattr(model_info, "_registered", {})
    model_info.register_model("m", tools=False)
    backend = ScriptedBackend()
    chat = Conversation(session=session, model="m", backend=backend)

    with pytest.raises(ConfigurationError, match=r"m does not call functions.*--force"):
        chat.ask("a", tools=[double])

    assert backend.requests == []
    model_info.register_model("m", tools=True)
    assert chat.ask("a", tools=[double]).text == "Hello."


def test_a_result_of_the_users_own_passes_as_it_is(session: Session) -> None:
    """A tool that fails by a value of its own is a failed call."""

    def refuse() -> ToolResult:
        return ToolResult(call_id="", name="", is_error=True)

    run = begin(session, calls(("refuse", "")), says("."), tools=[refuse])

    assert states(run) == [(0, "running"), (0, "failed")]
