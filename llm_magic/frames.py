"""Tables with fixed columns: rows → DataFrame, and a DataFrame's cells → checked Python values.

The one place that chooses dtypes. A frame has the same columns and dtypes with a thousand rows and with none.
Strings are kept as Python's, not Arrow's: an answer may hold half of a surrogate pair, which Arrow refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

ColumnKind: TypeAlias = Literal["text", "count", "number", "flag", "time"]
Columns: TypeAlias = Mapping[str, ColumnKind]

_WANTED: Mapping[ColumnKind, str] = {
    "text": "text",
    "count": "a whole number",
    "number": "a number",
    "flag": "True or False",
    "time": "a time with its zone",
}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def typed_frame(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a DataFrame with exactly these columns.

    Args:
        columns: Name and kind of each column, in order: text → string, count → Int64, number → Float64,
            flag → boolean, time → datetime64[ns, UTC].
        rows: One mapping a row; None, or no such key, is a missing value.
    """
    import pandas as pd

    dtypes: Mapping[ColumnKind, Any] = {
        "text": pd.StringDtype("python"),
        "count": pd.Int64Dtype(),
        "number": pd.Float64Dtype(),
        "flag": pd.BooleanDtype(),
        "time": pd.DatetimeTZDtype("ns", "UTC"),
    }
    return pd.DataFrame(
        {name: pd.array([row.get(name) for row in rows], dtype=dtypes[kind]) for name, kind in columns.items()}
    )


def plain_rows(frame: pd.DataFrame, columns: Columns, *, optional: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The cells of a frame as Python values, None where one is missing; further columns are left out.

    Cells may be the dtype's own values or their text, so that a frame read back from CSV does too.

    Args:
        frame: Any DataFrame.
        columns: Names and kinds wanted.
        optional: Columns that need not be there; they are None then.

    Raises:
        StoreError: A column is missing, or a cell does not fit its kind.
    """
    absent = set(columns) - set(frame.columns)
    if missing := [name for name in columns if name in absent - set(optional)]:
        raise StoreError(
            f"The frame has no column {', '.join(map(repr, missing))}.",
            hint="it takes the columns of to_frame()",
        )
    cells = {
        name: [None] * len(frame) if name in absent else [_cell(value, name, kind) for value in frame[name]]
        for name, kind in columns.items()
    }
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _cell(value: Any, name: str, kind: ColumnKind) -> Any:
    import pandas as pd

    is_single = pd.api.types.is_scalar(value)
    if is_single and pd.isna(value):
        return None
    try:
        if is_single:
            return _plain(value, kind)
    except (ValueError, TypeError, KeyError, OverflowError) as exc:
        raise _misfit(value, name, kind) from exc
    raise _misfit(value, name, kind)


def _plain(value: Any, kind: ColumnKind) -> Any:
    match kind:
        case "text":
            return str(value)
        case "count":
            return _whole(value)
        case "number":
            return float(value)
        case "flag":
            return _FLAGS[str(value).lower()]
        case "time":
            return _time(value)


def _whole(value: Any) -> int:
    # A column with gaps that pandas read by its own lights holds 3.0 where 3 was written.
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def _time(value: Any) -> datetime:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value.to_pydatetime(warn=False)
    if at.tzinfo is None:
        raise ValueError(value)
    return at


def _misfit(value: object, name: str, kind: ColumnKind) -> StoreError:
    # The type and not the value: a cell may hold text of a prompt.
    return StoreError(f"The column {name!r} holds a {type(value).__name__} that is not {_WANTED[kind]}.")
