"""map(): order, index, errors in their rows, templates, limits, interrupts, and what is told meanwhile."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llm_magic
from llm_magic import api
from llm_magic.api import Conversation
from llm_magic.batch import progress
from llm_magic.batch.progress import Progress, TerminalDrawing, line_of
from llm_magic.batch.results import Tally
from llm_magic.config import Config
from llm_magic.content import TextPart
from llm_magic.errors import (
    ConfigurationError,
    InterpolationError,
    Interrupted,
    RequestRejectedError,
    SessionBusyError,
)
from llm_magic.ledger import total_of
from llm_magic.session import Session
from tests.fakes.columns import ColumnBackend
from tests.fakes.sessions import ledger, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DTYPES = {
    "answer": "string",
    "status": "string",
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "cost_usd": "Float64",
    "latency_s": "Float64",
    "error": "string",
}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The session of the module's functions: one of its own, without anything of the environment."""
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    monkeypatch.setattr(api, "session", lambda: made)
    yield made
    made.close()


def asked(prompts: Any, backend: ColumnBackend | None = None, **options: Any) -> pd.DataFrame:
    """What map() gives, asked of a backend of columns."""
    return llm_magic.map(prompts, backend=backend or ColumnBackend(), model="m", **options)


def listed(column: pd.Series[Any]) -> list[Any]:
    """A column's values, None where one is missing."""
    return [None if pd.isna(value) else value for value in column]


@pytest.mark.capability("C6")
@pytest.mark.usefixtures("session")
def test_answers_stand_in_the_order_of_their_prompts() -> None:
    """Whatever comes first, each answer is in the row of its prompt; equal prompts are asked as often as they come."""
    backend = ColumnBackend()

    frame = asked(["a", "b", "a", "c"], backend)

    assert list(frame["answer"]) == ["A", "B", "A", "C"]
    assert list(frame.index) == [0, 1, 2, 3]
    assert list(frame["input_tokens"]) == [2, 2, 2, 2]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert len(backend.requests) == 4
    assert not any(request.is_streaming for request in backend.requests)


@pytest.mark.usefixtures("session")
def test_a_frame_of_no_rows_has_the_same_columns() -> None:
    """Nothing asked: the columns and dtypes are there, and no key is needed."""
    frame = llm_magic.map(pd.Series([], dtype="string", index=pd.Index([], name="id")))

    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert (len(frame), frame.index.name) == (0, "id")


@pytest.mark.capability("C6")
def test_an_error_stays_in_its_row(session: Session) -> None:
    """What cannot be asked, fails or is refused says so in its row, and the others are answered."""
    series = pd.Series(["a", "fail", None, " ", "refuse", "b"], index=list("uvwxyz"))

    frame = asked(series)

    assert list(frame.index) == list("uvwxyz")
    assert list(frame["status"]) == ["complete", "failed", "failed", "failed", "complete", "complete"]
    assert listed(frame["answer"]) == ["A", None, None, None, "no", "B"]
    assert listed(frame["error"]) == [
        None,
        "The server refused the request.  Hint: ask otherwise.",
        "The prompt is missing.  Hint: drop the row, or fill it with fillna().",
        "The prompt is empty.  Hint: drop the row.",
        "the model refused",
        None,
    ]
    assert listed(frame["input_tokens"]) == [2, 0, None, None, 2, 2]
    assert sorted(row.status for row in session.ledger.rows) == ["complete"] * 3 + ["failed"]
    assert {row.kind for row in session.ledger.rows} == {"map"}


def test_rows_see_no_conversation_and_leave_none(session: Session) -> None:
    """The current conversation's system prompt counts; its turns are not sent, and nothing is added to it."""
    backend = ColumnBackend()
    chat = session.current
    assert isinstance(chat, Conversation)
    chat.session, chat.backend, chat.model, chat.system = session, backend, "its", "Be brief."
    chat.ask("before")

    frame = llm_magic.map(["a"], temperature=0.5)

    assert listed(frame["answer"]) == ["A"]
    request = backend.requests[-1]
    assert [(item.role, item.text) for item in request.messages] == [("system", "Be brief."), ("user", "a")]
    assert (request.model, dict(request.params)) == ("its", {"temperature": 0.5})
    assert len(chat.slots) == 1
    assert session.last is not None
    assert session.last.id == chat.turns[-1].id


