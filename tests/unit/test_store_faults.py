"""The store in trouble: many writers, kills, full disks, forks, and file systems that cannot do what it needs."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm_magic.errors import StoreError
from llm_magic.slots import Conversation
from llm_magic.store import BusyStoreError, Store, database
from tests.fakes.kept import asked, difference, some_turn, write_whole
from tests.fakes.store_writer import writers

if TYPE_CHECKING:
    from tests.fakes.store_writer import Writers

ROOT = Path(__file__).resolve().parents[2]
N_KILLS = 100


def is_whole(path: Path) -> bool:
    """SQLite finds nothing wrong with the file, nor with what refers to what."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        checked = connection.execute("PRAGMA integrity_check").fetchall()
        return checked == [("ok",)] and connection.execute("PRAGMA foreign_key_check").fetchall() == []


def in_process(code: str, *arguments: object) -> str:
    """What a Python process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    """Eight kernels with fifty turns each, into a file that none has made yet: every turn and every row is there."""
    path = tmp_path / "store.sqlite3"
    with writers() as others:
        for _ in range(8):
            others.say("write", path, 50)
        others.say("wait")
        told = [words[1:] for words in others.lines() if words[0] == "turn"]

    store = Store(str(path))
    kept = {talk.id: [turn.id for turn in store.read(talk.id).turns] for talk in store.conversations()}
    rows = [row.turn_id for row in store.ledger()]
    store.close()

    assert len(told) == 400
    assert sorted(told) == sorted([talk, turn] for talk, turns in kept.items() for turn in turns)
    assert sorted(rows) == sorted(turn for _, turn in told)
    assert is_whole(path)


def told_before_the_kill(others: Writers, path: Path, dice: random.Random) -> list[list[str]]:
    """What a process that streams turns has told when it is killed, at some moment."""
    others.say("stream", path, dice.randint(1, 4))
    (_, pid), told = others.stdout.readline().decode().split(), []
    deadline = time.monotonic() + dice.uniform(0, 0.2)
    # Where it has come to by then is the disk's matter.
    while (left := deadline - time.monotonic()) > 0 and select.select([others.stdout], [], [], left)[0]:
        told.append(others.stdout.readline().decode().split())
    os.kill(int(pid), signal.SIGKILL)
    others.say("wait")
    return [*told, *others.lines()]


def test_kill_loses_at_most_what_came_after_the_last_draft(tmp_path: Path) -> None:
    """A hundred kills at random moments: the file is whole, what was told as written is there, text and money."""
    path = tmp_path / "store.sqlite3"
    dice = random.Random(3)
    seen: Counter[str] = Counter()
    Store(str(path)).close()
    with writers() as others:
        for _ in range(N_KILLS):
            told = told_before_the_kill(others, path, dice)
            store = Store(str(path))
            for draft in store.orphans():
                assert store.recover(draft)
                seen["recovered"] += 1
            talks = {words[1] for words in told}
            turns = {turn.id: turn for talk in talks for slot in store.read(talk).slots for turn in slot.versions}
            rows = [row.turn_id for talk in talks for row in store.ledger()]
            store.close()

            assert is_whole(path)
            for kind, _, turn_id, *size in told:
                seen[kind] += 1
                assert turns[turn_id].status == "complete" or kind == "draft"
                assert len(turns[turn_id].text) >= int(size[0] if size else 0)
                assert rows.count(turn_id) == 1

    # Not all of them died before they had begun, nor between two answers.
    assert min(seen["draft"], seen["turn"], seen["recovered"]) > 10


def test_forks_write_by_connections_of_their_own(tmp_path: Path) -> None:
    """Children of a process that is writing write too, at any moment, and harm neither the file nor their parent."""
    path = tmp_path / "store.sqlite3"
    told = in_process(
        """
        import os, sys, threading
        from llm_magic.slots import Conversation
        from llm_magic.store import Store
        from tests.fakes.kept import asked, difference, some_turn, write_whole
        from tests.fakes.store_writer import patiently

        store, talk = Store(sys.argv[1]), Conversation(name="parent")
        is_over = threading.Event()

        def write():
            while not is_over.is_set():
                before = talk.slots
                asked(talk, some_turn())
                patiently(lambda: store.write(difference(talk, before)))

        def be_a_child():
            mine = Conversation(name="child")
            asked(mine, some_turn())
            patiently(lambda: write_whole(store, mine, session="child"))
            is_equal = store.read(mine.id) == mine
            store.close()
            return is_equal

        writer = threading.Thread(target=write)
        writer.start()
        children = []
        for _ in range(8):
            child = os.fork()
            if not child:
                try:
                    os._exit(0 if be_a_child() else 1)
                finally:
                    os._exit(2)
            children.append(child)
        print({os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children})
        is_over.set()
        writer.join()
        print(sum(kept.name == "child" for kept in store.conversations()), store.read(talk.id) == talk)
        store.close()
        """,
        path,
    )

    assert told == "{0}\n8 True\n"
    assert is_whole(path)


def test_fork_keeps_what_is_in_memory() -> None:
    """The child of a fork has its parent's conversations also where they are in no file."""
    told = in_process(
        """
        import os
        from llm_magic.slots import Conversation
        from llm_magic.store import Store
        from tests.fakes.kept import write_whole

        store, talk = Store(":memory:"), Conversation(name="parent")
        write_whole(store, talk)
        child = os.fork()
        if not child:
            os._exit(store.read(talk.id) != talk)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        store.close()
        """
    )

    assert told == "0\n"


