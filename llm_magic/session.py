"""Session: the only writer. One ask in, events out, a kept turn and a ledger row behind it.

An ask is planned in the caller's thread (which conversation, which slot, what is sent), answered on the engine's loop
and kept there too: an interrupt of the caller can come at any moment and nothing is half written. Views only draw
the events of a :class:`~llm_magic.run.Run`; they decide nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from .backends.base import Backend, BackendInfo, Request, Timeouts
from .backends.registry import Choice, Registry
from .catalog import cost_usd
from .config import SETTINGS, Config, Value, checked_parameter
from .counts import Usage
from .engine import Engine, shared_engine
from .errors import BackendError, BackendTimeoutError, ConfigurationError, LLMMagicError, did_you_mean
from .ledger import Ledger, row_from_turn
from .run import Outcome, Run
from .slots import CellKey, Conversation, Slot, context_messages
from .tokens import count_messages, count_text
from .turns import Status, Turn, TurnBuilder, new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from .config import Origin
    from .content import Message
    from .events import Event

Kind: TypeAlias = Literal["chat", "aside"]
T = TypeVar("T")
LOCAL_SYSTEM = "You are a helpful assistant."
CLOSE_TIMEOUT_S = 2.0
log = logging.getLogger("llm_magic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The cell that asks.

    Attributes:
        cell_id: Hashed identity of the cell.
        run_id: Identity of this one execution of it.
    """

    cell_id: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked, and how.

    Attributes:
        prompt: The messages to ask, usually one of the user.
        conversation: Where; None means the cell's own, else the current one.
        is_kept: Added to the conversation; False is an aside.
        is_fresh: Sent without the conversation before it.
        slot: Asked again in this slot; None takes the cell's slot, or a new one.
        cell: The cell that asks, None where the front end tells none.
        backend: Asked instead of the configured one.
        settings: The cell's settings, by their name in the table of settings.
        params: Request parameters by their OpenAI name, over all settings.
        timeout_s: Seconds for the whole answer, None for no limit.
    """

    prompt: tuple[Message, ...]
    conversation: Conversation | None = None
    is_kept: bool = True
    is_fresh: bool = False
    slot: Slot | None = None
    cell: Cell | None = None
    backend: Backend | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An ask with everything decided: what would be sent where. Making one sends nothing.

    Attributes:
        ask: What was asked.
        conversation: The conversation it sees.
        slot: The slot it is kept in, None for an aside.
        backend: Who is asked.
        info: What is known of the backend.
        request: What is sent.
        base: The turn as far as it is known before the answer.
    """

    ask: Ask
    conversation: Conversation
    slot: Slot | None
    backend: Backend
    info: BackendInfo
    request: Request
    base: Turn


