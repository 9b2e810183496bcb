"""Values that come in from outside, checked by their kind: a wrong type is one line here and not a crash later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeGuard

from .errors import StoreError
from .jsontext import JSON_HINT

_LARGEST_COUNT = 2**63 - 1

Check: TypeAlias = Callable[[Any], bool]


def is_text(value: Any) -> bool:
    """It is text."""
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    """It is true or false."""
    return isinstance(value, bool)


def is_count(value: Any) -> bool:
    """It is a whole number of at least 0 that a table can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT


def is_number(value: Any) -> TypeGuard[int | float]:
    """It is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_number(value: Any) -> float | None:
    """A number as it is; None for everything else."""
    return float(value) if is_number(value) else None


def is_object(value: Any) -> bool:
    """It is a JSON object."""
    return isinstance(value, Mapping)


def or_none(check: Check) -> Check:
    """It is None, or fits."""
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    """It is a list, and all in it fit."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def objects(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of JSON objects in a dict.

    Raises:
        StoreError: It is none.
    """
    items: Any = data.get(name)
    if not list_of(is_object)(items):
        raise misfit(name, items, "conversation")
    return list(items)


def checked(data: Mapping[str, Any], table: Mapping[str, Check], what: str) -> dict[str, Any]:
    """The values of a dict that a table knows.

    Raises:
        StoreError: One does not fit.
    """
    # Unknown names are left out, not refused: a later release may add some to the same version.
    for name, check in table.items():
        if name in data and not check(data[name]):
            raise misfit(name, data[name], what)
    return {name: data[name] for name in table if name in data}


def demand(data: Mapping[str, Any], names: tuple[str, ...], what: str) -> None:
    """See that values are there.

    Raises:
        StoreError: One is not.
    """
    for name in names:
        if name not in data:
            raise StoreError(f"A {what} has no {name!r}.", hint=JSON_HINT)


def misfit(name: str, value: object, what: str) -> StoreError:
    """The error that says so of a value."""
    # The type and not the value: it may be text of a prompt.
    return StoreError(f"The {name!r} of a {what} is a {type(value).__name__} that does not fit.", hint=JSON_HINT)
