"""Which conversation a cell asks: where its slot is, but in a fork what the fork left behind is asked anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from llm_magic.content import message
from llm_magic.errors import ConfigurationError
from llm_magic.shelf import Shelf
from llm_magic.slots import Cell
from llm_magic.turns import Turn

RUNS = count()


def ask(shelf: Shelf, cell_id: str, *, later_s: int = 0) -> str:
    """A run of a cell with one kept ask, now or later; the name of the conversation it asked."""
    cell = Cell(cell_id=cell_id, run_id=f"run-{next(RUNS)}")
    home = shelf.home(cell)
    slot = home.reserve(shelf.next_key(cell))
    seen = home.context(slot.id).seen
    at = datetime.now(UTC) + timedelta(seconds=later_s)
    prompt = (message("user", cell_id),)
    home.add_version(slot, Turn(id=f"t{next(RUNS)}", prompt=prompt, text="answer", seen=seen, at=at))
    return home.name


def talk(*cells: str) -> Shelf:
    shelf = Shelf()
    for cell in cells:
        ask(shelf, cell)
    return shelf


def test_cell_asks_where_its_slot_is() -> None:
    """A cell whose turn is in another conversation asks there; a new cell asks the current one."""
    shelf = talk("a")
    shelf.new("other")

    assert (ask(shelf, "a"), ask(shelf, "b")) == ("main", "other")


def test_fork_wins_for_the_cells_it_left_behind() -> None:
    """After a fork at 1, the cells of turns 2 and 3 ask in the fork, and again in it."""
    shelf = talk("a", "b", "c")

    made = shelf.fork("side", at=1)

    assert (made.parent, shelf.parent_name(made), shelf.current) == (shelf.conversations[0].id, "main", made)
    assert [ask(shelf, cell) for cell in "cabc"] == ["side"] * 4
    assert [len(slot.versions) for slot in made.slots] == [2, 2, 1]
    assert [len(slot.versions) for slot in shelf.named("main").slots] == [1, 1, 1]


def test_fork_of_a_fork_wins_over_both() -> None:
    """What any of its ancestors had left behind is asked in the current fork, also where a brother has it."""
    shelf = talk("a", "b", "c")
    shelf.fork("side", at=2)
    ask(shelf, "c")
    shelf.fork("deep", at=1)

    assert [ask(shelf, cell) for cell in "bc"] == ["deep", "deep"]
    shelf.use("main")
    shelf.fork("brother", at=1)
    assert ask(shelf, "c") == "brother"


def test_fork_wins_over_what_its_grandparent_had() -> None:
    """A cell that the first fork left behind is asked in the fork of that fork, too."""
    shelf = talk("a", "b")
    shelf.fork("side", at=1)
    shelf.fork("deep")

    assert ask(shelf, "b") == "deep"


def test_turn_made_after_the_fork_stays_where_it_is() -> None:
    """A fork left behind what was there then: what its parent was asked later is asked there."""
    shelf = talk("a")
    shelf.fork("side")
    shelf.use("main")
    ask(shelf, "late", later_s=1)
    shelf.use("side")

    assert ask(shelf, "late") == "main"
    shelf.use("main")
    ask(shelf, "a")
    assert ask(shelf, "late") == "main"


def test_fork_archives_an_existing_name() -> None:
    """Running the fork again goes on from the current conversation, and the former fork is kept under another name."""
    shelf = talk("a", "b")
    first = shelf.fork("side", at=1)

    second = shelf.fork("side", cell_id="cell")

    assert (first.name, first.is_archived) == ("side~1", True)
    assert (second.name, second.parent, second.made_by) == ("side", first.id, "cell")
    assert [c.name for c in shelf.conversations] == ["main", "side~1", "side"]


def test_fork_at_a_turn_that_is_not_there_changes_nothing() -> None:
    """A wrong number is refused before anything is archived."""
    shelf = talk("a")
    shelf.new("side")

    with pytest.raises(ConfigurationError, match=r"There is no turn 2"):
        shelf.fork("side", at=2)

    assert [c.name for c in shelf.conversations] == ["main", "side"]


def test_fork_copies_no_place_of_an_ask_under_way() -> None:
    """An answer that is still coming comes to the conversation that was asked."""
    shelf = talk("a")
    shelf.current.reserve(None)

    assert len(shelf.fork("side").slots) == 1


def test_loaded_copy_is_a_conversation_of_its_own() -> None:
    """What is loaded beside its original has another name and another id: neither is kept in place of the other."""
    shelf = talk("a")
    original = shelf.current
    copy = replace(original)

    shelf.adopt(copy)

    assert (copy.name, copy.slots) == ("main-2", original.slots)
    assert copy.id != original.id


def test_conversation_from_elsewhere_has_no_parent_here() -> None:
    """A fork whose parent is not on the shelf is one like any other."""
    shelf = talk("a")
    shelf.adopt(talk("b").fork("stranger"))

    assert shelf.parent_name(shelf.current) is None
    assert ask(shelf, "a") == "main"
