"""Session and Python API on scripted backends: what is sent, kept, entered in the ledger, and awaited."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic import repeats
from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.backends import registry
from llm_magic.backends.base import Backend
from llm_magic.books import _waited
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.engine import Engine
from llm_magic.errors import (
    AuthenticationError,
    BackendError,
    ConfigurationError,
    Interrupted,
    SessionBusyError,
    StreamInterruptedError,
)
from llm_magic.events import Completed, ReasoningDelta, TextDelta
from llm_magic.session import Session
from llm_magic.slots import Cell
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from llm_magic.backends.base import Request
    from llm_magic.events import Event
    from llm_magic.testing import Script


T = TypeVar("T")


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


def texts(request: Request) -> list[tuple[str, str]]:
    """Role and text of what was sent."""
    return [(item.role, item.text) for item in request.messages]


@pytest.mark.capability("C4", "C5")
def test_ask_remembers_and_sends_the_context(session: Session) -> None:
    """A second ask sees the first; the system prompt comes first; parameters are those that were given."""
    chat, backend = talk(session, says("one"), says("two"))
    chat.system = "Be brief."

    first = chat.ask("a", temperature=0.5)
    chat.ask("b", frequency_penalty=1)

    assert (first.text, first.finish_reason, first.model) == ("one", "stop", "scripted")
    assert texts(backend.requests[1]) == [("system", "Be brief."), ("user", "a"), ("assistant", "one"), ("user", "b")]
    assert dict(backend.requests[0].params) == {"temperature": 0.5}
    assert dict(backend.requests[1].params) == {"frequency_penalty": 1}
    assert chat.turns[1].seen == chat.context(chat.slots[1].id).seen != ""


@pytest.mark.capability("C4")
def test_empty_system_prompt_stays_empty(session: Session) -> None:
    """An empty prompt means none, also where the session has one."""
    session.config.session["system"] = "session's"
    chat, backend = talk(session)
    chat.ask("a")
    chat.system = ""
    chat.ask("b")

    assert backend.requests[0].messages[0].text == "session's"
    assert backend.requests[1].messages[0].role == "user"


def test_asides_and_fresh_asks(session: Session) -> None:
    """keep=False adds nothing; fresh=True sends nothing of the conversation and is not stale."""
    chat, backend = talk(session)
    chat.ask("a")
    chat.ask("b", keep=False)
    chat.ask("c", fresh=True)

    assert len(texts(backend.requests[1])) == 3
    assert texts(backend.requests[2]) == [("user", "c")]
    assert len(chat.slots) == 2
    assert not any(chat.is_stale(slot) for slot in chat.slots)
    assert [row.kind for row in session.ledger.rows] == ["chat", "aside", "chat"]


@pytest.mark.capability("C7", "H10", "I9")
def test_failure_keeps_the_conversation_and_the_row(session: Session) -> None:
    """A failed ask is a version that is never sent; a refused one costs nothing."""
    chat, backend = talk(session, [AuthenticationError("No.")], says("fine"))

    with pytest.raises(AuthenticationError):
        chat.ask("a")
    chat.ask("b")

    assert texts(backend.requests[1]) == [("user", "b")]
    assert [slot.latest.status for slot in chat.slots if slot.latest] == ["failed", "complete"]
    row = session.ledger.rows[0]
    assert (row.status, row.input_tokens, row.is_estimate) == ("failed", 0, False)


def test_broken_stream_is_truncated_and_estimated(session: Session) -> None:
    """What arrived is kept, and its tokens are estimated and flagged."""
    broken = StreamInterruptedError("Gone.", is_billable=True)
    chat, _ = talk(session, [TextDelta(text="half an answer"), broken])

    with pytest.raises(StreamInterruptedError):
        chat.ask("a")

    (turn,) = chat.turns
    assert (turn.text, turn.status, turn.error) == ("half an answer", "truncated", "Gone.")
    assert turn.usage.is_estimate
    assert turn.usage.output_tokens > 0
    assert turn.cost_usd is None


def test_backend_that_breaks_its_promise_is_one_line(session: Session) -> None:
    """An exception that is not ours becomes a BackendError, and the turn is kept."""

    class Broken(ScriptedBackend):
        async def stream(self, request: Request):  # type: ignore[no-untyped-def]
            yield TextDelta(text="so far")
            raise ZeroDivisionError("oops")

    chat = Conversation(backend=Broken(), model="m", session=session)

    with pytest.raises(BackendError, match="ZeroDivisionError: oops") as caught:
        chat.ask("a")

    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert chat.turns[0].text == "so far"


def test_closing_a_stream_keeps_the_partial_text(session: Session) -> None:
    """Text received before a stream is closed stays in the turn, and the backend is released."""
    chat, backend = talk(session, [TextDelta(text="one"), 30.0, TextDelta(text="two")])
    stream = chat.stream("count")
    event = next(stream)

    stream.close()  # type: ignore[attr-defined]  # a generator

    assert event == TextDelta(text="one", snapshot="one")
    assert (chat.turns[-1].text, chat.turns[-1].status) == ("one", "interrupted")
    assert backend.open_streams == 0


@pytest.mark.capability("G1", "G5", "G17")
def test_stream_yields_the_events_in_order(session: Session) -> None:
    """Text pieces joined are the answer; the last event completes it."""
    chat, _ = talk(session, says("a b c", usage=Usage(input_tokens=1, output_tokens=3, total_tokens=4)))
    events: list[Event] = list(chat.stream("go"))

    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "a b c"
    assert type(events[-1]).__name__ == "Completed"
    assert chat.turns[0].usage.output_tokens == 3


@pytest.mark.capability("G4")
def test_streamed_text_carries_what_came_so_far(session: Session) -> None:
    """Each piece has the text up to it as snapshot, blocking and awaited; backends, and a Run's reader, have none."""
    thought, done = ReasoningDelta(text="hm"), Completed(finish_reason="stop")
    script: list[Event] = [TextDelta(text="a"), thought, TextDelta(text=" b"), done]
    chat, backend = talk(session, script)

    async def awaited() -> list[Event]:
        return [event async for event in chat.astream("b")]

    for events in (list(chat.stream("a")), asyncio.run(awaited())):
        assert [event.snapshot for event in events if isinstance(event, TextDelta)] == ["a", "a b"]
        assert events[1::2] == script[1::2]
    run = session.ask(Ask(prompt=(message("user", "c"),), conversation=chat, backend=backend))
    assert list(run) == script


