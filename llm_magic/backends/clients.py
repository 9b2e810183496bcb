"""The SDK's clients of one server: one for each running loop, with the transport that was asked for.

The SDK sends what it is given: keys and organizations are put on each request by ``connection.py``. Nothing is
imported, and nothing connected, before the first request.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from .._version import __version__
from ..errors import ConfigurationError, did_you_mean
from . import endpoint
from .transport import Transport, http_client

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import AsyncOpenAI

_PLACEHOLDER = "no-key"
# Arguments of the SDK's client that bring an address or credentials of their own.
_OWN_ADDRESS = frozenset(("data_residency", "provider"))
_OWN_KEY = frozenset(("admin_api_key", "provider", "workload_identity"))
# What the SDK's client takes beside our own arguments; a test holds it against the SDK. Importing that to ask it would
# cost half a second where nothing is sent yet.
CLIENT_OPTIONS = frozenset(
    (
        *("admin_api_key", "data_residency", "default_headers", "default_query", "http_client", "max_retries"),
        *("provider", "timeout", "webhook_secret", "websocket_base_url", "workload_identity"),
    )
)
# Arguments of OpenAIBackend beside them.
ARGUMENTS = frozenset(
    (
        *("api_key", "base_url", "organization", "project", "headers", "client", "name", "environ", "continues"),
        *("profile", "key_name", "queries_per_second", "max_connections", "max_redirects", "proxy", "user_agent"),
        "http_options",
    )
)
# Of the HTTP client's arguments, those that tell a stranger nothing.
_OF_ANYBODY = frozenset(("http1", "http2", "mounts", "transport", "trust_env", "verify"))
_OF_THIS_PROCESS = ("given", "_made", "_addresses", "_process", "_lock")
# What the SDK tells of the machine beside its User-Agent.
_TELLTALES = tuple(
    f"X-Stainless-{name}" for name in ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
)


class Clients:
    """The clients of one server.

    Args:
        base_url: Where the server is.
        transport: How it is reached.
        headers: Sent with each request; a value may be a reference.
        project: Billed, None where none is set.
        options: Further arguments of the SDK's client.
        given: A client that is used instead, as it is, on whatever loop; never closed.
        environ: Where references lead.

    Attributes:
        base_url: The same.
        given: The same.
        options: The same, without the headers in them.
        headers: All headers of the user's, by their names.

    Raises:
        AuthenticationError: A reference leads nowhere.
        ConfigurationError: An argument is unknown or does not fit.
    """

    _made: dict[asyncio.AbstractEventLoop, AsyncOpenAI]
    _process: int
    _lock: threading.Lock

    def __init__(
        self,
        base_url: str,
        *,
        transport: Transport,
        headers: Mapping[str, str] | None,
        project: str | None,
        options: Mapping[str, Any],
        given: Any,
        environ: Mapping[str, str],
    ) -> None:
        _check(transport, options, given)
        self.given, self.base_url, self._project = given, base_url, project
        if transport.proxy:
            transport = replace(transport, proxy=endpoint.resolved(transport.proxy, environ))
        self._transport = transport
        self.options = {name: value for name, value in options.items() if name != "default_headers"}
        named = {**endpoint.checked_headers(options.get("default_headers")), **endpoint.checked_headers(headers)}
        self.headers = {name: endpoint.resolved(value, environ) for name, value in named.items()}
        # Where a header's value came from: that travels in a pickle, and the headers that are no secret.
        self._references = {name: value for name, value in named.items() if endpoint.referred(value)}
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        """Everything but clients and what may hold a secret: they do not travel."""
        state = {name: value for name, value in self.__dict__.items() if name not in _OF_THIS_PROCESS}
        state["headers"] = {
            name: value
            for name, value in self.headers.items()
            if not endpoint.is_secret(name) and name not in self._references
        }
        state["options"] = _harmless(self.options)
        state["base_url"] = endpoint.shown_url(self.base_url)
        proxy = self._transport.proxy
        state["_transport"] = replace(
            self._transport,
            proxy=None if proxy and "@" in proxy else proxy,
            http_options=_harmless(self._transport.http_options),
        )
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, given=None)
        for name, reference in self._references.items():
            if value := os.environ.get(endpoint.referred(reference) or ""):
                self.headers[name] = value
        self._begin()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy within the process keeps what a pickle must not hold; it makes clients of its own.
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._begin()  # noqa: SLF001  # one of us
        return made

    @property
    def has_own_key(self) -> bool:
        """The client authenticates by itself."""
        return self.given is not None or bool(_OWN_KEY & self.options.keys())

    def secrets(self) -> tuple[str, ...]:
        """What of it must not be shown."""
        names = [name for name in self.headers if endpoint.is_secret(name) or name in self._references]
        key = getattr(self.given, "api_key", None)
        return (*(self.headers[name] for name in names), *((key,) if isinstance(key, str) else ()))

    async def post(
        self, path: str, body: Mapping[str, Any], *, opening: Mapping[str, str], files: Any, connect_s: float
    ) -> Any:
        """Send a request.

        Args:
            path: Below the address.
            body: JSON, or the fields of a form.
            opening: The headers that open it; one that the user set in its place counts.
            files: The files of a form, none where it is JSON.
            connect_s: How long to wait for a connection, in seconds; how long for bytes is the caller's to say: the
                transport cannot tell the first from later ones.

        Returns:
            The response, once its headers are here.
        """
        import httpx2
        from openai import AsyncStream

        headers = self._opening(opening)
        if files:
            headers["Content-Type"] = "multipart/form-data"
        options = {"max_retries": 0, "timeout": httpx2.Timeout(None, connect=connect_s), "headers": headers}
        # The SDK's own call would first transform and check every message of a long history: 60 ms against 2.
        client = self._here()
        stream = await client.post(
            path if self.given is not None else self._address(client, path),
            cast_to=object,
            body=body,
            files=list(files) or None,
            options=options,
            stream=True,
            stream_cls=AsyncStream[object],
        )
        return stream.response

    async def get(self, path: str, *, opening: Mapping[str, str], timeout_s: float) -> Any:
        """What is at a path, as JSON."""
        options = {"timeout": timeout_s, "max_retries": 0, "headers": self._opening(opening)}
        return await self._here().get(path, cast_to=object, options=options)

    async def fetch(self, url: str, *, limit_bytes: int, timeout_s: float) -> bytes:
        """What is at an address of anybody's; it is told nothing that is meant for this server.

        Args:
            url: http or https, and so is what it redirects to.
            limit_bytes: Most bytes.
            timeout_s: Most seconds for all of them.

        Raises:
            OverflowError: There are more bytes.
            TimeoutError: They did not come in time.
            httpx2.HTTPError: There is no connection, or an error in reply.
        """
        others = {name: value for name, value in self._transport.http_options.items() if name in _OF_ANYBODY}
        headers, data = {"User-Agent": _user_agent(self._transport)}, bytearray()
        async with (
            asyncio.timeout(timeout_s),
            http_client(url, replace(self._transport, http_options=others)) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > limit_bytes:
                    raise OverflowError(url)
        return bytes(data)

    async def aclose(self) -> None:
        """Close those that were made, each on its own loop."""
        if self._process != os.getpid():
            return
        with self._lock:
            made, self._made = self._made, {}
        for loop, client in made.items():
            if loop is asyncio.get_running_loop():
                await client.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))

    def _begin(self) -> None:
        self._made = {}
        self._addresses: dict[str, str] = {}
        self._process = os.getpid()
        self._lock = threading.Lock()

    def _here(self) -> Any:
        """The client of the running loop. Those of closed loops, and of the parent of a fork, are dropped."""
        if self.given is not None:
            return self.given
        if self._process != os.getpid():
            self._begin()  # with a new lock: one that was held during the fork would never be free
        loop = asyncio.get_running_loop()
        with self._lock:
            client = self._made.get(loop)
            if client is None:
                self._made = {other: kept for other, kept in self._made.items() if not other.is_closed()}
                client = self._made[loop] = self._make()
            return client

    def _address(self, client: AsyncOpenAI, path: str) -> str:
        """The whole address of a path: joined once, and not for each request, which has it parsed three times."""
        found = self._addresses.get(path)
        if found is None:
            base = client.base_url
            found = str(base.copy_with(raw_path=base.raw_path + path.lstrip("/").encode()))
            self._addresses[path] = found
        return found

    def _opening(self, opening: Mapping[str, str]) -> dict[str, Any]:
        if self.given is not None or not opening:
            return {}
        import openai

        own = {name.lower() for name in self.headers}
        headers: dict[str, Any] = {name: value for name, value in opening.items() if name.lower() not in own}
        if "authorization" not in {*own, *(name.lower() for name in headers)} and not self.has_own_key:
            # A key in another header: the SDK would send its placeholder beside it.
            headers["Authorization"] = openai.Omit()
        return headers

    def _make(self) -> AsyncOpenAI:
        """A client that sends what it is given, without a key or an organization of its own."""
        import openai

        arguments = dict(self.options)
        has_own_address = bool(_OWN_ADDRESS & arguments.keys())
        if "http_client" not in arguments:
            arguments["http_client"] = http_client(None if has_own_address else self.base_url, self._transport)
        if not has_own_address:
            arguments["base_url"] = self.base_url
        if not self.has_own_key:
            arguments["api_key"] = _PLACEHOLDER
        agent = _user_agent(self._transport)
        telltales: dict[str, Any] = dict.fromkeys(_TELLTALES, openai.Omit()) if agent == "" else {}
        client = openai.AsyncOpenAI(default_headers={**telltales, "User-Agent": agent, **self.headers}, **arguments)
        # The SDK reads these from the environment, too: they are OpenAI's business alone.
        client.organization, client.project = None, self._project
        return client


def _user_agent(transport: Transport) -> str:
    """What we call ourselves."""
    import openai

    ours, agent = f"llm_magic/{__version__} (openai/{openai.__version__})", transport.user_agent
    if agent is None:
        return ours
    return f"{ours} {agent}" if agent and transport.is_ours_first else agent


def _check(transport: Transport, options: Mapping[str, Any], given: Any) -> None:
    for name in options:
        if name not in CLIENT_OPTIONS:
            hint = did_you_mean(
                name, (*CLIENT_OPTIONS, *ARGUMENTS), otherwise="those of openai.AsyncOpenAI and its own are known"
            )
            raise ConfigurationError(f"OpenAIBackend has no argument {name!r}.", hint=hint)
    if given is not None and not inspect.iscoroutinefunction(getattr(given, "post", None)):
        raise ConfigurationError(
            f"A client of type {type(given).__name__} cannot be used.", hint="give an openai.AsyncOpenAI"
        )
    whole = "client" if given is not None else "http_client" if "http_client" in options else None
    if whole and transport != Transport(user_agent=transport.user_agent, is_ours_first=transport.is_ours_first):
        raise ConfigurationError(
            f"Proxy, connections, redirects and http_options cannot be set beside {whole}.",
            hint=f"set them on the {whole} that is given",
        )


def _harmless(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in options.items()
        if isinstance(value, str | int | float) and not endpoint.is_secret(name)
    }
