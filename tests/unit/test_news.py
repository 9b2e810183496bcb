"""Watching a session: who did not ask hears of every ask, its events and its end, and of changes; and may stop it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.engine import shared_engine
from llm_magic.errors import AuthenticationError, ConfigurationError
from llm_magic.events import Completed, Sending, TextDelta, Waiting
from llm_magic.news import AskBegan, Changed
from llm_magic.run import Outcome
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_magic.events import Event
    from llm_magic.news import News
    from llm_magic.run import Run
    from llm_magic.testing import Script

HANGS: Script = [TextDelta(text="one"), 600.0]


@pytest.fixture
def session() -> Iterator[Session]:
    """A session of its own, without anything of the environment."""
    made = Session(config=Config(environ={}), conversation_type=Conversation)
    yield made
    made.close()


class Heard:
    """A listener that takes down what it hears, and in which thread."""

    def __init__(self) -> None:
        self.all: list[Event | Outcome] = []
        self.ended = threading.Event()
        self.threads: set[bool] = set()

    def __call__(self, one: Event | Outcome) -> None:
        self.all.append(one)
        self.threads.add(shared_engine().is_here)
        if isinstance(one, Outcome):
            self.ended.set()

    @property
    def outcome(self) -> Outcome:
        """The last thing heard."""
        assert self.ended.wait(60)
        found = self.all[-1]
        assert isinstance(found, Outcome)
        return found

    @property
    def text(self) -> str:
        """The text heard."""
        return "".join(one.text for one in self.all if isinstance(one, TextDelta))


def asking(session: Session, backend: ScriptedBackend, text: str = "a", **more: object) -> Ask:
    """An ask of the session's current conversation."""
    ask = {"conversation": session.current, "settings": {"model": "m"}} | more
    return Ask(prompt=(message("user", text),), backend=backend, **ask)  # type: ignore[arg-type]  # fields of Ask


def heard_text(run: Run, text: str) -> None:
    """Wait until the run has given this text to a listener."""
    came = threading.Event()
    heard = Heard()

    def listen(one: Event | Outcome) -> None:
        heard(one)
        if text in heard.text:
            came.set()

    stop = run.listen(listen)
    assert came.wait(60)
    stop()


# Asks


def test_a_watcher_hears_of_every_ask_its_events_and_its_end(session: Session) -> None:
    """Whoever asked; and the one who asked gets all events too."""
    news: list[News] = []
    heard = Heard()

    def watch(one: News) -> None:
        news.append(one)
        if isinstance(one, AskBegan):
            one.run.listen(heard)

    session.watch(watch)
    run = session.ask(asking(session, ScriptedBackend([says("two words")])))
    taken = list(run)

    outcome = heard.outcome
    began = news[0]
    assert isinstance(began, AskBegan)
    assert (began.run, began.conversation) == (run, session.current)
    assert began.slot is not None
    assert session.current.slot(began.slot.id) is not None
    assert (began.turn.id, began.turn.prompt_text, began.turn.requested_model) == (run.turn_id, "a", "m")
    assert heard.all[:-1] == taken
    assert isinstance(taken[-1], Completed)
    assert outcome.turn is session.current.turns[0]
    assert outcome.turn.id == run.turn_id
    assert heard.threads == {True}
    assert Changed() in news[1:]


def test_an_aside_is_told_without_a_slot(session: Session) -> None:
    """It is an ask like any other."""
    news: list[News] = []
    session.watch(news.append)

    session.ask(asking(session, ScriptedBackend([says("x")]), is_kept=False)).outcome()

    assert isinstance(news[0], AskBegan)
    assert news[0].slot is None


def test_who_comes_late_hears_everything(session: Session) -> None:
    """In the middle of an answer: the ask, all of its events so far, and those to come."""
    run = session.ask(asking(session, ScriptedBackend([HANGS])))
    heard_text(run, "one")
    heard = Heard()

    session.watch(lambda one: isinstance(one, AskBegan) and one.run.listen(heard))
    heard_text(run, "one")
    run.cancel()

    assert heard.outcome.turn.status == "interrupted"
    assert heard.text == "one"
    assert [event for event in run if isinstance(event, TextDelta)] == [TextDelta(text="one")]


def test_who_comes_after_the_end_hears_the_outcome(session: Session) -> None:
    """And of no ask under way."""
    run = session.ask(asking(session, ScriptedBackend([says("x")])))
    outcome = run.outcome()
    heard, news = Heard(), list[object]()

    run.listen(heard)
    session.watch(news.append)

    assert heard.outcome is outcome
    assert heard.all == [outcome]
    assert news == []