class Session:
    """Conversations, configuration and ledger of one notebook.

    Args:
        config: Settings; the environment's and the defaults where not given.
        registry: Finds backends.
        engine: The loop; the process's own where not given.
        conversation_type: What ``new`` makes.
        notebook: Name of the notebook, for the ledger.
    """

    def __init__(
        self,
        *,
        config: Config | None = None,
        registry: Registry | None = None,
        engine: Engine | None = None,
        conversation_type: type[Conversation] = Conversation,
        notebook: str | None = None,
    ) -> None:
        self.id = new_id()
        self.config = config or Config()
        self.registry = registry or Registry()
        self.notebook = notebook
        self.ledger = Ledger()
        self.lock = threading.RLock()
        self._engine = engine or shared_engine()
        self._conversation_type = conversation_type
        self.current = conversation_type(name="main")
        self.conversations: list[Conversation] = [self.current]
        self.last: Turn | None = None
        self.gone: set[str] = set()
        self._cell_run = ("", 0)
        self._busy: dict[str, asyncio.Lock] = {}
        self._in_flight: tuple[int, asyncio.Semaphore] | None = None
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()

    # Conversations

    def new(self, name: str | None = None, *, cell_id: str | None = None) -> Conversation:
        """Begin a conversation and make it the current one.

        An existing name is archived and begun afresh. Without a name, a cell that made one before begins that one
        afresh, so that Run All is harmless.
        """
        with self.lock:
            if name is None and cell_id is not None:
                name = next((c.name for c in self._live() if c.made_by == cell_id), None)
            if name is None:
                number = len(self.conversations) + 1
                while f"chat-{number}" in {c.name for c in self.conversations}:
                    number += 1
                name = f"chat-{number}"
            self._archive(name)
            self.current = self.add(name, cell_id=cell_id)
            return self.current

    def add(self, name: str, *, cell_id: str | None = None) -> Conversation:
        """Begin a conversation beside the current one, under a name that is free."""
        made = self._conversation_type(name=name, made_by=cell_id)
        self.conversations.append(made)
        return made

    def use(self, name: str) -> Conversation:
        """Make a conversation the current one.

        Raises:
            ConfigurationError: There is none of that name.
        """
        with self.lock:
            self.current = self.named(name)
            return self.current

    def named(self, name: str) -> Conversation:
        """The conversation of that name, archived ones included.

        Raises:
            ConfigurationError: There is none.
        """
        for conversation in self.conversations:
            if conversation.name == name:
                return conversation
        names = [c.name for c in self.conversations]
        hint = did_you_mean(name, names, otherwise=f"%chat new {name} begins it; %chat list shows what there is")
        raise ConfigurationError(f"There is no conversation {name!r}.", hint=hint)

    def adopt(self, conversation: Conversation) -> None:
        """Take a conversation that was made elsewhere into the session, as the current one; a taken name is changed."""
        with self.lock:
            taken = {c.name for c in self.conversations}
            wanted = conversation.name or "loaded"
            conversation.name = next(
                name
                for number in range(1, len(taken) + 2)
                if (name := wanted if number == 1 else f"{wanted}-{number}") not in taken
            )
            self.conversations.append(conversation)
            self.current = conversation

    # Asking

    def ask(self, ask: Ask) -> Run:
        """Begin an ask.

        Returns:
            The ask under way. Its slot is taken, whatever becomes of it.

        Raises:
            LLMMagicError: It cannot be sent at all; nothing is kept.
        """
        conversation = self._home(ask)
        plan = self._plan(ask, conversation, None)
        with self.lock:
            if ask.is_kept:
                slot = ask.slot or conversation.reserve(self._key(ask.cell))
                plan = replace(plan, slot=slot)
                if ask.cell is not None:
                    self.gone.discard(ask.cell.cell_id)
        run = Run(self._engine, lambda emit: self._answer(plan, emit), model=plan.request.model)
        self._runs.add(run)
        return run

    def plan(self, ask: Ask) -> Plan:
        """What asking would send, without sending or keeping anything.

        Raises:
            LLMMagicError: It could not be sent.
        """
        conversation = self._home(ask)
        slot = ask.slot or (conversation.find(self._peek_key(ask.cell)) if ask.is_kept else None)
        return self._plan(ask, conversation, slot)

    def cancel(self) -> None:
        """Stop everything that is being answered; what came is kept."""
        for run in list(self._runs):
            run.cancel()

    def close(self) -> None:
        """Stop what runs and close connections and child processes; conversations and ledger stay."""
        if not self._engine.is_running:
            return
        self.cancel()
        try:
            self._engine.run(self.registry.aclose(), timeout_s=CLOSE_TIMEOUT_S)
        except TimeoutError:
            log.warning("connections were not closed within %s s", CLOSE_TIMEOUT_S)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the engine's loop and wait for its result; can be interrupted."""
        return self._engine.run(coroutine)

    async def models(self) -> list[Mapping[str, Any]]:
        """The models the current backend offers."""
        return await self.resolve(self.look_up(self.current)).backend.models()

    def look_up(self, conversation: Conversation, cell: Mapping[str, Any] | None = None) -> Callable[[str], Value]:
        """A function that finds a setting's value and origin for an ask in a conversation."""
        own = {**conversation.settings, "model": conversation.model, "system": conversation.system}
        layers: tuple[tuple[Origin, Mapping[str, Any]], ...] = (("cell", cell or {}), ("conversation", own))
        return lambda name: self.config.look_up(name, *layers)

    def resolve(self, look_up: Callable[[str], Value]) -> Choice:
        """Backend and model for these settings; see :meth:`Registry.resolve`."""
        return self.registry.resolve(look_up)

    # What an ask becomes

    def _live(self) -> list[Conversation]:
        return [c for c in self.conversations if not c.is_archived]

    def _archive(self, name: str) -> None:
        for conversation in self._live():
            if conversation.name == name:
                taken = {c.name for c in self.conversations}
                conversation.name = next(n for k in range(1, len(taken) + 2) if (n := f"{name}~{k}") not in taken)
                conversation.is_archived = True

    def _peek_key(self, cell: Cell | None) -> CellKey | None:
        if cell is None:
            return None
        run_id, count = self._cell_run
        return CellKey(cell_id=cell.cell_id, ordinal=count if run_id == cell.run_id else 0)

    def _key(self, cell: Cell | None) -> CellKey | None:
        key = self._peek_key(cell)
        if key is not None and cell is not None:
            self._cell_run = (cell.run_id, key.ordinal + 1)
        return key

    def _home(self, ask: Ask) -> Conversation:
        """Where an ask belongs: as told, else where its cell has a slot, else the current conversation."""
        if ask.conversation is not None:
            return ask.conversation
        key = self._peek_key(ask.cell) if ask.is_kept else None
        if key is not None and self.current.find(key) is None:
            for conversation in reversed(self._live()):
                if conversation.find(key) is not None:
                    return conversation
        return self.current

    def _plan(self, ask: Ask, conversation: Conversation, slot: Slot | None) -> Plan:
        if not any(message.parts for message in ask.prompt):
            raise ConfigurationError("The prompt is empty.", hint="write the question below %%chat, or after %llm")
        look_up = self.look_up(conversation, ask.settings)
        if ask.backend is not None:
            model = look_up("model").value
            if not model:
                raise ConfigurationError("model is required with a backend of your own.", hint="name it with -m")
            backend = ask.backend
        else:
            choice = self.resolve(look_up)
            backend, model = choice.backend, choice.model
        info = backend.info()
        system = look_up("system").value
        if system is None and info.is_local and info.name == "local":
            system = LOCAL_SYSTEM
        seen = () if ask.is_fresh else conversation.before(slot.id if slot else None)
        params = {name: look_up(name).value for name, row in SETTINGS.items() if row.is_parameter}
        params |= {name: checked_parameter(name, value) for name, value in ask.params.items()}
        params = {name: value for name, value in params.items() if value is not None}
        request = Request(
            model=model,
            messages=context_messages(system or None, seen, ask.prompt),
            params=params,
            is_streaming=look_up("stream").value,
            timeouts=Timeouts(
                first_byte_s=look_up("first_byte_timeout_s").value, stall_s=look_up("stall_timeout_s").value
            ),
            max_retries=look_up("max_retries").value,
        )
        base = Turn(
            id=new_id(),
            prompt=ask.prompt,
            backend=info.name,
            requested_model=model,
            system=system or None,
            settings=params,
            seen=tuple(turn.id for turn in seen),
            is_fresh=ask.is_fresh,
            cell_id=ask.cell.cell_id if ask.cell else None,
            notices=self._notices(ask, conversation, slot),
        )
        return Plan(
            ask=ask,
            conversation=conversation,
            slot=slot,
            backend=backend,
            info=info,
            request=request,
            base=base,
        )

    def _notices(self, ask: Ask, conversation: Conversation, slot: Slot | None) -> tuple[str, ...]:
        notices = []
        if ask.is_kept and conversation is not self.current and conversation in self.conversations:
            notices.append(f"in conversation {conversation.name!r}")
        if not ask.is_fresh:
            stale = 0
            for other in conversation.slots:
                if slot is not None and other.id == slot.id:
                    break
                stale += other.is_sent and conversation.is_stale(other)
            if stale:
                notices.append(f"{stale} stale turn{'s' if stale > 1 else ''} sent")
        return tuple(notices)

    # On the engine's loop

    async def _answer(self, plan: Plan, emit: Callable[[Event], None]) -> Outcome:
        if plan.slot is None:
            return await self._stream(plan, emit)
        # One answer at a time in a conversation: a later ask sees the earlier one's answer.
        busy = self._busy.setdefault(plan.conversation.id, asyncio.Lock())
        try:
            await busy.acquire()
        except asyncio.CancelledError:
            _uncancel()
            return self._keep(plan, TurnBuilder(plan.base), status="interrupted", was_sent=False)
        try:
            plan = self._plan(plan.ask, plan.conversation, plan.slot)
            return await self._stream(plan, emit)
        finally:
            busy.release()

    async def _stream(self, plan: Plan, emit: Callable[[Event], None]) -> Outcome:
        builder = TurnBuilder(plan.base)
        status: Status | None = None
        error: LLMMagicError | None = None
        try:
            async with asyncio.timeout(plan.ask.timeout_s), self._slots():
                await self._consume(plan, builder, emit)
        except asyncio.CancelledError:
            _uncancel()
            status = "interrupted"
        except TimeoutError as exc:
            error = BackendTimeoutError(f"No whole answer within {plan.ask.timeout_s:g} s.", is_billable=True)
            error.__cause__ = exc
        except LLMMagicError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001  # a backend that breaks its promise must not lose the turn; shown below
            error = BackendError(
                f"The backend {plan.info.name!r} failed: {type(exc).__name__}: {exc}", is_billable=True
            )
            error.__cause__ = exc
        return self._keep(plan, builder, status=status, error=error)

    async def _consume(self, plan: Plan, builder: TurnBuilder, emit: Callable[[Event], None]) -> None:
        stream = plan.backend.stream(plan.request)
        try:
            async for event in stream:
                builder.add(event)
                emit(event)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    def _slots(self) -> asyncio.Semaphore:
        limit = self.config.get("max_in_flight")
        if self._in_flight is None or self._in_flight[0] != limit:
            self._in_flight = (limit, asyncio.Semaphore(limit))
        return self._in_flight[1]

    def _keep(
        self,
        plan: Plan,
        builder: TurnBuilder,
        *,
        status: Status | None = None,
        error: LLMMagicError | None = None,
        was_sent: bool = True,
    ) -> Outcome:
        usage = builder.usage
        if usage is None and was_sent and _may_be_billed(builder, error):
            usage = _estimate(plan.request, builder)
        model = builder.completed.model if builder.completed else None
        turn = builder.build(
            status=status,
            error=error.message if error else None,
            request_id=getattr(error, "request_id", None),
            usage=usage,
            cost_usd=self._price(plan, usage or Usage(), model),
        )
        if isinstance(error, BackendError):
            turn = replace(turn, retries=max(turn.retries, error.retries))
        with self.lock:
            if plan.slot is not None:
                plan.conversation.add_version(plan.slot, turn)
            self.last = turn
            self.ledger.add(
                row_from_turn(
                    turn,
                    session=self.id,
                    notebook=self.notebook,
                    conversation=plan.conversation.name,
                    kind="chat" if plan.ask.is_kept else "aside",
                    round=1,
                    api="chat",
                    organization=plan.info.organization,
                )
            )
        return Outcome(turn=turn, error=error)

    def _price(self, plan: Plan, usage: Usage, model: str | None) -> float | None:
        if plan.info.is_local or not usage.total_tokens:
            return 0.0
        known = cost_usd(usage, model or plan.request.model, provider=plan.info.provider, at=plan.base.at)
        if known is None and model and model != plan.request.model:
            return cost_usd(usage, plan.request.model, provider=plan.info.provider, at=plan.base.at)
        return known


def _uncancel() -> None:
    # The cancellation was ours and has done its work: what follows (keeping the turn) may await again.
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _may_be_billed(builder: TurnBuilder, error: LLMMagicError | None) -> bool:
    """An answer that was stopped, or broke off, has cost something; one that was refused has not."""
    if error is None or builder.is_opened:
        return True
    return isinstance(error, BackendError) and error.is_billable


def _estimate(request: Request, builder: TurnBuilder) -> Usage:
    sent = count_messages(request.messages, request.model).tokens
    answered = count_text(builder.output_text, request.model).tokens
    return Usage(input_tokens=sent, output_tokens=answered, total_tokens=sent + answered, is_estimate=True)