@pytest.mark.usefixtures("session")
def test_a_template_sees_the_row_then_the_callers_names() -> None:
    """Columns go before the caller's names; the index is kept; ``row`` has the columns that are no names."""
    backend = ColumnBackend()
    frame = pd.DataFrame({"text": ["x", "y"], "a b": [1, 2]}, index=[7, 9])
    text, unit = "hidden", "kg"

    template = "{{ text }} {{ row['a b'] }} {{ unit }}"
    answers = llm_magic.map(frame, template=template, in_flight=1, backend=backend, model="m")
    values = asked(pd.Series([3, 4], name="n"), backend, template="{{ n + value }}", in_flight=1)

    assert list(answers["answer"]) == ["X 1 KG", "Y 2 KG"]
    assert list(answers.index) == [7, 9]
    assert list(values["answer"]) == ["6", "8"]
    assert (text, unit) == ("hidden", "kg")


@pytest.mark.usefixtures("session")
def test_a_template_that_fails_everywhere_asks_nothing() -> None:
    """A slip in the template is one error before anything is sent; one row's failure stays in its row."""
    backend = ColumnBackend()
    with pytest.raises(InterpolationError, match="No variable named 'txt'"):
        asked(pd.DataFrame({"text": ["x", "y"]}), backend, template="{{ txt }}")
    assert backend.requests == []

    frame = asked(["4", "four"], backend, template="{{ int(value) }}")

    assert list(frame["status"]) == ["complete", "failed"]
    assert "int(value)" in frame["error"][1]


@pytest.mark.capability("C6")
@pytest.mark.usefixtures("session")
def test_a_prompt_may_be_a_conversation_or_a_list_of_content() -> None:
    """Lists of messages are sent as they are, one conversation a row; other lists are content in order."""
    backend = ColumnBackend()
    history = [
        {"role": "system", "content": "Own."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "ONE"},
        {"role": "user", "content": "two"},
    ]

    frame = asked([history, history[1], ["a", TextPart(text="b")], 7], backend, system="Common.", in_flight=1)

    assert list(frame["answer"]) == ["TWO", "ONE", "AB", "7"]
    roles = [[item.role for item in request.messages] for request in backend.requests]
    assert roles[0] == ["system", "user", "assistant", "user"]
    assert roles[1:] == [["system", "user"]] * 3
    assert [request.messages[0].text for request in backend.requests] == ["Own.", "Common.", "Common.", "Common."]


@pytest.mark.capability("B17")
@pytest.mark.parametrize(
    ("prompts", "options", "words"),
    [
        ("one", {}, "this is one str"),
        (7, {}, "this is one int"),
        ({"a": "b"}, {}, "this is one dict"),
        (pd.DataFrame({"a": ["b"]}), {}, "needs a template"),
        (["a"], {"in_flight": 0}, "in_flight"),
        (["a"], {"template": 3}, "template is text, not a int"),
        (["a"], {"on_error": "ignore"}, "on_error"),
        (["a"], {"keep": True}, "does not take 'keep'"),
        (["a"], {"n": 2}, "does not take 'n'"),
    ],
)
@pytest.mark.usefixtures("session")
def test_what_cannot_be_meant_is_refused_at_once(prompts: Any, options: dict[str, Any], words: str) -> None:
    """One prompt, a frame without a template, limits and options that do not fit: nothing is asked."""
    backend = ColumnBackend()

    with pytest.raises(ConfigurationError, match=words):
        asked(prompts, backend, **options)

    assert backend.requests == []


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("in_flight", [1, 3])
def test_no_more_than_allowed_are_under_way(in_flight: int) -> None:
    """As many at once as ``in_flight`` says, and no more."""
    backend = ColumnBackend()

    asked([str(number) for number in range(12)], backend, in_flight=in_flight)

    assert backend.most_at_once == in_flight


@pytest.mark.usefixtures("session")
def test_the_first_error_ends_it_where_that_is_wanted() -> None:
    """on_error="raise" raises it; what was done is in last_map(), the rest was not asked."""
    backend = ColumnBackend()

    with pytest.raises(RequestRejectedError):
        asked(["a", "fail", "b", "c"], backend, in_flight=1, on_error="raise")

    frame = llm_magic.last_map()
    assert frame is not None
    assert list(frame["status"]) == ["complete", "failed", "not asked", "not asked"]
    assert frame["error"][2] == "not asked after: The server refused the request."
    assert len(backend.requests) == 2


