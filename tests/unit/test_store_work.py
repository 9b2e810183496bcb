"""How much the store works: by indexes alone, no more for the thousandth turn, and near what SQLite itself needs."""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.content import ImagePart, Message, TextPart
from llm_magic.counts import Usage
from llm_magic.slots import CellKey, Conversation
from llm_magic.store import Draft, Store, Writing, writing
from tests.fakes.kept import ME, asked, difference, row_of, some_turn, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llm_magic.turns import Turn


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store in a file."""
    made = Store(str(tmp_path / "store.sqlite3"))
    yield made
    made.close()


def connection_of(store: Store) -> sqlite3.Connection:
    """The store's own."""
    connection = store._database._connection
    assert connection is not None
    return connection


def full_turn(number: int) -> Turn:
    """A turn as a server's answer makes it."""
    usage = Usage(input_tokens=900 + number, output_tokens=60, total_tokens=960 + number, cached_tokens=0)
    return some_turn(
        f"Answer {number}. " * 20,
        f"Question {number}? " * 4,
        system="Be brief.",
        settings={"temperature": 0.2},
        usage=usage,
        cost_usd=0.001,
        backend="openai",
        requested_model="gpt-5.4-mini",
        model="gpt-5.4-mini-2026-03-17",
        finish_reason="stop",
        request_id=f"req_{number:024}",
        latency_s=1.25,
        ttft_s=0.25,
        seen="0123456789abcdef",
        cell_id=f"cell-{number}",
    )


def long_talk(n_turns: int) -> Conversation:
    """A conversation of many turns, some of them with a table and a picture."""
    talk = Conversation(name="long")
    for number in range(n_turns):
        turn = full_turn(number)
        if number % 10 == 0:
            picture = ImagePart(data=bytes([number % 7]) * 2000, media_type="image/png", width=20, height=20)
            table = TextPart(text="a  b\n1  2\n" * 20, label="df: DataFrame 20 × 2")
            turn = replace(turn, prompt=(Message(role="user", parts=(TextPart(text="See "), table, picture)),))
        asked(talk, turn, CellKey(cell_id=f"cell-{number}"))
    return talk


def everything(store: Store, talk: Conversation) -> list[Callable[[], object]]:
    """All that is done to one conversation, session or notebook."""
    before = talk.slots
    place = talk.reserve(None)
    reserved = talk.slots
    turn = full_turn(-1)
    draft = Draft(turn=turn, row=row_of(turn), conversation=talk.id, slot=place.id)
    talk.add_version(place, turn)
    added = talk.slots
    talk.move(talk.slots[-1], talk.slots[0])
    moved = difference(talk, added)
    return [
        lambda: store.write(replace(difference(talk, before), slots=(), positions=())),
        lambda: store.write(difference(replace(talk, slots=reserved), before)),
        lambda: store.write_draft(draft),
        lambda: store.write_draft(draft),
        lambda: store.recover(draft),
        lambda: store.write(replace(difference(replace(talk, slots=added), reserved), rows=(row_of(turn),))),
        lambda: store.write(moved),
        lambda: store.write(replace(difference(talk, talk.slots), removed=(place.id,))),
        lambda: store.write(Writing(session=ME, rows=(row_of(turn, kind="aside"),))),
        lambda: store.take(talk.id, "other"),
        lambda: store.read(talk.id),
        lambda: store.conversations(notebook="/a.ipynb"),
        lambda: store.ledger(session=ME),
        lambda: store.ledger(notebook="/a.ipynb"),
    ]


def test_nothing_is_searched_row_by_row(store: Store) -> None:
    """Whatever is done to a conversation, all rows are found by an index: others, however large, are not touched."""
    talk = long_talk(3)
    write_whole(store, talk, notebook="/a.ipynb")
    statements: list[str] = []
    connection = connection_of(store)
    connection.set_trace_callback(statements.append)

    for action in everything(store, talk):
        action()
    # All but VACUUM, which is to write everything anew.
    with store._database.writing() as inner:
        writing.forget(inner, talk.id)
    connection.set_trace_callback(None)

    plans: dict[str, list[str]] = {}
    for statement in statements:
        if statement.startswith(("BEGIN", "COMMIT", "--")):
            continue
        plans[statement] = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert {words.split()[0] for words in plans} == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert [
        (statement, plan) for statement, plan in plans.items() if any(step.startswith("SCAN") for step in plan)
    ] == []


def steps_of(store: Store, action: Callable[[], object]) -> int:
    """How many instructions SQLite's machine executes."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection = connection_of(store)
    connection.set_progress_handler(tick, 1)
    action()
    connection.set_progress_handler(None, 1)
    return count


def test_a_turn_costs_the_same_however_many_there_are(store: Store) -> None:
    """Reserving, drafting, writing and paying the thousandth turn is as much work as the third."""
    work = {}
    for n_turns in (3, 1000):
        talk = long_talk(n_turns)
        write_whole(store, talk)
        actions = everything(store, talk)
        work[n_turns] = [steps_of(store, action) for action in actions[1:6]]

    # A few more pages may have to be gone through, or split.
    assert all(later <= earlier + 30 for earlier, later in zip(work[3], work[1000], strict=True)), work


def test_reading_a_conversation_does_not_depend_on_others(store: Store) -> None:
    """A conversation of three turns is read in about as many steps beside a thousand turns as alone."""
    talk = long_talk(3)
    write_whole(store, talk)
    alone = steps_of(store, lambda: store.read(talk.id))
    write_whole(store, long_talk(1000))

    assert steps_of(store, lambda: store.read(talk.id)) <= alone + 30


def cpu_s(action: Callable[[], Any]) -> float:
    """CPU time of one call, the median of several, in seconds."""
    times = []
    for _ in range(15):
        start = time.process_time()
        made = action()
        times.append(time.process_time() - start)
        del made
    return statistics.median(times)


def test_thousand_turns_are_read_in_little_more_than_sqlite_needs(store: Store) -> None:
    """CPU time of reading 1,000 turns: at most 5 × what sqlite3 takes for the same rows (the issue's figure)."""
    talk = long_talk(1000)
    write_whole(store, talk)
    statements: list[str] = []
    connection_of(store).set_trace_callback(statements.append)
    made = store.read(talk.id)
    connection_of(store).set_trace_callback(None)
    selects = [statement for statement in statements if "SELECT" in statement.split("(")[0]]

    with contextlib.closing(sqlite3.connect(store.where, isolation_level=None)) as plain:
        rows = cpu_s(lambda: [plain.execute(select).fetchall() for select in selects])
    ours = cpu_s(lambda: store.read(talk.id))

    assert made == talk
    assert len(selects) == 3
    assert ours < 5 * rows, f"{ours / rows:.1f} ×"
