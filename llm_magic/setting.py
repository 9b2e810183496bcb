"""One setting: what its value may be, and how it is read from text.

Comes in: a text of the environment or of a magic, or a value. Goes out: the value, or an error that says what would do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .budgets import parse_budget
from .errors import ConfigurationError

Kind: TypeAlias = Literal[
    "text", "address", "secret", "integer", "number", "flag", "headers", "texts", "object", "facts", "budget"
]
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: Its name everywhere; ``LLM_MAGIC_<NAME>`` in the environment.
        kind: What its value is: text, texts (one or a list of them), address, secret (texts or functions), integer,
            number, flag, headers, object (of JSON), facts (a JSON object without secrets), budget (dollars or tokens).
        default: Value where no layer has one; None means "not sent" or "not set".
        help: One line; units included.
        environment: Further environment variables, after ``LLM_MAGIC_<NAME>``, first set wins.
        is_parameter: Sent with requests under its own name where it is not None.
        choices: Allowed values, empty for any.
        minimum: Smallest allowed number, None for any.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    environment: tuple[str, ...] = ()
    is_parameter: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None

    def variables(self) -> tuple[str, ...]:
        """Environment variables that set it, first set wins."""
        return (f"LLM_MAGIC_{self.name.upper()}", *self.environment)

    def usual_variable(self) -> str:
        """The one that most people set: another package's, where there is one."""
        return next((name for name in self.environment if not name.startswith("LLM_MAGIC_")), self.variables()[0])

    def parse(self, text: str) -> Any:
        """A value from its text form.

        Raises:
            ConfigurationError: The text does not fit the kind.
        """
        if self.kind in ("text", "texts", "address", "secret", "budget"):
            return self.checked(text)
        try:
            match self.kind:
                case "integer":
                    return self.checked(int(text))
                case "number":
                    return self.checked(float(text))
                case "flag":
                    return self.checked(_flag(text))
                case _:
                    return self.checked(json.loads(text, parse_constant=_refuse_constant))
        except ValueError as exc:
            raise self._misfit(text) from exc

    def checked(self, value: Any) -> Any:
        """The value, if it fits.

        Raises:
            ConfigurationError: It does not.
        """
        if value is None:
            return None
        if self.kind == "budget":
            parse_budget(value)
            return value
        fits = {
            "text": isinstance(value, str),
            "address": isinstance(value, str),
            "texts": _all(value, lambda item: isinstance(item, str)),
            "secret": _all(value, lambda item: isinstance(item, str) or callable(item)),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf,
            "flag": isinstance(value, bool),
            "headers": isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values()),
            "object": isinstance(value, Mapping),
            "facts": isinstance(value, Mapping),
        }[self.kind]
        if not fits or (self.choices and value not in self.choices):
            raise self._misfit(value)
        if self.minimum is not None and value < self.minimum:
            raise self._misfit(value)
        return value

    def _misfit(self, value: object) -> ConfigurationError:
        shown = "the value" if self.kind in ("address", "secret", "headers", "object") else repr(value)
        wanted = {
            "integer": "a whole number",
            "number": "a number",
            "flag": "on or off",
            "headers": 'names and texts: {"X-Team": "biology"}',
            "object": 'a JSON object: {"name": "value"}',
            "facts": 'a JSON object: {"window": 8192}',
            "texts": "a text, or a list of texts",
        }.get(self.kind, "text")
        if self.choices:
            wanted = "one of " + ", ".join(self.choices)
        if self.minimum is not None:
            wanted += f" of at least {self.minimum:g}"
        return ConfigurationError(f"{shown} does not fit {self.name}.", hint=f"{self.name} is {wanted}")


def _all(value: Any, fits: Callable[[Any], bool]) -> bool:
    """A value fits, or it is a list of some that do."""
    return all(fits(item) for item in value) and bool(value) if isinstance(value, list | tuple) else fits(value)


def _refuse_constant(name: str) -> None:
    # Python's reader takes NaN and Infinity, which JSON does not know and no server takes.
    raise ValueError(name)


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE + _FALSE:
        raise ValueError(text)
    return lowered in _TRUE
