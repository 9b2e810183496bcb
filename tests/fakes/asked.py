"""An ask as views see it: a plan that nobody sends, and a run of it that goes on until it is cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from llm_magic.asks import Ask, Plan
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.engine import shared_engine
from llm_magic.run import Outcome, Run
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend
from llm_magic.turns import TurnBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_magic.events import Event
    from llm_magic.turns import Status, Turn


def plan(*, model: str = "m", prompt: str = "hello", provider: str | None = None, is_local: bool = False) -> Plan:
    """What is asked of whom."""
    ask = Ask(prompt=(message("user", prompt),), backend=ScriptedBackend(), settings={"model": model})
    made = Session(config=Config(environ={})).plan(ask)
    return replace(made, info=replace(made.info, provider=provider, is_local=is_local))


def run(made: Plan | None = None) -> Run:
    """An ask under way, of which nothing comes by itself; cancelled, it is interrupted."""
    asked = made or plan()

    async def work(_emit: Callable[[Event], None]) -> Outcome:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Outcome(turn=ended(asked, status="interrupted"))
        raise AssertionError

    return Run(shared_engine(), work, plan=asked)


def ended(asked: Plan, *events: Event, status: Status | None = None) -> Turn:
    """The turn that events make."""
    builder = TurnBuilder(asked.base)
    for event in events:
        builder.add(event)
    return builder.build(status=status)
