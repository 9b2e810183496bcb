"""Slots and versions: re-running is safe, undo is exact, what failed is never sent."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.content import message
from llm_magic.errors import ConfigurationError
from llm_magic.slots import CellKey, Conversation, Slot, context_messages
from llm_magic.turns import Turn, chained

IDS = count()


def ask(conversation: Conversation, cell: str | None = None, ordinal: int = 0, **changes: Any) -> Turn:
    """One ask of a cell, as the session makes it."""
    slot = conversation.reserve(None if cell is None else CellKey(cell_id=cell, ordinal=ordinal))
    seen = conversation.context(slot.id).seen
    values: dict[str, Any] = {"text": f"answer to {cell}", "seen": seen, "cell_id": cell}
    turn = Turn(id=f"turn-{next(IDS)}", prompt=(message("user", f"ask {cell}"),), **values | changes)
    conversation.add_version(slot, turn)
    return turn


def texts(conversation: Conversation) -> list[str]:
    """What the next ask would see."""
    return [turn.text for turn in conversation.before(None)]


# Slots


@pytest.mark.parametrize("seed", range(20))
def test_ten_cells_in_any_order_leave_ten_slots(seed: int) -> None:
    """Ten asking cells, run in any order any number of times, are ten slots in the order of first asks."""
    order = random.Random(seed)
    cells = [f"c{number}" for number in range(10)]
    order.shuffle(cells)
    conversation = Conversation()
    runs = cells + order.choices(cells, k=30)

    for cell in runs:
        ask(conversation, cell)

    assert [slot.key for slot in conversation.slots] == [CellKey(cell_id=cell) for cell in cells]
    assert [len(slot.versions) for slot in conversation.slots] == [runs.count(cell) for cell in cells]
    assert len(texts(conversation)) == 10


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans()), max_size=20))
def test_slots_are_the_asks_there_were(asks: list[tuple[str, int, bool]]) -> None:
    """A slot for each ask of a cell; no version is lost; the current one is the last that did not fail."""
    conversation = Conversation()
    last: dict[CellKey, str | None] = {}
    for cell, ordinal, is_good in asks:
        turn = ask(conversation, cell, ordinal, status="complete" if is_good else "failed")
        key = CellKey(cell_id=cell, ordinal=ordinal)
        last[key] = turn.id if is_good else last.get(key)

    assert {slot.key: slot.current_id for slot in conversation.slots} == last
    assert [slot.key for slot in conversation.slots] == list(last)
    assert sum(len(slot.versions) for slot in conversation.slots) == len(asks)


def test_ask_without_a_cell_is_a_slot_of_its_own() -> None:
    """Where the front end tells no cell, every ask takes a new place."""
    conversation = Conversation()
    ask(conversation)
    ask(conversation)

    assert len(conversation.slots) == 2
    assert conversation.find(None) is None


def test_asks_of_one_cell_have_a_slot_each() -> None:
    """Several asks of one cell are matched by their order."""
    conversation = Conversation()
    for _ in range(2):
        ask(conversation, "a", 0)
        ask(conversation, "a", 1)

    assert [len(slot.versions) for slot in conversation.slots] == [2, 2]


def test_rerun_sees_the_slots_before_it_only() -> None:
    """A cell that runs again is asked with what stands before its slot."""
    conversation = Conversation()
    first, second = ask(conversation, "a"), ask(conversation, "b")

    again = ask(conversation, "a")

    assert (first.seen, second.seen, again.seen) == ("", chained("", first.id), "")


def test_reserved_place_is_not_sent() -> None:
    """A place that was taken and has no answer yet is neither sent nor a turn."""
    conversation = Conversation()
    slot = conversation.reserve(CellKey(cell_id="a"))

    assert conversation.slots == (slot,)
    assert (slot.current, slot.latest, slot.is_sent) == (None, None, False)
    assert (conversation.turns, conversation.before(None)) == ((), ())


# What is sent


def test_failed_versions_are_kept_and_never_sent() -> None:
    """A failed version is in its slot; not it, nor its prompt, is context."""
    conversation = Conversation()
    ask(conversation, "a", status="failed", text="half")
    good = ask(conversation, "b")

    assert len(conversation.slots[0].versions) == 1
    assert conversation.slots[0].latest is not None
    assert conversation.before(None) == (good,)
    assert conversation.turns == (good,)


def test_failed_rerun_leaves_the_former_version_current() -> None:
    """A failure takes nothing away."""
    conversation = Conversation()
    good = ask(conversation, "a")
    ask(conversation, "a", status="failed")

    assert conversation.slots[0].current == good
    assert conversation.before(None) == (good,)


@pytest.mark.parametrize("status", ["interrupted", "truncated"])
def test_partial_version_counts_if_it_has_text(status: str) -> None:
    """An interrupted or truncated answer is sent if there is something of it, else it is as failed."""
    conversation = Conversation()
    ask(conversation, "a", status=status, text="")
    assert conversation.before(None) == ()

    partial = ask(conversation, "a", status=status, text="half")

    assert conversation.before(None) == (partial,)


def test_hidden_slot_is_left_out() -> None:
    """A hidden slot keeps its current version and is not sent."""
    conversation = Conversation()
    first, second = ask(conversation, "a"), ask(conversation, "b")
    conversation.slots = (replace(conversation.slots[0], is_hidden=True), conversation.slots[1])

    assert conversation.turns == (first, second)
    assert conversation.before(None) == (second,)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["complete", "interrupted", "truncated", "failed"]),
            st.sampled_from(["", "x"]),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_only_what_says_something_is_sent(asks: list[tuple[str, str, bool]]) -> None:
    """For any mix of endings, what is sent did not fail, is not empty, is not hidden, and is in order."""
    conversation = Conversation()
    for number, (status, text, _) in enumerate(asks):
        ask(conversation, f"c{number}", status=status, text=text)
    conversation.slots = tuple(
        replace(slot, is_hidden=is_hidden) for slot, (_, _, is_hidden) in zip(conversation.slots, asks, strict=True)
    )

    expected = [
        f"c{number}"
        for number, (status, text, is_hidden) in enumerate(asks)
        if status != "failed" and text and not is_hidden
    ]
    assert [turn.cell_id for turn in conversation.before(None)] == expected


def test_context_is_system_then_turns_then_prompt() -> None:
    """What is sent, in order; an empty system prompt is none."""
    prompt = (message("user", "c"),)
    seen = Turn(id="t", prompt=(message("user", "a"),), text="b").messages()
    talk = (message("user", "a"), message("assistant", "b"), *prompt)

    assert context_messages("s", seen, prompt) == (message("system", "s"), *talk)
    assert context_messages(None, seen, prompt) == talk
    assert context_messages("", seen, prompt) == talk


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["complete", "failed"]), st.booleans()), max_size=15)
)
def test_a_context_that_was_extended_is_the_one_made_anew(asks: list[tuple[str, str, bool]]) -> None:
    """What is remembered of the ask before never shows: every slot's context is as if nothing had been."""
    conversation = Conversation()
    for cell, status, is_taken_back in asks:
        ask(conversation, cell, status=status)
        if is_taken_back:
            conversation.undo()
        for slot_id in (*(slot.id for slot in conversation.slots), None):
            assert conversation.context(slot_id) == Conversation(slots=conversation.slots).context(slot_id)


