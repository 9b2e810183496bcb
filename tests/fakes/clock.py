"""A clock for tests."""

from __future__ import annotations


class Clock:
    """Seconds that pass when told; call it for the time.

    Attributes:
        now: The time.
    """

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now
