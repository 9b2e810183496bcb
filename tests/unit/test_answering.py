"""A turn of several requests: its sums and its rows, where it is cut, who is asked, and on which thread tools run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic import export
from llm_magic.answering import Answer, Answering, Next, Said
from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import ImagePart, TextPart, message
from llm_magic.counts import Usage
from llm_magic.errors import BackendTimeoutError, ConfigurationError, Interrupted, RequestRejectedError
from llm_magic.events import NextRound, Notice, Retrying, TextDelta, ToolCallDelta, ToolProgress
from llm_magic.rounds import Places
from llm_magic.session import Session
from llm_magic.store import Store
from llm_magic.testing import ScriptedBackend, says
from llm_magic.tools import tool
from llm_magic.watch import watch
from tests.fakes.sessions import kept_session
from tests.fakes.sessions import talk as kept_talk
from tests.fakes.tool_scripts import answered, begin, calls, sent, states, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llm_magic.events import Event
    from llm_magic.run import Outcome, Run
    from llm_magic.turns import Step

ONE = Usage(input_tokens=20, output_tokens=2, total_tokens=22)


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of its own, in which whatever is handed over runs."""
    made = Session(config=Config(environ={"LLM_MAGIC_TOOL_PERMISSION": "auto"}), conversation_type=Conversation)
    yield made
    made.close()


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def talk(session: Session, *scripts: Any, model: str = "m") -> Conversation:
    """A conversation with a scripted backend."""
    return Conversation(name="talk", session=session, model=model, backend=ScriptedBackend(scripts))


def when(run: Run, holds: Callable[[Event], bool], do: Callable[[], object]) -> None:
    """Do something at the first event like this."""
    done: list[Event] = []

    def look(one: Event | Outcome) -> None:
        if not done and isinstance(one, Notice | ToolProgress | TextDelta) and holds(one):
            done.append(one)
            do()

    run.listen(look)


def is_running(event: Event) -> bool:
    """A tool runs."""
    return isinstance(event, ToolProgress) and event.state == "running"


# Sums and rows


@pytest.mark.capability("D19", "I9")
def test_a_turn_is_the_sum_of_its_requests(session: Session) -> None:
    """Usage and cost of the turn are those of all rows; each row has its own number, tokens and price."""
    chat = talk(session, calls(("double", '{"number": 1}')), says("Two.", usage=ONE), model="gpt-4o-mini")
    turn = chat.ask("a", tools=[double]).turn
    first, second = session.ledger.rows

    assert [(row.round, row.input_tokens, row.status) for row in (first, second)] == [
        (1, 10, "complete"),
        (2, 20, "complete"),
    ]
    assert turn.usage == Usage(input_tokens=30, output_tokens=3, total_tokens=33)
    assert first.cost_usd
    assert second.cost_usd
    assert turn.cost_usd == pytest.approx(first.cost_usd + second.cost_usd)
    assert (turn.steps[0].usage.input_tokens, turn.steps[0].cost_usd) == (10, first.cost_usd)
    assert first.at <= second.at
    assert turn.at == first.at
    assert turn.latency_s is not None
    assert second.latency_s is not None
    assert turn.latency_s >= second.latency_s


def test_one_unknown_price_makes_the_turns_unknown(session: Session) -> None:
    """A sum of what is known would look like a total."""
    turn = answered(session, calls(("double", '{"number": 1}')), says("Two.", usage=ONE), tools=[double])

    assert turn.cost_usd is None
    assert not turn.usage.is_estimate


def test_a_request_without_usage_makes_the_sum_an_estimate(session: Session) -> None:
    """Counted here, and flagged, in the row of that request only."""
    turn = answered(session, calls(("double", '{"number": 1}')), says("Two."), tools=[double])

    assert [row.is_estimate for row in session.ledger.rows] == [False, True]
    assert turn.usage.is_estimate


def test_a_failure_keeps_the_rounds_before_it(session: Session) -> None:
    """The turn has failed; what was called and given is kept, every request has its row, and it can be gone on with."""
    refused = RequestRejectedError("Too long.")
    chat = talk(session, calls(("double", '{"number": 1}')), [refused], says("Two."))

    with pytest.raises(RequestRejectedError):
        chat.ask("a", tools=[double])

    turn = chat.slots[0].latest
    assert turn is not None
    assert (turn.status, turn.text, turn.error) == ("failed", "", "Too long.")
    assert told(turn) == ["2"]
    assert [(row.round, row.status) for row in session.ledger.rows] == [(1, "complete"), (2, "failed")]
    assert not chat.turns

    reply = chat.go_on()

    assert reply.text == "Two."
    assert reply.turn.steps == turn.steps
    backend = chat.backend
    assert isinstance(backend, ScriptedBackend)
    assert [item.role for item in backend.requests[2].messages] == ["user", "assistant", "tool"]
    assert chat.turns == (reply.turn,)


