"""Looking at DataFrames on a model's word: a fixed set of operations, none of which evaluates text of the model's."""

from __future__ import annotations

import operator
from collections.abc import Mapping  # noqa: TC003  # hints are read when the tool is made
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypedDict

from ..errors import ToolError, did_you_mean
from ..values import is_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

Operation: TypeAlias = Literal[
    "head", "tail", "describe", "value_counts", "count", "sum", "mean", "median", "min", "max"
]
Comparison: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "is null", "not null"]
_MOST_ROWS = 100
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Condition(TypedDict):
    """What rows have to fulfil: a column, compared with a value."""

    """What rows have to fulfil."""

    column: str
    comparison: Comparison
    value: str | float | bool | list[str | float] | None


def look(
    namespace: Mapping[str, Any],
    name: Annotated[str, "The variable that holds it."],
    operation: Annotated[Operation, "What to see; with by, of each group."] = "head",
    *,
    columns: Annotated[list[str] | None, "Only these columns."] = None,
    where: Annotated[list[Condition] | None, "Only rows that fulfil all of these."] = None,
    by: Annotated[list[str] | None, "Group rows by these columns."] = None,
    sort: Annotated[str | None, "Sort by this column."] = None,
    descending: Annotated[bool, "Sort largest first."] = False,
    rows: Annotated[int, "Most rows to see."] = 10,
) -> Any:
    """Look at a pandas DataFrame of the user's notebook. Nothing is changed.

    Filters rows, then groups or sorts, then shows: first or last rows, statistics, counts.
    """
    frame = _filtered(_found(namespace, name), where or [])
    keys = _known(frame, by or [])
    frame = frame[list(dict.fromkeys([*keys, *_known(frame, columns)]))] if columns else frame
    made = _operated(frame, operation, keys)
    if sort is not None:
        made = made.sort_values(_known(made, [sort])[0], ascending=not descending)
    rows = max(1, min(rows, _MOST_ROWS))
    return made.tail(rows) if operation == "tail" else made if operation == "describe" else made.head(rows)


def _found(namespace: Mapping[str, Any], name: str) -> pd.DataFrame:
    value: Any = namespace.get(name)
    if is_of(value, "pandas", "Series"):
        value = value.to_frame(name="value" if value.name is None else value.name)
    if is_of(value, "pandas", "DataFrame"):
        frame: pd.DataFrame = value
        return frame
    known = [one for one, held in namespace.items() if is_of(held, "pandas", "DataFrame") and not one.startswith("_")]
    there = "there are: " + ", ".join(known) if known else "there is none"
    what = f"{name} is no DataFrame" if name in namespace else f"There is no variable {name}"
    raise ToolError(f"{what}.", hint=did_you_mean(name, known, otherwise=there))


def _known(frame: pd.DataFrame, names: list[str]) -> list[Any]:
    """The columns of these names, which need not be text."""
    columns = {str(column): column for column in frame.columns}
    for name in names:
        if name not in columns:
            raise ToolError(
                f"There is no column {name}.",
                hint=did_you_mean(name, columns, otherwise="there are: " + ", ".join(columns)),
            )
    return [columns[name] for name in names]


def _filtered(frame: pd.DataFrame, where: list[Condition]) -> pd.DataFrame:
    for condition in where:
        column = frame[_known(frame, [condition["column"]])[0]]
        frame = frame[_fulfilled(column, condition["comparison"], condition["value"])]
    return frame


def _fulfilled(column: Any, comparison: Comparison, value: Any) -> Any:
    match comparison:
        case "is null":
            return column.isna()
        case "not null":
            return column.notna()
        case "in":
            return column.isin(value if isinstance(value, list) else [value])
        case "contains":
            return column.astype(str).str.contains(str(value), case=False, regex=False)
        case _:
            return _COMPARED[comparison](column, value)


def _operated(frame: pd.DataFrame, operation: Operation, keys: list[Any]) -> Any:
    match operation:
        case "head" | "tail":
            return frame
        case "describe":
            return frame.describe(include="all")
        case "value_counts":
            return frame.value_counts().reset_index()
        case _ if keys:
            grouped = frame.groupby(keys)
            only = {} if operation in ("count", "min", "max") else {"numeric_only": True}
            return getattr(grouped, operation)(**only).reset_index()
        case _:
            numbers = frame if operation in ("count", "min", "max") else frame.select_dtypes("number")
            return getattr(numbers, operation)().rename(operation).to_frame().rename_axis("column").reset_index()
