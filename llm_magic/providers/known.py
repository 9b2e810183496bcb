"""Which profiles are known, and which one answers for a name, an address or a model."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..config import public
from ..errors import ConfigurationError, did_you_mean
from . import reading
from .local_table import LOCAL
from .table import HOSTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from .profile import Profile, Quirks

_BUILT_IN = {item.name: item for item in (*HOSTED, *LOCAL)}
_registered: dict[str, Profile] = {}
# The file read last: its path, when it was changed, and what is in it.
_file: tuple[str, int, Mapping[str, Profile]] = ("", 0, {})


def register_profile(
    name: str, *, like: str | None = None, quirks: Mapping[str, Any] | None = None, **values: Any
) -> Profile:
    """Make a provider known, or one that is known differently.

    >>> register_profile("mylab", base_url="http://gpu7:8000/v1", needs_key=False, quirks={"names": "dropped"}).base_url
    'http://gpu7:8000/v1'

    Args:
        name: What it is called; ``-m NAME/MODEL`` asks it.
        like: The profile it begins with; None begins with the one of its own name, or with OpenAI's defaults.
        quirks: How it departs from that; see ``Quirks``.
        values: Further fields of ``Profile``: base_url, key_variables, needs_key, prefixes, model …

    Raises:
        ConfigurationError: A name is unknown, or a value does not fit.
    """
    base = named(like) if like is not None else find(name)
    _registered[name] = reading.made(name, base, {**values, "quirks": quirks or {}})
    return _registered[name]


def read_file(path: str | None) -> None:
    """Make the profiles of a file known; a file that has not changed is not read again.

    Args:
        path: A TOML file; None takes ``profiles.toml`` in the user's configuration folder, if it is there.

    Raises:
        ConfigurationError: It cannot be read, or a profile in it does not fit.
    """
    global _file  # noqa: PLW0603  # what is known of providers is one for the process, like the entry points
    place = Path(path).expanduser() if path else _own_file()
    try:
        changed = place.stat().st_mtime_ns
    except OSError:
        if path:
            raise ConfigurationError(f"There is no file {path}.", hint="see the setting profiles") from None
        _file = ("", 0, {})
        return
    if _file[:2] != (str(place), changed):
        _file = (str(place), changed, reading.read(place, _without_file))


def known() -> tuple[Profile, ...]:
    """All profiles; users' come before ours of the same name."""
    return tuple({**_BUILT_IN, **_file[2], **_registered}.values())


def known_names() -> tuple[str, ...]:
    """The names of all profiles, sorted."""
    return tuple(sorted(item.name for item in known()))


def find(name: str) -> Profile | None:
    """The profile of this name or alias, None where there is none."""
    profiles = known()
    exact = next((item for item in profiles if item.name == name), None)
    return exact or next((item for item in profiles if name in item.aliases), None)


def named(name: str) -> Profile:
    """The profile of this name or alias.

    Raises:
        ConfigurationError: There is none, and the hint names the nearest; or the user's file does not fit.
    """
    found = find(name)
    if found is None:
        _read_ours()
        found = find(name)
    if found is None:
        others = "llm_magic.profiles() lists them"
        raise ConfigurationError(
            f"There is no profile {name!r}.", hint=did_you_mean(name, known_names(), otherwise=others)
        )
    return found


def at(base_url: str) -> Profile | None:
    """The hosted provider behind an address; None where it is not known: a proxy, a server of one's own.

    >>> at("https://api.groq.com/openai/v1").name, at("http://localhost:11434/v1")
    ('groq', None)
    """
    host = (urlsplit(base_url).hostname or "").lower()
    return next((item for item in known() if item.is_at(host)), None)


def for_model(model: str) -> Profile | None:
    """Who is asked for a model by its name alone; None where that says nothing. The longest prefix wins.

    >>> for_model("claude-sonnet-4-5").key_variables, for_model("gpt-5.4-mini")
    (('ANTHROPIC_API_KEY',), None)
    """
    fitting = [(len(prefix), item) for item in known() for prefix in item.prefixes if model.startswith(prefix)]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def profiles() -> pd.DataFrame:
    """All profiles, one row each.

    Returns:
        Columns ``name title base_url key_variables has_key model prefixes`` (text; ``has_key`` boolean: a key is
        set, or none is needed), ``limit_name stream_usage system_messages names blank continues reasoning_field``
        (text), ``tested`` (no; fixture: read from answers written by hand from its documentation; local: from a real
        server's) and ``source``.
    """
    import pandas as pd

    _read_ours()
    rows = [_row(item) for item in sorted(known(), key=lambda item: item.name)]
    return pd.DataFrame(rows).astype({"has_key": "boolean"})


def _row(profile: Profile) -> dict[str, Any]:
    quirks: Quirks = profile.quirks
    return {
        "name": profile.name,
        "title": profile.title,
        "base_url": public("base_url", profile.url(os.environ)),
        "key_variables": ", ".join(profile.key_variables),
        "has_key": not profile.needs_key or profile.key(os.environ)[1] is not None,
        "model": profile.model,
        "prefixes": ", ".join(profile.prefixes),
        "limit_name": quirks.limit_name,
        "stream_usage": "asked for" if quirks.has_stream_options else "by itself",
        "system_messages": quirks.system_messages,
        "names": quirks.names,
        "blank": quirks.blank,
        "continues": quirks.continues,
        "reasoning_field": quirks.reasoning_field,
        "tested": profile.tested,
        "source": profile.source,
    }


def _without_file(name: str) -> Profile | None:
    return _registered.get(name) or _BUILT_IN.get(name)


def _read_ours() -> None:
    """The environment's file, or the one in the user's folder, where no session has read one yet."""
    if not _file[0]:
        read_file(os.environ.get("LLM_MAGIC_PROFILES"))


def _own_file() -> Path:
    return _folder(os.environ.get("XDG_CONFIG_HOME"), os.environ.get("HOME")) / "profiles.toml"


@functools.cache
def _folder(*_: str | None) -> Path:
    # Asked for with every ask, and it takes a tenth of a millisecond to find out.
    import platformdirs

    return Path(platformdirs.user_config_dir("llm_magic", appauthor=False))