def test_calls_get_ids_where_servers_give_none(session: Session) -> None:
    """Each result answers one call: without an id, or with the id of another, a call gets one."""
    script = calls(("double", '{"number": 1}'), ("double", '{"number": 2}'), ("double", '{"number": 3}'))
    deltas = [replace(one, id="same" if one.index < 2 else "") for one in script if isinstance(one, ToolCallDelta)]
    turn = answered(session, [*deltas, *script[3:]], says("."), tools=[double])

    assert [call.id for call in turn.steps[0].tool_calls] == ["same", "call00001", "call00002"]
    assert [result.call_id for result in turn.steps[0].results] == ["same", "call00001", "call00002"]
    assert told(turn) == ["2", "4", "6"]


def test_retries_of_all_requests_count(session: Session) -> None:
    """Each row has its own, the turn all of them."""
    again = Retrying(attempt=1, max_retries=2, wait_s=0.0, reason="rate limited")
    script = calls(("double", '{"number": 1}'))
    turn = answered(session, [again, *script], [again, *says("Two.")], tools=[double])

    assert [row.retries for row in session.ledger.rows] == [1, 1]
    assert (turn.retries, turn.steps[0].retries) == (2, 1)


def test_an_answer_that_broke_off_calls_nothing(session: Session) -> None:
    """Without the end of its stream nobody knows whether a call is whole."""
    turn = answered(session, calls(("double", '{"number": 1}'))[:-1], tools=[double])

    assert (turn.status, turn.steps) == ("truncated", ())
    assert [call.name for call in turn.tool_calls] == ["double"]


# Interrupts


def test_an_interrupt_in_a_later_request_keeps_the_rounds(session: Session) -> None:
    """Its text so far is the turn's; what goes on from it sends the rounds again, and calls nothing anew."""
    waiting = [TextDelta(text="It is "), 60.0, *says("never")]
    run = begin(session, calls(("double", '{"number": 1}')), waiting, tools=[double])
    when(run, lambda event: isinstance(event, TextDelta), run.cancel)
    turn = run.outcome().turn

    assert (turn.status, turn.text, len(turn.steps)) == ("interrupted", "It is ", 1)
    assert [(row.round, row.status) for row in session.ledger.rows] == [(1, "complete"), (2, "interrupted")]

    chat = run.plan.conversation
    assert isinstance(chat, Conversation)
    chat.backend = ScriptedBackend([says(" two.")], continues="prefix")
    reply = chat.go_on()

    assert reply.text == "It is two."
    assert reply.turn.steps == turn.steps
    assert [item.role for item in chat.backend.requests[0].messages] == ["user", "assistant", "tool", "assistant"]


def test_an_answer_that_is_gone_on_with_may_call_tools(session: Session) -> None:
    """The request after it holds what was said as one message, and nothing of how it was put together."""
    chat = talk(session, [TextDelta(text="I will "), 60.0])
    run = session.ask(Ask(prompt=(message("user", "a"),), conversation=chat, backend=chat.backend))
    when(run, lambda event: isinstance(event, TextDelta), run.cancel)
    assert run.outcome().turn.text == "I will "
    script = calls(("double", '{"number": 1}'), text="I will double.")
    chat.backend = ScriptedBackend([script, says("Two.")], continues="ask")

    reply = chat.go_on(tools=[double])

    assert reply.text == "Two."
    assert [item.role for item in chat.backend.requests[0].messages] == ["user", "assistant", "user"]
    assert [(item.role, item.text) for item in chat.backend.requests[1].messages] == [
        ("user", "a"),
        ("assistant", reply.turn.steps[0].text),
        ("tool", "2"),
    ]
    assert reply.turn.steps[0].text.startswith("I will")


