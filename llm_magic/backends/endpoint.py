"""Where a server is and what opens it: addresses, keys and headers, found, checked and fit to be shown.

Names and texts only: nothing is connected.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ..errors import AuthenticationError, ConfigurationError, LLMMagicError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPENAI_URL = "https://api.openai.com/v1"
KEY_VARIABLES = ("LLM_MAGIC_API_KEY", "LLM_MAGIC_API_KEYS", "OPENAI_API_KEY", "MBODI_API_KEY")
OPENAIS_VARIABLES = frozenset(
    (
        *("LLM_MAGIC_API_KEY", "LLM_MAGIC_API_KEYS", "OPENAI_API_KEY", "MBODI_API_KEY", "OPENAI_ORG_ID"),
        *("LLM_MAGIC_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_PROJECT_ID"),
    )
)
URL_VARIABLES = ("LLM_MAGIC_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE")
# How a secret is named where its value must not stand; "ENV" alone is the way of other wrappers.
REFERENCE = "env:"
_SHORTHANDS = {"ENV": "env:OPENAI_API_KEY"}
_SHOWN = 200  # characters of what a function of the user's says
_SECRET_WORDS = ("auth", "key", "token", "secret", "cookie")


def first(environ: Mapping[str, str], variables: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The first of some variables that is set: its name and value; None for both where none is."""
    return next(((name, value) for name in variables if (value := environ.get(name))), (None, None))


def checked_key(key: Any, name: str) -> Any:
    """A key without the space around it; functions and None as they are.

    Args:
        key: What was found.
        name: Where it was found, for the error.

    Raises:
        AuthenticationError: It holds a character that cannot be sent; the key is not in the message.
    """
    if not isinstance(key, str):
        return key
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise AuthenticationError(
            f"The key in {name} holds a character that no key has.",
            hint="copy it again, without quotes and spaces",
        )
    return key


def keys_in(text: str, variable: str) -> tuple[str, ...]:
    """The keys in a variable: one whose name ends in KEYS may hold several, by commas or line breaks.

    >>> keys_in("a, b", "LLM_MAGIC_API_KEYS"), keys_in("a, b", "OPENAI_API_KEY")
    (('a', 'b'), ('a, b',))
    """
    if not variable.endswith("KEYS"):
        return (text,)
    return tuple(key for key in (item.strip() for item in re.split(r"[,\n]", text)) if key)


def referred(text: str) -> str | None:
    """The variable that a text refers to, None where the text is the value itself.

    >>> referred("env:LAB_KEY"), referred("ENV"), referred("sk-1")
    ('LAB_KEY', 'OPENAI_API_KEY', None)
    """
    text = _SHORTHANDS.get(text, text)
    return text.removeprefix(REFERENCE).strip() if text.startswith(REFERENCE) else None


def resolved(text: str, environ: Mapping[str, str]) -> str:
    """What a text refers to, or the text itself.

    Raises:
        AuthenticationError: The variable it refers to is not set.
    """
    variable = referred(text)
    if variable is None:
        return text
    if not environ.get(variable):
        raise AuthenticationError(f"The variable {variable} is not set.", hint=f"set {variable} in the environment")
    return environ[variable]


async def called(secret: Callable[[], Any], name: str) -> str:
    """What a function of the user's returns, async or not; one that is not async may well block for a moment.

    Raises:
        AuthenticationError: That is no key, or the function failed.
    """
    try:
        value = secret()
        value = await value if inspect.isawaitable(value) else value
    except LLMMagicError:
        raise
    except Exception as exc:
        said = f"{type(exc).__name__}: {exc}".partition("\n")[0][:_SHOWN].removesuffix(".")
        hint = "nothing was sent; call the function by itself"
        raise AuthenticationError(f"The function given as {name} failed: {said}.", hint=hint) from exc
    value = checked_key(value, name)
    if not isinstance(value, str) or not value:
        raise AuthenticationError(
            f"The function given as {name} returned no key.", hint=f"it returned a {type(value).__name__}"
        )
    return value


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers as a dict of their own.

    Raises:
        ConfigurationError: They are no names and texts.
    """
    headers = headers or {}
    if not hasattr(headers, "items") or not all(isinstance(value, str) for value in headers.values()):
        raise ConfigurationError("headers do not fit.", hint='they are names and texts: {"X-Team": "biology"}')
    return dict(headers)


def base_url(url: str) -> str:
    """The address below which the protocol's paths lie: a full endpoint's own path is taken off.

    Raises:
        ConfigurationError: It is no address.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        is_address = False
    if not is_address:
        shown = url.rpartition("@")[2].partition("?")[0]
        raise ConfigurationError(f"{shown!r} is not an address.", hint="base_url begins with http:// or https://")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def shown_url(url: str) -> str:
    """An address without credentials and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_loopback(url: str) -> bool:
    """The server is on this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def is_secret(name: str) -> bool:
    """A header or argument of that name mostly holds a secret."""
    return any(word in name.lower() for word in _SECRET_WORDS)