def test_a_listener_that_raises_is_dropped_and_logged(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """The answer is whole, the other listeners hear it all, and so do watchers."""
    count = 0

    def broken(_: object) -> None:
        nonlocal count
        count += 1
        raise ZeroDivisionError("a listener's own mistake")

    def watch(one: News) -> None:
        if isinstance(one, AskBegan):
            one.run.listen(broken)
            one.run.listen(heard)

    heard = Heard()
    session.watch(broken)
    session.watch(watch)
    run = session.ask(asking(session, ScriptedBackend([says("two words")])))

    assert heard.outcome.turn.text == "two words"
    assert run.outcome().turn.status == "complete"
    assert count == 2
    told = [record for record in caplog.records if record.name == "llm_magic"]
    assert len(told) == 2
    assert all("dropped" in record.message and record.exc_info for record in told)


def test_a_late_listener_that_raises_hears_no_more_of_the_past(session: Session) -> None:
    """It is dropped at once, in the middle of what it is told."""
    run = session.ask(asking(session, ScriptedBackend([[TextDelta(text="one"), TextDelta(text="two"), 600.0]])))
    heard_text(run, "onetwo")
    count = 0

    def broken(_: object) -> None:
        nonlocal count
        count += 1
        raise ZeroDivisionError

    run.listen(broken)
    heard_text(run, "onetwo")

    assert count == 1


def test_removed_watchers_and_listeners_hear_no_more(session: Session) -> None:
    """Removing twice does no harm."""
    news: list[News] = []
    remove = session.watch(news.append)
    run = session.ask(asking(session, ScriptedBackend([HANGS])))
    heard, other = Heard(), Heard()
    ignore = run.listen(heard)
    run.listen(other)
    heard_text(run, "one")

    remove()
    remove()
    ignore()
    ignore()
    run.cancel()

    assert other.outcome.turn.text == "one"
    assert heard.text == "one"
    assert not heard.ended.is_set()
    assert len(news) == 1


# Changes


def test_changes_are_told_by_whoever_makes_them(session: Session) -> None:
    """keep_all() ends every command, watchers.note_changed() every cell."""
    news: list[News] = []
    session.watch(news.append)

    session.new("other")
    session.keep_all()
    session.watchers.note_changed()

    assert news == [Changed(), Changed()]


def test_a_watcher_may_look_at_the_session_from_another_thread(session: Session) -> None:
    """No lock is held while news are told: a watcher may wait for a thread that needs one."""
    names: list[str] = []

    def look(_: News) -> None:
        thread = threading.Thread(target=lambda: names.append(session.fork("copy").name))
        thread.start()
        thread.join(60)

    session.watch(look)
    run = session.ask(asking(session, ScriptedBackend([says("x")])))

    assert names[0] == "copy"
    assert run.outcome().turn.text == "x"


# Waiting


def test_an_ask_behind_another_says_that_it_waits(session: Session) -> None:
    """And when it is sent; its turn has the id it was told with."""
    backend = ScriptedBackend([HANGS, says("second")])
    first = session.ask(asking(session, backend))
    heard_text(first, "one")
    second = session.ask(asking(session, backend, "b"))
    heard, came = Heard(), threading.Event()
    second.listen(heard)
    second.listen(lambda _: came.set())

    assert came.wait(60)
    assert heard.all == [Waiting(reason="another answer of this conversation is under way")]
    first.cancel()

    turn = heard.outcome.turn
    assert heard.all[1] == Sending()
    assert (turn.id, turn.text) == (second.turn_id, "second")
    assert backend.requests[1].messages[1].text == "one"


def test_an_ask_without_a_place_says_that_it_waits(session: Session) -> None:
    """Asks of other conversations wait for each other only where too many are under way."""
    session.config.session["max_in_flight"] = 1
    backend = ScriptedBackend([HANGS, says("second")])
    first = session.ask(asking(session, backend))
    heard_text(first, "one")
    second = session.ask(asking(session, backend, conversation=session.add("other")))
    heard, came = Heard(), threading.Event()
    second.listen(heard)
    second.listen(lambda _: came.set())

    assert came.wait(60)
    assert heard.all == [Waiting(reason="other answers are under way")]
    first.cancel()

    assert heard.outcome.turn.text == "second"
    assert heard.all[1] == Sending()


def test_nothing_is_said_where_nothing_waits(session: Session) -> None:
    """A plain ask has no such event."""
    run = session.ask(asking(session, ScriptedBackend([says("x")])))

    assert not any(isinstance(event, Waiting | Sending) for event in run)


def test_what_cannot_be_sent_any_more_fails_as_a_turn(session: Session) -> None:
    """A setting is broken while the ask waits: it ends all the same, with an error, and can be asked again."""
    backend = ScriptedBackend([HANGS])
    first = session.ask(asking(session, backend))
    heard_text(first, "one")
    session.current.model = "m"
    second = session.ask(asking(session, backend, "b", settings={}))
    session.current.model = None
    first.cancel()

    outcome = second.outcome()

    assert isinstance(outcome.error, ConfigurationError)
    assert (outcome.turn.id, outcome.turn.status) == (second.turn_id, "failed")
    assert session.current.slots[1].versions == (outcome.turn,)
    assert session.stop(second.turn_id) is False


# Stopping


def test_stop_hits_the_turn_it_names_alone(session: Session) -> None:
    """The other one goes on, whatever is pressed again; unknown ids do nothing."""
    backend = ScriptedBackend([HANGS])
    first = session.ask(asking(session, backend))
    second = session.ask(asking(session, backend, conversation=session.add("other")))
    heard_text(first, "one")
    heard_text(second, "one")

    assert session.stop("unknown") is False
    assert session.stop(first.turn_id) is True
    assert session.stop(first.turn_id) is False
    turn = first.outcome().turn
    assert session.stop(first.turn_id) is False

    assert (turn.status, turn.text) == ("interrupted", "one")
    assert not second.is_stopping
    assert backend.open_streams == 1
    assert session.stop(second.turn_id) is True
    assert second.outcome().turn.status == "interrupted"


def test_stop_of_an_ask_that_waits_sends_nothing(session: Session) -> None:
    """It leaves the queue; the one before it goes on."""
    backend = ScriptedBackend([HANGS])
    first = session.ask(asking(session, backend))
    heard_text(first, "one")
    second = session.ask(asking(session, backend, "b"))

    assert session.stop(second.turn_id) is True

    assert second.outcome().turn.status == "interrupted"
    assert len(backend.requests) == 1
    assert not first.is_finished


def test_stop_of_an_ended_turn_is_late(session: Session) -> None:
    """Also where it failed."""
    run = session.ask(asking(session, ScriptedBackend([[AuthenticationError("No.")]])))

    assert run.outcome().turn.status == "failed"
    assert session.stop(run.turn_id) is False
    assert not run.is_stopping
