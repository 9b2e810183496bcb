"""Budgets are read as they are written, and nothing is spent beyond them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.budgets import Budget, Purse, Rates, Spent, Till, parse_budget
from llm_magic.errors import BudgetExceededError, ConfigurationError


def purse(own: str | None = None, shared: str | None = None, booked: Spent | None = None) -> Purse:
    return Purse(
        model="m",
        own=None if own is None else parse_budget(own),
        shared=None if shared is None else parse_budget(shared),
        till=Till(lambda: booked or Spent()),
    )


RATES = Rates(input_tokens=100, input_usd=0.1, output_usd=0.01)


@pytest.mark.parametrize(
    ("written", "budget"),
    [
        ("0.05", Budget(usd=0.05)),
        ("$0.05", Budget(usd=0.05)),
        (".5", Budget(usd=0.5)),
        ("1,000.50", Budget(usd=1000.5)),
        ("2 USD", Budget(usd=2.0)),
        ("2$", Budget(usd=2.0)),
        (3, Budget(usd=3.0)),
        (0.25, Budget(usd=0.25)),
        ("0", Budget(usd=0.0)),
        ("20000tok", Budget(tokens=20000)),
        ("20_000 tokens", Budget(tokens=20000)),
        ("20 ktok", Budget(tokens=20000)),
        ("1.5Mtok", Budget(tokens=1_500_000)),
    ],
)
def test_a_budget_is_dollars_or_tokens(written: Any, budget: Budget) -> None:
    """However it is written."""
    assert parse_budget(written) == budget


@pytest.mark.parametrize("written", ["", "x", "-1", -1, True, None, "1e9", "$5tok", "5 apples", float("nan"), ["1"]])
def test_what_is_no_budget_is_said(written: Any) -> None:
    """In one line, with what would be one."""
    with pytest.raises(ConfigurationError, match=r"budget|two units"):
        parse_budget(written)


@given(st.one_of(st.text(max_size=20), st.floats(), st.integers()))
def test_reading_a_budget_never_crashes(written: Any) -> None:
    """It is one, or an error that says so."""
    try:
        budget = parse_budget(written)
    except ConfigurationError:
        return
    assert (budget.usd is None) != (budget.tokens is None)


def test_a_budget_tells_what_is_left() -> None:
    """In its own unit, never below nothing."""
    assert Budget(usd=1.0).told(Spent(usd=0.25, tokens=9)) == "$0.2500 of $1.00 spent, $0.7500 left"
    assert Budget(tokens=2000).told(Spent(usd=0.25, tokens=2500)) == "2,500 of 2,000 tokens spent, 0 left"


def test_an_answer_stops_once_its_budget_is_spent() -> None:
    """Four bytes are a token; the first piece beyond the budget raises, none before it."""
    mine = purse("0.2")
    mine.admit(RATES)

    mine.watch(36)
    with pytest.raises(BudgetExceededError, match=r"budget of this ask is spent: ~\$0.2000 of \$0.2000 spent"):
        mine.watch(37)


def test_a_budget_in_tokens_needs_no_price() -> None:
    """Sent and answered tokens count together."""
    mine = purse("110tok")
    mine.admit(Rates(input_tokens=100, input_usd=None, output_usd=None))

    mine.watch(36)
    with pytest.raises(BudgetExceededError, match="110 of 110 tokens"):
        mine.watch(40)


def test_without_a_price_dollars_cannot_be_kept() -> None:
    """So tokens are asked for, before anything is sent."""
    with pytest.raises(ConfigurationError, match="No price of m is known") as caught:
        purse("1").admit(Rates(input_tokens=1, input_usd=None, output_usd=None))

    assert "--budget 20000tok" in str(caught.value)
    with pytest.raises(ConfigurationError, match="%chat budget 20000tok"):
        purse(None, shared="1").admit(Rates(input_tokens=1, input_usd=None, output_usd=None))


def test_what_is_free_is_never_refused() -> None:
    """A local model has no price to pay, also with nothing left."""
    free = Rates(input_tokens=10_000, input_usd=0.0, output_usd=0.0)
    mine = purse("0", "1", booked=Spent(usd=2.0))

    mine.admit(free)
    mine.watch(1_000_000)


@pytest.mark.parametrize(
    ("own", "shared", "said"),
    [
        ("0.1", None, "The request alone is worth more than is left"),
        ("100tok", None, "The request alone"),
        (None, "0.55", r"\$0.5000 of \$0.5500 spent"),
        (None, "0.5", "The budget of the session is spent"),
        ("5", "0.5", "The budget of the session is spent"),
    ],
)
def test_a_request_that_costs_too_much_is_not_sent(own: str | None, shared: str | None, said: str) -> None:
    """Where its input alone is worth what is left, or more; the stricter of two budgets counts."""
    with pytest.raises(BudgetExceededError, match=said):
        purse(own, shared, booked=Spent(usd=0.5, tokens=7)).admit(RATES)


def test_rounds_add_up() -> None:
    """What a round has really cost is what counts for the next."""
    mine = purse("1")
    mine.admit(RATES)
    mine.watch(100)
    mine.pay(Spent(usd=0.85, tokens=500))

    mine.admit(RATES)
    mine.watch(4 * 4)
    with pytest.raises(BudgetExceededError):
        mine.watch(4 * 5)


def test_asks_under_way_share_a_budget() -> None:
    """What one has spent so far is not there for another, and what is in the ledger counts once."""
    booked = [Spent()]
    till = Till(lambda: booked[0])
    budget = Budget(usd=0.35)
    first, second = (Purse(model="m", own=None, shared=budget, till=till) for _ in range(2))
    till.open("a", first)
    till.open("b", second)
    first.admit(RATES)
    second.admit(RATES)
    assert till.spent() == Spent(usd=0.2, tokens=200)

    first.watch(4 * 14)
    with pytest.raises(BudgetExceededError):
        second.watch(4)

    booked[0] = Spent(usd=0.24, tokens=114)
    till.close("a")
    till.close("a")
    assert till.purse("a") is None
    assert till.spent().tokens == 114 + 101


def test_many_threads_use_one_till() -> None:
    """Opening, closing and adding up at once: nothing is lost."""
    till = Till(Spent)

    def use(number: int) -> None:
        for turn in range(200):
            mine = Purse(model="m", own=None, shared=Budget(usd=1e9), till=till)
            till.open(f"{number}-{turn}", mine)
            mine.admit(RATES)
            till.spent()
            till.close(f"{number}-{turn}")

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not any(thread.is_alive() for thread in threads)
    assert till.spent() == Spent()
