"""The backend for the OpenAI protocol: Chat Completions of OpenAI and of every server that speaks like it.

The SDK does authentication, headers, transport and its errors; replies are read as JSON, without its typed
objects, which cost seven times as much. Retries are made here, so that each is seen before its wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import importlib
import inspect
import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from .. import catalog
from .._version import __version__
from ..content import ImagePart
from ..errors import AuthenticationError, ConfigurationError, did_you_mean
from ..events import Notice, Opened, Retrying
from . import endpoint, failures
from .base import BackendInfo, Timeouts
from .dialect import PREFIX_FORMS, Dialect, is_prefixed
from .reading import read_reply
from .retries import LONGEST_RETRY_AFTER_S, headers_of, pause_before_retry, retry_after_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from openai import AsyncOpenAI

    from ..errors import BackendError
    from ..events import Event
    from .base import Continues, Request
    from .dialect import Body, PrefixForm

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    """A request that the server accepted.

    Attributes:
        response: Its headers are here, its body is not.
        retries: Retries that went before. Count.
        left_out: Parameters that were not sent.
    """

    response: Any
    retries: int
    left_out: tuple[str, ...]


class OpenAIBackend:
    """Chat Completions.

    Args:
        api_key: The key, or a function (async or not) that returns it, called for each request. None takes the
            first of LLM_MAGIC_API_KEY, OPENAI_API_KEY, MBODI_API_KEY that is set; a server of one's own may need
            none.
        base_url: Address of the server, with or without ``/chat/completions``. None takes the first of
            LLM_MAGIC_BASE_URL, OPENAI_BASE_URL, OPENAI_API_BASE that is set, else OpenAI's.
        organization: Organization billed.
        project: Project billed.
        headers: Sent beside the SDK's own; a header of "" blanks one of them.
        client: An ``AsyncOpenAI`` (or Azure's, or anything with its ``post``) that is used as it is.
        name: What ledger and errors call it; None takes the provider's, else "openai".
        continues: How the server goes on with a partial answer: "ask" where it has to be asked to, as everywhere;
            else how it is told that the last message is the beginning of the answer. "plain" where it takes every
            last message of the assistant's for that (llama.cpp, Claude), "prefix" where the message says so
            (Mistral, DeepSeek's beta), "continue_final_message" where the request does (vLLM, SGLang).
        key_name: What errors call the place the key comes from.
        environ: Where the variables are read.
        options: Further arguments of ``AsyncOpenAI``; ``timeout`` and ``max_retries`` go before a request's.

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
        name: str | None = None,
        continues: Literal["ask"] | PrefixForm = "ask",
        key_name: str | None = None,
        environ: Mapping[str, str] = os.environ,
        **options: Any,
    ) -> None:
        # Other wrappers' configurations name their own source of models here: harmless, and dropped.
        options.pop("model_src", None)
        _check_options(options, client)
        url = str(getattr(client, "base_url", "") or "") or base_url
        url = url or endpoint.first(environ, endpoint.URL_VARIABLES)[1] or endpoint.OPENAI_URL
        self._base_url = endpoint.base_url(url)
        found_name, found = ("api_key", api_key) if api_key else endpoint.first(environ, endpoint.KEY_VARIABLES)
        self._key_name = key_name or found_name or "OPENAI_API_KEY"
        self._api_key = endpoint.checked_key(found, self._key_name)
        self._is_openai = (urlsplit(self._base_url).hostname or "").endswith(".openai.com")
        if self._is_openai:
            organization = organization or environ.get("OPENAI_ORG_ID")
            project = project or environ.get("OPENAI_PROJECT_ID")
        self._organization, self._project = organization, project
        self._headers, self._options = endpoint.checked_headers(headers), options
        self._given_client: Any = client
        self._client: AsyncOpenAI | None = None
        self._loop: tuple[int, Any] | None = None
        self._continues = _checked_way(continues)
        self._dialect = Dialect(
            limit_name="max_completion_tokens" if self._is_openai else "max_tokens",
            prefix_form=None if continues == "ask" else continues,
        )
        self._provider = catalog.provider_of(self._base_url)
        self.name = name or self._provider or "openai"
        self._require_key()

    def __repr__(self) -> str:
        return f"OpenAIBackend(name={self.name!r}, base_url={endpoint.shown_url(self._base_url)!r})"

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
        variables = (self._key_name, *(endpoint.KEY_VARIABLES if self._is_openai else ()))
        self._api_key = endpoint.first(os.environ, variables)[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy within the process keeps the key, which a pickle must not hold; it makes a client of its own.
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__, _client=None, _loop=None, _dialect=copy.deepcopy(self._dialect))
        return made

    def info(self) -> BackendInfo:
        """What is true of the backend as a whole; asks no server."""
        return BackendInfo(
            name=self.name,
            is_local=False,
            base_url=endpoint.shown_url(self._base_url),
            organization=self._organization or getattr(self._given_client, "organization", None),
            provider=self._provider,
            continues=self._continues,
        )

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Send a request and yield what comes back; see ``Backend.stream``.

        Neither a silent server nor a used-up quota is asked again. Nothing is, once a reply has begun.

        Raises:
            BackendError: One of its children; tokens were billed where ``is_billable`` says so.
        """
        timeouts, _ = self._limits(request)
        await _import_sdk()
        accepted: _Accepted | None = None
        async with contextlib.aclosing(self._knock(request)) as steps:
            async for step in steps:
                if isinstance(step, _Accepted):
                    accepted = step
                else:
                    yield step
        assert accepted is not None
        response = accepted.response
        request_id = response.headers.get("x-request-id") or response.headers.get("request-id")
        try:
            yield Opened(request_id=request_id, retries=accepted.retries)
            if left_out := ", ".join(accepted.left_out):
                yield Notice(text=f"not sent, as {request.model} does not take it: {left_out}")
            reply = read_reply(
                response,
                replace(self._asked(request, retries=accepted.retries), request_id=request_id),
                stall_s=timeouts.stall_s,
                begins_thinking=catalog.thinks_in_tags(request.model) and not is_prefixed(request),
            )
            async with contextlib.aclosing(reply) as events:
                async for event in events:
                    yield event
        finally:
            await response.aclose()

    async def models(self) -> list[Mapping[str, Any]]:
        """The models the server offers, as it describes them.

        Raises:
            BackendError: It does not tell.
        """
        await _import_sdk()
        try:
            options = {"timeout": _MODELS_TIMEOUT_S, "max_retries": 0}
            found = await self._connected().get("/models", cast_to=object, options=options)
            rows = found["data"] if isinstance(found, dict) else found
            return [{**row, "id": str(row["id"])} for row in rows]
        except AuthenticationError:
            raise
        except (TypeError, KeyError) as exc:
            raise failures.no_model_list(self._asked()) from exc
        except Exception as exc:
            raise failures.refused(exc, self._asked()) from exc

    async def aclose(self) -> None:
        """Close connections; the next request opens new ones. A client that was given is left alone."""
        client, self._client = self._client, None
        if client is None or self._loop is None or self._loop[0] != os.getpid():
            return
        loop = self._loop[1]
        if loop is asyncio.get_running_loop():
            await client.close()
        elif loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))

    async def _knock(self, request: Request) -> AsyncGenerator[Retrying | _Accepted, None]:
        """Send a request until it is accepted: each retry before its wait, at last the response.

        Raises:
            BackendError: It is not accepted.
        """
        timeouts, max_retries = self._limits(request)
        retries = 0
        refused_forms: list[frozenset[str]] = []
        while True:
            body = self._dialect.body(request)
            try:
                response = await self._open(body, first_byte_s=timeouts.first_byte_s)
            except AuthenticationError:
                raise  # ours already: there is no key
            except TimeoutError as exc:
                raise failures.silent(timeouts.first_byte_s, self._asked(request, retries=retries)) from exc
            except Exception as exc:  # the one edge where the SDK's errors become ours
                refused_forms.append(frozenset(body.json))
                if self._learn(exc, body) and frozenset(self._dialect.body(request).json) not in refused_forms:
                    continue
                pause = pause_before_retry(exc, retries=retries) if retries < max_retries else None
                if pause is None:
                    raise self._refused(exc, request, retries=retries) from exc
            else:
                yield _Accepted(response=response, retries=retries, left_out=body.left_out)
                return
            retries += 1
            yield Retrying(attempt=retries, max_retries=max_retries, wait_s=pause.wait_s, reason=pause.reason)
            await asyncio.sleep(pause.wait_s)

    def _refused(self, exc: Exception, request: Request, *, retries: int) -> BackendError:
        asks_s = retry_after_s(headers_of(exc))
        too_long_s = asks_s if asks_s is not None and asks_s > LONGEST_RETRY_AFTER_S else None
        return failures.refused(exc, self._asked(request, retries=retries), retry_after_s=too_long_s)

    async def _open(self, body: Body, *, first_byte_s: float) -> Any:
        """The response, once its headers are here."""
        import httpx2
        from openai import AsyncStream

        # The SDK's own call would first transform and check every message of a long history: 60 ms against 2.
        async with asyncio.timeout(first_byte_s):
            stream = await self._connected().post(
                "/chat/completions",
                cast_to=object,
                body=body.json,
                options={
                    "max_retries": 0,
                    # How long to wait for bytes is ours to say: the transport cannot tell the first from
                    # later ones.
                    "timeout": httpx2.Timeout(None, connect=min(_CONNECT_S, first_byte_s)),
                },
                stream=True,
                stream_cls=AsyncStream[object],
            )
        return stream.response

    def _limits(self, request: Request) -> tuple[Timeouts, int]:
        """Timeouts and retries: those of this backend, else the request's."""
        timeouts, timeout = request.timeouts, self._options.get("timeout")
        if timeout is not None:
            seconds = timeout if isinstance(timeout, int | float) else timeout.read
            timeouts = Timeouts(first_byte_s=seconds, stall_s=seconds)
        if not request.is_streaming:
            # The first byte of an answer in one piece is there when all of it is.
            timeouts = replace(timeouts, first_byte_s=max(timeouts.first_byte_s, timeouts.stall_s))
        return timeouts, self._options.get("max_retries", request.max_retries)

    def _learn(self, exc: Exception, body: Body) -> bool:
        status = getattr(exc, "status_code", None)
        words = failures.words_of(getattr(exc, "body", None))
        return isinstance(status, int) and self._dialect.learn(body, status=status, words=words)

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
        if self._is_openai and not has_key:
            raise AuthenticationError(
                f"No key for {urlsplit(self._base_url).hostname}.",
                hint=f"set {self._key_name} in the environment, or base_url for a server of your own",
            )

    def _connect(self) -> AsyncOpenAI:
        import openai

        self._require_key()
        options = {key: value for key, value in self._options.items() if key != "default_headers"}
        if endpoint.is_loopback(self._base_url) and "http_client" not in options:
            # A proxy of the environment must not be asked for a server on this machine.
            options["http_client"] = openai.DefaultAsyncHttpxClient(trust_env=False)
        if not _OWN_ADDRESS & options.keys():
            options["base_url"] = self._base_url
        if self._api_key or not _OWN_KEY & options.keys():
            options["api_key"] = (
                endpoint.awaitable(self._api_key) if callable(self._api_key) else self._api_key or _PLACEHOLDER
            )
        agent = f"llm_magic/{__version__} (openai/{openai.__version__})"
        headers = {"User-Agent": agent, **self._options.get("default_headers", {}), **self._headers}
        client = openai.AsyncOpenAI(
            organization=self._organization, project=self._project, default_headers=headers, **options
        )
        # The SDK reads these from the environment, too: they are OpenAI's business alone.
        client.organization, client.project = self._organization, self._project
        return client

    def _asked(self, request: Request | None = None, *, retries: int = 0) -> failures.Asked:
        messages = request.messages if request is not None else ()
        return failures.Asked(
            address=urlsplit(self._base_url).netloc.rpartition("@")[2],
            model=request.model if request is not None else "",
            key_name=self._key_name,
            secrets=self._secrets(),
            provider=self._provider,
            has_image=any(isinstance(part, ImagePart) for item in messages for part in item.parts),
            retries=retries,
        )

    def _secrets(self) -> tuple[str, ...]:
        # A key that a function returns is known to the client that asked for it.
        keys = (
            self._api_key,
            *(getattr(client, "api_key", None) for client in (self._given_client, self._client)),
        )
        headers = {**self._options.get("default_headers", {}), **self._headers}
        values = (value for key, value in headers.items() if endpoint.is_secret(key))
        return tuple(key for key in (*keys, *values) if isinstance(key, str) and key not in ("", _PLACEHOLDER))


def _checked_way(continues: str) -> Continues:
    if continues == "ask":
        return "ask"
    if continues not in PREFIX_FORMS:
        known = ("ask", *PREFIX_FORMS)
        hint = did_you_mean(continues, known, otherwise="one of " + ", ".join(known))
        raise ConfigurationError(f"continues={continues!r} is no way to go on.", hint=hint)
    return "prefix"


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