def test_an_ask_at_the_end_looks_at_one_slot() -> None:
    """The messages sent before are the same objects again, however long the conversation is."""
    conversation = Conversation()
    for number in range(50):
        ask(conversation, f"c{number}")
    before = conversation.context()
    ask(conversation, "next")

    after = conversation.context()

    assert all(one is other for one, other in zip(before.messages, after.messages, strict=False))
    assert len(after.messages) == len(before.messages) + 2


# Staleness


def test_turn_is_stale_when_what_it_saw_changed() -> None:
    """A re-run makes the turns behind it stale, undo makes them good again: it is derived, not stored."""
    conversation = Conversation()
    for cell in "abc":
        ask(conversation, cell)
    assert not any(map(conversation.is_stale, conversation.slots))

    ask(conversation, "b")
    assert [conversation.is_stale(slot) for slot in conversation.slots] == [False, False, True]

    conversation.undo()
    assert not any(map(conversation.is_stale, conversation.slots))


def test_failed_rerun_makes_nothing_stale() -> None:
    """A version that does not count changes nothing for others."""
    conversation = Conversation()
    ask(conversation, "a")
    ask(conversation, "b")
    ask(conversation, "a", status="failed")

    assert not any(map(conversation.is_stale, conversation.slots))


def test_hiding_makes_later_turns_stale() -> None:
    """A turn that was sent with one that is hidden now is stale."""
    conversation = Conversation()
    ask(conversation, "a")
    ask(conversation, "b")
    conversation.slots = (replace(conversation.slots[0], is_hidden=True), conversation.slots[1])

    assert [conversation.is_stale(slot) for slot in conversation.slots] == [False, True]