def test_closed_store_says_so(tmp_path: Path) -> None:
    """What comes after the end is an error, and no crash; closing twice is harmless."""
    store = Store(str(tmp_path / "store.sqlite3"))
    store.close()
    store.close()

    with pytest.raises(StoreError, match="is closed"):
        store.conversations()


def test_lock_of_another_process_is_waited_for_and_then_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that holds the file too long is an error that says to try again; then it works."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "store.sqlite3"
    store, talk = Store(str(path)), Conversation(name="main")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(BusyStoreError, match="in use by another process"):
        write_whole(store, talk)
    other.execute("COMMIT")
    other.close()
    write_whole(store, talk)

    assert store.read(talk.id) == talk
    store.close()


def test_full_file_says_so_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    """A store without space keeps all it has; what could not be written can be, later."""
    store, talk = Store(str(tmp_path / "store.sqlite3")), Conversation(name="main")
    write_whole(store, talk)
    connection = store._database._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 10}").fetchall()
    asked(talk, some_turn("x" * 100_000))

    with pytest.raises(BusyStoreError, match="no space left"):
        store.write(difference(talk))
    assert store.read(talk.id).slots == ()
    connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    store.write(difference(talk))

    assert store.read(talk.id) == talk
    store.close()


def test_refused_write_of_the_system_can_be_tried_again(tmp_path: Path) -> None:
    """Where the system refuses to let the file grow (a quota), nothing is lost, and the next try can succeed."""
    path = tmp_path / "store.sqlite3"
    told = in_process(
        """
        import resource, sys
        from pathlib import Path
        from llm_magic.slots import Conversation
        from llm_magic.store import BusyStoreError, Store
        from tests.fakes.kept import asked, difference, some_turn, write_whole

        store, talk = Store(sys.argv[1]), Conversation(name="main")
        asked(talk, some_turn("first"))
        write_whole(store, talk)
        before = talk.slots
        asked(talk, some_turn("x" * 300_000))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1]).stat().st_size + 100_000, hard))
        try:
            store.write(difference(talk, before))
        except BusyStoreError as exc:
            print(exc.message)
        print([slot.versions[0].text for slot in store.read(talk.id).slots])
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.write(difference(talk, before))
        print(store.read(talk.id) == talk)
        store.close()
        """,
        path,
    )

    message, kept, is_equal = told.splitlines()
    assert "failed" in message
    assert kept == "['first']"
    assert is_equal == "True"
    assert is_whole(path)


def test_path_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A path through a file is an error that names it."""
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(StoreError, match=r"file/store\.sqlite3 cannot be used: Not a directory"):
        Store(str(tmp_path / "file" / "store.sqlite3"))


def test_read_only_folder_can_be_read_and_says_why_it_is_not_written() -> None:
    """In a folder where nothing may be made, a store is told about; one that is there is still read."""
    with tempfile.TemporaryDirectory() as folder:
        told = in_process(
            """
            import os, sys
            from pathlib import Path
            from llm_magic.errors import StoreError
            from llm_magic.slots import Conversation
            from llm_magic.store import BusyStoreError, Store
            from tests.fakes.kept import asked, some_turn, write_whole

            folder = Path(sys.argv[1])
            store, talk = Store(str(folder / "there.sqlite3")), Conversation(name="main")
            write_whole(store, talk)
            store.close()
            (folder / "there.sqlite3").chmod(0o444)
            folder.chmod(0o555)
            if os.geteuid() == 0:
                os.seteuid(65534)  # permissions do not bind root

            def attempt(action):
                try:
                    action()
                except StoreError as exc:
                    print(isinstance(exc, BusyStoreError), exc.message)

            attempt(lambda: Store(str(folder / "new.sqlite3")))
            store = Store(str(folder / "there.sqlite3"))
            print(store.read(talk.id) == talk)
            attempt(lambda: store.take(talk.id, "me"))
            store.close()
            """,
            folder,
        )
    new, is_equal, written = told.splitlines()

    assert new == f"False The store {folder}/new.sqlite3 cannot be used: Permission denied."
    assert is_equal == "True"
    assert written.startswith(f"False The store {folder}/there.sqlite3 cannot be used: attempt to write a readonly")


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
@pytest.mark.parametrize("number", [37, 38])
def test_file_system_without_locks_is_named(tmp_path: Path, number: int) -> None:
    """Where the system cannot lock (ENOLCK, ENOSYS), the store says so, and not that somebody is busy."""
    path = tmp_path / "store.sqlite3"
    told = in_process(
        """
        import sys
        from llm_magic.errors import StoreError
        from llm_magic.store import BusyStoreError, Store, database
        from tests.fakes.no_locks import refuse_locks

        database.BUSY_TIMEOUT_S = 0.05
        Store(":memory:").close()
        refuse_locks(int(sys.argv[2]))
        try:
            Store(sys.argv[1])
        except StoreError as exc:
            print(isinstance(exc, BusyStoreError), exc.message)
        """,
        path,
        number,
    )

    assert told == f"False The file system of the store {path} has no locks.\n"
