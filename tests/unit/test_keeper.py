"""What is written when: turns before their ask returns, nothing where nothing is to be stored, all that was owed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.errors import StoreError
from llm_magic.keeper import Keeper
from llm_magic.owed import snapshot_of
from llm_magic.store import Draft, Store, database, schema
from llm_magic.testing import ScriptedBackend, says
from llm_magic.turns import new_id
from tests.fakes.kept import asked, row_of, some_turn
from tests.fakes.sessions import kept_session, ledger, open_session, prompts, stored, talk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from llm_magic.backends.base import Request
    from llm_magic.events import Event
    from llm_magic.session import Session

PRIVATE = "Conversation 'main' was asked while nothing was stored, and is not kept."
COPY = "Conversation 'main' was taken up elsewhere; here it goes on as a copy."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is to be."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
def session(path: Path) -> Iterator[Session]:
    """A session that keeps what it does there."""
    with kept_session(path) as made:
        yield made


class SlowToClose(ScriptedBackend):
    """A backend whose connections take their time to close."""

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """As scripted."""
        try:
            async for event in super().stream(request):
                yield event
        finally:
            for _ in range(2000):
                await asyncio.sleep(0)


def settled(session: Session) -> None:
    """Everything noted until now has been tried."""
    assert session.keeper is not None
    with contextlib.suppress(StoreError):
        session.keeper.call(lambda store: store.where)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process's transaction, which lets nobody else in."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is not waited for."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.01)


# In time


def test_turn_is_stored_when_ask_returns(session: Session, path: Path) -> None:
    """Each turn, failed or not, and its ledger row are in the file before the caller goes on."""
    chat = talk(session)

    for number in range(3):
        chat.ask(f"question {number}")
        assert prompts(stored(path, chat)) == [f"question {n}" for n in range(number + 1)]
        assert len(ledger(path)) == number + 1

    assert stored(path, chat).slots == chat.slots
    assert ledger(path) == session.ledger.rows


def test_first_store_is_named_once(path: Path) -> None:
    """The first session says where things are kept; no later ask or session does."""
    with kept_session(path) as first:
        talk(first).ask("a")
        assert first.lines() == [f"Conversations are kept in {path}; %chat config store=off keeps nothing."]
        talk(first).ask("b")
        assert first.lines() == []

    with kept_session(path, notebook=None) as second:
        talk(second).ask("c")
        assert second.lines() == []


def test_python_s_own_conversations_are_stored_and_not_listed(session: Session, path: Path) -> None:
    """A conversation in a variable is written like the others, and marked as what it is."""
    talk(session)
    mine = Conversation(session=session, backend=talk(session).backend, model="m", name="mine")
    mine.ask("a")

    assert prompts(stored(path, mine)) == ["a"]
    with contextlib.closing(Store(str(path))) as store:
        assert [(kept.name, kept.is_listed) for kept in store.conversations()] == [("mine", False)]


def test_two_of_one_id_do_not_write_into_each_other(session: Session, path: Path) -> None:
    """A copy of a conversation that goes on gets an id of its own: the turns of neither are lost."""
    chat = talk(session)
    chat.ask("a")
    copy = replace(chat)
    assert isinstance(copy, Conversation)
    copy.ask("of the copy")
    chat.ask("of the first")

    assert copy.id != chat.id
    assert prompts(stored(path, chat)) == ["a", "of the first"]
    assert prompts(stored(path, copy)) == ["a", "of the copy"]


def test_conversation_that_is_dropped_is_let_go(session: Session, path: Path) -> None:
    """What is written of a conversation is not held in memory any longer than the conversation."""
    chat = Conversation(session=session, backend=talk(session).backend, model="m", name="mine")
    chat.ask("a")
    turn = chat.turns[0]
    session.last = None
    del chat

    gc.collect()
    held = [holder for holder in gc.get_referrers(turn) if isinstance(holder, tuple)]

    assert held == []


# Off, memory, and other places


@pytest.mark.parametrize("where", ["off", "memory"])
def test_no_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """With off and memory there is no file and no folder, whatever is done; and nothing is said."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    with kept_session(where) as session:
        chat = talk(session)
        chat.ask("a")
        chat.undo()
        session.keep_all()
        assert session.usage_rows("all") == session.ledger.rows != ()
        assert session.lines() == []
        session.forget()

    assert list(tmp_path.iterdir()) == []


