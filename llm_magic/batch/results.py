"""What became of each row, the sum of it, and the DataFrame that tells both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..frames import fields_frame, typed_frame
from ..ledger import Totals, total_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ..errors import LLMMagicError
    from ..frames import ColumnKind
    from ..schemas import Schema
    from ..turns import Turn

COLUMNS: Mapping[str, ColumnKind] = {
    "answer": "text",
    "status": "text",
    "input_tokens": "count",
    "output_tokens": "count",
    "cost_usd": "number",
    "latency_s": "number",
    "error": "text",
}
State: TypeAlias = Literal["complete", "interrupted", "truncated", "failed", "not asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one row.

    Attributes:
        status: As a turn's; failed also where the prompt could not be made, "not asked" where nothing was sent
            because the work ended before.
        error: Why it is not whole, one line; None where it is.
        turn: The answer, None where nothing was sent.
    """

    status: State
    error: str | None = None
    turn: Turn | None = None

    def to_row(self) -> dict[str, Any]:
        """The row of the DataFrame, by column."""
        row: dict[str, Any] = {"status": self.status, "error": self.error}
        if (turn := self.turn) is None:
            return row
        usage = turn.usage
        return row | {
            "answer": (turn.text or turn.refusal or None) if turn.is_partial else turn.text or turn.refusal,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cost_usd": turn.cost_usd,
            "latency_s": turn.latency_s,
        }


NOT_ASKED = Result(status="not asked")


def answered(turn: Turn, error: LLMMagicError | None) -> Result:
    """The result of a row that was asked."""
    told = str(error) if error is not None else None
    if turn.refusal and told is None:
        told = "the model refused"
    return Result(status=turn.status, error=told, turn=turn)


def unsendable(error: LLMMagicError) -> Result:
    """The result of a row that could not be asked."""
    return Result(status="failed", error=str(error))


def _fields(results: Sequence[Result], schema: Schema | None) -> Mapping[str, Any]:
    """The columns of a type; missing values where a row has none that fits."""
    if schema is None:
        return {}
    values = [_value(result, schema) for result in results]
    if schema.is_rows or schema.key is not None or not schema.columns:
        columns, rows = {"data": ""}, [{"data": None if value is _NO_VALUE else value} for value in values]
    else:
        columns, rows = dict(schema.columns), [{} if one is _NO_VALUE else schema.rows(one)[0] for one in values]
    frame = fields_frame(columns, rows)
    return {name: frame[name] for name in columns}


def _value(result: Result, schema: Schema) -> Any:
    if result.turn is None or result.status != "complete" or result.error is not None:
        return _NO_VALUE
    return schema.parse(result.turn.text)


_NO_VALUE = object()
_NOTHING = total_of(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far the work is.

    Attributes:
        total: All rows. Count.
        done: Rows that are over, failed ones too. Count.
        failed: Rows without a whole answer. Count.
        spent: What was asked so far used and cost.
    """

    total: int
    done: int = 0
    failed: int = 0
    spent: Totals = _NOTHING

    def plus(self, result: Result) -> Tally:
        """With one more row."""
        spent, turn = self.spent, result.turn
        if turn is not None:
            spent = Totals(
                n_requests=spent.n_requests + len(turn.steps) + 1,
                n_estimates=spent.n_estimates + turn.usage.is_estimate,
                input_tokens=spent.input_tokens + turn.usage.input_tokens,
                output_tokens=spent.output_tokens + turn.usage.output_tokens,
                cost_usd=spent.cost_usd + (turn.cost_usd or 0.0),
                has_unknown_cost=spent.has_unknown_cost or turn.cost_usd is None,
                has_estimated_cost=spent.has_estimated_cost or bool(turn.usage.is_estimate and turn.cost_usd),
            )
        is_failed = result.status != "complete"
        return replace(self, done=self.done + 1, failed=self.failed + is_failed, spent=spent)


def frame_of(results: Sequence[Result], index: pd.Index[Any] | None, schema: Schema | None = None) -> pd.DataFrame:
    """One row a prompt, in order.

    Columns: answer, status, error (string); input_tokens, output_tokens (Int64); cost_usd, latency_s (Float64). After
    the answer the fields of the type that was asked for, as ``Reply.data`` has them; ``data`` (object) where that is
    not one object.

    Args:
        results: What became of the rows.
        index: Their index, None counts them from 0.
        schema: The type that was asked for.
    """
    frame = typed_frame(COLUMNS, [result.to_row() for result in results])
    for place, (name, column) in enumerate(_fields(results, schema).items(), start=1):
        frame.insert(place, f"data_{name}" if name in COLUMNS else name, column)
    if index is not None:
        frame.index = index
    return frame
