"""Drafts: answers under way, written as they come, and taken up when their process is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.content import ImagePart, Message, TextPart, ToolResult
from llm_magic.counts import Usage
from llm_magic.slots import Conversation
from llm_magic.store import Draft, ForgottenError, Store
from llm_magic.store.processes import Process, started, this_host, this_process
from llm_magic.turns import Step
from tests.fakes.kept import asked, difference, row_of, some_turn, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llm_magic.slots import Slot
    from llm_magic.turns import Turn


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store in a file."""
    made = Store(str(tmp_path / "store.sqlite3"))
    yield made
    made.close()


@pytest.fixture
def talk(store: Store) -> Conversation:
    """A conversation with one turn, and a slot whose answer is under way."""
    made = Conversation(name="main")
    asked(made, some_turn("first"))
    made.reserve(None)
    write_whole(store, made)
    return made


def draft_of(talk: Conversation, turn: Turn) -> Draft:
    """An answer under way in the last slot."""
    return Draft(turn=turn, row=row_of(turn), conversation=talk.id, slot=talk.slots[-1].id)


def under_way(text: str = "so far", **values: Any) -> Turn:
    """A turn as it is to be kept if its process ends now."""
    usage = Usage(input_tokens=10, output_tokens=2, total_tokens=12, is_estimate=True)
    return some_turn(text, status="interrupted", error="the kernel ended", usage=usage, cost_usd=0.1, **values)


def set_process(store: Store, process: Process, touched_at: float) -> None:
    """Let the drafts be another process's."""
    with store._database.writing() as connection:
        connection.execute(
            "UPDATE drafts SET host = ?, pid = ?, started = ?, touched_at = ?",
            (process.host, process.pid, process.started, touched_at),
        )


def kill_process(store: Store) -> None:
    """Let the drafts be those of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    set_process(store, Process(host=this_host(), pid=ended.pid, started="1"), 4e9)


def count(store: Store, table: str) -> int:
    """Rows of a table."""
    with store._database.reading() as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def last_slot(store: Store, talk: Conversation) -> Slot:
    """The last slot as it is read."""
    return store.read(talk.id).slots[-1]


def test_draft_of_a_dead_process_becomes_a_turn_with_its_row(store: Store, talk: Conversation) -> None:
    """What had come of an answer is the version that counts, interrupted, and it is paid for."""
    turn = under_way("so far", system="Be brief.", settings={"seed": 1})
    store.write_draft(draft_of(talk, turn))
    kill_process(store)

    (orphan,) = store.orphans()
    is_kept = store.recover(orphan)

    assert orphan == draft_of(talk, turn)
    assert is_kept
    assert last_slot(store, talk).versions == (turn,)
    assert last_slot(store, talk).current_id == turn.id
    assert store.ledger()[-1] == row_of(turn)
    assert store.orphans() == ()
    assert count(store, "drafts") == 0


def test_draft_is_taken_up_once(store: Store, talk: Conversation) -> None:
    """Kernels that start at the same time find the same draft: one of them keeps it."""
    store.write_draft(draft_of(talk, under_way()))
    kill_process(store)
    other = Store(store.where)
    found = [(kernel, kernel.orphans()) for kernel in (store, other)]

    kept = [kernel.recover(draft) for kernel, drafts in found for draft in drafts]

    assert kept == [True, False]
    assert len(last_slot(store, talk).versions) == 1
    assert len(store.ledger()) == 2
    other.close()


def test_draft_goes_on_being_written(store: Store, talk: Conversation) -> None:
    """The last state of an answer is the one that is taken up."""
    turn = under_way("so")
    for text in ("so far", "so far, so good"):
        turn = replace(turn, text=text, usage=Usage(input_tokens=10, output_tokens=len(text), total_tokens=99))
        store.write_draft(draft_of(talk, turn))
    kill_process(store)

    assert store.orphans() == (draft_of(talk, turn),)


def test_draft_is_written_without_its_picture_again(store: Store, talk: Conversation) -> None:
    """Once a second is often: only the answer is written then, not the prompt with its pictures."""
    picture = ImagePart(data=b"picture" * 100_000, media_type="image/png")
    turn = replace(under_way(), prompt=(Message(role="user", parts=(TextPart(text="What?"), picture)),))
    store.write_draft(draft_of(talk, turn))
    written: list[str] = []
    connection = store._database._connection
    assert connection is not None
    connection.set_trace_callback(written.append)

    turn = replace(turn, text="so far, so good")
    store.write_draft(draft_of(talk, turn))
    connection.set_trace_callback(None)
    kill_process(store)

    assert sum(map(len, written)) < 5_000
    assert store.orphans() == (draft_of(talk, turn),)


def test_finished_turn_ends_its_draft(store: Store, talk: Conversation) -> None:
    """Once the turn is written there is nothing to take up, and the draft's text is not kept beside it."""
    turn = under_way()
    store.write_draft(draft_of(talk, turn))
    before = talk.slots
    talk.add_version(talk.slots[-1], replace(turn, text="so far, so good", status="complete", error=None))

    store.write(difference(talk, before))
    kill_process(store)

    assert store.orphans() == ()
    assert store.read(talk.id) == talk
    assert (count(store, "turns"), count(store, "drafts")) == (2, 0)


