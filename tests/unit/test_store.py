"""The store: what is written comes back, shared things are kept once, and what is forgotten is gone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Message, TextPart
from llm_magic.slots import CellKey, Conversation, Slot
from llm_magic.store import ForgottenError, Store, TakenError, Writing
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