@pytest.mark.usefixtures("session")
def test_no_more_is_asked_once_the_quota_is_gone() -> None:
    """What every row would meet is met once; the frame is given all the same."""
    backend = ColumnBackend()

    frame = asked(["a", "broke", "b", "c"], backend, in_flight=1)

    assert list(frame["status"]) == ["complete", "failed", "not asked", "not asked"]
    assert len(backend.requests) == 2


def test_an_interrupt_keeps_what_is_done(session: Session) -> None:
    """One line, a KeyboardInterrupt; the frame tells what was answered, begun and not asked, and so does the ledger."""

    def interrupt(number: int) -> None:
        if number == 4:
            os.kill(os.getpid(), signal.SIGINT)

    backend = ColumnBackend(interrupt)

    with pytest.raises(Interrupted) as caught:
        asked(["a", "b", "c", "hang", "d"], backend, in_flight=1)

    frame = caught.value.frame
    assert str(caught.value) == "4 of 5 rows were asked; llm_magic.last_map() has them"
    assert list(frame["status"]) == ["complete", "complete", "complete", "interrupted", "not asked"]
    assert listed(frame["answer"])[:3] == ["A", "B", "C"]
    assert [row.status for row in session.ledger.rows] == ["complete"] * 3 + ["interrupted"]
    assert frame is llm_magic.last_map()
    assert list(asked(["e"])["answer"]) == ["E"]


@pytest.mark.capability("A27", "A28")
@pytest.mark.usefixtures("session")
def test_it_can_be_awaited_and_blocks_in_a_running_loop() -> None:
    """On a running loop, other work goes on while amap() is awaited, and map() blocks and answers too."""

    async def both() -> tuple[pd.DataFrame, pd.DataFrame, int]:
        ticks, unit = 0, "kg"

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        prompts = llm_magic.amap(["1"], template="{{ value }} {{ unit }}", backend=ColumnBackend(), model="m")
        awaited = await prompts
        ticking.cancel()
        assert unit == "kg"
        return awaited, asked(["b"]), ticks

    awaited, blocked, ticks = asyncio.run(both())

    assert list(awaited["answer"]) == ["1 KG"]
    assert list(blocked["answer"]) == ["B"]
    assert ticks > 1


@pytest.mark.usefixtures("session")
def test_cancelling_the_task_stops_it() -> None:
    """The task ends as cancelled; what was done is in last_map()."""

    async def begun() -> None:
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        backend = ColumnBackend(lambda number: loop.call_soon_threadsafe(started.set) if number == 2 else None)
        task = asyncio.ensure_future(llm_magic.amap(["a", "hang"], backend=backend, model="m", in_flight=1))
        await started.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(begun())

    frame = llm_magic.last_map()
    assert frame is not None
    assert list(frame["status"]) == ["complete", "interrupted"]


def test_the_end_of_the_session_ends_it(session: Session) -> None:
    """session.cancel() stops a map() of another thread, which then gives what it has."""
    begun = threading.Event()
    backend = ColumnBackend(lambda number: begun.set() if number == 2 else None)
    frames: list[pd.DataFrame] = []
    thread = threading.Thread(target=lambda: frames.append(asked(["a", "hang", "b"], backend, in_flight=1)))
    thread.start()
    assert begun.wait(10)

    session.cancel()
    thread.join(10)

    assert list(frames[0]["status"]) == ["complete", "interrupted", "not asked"]


def test_blocking_inside_an_answer_is_refused(session: Session) -> None:
    """On the engine's own thread, map() would wait for itself: it says so."""

    async def inside() -> None:
        asked(["a"])

    with pytest.raises(SessionBusyError, match="amap"):
        session.run(inside())


def test_every_request_is_in_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When it returns, the ledger's rows are written: all of them, in a few writings."""
    path = tmp_path / "store.db"
    made = open_session(path)
    monkeypatch.setattr(api, "session", lambda: made)
    assert made.keeper is not None
    writings = []
    keep = made.keeper.keep

    def counted(*args: Any, **options: Any) -> Any:
        writings.append(args)
        return keep(*args, **options)

    monkeypatch.setattr(made.keeper, "keep", counted)

    asked([str(number) for number in range(50)])

    assert len(ledger(path)) == 50
    assert len(writings) < 10
    made.close()


