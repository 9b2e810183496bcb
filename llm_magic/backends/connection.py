"""The way to one server: address, key, headers, the SDK's client, and a request that is sent until it is accepted.

In: a path below the address and a body. Out: each retry before its wait, then a response whose body is not read
yet. What the body means, and what the reply says, is the business of those who ask.

The SDK does authentication, headers, transport and its errors. Retries are made here, so that each is seen
before its wait.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urlsplit

from .. import catalog
from .._version import __version__
from ..errors import AuthenticationError, ConfigurationError, did_you_mean
from ..events import Retrying
from . import endpoint, failures
from .base import Timeouts
from .retries import LONGEST_RETRY_AFTER_S, headers_of, pause_before_retry, retry_after_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from openai import AsyncOpenAI

    from ..errors import BackendError

_PLACEHOLDER = "no-key"
_CONNECT_S = 10.0
_MODELS_TIMEOUT_S = 30.0
_LEFT_OUT_OF_STATE = ("_api_key", "_client", "_given_client", "_loop")
# Arguments of the SDK's client that bring an address or credentials of their own.
_OWN_ADDRESS = frozenset(("data_residency", "provider"))
_OWN_KEY = frozenset(("admin_api_key", "provider", "workload_identity"))
# What the SDK's client takes beside our own arguments; a test holds it against the SDK. Importing the SDK to
# ask it would cost half a second where nothing is sent yet.
CLIENT_OPTIONS = frozenset(
    (
        *(
            "admin_api_key",
            "data_residency",
            "default_headers",
            "default_query",
            "http_client",
            "max_retries",
        ),
        *("provider", "timeout", "webhook_secret", "websocket_base_url", "workload_identity"),
    )
)
_ARGUMENTS = (
    *("api_key", "base_url", "organization", "project", "headers", "client", "name", "environ"),
    "continues",
)
# Status and words of a refusal → the body to send instead, None where there is none.
Revise: TypeAlias = "Callable[[int, str], Mapping[str, Any] | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as it is sent.

    Attributes:
        path: Below the address, with its slash: "/embeddings".
        body: JSON; with files the form's further fields.
        files: Parts of a form by field: (file name, bytes, media type). Count >= 1 makes it multipart.
        model: The model asked for, for errors.
        has_image: The body holds a picture, for errors.
        is_streaming: False where the answer comes in one piece: its first byte is there when all of it is.
        timeouts: How long to wait.
        max_retries: How often to try again before it is accepted. Count.
    """

    path: str
    body: Mapping[str, Any]
    files: Mapping[str, tuple[str, bytes, str]] | None = None
    model: str = ""
    has_image: bool = False
    is_streaming: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_retries: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A request that the server accepted. Whoever gets it closes the response.

    Attributes:
        response: Its headers are here, its body is not.
        retries: Retries that went before. Count.
        asked: Who was asked for what, for errors of the reply.
        stall_s: How long to wait between two bytes of the reply, in seconds.
    """

    response: Any
    retries: int
    asked: failures.Asked
    stall_s: float


class Connection:
    """One server, with what opens it. See ``OpenAIBackend`` for the arguments.

    Attributes:
        base_url: The address below which the protocol's paths lie; may hold credentials.
        is_openai: It is OpenAI's own.
        organization: Billed; None where none is set.
        project: Billed; None where none is set.
        provider: The provider's id for prices, None where unknown.

    Raises:
        AuthenticationError: There is no key, and the server is not one of one's own.
        ConfigurationError: An argument is unknown or does not fit.
    """

    def __init__(
        self,
        *,
        api_key: Any = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        client: Any = None,
        key_name: str | None = None,
        environ: Mapping[str, str] = os.environ,
        options: Mapping[str, Any],
    ) -> None:
        _check_options(options, client)
        url = str(getattr(client, "base_url", "") or "") or base_url
        url = url or endpoint.first(environ, endpoint.URL_VARIABLES)[1] or endpoint.OPENAI_URL
        self.base_url = endpoint.base_url(url)
        found_name, found = ("api_key", api_key) if api_key else endpoint.first(environ, endpoint.KEY_VARIABLES)
        self._key_name = key_name or found_name or "OPENAI_API_KEY"
        self._api_key = endpoint.checked_key(found, self._key_name)
        self.is_openai = (urlsplit(self.base_url).hostname or "").endswith(".openai.com")
        if self.is_openai:
            organization = organization or environ.get("OPENAI_ORG_ID")
            project = project or environ.get("OPENAI_PROJECT_ID")
        self.organization, self.project = organization or getattr(client, "organization", None), project
        self.provider = catalog.provider_of(self.base_url)
        self._headers, self._options = endpoint.checked_headers(headers), dict(options)
        self._given_client: Any = client
        self._client: AsyncOpenAI | None = None
        self._loop: tuple[int, Any] | None = None
        self._require_key()

    def __repr__(self) -> str:
        return f"Connection(base_url={endpoint.shown_url(self.base_url)!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but key, client and headers that hold a secret: they do not travel."""
        state = {key: value for key, value in self.__dict__.items() if key not in _LEFT_OUT_OF_STATE}
        state["_headers"] = {key: value for key, value in self._headers.items() if not endpoint.is_secret(key)}
        state["_options"] = {
            key: value
            for key, value in self._options.items()
            if isinstance(value, str | int | float) and not endpoint.is_secret(key)
        }
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, **dict.fromkeys(_LEFT_OUT_OF_STATE))
        # The key of the place it is unpickled in, by the variable it came from: no other may go to a server
        # of one's own.
        variables = (self._key_name, *(endpoint.KEY_VARIABLES if self.is_openai else ()))
        self._api_key = endpoint.first(os.environ, variables)[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy within the process keeps the key, which a pickle must not hold; it makes a client of its own.
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__, _client=None, _loop=None)
        return made

    async def send(self, call: Call, *, revise: Revise | None = None) -> AsyncGenerator[Retrying | Accepted, None]:
        """Send a request until it is accepted: each retry before its wait, at last the response.

        Neither a silent server nor a used-up quota is asked again.

        Args:
            call: The request.
            revise: Asked about each refusal for another body; another try of that kind is no retry.

        Raises:
            BackendError: It is not accepted.
        """
        await _import_sdk()
        timeouts, max_retries = self._limits(call)
        retries, body = 0, call.body
        while True:
            asked = self.asked(model=call.model, has_image=call.has_image, retries=retries)
            try:
                response = await self._open(call, body, first_byte_s=timeouts.first_byte_s)
            except AuthenticationError:
                raise  # ours already: there is no key
            except TimeoutError as exc:
                raise failures.silent(timeouts.first_byte_s, asked) from exc
            except Exception as exc:  # the one edge where the SDK's errors become ours
                if (revised := _revised(exc, revise)) is not None:
                    body = revised
                    continue
                pause = pause_before_retry(exc, retries=retries) if retries < max_retries else None
                if pause is None:
                    # A key that a function returns is known only now.
                    asked = self.asked(model=call.model, has_image=call.has_image, retries=retries)
                    raise _refused(exc, asked) from exc
            else:
                request_id = response.headers.get("x-request-id") or response.headers.get("request-id")
                asked = self.asked(model=call.model, has_image=call.has_image, retries=retries)
                yield Accepted(
                    response=response,
                    retries=retries,
                    asked=replace(asked, request_id=request_id),
                    stall_s=timeouts.stall_s,
                )
                return
            retries += 1
            yield Retrying(attempt=retries, max_retries=max_retries, wait_s=pause.wait_s, reason=pause.reason)
            await asyncio.sleep(pause.wait_s)

    async def get(self, path: str) -> Any:
        """What the server says at a path, as JSON; asked once.

        Raises:
            BackendError: It refuses.
        """
        await _import_sdk()
        try:
            options = {"timeout": _MODELS_TIMEOUT_S, "max_retries": 0}
            return await self._connected().get(path, cast_to=object, options=options)
        except AuthenticationError:
            raise
        except Exception as exc:
            raise failures.refused(exc, self.asked()) from exc

    def asked(self, *, model: str = "", has_image: bool = False, retries: int = 0) -> failures.Asked:
        """Who is asked for what, as far as an error tells of it."""
        return failures.Asked(
            address=urlsplit(self.base_url).netloc.rpartition("@")[2],
            model=model,
            key_name=self._key_name,
            secrets=self._secrets(),
            provider=self.provider,
            has_image=has_image,
            retries=retries,
        )

    async def aclose(self) -> None:
        """Close it; the next request opens it anew. A client that was given is left alone."""
        client, self._client = self._client, None
        if client is None or self._loop is None or self._loop[0] != os.getpid():
            return
        loop = self._loop[1]
        if loop is asyncio.get_running_loop():
            await client.close()
        elif loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))

    async def _open(self, call: Call, body: Mapping[str, Any], *, first_byte_s: float) -> Any:
        """The response, once its headers are here."""
        import httpx2
        from openai import AsyncStream

        # The SDK's own call would first transform and check every message of a long history: 60 ms against 2.
        async with asyncio.timeout(first_byte_s):
            stream = await self._connected().post(
                call.path,
                cast_to=object,
                body=body,
                files=call.files,
                options={
                    "max_retries": 0,
                    # How long to wait for bytes is ours to say: the transport cannot tell the first from
                    # later ones.
                    "timeout": httpx2.Timeout(None, connect=min(_CONNECT_S, first_byte_s)),
                    **({"headers": {"Content-Type": "multipart/form-data"}} if call.files else {}),
                },
                stream=True,
                stream_cls=AsyncStream[object],
            )
        return stream.response

    def _limits(self, call: Call) -> tuple[Timeouts, int]:
        """Timeouts and retries: those of this connection, else the request's."""
        timeouts, timeout = call.timeouts, self._options.get("timeout")
        if timeout is not None:
            seconds = timeout if isinstance(timeout, int | float) else timeout.read
            timeouts = Timeouts(first_byte_s=seconds, stall_s=seconds)
        if not call.is_streaming:
            timeouts = replace(timeouts, first_byte_s=max(timeouts.first_byte_s, timeouts.stall_s))
        return timeouts, self._options.get("max_retries", call.max_retries)

    def _connected(self) -> Any:
        """The client of the running loop: one of another loop, or of the parent of a fork, is dropped."""
        if self._given_client is not None:
            return self._given_client
        here = os.getpid(), asyncio.get_running_loop()
        if self._client is None or self._loop != here:
            self._client, self._loop = self._connect(), here
        return self._client

    def _require_key(self) -> None:
        has_key = self._api_key or self._given_client is not None or _OWN_KEY & self._options.keys()
        if self.is_openai and not has_key:
            raise AuthenticationError(
                f"No key for {urlsplit(self.base_url).hostname}.",
                hint=f"set {self._key_name} in the environment, or base_url for a server of your own",
            )

    def _connect(self) -> AsyncOpenAI:
        import openai

        self._require_key()
        options = {key: value for key, value in self._options.items() if key != "default_headers"}
        if endpoint.is_loopback(self.base_url) and "http_client" not in options:
            # A proxy of the environment must not be asked for a server on this machine.
            options["http_client"] = openai.DefaultAsyncHttpxClient(trust_env=False)
        if not _OWN_ADDRESS & options.keys():
            options["base_url"] = self.base_url
        if self._api_key or not _OWN_KEY & options.keys():
            options["api_key"] = (
                endpoint.awaitable(self._api_key) if callable(self._api_key) else self._api_key or _PLACEHOLDER
            )
        agent = f"llm_magic/{__version__} (openai/{openai.__version__})"
        headers = {"User-Agent": agent, **self._options.get("default_headers", {}), **self._headers}
        client = openai.AsyncOpenAI(
            organization=self.organization, project=self.project, default_headers=headers, **options
        )
        # The SDK reads these from the environment, too: they are OpenAI's business alone.
        client.organization, client.project = self.organization, self.project
        return client

    def _secrets(self) -> tuple[str, ...]:
        # A key that a function returns is known to the client that asked for it.
        keys = (
            self._api_key,
            *(getattr(client, "api_key", None) for client in (self._given_client, self._client)),
        )
        headers = {**self._options.get("default_headers", {}), **self._headers}
        values = (value for key, value in headers.items() if endpoint.is_secret(key))
        return tuple(key for key in (*keys, *values) if isinstance(key, str) and key not in ("", _PLACEHOLDER))