def test_asked_while_off_is_never_written(session: Session, path: Path) -> None:
    """What was asked while nothing was stored stays out, its forks too, when it is on again; one line says so."""
    secret = "of nobody's concern"
    session.config.session["store"] = "off"
    chat = talk(session)
    chat.ask(secret)
    fork = chat.fork("fork")
    session.config.session["store"] = str(path)
    other = talk(session, name="other")
    other.ask("public")
    session.lines()

    chat.ask("a")
    chat.ask("b")
    fork.ask("c")
    session.keep_all()
    settled(session)

    assert session.lines() == [PRIVATE, PRIVATE.replace("main", "fork")]
    assert secret.encode() not in path.read_bytes()
    with contextlib.closing(Store(str(path))) as store:
        assert [kept.name for kept in store.conversations()] == ["other"]
    assert len(ledger(path)) == 4


def test_turning_off_makes_only_what_is_asked_then_private(session: Session, path: Path) -> None:
    """A conversation that was not asked while nothing was stored is kept on; keeping all marks nothing as private."""
    asked_then, not_asked = talk(session), talk(session, name="other")
    asked_then.ask("a")
    not_asked.ask("b")
    session.config.session["store"] = "off"
    session.keep_all()
    asked_then.ask("private")
    session.config.session["store"] = str(path)

    not_asked.ask("c")

    assert prompts(stored(path, not_asked)) == ["b", "c"]
    assert prompts(stored(path, asked_then)) == ["a"]


def test_store_can_be_changed_at_run_time(session: Session, path: Path, tmp_path: Path) -> None:
    """A conversation is written whole to the place that is named next, and goes on in the first as it stands then."""
    chat = talk(session)
    chat.ask("a")
    session.config.session["store"] = str(tmp_path / "other.sqlite3")
    chat.ask("b")
    assert prompts(stored(tmp_path / "other.sqlite3", chat)) == ["a", "b"]
    assert prompts(stored(path, chat)) == ["a"]
    chat.move(chat.slots[1], chat.slots[0])
    session.config.session["store"] = str(path)

    chat.ask("c")

    assert prompts(stored(path, chat)) == ["b", "a", "c"]
    assert stored(path, chat).slots == chat.slots


# Trouble


@pytest.mark.usefixtures("impatient")
def test_busy_store_is_written_with_the_next_ask(path: Path) -> None:
    """While another process holds the file, one line says so and the work goes on; then all of it is written."""
    with kept_session(path) as session:
        chat, other = talk(session), talk(session, name="other")
        chat.ask("a")
        session.lines()
        with locked(path):
            other.ask("b")
            chat.ask("c")
            chat.ask("d")
            (line,) = session.lines()
        assert "in use by another process. What is asked meanwhile is kept in memory." in line
        assert prompts(stored(path, chat)) == ["a"]

        other.ask("e")

        assert prompts(stored(path, chat)) == ["a", "c", "d"]
        assert prompts(stored(path, other)) == ["b", "e"]
        assert ledger(path) == session.ledger.rows
        assert session.lines() == []


@pytest.mark.usefixtures("impatient")
def test_what_is_owed_is_written_at_the_end(path: Path) -> None:
    """What a busy store did not take is written when the session ends, conversations in variables too."""
    Store(str(path)).close()
    session = open_session(path)
    chat = Conversation(session=session, backend=talk(session).backend, model="m", name="mine")
    with locked(path):
        chat.ask("a")
        chat.ask("b", keep=False)

    session.close()

    assert prompts(stored(path, chat)) == ["a"]
    assert ledger(path) == session.ledger.rows
    assert len(ledger(path)) == 2


def test_hopeless_store_is_told_once(tmp_path: Path) -> None:
    """Where no store can be, one line says so, and the work goes on in memory; a better place gets what is owed."""
    (tmp_path / "file").write_text("")
    with kept_session(tmp_path / "file" / "store.sqlite3") as session:
        chat = talk(session)
        mine = Conversation(session=session, backend=chat.backend, model="m", name="mine")
        chat.ask("a")
        mine.ask("b")
        session.keep_all()
        settled(session)
        (line,) = session.lines()
        assert "cannot be used" in line
        assert prompts(chat) == ["a"]

        better = tmp_path / "better.sqlite3"
        session.config.session["store"] = str(better)
        chat.ask("c")

        assert prompts(stored(better, chat)) == ["a", "c"]
        assert prompts(stored(better, mine)) == ["b"]
        assert ledger(better) == session.ledger.rows


