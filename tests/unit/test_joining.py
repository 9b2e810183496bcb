"""Joining the rest of an answer to its beginning: whatever the model does, nothing is lost and nothing comes twice."""

from __future__ import annotations

import pytest

from llm_magic.joining import Asked, Joint, anchor_of
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