def _revised(exc: Exception, revise: Revise | None) -> Mapping[str, Any] | None:
    status = getattr(exc, "status_code", None)
    if revise is None or not isinstance(status, int):
        return None
    return revise(status, failures.words_of(getattr(exc, "body", None)))


def _refused(exc: Exception, asked: failures.Asked) -> BackendError:
    asks_s = retry_after_s(headers_of(exc))
    too_long_s = asks_s if asks_s is not None and asks_s > LONGEST_RETRY_AFTER_S else None
    return failures.refused(exc, asked, retry_after_s=too_long_s)


async def _import_sdk() -> None:
    # Half a second: in a thread, so that other streams and an interrupt do not wait for it.
    if "openai" not in sys.modules:
        await asyncio.to_thread(importlib.import_module, "openai")


def _check_options(options: Mapping[str, Any], client: Any) -> None:
    for name in options:
        if name not in CLIENT_OPTIONS:
            hint = did_you_mean(
                name,
                (*CLIENT_OPTIONS, *_ARGUMENTS),
                otherwise="those of openai.AsyncOpenAI and its own are known",
            )
            raise ConfigurationError(f"OpenAIBackend has no argument {name!r}.", hint=hint)
    if client is not None and not inspect.iscoroutinefunction(getattr(client, "post", None)):
        raise ConfigurationError(
            f"A client of type {type(client).__name__} cannot be used.", hint="give an openai.AsyncOpenAI"
        )
