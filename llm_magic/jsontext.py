"""JSON text that any file can hold, and values read from it; what cannot be is one line that says where."""

from __future__ import annotations

import json
from typing import Any

from .errors import StoreError

JSON_HINT = "to_dict() and %chat save write what can be loaded"


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON text that any file can hold.

    Raises:
        StoreError: A setting is of a type that JSON does not have.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError, RecursionError) as exc:
        raise StoreError(f"A setting cannot be saved: {exc}.", hint="set it to text, a number or a list") from exc
    return escaped(text)


def escaped(text: str) -> str:
    """JSON text that has a UTF-8: half a surrogate pair has none; inside JSON its backslash form is the same."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_value(text: str, what: str) -> Any:
    """The inverse of :func:`json_text`.

    Raises:
        StoreError: It is not JSON; the message names ``what``.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise StoreError(f"{what} is not JSON.", hint=JSON_HINT) from exc
