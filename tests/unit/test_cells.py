"""What became of cells: which turns have lost theirs, when that is said, and how a cell finds its turn again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.errors import AuthenticationError
from llm_magic.session import Session
from llm_magic.slots import Cell, CellKey
from llm_magic.testing import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_magic.slots import Slot
    from llm_magic.turns import Turn

ONE = "1 turn sent whose cell is gone: %chat prune hides it"
TWO = "2 turns sent whose cells are gone: %chat prune hides them"


@dataclass(kw_only=True)
class User:
    """Someone in front of a notebook: runs its cells, deletes some."""

    session: Session = field(default_factory=lambda: Session(config=Config(environ={}), conversation_type=Conversation))
    backend: ScriptedBackend = field(default_factory=ScriptedBackend)
    runs: Iterator[int] = field(default_factory=itertools.count)

    def start(self, cell_id: str, deleted: Sequence[str] = (), source: str | None = None) -> Cell:
        self.session.note_started(cell_id, deleted)
        return Cell(cell_id=cell_id, run_id=str(next(self.runs)), source=source)

    def ask(self, cell: Cell, *, where: Conversation | None = None, is_kept: bool = True) -> Turn:
        return self.session.ask(self.asked(cell, where=where, is_kept=is_kept)).outcome().turn

    def asked(self, cell: Cell, *, where: Conversation | None = None, is_kept: bool = True) -> Ask:
        return Ask(
            prompt=(message("user", f"ask {cell.cell_id}"),),
            conversation=where,
            is_kept=is_kept,
            cell=cell,
            backend=self.backend,
            settings={"model": "m"},
        )

    def run(self, cell_id: str, asks: int = 1, deleted: Sequence[str] = (), source: str | None = None) -> list[Turn]:
        """Run a cell to its end."""
        cell = self.start(cell_id, deleted, source)
        turns = [self.ask(cell) for _ in range(asks)]
        self.session.note_ran(cell)
        return turns

    @property
    def gone(self) -> list[str]:
        """The slots of the current conversation that have lost their cell, as ``cell/ordinal``."""
        return [_name(slot) for slot in self.session.gone_slots(self.session.current)]


def _name(slot: Slot) -> str:
    assert slot.key is not None
    return f"{slot.key.cell_id}/{slot.key.ordinal}"


@pytest.fixture
def user() -> Iterator[User]:
    """A user with an empty conversation."""
    made = User()
    yield made
    made.session.close()


# Deleted


def test_deleted_cell_is_gone_and_back_when_it_runs(user: User) -> None:
    """A deletion marks all slots of the cell; running the cell again, the deletion was undone."""
    user.run("a", asks=2)
    user.run("b", deleted=["a"])
    assert user.gone == ["a/0", "a/1"]

    user.start("a")

    assert user.gone == []


def test_cell_that_runs_is_not_deleted_whatever_is_said(user: User) -> None:
    """JupyterLab tells of a deletion that was undone with all cells of a Run All, the restored one among them."""
    for cell in "abc":
        user.run(cell)

    for cell in "abc":
        user.run(cell, deleted=["b"])
    assert user.gone == []

    user.run("a")
    user.run("a", deleted=["b"])
    assert user.gone == ["b/0"], "the second deletion is news"


def test_deletion_of_an_unknown_cell_is_remembered(user: User) -> None:
    """A conversation of a former session comes back later: its deleted cells are known then."""
    user.run("a", deleted=["old"])
    loaded = Conversation(name="loaded")
    loaded.reserve(CellKey(cell_id="old"))

    user.session.adopt(loaded)

    assert user.gone == ["old/0"]


# Ran without asking


def test_cell_that_asks_no_more_is_gone_until_it_does(user: User) -> None:
    """A cell that ran to its end without its ask has given up that turn; asking again, it takes it back."""
    user.run("a")
    user.run("b")

    user.run("a", asks=0)
    assert user.gone == ["a/0"]

    user.run("a")
    assert user.gone == []
    assert [len(slot.versions) for slot in user.session.current.slots] == [2, 1]


def test_cell_with_fewer_asks_gives_up_the_others(user: User) -> None:
    """Of three asks of a cell the third is gone when it runs with two."""
    user.run("a", asks=3)

    user.run("a", asks=2)

    assert user.gone == ["a/2"]


def test_cell_that_failed_before_it_asked_is_not_gone(user: User) -> None:
    """Only a run to the end says what a cell asks."""
    user.run("a")

    user.start("a")

    assert user.gone == []


def test_asks_before_a_failure_bring_back_their_turns_only(user: User) -> None:
    """A run that failed after its first ask has shown that this one is asked."""
    user.run("a", asks=2)
    user.run("a", asks=0)

    user.ask(user.start("a"))

    assert user.gone == ["a/1"]


def test_dry_run_counts_as_asking(user: User) -> None:
    """A cell that was only tried is not gone, and its further asks keep their places."""
    user.run("a", asks=2)

    cell = user.start("a")
    user.session.plan(user.asked(cell))
    user.ask(cell)
    user.session.note_ran(cell)

    assert user.gone == []
    assert [len(slot.versions) for slot in user.session.current.slots] == [1, 2]


def test_aside_is_no_ask_of_the_cell(user: User) -> None:
    """A cell whose turn became an aside has given up the turn."""
    user.run("a")

    cell = user.start("a")
    user.ask(cell, is_kept=False)
    user.session.plan(user.asked(cell, is_kept=False))
    user.session.note_ran(cell)

    assert user.gone == ["a/0"]


def test_ask_in_a_named_conversation_counts_there_only(user: User) -> None:
    """A cell sent elsewhere by -c is gone here; one that names nothing asks wherever it has a turn."""
    main = user.session.current
    user.run("a")
    other = user.session.add("other")
    assert isinstance(other, Conversation)

    cell = user.start("a")
    user.ask(cell, where=other)
    user.session.note_ran(cell)

    assert user.gone == ["a/0"]
    assert user.session.gone_slots(other) == ()
    user.session.use("other")
    user.run("a")
    assert user.session.gone_slots(main) == user.session.gone_slots(other) == ()


def test_fork_leaves_the_cells_to_both(user: User) -> None:
    """A cell that asks in a fork has not left the conversation that was forked."""
    main = user.session.current
    user.run("a")
    assert isinstance(main, Conversation)
    user.session.adopt(main.fork())

    user.run("a")

    assert user.session.gone_slots(main) == user.session.gone_slots(user.session.current) == ()


def test_late_ask_of_a_run_counts(user: User) -> None:
    """A thread that asks after its cell has ended asks for the cell."""
    user.run("a")
    cell = user.start("a")
    user.session.note_ran(cell)
    assert user.gone == ["a/0"]

    user.ask(cell)

    assert user.gone == []


def test_ask_without_a_cell_is_never_gone(user: User) -> None:
    """Where the front end tells no cell, nothing is known of it."""
    user.session.ask(replace(user.asked(Cell(cell_id="", run_id="")), cell=None)).outcome()

    user.run("a", asks=0, deleted=["a", ""])

    assert user.gone == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans()), max_size=25))
def test_gone_is_what_the_last_whole_run_left(runs: list[tuple[str, int, bool]]) -> None:
    """Of any history of runs, those turns are gone that the cell's last whole run, and all after it, did not ask."""
    user = User()
    alive = dict.fromkeys("abc", 0)
    for cell_id, asks, is_whole in runs:
        cell = user.start(cell_id)
        for ordinal in range(asks):
            user.session.plan(user.asked(cell))
            user.session.current.reserve(CellKey(cell_id=cell_id, ordinal=ordinal))
        if is_whole:
            user.session.note_ran(cell)
        alive[cell_id] = asks if is_whole else max(alive[cell_id], asks)

    found = {_name(slot) for slot in user.session.gone_slots(user.session.current)}

    kept = {_name(slot) for slot in user.session.current.slots}
    assert found == {name for name in kept if int(name[2:]) >= alive[name[0]]}


