"""Log probabilities of an answer as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .frames import typed_frame
from .kinds import as_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from .frames import Columns

_COLUMNS: Columns = {"token": "text", "logprob": "number", "prob": "number"}


def logprobs_frame(tokens: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per token, in the order of the answer.

    Columns: token (string); logprob and prob (Float64); alternatives (object: a list of pairs of token and logprob, the
    likeliest first, those without a number last).

    Args:
        tokens: Mappings with token, logprob and top_logprobs, as Chat Completions has them.
    """
    import pandas as pd

    rows = tuple(tokens)
    values = [as_number(row.get("logprob")) for row in rows]
    frame = typed_frame(
        _COLUMNS,
        [
            {"token": str(row.get("token", "")), "logprob": value, "prob": _prob(value)}
            for row, value in zip(rows, values, strict=True)
        ],
    )
    frame["alternatives"] = pd.Series([_alternatives(row) for row in rows], dtype=object)
    return frame


def _alternatives(row: Mapping[str, Any]) -> list[tuple[str, float | None]]:
    pairs = [(str(top.get("token", "")), as_number(top.get("logprob"))) for top in row.get("top_logprobs") or ()]
    return sorted(pairs, key=lambda pair: -math.inf if pair[1] is None else pair[1], reverse=True)


def _prob(logprob: float | None) -> float | None:
    # Some servers round above 0, which no probability is.
    return None if logprob is None else math.exp(min(logprob, 0.0))
