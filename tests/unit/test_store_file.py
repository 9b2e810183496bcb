"""The store's file: whose it is, how it is opened, brought up to date, and refused."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Message, TextPart
from llm_magic.errors import StoreError
from llm_magic.slots import Conversation
from llm_magic.store import BusyStoreError, Draft, Store, schema
from llm_magic.store.database import default_path
from tests.fakes.kept import asked, difference, row_of, some_turn, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "store"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
def wide_umask() -> Iterator[None]:
    """A umask that keeps nobody out."""
    former = os.umask(0)
    yield
    os.umask(former)


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def pragma(store: Store, name: str) -> object:
    """What SQLite was told."""
    with store._database.reading() as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def tables(path: Path) -> list[tuple[str, str]]:
    """Everything a file has, by name."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        return [(name, " ".join(sql.split())) for name, sql in found]


# Whose it is


@pytest.mark.usefixtures("wide_umask")
def test_own_folder_and_file_are_for_the_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the user's data folder, both are made private, whatever the umask; so is the journal."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = default_path()

    store = Store(str(path))
    with store._database.writing() as connection:
        connection.execute("INSERT INTO forgotten VALUES ('x')")
        journal = mode(path.with_name(path.name + "-journal"))
    store.close()

    assert path.is_relative_to(tmp_path)
    assert (mode(path.parent), mode(path), journal) == (0o700, 0o600, 0o600)


@pytest.mark.usefixtures("wide_umask")
def test_own_folder_and_file_that_were_open_to_others_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there with wider permissions gets narrow ones."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = default_path()
    path.parent.mkdir(parents=True)
    path.touch()

    Store(str(path)).close()

    assert (mode(path.parent), mode(path)) == (0o700, 0o600)


@pytest.mark.usefixtures("wide_umask")
def test_a_folder_of_the_user_stays_as_it_is(tmp_path: Path) -> None:
    """A store at a path the user gave is private; the folder it is in is the user's matter, unless it is made."""
    tmp_path.chmod(0o755)

    Store(str(tmp_path / "store.sqlite3")).close()
    Store(str(tmp_path / "new" / "store.sqlite3")).close()

    assert (mode(tmp_path), mode(tmp_path / "store.sqlite3")) == (0o755, 0o600)
    assert mode(tmp_path / "new") == 0o700


