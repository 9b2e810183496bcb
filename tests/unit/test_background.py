"""Asks in the background: who draws them, in which context, what their end does, and how all are ended."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.background import Background
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.errors import AuthenticationError, StreamInterruptedError
from llm_magic.events import TextDelta
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_magic.events import Event
    from llm_magic.run import Outcome, Run
    from llm_magic.testing import Script
    from llm_magic.turns import Turn

HANGS: Script = [TextDelta(text="one"), 600.0]
WHERE: contextvars.ContextVar[str] = contextvars.ContextVar("WHERE", default="nowhere")


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of its own, without anything of the environment."""
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    yield made
    made.close()


@pytest.fixture
def background() -> Iterator[Background]:
    """What is tested; ended with the test."""
    made = Background()
    yield made
    made.close()


class Recorder:
    """A view that takes down what it gets, and where it is called."""

    can_ask: bool | None = None

    def __init__(self, at_tick: Callable[[], None] = lambda: None) -> None:
        self.text = ""
        self.threads: list[str] = []
        self.contexts: set[str] = set()
        self.ended: list[Turn] = []
        self.drawn = threading.Event()
        self._at_tick = at_tick

    def add(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self.text += event.text

    def tick(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.contexts.add(WHERE.get())
        if self.text:
            self.drawn.set()
            self._at_tick()

    def end(self, turn: Turn) -> None:
        self.ended.append(turn)


def begun(session: Session, script: Script) -> Run:
    """An ask of a conversation of its own."""
    ask = Ask(
        prompt=(message("user", "a"),),
        conversation=session.add("x"),
        backend=ScriptedBackend([script]),
        settings={"model": "m"},
    )
    return session.ask(ask)


def test_an_ask_is_drawn_in_the_context_it_was_left_in(session: Session, background: Background) -> None:
    """First by the caller, then in a thread; what is to be done at the end is done before the final state is drawn."""
    view, before = Recorder(), list[int]()
    token = WHERE.set("here")
    run = begun(session, says("two words"))

    background.follow(run, view, lambda _: before.append(len(view.ended)))
    WHERE.reset(token)
    background.wait([run], 60)

    assert (view.text, view.ended) == ("two words", [run.outcome().turn])
    assert view.threads[0] == threading.current_thread().name
    assert set(view.threads[1:]) == {"llm_magic background"}
    assert view.contexts == {"here"}
    assert before == [0]


def test_an_ask_that_nobody_looks_at_has_its_end(session: Session, background: Background) -> None:
    """Without a view."""
    ends: list[Outcome] = []
    run = begun(session, says("x"))

    background.follow(run, None, ends.append)
    background.wait([run], 60)

    assert [outcome.turn.text for outcome in ends] == ["x"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AuthenticationError("No.", hint="set a key"), "failed"),
        (StreamInterruptedError("Gone.", hint="ask"), "truncated"),
    ],
)
def test_an_error_is_given_to_the_view(session: Session, background: Background, error: Exception, status: str) -> None:
    """With its hint, where a cell would have raised it; the turn that is kept is as it was."""
    script: Script = [error] if status == "failed" else [TextDelta(text="half"), error]  # type: ignore[list-item]
    view = Recorder()
    run = begun(session, script)

    background.follow(run, view, lambda outcome: outcome)
    background.wait([run], 60)

    (turn,) = view.ended
    assert turn.status == run.outcome().turn.status == status
    assert str(error) in (turn.error or "", *turn.notices)
    assert "Hint" not in (run.outcome().turn.error or "")


def test_a_view_that_breaks_costs_the_view_alone(
    session: Session, background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is kept and its reply set; the mistake is in the log."""

    def fail() -> None:
        raise ZeroDivisionError("a view's own mistake")

    view, ends = Recorder(fail), list[str]()
    run = begun(session, [TextDelta(text="one"), 0.05, *says(" two")])

    background.follow(run, view, lambda outcome: ends.append(outcome.turn.text))
    background.wait([run], 60)

    assert ends == ["one two"]
    assert not view.ended
    (record,) = [record for record in caplog.records if record.name == "llm_magic"]
    assert "dropped" in record.message
    assert record.exc_info is not None


def test_a_mistake_at_the_end_is_in_the_log_alone(
    session: Session, background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    """No thread prints a traceback."""

    def fail(_: Outcome) -> None:
        raise ZeroDivisionError

    run = begun(session, says("x"))

    background.follow(run, None, fail)
    background.wait([run], 60)

    assert [record.message for record in caplog.records if record.name == "llm_magic"] == ["an ask in the background"]


def test_close_stops_all_and_waits_for_their_last_drawing(session: Session, background: Background) -> None:
    """What came is drawn and kept; closing again does nothing."""
    views = [Recorder(), Recorder()]
    runs = [begun(session, HANGS) for _ in views]
    for run, view in zip(runs, views, strict=True):
        background.follow(run, view, lambda outcome: outcome)
        assert view.drawn.wait(60)

    background.close()
    background.close()

    assert [[(turn.text, turn.status) for turn in view.ended] for view in views] == [[("one", "interrupted")]] * 2


def test_waiting_gives_up(session: Session, background: Background) -> None:
    """What goes on is not waited for longer than was said."""
    run = begun(session, HANGS)
    background.follow(run, None, lambda outcome: outcome)

    background.wait([run], 0.01)

    assert not run.is_finished


def test_the_process_ends_without_what_goes_on(tmp_path: object) -> None:
    """Its end stops the answer, draws and keeps what came, in this order, and says nothing more."""
    code = """
import threading
from llm_magic import api
from llm_magic.asks import Ask
from llm_magic.background import Background
from llm_magic.content import message
from llm_magic.events import TextDelta
from llm_magic.testing import ScriptedBackend
session, background, drawn = api.session(), Background(), threading.Event()
class View:
    can_ask = None
    def add(self, event):
        if isinstance(event, TextDelta): drawn.set()
    def tick(self): pass
    def end(self, turn):
        threading.Event().wait(0.3)  # a page takes its time
        print("drawn", turn.status, turn.text)
backend = ScriptedBackend([[TextDelta(text="one"), 600.0]])
run = session.ask(Ask(prompt=(message("user", "a"),), backend=backend, settings={"model": "m"}))
background.follow(run, View(), lambda outcome: print("kept", outcome.turn.status))
assert drawn.wait(60)
print("ends")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"LLM_MAGIC_STORE": "off", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("ends\nkept interrupted\ndrawn interrupted one\n", "", 0)
