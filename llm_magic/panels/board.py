"""The board: which turns the panel shows and how, brought up to date in its feed.

Comes in: news of the session, events of the asks under way, what the page wants to see. Goes out: fields and pieces in
the feed. Sends nothing; whoever calls holds the feed's lock where it says so.
"""

from __future__ import annotations

import functools
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import rendering
from ..news import AskBegan
from ..reply import answer_pieces, reasoning_pieces
from ..run import Outcome
from ..views.drawing import TurnDrawing
from .meter import Meter
from .rows import head_fields, placed_fields, settled_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ..events import Event
    from ..news import News
    from ..session import Session
    from ..slots import Conversation, Slot
    from ..turns import Turn
    from ..views.feed import Feed

# A page is given the last turns; it asks for those before them, as many each time.
FIRST_TURNS = 50
_KEPT_TURNS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """A turn's HTML, made once: a turn never changes."""

    prompt: str
    answer: list[rendering.Piece]
    reasoning: list[rendering.Piece]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A turn under way that is shown.

    Attributes:
        turn_id: Which.
        drawing: Draws it.
        end: Ends listening to it.
    """

    turn_id: str
    drawing: TurnDrawing
    end: Callable[[], object]


class Board:
    """What the panel shows of one session.

    Args:
        session: Whose current conversation.
        feed: Where it goes.
        wake: Called, on any thread, when there is something to bring up to date.
        clock: Seconds, monotonic; the only thing tests replace.
    """

    def __init__(
        self,
        session: Session,
        feed: Feed,
        wake: Callable[[], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._feed = feed
        self._wake = wake
        self._clock = clock
        self._meter = Meter(self.touch)
        self._asks: dict[str, AskBegan] = {}
        self._running: dict[str, _Running] = {}
        self._looked_at: dict[str, tuple[Turn, int]] = {}
        self._rendered: OrderedDict[str, _Rendered] = OrderedDict()
        self._conversation = ""
        self._skipped = 0
        self._is_touched = True
        self._n_said = 0

    # What happens: on any thread

    def touch(self) -> None:
        """Something may be different: look at everything."""
        self._is_touched = True
        self._wake()

    def note(self, news: News) -> None:
        """Something happened in the session. Asides are not of the conversation and not shown."""
        if isinstance(news, AskBegan) and news.slot is not None:
            with self._feed.lock:
                self._asks[news.turn.id] = news
            # From the first on: one that fails at once has ended before it is drawn.
            news.run.listen(functools.partial(self._hear_end, news))
        self.touch()

    def slot_of(self, turn_id: str) -> str | None:
        """Id of the slot that an ask of the current conversation is kept in, under way or just ended."""
        with self._feed.lock:
            began = self._asks.get(turn_id)
        if began is not None and began.slot is not None:
            return began.slot.id
        slots = reversed(self._session.current.slots)
        return next((slot.id for slot in slots if any(turn.id == turn_id for turn in slot.versions)), None)

    def say(self, text: str, *, kind: str = "info") -> None:
        """Tell the user one line."""
        with self._feed.lock:
            self._n_said += 1
            self._feed.head(say={"id": self._n_said, "kind": kind, "text": rendering.plain_text(text)})
        self._wake()

    def set(self, **head: Any) -> None:
        """Set fields of the whole that the session does not know."""
        with self._feed.lock:
            self._feed.head(**head)
        self._wake()

    # What the page wants to see: on any thread

    def shown(self, slot: Slot) -> Turn | None:
        """The version of a slot that is shown; None while it has none."""
        looked_at = self._looked_at.get(slot.id)
        # Whoever asks again wants to see the new version.
        if looked_at is not None and looked_at[1] == len(slot.versions):
            return looked_at[0]
        return slot.current or slot.latest

    def look_at(self, slot: Slot, turn: Turn | None) -> None:
        """Show a version that does not count; None shows the one that does again."""
        if turn is None:
            self._looked_at.pop(slot.id, None)
        else:
            self._looked_at[slot.id] = (turn, len(slot.versions))
        self.touch()

    def show_earlier(self) -> None:
        """Show more of the turns before the first that is shown."""
        self._skipped = max(0, self._skipped - FIRST_TURNS)
        self.touch()

    def permit(self, turn_id: str, said: Mapping[str, Any]) -> bool:
        """Take a page's word on a tool call of a turn under way; whether it counts."""
        with self._feed.lock:
            running = next((one for one in self._running.values() if one.turn_id == turn_id), None)
            is_taken = running is not None and running.drawing.permit(said)
        self._wake()
        return is_taken

    def source(self, slot_id: str) -> str | None:
        """The text of the answer that is shown, as the model wrote it; None where there is none yet."""
        slot = self._session.current.slot(slot_id)
        turn = self.shown(slot) if slot is not None else None
        return (turn.text or turn.refusal) if turn is not None else None

    # Bringing the feed up to date: the caller holds its lock

    def fill(self, *, until: float) -> bool:
        """Bring the feed up to date.

        Args:
            until: When to leave the rest for the next time, on the clock: turns that are shown for the first
                time have to be rendered, the last ones first.

        Returns:
            Nothing is left.
        """
        is_whole = True
        if self._is_touched:
            self._is_touched = False
            is_whole = self._look(until)
            self._is_touched |= not is_whole
        for running in self._running.values():
            running.drawing.put()
        return is_whole

    def _look(self, until: float) -> bool:
        session = self._session
        with session.lock:
            conversation, slots = session.current, session.current.slots
            stale = conversation.stale()
        if conversation.id != self._conversation:
            self._conversation = conversation.id
            self._skipped = max(0, len(slots) - FIRST_TURNS)
        first = self._skipped = min(self._skipped, max(0, len(slots) - 1))
        shown = slots[first:]
        self._forget_others({slot.id for slot in shown})
        self._feed.arrange([slot.id for slot in shown])
        self._feed.head(**head_fields(session), window=self._meter.read(session), earlier=first or None)
        under_way = self._under_way(conversation)
        is_whole = True
        for number, slot in reversed([*enumerate(slots, start=1)][first:]):
            began = under_way.get(slot.id)
            placed = placed_fields(session, conversation, slot, number=number, stale=stale)
            if began is not None:
                self._follow(began, slot, placed)
            elif (turn := self.shown(slot)) is not None:
                self._leave(slot.id)
                self._feed.turn(
                    slot.id, **settled_fields(session, conversation, slot, turn, number=number, stale=stale)
                )
                is_whole &= self._put(slot.id, turn, until)
            else:
                self._feed.turn(slot.id, **placed, s="waiting")
        return is_whole

    def _under_way(self, conversation: Conversation) -> dict[str, AskBegan]:
        """The ask under way in each slot of a conversation; where several wait for each other, the first."""
        found: dict[str, AskBegan] = {}
        for turn_id, began in [*self._asks.items()]:
            if began.run.is_finished:
                del self._asks[turn_id]
            elif began.conversation is conversation and began.slot is not None:
                found.setdefault(began.slot.id, began)
        return found

    def _follow(self, began: AskBegan, slot: Slot, placed: dict[str, Any]) -> None:
        count = len(slot.versions) + 1
        self._feed.turn(slot.id, **placed, v=count, vs=count, e=None)
        running = self._running.get(slot.id)
        if running is not None and running.turn_id == began.turn.id:
            return
        self._leave(slot.id)
        assert began.run.plan is not None
        has_footer = self._session.config.get("footer")
        self._feed.turn(slot.id, p=rendering.prompt_html(began.turn.prompt), fig=None, wait=None, asks=None)
        self._feed.pieces(slot.id, "a", [])
        self._feed.pieces(slot.id, "r", [])
        drawing = TurnDrawing(self._feed, slot.id, began.run.plan, has_footer=has_footer)
        end = began.run.listen(lambda event: self._hear(slot.id, began.turn.id, event))
        self._running[slot.id] = _Running(turn_id=began.turn.id, drawing=drawing, end=end)

    def _hear(self, slot_id: str, turn_id: str, event: Event | Outcome) -> None:
        with self._feed.lock:
            running = self._running.get(slot_id)
            if running is not None and running.turn_id == turn_id and not isinstance(event, Outcome):
                running.drawing.add(event)
        self._wake()

    def _hear_end(self, began: AskBegan, event: Event | Outcome) -> None:
        if not isinstance(event, Outcome):
            return
        if event.error is not None and began.conversation is self._session.current:
            self.say(str(event.error), kind="error")
        self.touch()

    def _leave(self, slot_id: str) -> None:
        running = self._running.pop(slot_id, None)
        if running is not None:
            running.end()

    def _forget_others(self, shown: Collection[str]) -> None:
        for slot_id in self._running.keys() - shown:
            self._leave(slot_id)

    def _put(self, slot_id: str, turn: Turn, until: float) -> bool:
        """Give the feed a turn's HTML; whether there was the time to make it."""
        rendered = self._rendered.get(turn.id)
        if rendered is None:
            if self._clock() >= until:
                return False
            rendered = _Rendered(
                prompt=rendering.prompt_html(turn.prompt),
                answer=answer_pieces(turn),
                reasoning=reasoning_pieces(turn),
            )
            self._rendered[turn.id] = rendered
            if len(self._rendered) > _KEPT_TURNS:
                self._rendered.popitem(last=False)
        self._rendered.move_to_end(turn.id)
        self._feed.turn(slot_id, p=rendered.prompt)
        self._feed.pieces(slot_id, "a", rendered.answer)
        self._feed.pieces(slot_id, "r", rendered.reasoning)
        return True