def test_slot_without_a_current_version_is_not_stale() -> None:
    """What does not count cannot be stale."""
    conversation = Conversation()
    ask(conversation, "a")
    ask(conversation, "b", status="failed", seen="")

    assert not conversation.is_stale(conversation.slots[1])


# Undo and redo


ACTIONS = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "fail", "pick", "hide", "unhide", "move"]), st.integers(0, 99)
)


def act(conversation: Conversation, what: str, number: int) -> bool:
    """Do one of the things that can be undone; whether there was anything to do it to."""
    slots = conversation.slots
    if what in ("ask", "fail"):
        ask(conversation, "abcd"[number % 4], status="complete" if what == "ask" else "failed")
        return True
    if not slots:
        return False
    slot, other = slots[number % len(slots)], slots[number // 10 % len(slots)]
    if what == "move":
        if slot is not other:
            conversation.move(slot, other)
        return slot is not other
    if what == "pick":
        good = [turn for turn in slot.versions if turn.is_sendable]
        if good:
            conversation.pick(slot, good[number % len(good)])
        return bool(good)
    conversation.hide(slot) if what == "hide" else conversation.unhide(slot)
    return True


def row(conversation: Conversation) -> list[tuple[str, str | None, bool]]:
    """What undo is about: which slots there are, in which order, what counts, what is hidden."""
    return [(slot.id, slot.current_id, slot.is_hidden) for slot in conversation.slots]


@given(st.lists(ACTIONS, max_size=15), st.integers(0, 20))
def test_undo_and_redo_are_inverse(actions: list[tuple[str, int]], steps: int) -> None:
    """Each undo is the state before the change, as many redos bring all back, and no version is ever lost."""
    conversation = Conversation()
    states = [row(conversation)]
    for what, number in actions:
        if act(conversation, what, number):
            states.append(row(conversation))
    versions = {slot.id: slot.versions for slot in conversation.slots}

    undone = 0
    while undone < steps and conversation.undo():
        undone += 1
        assert row(conversation) == states[-1 - undone]
        assert all(slot.versions == versions[slot.id] for slot in conversation.slots)
    assert undone == min(steps, len(states) - 1)
    for back in range(undone, 0, -1):
        assert conversation.redo()
        assert row(conversation) == states[-back]
    assert not conversation.redo()
    assert {slot.id: slot.versions for slot in conversation.slots} == versions


def test_undo_of_a_rerun_makes_the_former_version_current() -> None:
    """Undoing a re-run takes back that it counts; the version stays, and can be picked."""
    conversation = Conversation()
    first = ask(conversation, "a")
    second = ask(conversation, "a")

    assert conversation.undo()
    assert conversation.turns == (first,)
    (slot,) = conversation.slots
    assert slot.versions == (first, second)

    conversation.pick(slot, second)
    assert conversation.turns == (second,)


def test_version_that_failed_cannot_be_picked() -> None:
    """Picking what failed is one line, and changes nothing."""
    conversation = Conversation()
    good = ask(conversation, "a")
    bad = ask(conversation, "a", status="failed")

    with pytest.raises(ConfigurationError, match="failed and cannot count"):
        conversation.pick(conversation.slots[0], bad)

    assert conversation.turns == (good,)


def test_slot_that_is_moved_stands_before_the_other() -> None:
    """Moving changes the order and nothing else; what saw another order is stale."""
    conversation = Conversation()
    for cell in "abc":
        ask(conversation, cell)
    first, _, third = conversation.slots

    conversation.move(third, first)

    assert texts(conversation) == ["answer to c", "answer to a", "answer to b"]
    assert conversation.stale() == {slot.id for slot in conversation.slots}


def test_versions_have_numbers() -> None:
    """A version is found by the number that is printed; another number is one line."""
    conversation = Conversation()
    turn = ask(conversation, "a")
    (slot,) = conversation.slots

    assert slot.version(1) == turn
    with pytest.raises(ConfigurationError, match=r"no version 2 .*versions 1 to 1"):
        slot.version(2)


def test_undo_of_a_first_ask_takes_the_slot_away() -> None:
    """Undoing a first ask leaves nothing of it in view."""
    conversation = Conversation()
    ask(conversation, "a")

    assert conversation.undo()

    assert conversation.slots == ()
    assert not conversation.undo()


def test_new_ask_clears_redo() -> None:
    """After a new ask there is nothing to redo."""
    conversation = Conversation()
    ask(conversation, "a")
    conversation.undo()
    ask(conversation, "b")

    assert not conversation.redo()
    assert texts(conversation) == ["answer to b"]


def test_answer_whose_slot_was_undone_meanwhile_comes_back_at_the_end() -> None:
    """An answer that arrives after an undo is not lost."""
    conversation = Conversation()
    ask(conversation, "a")
    slot = conversation.reserve(CellKey(cell_id="b"))
    conversation.undo()

    conversation.add_version(slot, Turn(id="late", prompt=(), text="late"))

    assert [item.id for item in conversation.slots] == [slot.id]
    assert texts(conversation) == ["late"]


def test_undo_history_is_no_part_of_equality() -> None:
    """Two conversations that hold the same are equal, however they came to it."""
    conversation = Conversation(name="a", id="x")
    fresh = replace(conversation)
    ask(conversation, "a")
    conversation.undo()

    assert conversation == fresh


# Looking things up


def test_numbers_are_those_that_are_printed() -> None:
    """Turns are numbered from 1; another number is one line that says which there are."""
    conversation = Conversation()
    with pytest.raises(ConfigurationError, match=r"no turn 1\..*no turns yet"):
        conversation.numbered(1)
    ask(conversation, "a")
    ask(conversation, "b")

    assert conversation.numbered(2) is conversation.slots[1]
    for number in (0, -1, 3):
        with pytest.raises(ConfigurationError, match=rf"no turn {number}\..*turns 1 to 2"):
            conversation.numbered(number)


def test_slot_is_found_by_its_id() -> None:
    """A slot is found by its id, or not at all."""
    conversation = Conversation()
    ask(conversation, "a")

    assert conversation.slot(conversation.slots[0].id) is conversation.slots[0]
    assert conversation.slot("nowhere") is None


def test_repr_shows_no_prompt() -> None:
    """A conversation's repr is its name and size, not what was said."""
    conversation = Conversation(name="main", slots=(Slot(id="s", versions=(Turn(id="t", prompt=(), text="secret"),)),))

    assert repr(conversation) == "<Conversation 'main': 1 turns>"
