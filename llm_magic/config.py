"""The layers a setting's value is looked up in; the table of settings is in ``settings.py``.

The first layer that has a value wins: the cell's options, the conversation, the session (``%chat config``),
``%config LLMMagic``, the environment, the default.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .errors import ConfigurationError
from .settings import SETTINGS, setting

Origin: TypeAlias = Literal["cell", "conversation", "session", "%config", "environment", "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A setting's value and where it comes from."""

    value: Any
    origin: Origin


@dataclass(slots=True, kw_only=True)
class Config:
    """The layers below conversation and cell. Values are checked when they are set.

    Attributes:
        session: Set by ``%chat config``.
        traits: Set by ``%config LLMMagic`` or a configuration file.
        environ: Where environment variables are read, at each look-up.
    """

    session: dict[str, Any] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={shown(name, value)}' for name, value in self.session.items())})"

    def look_up(self, name: str, *upper: tuple[Origin, Mapping[str, Any]]) -> Value:
        """A setting's value and origin.

        Args:
            name: The setting.
            upper: Layers over the session's, the strongest first.

        Raises:
            ConfigurationError: No such setting, or the environment's value does not fit.
        """
        row = setting(name)
        for origin, layer in (*upper, ("session", self.session), ("%config", self.traits)):
            if layer.get(name) is not None:
                return Value(value=layer[name], origin=origin)
        for variable in row.variables():
            if text := self.environ.get(variable):
                try:
                    return Value(value=row.parse(text), origin="environment")
                except ConfigurationError as exc:
                    raise ConfigurationError(f"{variable}: {exc.message}", hint=exc.hint) from exc
        return Value(value=row.default, origin="default")

    def get(self, name: str, *upper: tuple[Origin, Mapping[str, Any]]) -> Any:
        """A setting's value alone; see :meth:`look_up`."""
        return self.look_up(name, *upper).value


def public(name: str, value: Any) -> Any:
    """A value without what may be secret in it: a key is only set, headers are their names, addresses have no key."""
    if value is None:
        return None
    match SETTINGS[name].kind:
        case "secret":
            return "set (hidden)"
        case "headers" | "object" if not SETTINGS[name].is_parameter:
            return dict.fromkeys(value, "(hidden)") if isinstance(value, Mapping) else "(hidden)"
        case "address":
            return _without_credentials(str(value))
        case _:
            return value


def shown(name: str, value: Any) -> str:
    """A value as it may be printed; see :func:`public`."""
    if value is None or SETTINGS[name].kind == "secret":
        return "not set" if value is None else str(public(name, value))
    return json.dumps(public(name, value), default=str, ensure_ascii=False)


def _without_credentials(url: str) -> str:
    # Not parsed: what is no address may hold a key all the same.
    scheme, mark, rest = url.rpartition("://")
    return scheme + mark + rest.partition("?")[0].partition("#")[0].rpartition("@")[2]
