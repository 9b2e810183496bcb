"""Calling: the tool calls of an answer, from what a model wrote to the results that go back to it.

A :class:`~llm_magic.answering.Strategy`. Each call is checked, allowed or denied, run, and becomes a result; the calls
of one answer at the same time. Nothing runs that was not handed over with the ask. On the engine's loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .answering import Next
from .asks import limits_of
from .content import TextPart, ToolResult, normalized_name
from .errors import ToolError
from .events import Notice, ToolProgress
from .permission import Question
from .tools import checked, run
from .values import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any, TypeAlias

    from .answering import Patience, Said
    from .asks import Ask, Plan
    from .backends.base import Request
    from .config import Value
    from .content import ToolCall
    from .events import Event, ToolState
    from .tools import Bound, Identity, Tool
    from .turns import Step
    from .values import Limits

    OnMain: TypeAlias = Callable[[Callable[[], Any]], Future[Any]]
    Tell: TypeAlias = Callable[[Event], None]

NOBODY = "nobody could be asked: the ask is not watched"
NEVER = "the setting tool_permission is never"
_BEFORE_ITS_END = "The turn was ended before this call had a result."
# What is sent along with results: a choice that forces a call would be kept to for ever.
_UNFORCED = ("auto", "none")
_ON_MAIN = ("main", "kernel")
_inside: ContextVar[frozenset[str]] = ContextVar("llm_magic_inside", default=frozenset())


def is_inside(conversation_id: str) -> bool:
    """The caller is a tool that an answer of this conversation waits for, in whatever thread."""
    return conversation_id in _inside.get()


class Toolbox:
    """What was handed over to one session, while it lasts.

    Attributes:
        allowed: What the user has allowed for good.
    """

    def __init__(self) -> None:
        self.allowed: set[Identity] = set()
        self._known: dict[str, Tool] = {}

    def equipped(self, ask: Ask) -> Ask:
        """An ask with the tools it names, which are remembered by name: to ask it again, or to go on with it.

        Raises:
            ToolError: One was never handed over to this session.
        """
        self._known.update((tool.name, tool) for tool in ask.tools)
        missing = [name for name in ask.tool_names if name not in self._known]
        if missing:
            raise ToolError(
                f"That turn was asked with {', '.join(missing)}, which this session was not handed.",
                hint="run its cell again, or hand them over: .retry(tools=[…])",
            )
        named = tuple(self._known[name] for name in ask.tool_names)
        return replace(ask, tools=(*ask.tools, *named), tool_names=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for the calls of one turn.

    Attributes:
        rounds: How often results go back to the model. Count.
        timeout_s: Longest time of one call, in seconds, where its tool has none of its own.
        permission: ask, auto or never; see the setting.
        is_attended: Somebody answers questions.
        limits: How large pictures and tables of results may be.
        conversation_id: The conversation that waits for the turn; None for an aside, for which none does.
    """

    rounds: int
    timeout_s: float
    permission: str
    is_attended: bool
    limits: Limits
    conversation_id: str | None = None


_NO_CALLS = Rules(rounds=0, timeout_s=0.0, permission="never", is_attended=False, limits=DEFAULT_LIMITS)


def rules_of(plan: Plan, look_up: Callable[[str], Value]) -> Rules:
    """What holds for the calls of a turn, by the settings in force."""
    if not plan.ask.tools:
        # Nothing will be called: for each row of a column that is eight settings less to look up.
        return _NO_CALLS
    return Rules(
        rounds=look_up("tool_rounds").value,
        timeout_s=look_up("tool_timeout_s").value,
        permission=look_up("tool_permission").value,
        is_attended=plan.ask.is_attended,
        limits=limits_of(look_up),
        conversation_id=plan.conversation.id if plan.slot is not None else None,
    )


@dataclass(slots=True, kw_only=True)
class _Call:
    """One call, and where it stands."""

    number: int
    round: int
    call: ToolCall
    tool: Tool | None
    has_begun: bool = False
    question: Question | None = None
    result: ToolResult | None = field(default=None)


