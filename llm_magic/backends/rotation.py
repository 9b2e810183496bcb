"""What the requests of one backend share: keys and organizations used in turn, and the pace they are sent at.

Safe from any thread, each with one lock of its own. Nothing here waits: who asks is told how long to.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")


class Rotation(Generic[T]):
    """Values used one after the other, those that are spent left out.

    >>> keys = Rotation(["a", "b"])
    >>> [keys.take()[1] for _ in range(3)]
    ['a', 'b', 'a']

    Args:
        values: At least one.
    """

    def __init__(self, values: Sequence[T]) -> None:
        self.values = tuple(values)
        self._next = 0
        self._spent: set[int] = set()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"values": self.values}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        Rotation.__init__(self, state["values"])

    def take(self) -> tuple[int, T] | None:
        """The next value with its number; None where all are spent."""
        with self._lock:
            for _ in self.values:
                number = self._next
                self._next = (number + 1) % len(self.values)
                if number not in self._spent:
                    return number, self.values[number]
            return None

    def spend(self, number: int) -> bool:
        """Leave a value out from now on; whether another one is left."""
        with self._lock:
            self._spent.add(number)
            return len(self._spent) < len(self.values)

    def renew(self) -> None:
        """Use all values again."""
        with self._lock:
            self._spent.clear()


class Pace:
    """At most so many requests a second, evenly: each is told how long to wait for its turn.

    Args:
        per_second: Requests a second, fractions allowed; None for as many as there are.
        clock: Seconds that only grow.

    Raises:
        ConfigurationError: It is not above 0.
    """

    def __init__(self, per_second: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        if per_second is not None and not 0 < per_second < math.inf:
            raise ConfigurationError(f"{per_second!r} does not fit queries_per_second.", hint="it is a number above 0")
        self.per_second = per_second
        self._clock = clock
        self._next_at = 0.0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"per_second": self.per_second}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        Pace.__init__(self, state["per_second"])

    def wait_s(self) -> float:
        """Take the next turn; how long to wait for it, in seconds."""
        if self.per_second is None:
            return 0.0
        with self._lock:
            now = self._clock()
            turn_at = max(now, self._next_at)
            self._next_at = turn_at + 1 / self.per_second
            return turn_at - now
