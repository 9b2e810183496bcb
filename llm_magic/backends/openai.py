"""The backend for the OpenAI protocol: Chat Completions of OpenAI and of every server that speaks like it.

The SDK does authentication, headers, transport and its errors; chunks are read as JSON, without its typed objects, which
cost seven times as much. Retries are made here, so that each is seen before its wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from .. import catalog
from .._version import __version__
from ..errors import AuthenticationError, BackendError, ConfigurationError, did_you_mean
from ..events import Notice, Opened, Retrying, UsageReport
from . import failures
from .base import BackendInfo
from .chunks import ChunkReader
from .dialect import Dialect
from .retries import LONGEST_RETRY_AFTER_S, headers_of, pause_before_retry, retry_after_s
from .sse import EventSplitter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from openai import AsyncOpenAI

    from ..events import Event
    from .base import Request
    from .dialect import Body

OPENAI_URL = "https://api.openai.com/v1"
KEY_VARIABLES = ("LLM_MAGIC_API_KEY", "OPENAI_API_KEY", "MBODI_API_KEY")
URL_VARIABLES = ("LLM_MAGIC_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE")
_PLACEHOLDER = "no-key"
_SHOWN_BYTES = 2000
_LEFT_OUT_OF_STATE = ("_api_key", "_client", "_given_client", "_loop")


class OpenAIBackend:
    """Chat Completions.

    Args:
        api_key: The key, or a function that returns it, asked for each request. None takes the first of LLM_MAGIC_API_KEY,
            OPENAI_API_KEY, MBODI_API_KEY that is set; a server of one's own may need none.
        base_url: Address of the server, with or without ``/chat/completions``. None takes the first of
            LLM_MAGIC_BASE_URL, OPENAI_BASE_URL, OPENAI_API_BASE that is set, else OpenAI's.
        organization: Organization billed.
        project: Project billed.
        headers: Sent beside the SDK's own; a header of "" blanks one of them.
        client: An ``AsyncOpenAI`` (or Azure's) that is used as it is.
        name: What ledger and errors call it; None takes the provider's, else "openai".
        key_name: What errors call the place the key comes from.
        environ: Where the variables are read.
        options: Further arguments of ``AsyncOpenAI``.

    Raises:
        AuthenticationError: There is no key, and the server is not one of one's own.
        ConfigurationError: An argument is unknown.
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
        key_name: str | None = None,
        environ: Mapping[str, str] = os.environ,
        **options: Any,
    ) -> None:
        # Other wrappers' configurations name their own source of models here: harmless, and dropped.
        options.pop("model_src", None)
        _check_options(options)
        url = base_url or _first(environ, URL_VARIABLES)[1]
        if client is not None:
            url = url or str(getattr(client, "base_url", "") or "")
        self._base_url = _base_url(url or OPENAI_URL)
        found_name, found = ("api_key", api_key) if api_key else _first(environ, KEY_VARIABLES)
        self._key_name = key_name or found_name or "OPENAI_API_KEY"
        self._api_key = found
        self._organization, self._project = organization, project
        self._headers, self._options = dict(headers or {}), options
        self._given_client: Any = client
        self._client: AsyncOpenAI | None = None
        self._loop: tuple[int, Any] | None = None
        self._dialect = Dialect(limit_name="max_completion_tokens" if self._is_openai else "max_tokens")
        self._provider = catalog.provider_of(self._base_url)
        self.name = name or self._provider or "openai"
        if client is None and not found and self._is_openai:
            raise AuthenticationError(
                f"No key for {urlsplit(self._base_url).hostname}.",
                hint=f"set {self._key_name} in the environment, or base_url for a server of your own",
            )

    def __repr__(self) -> str:
        return f"OpenAIBackend(name={self.name!r}, base_url={_shown_url(self._base_url)!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the key and the client: neither travels."""
        return {key: value for key, value in self.__dict__.items() if key not in _LEFT_OUT_OF_STATE}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, **dict.fromkeys(_LEFT_OUT_OF_STATE))
        self._api_key = _first(os.environ, KEY_VARIABLES)[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy within the process keeps the key, which a pickle must not hold; it makes a client of its own.
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__, _client=None, _loop=None, _dialect=replace(self._dialect))
        return made

    @property
    def _is_openai(self) -> bool:
        return urlsplit(self._base_url).hostname == "api.openai.com"

    def info(self) -> BackendInfo:
        """What is true of the backend as a whole; asks no server."""
        return BackendInfo(
            name=self.name,
            is_local=False,
            base_url=_shown_url(self._base_url),
            organization=self._organization,
            provider=self._provider,
        )

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Send a request and yield what comes back; see ``Backend.stream``.

        Raises:
            BackendError: One of its children; tokens were billed where ``is_billable`` says so.
        """
        asked = self._asked(request)
        retries = 0
        while True:
            body = self._dialect.body(request)
            try:
                response = await self._open(request, body)
                break
            except TimeoutError as exc:
                raise failures.silent(request.timeouts.first_byte_s, asked) from exc
            except _sdk_error() as exc:
                if self._learn(exc, body):
                    continue
                pause = pause_before_retry(exc, retries=retries)
                if pause is None or retries >= request.max_retries:
                    asks_s = retry_after_s(headers_of(exc))
                    too_long = asks_s is not None and asks_s > LONGEST_RETRY_AFTER_S
                    raise failures.refused(exc, asked, retry_after_s=asks_s if too_long else None) from exc
            retries += 1
            asked = replace(asked, retries=retries)
            yield Retrying(
                attempt=retries, max_retries=request.max_retries, wait_s=pause.wait_s, reason=pause.reason
            )
            await asyncio.sleep(pause.wait_s)
        asked = replace(asked, request_id=response.headers.get("x-request-id"))
        try:
            yield Opened(request_id=asked.request_id, retries=retries)
            if body.left_out:
                yield Notice(text=f"not sent, as {request.model} does not take it: {', '.join(body.left_out)}")
            async with contextlib.aclosing(self._answer(response, request, asked)) as events:
                async for event in events:
                    yield event
        finally:
            await response.aclose()

    async def models(self) -> list[Mapping[str, Any]]:
        """The models the server offers, as it describes them."""
        asked = failures.Asked(
            address=self._address, model="", key_name=self._key_name, secrets=self._secrets(), provider=self._provider
        )
        try:
            return [item.to_dict() async for item in self._connected().models.list()]
        except _sdk_error() as exc:
            raise failures.refused(exc, asked) from exc

    async def aclose(self) -> None:
        """Close connections; the next request opens new ones. A client that was given is left alone."""
        client, self._client = self._client, None
        if client is not None and self._loop == _here():
            await client.close()

    # Sending

    async def _open(self, request: Request, body: Body) -> Any:
        """The response, once its headers are here."""
        import httpx2
        from openai import AsyncStream

        # The SDK's own call would first transform and check every message of a long history: 60 ms against 2.
        async with asyncio.timeout(request.timeouts.first_byte_s):
            stream = await self._connected().post(
                "/chat/completions",
                cast_to=object,
                body=body.json,
                options={
                    "max_retries": 0,
                    # How long to wait between bytes is ours to say: the transport cannot tell first from later ones.
                    "timeout": httpx2.Timeout(None, connect=request.timeouts.first_byte_s),
                },
                stream=True,
                stream_cls=AsyncStream[object],
            )
        return stream.response

    def _learn(self, exc: Exception, body: Body) -> bool:
        status = getattr(exc, "status_code", None)
        words = failures.words_of(getattr(exc, "body", None))
        return isinstance(status, int) and self._dialect.learn(body, status=status, words=words)

    def _connected(self) -> Any:
        """The client for the running loop: one that belongs to another loop, or to the parent of a fork, is dropped."""
        if self._given_client is not None:
            return self._given_client
        if self._client is None or self._loop != _here():
            self._client, self._loop = self._connect(), _here()
        return self._client

    def _connect(self) -> AsyncOpenAI:
        import openai

        options = dict(self._options)
        if _is_loopback(self._base_url) and "http_client" not in options:
            # A proxy of the environment must not be asked for a server on this machine.
            options["http_client"] = openai.DefaultAsyncHttpxClient(trust_env=False)
        agent = f"llm_magic/{__version__} (openai/{openai.__version__})"
        client = openai.AsyncOpenAI(
            **{
                "api_key": self._api_key or _PLACEHOLDER,
                "base_url": self._base_url,
                "organization": self._organization,
                "project": self._project,
                "default_headers": {"User-Agent": agent, **self._headers},
                "max_retries": 0,
                **options,
            }
        )
        if not self._is_openai and self._organization is None:
            # The SDK reads these from the environment: they are OpenAI's business alone.
            client.organization = client.project = None
        return client

    def _asked(self, request: Request) -> failures.Asked:
        from ..content import ImagePart

        return failures.Asked(
            address=self._address,
            model=request.model,
            key_name=self._key_name,
            secrets=self._secrets(),
            provider=self._provider,
            has_image=any(isinstance(part, ImagePart) for item in request.messages for part in item.parts),
        )

    @property
    def _address(self) -> str:
        return urlsplit(self._base_url).netloc.rpartition("@")[2]

    def _secrets(self) -> tuple[str, ...]:
        given = getattr(self._given_client, "api_key", None)
        return tuple(key for key in (self._api_key, given, *self._headers.values()) if isinstance(key, str) and key)

    # Reading

    async def _answer(self, response: Any, request: Request, asked: failures.Asked) -> AsyncGenerator[Event, None]:
        reader = ChunkReader(begins_thinking=catalog.thinks_in_tags(request.model))
        reads = _reads(response, request.timeouts.stall_s, asked)
        kind = response.headers.get("content-type", "").lower()
        async with contextlib.aclosing(reads):
            if "event-stream" in kind or (request.is_streaming and not ("json" in kind or "html" in kind)):
                is_done = False
                async with contextlib.aclosing(_read_stream(reads, reader, asked)) as batches:
                    async for events, is_done in batches:  # noqa: B007  # its last value counts
                        for event in events:
                            yield event
            else:
                await _read_whole(reads, reader, asked)
                is_done = True
        completed = reader.finish() if is_done or reader.finish_reason is not None else None
        for event in reader.take():
            yield event
        if reader.usage is not None:
            yield UsageReport(usage=reader.usage)
        if completed is None:
            raise failures.unfinished(asked)
        yield completed


async def _reads(response: Any, stall_s: float, asked: failures.Asked) -> AsyncGenerator[bytes, None]:
    """The reply's bytes as they come.

    Raises:
        BackendTimeoutError: They stopped coming.
        StreamInterruptedError: The connection broke.
    """
    import httpx2

    reads: AsyncIterator[bytes] = response.aiter_bytes()
    while True:
        try:
            async with asyncio.timeout(stall_s):
                read = await anext(reads, None)
        except TimeoutError as exc:
            raise failures.stalled(stall_s, asked) from exc
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as exc:
            raise failures.broken(exc, asked) from exc
        if read is None:
            return
        yield read


async def _read_stream(
    reads: AsyncIterator[bytes], reader: ChunkReader, asked: failures.Asked
) -> AsyncGenerator[tuple[list[Event], bool], None]:
    """Events of each read, joined, and whether the end mark has come.

    Raises:
        BackendError: The stream holds an error, or garbage; what came before has been yielded.
    """
    splitter = EventSplitter()
    shown = bytearray()
    has_begun = False
    async for read in _and_end(reads):
        if read is None:
            data = splitter.finish()
        else:
            data = splitter.feed(read)
            if not has_begun and len(shown) < _SHOWN_BYTES:
                shown += read[:_SHOWN_BYTES]
        error: BackendError | None = None
        is_done = False
        for item in data:
            has_begun = True
            if item.strip() == b"[DONE]":
                is_done = True
                break
            error = _read_item(item, reader, asked)
            if error is not None:
                break
        yield reader.take(), is_done
        if error is not None:
            raise error
        if is_done:
            return
    if not has_begun and shown.strip():
        raise failures.no_completion(shown.decode("utf-8", "replace"), asked)


async def _and_end(reads: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    async for read in reads:
        yield read
    yield None


def _read_item(item: bytes, reader: ChunkReader, asked: failures.Asked) -> BackendError | None:
    """Read one event's data; what is wrong with it, if anything is."""
    try:
        chunk = json.loads(item)
        if isinstance(chunk, dict) and chunk.get("error"):
            return failures.reported(chunk["error"], asked)
        reader.read(chunk)
    except (ValueError, TypeError, AttributeError, LookupError) as exc:
        # Not JSON, or JSON of no form that a chunk can have.
        error = failures.garbled(item[:_SHOWN_BYTES].decode("utf-8", "replace"), asked)
        error.__cause__ = exc
        return error
    return None