def test_store_of_a_later_release_is_told_once_and_left_alone(path: Path) -> None:
    """A file this release does not understand stays as it is, byte by byte; one line says so."""
    Store(str(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version={len(schema.STEPS) + 1}")
    before = path.read_bytes()

    with kept_session(path) as session:
        chat = talk(session)
        chat.ask("a")
        chat.ask("b")
        (line,) = session.lines()

    assert "of a later release" in line
    assert prompts(chat) == ["a", "b"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["~nobody-of-that-name/store", "a\0b"])
def test_setting_that_names_no_path_is_told(where: str) -> None:
    """A path that cannot be one is a line, not a dead thread."""
    with kept_session("memory") as session:
        session.config.session["store"] = where
        chat = talk(session)
        chat.ask("a")
        (line,) = session.lines()

    assert "is no path" in line
    assert prompts(chat) == ["a"]


def test_one_that_cannot_be_written_does_not_hold_up_others(session: Session, path: Path) -> None:
    """A conversation that cannot be written is told once; the others and the ledger are written."""
    broken, chat = talk(session, name="broken"), talk(session)
    chat.ask("a")
    session.lines()
    broken.made_by = object()  # type: ignore[assignment]  # what no user can do
    broken.ask("b")
    chat.ask("c")
    chat.ask("d")

    (line,) = session.lines()
    assert "not" in line
    assert prompts(stored(path, chat)) == ["a", "c", "d"]
    assert ledger(path) == session.ledger.rows


# Taken and forgotten


def test_conversation_taken_elsewhere_goes_on_as_a_copy(session: Session, path: Path) -> None:
    """Both are complete: the other session's with what it asked, this one's with all of its own."""
    chat = talk(session)
    chat.ask("a")
    session.lines()
    with kept_session(path) as other:
        other.resume()
        theirs = talk(other)
        theirs.ask("theirs")
        chat.ask("ours")
        theirs.ask("theirs too")

        assert session.lines() == [COPY]
        assert chat.id != theirs.id
        assert prompts(stored(path, theirs)) == ["a", "theirs", "theirs too"]
        assert prompts(stored(path, chat)) == ["a", "ours"]
        assert stored(path, chat).slots == chat.slots
    assert len(ledger(path)) == 4


@pytest.mark.usefixtures("impatient")
def test_taken_while_several_wait(path: Path) -> None:
    """All of what waits is written, though one of it was taken by another session meanwhile."""
    with kept_session(path) as session:
        chats = [talk(session, name=name) for name in ("main", "two", "three")]
        for chat in chats:
            chat.ask("a")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for chat in chats:
                chat.ask("b")
            other.execute("UPDATE conversations SET owner = 'somebody' WHERE name = 'main'")
            other.execute("COMMIT")

        chats[2].ask("c")

        assert [prompts(stored(path, chat)) for chat in chats] == [["a", "b"], ["a", "b"], ["a", "b", "c"]]
        assert ledger(path) == session.ledger.rows
        assert COPY in session.lines()


def test_forgotten_is_never_written_again(session: Session, path: Path) -> None:
    """A conversation that is forgotten is gone from the bytes, and what it is asked later is not written."""
    chat, other = talk(session), talk(session, name="other")
    chat.ask("a secret walk", system="a secret prompt")
    other.ask("b")
    assert b"a secret walk" in path.read_bytes()

    session.forget("main")
    chat.ask("a secret again")
    session.keep_all()
    settled(session)

    assert b"a secret" not in path.read_bytes()
    assert [c.name for c in session.conversations] == ["other"]
    assert ledger(path) == session.ledger.rows
    assert len(ledger(path)) == 3


def test_forgotten_elsewhere_does_not_come_back(session: Session, path: Path) -> None:
    """A conversation that another session forgot is not written under another id; one line says so."""
    chat = talk(session)
    chat.ask("a secret walk")
    session.lines()
    with kept_session(path) as other:
        other.forget("main")

    chat.ask("a secret again")
    chat.ask("a secret once more")

    assert session.lines() == ["Conversation 'main' was forgotten elsewhere, and is not kept any more."]
    assert b"a secret" not in path.read_bytes()
    assert ledger(path) == session.ledger.rows
    assert prompts(chat) == ["a secret walk", "a secret again", "a secret once more"]


@pytest.mark.usefixtures("impatient")
def test_forgetting_is_owed_where_the_store_is_busy(path: Path) -> None:
    """What cannot be deleted now is an error that says so, and is deleted with the next writing."""
    with kept_session(path) as session:
        chat = talk(session)
        chat.ask("a secret walk")
        with locked(path), pytest.raises(StoreError, match="is deleted as soon as that is possible"):
            session.forget()

        talk(session, name="other").ask("b")

        assert b"a secret" not in path.read_bytes()


def test_forgetting_reaches_what_was_written_before(session: Session, path: Path, tmp_path: Path) -> None:
    """Every file the conversation was written to is cleared of it, also when nothing is stored by now."""
    chat = talk(session)
    chat.ask("a secret walk")
    second = tmp_path / "other.sqlite3"
    session.config.session["store"] = str(second)
    chat.ask("a secret again")
    assert b"a secret" in path.read_bytes()
    assert b"a secret" in second.read_bytes()
    session.config.session["store"] = "off"

    session.forget()

    assert b"a secret" not in path.read_bytes() + second.read_bytes()


def test_conversation_that_is_lost_from_the_file_is_written_whole(session: Session, path: Path) -> None:
    """Where the file was put back to what it was before, and nobody forgot anything, all turns are written again."""
    chat = talk(session)
    chat.ask("a")
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA foreign_keys=ON")
        with other:
            other.execute("DELETE FROM conversations")

    chat.ask("b")

    assert prompts(stored(path, chat)) == ["a", "b"]


# Threads and forks


def test_many_threads_use_one_writer(path: Path) -> None:
    """Whoever comes first, there is one thread that writes, and every row is written once."""
    keeper = Keeper(new_id(), lambda: str(path))
    barrier = threading.Barrier(8)
    before = set(threading.enumerate())

    def write(number: int) -> str:
        chat = Conversation(name=str(number))
        barrier.wait(10)
        for _ in range(5):
            turn = some_turn()
            asked(chat, turn)
            keeper.keep(snapshot_of(chat, is_listed=True), row_of(turn), ended=turn.id).result(60)
        return chat.id

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(write, range(8)))

    writers = set(threading.enumerate()) - before
    keeper.close()

    assert len(writers) == 1
    assert len({row.turn_id for row in ledger(path)}) == len(ledger(path)) == 40
    with contextlib.closing(Store(str(path))) as store:
        assert {kept.id: kept.n_turns for kept in store.conversations()} == dict.fromkeys(ids, 5)


def test_draft_does_not_outlive_its_turn(path: Path) -> None:
    """A draft whose turn ends before it is written is not: nobody takes it up later, over the whole answer."""
    keeper = Keeper(new_id(), lambda: str(path))
    begun, go_on = threading.Event(), threading.Event()
    chat, turn = Conversation(), some_turn("the whole answer")
    slot = chat.reserve(None)
    partial = replace(turn, text="the", status="interrupted")

    def slow(_store: Store) -> bool:
        begun.set()
        return go_on.wait(60)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(keeper.call, slow)
        assert begun.wait(60)
        draft = Draft(turn=partial, row=row_of(partial), conversation=chat.id, slot=slot.id)
        first = keeper.keep_draft(snapshot_of(chat, is_listed=True), draft)
        chat.add_version(slot, turn)
        last = keeper.keep(snapshot_of(chat, is_listed=True), row_of(turn), ended=turn.id)
        go_on.set()
        assert waiting.result(60)
    first.result(60)
    last.result(60)
    keeper.close()

    with contextlib.closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM drafts").fetchone() == (0,)
    assert stored(path, chat).slots == chat.slots
    assert len(ledger(path)) == 1


def test_cancelled_wait_does_not_end_the_thread(path: Path) -> None:
    """A caller that gives up waiting takes nothing with it: what comes next is written."""
    keeper = Keeper(new_id(), lambda: str(path))
    begun, go_on = threading.Event(), threading.Event()

    def slow(_store: Store) -> bool:
        begun.set()
        return go_on.wait(60)

    chat, turn = Conversation(), some_turn()
    asked(chat, turn)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(keeper.call, slow)
        assert begun.wait(60)
        given_up = keeper.keep(snapshot_of(chat, is_listed=True), row_of(turn), ended=turn.id)

        assert given_up.cancel()
        go_on.set()

        assert waiting.result(60)
    keeper.keep(None).result(60)
    keeper.close()
    assert stored(path, chat).slots == chat.slots


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork_keeps_its_own(session: Session, path: Path) -> None:
    """The child of a fork goes on in a copy under its own name; the parent's is not touched by it."""
    chat = talk(session)
    chat.ask("a")
    child = os.fork()
    if not child:
        status = 1
        try:
            chat.ask("of the child")
            status = 0 if prompts(stored(path, chat)) == ["a", "of the child"] and COPY in session.lines() else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    chat.ask("of the parent")

    assert os.waitstatus_to_exitcode(status) == 0
    assert prompts(stored(path, chat)) == ["a", "of the parent"]
    with contextlib.closing(Store(str(path))) as store:
        assert [kept.n_turns for kept in store.conversations()] == [2, 2]
    assert len(ledger(path)) == 3


def test_end_of_a_session_keeps_what_is_under_way(path: Path) -> None:
    """Closing stops an answer, and its text so far is in the file afterwards."""
    session = open_session(path)
    chat = talk(session)
    chat.backend = SlowToClose([[*says("some words")[:-1], 3600.0]])
    stream = chat.stream("a")
    next(stream)

    session.close()

    (turn,) = stored(path, chat).turns
    assert turn.status == "interrupted"
    assert turn.text.startswith("some")
    assert [row.status for row in ledger(path)] == ["interrupted"]
    stream.close()  # type: ignore[attr-defined]  # it is a generator
