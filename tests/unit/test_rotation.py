"""What requests share: values in turn, and a pace, from any thread."""

from __future__ import annotations

import copy
import functools
import itertools
import math
import pickle
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends.rotation import Pace, Rotation
from llm_magic.errors import ConfigurationError


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.capability("A10", "K11")
def test_values_are_taken_in_turn_by_many_threads() -> None:
    """400 takes of 8 threads are spread exactly; one lock is shared by all."""
    rotation = Rotation("abc")
    taken: list[str] = []
    start = threading.Barrier(8)

    def take() -> None:
        start.wait(10)
        for _ in range(50):
            found = rotation.take()
            assert found is not None
            taken.append(found[1])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert Counter(taken) == {"a": 134, "b": 133, "c": 133}


@pytest.mark.capability("K11", "H6")
@pytest.mark.parametrize(
    "use", [Rotation("ab").take, Pace(1).wait_s, functools.partial(Rotation("ab").spend, 0), Rotation("ab").renew]
)
def test_one_lock_guards_every_use(use: Any) -> None:
    """Whoever holds it is alone: today's interpreter rarely shows what would break without."""
    owner = getattr(use, "func", use).__self__
    is_done = threading.Event()

    def once() -> None:
        use()
        is_done.set()

    thread = threading.Thread(target=once)

    with owner._lock:
        thread.start()
        went_on = is_done.wait(0.05)
    thread.join(10)

    assert not went_on
    assert is_done.is_set()


@given(st.integers(1, 6), st.sets(st.integers(0, 5)))
def test_spent_values_are_left_out(count: int, spent: set[int]) -> None:
    """The others keep their order; with none left there is nothing to take, until they are renewed."""
    rotation = Rotation(range(count))
    left = [number for number in range(count) if number not in spent]

    answers = [rotation.spend(number) for number in sorted(spent) if number < count]
    taken = [rotation.take() for _ in range(2 * len(left) or 1)]

    assert taken == ([(number, number) for number in left] * 2 if left else [None])
    assert answers == [True] * len(answers[:-1]) + [bool(left)] * len(answers[-1:])
    rotation.renew()
    assert {rotation.take() for _ in range(count)} == {(number, number) for number in range(count)}


@pytest.mark.capability("H6")
def test_pace_spaces_requests_evenly() -> None:
    """Each is told its own wait; whoever comes late does not wait, and nobody gains from a pause."""
    clock = Clock()
    pace = Pace(0.5, clock=clock)

    assert [pace.wait_s() for _ in range(3)] == [0, 2, 4]
    clock.now += 5
    assert pace.wait_s() == 1
    clock.now += 100
    assert [pace.wait_s() for _ in range(2)] == [0, 2]


@given(st.lists(st.floats(0, 3), min_size=2, max_size=20), st.floats(0.1, 10))
def test_pace_is_never_faster_than_asked(pauses: list[float], per_second: float) -> None:
    """Whenever requests come, no two begin closer together than the pace."""
    clock = Clock()
    pace = Pace(per_second, clock=clock)
    begun = []
    for pause in pauses:
        clock.now += pause
        begun.append(clock.now + pace.wait_s())

    assert all(later - before >= 1 / per_second - 1e-9 for before, later in itertools.pairwise(begun))


@pytest.mark.capability("H6")
def test_pace_is_shared_by_threads() -> None:
    """No two are given the same turn."""
    pace = Pace(10, clock=Clock())
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.extend(pace.wait_s() for _ in range(50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(waits) == pytest.approx([number / 10 for number in range(200)])


def test_no_pace_never_waits() -> None:
    """Off is the default."""
    assert [Pace(None).wait_s() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("per_second", [0, -1, math.inf, math.nan])
def test_a_pace_that_is_none_is_refused(per_second: float) -> None:
    """Said with the value."""
    with pytest.raises(ConfigurationError, match=r"does not fit queries_per_second"):
        Pace(per_second)


def test_both_travel_and_begin_anew() -> None:
    """A lock does not travel; what was spent is not spent elsewhere."""
    rotation, pace = Rotation("ab"), Pace(2.5)
    rotation.take()
    rotation.spend(0)

    for made in (pickle.loads(pickle.dumps(rotation)), copy.deepcopy(rotation)):
        assert made.take() == (0, "a")
    assert pickle.loads(pickle.dumps(pace)).per_second == 2.5