def test_an_interrupt_of_a_running_thread_says_that_it_goes_on(session: Session) -> None:
    """The turn ends at once; what other calls gave is kept; what has no result says so."""
    end = threading.Event()

    def wait() -> None:
        end.wait(60)

    run = begin(session, calls(("double", '{"number": 1}'), ("wait", "")), tools=[double, wait])
    finished: set[int] = set()

    def stop_when_one_is_left(one: Event | Outcome) -> None:
        if isinstance(one, ToolProgress) and (one.state == "done" or (one.state == "running" and one.number == 1)):
            finished.add(one.number)
            if finished == {0, 1}:
                run.cancel()

    run.listen(stop_when_one_is_left)
    turn = run.outcome().turn
    end.set()

    assert (turn.status, turn.text, turn.tool_calls) == ("interrupted", "", ())
    assert told(turn) == ["2", "The turn was ended before this call had a result."]
    assert turn.notices[-1:] == ("wait still runs: a function in a thread cannot be ended from outside",)
    assert [(row.round, row.status) for row in session.ledger.rows] == [(1, "complete")]

    chat = run.plan.conversation
    assert isinstance(chat, Conversation)
    chat.backend = ScriptedBackend([says("Two, then.")])
    assert chat.go_on().text == "Two, then."
    assert [item.text for item in chat.backend.requests[0].messages[2:]] == told(turn)


def test_an_interrupt_cancels_a_coroutine(session: Session) -> None:
    """It is cancelled on the engine's loop, and nothing goes on."""
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    run = begin(session, calls(("wait", "")), tools=[wait])
    when(run, is_running, run.cancel)
    turn = run.outcome().turn

    assert cancelled.wait(60)
    assert turn.status == "interrupted"
    assert not any("still runs" in line for line in turn.notices)


def test_an_interrupt_in_a_question_closes_it(session: Session) -> None:
    """Nothing has run: the turn has the call and its text, and cannot be gone on with."""
    session.config.session["tool_permission"] = "ask"
    run = begin(session, calls(("double", '{"number": 1}'), text="Hm."), tools=[double], is_attended=True)
    asked: list[ToolProgress] = []

    def stop(one: Event | Outcome) -> None:
        if isinstance(one, ToolProgress) and one.state == "asking":
            asked.append(one)
            run.cancel()

    run.listen(stop)
    turn = run.outcome().turn

    assert (turn.status, turn.text, turn.steps) == ("interrupted", "Hm.", ())
    assert [call.name for call in turn.tool_calls] == ["double"]
    assert asked[0].question is not None
    assert not asked[0].question.is_open
    assert not asked[0].question.answer("yes")
    chat = run.plan.conversation
    assert isinstance(chat, Conversation)
    with pytest.raises(ConfigurationError, match="calls a tool"):
        chat.go_on()


# Time


def test_the_time_of_a_turn_is_that_of_all_its_requests(session: Session) -> None:
    """Tools count; the turn keeps what they gave."""

    async def wait() -> None:
        await asyncio.sleep(60)

    run = begin(session, calls(("double", '{"number": 1}')), calls(("wait", "")), tools=[double, wait], timeout_s=2.0)
    outcome = run.outcome()

    assert isinstance(outcome.error, BackendTimeoutError)
    assert (outcome.turn.status, outcome.turn.error) == ("failed", "No whole answer within 2.0 s.")
    assert [told(outcome.turn, step) for step in (0, 1)] == [
        ["2"],
        ["The turn was ended before this call had a result."],
    ]


def test_the_users_time_does_not_count(session: Session) -> None:
    """A question may stay open for longer than the turn has; two at once as well."""
    session.config.session["tool_permission"] = "ask"
    twice = calls(("double", '{"number": 1}'), ("double", '{"number": 2}'))
    run = begin(session, twice, says("."), tools=[double], is_attended=True, timeout_s=2.0)
    late: list[threading.Timer] = []

    def answer_late(one: Event | Outcome) -> None:
        if isinstance(one, ToolProgress) and one.question is not None:
            late.append(threading.Timer(2.2, one.question.answer, ("yes",)))
            late[-1].start()

    run.listen(answer_late)
    outcome = run.outcome()

    assert outcome.error is None
    assert told(outcome.turn) == ["2", "4"]


# Who answers, and where functions run


def test_a_stream_denies_what_is_not_answered(session: Session) -> None:
    """The next event is taken without an answer: that is a no."""
    session.config.session["tool_permission"] = "ask"
    chat = talk(session, calls(("double", '{"number": 1}')), says("."))

    events = list(chat.stream("a", tools=[double]))

    assert [event.state for event in events if isinstance(event, ToolProgress)] == ["asking", "denied"]
    assert "nobody answered" in told(chat.turns[0])[0]