# Said once


def test_turns_without_a_cell_are_said_once(user: User) -> None:
    """The next kept ask that sends them says so, and no other until one more has lost its cell."""
    for cell in "abc":
        user.run(cell)
    (first,) = user.run("d", deleted=["a"])
    (second,) = user.run("d")
    user.run("b", asks=0)
    (third,) = user.run("d")

    assert [turn.notices for turn in (first, second, third)] == [(ONE,), (), (TWO,)]
    assert len(user.backend.requests[-1].messages) == 2 * 3 + 1, "they are sent all the same"


def test_turn_that_found_its_cell_again_may_lose_it_again(user: User) -> None:
    """Gone, back, and gone again: said twice."""
    user.run("a")
    assert user.run("b", deleted=["a"])[0].notices == (ONE,)
    assert user.run("a")[0].notices == ()
    user.run("c")

    (turn,) = user.run("c", deleted=["a"])

    assert turn.notices[-1] == ONE


def test_only_turns_that_are_sent_are_spoken_of(user: User) -> None:
    """Neither an aside, nor a fresh ask, nor an ask before the lost turn says a word or counts as saying it."""
    for cell in "abc":
        user.run(cell)

    aside = user.ask(user.start("c", deleted=["b"]), is_kept=False)
    fresh = user.session.ask(replace(user.asked(user.start("new")), is_fresh=True)).outcome().turn
    (before,) = user.run("a")
    planned = user.session.plan(user.asked(user.start("c"))).base
    (after,) = user.run("c")

    assert aside.notices == fresh.notices == before.notices == ()
    # The first turn has a new version: what the third saw is not what is there now.
    assert planned.notices == after.notices
    assert after.notices[-1] == ONE


