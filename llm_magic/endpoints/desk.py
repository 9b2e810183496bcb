"""The desk that sends requests to endpoints other than chat, in a session's name.

Comes in: what to send where, and how its reply is read. Goes out: what it says. Each request goes through the session's
engine, its places, its backend's retries and pace, and has exactly one row in the ledger, whatever becomes of it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar

from .. import api, catalog
from ..backends.base import Timeouts
from ..backends.connection import Call
from ..backends.posting import Posting
from ..backends.registry import Choice, model_name
from ..call_log import CallEvent
from ..counts import Usage
from ..errors import BackendError, BackendTimeoutError, ConfigurationError, LLMMagicError
from ..ledger import LedgerRow
from ..parameters import check_is_parameter
from ..turns import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from ..backends.base import Backend
    from ..backends.connection import Revise
    from ..backends.posting import Posted
    from ..session import Session

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint.

    Attributes:
        kind: What the ledger calls its requests.
        api: What the ledger calls it.
        path: Where it is, below a server's address.
        feature: What errors call it, in the plural: "embeddings".
        default_model: Asked of OpenAI where no model is named; None asks the model that is chatted with.
    """

    kind: str
    api: str
    path: str
    feature: str
    default_model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Generic[T]):
    """What a reply says.

    Attributes:
        value: What was asked for.
        usage: Tokens as the server says; None where it does not.
        model: The model that answered, None where it does not say.
        finish_reason: As the server says, None where it does not.
    """

    value: T
    usage: Usage | None = None
    model: str | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending(Generic[T]):
    """One request, and how its reply is read.

    Attributes:
        body: JSON, or the further fields of a form; the model is put into it.
        read: Makes what was asked for of the reply; raises a ``BackendError`` where it is something else.
        estimate: Tokens where the server reports none.
        files: The files of a form.
        revise: See ``Connection.send``.
        is_priced: The estimate is all that is billed; False where it leaves out what cannot be counted, such as sound.
    """

    body: Mapping[str, Any]
    read: Callable[[Posted], Said[T]]
    estimate: Callable[[], Usage]
    files: tuple[tuple[str, tuple[str, bytes, str]], ...] = ()
    revise: Revise | None = None
    is_priced: bool = True


class Desk:
    """Sends the requests of one call to an endpoint.

    Args:
        endpoint: Where.
        model: Which model; None takes the endpoint's own, or the one that is chatted with.
        backend: Asked instead of the configured one.
        timeout_s: Seconds for each request as a whole, None for no limit.

    Attributes:
        model: The model that is asked.

    Raises:
        LLMMagicError: Nobody can be asked.
    """

    def __init__(
        self, endpoint: Endpoint, *, model: str | None, backend: Backend | None = None, timeout_s: float | None = None
    ) -> None:
        self._endpoint = endpoint
        self._session: Session = api.session()
        conversation = api.conversation()
        look_up = self._session.look_up(conversation, {"model": model})
        choice = self._chosen(model, backend or conversation.backend)
        self.model = choice.model
        if not isinstance(choice.backend, Posting) or not choice.backend.has_path(endpoint.path):
            hint = "name a model of a server that has, with model="
            raise ConfigurationError(f"The backend {choice.backend.name!r} has no {endpoint.feature}.", hint=hint)
        self._backend: Posting = choice.backend
        self._info = choice.backend.info()
        self._timeout_s = timeout_s
        self._timeouts = Timeouts(
            first_byte_s=look_up("first_byte_timeout_s").value, stall_s=look_up("stall_timeout_s").value
        )
        self._max_retries: int = look_up("max_retries").value

    def _chosen(self, model: str | None, backend: Backend | None) -> Choice:
        endpoint = self._endpoint
        look_up = self._session.look_up(api.conversation(), {"model": model})
        if backend is not None:
            named = model or endpoint.default_model or look_up("model").value
            if not named:
                raise ConfigurationError("model is required with a backend of your own.", hint="name it with model=")
            return Choice(backend=backend, model=named)
        if model is not None or endpoint.default_model is None or model_name(look_up) == catalog.LOCAL_MODEL:
            return self._session.resolve(look_up)
        choice = self._session.resolve(
            self._session.look_up(api.conversation(), {"model": endpoint.default_model}),
        )
        if choice.backend.info().provider != "openai":
            raise ConfigurationError(
                f"model is required for {endpoint.feature} of {choice.backend.name!r}.", hint="name it with model="
            )
        return choice

    async def send(self, sending: Sending[T]) -> T:
        """Send a request and give what its reply says. On the engine's loop.

        Raises:
            BackendError: It failed.
        """
        entry = _Entry(self._session, self._endpoint, self._info, self.model)
        said: Said[T] | None = None
        error: LLMMagicError | None = None
        status = "interrupted"
        try:
            async with asyncio.timeout(self._timeout_s), self._session.places.taken(_nobody, has_waited=False):
                if not self._info.is_local:
                    self._session.gate.require()
                entry.begin()
                said = await self._said(sending, entry)
                status = "complete"
        except TimeoutError as exc:
            status = "failed"
            error = BackendTimeoutError(f"No whole answer within {self._timeout_s} s.", is_billable=entry.is_begun)
            raise error from exc
        except LLMMagicError as exc:
            status, error = "failed", exc
            raise
        finally:
            entry.end(status, sending, said=said, error=error)
            # What was paid for is in the store before the cell ends; who interrupts wants that at once.
            await self._session.flush(is_waiting=status != "interrupted")
        return said.value

    async def _said(self, sending: Sending[T], entry: _Entry) -> Said[T]:
        endpoint = self._endpoint
        call = Call(
            path=endpoint.path,
            body={"model": self.model, **sending.body},
            files=sending.files,
            model=self.model,
            feature=endpoint.feature,
            timeouts=self._timeouts,
            max_retries=self._max_retries,
        )
        try:
            posted = await self._backend.post(call, revise=sending.revise)
            entry.note(posted)
            return sending.read(posted)
        except LLMMagicError:
            raise
        except Exception as exc:
            name = self._info.name
            message = f"The backend {name!r} failed: {type(exc).__name__}: {exc}"
            raise BackendError(message, is_billable=True) from exc


