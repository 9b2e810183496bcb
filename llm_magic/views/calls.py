"""The tool calls of one turn under way: how each stands, and the questions that wait for the user's word.

Comes in: events; goes out: calls as they are shown, questions as pages know them. A page's word comes in too, and is
taken only where it fits an open question exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from .. import rendering
from ..events import ToolCallDelta, ToolProgress
from ..permission import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..events import Event
    from ..permission import Answer, Question

# Who is asked should see what is asked for; whole pages are not read, but counted.
MAX_ASKED_CHARACTERS = 20_000


@dataclass(slots=True, kw_only=True)
class _Call:
    """One call: as it stands, and what was last made of it."""

    index: int | None = None
    number: int | None = None
    call_id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    progress: ToolProgress | None = None
    _shown: rendering.ShownCall | None = None
    _piece: rendering.Piece | None = None

    @property
    def question(self) -> Question | None:
        """What is asked of the user, None where nothing is, or not any more."""
        progress = self.progress
        if progress is None or progress.state != "asking" or progress.question is None:
            return None
        return progress.question if progress.question.is_open else None

    def shown(self) -> rendering.ShownCall:
        """As it stands."""
        if (progress := self.progress) is None:
            self.arguments = ["".join(self.arguments)]
            return rendering.ShownCall(name=self.name, arguments=self.arguments[0])
        call = progress.call
        return rendering.ShownCall(
            name=call.name, arguments=call.arguments, state=progress.state, result=progress.result
        )

    def piece(self) -> rendering.Piece:
        """As it is drawn."""
        shown = self.shown()
        if self._piece is None or shown != self._shown:
            self._shown, self._piece = shown, rendering.Piece(html=rendering.call_html(shown))
        return self._piece


class Calls:
    """Follows the calls of one turn."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, event: Event) -> None:
        """Take the next event; others than those of tools change nothing."""
        match event:
            case ToolCallDelta(index=index):
                call = self._of_index(index)
                call.call_id = call.call_id or event.id
                call.name += event.name
                call.arguments.append(event.arguments)
            case ToolProgress():
                self._of_number(event).progress = event
            case _:
                pass

    def close(self) -> list[rendering.Piece]:
        """The request has ended, and another begins; its calls as they stand."""
        pieces, self._calls = self.pieces(), []
        return pieces

    @property
    def is_empty(self) -> bool:
        """The request under way has called nothing so far."""
        return not self._calls

    @property
    def is_running(self) -> bool:
        """A tool runs."""
        return any(call.progress is not None and call.progress.state == "running" for call in self._calls)

    def pieces(self) -> list[rendering.Piece]:
        """The calls of the request under way, in order."""
        return [call.piece() for call in self._calls]

    def questions(self) -> list[dict[str, Any]]:
        """What is asked of the user now, as pages know it; all of it text, safe to show as such."""
        asked = ((call.question, call.progress) for call in self._calls)
        return [
            {
                "call": progress.number,
                "name": rendering.one_line(progress.call.name) or "(no name)",
                "args": rendering.plain_text(
                    rendering.arguments_text(progress.call.arguments, most=MAX_ASKED_CHARACTERS)
                ),
                "where": rendering.one_line(progress.where),
            }
            for question, progress in asked
            if question is not None and progress is not None
        ]

    def permit(self, said: Mapping[str, Any]) -> bool:
        """Take a page's word on a call: ``call``, its number, and ``answer``, one of the three words; on any thread.

        Returns:
            It counts. False where it fits no question that is open.
        """
        number, word = said.get("call"), said.get("answer")
        # True is 1 to Python, and no page says it.
        if type(number) is not int or not isinstance(word, str) or word not in ANSWERS:
            return False
        questions = (call.question for call in self._calls if call.number == number)
        question = next(questions, None)
        return question is not None and question.answer(cast("Answer", word))

    def _of_index(self, index: int) -> _Call:
        for call in self._calls:
            if call.index == index:
                return call
        later = (place for place, call in enumerate(self._calls) if call.index is not None and call.index > index)
        made = _Call(index=index)
        self._calls.insert(next(later, len(self._calls)), made)
        return made

    def _of_number(self, event: ToolProgress) -> _Call:
        """The call an event speaks of: known by its number, else the first that nobody has spoken of."""
        for call in self._calls:
            if call.number == event.number:
                return call
        unnamed = [call for call in self._calls if call.number is None]
        same = [call for call in unnamed if call.call_id and call.call_id == event.call.id]
        found = next(iter(same or unnamed), None)
        if found is None:
            found = _Call()
            self._calls.append(found)
        found.number = event.number
        return found
