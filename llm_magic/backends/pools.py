"""Many small pools of connections instead of a large one.

A pool looks at each of its idle connections whenever a request begins and ends: with a hundred answers side by side
that costs more than all the rest of a request. Here a request goes to the first pool with room, so that few requests
still use few connections, again and again. Imports httpx2: imported by whoever makes a client, when it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

# Requests a pool carries before the next one is begun: about as many as cost nothing.
SIZE = 4
# What the SDK allows a client.
_MOST_CONNECTIONS = 1000
_TRANSPORT_OPTIONS = ("cert", "http1", "trust_env", "verify")


class _Pool:
    """One transport, and how many requests are on it."""

    def __init__(self, transport: httpx2.AsyncHTTPTransport) -> None:
        self.transport = transport
        self.active = 0


class _Body(httpx2.AsyncByteStream):
    """A reply's body that gives its pool's place back when it is closed."""

    def __init__(self, stream: Any, pool: _Pool) -> None:
        self._stream = stream
        self._pool: _Pool | None = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        pieces: AsyncIterator[bytes] = aiter(self._stream)
        return pieces

    async def aclose(self) -> None:
        if self._pool is not None:
            self._pool.active -= 1
            self._pool = None
        await self._stream.aclose()


class Pools(httpx2.AsyncBaseTransport):
    """A transport over as many pools as are needed at once.

    Args:
        options: ``cert``, ``http1``, ``trust_env`` and ``verify`` of ``httpx2.AsyncHTTPTransport``.
    """

    def __init__(self, **options: Any) -> None:
        verify: ssl.SSLContext = httpx2.create_ssl_context(
            verify=options.pop("verify", True), cert=options.pop("cert", None), trust_env=options.get("trust_env", True)
        )
        # One for all: it takes longer to make than a connection.
        self._options = options | {"verify": verify}
        self._pools: list[_Pool] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request over the first pool with room."""
        pool = self._with_room()
        pool.active += 1
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            pool.active -= 1
            raise
        response.stream = _Body(response.stream, pool)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = self._pools, []
        for pool in pools:
            await pool.transport.aclose()

    def _with_room(self) -> _Pool:
        for pool in self._pools:
            if pool.active < SIZE:
                return pool
        if len(self._pools) * SIZE >= _MOST_CONNECTIONS:
            return min(self._pools, key=lambda pool: pool.active)
        limits = httpx2.Limits(max_connections=SIZE, max_keepalive_connections=SIZE)
        self._pools.append(_Pool(httpx2.AsyncHTTPTransport(limits=limits, **self._options)))
        return self._pools[-1]


def pools_for(options: dict[str, Any]) -> Pools | None:
    """A transport for a client's options; None where they want one of their own, or a proxy, or other limits."""
    from urllib.request import getproxies

    if {"transport", "mounts", "limits", "http2"} & options.keys() or options.get("proxy"):
        return None
    if options.get("trust_env", True) and getproxies():
        return None
    return Pools(**{name: options[name] for name in _TRANSPORT_OPTIONS if name in options})
