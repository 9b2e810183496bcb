"""The store: what is written comes back, shared things are kept once, and what is forgotten is gone."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Message, TextPart
from llm_magic.counts import Usage
from llm_magic.records import head_to_dict
from llm_magic.slots import CellKey, Conversation, Slot
from llm_magic.store import BusyStoreError, Draft, ForgottenError, Placed, Store, TakenError, Writing, database
from tests.fakes.conversations import conversations
from tests.fakes.kept import ME, answered, asked, difference, row_of, some_turn, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """An empty store in a file."""
    made = Store(str(path))
    yield made
    made.close()


@given(conversation=conversations(), data=st.data())
@settings(deadline=None, max_examples=100)
def test_conversation_written_change_by_change_comes_back_equal(conversation: Conversation, data: Any) -> None:
    """Whatever a conversation holds, and in whatever steps it was written, it is read as it was."""
    store = Store(":memory:")
    slots = conversation.slots
    before: tuple[Slot, ...] = ()
    for end in range(len(slots) + 1):
        steps: list[tuple[Slot, ...]] = [slots[:end]]
        for n_versions in range(len(slots[end - 1].versions) if end else 0):
            last = slots[end - 1]
            steps.insert(-1, (*slots[: end - 1], replace(last, versions=last.versions[:n_versions], current_id=None)))
        if data.draw(st.booleans()):
            steps.append(tuple(data.draw(st.permutations(slots[:end]))))
            steps.append(slots[:end])
        if end and data.draw(st.booleans()):
            steps.append(slots[: end - 1])
            steps.append(slots[:end])
        for step in steps:
            conversation.slots = step
            store.write(difference(conversation, before))
            before = step

    assert store.read(conversation.id) == answered(conversation)
    store.close()


def test_a_turn_is_written_without_writing_the_others_again(store: Store) -> None:
    """Changes say what is new; what is there already stays, with the place it has."""
    talk = Conversation(name="main")
    asked(talk, some_turn("one"))
    write_whole(store, talk)
    before = talk.slots

    asked(talk, some_turn("two"))
    changes = difference(talk, before)
    store.write(changes)

    assert [placed.slot.id for placed in changes.slots] == [talk.slots[1].id]
    assert store.read(talk.id) == talk


def test_writing_again_changes_nothing(store: Store) -> None:
    """A writing whose end nobody saw can be done again: no version, and no request, is there twice."""
    talk = Conversation(name="main")
    asked(talk, some_turn())
    row = row_of(talk.turns[0])
    changes = replace(difference(talk), rows=(row,))

    store.write(changes)
    store.write(changes)

    assert store.read(talk.id) == talk
    assert store.ledger() == (row,)


def test_a_writing_that_fails_leaves_nothing(store: Store) -> None:
    """Of a writing that is refused, not even the ledger row is there."""
    talk = Conversation(name="main")
    asked(talk, some_turn())
    write_whole(store, talk)
    store.take(talk.id, "other")
    slots = store.read(talk.id).slots
    asked(talk, some_turn())

    with pytest.raises(TakenError):
        store.write(replace(difference(talk, slots), rows=(row_of(talk.turns[1]),)))

    assert store.read(talk.id).slots == slots
    assert len(store.ledger()) == 1


def test_owner_writes_and_nobody_else(store: Store) -> None:
    """Who takes a conversation is its owner; the former one is told so, and the new one writes on."""
    talk = Conversation(name="main")
    write_whole(store, talk)
    store.take(talk.id, "other")

    with pytest.raises(TakenError) as caught:
        store.write(difference(talk))
    asked(talk, some_turn())
    store.write(difference(talk, session="other"))

    assert not isinstance(caught.value, ForgottenError)
    assert store.read(talk.id) == talk
    assert store.conversations()[0].owner == "other"


def test_ledger_row_alone_is_written(store: Store) -> None:
    """An aside has a row, and no turn."""
    row = row_of(some_turn(), kind="aside")

    store.write(Writing(session=ME, rows=(row,)))

    assert store.ledger() == (row,)
    assert store.conversations() == ()


def test_forks_share_turns_and_pictures(store: Store, path: Path) -> None:
    """A fork costs links: a turn and its picture are in the file once, and come back in both."""
    picture = ImagePart(data=b"picture" * 100_000, media_type="image/png")
    talk = Conversation(name="main")
    prompt = (Message(role="user", parts=(TextPart(text="What?"), picture)),)
    asked(talk, replace(some_turn(), prompt=prompt), CellKey(cell_id="c"))
    write_whole(store, talk)
    size = path.stat().st_size

    fork = Conversation(name="fork", parent=talk.id, slots=talk.slots)
    store.write(difference(fork))

    assert path.stat().st_size < size + 20_000
    assert store.read(fork.id) == fork
    assert store.read(talk.id) == talk


def test_turns_of_one_id_that_differ_are_both_kept(store: Store) -> None:
    """A file somebody has edited and loaded does not get the turn of the same id that was there before."""
    turn = some_turn("A fox.")
    talk, edited = Conversation(name="main"), Conversation(name="loaded")
    asked(talk, turn)
    asked(edited, replace(turn, text="A dog."))

    write_whole(store, talk)
    write_whole(store, edited)

    assert (store.read(talk.id), store.read(edited.id)) == (talk, edited)


def test_half_characters_and_large_numbers_come_back(store: Store) -> None:
    """What a server sends is kept, also what has no UTF-8 and what no column holds."""
    half = "\ud83d"
    usage = Usage(input_tokens=10**30, total_tokens=10**30)
    talk = Conversation(name=half, id=half, system=half, settings={"stop": half})
    turn = some_turn(half, prompt=half, model=half, error=half, system=half, settings={half: half}, usage=usage)
    asked(talk, replace(turn, id=half), CellKey(cell_id=half))
    talk.slots = (replace(talk.slots[0], id=half, source=half),)

    write_whole(store, talk, notebook=half)

    assert store.read(half) == talk
    (kept,) = store.conversations(notebook=half)
    assert (kept.name, kept.id, kept.notebook) == (half, half, half)
    (row,) = store.ledger(notebook=half)
    assert (row.turn_id, row.model) == (half, half)
    assert row.input_tokens == 2**63 - 1


def test_settings_that_are_no_json_do_not_lose_the_turn(store: Store) -> None:
    """A setting that only Python has is kept as it is printed; the rest as it is."""
    talk = Conversation(name="main", settings={"stop": {1, 2}, "seed": 7})
    asked(talk, some_turn(settings={"tools": object, "seed": 7}))

    write_whole(store, talk)

    made = store.read(talk.id)
    assert made.settings == {"stop": "{1, 2}", "seed": 7}
    assert made.turns[0].settings == {"tools": "<class 'object'>", "seed": 7}


def test_keys_are_never_written(store: Store, path: Path) -> None:
    """Settings that say where keys go are not in the file, neither of a conversation nor of a turn nor of a draft."""
    names = ("api_key", "base_url", "headers", "organization", "extra_headers")
    keys: dict[str, Any] = {name: {"x": "FORBIDDEN"} for name in names} | {"seed": 7}
    talk = Conversation(name="main", settings=keys)
    asked(talk, some_turn(settings=keys))

    store.write(replace(difference(talk), head=head_to_dict(talk) | {"settings": keys}))
    turn = some_turn(settings=keys)
    store.write_draft(Draft(turn=turn, row=row_of(turn), conversation=talk.id, slot=talk.slots[0].id))
    store.close()

    assert b"FORBIDDEN" not in path.read_bytes()
    assert b"seed" in path.read_bytes()


def test_what_many_turns_share_is_one_object(store: Store) -> None:
    """A thousand turns read back do not hold a thousand copies of one system prompt."""
    talk = Conversation(name="main")
    for _ in range(3):
        asked(talk, some_turn(system="Be brief. " * 1000))
    write_whole(store, talk)

    first, *others = store.read(talk.id).turns

    assert first.system == "Be brief. " * 1000
    assert all(turn.system is first.system for turn in others)


# What is kept


def test_conversations_are_listed_with_size_and_cost(store: Store) -> None:
    """The last changed first, with what they hold; a total that is not known is not given."""
    began_at = datetime(2026, 1, 2, tzinfo=UTC)
    picture = ImagePart(data=b"p" * 50_000, media_type="image/png")
    prompt = (Message(role="user", parts=(picture,)),)
    cheap, dear = Conversation(name="cheap", began_at=began_at), Conversation(name="dear")
    for number in range(2):
        turn = some_turn("x" * 1000, cost_usd=0.25)
        asked(cheap, replace(turn, prompt=prompt), CellKey(cell_id="c", ordinal=number))
    asked(cheap, some_turn(cost_usd=0.5), CellKey(cell_id="c"))
    cheap.reserve(None)
    asked(dear, some_turn())
    write_whole(store, dear, is_listed=False)
    write_whole(store, cheap, notebook="/home/ada/fox.ipynb")

    first, second = store.conversations()

    assert (first.name, first.notebook, first.owner, first.is_listed) == ("cheap", "/home/ada/fox.ipynb", ME, True)
    assert (first.n_turns, first.cost_usd, first.began_at) == (2, 1.0, began_at)
    assert 52_000 < first.size_bytes < 54_000
    assert (second.name, second.notebook, second.cost_usd, second.is_listed) == ("dear", None, None, False)
    assert second.changed_at <= first.changed_at
    assert [kept.name for kept in store.conversations(notebook="/home/ada/fox.ipynb")] == ["cheap"]
    assert store.conversations(notebook="/home/ada/dog.ipynb") == ()


def test_undone_slot_is_kept_and_not_read(store: Store) -> None:
    """A first ask that is taken back leaves the row, and comes back where redo puts it."""
    talk = Conversation(name="main")
    for text in "abc":
        asked(talk, some_turn(text))
    write_whole(store, talk)
    whole = talk.slots

    talk.slots = whole[:1] + whole[2:]
    store.write(difference(talk, whole))
    without, summary = store.read(talk.id), store.conversations()[0]
    talk.slots = whole
    store.write(difference(talk, without.slots))

    assert without.slots == whole[:1] + whole[2:]
    assert summary.n_turns == 2
    assert store.read(talk.id) == talk


def test_slot_keeps_its_place_when_it_is_written_again(store: Store) -> None:
    """Marks of a slot change without its place, whatever place the writer thinks it has."""
    talk = Conversation(name="main")
    for text in "abc":
        asked(talk, some_turn(text))
    write_whole(store, talk)
    talk.hide(talk.slots[0])

    store.write(replace(difference(talk), slots=(Placed(slot=talk.slots[0], position=9, written=1),)))

    assert store.read(talk.id) == talk


def test_move_leaves_unknown_slots_at_the_end(store: Store) -> None:
    """Slots that the one who moves has not seen come after those it has, in their order."""
    talk = Conversation(name="main")
    for text in "abcd":
        asked(talk, some_turn(text))
    write_whole(store, talk)
    a, b, c, d = talk.slots

    store.write(Writing(session=ME, conversation=talk.id, positions=(d.id, c.id)))

    assert store.read(talk.id).slots == (d, c, a, b)


def test_renamed_notebook_is_followed(store: Store) -> None:
    """A conversation is listed under the path its notebook has now; not to know it forgets none."""
    talk = Conversation(name="main")
    for notebook in ("/a.ipynb", "/b.ipynb", None):
        store.write(difference(talk, notebook=notebook))

    assert store.conversations()[0].notebook == "/b.ipynb"


def test_ledger_by_session_and_notebook_in_order(store: Store) -> None:
    """Rows come in the order they were written, all or those of a session or a notebook."""
    rows = [row_of(some_turn(), session=session) for session in ("one", "two", "one", "three")]
    for row, notebook in zip(rows, ("/a", "/a", "/b", None), strict=True):
        store.write(Writing(session=row.session, notebook=notebook, rows=(row,)))

    assert store.ledger() == tuple(rows)
    assert store.ledger(session="one") == (rows[0], rows[2])
    assert store.ledger(notebook="/a") == (rows[0], rows[1])
    assert store.ledger(session="one", notebook="/b") == (rows[2],)


# Forgetting


def test_forgotten_conversation_is_gone_from_the_bytes(store: Store, path: Path) -> None:
    """Its texts, names, pictures and drafts are nowhere in the file, nor is a journal; other conversations are."""
    dice = random.Random(1)
    talks = [Conversation(name=f"{name} conversation", system=f"{name} system") for name in ("SECRET", "public")]
    for _ in range(300):
        talk = dice.choice(talks)
        secret = talk.name.split()[0]
        before = talk.slots
        again = CellKey(cell_id=f"{secret} cell {dice.randrange(50)}")
        picture = ImagePart(data=f"{secret} picture".encode() + dice.randbytes(dice.randrange(3000)))
        turn = some_turn(f"{secret} answer " * dice.randrange(1, 200), system=talk.system, reasoning=f"{secret} reason")
        turn = replace(turn, id=f"{dice.randrange(2**48):012x} {secret}")
        slot = talk.reserve(again)
        store.write(difference(talk, before))
        store.write_draft(Draft(turn=turn, row=row_of(turn, conversation="-"), conversation=talk.id, slot=slot.id))
        before = talk.slots
        talk.add_version(slot, replace(turn, prompt=(Message(role="user", parts=(picture,)),), text=turn.text + "end"))
        store.write(difference(talk, before))
    assert b"SECRET" in path.read_bytes()

    store.forget(talks[0].id)

    assert b"SECRET" not in path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert store.read(talks[1].id) == answered(talks[1])
    with pytest.raises(ForgottenError):
        store.read(talks[0].id)


def test_forgetting_leaves_no_copies_in_gaps_of_the_file(store: Store, path: Path) -> None:
    """SQLite moves rows between pages and leaves copies behind: these go too, one forgotten after the other."""
    dice = random.Random(1)
    talks = [Conversation(name=f"{name} {number}") for number in range(8) for name in ("public", "SECRET")]
    for talk in talks:
        for number in range(12):
            word = talk.name.split()[0]
            turn = some_turn(f"{word} answer " * dice.randrange(1, 60))
            turn = replace(turn, id=f"{dice.randrange(2**48):012x} {word}")
            asked(talk, turn, CellKey(cell_id=f"{word} {number}"))
        store.write(difference(talk))

    for talk in talks[1::2]:
        store.forget(talk.id)

    assert b"SECRET" not in path.read_bytes()
    assert [store.read(talk.id) for talk in talks[::2]] == talks[::2]


def test_forgetting_leaves_what_a_fork_shares(store: Store, path: Path) -> None:
    """A turn that another conversation links stays, with its picture; what only the forgotten one had goes."""
    talk = Conversation(name="main", system="SECRET")
    for name in ("shared", "SECRET"):
        prompt = (Message(role="user", parts=(ImagePart(data=f"{name} picture".encode()),)),)
        asked(talk, replace(some_turn(f"{name} answer"), prompt=prompt))
    fork = Conversation(name="fork", slots=talk.slots[:1])
    write_whole(store, talk)
    write_whole(store, fork)
    rows = store.ledger()

    store.forget(talk.id)

    assert store.read(fork.id) == fork
    assert b"SECRET" not in path.read_bytes()
    assert store.ledger() == rows


def test_forgotten_conversation_is_not_written_again(store: Store) -> None:
    """A kernel that still has it is told, whether it goes on with it or begins to write it."""
    talk = Conversation(name="main")
    asked(talk, some_turn())
    write_whole(store, talk)
    other = Store(store.where)
    store.forget(talk.id)

    with pytest.raises(ForgottenError):
        other.write(difference(talk))
    with pytest.raises(ForgottenError):
        other.take(talk.id, "other")
    other.close()

    assert store.conversations() == ()


def test_conversation_that_is_not_in_the_file_is_not_begun_in_its_middle(store: Store) -> None:
    """Changes to what this file never had (it was moved away meanwhile) are refused, so that all is written anew."""
    talk = Conversation(name="main")
    asked(talk, some_turn())
    changed = replace(talk.slots[0], is_hidden=True)

    for changes in (
        replace(difference(talk), head=None),
        replace(difference(talk), slots=(Placed(slot=changed, position=0, written=1),)),
    ):
        with pytest.raises(ForgottenError):
            store.write(changes)

    assert store.conversations() == ()


def test_forgetting_can_be_done_again(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bytes could not be cleared at once, forgetting again clears them."""
    talk = Conversation(name="SECRET")
    write_whole(store, talk)
    with monkeypatch.context() as patch:
        patch.setattr(database, "BUSY_TIMEOUT_S", 0.01)
        mine = Store(store.where)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        with pytest.raises(BusyStoreError):
            mine.forget(talk.id)

    mine.forget(talk.id)
    mine.close()

    assert b"SECRET" not in path.read_bytes()
    assert store.conversations() == ()