@pytest.mark.capability("G2", "A6", "A7", "A27", "A28")
def test_awaiting_on_any_loop(session: Session) -> None:
    """aask and astream work on the caller's loop, while its other tasks run."""
    chat, _ = talk(session, [0.05, *says("one")], says("two words"))

    async def go() -> tuple[str, str, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticker = asyncio.create_task(tick())
        reply = await chat.aask("a")
        streamed = [event.text async for event in chat.astream("b") if isinstance(event, TextDelta)]
        ticker.cancel()
        return reply.text, "".join(streamed), ticks

    text, streamed, ticks = asyncio.run(go())

    assert (text, streamed) == ("one", "two words")
    assert ticks > 0


@pytest.mark.capability("K1")
def test_cancelling_the_awaiting_task_stops_the_answer(session: Session) -> None:
    """A cancelled aask keeps what came and releases the backend."""
    chat, backend = talk(session, [TextDelta(text="one"), 600.0])

    async def go() -> None:
        task = asyncio.create_task(chat.aask("a"))
        while not backend.open_streams:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not chat.turns:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(go(), 60))

    assert chat.turns[0].status == "interrupted"
    assert backend.open_streams == 0


@pytest.mark.capability("K1")
def test_cancel_stops_everything(session: Session) -> None:
    """session.cancel() ends what is being answered, in whatever thread it was asked."""
    chat, backend = talk(session, [TextDelta(text="one"), 600.0])
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            chat.ask("a")
        except Interrupted as exc:
            failures.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    run = session.ask(
        Ask(prompt=(message("user", "b"),), conversation=chat, is_kept=False, backend=backend, settings={"model": "m"})
    )
    end = time.monotonic() + 60
    while backend.open_streams < 2 and time.monotonic() < end:
        run.batch(0.01)
    session.cancel()
    session.cancel()
    thread.join(60)

    assert run.outcome().turn.status == "interrupted"
    assert not thread.is_alive()
    assert len(failures) == 1


