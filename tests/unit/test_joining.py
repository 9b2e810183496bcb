"""Joining the rest of an answer to its beginning: whatever the model does, nothing is lost and nothing comes twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from llm_magic.joining import Asked, Joint, State, anchor_of, cut_prefix
from llm_magic.joining.folding import overlaps
from llm_magic.joining.gluing import open_fence
from tests.fakes.going_on import MANNERS

PROSE = """# The sea

The sea covers most of the Earth. It is salt; its mean depth is 3.7 km, and in the Mariana Trench it is 11 km deep.

- It is cold below, and it is warm above.
- It is blue, "as blue as can be" (Müller, 1987), because water takes the red.

The sea has tides. The moon makes them; the sun helps. 海は広いな大きいな。That is why the sea is never still.
"""
CODE = """Here it is:

```python
def mean(values: list[float]) -> float:
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)


def median(values: list[float]) -> float:
    if not values:
        raise ValueError("no values")
    middle = len(values) // 2
    return sorted(values)[middle]
```

Both raise where there are no values.
"""
WHOLES = {"prose": PROSE, "code": CODE}
WORDS = "the sea is on an old map of it and so we go by day to see new sun in my own far off bay at ten".split()


def joined(whole: str, cut: int, manner: str, pieces: tuple[int, ...] = ()) -> str:
    """A whole answer, cut and gone on with, what came arriving in pieces."""
    former = whole[:cut].rstrip()
    came = MANNERS[manner](former, anchor_of(former), whole[len(former) :])
    joint = Joint(Asked(former, whole[len(former) : cut]).cut)
    text = former
    for size in pieces:
        text += joint.add(came[:size])
        came = came[size:]
    return text + (joint.add(came) if came else "") + joint.end("whole")


def said(former: str, came: str, *, space: str = "") -> str:
    """What becomes of a text and what came after it."""
    joint = Joint(Asked(former, space).cut)
    return former + joint.add(came) + joint.end("whole")


# Repeating as asked, in all manners


@pytest.mark.parametrize("name", WHOLES)
@pytest.mark.parametrize("manner", sorted(set(MANNERS) - {"exact"}))
def test_joined_is_the_whole_at_every_cut(name: str, manner: str) -> None:
    """Wherever it was cut, a model that repeats the last words, in whatever manner, ends with the same text."""
    whole = WHOLES[name]
    # Before that, the beginning of an opening may be taken for a repetition of the few letters there are.
    first = 10 if manner in ("chatty", "german", "sure") else 1
    wrong = {cut: joined(whole, cut, manner) for cut in range(first, len(whole) + 1)}

    assert {cut: text[max(cut - 30, 0) : cut + 30] for cut, text in wrong.items() if text != whole} == {}


texts = st.text(min_size=2, max_size=300)
prose = st.lists(st.sampled_from([*WORDS, "sea.", "bay,", "\n\nSee", "\n- it"]), min_size=2, max_size=60).map(" ".join)
sizes = st.lists(st.integers(1, 12), max_size=20).map(tuple)


@given(whole=texts | prose, part=st.floats(0, 1), manner=st.sampled_from(["anchor", "spaced", "tagged"]), pieces=sizes)
@example(whole='""""', part=0.5, manner="anchor", pieces=(1, 1))
def test_last_words_join_any_text(whole: str, part: float, manner: str, pieces: tuple[int, ...]) -> None:
    """Letters of any kind, cut anywhere, arriving in any pieces: after the last words all is exactly as it came."""
    cut = int(len(whole) * part)
    assume(whole[:cut].strip())
    assume("<" not in whole)

    assert joined(whole, cut, manner, pieces) == whole


@given(whole=prose, part=st.floats(0, 1), manner=st.sampled_from(sorted(MANNERS)), pieces=sizes)
def test_pieces_do_not_matter(whole: str, part: float, manner: str, pieces: tuple[int, ...]) -> None:
    """How it arrives changes nothing."""
    cut = int(len(whole) * part)
    assume(whole[:cut].strip())

    assert joined(whole, cut, manner, pieces) == joined(whole, cut, manner)


@given(whole=prose, part=st.floats(0, 1))
def test_going_on_at_once_loses_nothing(whole: str, part: float) -> None:
    """Without the last words it is the same text where the seam is between words, else at most one with a space more.

    Only who begins with the very last words is taken to repeat them.
    """
    former = whole[: int(len(whole) * part)].rstrip()
    assume(former)
    rest = whole[len(former) :]
    assume(not squeezed(rest).startswith(squeezed(anchor_of(former))))
    assume(squeezed(rest)[:24] not in squeezed(former))

    text = said(former, rest)

    assert squeezed(text) == squeezed(whole)
    assert text == whole if rest[:1].isspace() else len(text) <= len(whole) + 1


