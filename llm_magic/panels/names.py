"""The variables a user can attach: their names, types and sizes.

Nothing of theirs is run to find out: no ``repr``, no conversion, no length of a class that is not known, not even
``__class__``, which a proxy would answer by loading what it stands for.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

MAX_NAMES = 500
_TYPE_CHARACTERS = 40
# Code, not content.
_CODE = (
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    type,
)


def names(namespace: Mapping[str, Any], *, hidden: Collection[str] = ()) -> list[dict[str, str]]:
    """The variables of a namespace, by name: ``name``, ``type`` and ``shape`` ("" where there is none to tell).

    Args:
        namespace: The user's.
        hidden: Names that are there before the user does anything.
    """
    found = [
        {"name": name, "type": type(value).__name__[:_TYPE_CHARACTERS], "shape": shape(value)}
        for name, value in sorted(namespace.items(), key=lambda item: (item[0].lower(), item[0]))
        if not name.startswith("_") and name not in hidden and not issubclass(type(value), _CODE)
    ]
    return found[:MAX_NAMES]


def shape(value: Any) -> str:
    """How large a value is, in its own measure.

    >>> shape("five!"), shape([1]), shape({}), shape(3.5)
    ('5 characters', '1 item', '0 items', '')
    """
    tell = next((tell for module, name, tell in _SHAPES if _is_a(value, module, name)), None)
    if tell is not None:
        try:
            return tell(value)
        except Exception:  # noqa: BLE001  # somebody's subclass: it is listed without
            return ""
    # The type itself, not its children: whose length is their own code.
    noun = _NOUNS.get(type(value))
    if noun is None:
        return ""
    size = len(value)
    return f"{size:,} {noun}{'' if size == 1 else 's'}"


_NOUNS: Mapping[type, str] = {
    str: "character",
    bytes: "byte",
    bytearray: "byte",
    list: "item",
    tuple: "item",
    dict: "item",
    set: "item",
    frozenset: "item",
}


def _is_a(value: Any, module: str, name: str) -> bool:
    """The value is of a type of a module, which is not imported to find out."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and issubclass(type(value), kind)


def _table(value: Any) -> str:
    rows, columns = value.shape
    return f"{rows:,} × {columns:,}"


def _column(value: Any) -> str:
    return f"{len(value):,} × {value.dtype}"


def _array(value: Any) -> str:
    return f"{' × '.join(f'{side:,}' for side in value.shape) or 'scalar'} {value.dtype}"


def _picture(value: Any) -> str:
    width, height = value.size
    return f"{width:,} × {height:,} pixels"


_SHAPES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("pandas", "DataFrame", _table),
    ("pandas", "Series", _column),
    ("numpy", "ndarray", _array),
    ("PIL.Image", "Image", _picture),
)
