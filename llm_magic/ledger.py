"""The ledger: one row for every request, whatever became of it. Rows are added, never changed or removed.

Truth first: a price nobody knows is missing, never 0; tokens we counted ourselves are flagged; a sum over
something unknown says so.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from .budgets import Spent
from .frames import typed_frame
from .money import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import pandas as pd

    from .frames import ColumnKind
    from .turns import Turn

COLUMNS: Mapping[str, ColumnKind] = {
    "at": "time",
    "session": "text",
    "notebook": "text",
    "conversation": "text",
    "turn_id": "text",
    "cell_id": "text",
    "kind": "text",
    "round": "count",
    "backend": "text",
    "requested_model": "text",
    "model": "text",
    "api": "text",
    "status": "text",
    "finish_reason": "text",
    "input_tokens": "count",
    "cached_tokens": "count",
    "output_tokens": "count",
    "reasoning_tokens": "count",
    "total_tokens": "count",
    "is_estimate": "flag",
    "cost_usd": "number",
    "latency_s": "number",
    "ttft_s": "number",
    "tokens_per_s": "number",
    "retries": "count",
    "request_id": "text",
    "organization": "text",
}
# An answer that came within this time of its first piece came in one piece: it has no speed.
_ONE_PIECE_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One request.

    Attributes:
        at: When it was asked, UTC.
        session: Id of the session that asked.
        notebook: Name of the notebook, None where unknown.
        conversation: Name of the conversation.
        turn_id: Id of the turn.
        cell_id: Hashed identity of the cell that asked, None where there is none.
        kind: What asked: chat, aside …
        round: Which request of its turn, from 1; more than one where tools are called.
        backend: Name of the backend.
        requested_model: The model asked for.
        model: The model that answered, None where none did.
        api: Which API of the server: chat …
        status: complete, interrupted, truncated, failed, cached.
        finish_reason: As the server says, None where the answer is not whole.
        input_tokens: Tokens sent, cached ones included. Count.
        cached_tokens: Part of ``input_tokens`` read from a cache, None where the server does not say. Count.
        output_tokens: Tokens answered, reasoning included. Count.
        reasoning_tokens: Part of ``output_tokens``, None where the server does not say. Count.
        total_tokens: As the server says, else input + output: some bill more than they break down. Count.
        is_estimate: The counts are ours: the server sent none.
        cost_usd: Price in US dollars, None where no price is known; a local answer costs 0.0.
        latency_s: From asking to the end, in seconds.
        ttft_s: From asking to the first piece of the answer, in seconds; None where none came.
        retries: Retries before the first byte. Count.
        request_id: The server's id of the request.
        organization: The organization billed, None where none is set.
    """

    at: datetime
    session: str
    notebook: str | None
    conversation: str
    turn_id: str
    cell_id: str | None
    kind: str
    round: int
    backend: str
    requested_model: str
    model: str | None
    api: str
    status: str
    finish_reason: str | None
    input_tokens: int
    cached_tokens: int | None
    output_tokens: int
    reasoning_tokens: int | None
    total_tokens: int
    is_estimate: bool
    cost_usd: float | None
    latency_s: float | None
    ttft_s: float | None
    retries: int
    request_id: str | None
    organization: str | None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens answered a second from the first piece on, None where there is no such stretch of time."""
        if self.latency_s is None or self.ttft_s is None or not self.output_tokens:
            return None
        answering_s = self.latency_s - self.ttft_s
        return self.output_tokens / answering_s if answering_s > _ONE_PIECE_S else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A sum of ledger rows, and how far it is to be trusted. Its text is for people.

    Attributes:
        n_requests: Rows summed. Count.
        n_estimates: Rows whose tokens we counted ourselves. Count.
        input_tokens: Tokens sent. Count.
        output_tokens: Tokens answered. Count.
        cost_usd: Sum of the known prices, in US dollars: at least this was spent.
        has_unknown_cost: A row has no known price.
        has_estimated_cost: A price in the sum is that of estimated tokens.
    """

    n_requests: int
    n_estimates: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    has_unknown_cost: bool
    has_estimated_cost: bool

    @property
    def cost_text(self) -> str:
        """The cost for people: "$0.0123"; "≥" where a price is unknown, "~" where one is estimated."""
        if self.has_unknown_cost and not self.cost_usd:
            return "price unknown"
        least = "≥ " if self.has_unknown_cost else ""
        about = "~" if self.has_estimated_cost else ""
        return f"{least}{about}{dollars(self.cost_usd)}"

    def __str__(self) -> str:
        about = "~" if self.n_estimates else ""
        requests = f"{self.n_requests:,} request{'' if self.n_requests == 1 else 's'}"
        tokens = f"{about}{self.input_tokens:,} tokens in, {about}{self.output_tokens:,} out"
        return f"{requests}, {tokens}, {self.cost_text}"


