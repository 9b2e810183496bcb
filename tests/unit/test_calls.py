"""Calls under way: pieces and progress find each other, and a page's word is taken where it fits, nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from llm_magic.content import ToolCall
from llm_magic.events import ToolCallDelta
from llm_magic.views.calls import MAX_ASKED_CHARACTERS, Calls
from tests.fakes.calls import PARIS, ROME, progress
from tests.fakes.hostile import lines
from tests.fakes.markup import BIDI_CONTROLS


def html(calls: Calls) -> str:
    """As they are drawn."""
    return "".join(piece.html for piece in calls.pieces())


def written(calls: Calls, *all_of_them: ToolCall, size: int = 3, has_ids: bool = True) -> None:
    """Let calls come in pieces, one after another's piece."""
    for index, call in enumerate(all_of_them):
        calls.add(ToolCallDelta(index=index, id=call.id if has_ids else "", name=call.name))
    for at in range(0, 60, size):
        for index, call in enumerate(all_of_them):
            if piece := call.arguments[at : at + size]:
                calls.add(ToolCallDelta(index=index, arguments=piece))


@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.capability("G9")
def test_progress_is_of_the_call_that_was_written(has_ids: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Rows keep their order; each goes its own way from written to done, ids or not."""
    calls = Calls()
    written(calls, PARIS, ROME, has_ids=has_ids)
    assert html(calls).count("llm-magic-tool-started") == 2

    calls.add(progress(0, PARIS, "running"))
    calls.add(progress(1, ROME, "denied", "no"))
    calls.add(progress(0, PARIS, "done", "18 °C"))

    first, second = (piece.html for piece in calls.pieces())
    assert "get_weather" in first
    assert "done</span>: 18 °C" in first
    assert "get_time" in second
    assert "denied</span>: no" in second
    assert not calls.is_running


def test_pieces_out_of_order_are_in_order() -> None:
    """The index says which call it is, not when it came."""
    calls = Calls()
    calls.add(ToolCallDelta(index=2, name="c"))
    calls.add(ToolCallDelta(index=0, name="a"))
    calls.add(ToolCallDelta(index=1, name="b"))

    assert [piece.html.partition("<code>")[2][0] for piece in calls.pieces()] == ["a", "b", "c"]


def test_calls_that_nobody_saw_written_are_shown() -> None:
    """A request that was answered in one piece tells of its calls by their progress alone."""
    calls = Calls()
    calls.add(progress(3, PARIS, "running"))
    assert calls.is_running
    assert len(calls.close()) == 1

    assert calls.is_empty
    calls.add(progress(4, ROME, "failed", "no"))
    assert "get_time" in html(calls)


def test_a_row_is_made_when_it_changes() -> None:
    """What stays as it is is not rendered again, however many rows there are."""
    calls = Calls()
    written(calls, PARIS, ROME)
    before = calls.pieces()
    calls.add(progress(1, ROME, "running"))

    after = calls.pieces()

    assert after[0] is before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("answer", ["yes", "no", "always"])
def test_a_word_is_taken_once(answer: str) -> None:
    """The first of the three words counts; then there is no question any more."""
    calls = Calls()
    asked = progress(0, PARIS, "asking")
    calls.add(asked)
    assert calls.questions() == [
        {"call": 0, "name": "get_weather", "args": '{\n  "city": "Paris"\n}', "where": "cell 3, line 4"}
    ]

    assert calls.permit({"call": 0, "answer": answer})
    assert not calls.permit({"call": 0, "answer": "no"})

    assert asked.question is not None
    assert asked.question.decision is not None
    assert asked.question.decision.answer == answer
    assert calls.questions() == []


FORGED: list[dict[str, Any]] = [
    {},
    {"call": 1},
    {"answer": "yes"},
    {"call": 0, "answer": "yes"},
    {"call": 2, "answer": "yes"},
    {"call": -1, "answer": "yes"},
    {"call": True, "answer": "yes"},
    {"call": 1.0, "answer": "yes"},
    {"call": "1", "answer": "yes"},
    {"call": [1], "answer": "yes"},
    {"call": None, "answer": "yes"},
    {"call": 1, "answer": "Yes"},
    {"call": 1, "answer": "yes "},
    {"call": 1, "answer": "y"},
    {"call": 1, "answer": ""},
    {"call": 1, "answer": True},
    {"call": 1, "answer": ["yes"]},
    {"call": 1, "answer": {"yes": 1}},
    {"call": 1, "answer": None},
]


@pytest.mark.parametrize("said", FORGED, ids=str)
def test_forged_words_hit_nothing(said: dict[str, Any]) -> None:
    """Another call, another word, another type: the question stays open."""
    calls = Calls()
    calls.add(progress(0, PARIS, "running"))
    asked = progress(1, ROME, "asking")
    calls.add(asked)

    assert not calls.permit(said)

    assert asked.question is not None
    assert asked.question.is_open


def test_late_words_hit_nothing() -> None:
    """A question that was answered elsewhere, or whose request is over, takes no word."""
    calls = Calls()
    elsewhere, over = progress(0, PARIS, "asking"), progress(1, ROME, "asking")
    calls.add(elsewhere)
    calls.add(over)
    assert elsewhere.question is not None
    assert elsewhere.question.answer("no")
    assert [one["call"] for one in calls.questions()] == [1]
    calls.close()

    assert not calls.permit({"call": 0, "answer": "yes"})
    assert not calls.permit({"call": 1, "answer": "yes"})


def test_hostile_questions_are_text() -> None:
    """What a page shows as text has no controls, name and place are one line, and no arguments are endless."""
    controls = {chr(code) for code in [*range(9), *range(11, 32), *range(0x7F, 0xA0)]} | set(BIDI_CONTROLS)
    for text in lines():
        calls = Calls()
        call = ToolCall(id="c", name=text, arguments=text * 200 + "\x1b[2J" * MAX_ASKED_CHARACTERS)
        calls.add(progress(0, call, "asking", where=f"{text}\n{text}"))
        (asked,) = calls.questions()
        assert not controls & set(asked["name"] + asked["args"] + asked["where"])
        assert "\n" not in asked["name"] + asked["where"]
        assert len(asked["args"]) <= MAX_ASKED_CHARACTERS * 8 + 100
