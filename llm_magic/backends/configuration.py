"""Backends as plain data: ``{"provider": NAME, "config": {…}}``, as a dict or as TOML.

In: the arguments a backend was made with. Out: the same as data that may lie in a file, and back. A secret stands there
as a reference ("env:NAME"), never as its value: what is known by its value only is an error that says what to do.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from . import endpoint

if TYPE_CHECKING:
    import os

_PARTS = frozenset(("provider", "config"))
# Arguments whose names look like a secret's and whose values are none.
_NO_SECRETS = frozenset(("azure_ad_token_provider", "key_name"))
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def written(provider: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a backend.

    Args:
        provider: Its name among all backends.
        arguments: What it is made with, secrets as references.

    Raises:
        ConfigurationError: One of them holds a secret, or is no plain value.
    """
    return {"provider": provider, "config": {name: _plain(name, value) for name, value in arguments.items()}}


def harmless(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those arguments that may travel: the others are left behind."""
    kept: dict[str, Any] = {}
    for name, value in arguments.items():
        try:
            kept[name] = _plain(name, value)
        except ConfigurationError:
            continue
    return kept


def read(source: Mapping[str, Any] | str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """The provider and the arguments in a configuration: a mapping, or the path of a TOML file.

    Raises:
        ConfigurationError: It cannot be read, or is none.
    """
    found: Any = source if isinstance(source, Mapping) else _from_file(Path(source))
    match found:
        case {"provider": str(provider), "config": Mapping() as config} if set(found) == _PARTS:
            return provider, dict(config)
        case {"provider": str(provider)} if len(found) == 1:
            return provider, {}
    raise ConfigurationError(
        "That is no configuration of a backend.", hint='it is {"provider": "openai", "config": {"base_url": "…"}}'
    )


def own(source: Mapping[str, Any] | str | os.PathLike[str], provider: str) -> dict[str, Any]:
    """The arguments in a configuration of that provider.

    Raises:
        ConfigurationError: It is another's.
    """
    name, config = read(source)
    if name != provider:
        raise ConfigurationError(f"The configuration is one of {name!r}.", hint="llm_magic.load_backend() takes any")
    return config


def to_toml(configuration: Mapping[str, Any]) -> str:
    """A configuration as TOML; ``tomllib`` reads it back.

    >>> print(to_toml({"provider": "openai", "config": {"organization": "org-1", "max_retries": 3}}), end="")
    provider = "openai"
    <BLANKLINE>
    [config]
    organization = "org-1"
    max_retries = 3
    """
    lines = [f"provider = {_toml(configuration['provider'])}", "", "[config]"]
    lines += [f"{_toml_key(name)} = {_toml(value)}" for name, value in configuration["config"].items()]
    return "\n".join(lines) + "\n"


def _from_file(path: Path) -> Any:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is no text"
        raise ConfigurationError(f"{str(path)!r} cannot be read: {reason}.") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(f"{str(path)!r} is no TOML: {exc}.") from exc


def _plain(name: str, value: Any) -> Any:
    """A value that may stand in a file."""
    match value:
        case str():
            _refuse_secret(name, value)
            return value
        case bool() | int() | float():
            return value
        case list() | tuple():
            return [_plain(name, item) for item in value]
        case Mapping():
            return {str(key): _plain(str(key), item) for key, item in value.items()}
        case _:
            raise ConfigurationError(
                f"{name} is a {type(value).__name__}, which cannot be written to a configuration.",
                hint="texts, numbers, lists and mappings can",
            )


def _refuse_secret(name: str, value: str) -> None:
    if endpoint.referred(value) or not value:
        return
    is_secret = endpoint.is_secret(name) and name not in _NO_SECRETS
    if is_secret or ("://" in value and endpoint.shown_url(value) != value):
        raise ConfigurationError(
            f"{name} holds a secret, which cannot be written to a configuration.",
            hint='give it as "env:NAME", the variable that holds it',
        )


def _toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _toml(name)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # A JSON text is one of TOML, but for the one control character that JSON lets pass.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case Mapping():
            return "{" + ", ".join(f"{_toml_key(name)} = {_toml(item)}" for name, item in value.items()) + "}"
        case _:
            return repr(value)