def test_a_stream_runs_what_is_allowed_in_it(session: Session) -> None:
    """The answer is given with the event; in the awaited form too."""
    session.config.session["tool_permission"] = "ask"
    chat = talk(session, calls(("double", '{"number": 1}')), says("."), calls(("double", '{"number": 2}')), says("."))

    for event in chat.stream("a", tools=[double]):
        if isinstance(event, ToolProgress) and event.question is not None:
            event.question.answer("yes")

    async def consume() -> None:
        async for event in chat.astream("b", tools=[double]):
            if isinstance(event, ToolProgress) and event.question is not None:
                event.question.answer("yes")

    asyncio.run(consume())
    assert [told(turn) for turn in chat.turns] == [["2"], ["4"]]


def test_each_request_has_its_own_snapshots(session: Session) -> None:
    """What a model says before it calls is not part of the answer."""
    chat = talk(session, calls(("double", '{"number": 1}'), text="Let me see."), says("It is two."))

    snapshots = [event.snapshot for event in chat.stream("a", tools=[double]) if isinstance(event, TextDelta)]

    assert snapshots == ["Let me see.", "It ", "It is ", "It is two."]


def test_an_awaited_ask_asks_nobody(session: Session) -> None:
    """What needs a word does not run; one line says so."""
    session.config.session["tool_permission"] = "ask"
    chat = talk(session, calls(("double", '{"number": 1}')), says("."))

    reply = asyncio.run(chat.aask("a", tools=[double]))

    assert reply.turn.steps[0].results[0].is_denied
    assert reply.turn.notices[-1].startswith("double was not run: nobody could be asked")


@tool(runs_on="main")
def where() -> str:
    """Say which thread this is."""
    return threading.current_thread().name


def test_main_tools_run_on_the_thread_that_watches(session: Session) -> None:
    """In a blocking call they do; where nobody blocks they cannot, and the model is told."""
    chat = talk(session, calls(("where", ""), ("where", "")), says("."))
    name = threading.current_thread().name

    assert told(chat.ask("a", tools=[where]).turn) == [name, name]
    turn = asyncio.run(chat.aask("b", tools=[where], keep=False)).turn
    assert turn.steps == ()  # the last script answers all further requests
    awaited = answered(session, calls(("where", "")), says("."), tools=[where])
    assert "main thread" in told(awaited)[0]
    assert awaited.steps[0].results[0].is_error
    elsewhere = talk(session, calls(("where", "")), says("."))
    thread = threading.Thread(target=elsewhere.ask, args=("c",), kwargs={"tools": [where]})
    thread.start()
    thread.join(60)
    assert "main thread" in told(elsewhere.turns[0])[0]


def test_main_tools_run_one_after_the_other(session: Session) -> None:
    """The time of a call does not begin while another holds the thread."""
    chat = talk(session, calls(("where", ""), ("where", "")), says("."))
    ask = Ask(prompt=(message("user", "a"),), conversation=chat, backend=chat.backend, tools=(where,), is_watched=True)
    seen: list[tuple[int, str]] = []

    def start() -> Run:
        run = session.ask(ask)
        run.listen(lambda one: seen.append((one.number, one.state)) if isinstance(one, ToolProgress) else None)
        return run

    watch(start)

    assert seen == [(0, "running"), (0, "done"), (1, "running"), (1, "done")]


def test_an_interrupt_of_an_ask_inside_a_tool_is_one_of_all(session: Session) -> None:
    """Whatever the user interrupted in the function, the turn it belongs to ends."""

    @tool(runs_on="main")
    def interrupted() -> None:
        """Be interrupted."""
        raise Interrupted("nothing had arrived")

    chat = talk(session, calls(("interrupted", "")), [60.0])
    with pytest.raises(Interrupted):
        chat.ask("a", tools=[interrupted])

    assert [slot.latest.status for slot in chat.slots if slot.latest] == ["interrupted"]


def test_an_interrupt_hits_the_function_on_the_main_thread(session: Session) -> None:
    """Ctrl-C ends the function, not only the answer."""
    was_hit: list[bool] = []

    @tool(runs_on="main")
    def long() -> None:
        """Take long."""
        try:
            signal.raise_signal(signal.SIGINT)
            was_hit.append(False)
        except KeyboardInterrupt:
            was_hit.append(True)
            raise

    chat = talk(session, calls(("long", "")), says("."))
    with pytest.raises(Interrupted):
        chat.ask("a", tools=[long])

    assert was_hit == [True]
    turn = chat.slots[0].latest
    assert turn is not None
    assert turn.status == "interrupted"
    assert chat.ask("b").text == "."


