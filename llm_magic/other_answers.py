"""The further answers of a request that asks for several (``n`` > 1): each becomes a turn beside the first.

Comes in: the events that carry them. Goes out: turns whose usage is none, since the first one's is that of the request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .stopping import Stops
from .turns import TurnBuilder, new_id

if TYPE_CHECKING:
    from .events import OtherAnswer
    from .turns import Status, Turn


class OtherAnswers:
    """Folds the answers beside the first.

    Args:
        base: The turn of the first, as far as it is known before the answer.
        stops: The stop strings of the request: not every server keeps to them.
    """

    def __init__(self, base: Turn, stops: tuple[str, ...] = ()) -> None:
        self._base = replace(base, notices=(), text="", reasoning="", logprobs=None)
        self._stops = stops
        self._builders: dict[int, TurnBuilder] = {}
        self._searches: dict[int, Stops] = {}

    @property
    def output_text(self) -> str:
        """All text they produced so far: it is billed with the request."""
        return "".join(builder.output_text for builder in self._builders.values())

    def add(self, event: OtherAnswer) -> None:
        """Take the next event."""
        if event.index not in self._builders:
            builder = self._builders[event.index] = TurnBuilder(replace(self._base, id=new_id()))
            # Nobody sees them grow.
            self._searches[event.index] = Stops(self._stops, builder=builder, show=lambda _event: None)
        self._searches[event.index].add(event.event)

    def end(self) -> None:
        """No more comes. Doing it twice does no harm."""
        for search in self._searches.values():
            search.end()

    def turns(self, first: Turn) -> tuple[Turn, ...]:
        """The answers as they stand, in order.

        Args:
            first: The turn of the first answer: what ended it has ended them, unless they are whole.
        """
        return tuple(self._turn(builder, first) for _, builder in sorted(self._builders.items()))

    def _turn(self, builder: TurnBuilder, first: Turn) -> Turn:
        status: Status | None = None if builder.completed else "truncated" if first.status == "failed" else first.status
        made = builder.build(status=status, error=None if builder.completed else first.error, cost_usd=0.0)
        return replace(
            made,
            model=made.model or first.model,
            request_id=first.request_id,
            is_cached=first.is_cached,
            notices=("a further answer of the same request, billed with the first",),
        )
