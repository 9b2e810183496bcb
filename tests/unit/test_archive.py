"""What of former sessions is there, how it comes back, and that no kill takes away what was paid for."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.errors import ConfigurationError
from llm_magic.store import Store
from llm_magic.testing import says
from tests.fakes.session_writer import session_writers
from tests.fakes.sessions import NOTEBOOK, kept_session, ledger, prompts, stored, talk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fakes.server import FakeServer

KILLS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is to be."""
    return tmp_path / "store.sqlite3"


def formerly(path: Path, *asked: str, name: str = "main", notebook: str | None = NOTEBOOK) -> Conversation:
    """A conversation of a session that has ended."""
    with kept_session(path, notebook) as session:
        chat = talk(session, name=name)
        for prompt in asked:
            chat.ask(prompt)
        return chat


# Coming back


def test_conversation_that_was_taken_back_whole_is_empty_in_the_file(path: Path) -> None:
    """Undone to the first ask, nothing of it is offered after a restart."""
    with kept_session(path) as session:
        chat = talk(session)
        chat.ask("a")
        chat.undo()
        session.keep_all()
        assert session.keeper is not None
        session.keeper.call(lambda store: store.secret)

        assert stored(path, chat).slots == ()

    with kept_session(path) as session:
        assert session.kept() == ()


def test_marks_are_kept_without_an_ask(path: Path) -> None:
    """What was picked, hidden, moved, taken back and made again is so in the file, change by change."""
    back = Conversation()
    with kept_session(path) as session:
        chat = talk(session, says("one"), says("two"), says("three"), says("one again"))
        for prompt in "abc":
            chat.ask(prompt)
        chat.retry(1)
        changes: tuple[Callable[[], object], ...] = (
            lambda: chat.pick(chat.slots[0], chat.slots[0].versions[0]),
            lambda: chat.hide(chat.slots[1]),
            lambda: chat.move(chat.slots[2], chat.slots[0]),
            chat.undo,
            chat.redo,
            *[chat.undo] * 5,
            *[chat.redo] * 5,
            lambda: chat.unhide(chat.slots[2]),
            lambda: setattr(chat, "system", "Be brief."),
        )
        for change in changes:
            change()
            session.keep_all()
            assert session.keeper is not None
            session.keeper.call(lambda store: store.where)

            back = stored(path, chat)
            assert (back.slots, back.system) == (chat.slots, chat.system)
        assert prompts(back) == ["c", "a", "b"]


def test_resume_takes_the_place_of_an_empty_conversation(path: Path) -> None:
    """The current one without turns is left out; one with turns is archived, and kept."""
    former = formerly(path, "a", "b")
    with kept_session(path) as session:
        resumed = session.resume()
        assert session.current is resumed
        assert session.conversations == [resumed]
        assert resumed.slots == former.slots

    with kept_session(path) as session:
        mine = talk(session)
        mine.ask("mine")
        resumed = session.resume()
        assert [(c.name, c.is_archived) for c in session.conversations] == [("main~1", True), ("main", False)]
        talk(session).ask("c")
        assert prompts(stored(path, resumed)) == ["a", "b", "c"]
        assert session.conversations[0] is mine


def test_resume_again_changes_nothing(path: Path) -> None:
    """A second time, in whatever session, it is the same conversation; an older one is not taken instead."""
    formerly(path, "older")
    former = formerly(path, "a")
    for _ in range(2):
        with kept_session(path) as session:
            resumed = session.resume()
            assert resumed.id == former.id
            session.new("two")
            assert session.resume() is resumed
            assert session.current is resumed
            assert session.resume("main") is resumed
            assert [c.name for c in session.conversations] == ["main", "two"]


def test_resume_by_name_and_by_id(path: Path) -> None:
    """A name is looked for in this notebook first; an id finds one that shares its name with a later one."""
    older = formerly(path, "older", name="walk")
    newer = formerly(path, "newer", name="walk")
    formerly(path, "elsewhere", name="walk", notebook="/home/ada/other.ipynb")
    with kept_session(path) as session:
        assert session.resume("walk").id == newer.id
        assert prompts(stored(path, older)) == ["older"]
        assert session.resume(older.id).slots == older.slots