def test_stop_ends_the_function_on_the_main_thread(session: Session) -> None:
    """The button works while the thread it would interrupt is in a tool."""
    begun, never = threading.Event(), threading.Event()

    @tool(runs_on="main")
    def long() -> None:
        """Take long."""
        begun.set()
        for _ in range(6000):
            never.wait(0.01)

    def stop() -> None:
        assert begun.wait(60)
        session.cancel()

    chat = talk(session, calls(("long", "")), says("."))
    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted):
        chat.ask("a", tools=[long])
    thread.join(60)

    turn = chat.slots[0].latest
    assert turn is not None
    assert turn.status == "interrupted"


# What follows on a request


class Repair:
    """A strategy that asks once more where the answer has no full stop."""

    def __init__(self) -> None:
        self.seen: list[Said] = []

    async def after(self, said: Said, tell: Callable[[Event], None]) -> Next | None:
        self.seen.append(said)
        if said.turn.text.endswith("."):
            return None
        tell(Notice(text="asked again"))
        again = (*said.messages, message("assistant", said.turn.text), message("user", "with a full stop"))
        reason = "fallback" if said.error else "repair"
        step = said.step(reason, error=None if said.error else "no full stop")  # type: ignore[arg-type]  # one of two
        return Next(request=replace(said.request, messages=again), step=step, text="once more")

    def cut(self, said: Said) -> Step | None:
        return None


def test_strategies_decide_what_follows(session: Session) -> None:
    """A try that did not fit and a refused form are steps, rows, and nothing of them is context later."""
    chat = talk(session, says("one"), [RequestRejectedError("No schemas.")], says("two."))
    plan = session.plan(Ask(prompt=(message("user", "a"),), conversation=chat, backend=chat.backend))
    events: list[Event] = []
    repair = Repair()
    noted: list[int] = []

    async def work() -> Any:
        answering = Answering(
            plan,
            emit=events.append,
            places=Places(lambda: 1),
            strategies=(repair,),
            note_round=lambda _turn, number: noted.append(number),
        )
        return await answering.answer()

    answer = session.run(work())

    assert (answer.turn.text, answer.turn.status, answer.error) == ("two.", "complete", None)
    assert [(step.reason, step.text, step.error) for step in answer.turn.steps] == [
        ("repair", "one", "no full stop"),
        ("fallback", "", "No schemas."),
    ]
    assert [turn.status for turn in answer.rounds] == ["complete", "failed", "complete"]
    assert [said.number for said in repair.seen] == [1, 2, 3]
    assert noted == [1, 2]
    assert [(event.number, event.text) for event in events if isinstance(event, NextRound)] == [
        (2, "once more"),
        (3, "once more"),
    ]
    assert answer.turn.notices == ("asked again", "asked again")
    assert [item.text for item in answer.turn.messages()] == ["a", "two."]


def test_a_draft_holds_the_rounds_so_far(session: Session) -> None:
    """If the process is killed in the second request, or between two, nothing that was paid for is lost."""
    chat = talk(session, says("one", usage=ONE), says("two."))
    plan = session.plan(Ask(prompt=(message("user", "a"),), conversation=chat, backend=chat.backend))
    drafts: list[Answer] = []

    class Drafting(Repair):
        async def after(self, said: Said, tell: Callable[[Event], None]) -> Next | None:
            drafts.append(answering.draft())
            return await super().after(said, tell)

    def emit(event: Event) -> None:
        if isinstance(event, TextDelta):
            drafts.append(answering.draft())

    answering = Answering(plan, emit=emit, places=Places(lambda: 1), strategies=(Drafting(),))

    async def work() -> Answer:
        return await answering.answer()

    session.run(work())

    first, between, second, _ = drafts
    assert [(len(draft.rounds), len(draft.turn.steps)) for draft in (first, between, second)] == [
        (1, 0),
        (1, 0),
        (2, 1),
    ]
    assert [draft.turn.text for draft in (first, between, second)] == ["one", "one", "two."]
    assert {(draft.turn.status, draft.turn.error) for draft in drafts} == {("interrupted", "the kernel ended")}
    assert between.turn.usage == ONE
    assert second.rounds[0].usage == ONE
    assert second.turn.usage.is_estimate