@given(former=prose, came=prose, pieces=sizes)
def test_only_a_repetition_is_left_out(former: str, came: str, pieces: tuple[int, ...]) -> None:
    """Whatever comes, it is added to its end, and what is not added stands at the end of the former text."""
    joint = Joint(Asked(former).cut)
    text, rest = former, came
    for size in pieces:
        text += joint.add(rest[:size])
        rest = rest[size:]
    text += joint.add(rest) + joint.end("whole")

    assert squeezed(joint.left_out) in squeezed(former)
    assert squeezed(text) == squeezed(former) + squeezed(came[len(joint.left_out) :])


def squeezed(text: str) -> str:
    """The text without white space."""
    return "".join(text.split()).lower()


# Models that do as they like

LONG = "France is a country in Europe. Its capital is the beautiful"
BLOCK = "So:\n\n```python\ndef f(x):\n    return g(x)\n\n\ndef h(x):\n    if x:"
FENCED = "So:\n\n```\n$ ls"


@pytest.mark.parametrize(
    ("former", "came", "text"),
    [
        # A word, a sentence, a line is begun again.
        (LONG, "beautiful city.", f"{LONG} city."),
        ("The cap", "capital of it", "The capital of it"),
        ("It is. Th", "That is", "It is. That is"),
        (BLOCK, "if x:\n        return 1", f"{BLOCK}\n        return 1"),
        (f"{BLOCK}\n        retu", "return 1", f"{BLOCK}\n        return 1"),
        ("- one\n-", "- two", "- one\n- two"),
        ("So:\n\n```pyth", "```python\nx", "So:\n\n```python\nx"),
        ("首都はパリが", "パリが好き", "首都はパリが好き"),
        # Chance is no repetition.
        ("It costs 100", "00 dollars", "It costs 10000 dollars"),
        ("<ul><li>a</li>\n</ul>", "</ul>", "<ul><li>a</li>\n</ul></ul>"),
        ("It is so very", " very good", "It is so very very good"),
        (f"{BLOCK}\n        return g(f(x)", ")", f"{BLOCK}\n        return g(f(x))"),
        # Openings go.
        (LONG, "Sure! Continuing:\n\ncity.", f"{LONG} city."),
        (LONG, "Sure, here is the rest:\n\nIts capital is the beautiful city.", f"{LONG} city."),
        (LONG, "Continuing from where I left off:\n\nbeautiful city.", f"{LONG} city."),
        (LONG, "Certainly.\n\ncity.", f"{LONG} city."),
        (LONG, "…beautiful city.", f"{LONG} city."),
        (BLOCK, "Okay, continuing:\n\n```python\ndef h(x):\n    if x:\n        y", f"{BLOCK}\n        y"),
        # What only looks like one stays.
        (LONG, "Sure thing, Paris", f"{LONG} Sure thing, Paris"),
        (LONG, " Okay, Paris.", f"{LONG} Okay, Paris."),
        (LONG, "Here it is", f"{LONG} Here it is"),
        # A block of code that is opened again, and one that is closed.
        (BLOCK, "```python\n        return 1\n```", f"{BLOCK}\n        return 1\n```"),
        (BLOCK, "```python\n    if x:\n        return 1", f"{BLOCK}\n        return 1"),
        (BLOCK, "```\n\nDone.", f"{BLOCK}\n```\n\nDone."),
        (FENCED, "```\nDone.", f"{FENCED}\n```\nDone."),
        (f"{BLOCK}\n        y = (", "```python\n1)", f"{BLOCK}\n        y = (1)"),
        # What a model leaves out at the beginning of a message comes back.
        (LONG, "city.", f"{LONG} city."),
        ("It is Paris.", "It is large.", "It is Paris. It is large."),
        ("Unbelievable. It is un", "believable", "Unbelievable. It is unbelievable"),
        ("It is 3.", "14", "It is 3.14"),
        ("So it is **", "42**", "So it is **42**"),
        ("- one\n- two", "- three", "- one\n- two\n- three"),
        ("- one", "  - two", "- one\n  - two"),
        ("| a |\n|---|", "| 1 |", "| a |\n|---|\n| 1 |"),
        ("Done.", "## Next", "Done.\n## Next"),
        (BLOCK, "        return 1", f"{BLOCK}\n        return 1"),
        (f"{BLOCK}\n        y = 1", "  # one", f"{BLOCK}\n        y = 1  # one"),
        ("首都は", "パリ", "首都はパリ"),
        # A new beginning that is another stands by itself.
        (LONG, "France is a country in Europe, and large.", f"{LONG}\n\nFrance is a country in Europe, and large."),
        (LONG, "", LONG),
    ],
)
def test_other_models_are_met_half_way(former: str, came: str, text: str) -> None:
    """What they repeat goes, what they left out comes, all at once or letter by letter."""
    joint = Joint(Asked(former).cut)

    assert said(former, came) == text
    assert former + "".join(map(joint.add, came)) + joint.end("whole") == text