class Ledger:
    """The requests of a session, in the order they ended. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[LedgerRow] = []
        self._spent = Spent()

    def __repr__(self) -> str:
        return f"<Ledger: {self.total()}>"

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        """The rows so far."""
        with self._lock:
            return tuple(self._rows)

    def add(self, row: LedgerRow) -> None:
        """Add a row, for good."""
        with self._lock:
            self._rows.append(row)
            self._spent += Spent(usd=row.cost_usd or 0.0, tokens=row.total_tokens)

    @property
    def spent(self) -> Spent:
        """What the rows so far have cost, as far as prices are known."""
        return self._spent

    def to_frame(self) -> pd.DataFrame:
        """One row per request, columns and dtypes as :func:`frame_of`."""
        return frame_of(self.rows)

    def total(self) -> Totals:
        """The sum of all rows."""
        return total_of(self.rows)


def frame_of(rows: Iterable[LedgerRow]) -> pd.DataFrame:
    """Ledger rows as a DataFrame, one row per request.

    Columns, in the order of ``COLUMNS``: at (datetime64[ns, UTC]); session, notebook, conversation, turn_id,
    cell_id, kind, backend, requested_model, model, api, status, finish_reason, request_id, organization
    (string); round, input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens, retries
    (Int64); is_estimate (boolean); cost_usd, latency_s, ttft_s, tokens_per_s (Float64).
    """
    names = [field.name for field in fields(LedgerRow)]
    return typed_frame(
        COLUMNS,
        [{name: getattr(row, name) for name in names} | {"tokens_per_s": row.tokens_per_s} for row in rows],
    )


def total_of(rows: Iterable[LedgerRow]) -> Totals:
    """The sum of some rows."""
    summed = tuple(rows)
    prices = [row.cost_usd for row in summed if row.cost_usd is not None]
    return Totals(
        n_requests=len(summed),
        n_estimates=sum(row.is_estimate for row in summed),
        input_tokens=sum(row.input_tokens for row in summed),
        output_tokens=sum(row.output_tokens for row in summed),
        cost_usd=math.fsum(prices),
        has_unknown_cost=len(prices) < len(summed),
        has_estimated_cost=any(row.is_estimate and row.cost_usd for row in summed),
    )


def row_from_turn(
    turn: Turn,
    *,
    session: str,
    notebook: str | None,
    conversation: str,
    kind: str,
    round: int,  # noqa: A002  # the column's name
    api: str,
    organization: str | None,
) -> LedgerRow:
    """The ledger's row for a turn, whatever became of it.

    Args:
        turn: What was kept.
        session: Id of the session.
        notebook: Name of the notebook, None where unknown.
        conversation: Name of the conversation.
        kind: What asked: chat, aside …
        round: Which request of the turn, from 1.
        api: Which API of the server: chat …
        organization: The organization billed where the turn does not say; several joined by commas, None where none
            is set.
    """
    usage = turn.usage
    return LedgerRow(
        at=turn.at,
        session=session,
        notebook=notebook,
        conversation=conversation,
        turn_id=turn.id,
        cell_id=turn.cell_id,
        kind=kind,
        round=round,
        backend=turn.backend,
        requested_model=turn.requested_model,
        model=turn.model,
        api=api,
        status="cached" if turn.is_cached and turn.status == "complete" else turn.status,
        finish_reason=turn.finish_reason,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        total_tokens=usage.total_tokens,
        is_estimate=usage.is_estimate,
        cost_usd=turn.cost_usd,
        latency_s=turn.latency_s,
        ttft_s=turn.ttft_s,
        retries=turn.retries,
        request_id=turn.request_id,
        organization=turn.organization or organization,
    )