def test_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in memory is one, and touches no disk."""
    monkeypatch.chdir(tmp_path)
    store, talk = Store(":memory:"), Conversation(name="main")
    asked(talk, some_turn())
    write_whole(store, talk)

    assert store.read(talk.id) == talk
    assert list(tmp_path.iterdir()) == []
    store.close()


# How it is opened


def test_importing_loads_no_database() -> None:
    """The package can be imported where nothing is stored: SQLite comes with the first store."""
    code = "import sys, llm_magic.store; sys.exit(bool({'sqlite3', 'platformdirs'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_opened_safely(path: Path) -> None:
    """A rollback journal, whole syncs, overwritten deletions, checked references, patience."""
    store = Store(str(path))

    assert pragma(store, "journal_mode") == "delete"
    assert pragma(store, "synchronous") == 3  # EXTRA
    assert pragma(store, "secure_delete") == 1
    assert pragma(store, "foreign_keys") == 1
    assert pragma(store, "busy_timeout") == 5000
    store.close()


def test_secret_is_the_file_s_own(path: Path, tmp_path: Path) -> None:
    """Cells have the same names in every kernel that uses a file, and others in another."""
    stores = [Store(str(path)), Store(str(path)), Store(str(tmp_path / "other.sqlite3"))]
    first, again, other = (store.secret for store in stores)
    for store in stores:
        store.close()

    assert len(first) == 32
    assert first == again != other


def test_ledger_refuses_changes(path: Path) -> None:
    """A row of the ledger can be neither changed nor deleted, by any statement of ours."""
    store = Store(str(path))
    write_whole(store, talk := Conversation(name="main"))
    asked(talk, some_turn())
    store.write(difference(talk, session="me", rows=(row_of(talk.turns[0]),)))

    for statement in ("UPDATE ledger SET cost_usd = 0", "DELETE FROM ledger"):
        with pytest.raises(StoreError, match="append-only"), store._database.writing() as connection:
            connection.execute(statement)

    assert store.ledger() == (row_of(talk.turns[0]),)
    store.close()


# Brought up to date


def test_store_of_the_first_schema_is_read_and_written(path: Path) -> None:
    """A file that the first release wrote gives back what was in it, takes more, and has the tables of today."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((FIXTURES / "schema-1.sql").read_text("utf-8"))
    fresh = path.with_name("fresh.sqlite3")
    Store(str(fresh)).close()

    store = Store(str(path))
    (kept,) = store.conversations()
    talk = store.read(kept.id)
    (orphan,) = store.orphans()
    store.recover(orphan)
    asked(talk, some_turn("a new one"))
    store.write(difference(talk, talk.slots[:-1], session=kept.owner))

    assert kept.name == "fox"
    assert kept.n_turns == 2
    assert [turn.text for slot in talk.slots for turn in slot.versions] == [
        "A fox.",
        "A red fox.",
        "In the snow.",
        "a new one",
    ]
    picture = talk.slots[0].versions[0].prompt[0].parts[1]
    assert isinstance(picture, ImagePart)
    assert picture.data == b"not really a picture"
    assert orphan.turn.text == "It was"
    assert [row.turn_id for row in store.ledger()] == ["turn-1", "turn-2", "turn-3", "turn-4"]
    assert store.secret == bytes(range(32))
    store.close()
    assert tables(path) == tables(fresh)


def test_each_step_is_taken_once_and_in_order(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file goes through the steps it is missing; what is in it stays."""
    talk = Conversation(name="main")
    write_whole(store := Store(str(path)), talk)
    store.close()
    steps = (("CREATE TABLE second (a)", "INSERT INTO second VALUES (1)"), ("INSERT INTO second VALUES (2)",))
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, *steps))

    for _ in range(2):
        store = Store(str(path))
        with store._database.reading() as connection:
            assert connection.execute("SELECT a FROM second").fetchall() == [(1,), (2,)]
        assert pragma(store, "user_version") == 3
        assert store.read(talk.id) == talk
        store.close()


def test_step_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a step is none: the next release that can do it finds the file of before."""
    Store(str(path)).close()
    before = tables(path)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("CREATE TABLE second (a)", "INSERT INTO nowhere VALUES (1)")))

    with pytest.raises(StoreError, match="no such table: nowhere"):
        Store(str(path))

    assert tables(path) == before
    monkeypatch.undo()
    Store(str(path)).close()


# Refused


def test_store_of_a_later_release_is_left_alone(path: Path) -> None:
    """A file whose schema is not known is refused in one line, and not touched."""
    Store(str(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.STEPS) + 1}")
    before = path.read_bytes()

    with pytest.raises(StoreError, match="is of a later release") as caught:
        Store(str(path))

    assert "pip install -U llm-magic" in str(caught.value)
    assert path.read_bytes() == before


