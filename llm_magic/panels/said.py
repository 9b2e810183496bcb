"""What pages say, read with care: a page may be of another version, or no page of ours at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HINT = "reload the page"


class Said:
    """One message's fields, each read as what it should be.

    Args:
        fields: As they came.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str, *, default: str | None = None) -> str:
        """A text; the default where it is missing.

        Raises:
            ConfigurationError: It is something else, or missing without a default.
        """
        value = self._fields.get(name)
        value = default if value is None else value
        if not isinstance(value, str):
            raise _misread(name, "a text")
        return value

    def number(self, name: str) -> int:
        """A whole number.

        Raises:
            ConfigurationError: It is something else, or missing.
        """
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _misread(name, "a number")
        return value

    def flag(self, name: str) -> bool:
        """Yes or no; no where it is missing."""
        return self._fields.get(name) is True

    def several(self, name: str) -> list[Said]:
        """A list of further fields, empty where it is missing.

        Raises:
            ConfigurationError: It is something else.
        """
        value = self._fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise _misread(name, "a list")
        return [Said(item) for item in value]


def _misread(name: str, kind: str) -> ConfigurationError:
    return ConfigurationError(f"What the panel sent cannot be read: {name!r} is not {kind}.", hint=_HINT)
