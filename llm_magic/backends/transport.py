"""How a server is reached: its HTTP client, with the limits, redirects and proxies that were asked for.

In: a :class:`Transport`. Out: a client for the SDK, which adds nothing to it. No secret leaves for another server.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, did_you_mean
from . import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx2

_MAX_REDIRECTS = 3
# The SDK's own: most connections that are kept open unused.
_MOST_KEPT = 100
_PORTS = {"http": 80, "https": 443}
# What the HTTP client takes; a test holds it against the client.
HTTP_OPTIONS = frozenset(
    (
        *("auth", "base_url", "cert", "cookies", "default_encoding", "event_hooks", "follow_redirects", "headers"),
        *("http1", "http2", "limits", "max_redirects", "mounts", "params", "proxy", "timeout", "transport"),
        *("trust_env", "verify"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a server is reached.

    Attributes:
        max_connections: Most connections at once; None for the SDK's own limit. Count, >= 1.
        max_redirects: How often a redirect is followed; None means 3. Count.
        proxy: Address of a proxy, "" for none at all; None takes the environment's.
        user_agent: The User-Agent header; "" tells neither name nor machine.
        http_options: Further arguments of the HTTP client; the named ones above go before them.
        is_ours_first: Our own name is said before ``user_agent``, unless that is "".
    """

    max_connections: int | None = None
    max_redirects: int | None = None
    proxy: str | None = field(default=None, repr=False)
    user_agent: str | None = None
    http_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_ours_first: bool = False

    def __post_init__(self) -> None:
        for name in self.http_options:
            if name not in HTTP_OPTIONS:
                hint = did_you_mean(name, HTTP_OPTIONS, otherwise="those of httpx2.AsyncClient are known")
                raise ConfigurationError(f"http_options has no {name!r}.", hint=hint)


def http_client(home: str | None, transport: Transport) -> httpx2.AsyncClient:
    """The HTTP client of a server, with the SDK's own defaults.

    Args:
        home: Its address, None where the SDK knows it.
        transport: How it is reached.
    """
    import httpx2
    import openai

    from .pools import pools_for

    options = dict(transport.http_options)
    if home is not None and endpoint.is_loopback(home):
        # A proxy of the environment must not be asked for a server on this machine.
        options.setdefault("trust_env", False)
    if transport.max_connections is not None:
        kept = min(transport.max_connections, _MOST_KEPT)
        options["limits"] = httpx2.Limits(max_connections=transport.max_connections, max_keepalive_connections=kept)
    if transport.max_redirects is not None:
        options["max_redirects"] = transport.max_redirects
    options.setdefault("max_redirects", _MAX_REDIRECTS)
    if transport.proxy is not None:
        options |= {"proxy": transport.proxy or None, "trust_env": False}
    if home is not None:
        hooks = dict(options.get("event_hooks") or {})
        hooks["request"] = [*hooks.get("request", ()), _secrets_stay_at(home)]
        options["event_hooks"] = hooks
    if (pools := pools_for(options)) is not None:
        options["transport"] = pools
    return openai.DefaultAsyncHttpxClient(**options)


def _secrets_stay_at(home: str) -> Callable[[httpx2.Request], Any]:
    """What a redirect to another server takes with it: no key, whatever its header is called."""
    import httpx2

    at = _place(httpx2.URL(home))

    async def look_at(request: httpx2.Request) -> None:
        place = _place(request.url)
        is_upgrade = place[1] == at[1] and (at[0], at[2], place[0], place[2]) == ("http", 80, "https", 443)
        if place != at and not is_upgrade:
            for name in [name for name in request.headers if endpoint.is_secret(name)]:
                del request.headers[name]

    return look_at


def _place(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or _PORTS.get(url.scheme, 0)