def test_two_asks_of_one_conversation_wait_for_each_other(session: Session) -> None:
    """A later ask sees the answer of the earlier one, and slots are in the order of asking."""
    chat, backend = talk(session, [0.05, *says("first answer")], says("second answer"))
    asks = [Ask(prompt=(message("user", text),), conversation=chat, backend=backend) for text in ("a", "b")]

    runs = [session.ask(ask) for ask in asks]

    assert [run.outcome().turn.text for run in runs] == ["first answer", "second answer"]
    assert texts(backend.requests[1])[1] == ("assistant", "first answer")


@pytest.mark.capability("A21")
def test_requests_in_flight_are_limited(session: Session) -> None:
    """No more than max_in_flight requests are open at once."""
    session.config.session["max_in_flight"] = 2
    most = 0

    class Counting(ScriptedBackend):
        async def stream(self, request: Request):  # type: ignore[no-untyped-def]
            nonlocal most
            async for event in super().stream(request):
                most = max(most, self.open_streams)
                yield event

    backend = Counting([[0.02, *says("x")]])
    chat = Conversation(backend=backend, model="m", session=session)
    ask = Ask(prompt=(message("user", "a"),), conversation=chat, is_kept=False, backend=backend)

    for run in [session.ask(ask) for _ in range(6)]:
        run.outcome()

    assert most == 2


def test_blocking_ask_inside_an_answer_is_refused(session: Session) -> None:
    """A conversation asked from inside its own answer would wait for itself for ever."""
    chat, _ = talk(session)

    class Nested(ScriptedBackend):
        async def stream(self, request: Request):  # type: ignore[no-untyped-def]
            chat.ask("inside")
            async for event in super().stream(request):
                yield event

    outer = Conversation(backend=Nested(), model="m", session=session)

    with pytest.raises(SessionBusyError):
        outer.ask("outside")


def test_retry_and_fork_and_undo(session: Session) -> None:
    """retry adds a version as it was sent, fork copies, undo takes back the last change."""
    chat, backend = talk(session, says("one"), says("two"), says("one again"))
    chat.ask("a", temperature=0.5)
    chat.ask("b")
    fork = chat.fork(at=1)

    chat.retry(1)

    assert dict(backend.requests[2].params) == {"temperature": 0.5}
    assert [turn.text for turn in chat.turns] == ["one again", "two"]
    assert chat.is_stale(chat.slots[1])
    assert [turn.text for turn in fork.turns] == ["one"]
    assert chat.undo()
    assert [turn.text for turn in chat.turns] == ["one", "two"]
    assert chat.undo()
    assert len(chat.slots) == 1
    assert chat.redo()
    assert len(chat.slots) == 2
    with pytest.raises(ConfigurationError, match="no turn 7"):
        chat.retry(7)


