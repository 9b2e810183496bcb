"""The way to one server: address, keys, headers, pace, and a request that is sent until it is accepted.

In: a path below the address and a body. Out: each retry before its wait, then a response whose body is not read
yet. What the body means, and what the reply says, is the business of those who ask.

Retries are made here, so that each is seen before its wait; keys and
organizations are put on each request here, since they may be another's the next time.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import os
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urlsplit

from .. import catalog
from ..errors import BackendError, QuotaError
from ..events import Notice, Retrying
from . import credentials, endpoint, failures
from .base import Timeouts
from .clients import Clients
from .credentials import Credentials, Key, Taken
from .retries import LONGEST_RETRY_AFTER_S, headers_of, pause_before_retry, retry_after_s
from .rotation import Pace
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

_CONNECT_S = 10.0
_MODELS_TIMEOUT_S = 30.0
# Status and words of a refusal → the body to send instead, None where there is none.
Revise: TypeAlias = "Callable[[int, str], Mapping[str, Any] | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as it is sent.

    Attributes:
        path: Below the address, with its slash: "/embeddings".
        body: JSON; with files the form's further fields.
        files: Parts of a form: field and (file name, bytes, media type), a field as often as it has files; none
            makes it JSON.
        model: The model asked for, for errors.
        has_image: The body holds a picture, for errors.
        feature: What of the server it asks for ("embeddings"), for errors; "" for chat.
        is_streaming: False where the answer comes in one piece: its first byte is there when all of it is.
        timeouts: How long to wait.
        max_retries: How often to try again before it is accepted. Count.
    """

    path: str
    body: Mapping[str, Any]
    files: Sequence[tuple[str, tuple[str, bytes, str]]] = ()
    model: str = ""
    has_image: bool = False
    feature: str = ""
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
        organization: The one of several that was billed this time, None where none was named.
    """

    response: Any
    retries: int
    asked: failures.Asked
    stall_s: float
    organization: str | None = None


class Connection:
    """One server, with what opens it. See ``OpenAIBackend`` for the arguments.

    Attributes:
        base_url: The address below which the protocol's paths lie; may hold credentials.
        is_openai: It is OpenAI's own.
        organization: Billed, several joined by commas; None where none is set.
        project: Billed; None where none is set.
        provider: The provider's id for prices, None where unknown.
        opened_by: Its keys.
        pace: How fast it may be asked.

    Raises:
        AuthenticationError: There is no key, and the server is not one of one's own.
        ConfigurationError: An argument is unknown or does not fit.
    """

    def __init__(
        self,
        *,
        api_key: Any = None,
        base_url: str | None = None,
        organization: str | Sequence[str] | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        client: Any = None,
        key_name: str | None = None,
        queries_per_second: float | None = None,
        transport: Transport | None = None,
        opened_by: Credentials | None = None,
        environ: Mapping[str, str] = os.environ,
        options: Mapping[str, Any],
    ) -> None:
        url = str(getattr(client, "base_url", "") or "") or base_url
        url = url or endpoint.first(environ, endpoint.URL_VARIABLES)[1] or endpoint.OPENAI_URL
        self.base_url = endpoint.base_url(endpoint.resolved(url, environ))
        self._url_variable = endpoint.referred(url)
        self.is_openai = (urlsplit(self.base_url).hostname or "").endswith(".openai.com")
        if self.is_openai:
            organization = organization or environ.get("OPENAI_ORG_ID")
            project = project or environ.get("OPENAI_PROJECT_ID")
        self.provider, self.project = catalog.provider_of(self.base_url), project
        self._clients = Clients(
            self.base_url,
            transport=transport or Transport(),
            headers=headers,
            project=project,
            options=options,
            given=client,
            environ=environ,
        )
        self.opened_by = opened_by or _credentials(api_key, key_name, organization, environ)
        billed = ", ".join(self.opened_by.organizations)
        self.organization = billed or getattr(client, "organization", None)
        self.pace = Pace(queries_per_second)
        self._require_key()

    def __repr__(self) -> str:
        return f"Connection(base_url={endpoint.shown_url(self.base_url)!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Everything; an address without the credentials in it."""
        return {**self.__dict__, "base_url": endpoint.shown_url(self.base_url)}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        if url := os.environ.get(self._url_variable or ""):
            self.base_url = self._clients.base_url = endpoint.base_url(url)
        if self.is_openai and not self.opened_by.keys:
            self.opened_by = _credentials(None, None, self.opened_by.organizations, os.environ)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copy within the process keeps what a pickle must not hold.
        made = type(self).__new__(type(self))
        made.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        return made

    async def send(
        self, call: Call, *, revise: Revise | None = None
    ) -> AsyncGenerator[Retrying | Notice | Accepted, None]:
        """Send a request until it is accepted: each retry before its wait, at last the response.

        Neither a silent server nor a used-up quota is asked again; where there are several keys, the next one is
        used instead of one whose quota is used up.

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
            taken = await self._take(call, retries)
            asked = self.asked(
                model=call.model,
                has_image=call.has_image,
                feature=call.feature,
                retries=retries,
                secret=taken.secret,
            )
            try:
                response = await self._open(call, body, taken, first_byte_s=timeouts.first_byte_s)
            except TimeoutError as exc:
                raise failures.silent(timeouts.first_byte_s, asked) from exc
            except Exception as exc:  # the one edge where the SDK's errors become ours
                if (revised := _revised(exc, revise)) is not None:
                    body = revised
                    continue
                error = _refused(exc, asked)
                if isinstance(error, QuotaError) and self.opened_by.spend(taken.number):
                    yield Notice(text="a key's quota is used up: it is left out from now on")
                    continue
                pause = pause_before_retry(exc, retries=retries) if retries < max_retries else None
                if pause is None:
                    raise error from exc
            else:
                yield _accepted(response, asked, taken, stall_s=timeouts.stall_s)
                return
            retries += 1
            yield Retrying(attempt=retries, max_retries=max_retries, wait_s=pause.wait_s, reason=pause.reason)
            await asyncio.sleep(pause.wait_s)

    async def fetch(self, url: str, *, limit_bytes: int, timeout_s: float) -> bytes:
        """What is at an address of anybody's; see ``Clients.fetch``."""
        await _import_sdk()
        return await self._clients.fetch(url, limit_bytes=limit_bytes, timeout_s=timeout_s)

    async def get(self, path: str) -> Any:
        """What the server says at a path, as JSON; asked once.

        Raises:
            BackendError: It refuses.
        """
        await _import_sdk()
        taken = await self._take(Call(path=path, body={}), 0)
        try:
            return await self._clients.get(path, opening=taken.headers, timeout_s=_MODELS_TIMEOUT_S)
        except Exception as exc:
            raise failures.refused(exc, self.asked(secret=taken.secret)) from exc

    def asked(
        self,
        *,
        model: str = "",
        has_image: bool = False,
        feature: str = "",
        retries: int = 0,
        secret: str | None = None,
    ) -> failures.Asked:
        """Who is asked for what, as far as an error tells of it.

        Args:
            model: The model.
            has_image: The request holds a picture.
            feature: What of the server is asked for, "" for chat.
            retries: Retries so far. Count.
            secret: What the request was opened with.
        """
        return failures.Asked(
            address=urlsplit(self.base_url).netloc.rpartition("@")[2],
            model=model,
            key_name=self.opened_by.name,
            secrets=tuple(filter(None, (secret, *self.opened_by.secrets(), *self._clients.secrets()))),
            provider=self.provider,
            has_image=has_image,
            feature=feature,
            retries=retries,
        )

    async def aclose(self) -> None:
        """Close it; the next request opens it anew, with all keys. A client that was given is left alone."""
        self.opened_by.renew()
        await self._clients.aclose()

    async def _take(self, call: Call, retries: int) -> Taken:
        """What opens the next request, when it is its turn.

        Raises:
            BackendError: There is none.
        """
        self._require_key()
        try:
            taken = await self.opened_by.take()
        except BackendError:
            raise
        except Exception as exc:  # of a function of the user's
            raise _refused(exc, self.asked(model=call.model, retries=retries)) from exc
        if taken is None:
            count = len(self.opened_by.keys)
            raise QuotaError(
                f"The quotas of all {count} keys are used up.",
                hint="add credit and begin a new session, or give other keys",
                retries=retries,
            )
        if (wait_s := self.pace.wait_s()) > 0:
            await asyncio.sleep(wait_s)
        return taken

    async def _open(self, call: Call, body: Mapping[str, Any], taken: Taken, *, first_byte_s: float) -> Any:
        async with asyncio.timeout(first_byte_s):
            return await self._clients.post(
                self._path(call),
                body,
                opening=taken.headers,
                files=call.files,
                connect_s=min(_CONNECT_S, first_byte_s),
            )

    def _path(self, call: Call) -> str:
        """Where a request goes, below the address."""
        return call.path

    def _limits(self, call: Call) -> tuple[Timeouts, int]:
        """Timeouts and retries: those of this connection, else the request's."""
        timeouts, timeout = call.timeouts, self._clients.options.get("timeout")
        if timeout is not None:
            seconds = timeout if isinstance(timeout, int | float) else timeout.read
            timeouts = Timeouts(first_byte_s=seconds, stall_s=seconds)
        if not call.is_streaming:
            timeouts = replace(timeouts, first_byte_s=max(timeouts.first_byte_s, timeouts.stall_s))
        return timeouts, self._clients.options.get("max_retries", call.max_retries)

    def _require_key(self) -> None:
        if self.is_openai and not self.opened_by.keys and not self._clients.has_own_key:
            raise credentials.missing(urlsplit(self.base_url).hostname, self.opened_by.name)


def _credentials(api_key: Any, key_name: str | None, organization: Any, environ: Mapping[str, str]) -> Credentials:
    """Keys and organizations, of the environment where none are given."""
    keys: tuple[Key, ...] = credentials.keys_of(api_key, key_name or "api_key", environ)
    name = key_name or next((key.variable for key in keys if key.variable), None) or ("api_key" if keys else None)
    if not keys:
        variable = endpoint.first(environ, endpoint.KEY_VARIABLES)[0]
        keys = credentials.from_variable(variable, environ) if variable else ()
        name = name or variable or "OPENAI_API_KEY"
    return Credentials(keys, organizations=credentials.names(organization), name=name or "api_key")


def _accepted(response: Any, asked: failures.Asked, taken: Taken, *, stall_s: float) -> Accepted:
    request_id = response.headers.get("x-request-id") or response.headers.get("request-id")
    return Accepted(
        response=response,
        retries=asked.retries,
        asked=replace(asked, request_id=request_id),
        stall_s=stall_s,
        organization=taken.organization,
    )


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
