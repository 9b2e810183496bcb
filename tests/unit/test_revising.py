"""The commands that change the row: what they do, and the one line they say."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.errors import ConfigurationError
from llm_magic.magics.command_lines import parse_command
from llm_magic.revising import revise
from llm_magic.session import Session
from llm_magic.slots import CellKey, Conversation
from llm_magic.turns import Turn

if TYPE_CHECKING:
    from llm_magic.turns import Status

IDS = count()


def ask(conversation: Conversation, cell: str, *, status: Status = "complete") -> None:
    """One ask of a cell, as the session makes it."""
    slot = conversation.reserve(CellKey(cell_id=cell))
    prompt = (message("user", f"ask  {cell}\nplease"),)
    seen = conversation.context(slot.id).seen
    text = "answer" if status == "complete" else ""
    conversation.add_version(slot, Turn(id=f"t{next(IDS)}", prompt=prompt, text=text, status=status, seen=seen))


def talk(*cells: str) -> Session:
    """A session whose conversation these cells asked, in this order."""
    session = Session(config=Config(environ={}))
    for cell in cells:
        ask(session.current, cell)
    return session


def do(session: Session, line: str) -> str:
    command = parse_command(line)
    said = revise(session, command.name, *command.numbers)
    assert "\n" not in said
    return said


def cells(session: Session) -> str:
    """The row: its cells, those that send nothing in capitals."""
    keys = ((slot.key.cell_id, slot.is_sent) for slot in session.current.slots if slot.key is not None)
    return "".join(cell if is_sent else cell.upper() for cell, is_sent in keys)


def test_undo_of_a_rerun_says_what_counts() -> None:
    """A re-run taken back lets the former version count, and redo the newer one again."""
    session = talk("a", "b", "a")

    assert do(session, "undo") == "taken back: turn 1 asked again; version 1 counts"
    assert do(session, "redo") == "made again: turn 1 asked again; version 2 counts · 1 stale turn: %chat refresh"
    assert do(session, "redo") == "nothing to redo"


def test_undo_of_a_first_ask_names_it() -> None:
    """A turn that leaves the row is named by its number and prompt; redo brings it back where it was."""
    session = talk("a", "b")

    assert do(session, "undo") == "taken back: turn 2, 'ask b please'; %chat redo brings it back"
    assert cells(session) == "a"
    assert do(session, "redo") == "made again: turn 2 asked; version 1 counts"
    assert cells(session) == "ab"
    assert [do(session, "undo")[:10] for _ in range(3)] == ["taken back", "taken back", "nothing to"]


def test_undo_of_a_failed_ask_says_that_nothing_counted() -> None:
    """A failed ask can be taken back too."""
    session = talk()
    ask(session.current, "a", status="failed")
    do(session, "undo")

    assert do(session, "redo") == "made again: turn 1 asked; no version counts"


def test_pick_says_what_became_stale() -> None:
    """The older version counts again; picking it twice is said, and is one change."""
    session = talk("a", "a", "b")

    assert do(session, "pick 1.1") == "version 1 of turn 1 counts · 1 stale turn: %chat refresh"
    assert do(session, "pick 1.1") == "version 1 of turn 1 counts already"
    assert do(session, "undo") == "taken back: picking a version of turn 1; version 2 counts"


def test_hide_and_unhide() -> None:
    """A turn is left out and taken in again; what is so already is not done again."""
    session = talk("a", "b")

    assert do(session, "unhide 1") == "turn 1 is not hidden"
    assert do(session, "hide 1") == "turn 1 is hidden · 1 stale turn: %chat refresh"
    assert cells(session) == "Ab"
    assert do(session, "hide 1") == "turn 1 is hidden already"
    assert do(session, "undo") == "taken back: hiding turn 1"
    do(session, "redo")
    assert do(session, "unhide 1") == "turn 1 is in again"
    assert do(session, "undo") == "taken back: taking turn 1 in again · 1 stale turn: %chat refresh"


def test_move_says_the_new_number() -> None:
    """A turn stands before another; where it stands already nothing changes."""
    session = talk("a", "b", "c")

    assert do(session, "move 3 before 1") == "turn 3 is turn 1 now · 3 stale turns: %chat refresh"
    assert cells(session) == "cab"
    assert do(session, "move 1 before 1") == do(session, "move 1 before 2") == "turn 1 stands there already"
    assert do(session, "undo") == "taken back: moving a turn, which is turn 3 now"
    assert cells(session) == "abc"


def test_prune_hides_all_turns_whose_cell_is_gone() -> None:
    """One change for all; undo takes them in again."""
    session = talk("a", "b", "c")
    assert do(session, "prune") == "no turn's cell is gone"
    session.note_started(None, ["a", "c"])

    assert do(session, "prune") == "hidden, cell gone: turns 1 and 3 · 1 stale turn: %chat refresh"
    assert cells(session) == "AbC"
    assert do(session, "prune") == "no turn's cell is gone"
    assert do(session, "undo") == "taken back: hiding turns 1 and 3, cell gone"
    assert cells(session) == "abc"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hide 3", "There is no turn 3.  Hint: this conversation has turns 1 to 2"),
        ("move 1 before 3", "There is no turn 3."),
        ("pick 1.2", "There is no version 2 of that turn"),
        ("pick 2.2", "That version failed and cannot count."),
    ],
)
def test_what_is_not_there_is_one_line(line: str, said: str) -> None:
    """A number that is none is refused, and nothing has changed."""
    session = talk("a", "b")
    ask(session.current, "b", status="failed")
    before = session.current.slots

    with pytest.raises(ConfigurationError) as caught:
        do(session, line)

    assert said in str(caught.value)
    assert session.current.slots is before


_LINES = st.sampled_from(
    ["undo", "redo", "pick 1.1", "pick 2.2", "hide 1", "hide 2", "unhide 1", "move 2 before 1", "prune"]
)


@given(st.lists(_LINES, max_size=12))
def test_undo_takes_back_every_line_that_says_it_did_something(lines: list[str]) -> None:
    """Whatever was done: undone to the beginning the row is what it was, and no undo is for nothing."""
    session = talk("a", "b", "a", "b", "c")
    session.note_started(None, ["c"])
    while "nothing" not in do(session, "undo"):
        pass
    empty = session.current.slots
    while "nothing" not in do(session, "redo"):
        pass
    whole = session.current.slots

    for line in lines:
        try:
            do(session, line)
        except ConfigurationError:
            continue
    before = None
    while "nothing" not in do(session, "undo"):
        assert session.current.slots != before
        before = session.current.slots
    assert session.current.slots == empty == ()
    assert len(whole) == 3
