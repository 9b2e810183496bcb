"""What a function returns becomes what the model is told of it."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..content import Part, TextPart, ToolResult, text_of
from ..values import has_own_content, to_parts

if TYPE_CHECKING:
    from ..values import Limits

MAX_BYTES = 100_000
_JSON_KINDS = (bool, int, float, Mapping, list, tuple, AbstractSet, Enum)


def result_parts(value: Any, *, limits: Limits, max_bytes: int = MAX_BYTES) -> tuple[Part, ...]:
    """The content of a result.

    Text is sent verbatim; pictures, tables, figures, files and whatever has content of its own as in a prompt;
    numbers, dicts, lists, dataclasses and pydantic objects as JSON; what a generator yields as a list; None as "done".

    Args:
        value: What the function returned.
        limits: How large pictures and tables may be.
        max_bytes: Most bytes of text in all, in UTF-8; what is cut is said.

    Raises:
        ContentError: It cannot be sent.
    """
    return _capped(_parts(value, limits), max_bytes)


def _parts(value: Any, limits: Limits) -> tuple[Part, ...]:
    if value is None:
        return (TextPart(text="done"),)
    if isinstance(value, ToolResult):
        return value.parts
    if isinstance(value, Generator):
        value = list(value)
    if isinstance(value, str) or has_own_content(value) or not _is_json(value):
        return to_parts(value, limits=limits) or (TextPart(text="(empty)"),)
    return (TextPart(text=to_json(value, limits=limits)),)


def _is_json(value: Any) -> bool:
    if isinstance(value, _JSON_KINDS) or (is_dataclass(value) and not isinstance(value, type)):
        return True
    return hasattr(type(value), "__pydantic_serializer__")


def to_json(value: Any, *, limits: Limits) -> str:
    """JSON text of any value; what has no form in JSON is told as text."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    def told(item: Any) -> Any:
        if hasattr(item, "tolist") and callable(item.tolist) and not has_own_content(item):
            return item.tolist()  # a number of numpy's
        return text_of(to_parts(item, limits=limits)) or f"({type(item).__name__})"

    try:
        plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="constants", fallback=told)
        return json.dumps(plain, ensure_ascii=False)
    except (PydanticSerializationError, ValueError, RecursionError):  # it holds itself
        return str(value)


def _capped(parts: tuple[Part, ...], max_bytes: int) -> tuple[Part, ...]:
    size = sum(len(part.text.encode("utf-8", "replace")) for part in parts if isinstance(part, TextPart))
    if size <= max_bytes:
        return parts
    kept: list[Part] = []
    left, note = max_bytes, f"\n[cut: the first {max_bytes:,} of {size:,} bytes]"
    for part in parts:
        if not isinstance(part, TextPart):
            kept.append(part)
        elif left:
            data = part.text.encode("utf-8", "replace")
            text = data[:left].decode("utf-8", "ignore")
            left -= min(left, len(data))
            # In the text itself: of several texts in one result some servers take the first alone.
            kept.append(replace(part, text=text if left else text + note))
    return tuple(kept)
