"""The figures of an answer under way: tokens, speed, time and cost, estimated until the server says them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .. import rendering
from ..accounting import price
from ..counts import Usage
from ..money import dollars
from ..tokens import count_messages

if TYPE_CHECKING:
    from ..asks import Plan

EVERY_S = 0.5
# Counting what was sent loads tables, and looking up prices too: an answer of a moment goes without.
COUNT_AFTER_S = 1.0
_CHARACTERS_A_TOKEN = 4


class Figures:
    """Keeps count of one answer.

    Args:
        plan: What is asked of whom.

    Attributes:
        usage: What the server said of the request under way, None until it does.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._began = time.monotonic()
        self._first_at: float | None = None
        self._told_at = -EVERY_S
        self._told: dict[str, Any] | None = None
        self._answered = self._thought = 0
        self._sent_tokens: int | None = None
        self._before = Usage()
        self.usage: Usage | None = None

    @property
    def has_begun(self) -> bool:
        """Something of the answer has come."""
        return self._first_at is not None

    def add(self, *, answered: int = 0, thought: int = 0) -> None:
        """More characters have come, of the answer and of the reasoning."""
        self._first_at = self._first_at or time.monotonic()
        self._answered += answered
        self._thought += thought

    def note_usage(self, usage: Usage) -> None:
        """The server has said what it bills: worth telling at once."""
        self.usage = usage
        self._told_at = -EVERY_S

    def begin_request(self) -> None:
        """One request of the turn has ended, and another is sent: what comes is counted with what was."""
        self._before = self._all(time.monotonic())
        self._answered = self._thought = 0
        self.usage = None

    def news(self) -> dict[str, Any] | None:
        """The figures by their names on the wire, where it is time and something is new beside the time."""
        now = time.monotonic()
        if now - self._told_at < EVERY_S:
            return None
        figures = self._now(now)
        if figures == self._told:
            return None
        self._told_at, self._told = now, figures
        # The page counts the seconds on from here.
        return {"age": round(now - self._began, 2), **figures}

    def _now(self, now: float) -> dict[str, Any]:
        usage = self._all(now)
        is_counted = self.usage is not None or self._before.total_tokens or now - self._began > COUNT_AFTER_S
        found = {
            "model": rendering.plain_text(self._plan.request.model),
            "first": None if self._first_at is None else round(self._first_at - self._began, 2),
            "in": usage.input_tokens or None,
            "out": usage.output_tokens or None,
            "cached": usage.cached_tokens,
            "reasoning": usage.reasoning_tokens,
            "cost": self._cost(usage) if is_counted else None,
            "est": usage.is_estimate,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _all(self, now: float) -> Usage:
        return self._before + (self.usage or self._estimated(now))

    def _estimated(self, now: float) -> Usage:
        """The tokens of the request so far: what was sent as counted here, what came by its length."""
        if self._sent_tokens is None and now - self._began > COUNT_AFTER_S:
            request = self._plan.request
            self._sent_tokens = count_messages(request.messages, request.model).tokens
        sent, thought = self._sent_tokens or 0, self._thought // _CHARACTERS_A_TOKEN
        answered = thought + self._answered // _CHARACTERS_A_TOKEN
        return Usage(
            input_tokens=sent,
            output_tokens=answered,
            total_tokens=sent + answered,
            reasoning_tokens=thought or None,
            is_estimate=True,
        )

    def _cost(self, usage: Usage) -> str:
        if self._plan.info.is_local:
            return "free"
        cost = price(self._plan, usage, None)
        return "price unknown" if cost is None else f"{'~' if usage.is_estimate else ''}{dollars(cost)}"
