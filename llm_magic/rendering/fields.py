"""JSON as a table: rows of objects, or the fields of one.

Comes in: plain JSON values out of a model's text, hostile as that is. Goes out: safe HTML, cut where it gets long.
"""

from __future__ import annotations

import json
from typing import Any

from .clean import clean, escape

_MOST_ROWS = 200
_MOST_COLUMNS = 30
_LONGEST_CELL = 500


def fields_html(value: Any) -> str | None:
    r"""A table, or None where the value is neither an object with fields nor a list of such.

    >>> fields_html({"a": "<b>"})
    '<table><tbody><tr><th>a</th><td>&lt;b&gt;</td></tr></tbody></table>\n'
    """
    if isinstance(value, dict) and value:
        rows = [f"<tr><th>{_cell(name)}</th><td>{_cell(one)}</td></tr>" for name, one in _first(value.items())]
        return clean(f"<table><tbody>{''.join(rows)}</tbody></table>\n") + _more(len(value), _MOST_ROWS, "fields")
    if isinstance(value, list) and value and all(isinstance(row, dict) and row for row in value):
        return _table(value)
    return None


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = names[:_MOST_COLUMNS]
    head = "".join(f"<th>{_cell(name)}</th>" for name in shown)
    lines = ("".join(f"<td>{_cell(row.get(name))}</td>" for name in shown) for row in rows[:_MOST_ROWS])
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    table = clean(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>\n")
    return table + _more(len(rows), _MOST_ROWS, "rows") + _more(len(names), _MOST_COLUMNS, "columns")


def _first(items: Any) -> list[Any]:
    return list(items)[:_MOST_ROWS]


def _more(count: int, shown: int, what: str) -> str:
    return f"<p><em>and {count - shown:,} more {what}</em></p>\n" if count > shown else ""


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            text = value
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…").replace("\n", "<br>")