def test_a_check_ends_an_answer(session: Session) -> None:
    """What looks at every event may end the stream, as a budget does; what came is kept."""
    chat = talk(session, says("one two three"))
    plan = session.plan(Ask(prompt=(message("user", "a"),), conversation=chat, backend=chat.backend))

    def check(_request: object, builder: Any) -> None:
        if "two" in builder.text:
            raise ConfigurationError("Enough.")

    async def work() -> Any:
        return await Answering(plan, emit=lambda _: None, places=Places(lambda: 1), checks=(check,)).answer()

    answer = session.run(work())

    assert (answer.turn.text, answer.turn.status, answer.turn.error) == ("one two ", "truncated", "Enough.")
    assert isinstance(answer.error, ConfigurationError)


# What is kept


def test_turns_with_tools_leave_and_come_back(session: Session) -> None:
    """In a frame, a dict and JSON Lines: a row or line for each message, and tokens once."""
    chat = talk(session, calls(("double", '{"number": 1}'), text="Let me see."), says("Two.", usage=ONE))
    chat.ask("a", tools=[double])
    frame = chat.to_frame()

    assert list(frame["role"]) == ["user", "assistant", "tool", "assistant"]
    assert list(frame["text"]) == ["a", "Let me see.", "2", "Two."]
    assert frame["tool_calls"].notna().tolist() == [False, True, False, False]
    assert list(frame["tool_call_id"].fillna("")) == ["", "", "c0", ""]
    assert frame["input_tokens"].notna().tolist() == [False, False, False, True]
    assert frame["input_tokens"].sum() == 30
    assert export.from_frame(frame).slots == chat.slots
    assert export.from_dict(chat.to_dict()).slots == chat.slots
    (line,) = chat.to_jsonl().splitlines()
    assert [item["role"] for item in json.loads(line)["messages"]] == list(frame["role"])
    again = export.from_jsonl(chat.to_jsonl())
    assert again.context().messages == chat.context().messages


def test_turns_with_tools_are_stored(tmp_path: Path) -> None:
    """Steps, pictures of tools and all rows come back from the file."""
    picture = ImagePart(data=b"\x89PNG", media_type="image/png", width=1, height=1)

    def draw() -> list[object]:
        return ["drawn", picture]

    with kept_session(tmp_path / "store.db") as session:
        chat = kept_talk(session, calls(("draw", "")), says("Nice.", usage=ONE))
        session.config.session["tool_permission"] = "auto"
        turn = chat.ask("a", tools=[draw]).turn

    with contextlib.closing(Store(str(tmp_path / "store.db"))) as store:
        (kept,) = store.read(chat.id).turns
        rows = store.ledger()
    assert kept == turn
    assert picture in kept.steps[0].results[0].parts
    assert [(row.round, row.input_tokens) for row in rows] == [(1, 10), (2, 20)]


def test_an_aside_is_stored_row_by_row(tmp_path: Path) -> None:
    """It has no turn in the store, and each of its requests once."""
    with kept_session(tmp_path / "store.db") as session:
        chat = kept_talk(session, calls(("double", '{"number": 1}')), says("Two.", usage=ONE))
        session.config.session["tool_permission"] = "auto"
        chat.ask("a", tools=[double], keep=False)

    with contextlib.closing(Store(str(tmp_path / "store.db"))) as store:
        assert [(row.round, row.kind) for row in store.ledger()] == [(1, "aside"), (2, "aside")]


def test_markdown_tells_what_tools_gave(session: Session) -> None:
    """Calls and results stand in fences, before the answer."""

    def hostile() -> str:
        return "```\n# not a heading"

    chat = talk(session, calls(("hostile", "{}"), text="Let me see."), says("Well."))
    chat.ask("a", tools=[hostile])
    text = chat.to_markdown()

    assert (
        text.index("### Tools") < text.index("Let me see.") < text.index("Calls hostile") < text.index("hostile gives:")
    )
    assert "````text\n```\n# not a heading\n````" in text


def test_a_tools_text_part_is_told(session: Session) -> None:
    """A part of a result is what the model reads."""

    def part() -> TextPart:
        return TextPart(text="x")

    assert told(answered(session, calls(("part", "")), says("."), tools=[part])) == ["x"]


def test_states_of_a_run_can_be_heard(session: Session) -> None:
    """The run's own iteration has every state once."""
    run = begin(session, calls(("double", '{"number": 1}')), says("."), tools=[double])

    assert states(run) == [(0, "running"), (0, "done")]
    assert sent(run)[1][-1] == ("tool", "2")
