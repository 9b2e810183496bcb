"""The ledger: what it counts, what it does not know, and how it says so."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.ledger import Ledger, LedgerRow, row_from_turn, total_of
from llm_magic.money import dollars
from llm_magic.turns import Turn

DTYPES = {
    "at": "datetime64[ns, UTC]",
    "session": "string",
    "notebook": "string",
    "conversation": "string",
    "turn_id": "string",
    "cell_id": "string",
    "kind": "string",
    "round": "Int64",
    "backend": "string",
    "requested_model": "string",
    "model": "string",
    "api": "string",
    "status": "string",
    "finish_reason": "string",
    "input_tokens": "Int64",
    "cached_tokens": "Int64",
    "output_tokens": "Int64",
    "reasoning_tokens": "Int64",
    "total_tokens": "Int64",
    "is_estimate": "boolean",
    "cost_usd": "Float64",
    "latency_s": "Float64",
    "ttft_s": "Float64",
    "tokens_per_s": "Float64",
    "retries": "Int64",
    "request_id": "string",
    "organization": "string",
}


def row(**changes: Any) -> LedgerRow:
    """The row of a turn that differs from a plain one."""
    values: dict[str, Any] = {
        "id": "a" * 12,
        "prompt": (message("user", "hi"),),
        "text": "hello",
        "usage": Usage(input_tokens=100, output_tokens=20, total_tokens=120),
        "cost_usd": 0.01,
        "backend": "openai",
        "requested_model": "gpt-5.4-mini",
    }
    return row_from_turn(
        Turn(**values | changes),
        session="s",
        notebook=None,
        conversation="main",
        kind="chat",
        round=1,
        api="chat",
        organization=None,
    )


@pytest.mark.parametrize("rows", [[], [row()], [row(cost_usd=None), row(latency_s=2.0, ttft_s=1.0)]])
def test_frame_has_fixed_columns_and_dtypes(rows: list[LedgerRow]) -> None:
    """The columns and dtypes are the same with rows, with gaps, and with nothing."""
    ledger = Ledger()
    for item in rows:
        ledger.add(item)

    frame = ledger.to_frame()

    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert list(frame.columns) == list(DTYPES)
    assert len(frame) == len(rows)


def test_row_says_what_the_turn_says() -> None:
    """Each value of a turn arrives in its column."""
    at = datetime(2026, 11, 21, 4, 0, 0, 123456, tzinfo=UTC)
    usage = Usage(
        input_tokens=10,
        output_tokens=5,
        total_tokens=18,
        cached_tokens=4,
        reasoning_tokens=3,
        is_estimate=True,
    )
    turn = Turn(
        id="t",
        prompt=(),
        text="x",
        status="interrupted",
        finish_reason="stop",
        usage=usage,
        cost_usd=0.5,
        backend="b",
        requested_model="r",
        model="m",
        request_id="req",
        at=at,
        latency_s=3.0,
        ttft_s=1.0,
        retries=2,
        cell_id="c",
    )
    ledger = Ledger()
    ledger.add(
        row_from_turn(
            turn,
            session="s",
            notebook="n.ipynb",
            conversation="main",
            kind="aside",
            round=2,
            api="chat",
            organization="org",
        )
    )

    record = ledger.to_frame().iloc[0].to_dict()

    assert record.pop("at") == at
    assert record == {
        "session": "s",
        "notebook": "n.ipynb",
        "conversation": "main",
        "turn_id": "t",
        "cell_id": "c",
        "kind": "aside",
        "round": 2,
        "backend": "b",
        "requested_model": "r",
        "model": "m",
        "api": "chat",
        "status": "interrupted",
        "finish_reason": "stop",
        "input_tokens": 10,
        "cached_tokens": 4,
        "output_tokens": 5,
        "reasoning_tokens": 3,
        "total_tokens": 18,
        "is_estimate": True,
        "cost_usd": 0.5,
        "latency_s": 3.0,
        "ttft_s": 1.0,
        "tokens_per_s": 2.5,
        "retries": 2,
        "request_id": "req",
        "organization": "org",
    }


def test_unknown_price_is_missing_and_free_is_zero() -> None:
    """A price nobody knows is NA, never 0; a local answer costs 0.0, never NA."""
    ledger = Ledger()
    ledger.add(row(cost_usd=None))
    ledger.add(row(cost_usd=0.0))

    costs = ledger.to_frame()["cost_usd"]

    assert costs.isna().tolist() == [True, False]
    assert costs[1] == 0.0


def test_refused_request_is_a_row_of_no_tokens() -> None:
    """A request that the server refused is in the ledger, with 0 tokens."""
    ledger = Ledger()
    ledger.add(row(status="failed", text="", usage=Usage(), cost_usd=0.0, error="refused"))

    total = ledger.total()

    assert (total.n_requests, total.input_tokens, total.output_tokens) == (1, 0, 0)
    assert not total.has_unknown_cost


@pytest.mark.parametrize(
    ("latency_s", "ttft_s", "output_tokens", "speed"),
    [
        (3.0, 1.0, 20, 10.0),
        (None, 1.0, 20, None),
        (3.0, None, 20, None),
        (1.0, 1.0, 20, None),
        (1.0, 2.0, 20, None),
        (1.0, 0.9999, 20, None),
        (3.0, 1.0, 0, None),
    ],
)
def test_speed_is_that_of_the_answering(
    latency_s: float | None, ttft_s: float | None, output_tokens: int, speed: float | None
) -> None:
    """Tokens per second count from the first piece on, and are missing where there is no such stretch."""
    usage = Usage(output_tokens=output_tokens, total_tokens=output_tokens)

    assert row(latency_s=latency_s, ttft_s=ttft_s, usage=usage).tokens_per_s == speed


def test_total_of_nothing_is_nothing() -> None:
    """An empty ledger knows its cost exactly: none."""
    assert str(Ledger().total()) == "0 requests, 0 tokens in, 0 out, $0"


def test_total_text_is_exact_where_all_is_known() -> None:
    """Known prices and reported counts carry no mark."""
    assert str(total_of([row(cost_usd=0.0123)])) == "1 request, 100 tokens in, 20 out, $0.0123"


def test_total_says_at_least_where_a_price_is_unknown() -> None:
    """A sum with an unknown price says "≥"."""
    total = total_of([row(cost_usd=0.0123), row(cost_usd=None)])

    assert (total.cost_usd, total.has_unknown_cost) == (0.0123, True)
    assert str(total) == "2 requests, 200 tokens in, 40 out, ≥ $0.0123"


@pytest.mark.parametrize("known", [[], [0.0]])
def test_total_of_unknown_prices_names_no_sum(known: list[float]) -> None:
    """Where no price is known but that of what was free, "at least nothing" would say less than nothing."""
    total = total_of([row(cost_usd=price) for price in (None, *known)])

    assert total.cost_text == "price unknown"


def test_total_says_about_where_tokens_are_estimated() -> None:
    """Estimated tokens say "~", and so does a price made of them."""
    guess = Usage(input_tokens=1000, output_tokens=20, total_tokens=1020, is_estimate=True)

    total = total_of([row(usage=guess, cost_usd=0.0123)])

    assert total.n_estimates == 1
    assert str(total) == "1 request, ~1,000 tokens in, ~20 out, ~$0.0123"
    assert total_of([row(usage=guess, cost_usd=0.0)]).cost_text == "$0"


def test_many_small_prices_add_up_exactly() -> None:
    """Summing prices loses no fraction of a cent."""
    assert total_of([row(cost_usd=0.1)] * 10).cost_usd == 1.0


@pytest.mark.parametrize(
    ("amount", "text"), [(0.0, "$0"), (1234.5, "$1,234.50"), (0.5, "$0.5000"), (0.00012, "$0.00012")]
)
def test_dollars_shows_small_amounts(amount: float, text: str) -> None:
    """An amount that is not zero never reads as zero."""
    assert dollars(amount) == text


def test_rows_cannot_be_changed_from_outside() -> None:
    """What the ledger hands out is a copy that cannot be added to."""
    ledger = Ledger()
    ledger.add(row())
    before = ledger.rows

    ledger.add(row())

    assert (len(before), len(ledger.rows)) == (1, 2)
    assert isinstance(before, tuple)


def test_threads_lose_no_row() -> None:
    """Rows added by many threads at once are all there."""
    ledger = Ledger()
    item = row()

    def add_many() -> None:
        for _ in range(500):
            ledger.add(item)
            ledger.total()

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert ledger.total().n_requests == 2000