class _Entry:
    """The ledger's entry of one request."""

    def __init__(self, session: Session, endpoint: Endpoint, info: Any, model: str) -> None:
        self._session, self._endpoint, self._info, self._model = session, endpoint, info, model
        self._id = new_id()
        self._at, self._start = datetime.now(UTC), time.monotonic()
        self._posted: Posted | None = None
        self.is_begun = False

    def begin(self) -> None:
        """It has its place, and is about to be sent."""
        self.is_begun = True
        self._session.calls.note(self._event("started"))

    def _event(self, kind: Literal["started", "ended"]) -> CallEvent:
        return CallEvent(
            kind=kind,
            at=datetime.now(UTC),
            conversation="",
            turn_id=self._id,
            round=1,
            backend=self._info.name,
            model=self._model,
            n_messages=0,
        )

    def note(self, posted: Posted) -> None:
        """The server has replied."""
        self._posted = posted

    def end(self, status: str, sending: Sending[T], *, said: Said[T] | None, error: LLMMagicError | None) -> None:
        """Enter it, with what is known of it."""
        # What has been replied is billed, also where it is not what was wanted.
        may_be_billed = self._posted is not None or getattr(error, "is_billable", error is None)
        usage = said.usage if said is not None else None
        if usage is None and self.is_begun and may_be_billed:
            usage = replace(sending.estimate(), is_estimate=True)
        model = said.model if said is not None else None
        posted = self._posted
        row = LedgerRow(
            at=self._at,
            session=self._session.id,
            notebook=self._session.notebook,
            conversation="",
            turn_id=self._id,
            cell_id=None,
            kind=self._endpoint.kind,
            round=1,
            backend=self._info.name,
            requested_model=self._model,
            model=model,
            api=self._endpoint.api,
            status=status,
            finish_reason=said.finish_reason if said is not None else None,
            input_tokens=usage.input_tokens if usage else 0,
            cached_tokens=usage.cached_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else 0,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            total_tokens=usage.total_tokens if usage else 0,
            is_estimate=usage.is_estimate if usage else False,
            cost_usd=self._price(usage, model, is_priced=sending.is_priced),
            latency_s=time.monotonic() - self._start,
            ttft_s=None,
            retries=posted.retries if posted is not None else getattr(error, "retries", 0),
            request_id=posted.asked.request_id if posted is not None else getattr(error, "request_id", None),
            organization=(posted.organization if posted is not None else None) or self._info.organization,
        )
        self._session.record(row)
        if self.is_begun:
            self._session.calls.note(
                replace(
                    self._event("ended"),
                    model=model or self._model,
                    status=status,
                    finish_reason=row.finish_reason,
                    input_tokens=row.input_tokens,
                    output_tokens=row.output_tokens,
                    cost_usd=row.cost_usd,
                    latency_s=row.latency_s,
                    request_id=row.request_id,
                    error=error.message if error is not None else None,
                )
            )

    def _price(self, usage: Usage | None, model: str | None, *, is_priced: bool) -> float | None:
        if self._info.is_local or usage is None:
            return 0.0
        if usage.is_estimate and not is_priced:
            return None
        provider = self._info.provider
        for name in filter(None, (model, self._model)):
            known = catalog.cost_usd(usage, name, provider=provider, at=self._at)
            if known is not None:
                return known
        return None


def on_engine(coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """Run a coroutine on the engine's loop, awaited on the caller's."""
    return api.session().jobs.arun(coroutine)


def blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """The blocking form of an async function, also inside a running loop: same arguments, its name without the "a".

    An interrupt closes the connection and ends the call with one line.
    """

    @functools.wraps(function)
    def wait(*args: P.args, **options: P.kwargs) -> T:
        return api.session().jobs.run(function(*args, **options))

    wait.__name__ = function.__name__.removeprefix("a")
    wait.__qualname__ = wait.__name__
    return wait


def whole_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Request parameters that are sent: None is not.

    Raises:
        ConfigurationError: One is ours to decide.
    """
    if "stream" in params:
        raise ConfigurationError("This endpoint does not stream here.", hint="leave stream out")
    for name in params:
        check_is_parameter(name)
    return {name: value for name, value in params.items() if value is not None}


def usage_of(reported: Any) -> Usage | None:
    """Tokens as the endpoints report them, None where they do not (or tell seconds)."""
    if not isinstance(reported, dict):
        return None
    sent = reported.get("input_tokens", reported.get("prompt_tokens"))
    if not isinstance(sent, int):
        return None
    answered = reported.get("output_tokens", reported.get("completion_tokens")) or 0
    details = reported.get("input_tokens_details") or reported.get("input_token_details") or {}
    return Usage(
        input_tokens=sent,
        output_tokens=answered,
        total_tokens=reported.get("total_tokens") or sent + answered,
        cached_tokens=details.get("cached_tokens"),
        input_text_tokens=details.get("text_tokens"),
        input_image_tokens=details.get("image_tokens"),
        input_audio_tokens=details.get("audio_tokens"),
    )


def _nobody(_: object) -> None:
    """Nobody is told of a wait: there is no view."""
