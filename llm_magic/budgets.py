"""Budgets: how much may be spent, in US dollars or in tokens, and who has spent what of it.

A budget of one ask bounds that ask, with all its rounds; a session's bounds all its requests. Comes in: what is to be
sent, then what comes back. Goes out: nothing while there is something left, else a :class:`BudgetExceededError`, before
a request is sent or in the middle of its answer.
"""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import BudgetExceededError, ConfigurationError
from .money import dollars

if TYPE_CHECKING:
    from collections.abc import Callable

_FORM = re.compile(
    r"\$?\s*(?P<amount>\d[\d_,]*(?:\.\d*)?|\.\d+)\s*(?P<unit>usd|\$|tok|tokens?|ktok|mtok)?", re.IGNORECASE
)
_TOKENS = {"tok": 1, "token": 1, "tokens": 1, "ktok": 1_000, "mtok": 1_000_000}
# An answer is counted by its bytes while it arrives: a tokenizer would take longer than the answer.
_BYTES_A_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What has been spent.

    Attributes:
        usd: US dollars, as far as prices are known.
        tokens: Sent and answered. Count.
    """

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(usd=self.usd + other.usd, tokens=self.tokens + other.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be spent, in one of two units; the other is None.

    Attributes:
        usd: US dollars.
        tokens: Sent and answered. Count.
    """

    usd: float | None = None
    tokens: int | None = None

    def __str__(self) -> str:
        return f"{self.tokens:,} tokens" if self.tokens is not None else dollars(self.usd or 0.0)

    def left(self, spent: Spent) -> float:
        """What is left, in the budget's own unit; below 0 where more was spent."""
        return self.tokens - spent.tokens if self.tokens is not None else (self.usd or 0.0) - spent.usd

    def told(self, spent: Spent) -> str:
        """What was spent of it, for people."""
        used = f"{spent.tokens:,}" if self.tokens is not None else dollars(spent.usd)
        left = max(0, self.left(spent))
        return f"{used} of {self} spent, {f'{left:,}' if self.tokens is not None else dollars(left)} left"