def test_nothing_to_resume_says_what_there_is(path: Path) -> None:
    """Without a conversation of this notebook, the error names what there is of others."""
    with kept_session(path) as session, pytest.raises(ConfigurationError, match="of this notebook is kept") as caught:
        session.resume()
    assert caught.value.hint == "nothing is kept of former sessions"
    formerly(path, "a", name="walk", notebook="/home/ada/other.ipynb")
    with kept_session(path) as session:
        with pytest.raises(ConfigurationError) as caught:
            session.resume()
        assert caught.value.hint == "%chat resume walk takes up the last one of other.ipynb"
        with pytest.raises(ConfigurationError, match="No conversation 'wolk'") as caught:
            session.resume("wolk")
        assert caught.value.hint == "did you mean walk?"
        assert session.resume("walk").name == "walk"


def test_python_s_own_conversations_are_not_offered(path: Path) -> None:
    """What lived in a variable is in the file, and not among what can be resumed."""
    with kept_session(path) as session:
        Conversation(session=session, backend=talk(session).backend, model="m", name="mine").ask("a")
    with kept_session(path) as session:
        assert session.kept() == ()
        assert session.lines() == []


def test_former_turns_are_told_once(path: Path) -> None:
    """The first lines of a session say how many turns are kept, and no later ones; none after resuming."""
    formerly(path, "a", "b")
    with kept_session(path) as session:
        assert session.lines() == ["2 turns of this notebook are kept: %chat resume"]
        assert session.lines() == []
    with kept_session(path) as session:
        session.resume()
        assert session.lines() == []


def test_forgetting_a_former_one_by_name(path: Path) -> None:
    """The empty conversation that a session begins with does not stand before a kept one of its name."""
    formerly(path, "a secret walk")
    with kept_session(path) as session:
        assert session.forget("main") == "'main', 1 turn"
        assert session.kept() == ()
        assert [c.name for c in session.conversations] == ["main"]
    assert b"a secret walk" not in path.read_bytes()


# The ledger


def test_usage_by_scope(path: Path) -> None:
    """Session, notebook and all hold what they say, each row once."""
    formerly(path, "a", "b")
    formerly(path, "c", notebook="/home/ada/other.ipynb")
    formerly(path, "d", notebook=None)
    with kept_session(path) as session:
        talk(session).ask("e")
        found = {scope: session.usage_rows(scope) for scope in ("session", "notebook", "all")}
        assert {scope: len(rows) for scope, rows in found.items()} == {"session": 1, "notebook": 3, "all": 5}
        assert len({row.turn_id for row in found["all"]}) == 5
        assert found["session"] == session.ledger.rows


# Killed


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork and no SIGKILL")
def test_no_kill_takes_a_finished_turn(path: Path, fake_server: FakeServer) -> None:
    """Killed at any moment, every turn that was finished is there with its row, once, and partial ones beside it."""
    moments = random.Random(7)
    finished: dict[str, str] = {}
    with session_writers(fake_server.url) as writers:
        for _ in range(KILLS):
            child = writers.begin(path)
            left = moments.randrange(1, 130)
            for kind, *ids in writers.lines():
                if kind == "turn":
                    finished[ids[1]] = ids[0]
                left -= 1
                if not left:
                    os.kill(child, signal.SIGKILL)

            # Its draft is taken up by the next session, as it is by the next kernel.
            with kept_session(path) as session:
                rows = session.usage_rows("all")
            assert max(Counter(row.turn_id for row in rows).values(), default=1) == 1
            assert {row.turn_id for row in rows if row.status == "complete"} >= set(finished)

    with closing(Store(str(path))) as store:
        assert store.orphans() == ()
        status = {
            turn.id: (kept.id, turn.status)
            for kept in store.conversations()
            for slot in store.read(kept.id).slots
            for turn in slot.versions
        }
    assert {turn_id: (conversation, "complete") for turn_id, conversation in finished.items()}.items() <= status.items()
    partial = [row for row in ledger(path) if row.turn_id not in finished and row.status == "interrupted"]
    assert partial
    assert all(row.is_estimate and status[row.turn_id][1] == "interrupted" for row in partial)
    assert len(finished) >= KILLS // 2