async def _read_whole(reads: AsyncIterator[bytes], reader: ChunkReader, asked: failures.Asked) -> None:
    """Read a completion that came in one piece.

    Raises:
        BackendError: It is an error, or not a completion.
    """
    data = b"".join([read async for read in reads])
    shown = data[:_SHOWN_BYTES].decode("utf-8", "replace")
    try:
        completion = json.loads(data)
        if isinstance(completion, dict) and completion.get("error"):
            raise failures.reported(completion["error"], asked)
        if not completion["choices"]:
            raise failures.no_completion(shown, asked)
        reader.read(completion)
    except (ValueError, TypeError, AttributeError, LookupError) as exc:
        raise failures.no_completion(shown, asked) from exc


def _sdk_error() -> type[Exception]:
    import openai

    return openai.OpenAIError


def _here() -> tuple[int, Any]:
    return os.getpid(), asyncio.get_running_loop()


def _first(environ: Mapping[str, str], variables: tuple[str, ...]) -> tuple[str | None, str | None]:
    return next(((name, value) for name in variables if (value := environ.get(name))), (None, None))


def _base_url(url: str) -> str:
    """The address below which the protocol's paths lie: a full endpoint's own path is taken off."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{_shown_url(url)!r} is not an address.", hint="base_url begins with http:// or https://")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _shown_url(url: str) -> str:
    """An address without credentials and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _check_options(options: Mapping[str, Any]) -> None:
    if not options:
        return
    import inspect

    import openai

    known = set(inspect.signature(openai.AsyncOpenAI.__init__).parameters) - {"self"}
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known | {"headers"}, otherwise="see the arguments of openai.AsyncOpenAI")
            raise ConfigurationError(f"OpenAIBackend has no argument {name!r}.", hint=hint)