def parse_budget(value: Any) -> Budget:
    """A budget from a number of dollars or a text.

    >>> parse_budget("$0.05"), parse_budget("20000tok"), parse_budget(1)
    (Budget(usd=0.05, tokens=None), Budget(usd=None, tokens=20000), Budget(usd=1.0, tokens=None))

    Raises:
        ConfigurationError: It is none.
    """
    hint = 'US dollars (0.05, "$0.05") or tokens ("20000tok")'
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return Budget(usd=float(value))
    found = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ConfigurationError(f"{str(value)[:40]!r} is no budget.", hint=hint)
    amount = float(found["amount"].replace(",", "").replace("_", ""))
    unit = (found["unit"] or "").lower()
    if unit not in _TOKENS:
        return Budget(usd=amount)
    if value.strip().startswith("$"):
        raise ConfigurationError(f"{value!r} is in two units.", hint=hint)
    return Budget(tokens=round(amount * _TOKENS[unit]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a request costs.

    Attributes:
        input_tokens: Tokens of the request. Count.
        input_usd: Price of them, None where no price is known.
        output_usd: Price of one token answered, None where no price is known.
    """

    input_tokens: int
    input_usd: float | None
    output_usd: float | None


class Till:
    """What asks that share a budget have spent, those under way included. May be used from any thread.

    Args:
        booked: What has been paid for, as a ledger has it; None keeps it here.
    """

    def __init__(self, booked: Callable[[], Spent] | None = None) -> None:
        self._paid = Spent()
        self._booked = booked or (lambda: self._paid)
        self._lock = threading.Lock()
        self._open: dict[str, Purse] = {}

    def book(self, spent: Spent) -> None:
        """Note what has been paid for, where no ledger does."""
        with self._lock:
            self._paid += spent

    def spent(self, without: Purse | None = None) -> Spent:
        """What has been spent, asks under way included but one."""
        with self._lock:
            purses = [purse for purse in self._open.values() if purse is not without]
        return sum((purse.unbooked for purse in purses), self._booked())

    def open(self, turn_id: str, purse: Purse) -> None:
        """Count what an ask spends from now on."""
        with self._lock:
            self._open[turn_id] = purse

    def purse(self, turn_id: str) -> Purse | None:
        """That of an ask under way."""
        with self._lock:
            return self._open.get(turn_id)

    def close(self, turn_id: str) -> None:
        """Count it no more: what it spent is in the ledger. Harmless when repeated."""
        with self._lock:
            self._open.pop(turn_id, None)


class Purse:
    """What one ask may spend: under its own budget, under the session's, or both.

    Args:
        model: Who is asked, for messages.
        own: The ask's own budget.
        shared: The session's.
        till: What the session has spent.
        pool: What has been spent of the ask's own budget, where it shares that with others; None: it does not.
    """

    def __init__(
        self, *, model: str, own: Budget | None, shared: Budget | None, till: Till, pool: Till | None = None
    ) -> None:
        self._model = model
        self._own, self._shared, self._till, self._pool = own, shared, till, pool or Till()
        self._current = Spent()
        self._rates: Rates | None = None

    @property
    def is_bounded(self) -> bool:
        """There is a budget at all."""
        return self._own is not None or self._shared is not None

    @property
    def unbooked(self) -> Spent:
        """What it has spent that is not in the ledger yet."""
        return self._current

    def admit(self, rates: Rates) -> None:
        """Let a request be sent.

        Raises:
            BudgetExceededError: A budget is spent, or the request alone is worth more than is left of it.
            ConfigurationError: A budget is in dollars, and no price is known.
        """
        # A request that was admitted before, and never paid for, was not sent.
        self._current = Spent()
        for budget, spent in self._budgets():
            if budget.usd is not None and (rates.input_usd is None or rates.output_usd is None):
                raise ConfigurationError(
                    f"No price of {self._model} is known, so a budget of {budget} cannot be kept.",
                    hint=f"give it in tokens: {'--budget' if budget is self._own else '%chat budget'} 20000tok",
                )
            left = budget.left(spent)
            need = rates.input_tokens if budget.tokens is not None else rates.input_usd or 0.0
            is_free = budget.usd is not None and not need
            if left <= 0 and not is_free:
                raise self._exceeded(budget, spent)
            if need >= left and not is_free:
                raise BudgetExceededError(
                    f"The request alone is worth more than is left: {budget.told(spent)}, "
                    f"and {rates.input_tokens:,} tokens are to be sent"
                    + (f" (~{dollars(rates.input_usd or 0.0)})." if budget.usd is not None else "."),
                    hint=_more(is_own=budget is self._own),
                )
        self._rates = rates
        self._current = Spent(usd=rates.input_usd or 0.0, tokens=rates.input_tokens)

    def watch(self, answered_bytes: int) -> None:
        """See how much of an answer has come; counted by its bytes, which is near enough to stop in time.

        Args:
            answered_bytes: All that the model has produced of this answer, as UTF-8.

        Raises:
            BudgetExceededError: A budget is spent.
        """
        if self._rates is None:
            return
        answered = -(-answered_bytes // _BYTES_A_TOKEN)
        self._current = Spent(
            usd=(self._rates.input_usd or 0.0) + answered * (self._rates.output_usd or 0.0),
            tokens=self._rates.input_tokens + answered,
        )
        for budget, spent in self._budgets():
            if budget.left(spent) <= 0 and not (budget.usd is not None and not self._rates.output_usd):
                raise self._exceeded(budget, spent)

    def pay(self, spent: Spent) -> None:
        """Note what a request has really cost: it is in the ledger by now."""
        self._pool.book(spent)
        self._current = Spent()
        self._rates = None

    def _budgets(self) -> list[tuple[Budget, Spent]]:
        found = []
        if self._own is not None:
            found.append((self._own, self._pool.spent(without=self) + self._current))
        if self._shared is not None:
            found.append((self._shared, self._till.spent(without=self) + self._current))
        return found

    def _exceeded(self, budget: Budget, spent: Spent) -> BudgetExceededError:
        whose = "this ask" if budget is self._own else "the session"
        return BudgetExceededError(
            f"The budget of {whose} is spent: ~{budget.told(spent)}.", hint=_more(is_own=budget is self._own)
        )


def check_left(budget: Budget, spent: Spent) -> None:
    """Check that a session's budget is not spent.

    Raises:
        BudgetExceededError: It is.
    """
    if budget.left(spent) <= 0:
        raise BudgetExceededError(
            f"The budget of the session is spent: {budget.told(spent)}.", hint=_more(is_own=False)
        )


def _more(*, is_own: bool) -> str:
    return "give more with --budget" if is_own else "%chat budget AMOUNT gives more, %chat budget none lifts it"
