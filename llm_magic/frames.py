"""Tables with fixed columns: rows → DataFrame, and a DataFrame's cells → checked Python values.

The one place that chooses dtypes. A frame has the same columns and dtypes with a thousand rows and with none.
Strings are kept as Python's, not Arrow's: an answer may hold half of a surrogate pair, which Arrow refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

ColumnKind: TypeAlias = Literal["text", "count", "number", "flag", "time"]
Columns: TypeAlias = Mapping[str, ColumnKind]
Placed: TypeAlias = "tuple[Sequence[Any], NDArray[Any]]"

_WANTED: Mapping[ColumnKind, str] = {
    "text": "text",
    "count": "a whole number",
    "number": "a number",
    "flag": "True or False",
    "time": "a time with its zone",
}
# What a column of its own dtype gives back as it is.
_EXACT: Mapping[ColumnKind, type] = {"text": str, "count": int, "number": float, "flag": bool}
_FIELDS: Mapping[str, ColumnKind] = {"string": "text", "integer": "count", "number": "number", "boolean": "flag"}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def typed_frame(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a DataFrame with exactly these columns.

    Args:
        columns: Name and kind of each column, in order: text → string, count → Int64, number → Float64,
            flag → boolean, time → datetime64[ns, UTC].
        rows: One mapping a row; None, or no such key, is a missing value.
    """
    import pandas as pd

    from .safe_frames import DataFrame

    dtypes = _dtypes()
    return DataFrame(
        {name: pd.array([row.get(name) for row in rows], dtype=dtypes[kind]) for name, kind in columns.items()}
    )


def fields_frame(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Objects of one type as a DataFrame, one row each.

    Args:
        columns: Name of each field and what JSON it is, in order: string → string, integer → Int64 (object, where one
            is too large), number → Float64, boolean → boolean, date-time → datetime64; all else, and what mixes
            times with and without a zone, → object.
        rows: The fields of each object; None, or no such key, is a missing value.
    """
    import pandas as pd

    from .safe_frames import DataFrame

    return DataFrame({name: _field(pd, kind, [row.get(name) for row in rows]) for name, kind in columns.items()})


def _field(pd: Any, kind: str, values: list[Any]) -> Any:
    values = [value.value if isinstance(value, Enum) else value for value in values]
    if kind == "date-time" and not values:
        return pd.Series(values, dtype="datetime64[ns]")
    if kind == "date-time" and any(isinstance(value, datetime) for value in values):
        return pd.Series(values)
    if kind not in _FIELDS:
        return pd.Series(values, dtype=object)
    try:
        return pd.array(values, dtype=_dtypes()[_FIELDS[kind]])
    except (TypeError, ValueError, OverflowError):
        # A type may check its fields into others than its schema says, and JSON's numbers have no limit.
        return pd.Series(values, dtype=object)


def placed_frame(columns: Columns, values: Mapping[str, Placed]) -> pd.DataFrame:
    """As :func:`typed_frame`, of columns whose values each stand in any number of rows.

    Args:
        columns: Name and kind of each column, in order.
        values: For each column its values, and for each row the place of its value among them: -1 is a missing
            value. What is true of many rows is converted once.
    """
    import pandas as pd

    from .safe_frames import DataFrame

    dtypes = _dtypes()
    arrays = {}
    for name, kind in columns.items():
        known, places = values[name]
        if not known or (known[0] is None and known.count(None) == len(known)):
            # A column that nobody uses costs next to nothing.
            known, places = (), places * 0 - 1
        arrays[name] = pd.array(known, dtype=dtypes[kind]).take(places, allow_fill=True)
    return DataFrame(arrays, copy=False)


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
    if twice := [name for name in columns if list(frame.columns).count(name) > 1]:
        raise StoreError(f"The frame has two columns {twice[0]!r}.", hint="rename one")
    cells = {
        name: [None] * len(frame) if name in absent else _cells(frame[name], kind) for name, kind in columns.items()
    }
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _dtypes() -> Mapping[ColumnKind, Any]:
    import pandas as pd

    return {
        "text": pd.StringDtype("python"),
        "count": pd.Int64Dtype(),
        "number": pd.Float64Dtype(),
        "flag": pd.BooleanDtype(),
        "time": pd.DatetimeTZDtype("ns", "UTC"),
    }


def _cells(column: pd.Series[Any], kind: ColumnKind) -> list[Any]:
    exact = _EXACT.get(kind)
    return [
        None if is_missing else value if type(value) is exact else _cell(value, str(column.name), kind)
        for value, is_missing in zip(column.tolist(), column.isna().tolist(), strict=True)
    ]


def _cell(value: Any, name: str, kind: ColumnKind) -> Any:
    import pandas as pd

    if not pd.api.types.is_scalar(value):
        raise _misfit(value, name, kind)
    try:
        return _plain(value, kind)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as exc:
        raise _misfit(value, name, kind) from exc


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
