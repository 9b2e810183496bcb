"""Session: the only writer. One ask in, events out, a kept turn and a ledger row behind it.

An ask is planned in the caller's thread (which conversation, which slot, what is sent), answered on the engine's loop
and kept there too: an interrupt of the caller can come at any moment and nothing is half written. Views only draw
the events of a :class:`~llm_magic.run.Run`; they decide nothing. Whoever else wants to know watches: ``news.py``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from .answering import Answering, Patience, uncancel
from .asks import Ask, Plan, plan_ask
from .backends.registry import Choice, Registry, model_name
from .books import Books
from .cache import AnswerCache
from .call_log import CallLog, CallNotes
from .calling import Calls, Toolbox, is_inside, rules_of
from .cells import gone_notice
from .engine import Engine, shared_engine
from .errands import Errands
from .errors import LLMMagicError, SessionBusyError
from .events import Waiting
from .jobs import Jobs
from .offers import Offers
from .repairs import Repairs
from .rounds import Places
from .run import Outcome, Run
from .slots import Conversation
from .tokens import tokenize
from .typed import Types

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    import pandas as pd

    from .config import Config, Origin, Value
    from .events import Event
    from .news import Watcher
    from .slots import CellKey, Slot
    from .turns import Status, Turn

T = TypeVar("T")
CLOSE_TIMEOUT_S = 2.0
log = logging.getLogger("llm_magic")


class Session(Books):
    """Conversations, configuration and ledger of one notebook.

    Args:
        config: Settings; the environment's and the defaults where not given.
        registry: Finds backends.
        engine: The loop; the process's own where not given.
        conversation_type: What ``new`` makes.
        notebook: Name of the notebook, for the ledger.
        is_kept: Conversations and ledger go to the store, as the setting ``store`` says.

    Attributes:
        types: The types it has asked for.
        calls: The events of its requests.
        jobs: What runs beside its asks.
        places: The places for requests in flight.
        last_map: What the last ``map()`` gave, whole or not; None where there was none.
        cache: Its answers, while the setting ``cache`` is on.
        toolbox: The tools that were handed over to it.
    """

    def __init__(
        self,
        *,
        config: Config | None = None,
        registry: Registry | None = None,
        engine: Engine | None = None,
        conversation_type: type[Conversation] = Conversation,
        notebook: str | None = None,
        is_kept: bool = False,
    ) -> None:
        super().__init__(config=config, conversation_type=conversation_type, notebook=notebook, is_kept=is_kept)
        self.registry = registry or Registry()
        self._engine = engine or shared_engine()
        self.calls = CallLog()
        self.last_map: pd.DataFrame | None = None
        self.jobs = Jobs(self._engine)
        self.cache = AnswerCache()
        self.types = Types()
        self._busy: dict[str, asyncio.Semaphore] = {}
        self.toolbox = Toolbox()
        self.places = Places(lambda: int(self.config.get("max_in_flight")))
        self.offers = Offers()

    # Asking

    def ask(self, ask: Ask) -> Run:
        """Begin an ask.

        Returns:
            The ask under way. Its slot is taken, whatever becomes of it.

        Raises:
            LLMMagicError: It cannot be sent at all; nothing is kept.
        """
        ask, conversation = self.toolbox.equipped(ask), self._where(ask)
        if ask.is_kept and is_inside(conversation.id):
            raise SessionBusyError(
                f"Conversation {conversation.name or conversation.id!r} was asked by a tool of its own answer.",
                hint="%llm or keep=False asks an aside, which need not wait for it",
            )
        plan = self.gate.admitted(self._plan(ask, conversation, None))
        errands = Errands() if ask.is_watched and threading.current_thread() is threading.main_thread() else None
        with self.lock:
            if ask.is_kept:
                key = self._next_key(ask)
                slot = ask.slot or self.place_for(conversation, key, ask.cell)
                plan = replace(plan, slot=slot)
        # Noted before it begins: cancel() in another thread must not miss it, nor its end be told before this.
        return Run(
            self._engine,
            lambda emit: self._work(plan, emit, errands),
            plan=plan,
            first=self.watchers.note_began,
            errands=errands,
        )

    def watch(self, watcher: Watcher) -> Callable[[], object]:
        """Hear what happens in the session, whoever does it; see ``news.py`` for the threads.

        Args:
            watcher: Called with all news, first with the asks that are under way now.

        Returns:
            Ends it. Harmless when repeated.
        """
        return self.watchers.add(watcher)

    def plan(self, ask: Ask) -> Plan:
        """What asking would send, without sending or keeping anything. The cell has made this ask all the same.

        Raises:
            LLMMagicError: It could not be sent.
        """
        ask, conversation = self.toolbox.equipped(ask), self._where(ask)
        slot = ask.slot
        if ask.is_kept:
            slot = slot or self.slot_for(conversation, self.peek_key(ask.cell), ask.cell)
            self._next_key(ask)
        return self._plan(ask, conversation, slot)

    def cancel(self) -> None:
        """Stop everything that is being answered; what came is kept."""
        for run in self.watchers.runs:
            run.cancel()
        self.jobs.cancel()

    def stop(self, turn_id: str) -> bool:
        """Stop the one ask whose turn has this id; what came is kept. From any thread, at once.

        Returns:
            It is stopped by this call. False where it has ended, is stopped already, or is not known: nothing else
            is ever hit.
        """
        return self.watchers.stop(turn_id)

    def close(self) -> None:
        """Stop what runs, close connections and child processes, write what waits; conversations and ledger stay."""
        if self._engine.is_running:
            self.cancel()
            self._wait(CLOSE_TIMEOUT_S)
            try:
                self._engine.run(self.registry.aclose(), timeout_s=CLOSE_TIMEOUT_S)
            except TimeoutError:
                log.warning("connections were not closed within %s s", CLOSE_TIMEOUT_S)
        if self.keeper is not None:
            self.keep_all()
            self.keeper.close()

    def _wait(self, timeout_s: float) -> None:
        """Until what was stopped is kept: after that there may be no thread to do it."""
        deadline = time.monotonic() + timeout_s
        for run in self.watchers.runs:
            if not run.wait(max(0.0, deadline - time.monotonic())):
                log.warning("an answer was not kept within %s s", timeout_s)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the engine's loop and wait for its result; see :meth:`Jobs.run`."""
        return self.jobs.run(coroutine)

    async def models(self, *, is_fresh: bool = False) -> tuple[Mapping[str, Any], ...]:
        """The models the current backend offers, as its server describes them; asked for once.

        Args:
            is_fresh: Ask again.
        """
        return await self.offers.rows(self.resolve(self.look_up(self.current)).backend, is_fresh=is_fresh)

    def look_up(self, conversation: Conversation, cell: Mapping[str, Any] | None = None) -> Callable[[str], Value]:
        """A function that finds a setting's value and origin for an ask in a conversation."""
        own = {**conversation.settings, "model": conversation.model, "system": conversation.system}
        layers: tuple[tuple[Origin, Mapping[str, Any]], ...] = (("cell", cell or {}), ("conversation", own))
        return lambda name: self.config.look_up(name, *layers)

    def tokenize(self, text: str, model: str | None = None) -> list[int]:
        """The tokens of a text, as numbers of a model's own tokenizer; see :func:`llm_magic.tokenize`.

        Args:
            text: Any text.
            model: Whose tokenizer; None takes that of the current conversation's model.
        """
        return tokenize(text, model or model_name(self.look_up(self.current)))

    def resolve(self, look_up: Callable[[str], Value]) -> Choice:
        """Backend and model for these settings; see :meth:`Registry.resolve`."""
        return self.registry.resolve(look_up)

    def _next_key(self, ask: Ask) -> CellKey | None:
        return self.next_key(ask.cell, within=ask.conversation.id if ask.conversation else None)

    def _where(self, ask: Ask) -> Conversation:
        return ask.conversation or self.home(ask.cell if ask.is_kept else None)

    def _plan(self, ask: Ask, conversation: Conversation, slot: Slot | None) -> Plan:
        notices = []
        if ask.is_kept and conversation is not self.current and conversation in self.conversations:
            notices.append(f"in conversation {conversation.name!r}")
        stale = 0 if ask.is_fresh else len(conversation.context(slot.id if slot else None).stale)
        if stale:
            notices.append(f"{stale} stale turn{'s' if stale > 1 else ''} sent")
        gone = self.untold(conversation, slot) if ask.is_kept and not ask.is_fresh else frozenset()
        if gone:
            notices.append(gone_notice(len(gone)))
        look_up = self.look_up(conversation, ask.settings)
        plan = plan_ask(
            ask, conversation, slot, look_up=look_up, resolve=self.resolve, types=self.types, notices=tuple(notices)
        )
        facts = self.offers.facts(plan.backend, plan.request.model)
        return replace(plan, gone=gone, listed=facts, cache=self.cache if look_up("cache").value else None)

    # On the engine's loop

    async def _work(self, plan: Plan, emit: Callable[[Event], None], errands: Errands | None) -> Outcome:
        try:
            return await self._answer(plan, emit, errands)
        finally:
            self.gate.close(plan)
            self.watchers.note_ended(plan.base.id)

    async def _answer(self, plan: Plan, emit: Callable[[Event], None], errands: Errands | None) -> Outcome:
        if plan.slot is None:
            return await self._stream(plan, emit, errands)
        # One answer at a time in a conversation: a later ask sees the earlier one's answer.
        # A lock would not say that somebody stands before us while it goes from hand to hand.
        busy = self._busy.setdefault(plan.conversation.id, asyncio.Semaphore(1))
        has_waited = busy.locked()
        if has_waited:
            emit(Waiting(reason="another answer of this conversation is under way"))
        try:
            await busy.acquire()
        except asyncio.CancelledError:
            uncancel()
            return await self._unsent(plan, status="interrupted")
        try:
            try:
                again = self._plan(plan.ask, plan.conversation, plan.slot)
                # The turn has been known by its id since it was asked.
                again = self.gate.admitted(replace(again, base=replace(again.base, id=plan.base.id)))
            except LLMMagicError as exc:
                # It could be sent when it was asked, and cannot any more: a setting was changed meanwhile.
                return await self._unsent(plan, status="failed", error=exc)
            return await self._stream(again, emit, errands, has_waited=has_waited)
        finally:
            busy.release()

    async def _stream(
        self, plan: Plan, emit: Callable[[Event], None], errands: Errands | None, *, has_waited: bool = False
    ) -> Outcome:
        answering, notes = self._answering(plan, emit, self.places, errands)
        drafting = asyncio.create_task(self.keep_drafts(plan, answering.draft))
        try:
            answer = await answering.answer(has_waited=has_waited)
        finally:
            drafting.cancel()
        notes.ended(answer.rounds[-1])
        answer = replace(answer, turn=_told_of_others(answer.turn, plan))
        await self.keep(plan, answer)
        return Outcome(turn=answer.turn, error=answer.error)

    def _answering(
        self, plan: Plan, emit: Callable[[Event], None], places: Places, errands: Errands | None = None
    ) -> tuple[Answering, CallNotes]:
        notes = CallNotes(self.calls, plan.base, plan.conversation.name)

        def note_round(turn: Turn, number: int) -> None:
            notes.ended(turn)
            self.note_round(plan, turn, number)

        patience = Patience()
        tool_calls = Calls(
            plan.ask.tools,
            rules=rules_of(plan, self.look_up(plan.conversation, plan.ask.settings)),
            allowed=self.toolbox.allowed,
            patience=patience,
            on_main=errands.leave if errands is not None else None,
        )
        repairs = [Repairs(plan, plan.schema, self.types)] if plan.schema is not None else []
        answering = Answering(
            plan,
            emit=emit,
            places=places,
            strategies=(tool_calls, *repairs),
            checks=(notes.check, self.gate.check(plan)),
            admit=self.gate.admission(plan),
            note_sent=notes.sent,
            note_round=note_round,
            patience=patience,
        )
        return answering, notes

    async def answer_alone(self, plan: Plan, places: Places) -> Outcome:
        """Answer one plan of many, in no conversation, in the caller's places; only the ledger knows of it.

        Its row is written with the next :meth:`flush`: a writing each would cost more than the answers.
        """
        answering, notes = self._answering(plan, lambda _event: None, places)
        try:
            answer = await answering.answer()
            notes.ended(answer.rounds[-1])
            row = self.row(plan, answer.rounds[-1], len(answer.rounds))
            self.record(row)
            self.gate.pay(plan, row)
        finally:
            self.gate.close(plan)
        return Outcome(turn=answer.turn, error=answer.error)

    async def _unsent(self, plan: Plan, *, status: Status, error: LLMMagicError | None = None) -> Outcome:
        """Keep an ask that has waited, and will not be sent any more."""
        answering = Answering(plan, emit=lambda _event: None, places=self.places)
        answer = answering.ended(status=status, error=error)
        await self.keep(plan, answer)
        return Outcome(turn=answer.turn, error=answer.error)


def _told_of_others(turn: Turn, plan: Plan) -> Turn:
    """The turn, with a line that says where the further answers of its request are."""
    if not turn.others:
        return turn
    count, where = len(turn.others) + 1, "reply.others has the rest"
    if plan.slot is not None:
        where = "the others are versions of this turn: %chat show, %chat pick"
    return replace(turn, notices=(*turn.notices, f"{count} answers came, this is the first; {where}"))