def test_retry_asks_the_backend_that_was_asked(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn of a registered backend is asked there again, not where its model's bare name would lead."""
    backend = ScriptedBackend([says("one"), says("two")], name="mine")
    monkeypatch.setattr(registry, "_registered", {})
    registry.register_backend("mine", lambda: backend)
    asked = Ask(prompt=(message("user", "q"),), settings={"model": "mine/large"})
    assert session.ask(asked).outcome().turn.text == "one"

    again = session.ask(repeats.again(session.current, None)).outcome().turn

    assert (again.text, again.requested_model) == ("two", "large")
    assert [request.model for request in backend.requests] == ["large", "large"]


def test_retry_sends_what_was_sent_unless_told_otherwise(session: Session) -> None:
    """What was set since does not count; what is given with the retry does."""
    chat, backend = talk(session, *[says("one")] * 3)
    chat.ask("a", temperature=0.5, top_k=3)
    session.config.session.update(temperature=0.9, seed=7)

    chat.retry(1)
    chat.retry(1, temperature=0.1)

    assert [dict(request.params) for request in backend.requests] == [
        {"temperature": 0.5, "top_k": 3},
        {"temperature": 0.5, "top_k": 3},
        {"temperature": 0.1, "top_k": 3},
    ]


def test_unknown_names_and_refused_parameters(session: Session) -> None:
    """Settings are checked, parameters of ours are refused, and nothing is sent."""
    chat, backend = talk(session)
    refused: list[dict[str, Any]] = [{"n": 0}, {"temperature": "hot"}, {"functions": []}]
    for options in refused:
        with pytest.raises(ConfigurationError):
            chat.ask("a", **options)
    with pytest.raises(ConfigurationError, match="prompt is empty"):
        chat.ask()
    assert backend.requests == []


def test_backend_of_ones_own_needs_a_model(session: Session) -> None:
    """A missing model is reported before any request."""
    with pytest.raises(ConfigurationError, match="model is required"):
        Conversation(backend=ScriptedBackend(), session=session).ask("a")


@given(order=st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_any_order_of_cells_leaves_one_slot_each(order: list[int]) -> None:
    """As many slots as cells that asked, in the order of their first ask, one version for every run."""
    session = Session(config=Config(environ={}), conversation_type=Conversation)
    backend = ScriptedBackend([says("x")])
    for number, cell in enumerate(order):
        ask = Ask(
            prompt=(message("user", f"cell {cell}"),),
            cell=Cell(cell_id=str(cell), run_id=str(number)),
            backend=backend,
            settings={"model": "m"},
        )
        session.ask(ask).outcome()

    slots = session.current.slots
    assert [slot.key.cell_id for slot in slots if slot.key] == [str(cell) for cell in dict.fromkeys(order)]
    assert sum(len(slot.versions) for slot in slots) == len(order)


def test_several_asks_in_one_run_are_matched_by_order(session: Session) -> None:
    """A loop of kept asks has a slot for each, and the same slots when the cell runs again."""
    backend = ScriptedBackend([says("x")])
    for run_id in ("one", "two"):
        for number in range(3):
            ask = Ask(
                prompt=(message("user", f"{number}"),),
                cell=Cell(cell_id="c", run_id=run_id),
                backend=backend,
                settings={"model": "m"},
            )
            session.ask(ask).outcome()

    assert [len(slot.versions) for slot in session.current.slots] == [2, 2, 2]


def test_new_by_the_same_cell_is_harmless(session: Session) -> None:
    """%chat new without a name, run again, begins the same conversation afresh."""
    first = session.new(cell_id="c")
    second = session.new(cell_id="c")

    assert first.is_archived
    assert second.name == "chat-2"
    assert first.name == "chat-2~1"
    assert [c.name for c in session.conversations if not c.is_archived] == ["main", "chat-2"]
    with pytest.raises(ConfigurationError, match="no conversation 'chat-3'"):
        session.use("chat-3")


def test_scripted_backend_is_a_backend() -> None:
    """The public fake keeps the protocol."""
    assert isinstance(ScriptedBackend(), Backend)


def test_cancel_misses_no_ask_that_is_just_beginning(session: Session) -> None:
    """One that another thread has begun, and not yet returned from beginning, is cancelled too."""
    has_begun, may_return = threading.Event(), threading.Event()

    class Held(Engine):
        def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
            future = super().submit(coroutine)
            has_begun.set()
            may_return.wait(60)
            return future

    chat, _ = talk(session, [TextDelta(text="one"), 600.0])
    session._engine = Held()

    def ask() -> None:
        with contextlib.suppress(Interrupted):
            chat.ask("a")

    asking = threading.Thread(target=ask)
    asking.start()
    has_begun.wait(60)
    cancelling = threading.Thread(target=session.cancel)
    cancelling.start()
    cancelling.join(0.1)  # it may have to wait for the ask, and must not have gone past it
    may_return.set()
    asking.join(60)

    assert not asking.is_alive()
    assert chat.slots[0].versions[0].status == "interrupted"


def test_writing_that_fails_after_nobody_waits_is_not_printed() -> None:
    """A draft is given up when its answer ends; the keeper tells of its errors itself."""
    told: list[dict[str, Any]] = []

    async def give_up() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        writing: Future[None] = Future()
        waiting = asyncio.create_task(_waited(writing))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        writing.set_exception(ZeroDivisionError())
        # The one that says so to the loop is called a round later.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del waiting, writing
        gc.collect()

    asyncio.run(give_up())

    assert told == []