@pytest.mark.parametrize(
    ("space", "came", "text"),
    [
        ("\n\n", "Next", "Done.\n\nNext"),
        ("\n", "\n\nNext", "Done.\n\nNext"),
        ("\n\n", " Next", "Done. Next"),
        (" ", "Done. Next", "Done. Next"),
        ("\n  ", "  - one", "Done.\n  - one"),
    ],
)
def test_white_space_at_the_end_is_the_models_to_say(space: str, came: str, text: str) -> None:
    """It is not sent; where none comes, it is what it was."""
    assert said("Done.", came, space=space) == text


@pytest.mark.parametrize(
    ("came", "rest"), [("and this is the", ""), ("Sure, cont", "Sure, cont"), (" new", " new"), (f"{LONG[:40]}", "")]
)
def test_broken_repetition_adds_nothing(came: str, rest: str) -> None:
    """What broke off within what it repeated brings nothing; anything else is kept."""
    joint = Joint(Asked(f"{LONG} city, and this is the end of it").cut)

    assert (joint.add(came) + joint.end("broken")).strip() == rest.strip()


def test_repeating_takes_time_in_proportion() -> None:
    """A long answer that is repeated letter by letter is looked at again each time it grew by a tenth."""
    former = " ".join(f"{number}:{number * number}" for number in range(10_000))
    asked, states = Asked(former), list[str]()

    def cut(came: str, state: Any) -> Any:
        states.append(state)
        return asked.cut(came, state)

    joint = Joint(cut)
    came = f"{former} and so on"
    text = "".join(joint.add(came[place : place + 4]) for place in range(0, len(came), 4))

    assert text + joint.end("whole") == " and so on"
    assert len(states) < 200


# By prefix


@given(whole=texts | prose, part=st.floats(0, 1), pieces=sizes)
def test_prefix_is_plain_concatenation(whole: str, part: float, pieces: tuple[int, ...]) -> None:
    """Whatever comes is added, but a repetition of some words and more that is whole."""
    cut = int(len(whole) * part)
    former, rest = whole[:cut], whole[cut:]
    assume(not rest.startswith(former) or len(former.split()) < 3)
    assume(len(former) < 24 or former[:24] != rest[:24])

    assert prefixed(former, rest, pieces) == whole


@given(whole=prose, pieces=sizes)
def test_servers_that_repeat_the_prefix_add_the_rest(whole: str, pieces: tuple[int, ...]) -> None:
    """All of it, in any pieces."""
    former, rest = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    assume(len(former.split()) > 2)

    assert prefixed(former, former + rest, pieces) == whole


def test_prefix_that_comes_again_by_chance_stays() -> None:
    """A short text, or a part of a longer one."""
    assert prefixed("ha", "ha") == "haha"
    assert prefixed("one two three", "one two four") == "one two threeone two four"
    assert prefixed("one two three", "one two") == "one two threeone two"
    assert prefixed("one two three", "one two", state="broken") == "one two three"


def prefixed(former: str, came: str, pieces: tuple[int, ...] = (), *, state: State = "whole") -> str:
    """What becomes of a text that a server goes on with."""
    joint = Joint(lambda text, state: cut_prefix(former, text, state))
    text = former
    for size in pieces:
        text += joint.add(came[:size])
        came = came[size:]
    return text + (joint.add(came) if came else "") + joint.end(state)


# What it stands on


@given(before=st.text("ab", max_size=12), after=st.text("ab", max_size=12))
def test_overlaps_are_all_there_are(before: str, after: str) -> None:
    """As looking at every length finds them."""
    sizes = range(min(len(before), len(after)), 0, -1)

    assert list(overlaps(before, after)) == [size for size in sizes if before[-size:] == after[:size]]


def test_anchor_is_short_and_stands_nowhere_else() -> None:
    """Longer where the end of a text stands in it twice; all of a short text; never half a word."""
    assert anchor_of("a") == "a"
    assert anchor_of("the end of the story \n") == "the end of the story"
    twice = "first comes this, and this is the end of it; then comes that, and this is the end of it"
    assert anchor_of(twice) == "that, and this is the end of it"
    assert anchor_of("ha " * 500) == ("ha " * 67)[:-1]
    assert anchor_of("x" * 900) == "x" * 200


@pytest.mark.parametrize(
    ("text", "fence"),
    [
        ("no code", ""),
        ("a\n```python\nx", "```python"),
        ("a\n  ~~~\nx\n```\ny", "~~~"),
        ("a\n```\nx\n```\n", ""),
        ("````\n```\nx", "````"),
        ("```py\nx\n```\n\n```js", "```js"),
    ],
)
def test_open_fence_is_the_line_that_opened_the_block(text: str, fence: str) -> None:
    """As Markdown has it: closed by one at least as long, of the same sign, without a word."""
    assert open_fence(text) == fence