def test_hidden_turn_is_not_spoken_of(user: User) -> None:
    """What is not sent is no news."""
    user.run("a")
    user.session.current.hide(*user.session.current.slots)

    assert user.run("b", deleted=["a"])[0].notices == ()


def test_answer_that_failed_has_said_nothing(user: User) -> None:
    """A failed answer's notice may never have been seen: the next one says it."""
    user.run("a")
    user.backend = ScriptedBackend([[AuthenticationError("no")]])

    (failed,) = user.run("b", deleted=["a"])
    (turn,) = user.run("b")

    assert failed.status == "failed"
    assert turn.notices == (ONE,)


# Former sessions


def test_cell_with_a_new_id_finds_its_turn_by_its_code(user: User) -> None:
    """Where ids change with every session, the slot takes the cell's new name; a cell of this session keeps its own."""
    user.run("old-1", source="code")
    user.run("old-2", source="code")
    resumed, former = User(), user.session.current
    resumed.session.adopt(former)

    resumed.run("new-1", source="code")
    resumed.run("new-2", source="code")
    resumed.run("new-1", source="edited")
    resumed.run("new-3", source="code")

    assert [_name(slot) for slot in former.slots] == ["new-1/0", "new-2/0", "new-3/0"]
    assert [len(slot.versions) for slot in former.slots] == [3, 2, 1]
    assert [slot.source for slot in former.slots] == ["edited", "code", "code"]


def test_turn_of_a_former_session_is_found_where_it_is(user: User) -> None:
    """A cell asks where its slot is, whichever conversation is the current one; each ask by its order in the cell."""
    former = user.session.current
    user.run("old", asks=2, source="code")
    resumed = User()
    resumed.session.adopt(former)
    resumed.session.new("fresh")

    resumed.run("new", asks=2, source="code")

    assert [_name(slot) for slot in former.slots] == ["new/0", "new/1"]
    assert resumed.session.current.slots == ()


def test_another_ask_of_the_same_code_is_another_turn() -> None:
    """The second ask of a cell whose first turn was taken back does not take the first one's place."""
    former = Conversation()
    former.reserve(CellKey(cell_id="old", ordinal=1), "code")

    assert former.find(CellKey(cell_id="new", ordinal=0), source="code") is None
    assert former.find(CellKey(cell_id="new", ordinal=1), source="code") is former.slots[0]


def test_stable_ids_are_never_found_by_code(user: User) -> None:
    """A cell whose id is stable is the same cell by its id, and no other."""
    user.run("a")
    user.run("b")

    assert [_name(slot) for slot in user.session.current.slots] == ["a/0", "b/0"]