@given(st.lists(st.sampled_from(["a", "b", "fail", "refuse", None]), max_size=12), st.integers(1, 4))
def test_rows_and_ledger_agree(prompts: list[str | None], in_flight: int) -> None:
    """Whatever the rows are, each result is its own, and the ledger has one row for each that was sent."""
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "session", lambda: made)
        frame = asked(prompts, in_flight=in_flight)

    expected = {"a": "A", "b": "B", "fail": None, "refuse": "no", None: None}
    assert listed(frame["answer"]) == [expected[prompt] for prompt in prompts]
    assert len(made.ledger.rows) == sum(prompt is not None for prompt in prompts)


# What is told meanwhile


class Drawn:
    """Notes what is drawn."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bool]] = []

    def draw(self, tally: Tally, line: str, *, is_over: bool) -> None:
        assert tally.total
        self.lines.append((line, is_over))


def test_progress_is_drawn_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked to; the end is drawn where something was drawn before, or failed."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    drawn, silent = Drawn(), Drawn()
    shown, quick = Progress(drawn), Progress(silent)
    for tick in range(100):
        now = tick / 50
        shown.tick(Tally(total=200, done=tick))
    shown.end(Tally(total=200, done=200))
    quick.end(Tally(total=3, done=3))

    assert [line for line, _ in drawn.lines] == [
        "25 of 200 rows · about 4 s left",
        "50 of 200 rows · about 3 s left",
        "75 of 200 rows · about 2 s left",
        "200 of 200 rows",
    ]
    assert [is_over for _, is_over in drawn.lines] == [False, False, False, True]
    assert silent.lines == []
    quick.end(Tally(total=3, done=3, failed=1))
    assert silent.lines == [("3 of 3 rows · 1 failed", True)]


def test_the_line_tells_cost_and_time() -> None:
    """An unknown price is said, a known one is shown; long times are in minutes and hours."""
    unknown = total_of(())
    priced = Tally(total=2000, done=1000, failed=2, spent=type(unknown)(**_totals(cost_usd=0.5)))

    assert line_of(priced, elapsed_s=300) == "1,000 of 2,000 rows · 2 failed · $0.5000 · about 5 min left"
    assert line_of(priced, elapsed_s=7200).endswith("about 2.0 h left")
    unpriced = Tally(total=2, done=1, spent=type(unknown)(**_totals(has_unknown_cost=True)))
    assert line_of(unpriced) == "1 of 2 rows · price unknown"


def _totals(*, cost_usd: float = 0.0, has_unknown_cost: bool = False) -> dict[str, Any]:
    counts = dict.fromkeys(("n_requests", "n_estimates", "input_tokens", "output_tokens"), 0)
    return {**counts, "cost_usd": cost_usd, "has_unknown_cost": has_unknown_cost, "has_estimated_cost": False}


def test_a_terminal_gets_one_line(capsys: pytest.CaptureFixture[str], session: Session) -> None:
    """Each line is written over the one before, which is wiped; nothing at all where stderr is no terminal."""
    drawing = TerminalDrawing()
    drawing.draw(Tally(total=2), "a long line", is_over=False)
    drawing.draw(Tally(total=2), "short", is_over=True)

    assert capsys.readouterr().err == "\ra long line\rshort      \n"
    assert progress.drawing_for(progress.here_of(session)) is None


@pytest.mark.usefixtures("session")
def test_what_was_there_is_not_collected_meanwhile() -> None:
    """For the time of the map, and no longer; what somebody else has frozen stays so."""
    frozen: list[bool] = []
    backend = ColumnBackend(hook=lambda _number: frozen.append(gc.get_freeze_count() > 0))

    asked(["a", "fail", "b"], backend)
    after = gc.get_freeze_count()
    gc.freeze()
    try:
        asked(["a"], backend)
        kept = gc.get_freeze_count()
    finally:
        gc.unfreeze()

    assert (frozen, after) == ([True] * 4, 0)
    assert kept > 0
