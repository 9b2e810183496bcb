"""Stop strings, kept to here as well: the answer ends before the first one, whatever the server makes of them.

Many servers ignore ``stop``, and some models do not take it. Comes in: the events of an answer. Goes out: the same, up
to a stop string in its text. What may be the beginning of one is held back until it is certain. Reasoning, refusals
and arguments of tools are not searched.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .events import Completed, TextDelta, UsageReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .events import Event
    from .turns import TurnBuilder


def stop_strings(params: Mapping[str, object]) -> tuple[str, ...]:
    """The stop strings of a request; what is no text is the server's business.

    >>> stop_strings({"stop": "END"}), stop_strings({"stop": ["a", "", 7]}), stop_strings({})
    (('END',), ('a',), ())
    """
    stop = params.get("stop")
    values = stop if isinstance(stop, list | tuple) else (stop,)
    return tuple(value for value in values if isinstance(value, str) and value)


class StopSearch:
    """Finds the first stop string in a text that comes in pieces.

    The first is the one that is whole first, as for a server that looks at every token: of ``"abcd"`` and ``"bc"``
    that is the second in ``"abcd"``. How the text is cut into pieces makes no difference.

    Args:
        stops: The strings, none empty.
        before: Text that has been shown already. A stop string may begin in it, but nothing of it can be taken back.

    Attributes:
        is_met: One was found: the text is over.
        left_out: What came and is not part of the text: the stop string, and what came behind it.
    """

    def __init__(self, stops: tuple[str, ...], *, before: str = "") -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._held = before[self._certain(before) :]
        self._shown = len(self._held)  # so much of what is held is shown
        self.is_met = False
        self.left_out = ""

    def add(self, text: str) -> str:
        """What of this piece, and of what was held back, belongs to the text for certain."""
        if self.is_met:
            self.left_out += text
            return ""
        whole = self._held + text
        # One that ends in what is shown is past: only what is new can end the text.
        begins = ((whole.find(stop, max(self._shown - len(stop) + 1, 0)), stop) for stop in self._stops)
        found = [(at + len(stop), at) for at, stop in begins if at >= 0]
        end = min(found)[1] if found else self._certain(whole)
        end = max(end, self._shown) if found else end
        ready, self._held = whole[self._shown : end], whole[end:]
        self._shown = max(self._shown - end, 0)
        if found:
            self.is_met, self.left_out, self._held = True, self._held, ""
        return ready

    def end(self) -> str:
        """What was held back, and turned out to be no stop string: nothing more comes."""
        held, self._held = self._held[self._shown :], ""
        self._shown = 0
        return held

    def _certain(self, text: str) -> int:
        """Where the longest ending begins that may be the beginning of a stop string."""
        start = max(len(text) - self._longest + 1, 0)
        return next(
            (at for at in range(start, len(text)) if any(s.startswith(text[at:]) for s in self._stops)), len(text)
        )


class Stops:
    """Hands the events of an answer to who keeps and who shows them, up to a stop string.

    Args:
        stops: The strings; none lets everything pass as it is.
        builder: Keeps. Its text so far, where an answer is gone on with, has been shown.
        show: Shows.
    """

    def __init__(self, stops: tuple[str, ...], *, builder: TurnBuilder, show: Callable[[Event], None]) -> None:
        self._builder = builder
        self._show = show
        self._search = StopSearch(stops, before=builder.text) if stops else None

    @property
    def is_met(self) -> bool:
        """A stop string came: the answer is whole."""
        return self._search is not None and self._search.is_met

    def add(self, event: Event) -> None:
        """Take the next event."""
        if self._search is None:
            self._pass(event)
            return
        match event:
            case TextDelta(text=text):
                self._say(self._search.add(text))
            case Completed():
                self._say(self._search.end())
                self._pass(replace(event, finish_reason="stop") if self.is_met else event)
            case _ if not self.is_met or isinstance(event, UsageReport):
                self._pass(event)

    def end(self) -> None:
        """No more comes. Doing it twice does no harm."""
        if self._search is None:
            return
        self._say(self._search.end())
        if self.is_met:
            if self._builder.completed is None:
                self._pass(Completed(finish_reason="stop"))
            self._builder.cut(self._search.left_out)
        self._search = None

    def _say(self, text: str) -> None:
        if text:
            self._pass(TextDelta(text=text))

    def _pass(self, event: Event) -> None:
        self._builder.add(event)
        self._show(event)
