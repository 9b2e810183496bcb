"""Profiles that users write: as keyword arguments, or as tables of a TOML file. What does not fit is one clear line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, get_args

from ..errors import ConfigurationError, did_you_mean
from .profile import Blank, CallIds, LimitName, ModelNames, Names, Profile, Quirks, SystemMessages, TextCalls, Way

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "limit_name": get_args(LimitName),
    "system_messages": get_args(SystemMessages),
    "names": get_args(Names),
    "blank": get_args(Blank),
    "call_ids": get_args(CallIds),
    "text_calls": get_args(TextCalls),
    "model_names": get_args(ModelNames),
    # A union of literals is one of unions to typing.
    "continues": tuple(form for part in get_args(Way) for form in (get_args(part) or (part,))),
}
_LISTS = ("key_variables", "url_variables", "hosts", "aliases", "prefixes", "refused", "stop_tokens")
_MAPS = ("renamed", "roles")
_FLAGS = ("needs_key", "has_stream_options", "strips_last", "begins_thinking")
# What a user does not say about a profile: its name is the table's, and whether it was tested is ours to know.
_OURS = ("name", "tested", "quirks")


def made(name: str, like: Profile | None, data: Mapping[str, Any]) -> Profile:
    """A profile of a user's.

    Args:
        name: What it is called.
        like: What it departs from; None for OpenAI's defaults.
        data: Fields of ``Profile`` by their name; ``quirks`` holds those of ``Quirks``.

    Raises:
        ConfigurationError: A name is unknown, or a value does not fit.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name for a profile.", hint="letters, digits, _, . and -")
    base = like or Profile(name=name, title=name)
    if base.name != name:
        # What leads to the other profile by itself goes on leading there.
        base = replace(base, aliases=(), prefixes=(), hosts=())
    given = {key: value for key, value in data.items() if key != "quirks"}
    values = _checked(name, given, [item.name for item in fields(Profile) if item.name not in _OURS])
    quirks = _checked(
        name, _table(name, "quirks", data.get("quirks", {})), [item.name for item in fields(Quirks)], within="quirks."
    )
    address = values.get("base_url", base.base_url)
    if address and not re.match(r"https?://[^/\s]", address):
        raise ConfigurationError(
            f"The base_url of profile {name!r} is not an address.", hint="it begins with http:// or https://"
        )
    return replace(
        base,
        name=name,
        title=values.pop("title", name if base.name != name else base.title),
        quirks=replace(base.quirks, **quirks),
        tested="no",
        **values,
    )


def read(path: Path, find: Callable[[str], Profile | None]) -> dict[str, Profile]:
    """The profiles in a TOML file, a table each. ``like = "NAME"`` begins with that profile, else with its own name's.

    Args:
        path: The file.
        find: Finds the profiles known without it.

    Raises:
        ConfigurationError: It cannot be read, is not TOML, or a table does not fit; the error names file and table.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {exc.strerror}.", hint="see the setting profiles") from exc
    except ValueError as exc:  # not UTF-8, or not TOML
        raise ConfigurationError(f"{path} is not TOML: {exc}.", hint="a table for each profile: [NAME]") from exc
    found: dict[str, Profile] = {}
    for name, table in tables.items():
        try:
            data = dict(_table(name, "profile", table))
            like = data.pop("like", None)
            base = found.get(like or name) or find(like or name)
            if like is not None and base is None:
                raise ConfigurationError(f"There is no profile {like!r} to be like.")  # noqa: TRY301  # as all others
            found[name] = made(name, base, data)
        except ConfigurationError as exc:
            raise ConfigurationError(f"{path}: {exc.message}", hint=exc.hint) from exc
    return found


def _checked(name: str, given: Mapping[str, Any], known: list[str], *, within: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise ConfigurationError(
                f"A profile has no {within}{key} (profile {name!r}).",
                hint=did_you_mean(key, known, otherwise="known: " + ", ".join(known)),
            )
        values[key] = _value(name, within + key, key, value)
    return values


def _value(name: str, shown: str, key: str, value: Any) -> Any:
    if key in _LISTS:
        fits, wanted = _is_list(value), "a list of texts"
        value = tuple(value) if fits else value
    elif key in _MAPS:
        fits = isinstance(value, Mapping) and all(isinstance(item, str) for pair in value.items() for item in pair)
        wanted = "a table of texts"
        value = dict(value) if fits else value
    elif key in _FLAGS:
        fits, wanted = isinstance(value, bool), "true or false"
    elif key in _CHOICES:
        fits, wanted = value in _CHOICES[key], "one of " + ", ".join(_CHOICES[key])
    else:
        fits, wanted = isinstance(value, str), "text"
    if not fits:
        raise ConfigurationError(f"{shown} of profile {name!r} does not fit.", hint=f"it is {wanted}")
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) and item for item in value)


def _table(name: str, what: str, value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise ConfigurationError(f"{what} {name!r} is no table.", hint="write [NAME] and lines of key = value below it")
