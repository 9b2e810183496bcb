"""Thoughts in tags: what a model thinks aloud is told from what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends.think import ThinkParser


def parsed(
    text: str, cuts: list[int] | None = None, *, begins_inside: bool = False, is_cut: bool = False
) -> tuple[str, str]:
    """Thought and answer of a text that comes in pieces."""
    parser = ThinkParser(begins_inside=begins_inside)
    pieces, begin = [], 0
    for end in [*sorted(cut % (len(text) + 1) for cut in cuts or []), len(text)]:
        pieces += parser.feed(text[begin:end])
        begin = end
    pieces += parser.finish(is_cut=is_cut)
    assert all(piece.text for piece in pieces)
    return "".join(p.text for p in pieces if p.is_thought), "".join(p.text for p in pieces if not p.is_thought)


@pytest.mark.capability("F3")
@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>why</think>so", "why", "so"),
        ("<think>\nwhy\n</think>\n\nso\n", "why\n", "so\n"),
        ("\n <think>why</think>so", "why", "so"),
        ("<think>one</think>\n<think>two</think>so", "onetwo", "so"),
        ("<think>never closed", "never closed", ""),
        ("<think></think>so", "", "so"),
        ("<think>a < b </ c</think>so", "a < b </ c", "so"),
        ("no tags", "", "no tags"),
        ("  leading space stays", "", "  leading space stays"),
        ("tags are <think>text</think> here", "", "tags are <think>text</think> here"),
        ("so</think>", "", "so</think>"),
        ("<thin", "", "<thin"),
        ("<thinking>x", "", "<thinking>x"),
        ("", "", ""),
        ("<think>why</think>\n", "why", ""),
    ],
)
def test_tags_count_before_the_first_word_of_the_answer(text: str, thought: str, answer: str) -> None:
    """A block at the beginning is thought; an answer about tags is an answer."""
    assert parsed(text) == (thought, answer)


@pytest.mark.capability("F3")
@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("why</think>\nso", "why", "so"),
        ("<think>why</think>so", "why", "so"),
        ("why</think>so\n<think>more</think>then", "whymore", "so\nthen"),
        ("why</think>so <think>inline", "why", "so <think>inline"),
    ],
)
def test_known_families_begin_inside_a_thought(text: str, thought: str, answer: str) -> None:
    """The first opening tag may be missing, and later blocks begin at a line's start."""
    assert parsed(text, begins_inside=True) == (thought, answer)


@pytest.mark.capability("F3")
def test_an_answer_without_any_tag_is_never_lost() -> None:
    """A model that was expected to think and did not: all of its text is the answer, unchanged."""
    assert parsed(" plain answer ", begins_inside=True)[1] == " plain answer "


@pytest.mark.capability("F4")
def test_thoughts_cut_at_the_length_limit_are_thoughts() -> None:
    """An answer that ended in mid-thought has no text."""
    assert parsed("why and why and", begins_inside=True, is_cut=True) == ("why and why and", "")


def test_a_server_that_tells_thoughts_apart_is_believed() -> None:
    """After thoughts in a field of their own, tags are text."""
    parser = ThinkParser(begins_inside=True)
    parser.give_up()

    pieces = parser.feed("<think>as text</think>")

    assert parser.is_plain
    assert [(piece.is_thought, piece.text) for piece in pieces] == [(False, "<think>as text</think>")]


TEXTS = st.lists(st.sampled_from(["<think>", "</think>", "\n", " ", "a", "<", "</", "think>", "b c"]), max_size=10).map(
    "".join
)


@pytest.mark.capability("F3")
@given(text=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=12), begins_inside=st.booleans(), is_cut=st.booleans())
def test_any_split_gives_the_same_thought_and_answer(
    *, text: str, cuts: list[int], begins_inside: bool, is_cut: bool
) -> None:
    """Tags may be cut anywhere."""
    assert parsed(text, cuts, begins_inside=begins_inside, is_cut=is_cut) == parsed(
        text, begins_inside=begins_inside, is_cut=is_cut
    )


@given(text=st.text(max_size=40).filter(lambda text: "<" not in text), cuts=st.lists(st.integers(0, 40), max_size=8))
def test_text_without_tags_is_unchanged(text: str, cuts: list[int]) -> None:
    """Nothing is added, lost or stripped."""
    assert parsed(text, cuts) == ("", text)