class Calls:
    """The calls of one turn.

    Args:
        tools: What was handed over.
        rules: What holds for them.
        allowed: What the user has allowed for good; is added to.
        patience: The time of the turn, which stands still while the user is asked.
        on_main: Has a function called on the thread that watches; None where none does.
    """

    def __init__(
        self,
        tools: tuple[Tool, ...],
        *,
        rules: Rules,
        allowed: set[Identity],
        patience: Patience,
        on_main: OnMain | None = None,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._rules = rules
        self._allowed = allowed
        self._patience = patience
        self._on_main = on_main
        self._main = asyncio.Lock()
        self._told: set[str] = set()
        self._n_rounds = 0
        self._n_calls = 0
        self._open: list[_Call] = []
        self._tell: Tell = lambda _event: None

    async def after(self, said: Said, tell: Tell) -> Next | None:
        """See :class:`~llm_magic.answering.Strategy`."""
        self._tell = tell
        if not self._are_to_run(said):
            return None
        self._n_rounds += 1
        calls = said.turn.tool_calls
        self._open = [
            _Call(number=number, round=said.number, call=call, tool=self._tool_of(call))
            for number, call in enumerate(calls, self._n_calls)
        ]
        self._n_calls += len(calls)
        async with asyncio.TaskGroup() as group:
            for one in self._open:
                group.create_task(self._settle(one))
        step = said.step("tools", results=self._results())
        self._open = []
        return Next(request=_following(said, step), step=step)

    def cut(self, said: Said) -> Step | None:
        """See :class:`~llm_magic.answering.Strategy`."""
        if not any(one.has_begun for one in self._open):
            return None
        return said.step("tools", results=self._results())

    def _are_to_run(self, said: Said) -> bool:
        """Whether the calls of an answer are ours to run; says why, where the user would wonder."""
        turn = said.turn
        if said.error is not None or turn.status != "complete":
            return False
        if not turn.tool_calls:
            if turn.finish_reason == "tool_calls":
                self._say("the model says that it calls a tool, and names none")
            return False
        if not self._tools or any(self._is_schema(call) for call in turn.tool_calls):
            return False
        if turn.finish_reason in ("length", "content_filter"):
            self._say("the answer was cut off in a tool call, which was not run")
            return False
        if self._n_rounds >= self._rules.rounds:
            more = f"%chat config tool_rounds={2 * self._rules.rounds} allows more"
            self._say(f"{_times(self._rules.rounds)} of tools are used up: the last calls were not run; {more}")
            return False
        return True

    def _tool_of(self, call: ToolCall) -> Tool | None:
        """What is called; a model may write a name with characters that no name has."""
        return self._tools.get(call.name) or self._tools.get(normalized_name(call.name))

    def _is_schema(self, call: ToolCall) -> bool:
        tool = self._tool_of(call)
        return tool is not None and tool.function is None

    def _results(self) -> tuple[ToolResult, ...]:
        return tuple(one.result or _told(one.call, _BEFORE_ITS_END) for one in self._open)

    async def _settle(self, one: _Call) -> None:
        """From a call to its result."""
        bound = self._bound(one)
        if isinstance(bound, ToolResult):
            self._end(one, bound)
            return
        denial = await self._denial(one, bound.tool)
        if denial is not None:
            self._end(one, replace(_told(one.call, denial), is_denied=True))
            return
        # Two at once on one thread: the time of the second would begin before it does.
        async with self._main if bound.tool.runs_on in _ON_MAIN else contextlib.nullcontext():
            one.has_begun = True
            self._show(one, "running")
            if self._rules.conversation_id is not None:
                _inside.set(_inside.get() | {self._rules.conversation_id})
            result = await run(
                bound,
                timeout_s=self._rules.timeout_s,
                limits=self._rules.limits,
                on_main=self._on_main,
                on_left=self._note_left,
            )
        self._end(one, result)

    def _bound(self, one: _Call) -> Bound | ToolResult:
        if one.tool is not None:
            return checked(one.tool, one.call)
        self._say(f"the model called {one.call.name!r}, which was not handed over")
        known = ", ".join(self._tools)
        return _told(one.call, f"There is no tool {one.call.name!r}. There is: {known}.")

    async def _denial(self, one: _Call, tool: Tool) -> str | None:
        """Why a call may not run, as the model is told; None where it may."""
        rules = self._rules
        if rules.permission == "never":
            return f"The call was denied: {NEVER}."
        if rules.permission == "auto" or tool.is_read_only or tool.identity in self._allowed:
            return None
        why = NOBODY
        if rules.is_attended:
            one.question = Question()
            self._show(one, "asking")
            with self._patience:
                decision = await one.question.wait()
            if decision.answer == "always":
                self._allow(tool)
            if decision.answer != "no":
                return None
            why = decision.why
        if not why:
            return "The user denied this call."
        self._say(f"{tool.name} was not run: {why}; tool_permission=auto runs what is handed over")
        return f"The call was denied: {why}."

    def _allow(self, tool: Tool) -> None:
        """Remember an "always"; what is asked of the same tool at the same time is answered with it."""
        self._allowed.add(tool.identity)
        for other in self._open:
            if other.question is not None and other.tool is not None and other.tool.identity == tool.identity:
                other.question.answer("yes")

    def _end(self, one: _Call, result: ToolResult) -> None:
        one.result = result
        self._show(one, "denied" if result.is_denied else "failed" if result.is_error else "done")

    def _show(self, one: _Call, state: ToolState) -> None:
        where = one.tool.where if one.tool is not None else ""
        self._tell(
            ToolProgress(
                number=one.number,
                round=one.round,
                call=one.call,
                state=state,
                where=where,
                question=one.question if state == "asking" else None,
                result=one.result,
            )
        )

    def _note_left(self, bound: Bound) -> None:
        self._say(f"{bound.tool.name} still runs: a function in a thread cannot be ended from outside")

    def _say(self, line: str) -> None:
        """Say something once in a turn."""
        if line not in self._told:
            self._told.add(line)
            self._tell(Notice(text=line))


def _following(said: Said, step: Step) -> Request:
    """The request that brings the results."""
    params = {name: value for name, value in said.request.params.items() if name != "tool_choice" or value in _UNFORCED}
    return replace(said.request, messages=(*said.messages, *step.messages()), params=params)


def _told(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, parts=(TextPart(text=text),), is_error=True)


def _times(number: int) -> str:
    return "1 round" if number == 1 else f"{number} rounds"