def test_draft_can_be_given_up(store: Store, talk: Conversation) -> None:
    """An answer that came to nothing leaves nothing."""
    turn = under_way()
    store.write_draft(draft_of(talk, turn))

    store.write(difference(talk, talk.slots, ended=(turn.id,)))

    assert (count(store, "turns"), count(store, "drafts")) == (1, 0)


def test_draft_without_text_does_not_count(store: Store, talk: Conversation) -> None:
    """A process that died before the first word leaves a failed version: kept, paid for, and not sent."""
    turn = replace(under_way(""), status="failed")
    store.write_draft(draft_of(talk, turn))
    kill_process(store)

    for orphan in store.orphans():
        store.recover(orphan)

    assert last_slot(store, talk).versions == (turn,)
    assert last_slot(store, talk).current_id is None
    assert len(store.ledger()) == 2


def test_turn_that_ends_after_all_replaces_what_was_taken_up(store: Store, talk: Conversation) -> None:
    """A process that was thought dead goes on: its slot has the whole answer once, and the true row counts."""
    turn = under_way()
    store.write_draft(draft_of(talk, turn))
    set_process(store, Process(host="elsewhere", pid=1, started=None), 0)
    (orphan,) = store.orphans()
    store.recover(orphan)
    before = talk.slots
    whole = replace(turn, text="so far, so good", status="complete", usage=Usage(input_tokens=9, total_tokens=9))
    talk.add_version(talk.slots[-1], whole)

    store.write(replace(difference(talk, before), rows=(row_of(whole),)))

    assert store.read(talk.id) == talk
    assert [row for row in store.ledger() if row.turn_id == turn.id] == [row_of(whole)]
    assert count(store, "turns") == 2


def test_draft_of_a_taken_conversation_is_kept_where_it_is(store: Store, talk: Conversation) -> None:
    """Text comes first: whose conversation it is now is asked when the turn is written."""
    store.take(talk.id, "other")
    turn = under_way()

    store.write_draft(draft_of(talk, turn))
    kill_process(store)
    for orphan in store.orphans():
        store.recover(orphan)

    assert last_slot(store, talk).versions == (turn,)


def test_draft_of_a_forgotten_conversation_is_refused(store: Store, talk: Conversation) -> None:
    """What was forgotten does not come back as a draft, and one that was under way goes with it."""
    store.write_draft(draft_of(talk, under_way()))
    kill_process(store)
    (orphan,) = store.orphans()

    store.forget(talk.id)

    assert not store.recover(orphan)
    with pytest.raises(ForgottenError):
        store.write_draft(draft_of(talk, under_way()))
    assert (store.orphans(), count(store, "turns")) == ((), 0)


# Whose process is gone


def test_own_drafts_are_not_orphans(store: Store, talk: Conversation) -> None:
    """A process that is alive goes on with its drafts, however long no word has come."""
    store.write_draft(draft_of(talk, under_way()))
    set_process(store, this_process(), 0)

    assert store.orphans() == ()


def test_processes_on_this_machine_are_asked() -> None:
    """Here it is known whether a process is alive, and whether its number is another process's by now."""
    here = this_process()
    parent = Process(host=this_host(), pid=os.getppid(), started=started(os.getppid()))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)

    assert not here.is_gone(0)
    assert not parent.is_gone(0)
    assert replace(here, started="another").is_gone(4e9)
    assert Process(host=this_host(), pid=ended.pid, started=None).is_gone(4e9)


def test_processes_that_cannot_be_asked_are_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process elsewhere, or one of which too little is known, is gone when it has not been heard of for 30 s."""
    monkeypatch.setattr("time.time", lambda: 1000.0)
    for process in (
        Process(host="elsewhere", pid=os.getpid(), started=None),
        Process(host=this_host(), pid=os.getpid(), started=None),
    ):
        assert not process.is_gone(971)
        assert process.is_gone(969)


def test_the_rows_of_earlier_requests_are_taken_up(store: Store, talk: Conversation) -> None:
    """A turn that was killed in its second request has two rows in the ledger, each once."""
    turn = under_way()
    first, last = row_of(turn), replace(row_of(turn), round=2, cost_usd=None)
    store.write_draft(replace(draft_of(talk, turn), row=last, earlier=(first,)))
    kill_process(store)

    (draft,) = store.orphans()
    assert (draft.earlier, draft.row) == ((first,), last)
    assert store.recover(draft)

    assert [row for row in store.ledger() if row.turn_id == turn.id] == [first, last]


def test_pictures_of_tools_are_in_a_draft(store: Store, talk: Conversation) -> None:
    """They come while the turn is under way, and are there when it is taken up."""
    picture = ImagePart(data=b"late", media_type="image/png", width=1, height=1)
    step = Step(reason="tools", results=(ToolResult(call_id="c", name="draw", parts=(picture,)),))
    turn = under_way()
    store.write_draft(draft_of(talk, turn))

    store.write_draft(draft_of(talk, replace(turn, steps=(step,))))
    kill_process(store)

    (draft,) = store.orphans()
    assert draft.turn.steps == (step,)