def test_database_of_something_else_is_left_alone(path: Path) -> None:
    """A path that names somebody else's database by mistake is refused, and not touched."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name)")
        connection.commit()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="is a database of something else"):
        Store(str(path))

    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"Dear diary, " * 500, b"SQLite format 3\0" + bytes(range(256)) * 40])
def test_file_that_is_no_database_is_left_alone(path: Path, content: bytes) -> None:
    """A file that is none of ours, or broken from its first byte on, is refused by name, and not touched."""
    path.write_bytes(content)

    with pytest.raises(StoreError, match="damaged") as caught:
        Store(str(path))

    assert str(path) in caught.value.message
    assert "move the file away" in str(caught.value)
    assert not isinstance(caught.value, BusyStoreError)
    assert path.read_bytes() == content


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a store with something in every table."""
    path = tmp_path_factory.mktemp("whole") / "store.sqlite3"
    store = Store(str(path))
    for name in ("one", "two"):
        talk = Conversation(name=name, system="Be brief.")
        for number in range(20):
            prompt = Message(role="user", parts=(TextPart(text="é" * 200), ImagePart(data=bytes([number]) * 999)))
            asked(talk, some_turn("word " * 50, settings={"seed": 1}, tool_calls=()))
            asked(talk, some_turn("word " * 900, cost_usd=0.1, error="none"))
            turn = some_turn()
            asked(talk, type(turn)(id=turn.id, prompt=(prompt,), text="A fox."))
        write_whole(store, talk)
        turn = some_turn("so far")
        store.write_draft(Draft(turn=turn, row=row_of(turn), conversation=talk.id, slot=talk.slots[0].id))
    with store._database.writing() as connection:
        connection.execute("UPDATE drafts SET pid = 0, touched_at = 0")
    store.close()
    return path.read_bytes()


@given(damages=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=400)), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_damaged_file_is_an_error_of_ours(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[float, bytes]]
) -> None:
    """Whatever bytes are overwritten, in whatever place: what is asked of the store works, or says so in one line."""
    path = tmp_path_factory.mktemp("damaged") / "store.sqlite3"
    broken = bytearray(whole)
    for where, noise in damages:
        place = 100 + int(where * (len(whole) - 101))
        broken[place : place + len(noise)] = noise
    path.write_bytes(broken[: len(whole)])

    with contextlib.suppress(StoreError), contextlib.closing(Store(str(path))) as store:
        for kept in store.conversations():
            with contextlib.suppress(StoreError):
                store.read(kept.id)
        with contextlib.suppress(StoreError):
            store.ledger()
        with contextlib.suppress(StoreError):
            for orphan in store.orphans():
                store.recover(orphan)
        with contextlib.suppress(StoreError):
            write_whole(store, Conversation(name="three"))


def test_damaged_text_is_named(path: Path) -> None:
    """A page of rubbish in the middle of a conversation is an error that names the file and says what to do."""
    store, talk = Store(str(path)), Conversation(name="main")
    asked(talk, some_turn("word " * 10_000))
    write_whole(store, talk)
    store.close()
    content = bytearray(path.read_bytes())
    place = content.index(b"word word")
    content[place : place + 9] = b"\xff" * 9
    path.write_bytes(content)

    store = Store(str(path))
    with pytest.raises(StoreError, match="is damaged") as caught:
        store.read(talk.id)
    store.close()

    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE turns SET prompt = NULL, messages = '[{'",
        "UPDATE turns SET at = 'yesterday'",
        "UPDATE turns SET system = 'nowhere'",
        "UPDATE turns SET more = '{\"what\": 1}'",
        "UPDATE conversations SET head = '[]'",
    ],
)
def test_nonsense_in_a_whole_file_is_named(path: Path, damage: str) -> None:
    """What SQLite finds nothing wrong with, and is none of what was written, is damage as well."""
    store, talk = Store(str(path)), Conversation(name="main")
    asked(talk, some_turn())
    write_whole(store, talk)
    with store._database.writing() as connection:
        connection.execute(damage)

    with pytest.raises(StoreError, match="is damaged"):
        store.read(talk.id)

    store.close()


@pytest.mark.parametrize("damage", ["DELETE FROM meta", "PRAGMA user_version = -1"])
def test_store_that_lacks_what_every_store_has_is_damaged(path: Path, damage: str) -> None:
    """A file that says it is ours and cannot be is refused when it is opened."""
    Store(str(path)).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(damage)

    with pytest.raises(StoreError, match="is damaged"):
        Store(str(path))


def test_python_without_sqlite_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some builds of Python have no SQLite: one line, and nothing is kept."""
    monkeypatch.setitem(sys.modules, "sqlite3", None)

    with pytest.raises(StoreError, match="has no SQLite"):
        Store(str(path))
