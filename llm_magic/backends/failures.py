"""What went wrong with a request → one error of ours: the only mapping there is.

In: an exception of the SDK or the transport, or an error that a server put into its stream. Out: a
``BackendError`` child with a message of one line and a hint; the caller raises it ``from`` the cause. A key
that the server echoes is masked, in the cause too.
"""

from __future__ import annotations

import re
import socket
import ssl
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from .. import catalog
from ..errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    ContextLengthError,
    QuotaError,
    RateLimitedError,
    RequestRejectedError,
    StreamInterruptedError,
    nearest,
)

Kind: TypeAlias = type[BackendError]
_WORDS_LIMIT = 300
_SECRET_WINDOW = 8
_SHORTEST_SECRET = 6
_SERVER_ERROR = 500
_DAY_S = 24 * 3600

# Every class of the SDK's error module, by name: nothing here imports the SDK.
KINDS: Mapping[str, Kind] = {
    "OpenAIError": RequestRejectedError,
    "SubjectTokenProviderError": AuthenticationError,
    "APIError": StreamInterruptedError,
    "APIResponseValidationError": StreamInterruptedError,
    "APIStatusError": RequestRejectedError,
    "APIConnectionError": RequestRejectedError,
    "APITimeoutError": BackendTimeoutError,
    "BadRequestError": RequestRejectedError,
    "AuthenticationError": AuthenticationError,
    "OAuthError": AuthenticationError,
    "PermissionDeniedError": AuthenticationError,
    "NotFoundError": RequestRejectedError,
    "ConflictError": RequestRejectedError,
    "UnprocessableEntityError": RequestRejectedError,
    "RateLimitError": RateLimitedError,
    "InternalServerError": RequestRejectedError,
    "LengthFinishReasonError": StreamInterruptedError,
    "ContentFilterFinishReasonError": RequestRejectedError,
    "InvalidWebhookSignatureError": RequestRejectedError,
    "WebSocketConnectionClosedError": StreamInterruptedError,
    "WebSocketQueueFullError": RateLimitedError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a server's words mean, whatever status they come with.

    Attributes:
        kind: Our error.
        says: How the message begins.
        hint: What to do.
        words: Found in the error's code, type or text.
        needs_image: Only where the request holds a picture.
    """

    kind: Kind
    says: str
    hint: str
    words: re.Pattern[str]
    needs_image: bool = False


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "connection refused"),
    (socket.gaierror, "unknown host"),
    (ConnectionResetError, "connection reset"),
)
_NAMED_REASONS: Mapping[str, str] = {
    "ConnectTimeout": "no connection in time",
    "RemoteProtocolError": "connection closed",
}
# The first that fits wins. The texts are those of OpenAI, vLLM, llama.cpp, Anthropic, Google, OpenRouter and
# Ollama.
_MEANINGS = (
    _Meaning(
        kind=QuotaError,
        says="The account's quota is used up",
        hint="add credit, or use another key",
        words=re.compile(
            r"insufficient_quota|billing_hard_limit|billing_not_active|exceeded your current quota"
            r"|insufficient (?:credit|balance|funds|quota)|credit balance is too low",
            re.IGNORECASE,
        ),
    ),
    _Meaning(
        kind=ContextLengthError,
        says="The conversation is longer than the model's context window",
        hint="--fresh asks without the turns before, %chat new starts an empty conversation",
        words=re.compile(
            r"context_length_exceeded|exceed_context_size|maximum context length|available context size"
            r"|maximum model length|context (?:window|length|size)[^.]{0,60}exceed|exceed[^.]{0,60}context"
            r"|prompt is too long|input token count[^.]{0,60}exceed",
            re.IGNORECASE,
        ),
    ),
    _Meaning(
        kind=RequestRejectedError,
        says="The model does not take pictures",
        hint="ask one that does with -m, or leave the picture out; %chat new starts without it",
        words=re.compile(r"image|vision|multimodal|mmproj", re.IGNORECASE),
        needs_image=True,
    ),
)
_MODEL_MISSING = re.compile(
    r"model_not_found|\bmodel\b.*(?:not exist|not found|unknown)|unknown model", re.IGNORECASE | re.DOTALL
)
_MODEL_STATUSES = (400, 404)
_STATUSES: Mapping[int, tuple[Kind, str, str | None]] = {
    401: (AuthenticationError, "The key was refused", "check {key_name}"),
    402: (QuotaError, "The account's quota is used up", "add credit, or use another key"),
    403: (
        AuthenticationError,
        "Access was denied",
        "the key may not do this; check organization, project and model",
    ),
    404: (RequestRejectedError, "Nothing is there", "check base_url, it mostly ends in /v1"),
    413: (RequestRejectedError, "The request is too large", "send less at once"),
    429: (RateLimitedError, "Too many requests", "try again in a moment, or ask less at once"),
}
_NO_SUCH_PLACE = (404, 405)
_REACHED_NOBODY = frozenset(("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol", "PoolTimeout"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who was asked for what, as far as an error tells of it.

    Attributes:
        address: Host and port.
        model: The model asked for.
        key_name: Where the key came from: an environment variable or "api_key".
        secrets: What must not be shown.
        provider: Provider id, None where unknown.
        has_image: The request holds a picture.
        feature: What of the server was asked for ("embeddings"), "" for chat.
        retries: Retries so far. Count.
        request_id: The server's id of the request, None where unknown.
    """

    address: str
    model: str
    key_name: str = "api_key"
    secrets: tuple[str, ...] = field(default=(), repr=False)
    provider: str | None = None
    has_image: bool = False
    feature: str = ""
    retries: int = 0
    request_id: str | None = None


def refused(exc: Exception, asked: Asked, *, retry_after_s: float | None = None) -> BackendError:
    """The error for a request that was not answered.

    Args:
        exc: What the SDK raised; its texts are masked.
        asked: Who was asked for what.
        retry_after_s: How long the server wants to be left alone, where that is too long to wait.
    """
    _mask_exception(exc, asked.secrets)
    status = getattr(exc, "status_code", None)
    if isinstance(status, int):
        return _by_status(exc, status, asked, retry_after_s)
    names = _names(exc)
    if "APIConnectionError" in names:
        return _unreachable(exc, asked)
    kind = next((KINDS[name] for name in names if name in KINDS), RequestRejectedError)
    words = one_line(str(exc), asked.secrets) or type(exc).__name__
    return _error(kind, f"The request could not be sent: {words}", asked)


def reported(error: Any, asked: Asked) -> BackendError:
    """The error for one that the server put into an accepted reply."""
    words = one_line(words_of({"error": error}), asked.secrets) or "no reason given"
    meaning = _meaning(f"{_codes(error)} {words}", asked)
    if meaning is not None:
        return _error(meaning.kind, f"{meaning.says}: {words}", asked, hint=meaning.hint, is_billable=True)
    return _error(StreamInterruptedError, f"The server broke off: {words}", asked, hint="ask again", is_billable=True)


def broken(exc: Exception, asked: Asked) -> BackendError:
    """The error for a connection that broke while the reply was read."""
    _mask_exception(exc, asked.secrets)
    words = one_line(str(exc), asked.secrets) or type(exc).__name__
    return _error(
        StreamInterruptedError,
        f"The connection broke off: {words}",
        asked,
        hint="ask again",
        is_billable=True,
    )


def garbled(read: str, asked: Asked) -> BackendError:
    """The error for a piece of a stream that cannot be understood."""
    words = one_line(read, asked.secrets, limit=80)
    return _error(
        StreamInterruptedError,
        f"The server sent something that is not an answer: {words}",
        asked,
        is_billable=True,
        reply=read,
    )


def unfinished(asked: Asked) -> BackendError:
    """The error for a stream that ended without its end."""
    return _error(
        StreamInterruptedError,
        "The answer ended without its end mark",
        asked,
        hint="ask again",
        is_billable=True,
    )


def silent(seconds: float, asked: Asked) -> BackendError:
    """The error for a server that does not begin to reply. It may have worked, so it is not asked again."""
    hint = "first_byte_timeout_s sets how long to wait"
    return _error(
        BackendTimeoutError,
        f"{asked.address} did not reply within {seconds:g} s",
        asked,
        hint=hint,
        is_billable=True,
    )


def stalled(seconds: float, asked: Asked) -> BackendError:
    """The error for a reply that stopped coming."""
    hint = "stall_timeout_s sets how long to wait"
    return _error(BackendTimeoutError, f"The answer stalled after {seconds:g} s", asked, hint=hint, is_billable=True)


def no_completion(read: str, asked: Asked) -> BackendError:
    """The error for a reply of another kind: a proxy's page, another protocol."""
    words = one_line(read, asked.secrets) or "an empty reply"
    return _error(
        RequestRejectedError,
        f"The server's reply is not a chat completion: {words}",
        asked,
        hint="check base_url, it mostly ends in /v1",
        is_billable=True,
        reply=read,
    )


def no_such_reply(read: str, wanted: str, asked: Asked) -> BackendError:
    """The error for a reply of another kind than an endpoint gives."""
    words = one_line(read, asked.secrets) or "an empty reply"
    return _error(
        RequestRejectedError,
        f"The server's reply holds no {wanted}: {words}",
        asked,
        hint="check model and base_url",
        is_billable=True,
        reply=read,
    )


def no_model_list(asked: Asked) -> BackendError:
    """The error for a reply to "which models?" that names none."""
    return _error(RequestRejectedError, f"{asked.address} does not list its models", asked, hint="name one with -m")


def _by_status(exc: Exception, status: int, asked: Asked, retry_after_s: float | None) -> BackendError:
    body = getattr(exc, "body", None)
    words = one_line(words_of(body) or str(exc), asked.secrets)
    kind = next((KINDS[name] for name in _names(exc) if name in KINDS), RequestRejectedError)
    kind, says, hint = _meant(kind, status, f"{_codes(body)} {words}", asked)
    after = "" if not asked.retries else " after a retry" if asked.retries == 1 else f" after {asked.retries} retries"
    return _error(
        kind,
        f"{says}{after} (HTTP {status})" + (f": {words}" if words else ""),
        asked,
        hint=hint if retry_after_s is None else _when(retry_after_s),
        status_code=status,
        request_id=getattr(exc, "request_id", None),
    )


def _meant(kind: Kind, status: int, text: str, asked: Asked) -> tuple[Kind, str, str | None]:
    """Our error for a status and a server's words, how its message begins, and its hint."""
    # llama.cpp answers a picture with 500; other words of a server that failed mean nothing.
    meaning = _meaning(text, asked) if status < _SERVER_ERROR or asked.has_image else None
    if meaning is not None:
        return meaning.kind, meaning.says, meaning.hint
    if status >= _SERVER_ERROR:
        return kind, "The server failed", "try again later"
    if status in _MODEL_STATUSES and _MODEL_MISSING.search(text):
        return kind, "There is no such model", _model_hint(asked)
    if status in _NO_SUCH_PLACE and asked.feature:
        return kind, f"{asked.address} has no {asked.feature}", "name a model of a server that has, with model="
    kind, says, hint = _STATUSES.get(status, (kind, "The request was refused", None))
    return kind, says, hint.format(key_name=asked.key_name) if hint else None


def _unreachable(exc: Exception, asked: Asked) -> BackendError:
    names = {name for link in _chain(exc) for name in _names(link)}
    reason = reason_of(exc)
    if is_redirected_away(exc):
        says = f"{asked.address} redirects the request again and again"
        return _error(RequestRejectedError, says, asked, hint="check base_url; max_redirects sets how often it may")
    if not names & _REACHED_NOBODY:
        kind: Kind = BackendTimeoutError if "APITimeoutError" in names else StreamInterruptedError
        return _error(kind, f"{asked.address} broke off before its reply ({reason})", asked, hint="ask again")
    kind = BackendTimeoutError if "ConnectTimeout" in names else RequestRejectedError
    hint = (
        "is the server running? check base_url" if reason == "connection refused" else "check base_url and the network"
    )
    return _error(kind, f"Cannot reach {asked.address} ({reason})", asked, hint=hint)


def is_redirected_away(exc: BaseException) -> bool:
    """The server sent the request elsewhere more often than is followed."""
    return any("TooManyRedirects" in _names(link) for link in _chain(exc))


def reason_of(exc: BaseException) -> str:
    """Why there is no connection, in a few words."""
    links = list(_chain(exc))
    for link in links:
        for kind, words in _REASONS:
            if isinstance(link, kind):
                return words
        if isinstance(link, ssl.SSLError):
            return one_line(f"TLS: {getattr(link, 'reason', None) or link}", limit=80)
    names = {name for link in links for name in _names(link)}
    named = next((words for name, words in _NAMED_REASONS.items() if name in names), "")
    return named or one_line(str(links[-1]), limit=80) or type(links[-1]).__name__


def words_of(body: Any) -> str:
    """What a server says in an error's body, whatever form it has."""
    match body:
        case {"error": {"message": str(text)}} | {"error": str(text)}:
            words = text
        case {"message": str(text)} | {"detail": str(text)}:
            words = text
        case {"detail": [{"msg": str(text), **more}, *_]}:
            words = ".".join(str(step) for step in (*_listed(more.get("loc")), "")).strip(".")
            words = f"{words}: {text}" if words else text
        case [first, *_]:  # Google wraps its errors in a list
            words = words_of(first)
        case str(text):
            title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
            words = title[1] if title else re.sub(r"<[^>]*>", " ", text)
        case _:
            words = "" if body is None else str(body)
    return words


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def one_line(text: str, secrets: tuple[str, ...] = (), *, limit: int = _WORDS_LIMIT) -> str:
    """A text as one line: secrets masked, control characters removed, cut at a limit, no full stop."""
    # A long text is cut before it is worked on, but so far behind the limit that no secret is cut in two.
    text = masked(text[: limit * 10], secrets)
    text = "".join(" " if char.isspace() else char for char in text if char.isspace() or _is_shown(char))
    text = " ".join(text.split())
    return text[: limit - 1] + "…" if len(text) > limit else text.removesuffix(".")


def _is_shown(char: str) -> bool:
    return unicodedata.category(char)[0] != "C"


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """A text without secrets: wherever eight characters in a row are one's, there is ``***``."""
    for secret in secrets:
        size = min(_SECRET_WINDOW, len(secret))
        if size < _SHORTEST_SECRET:
            continue
        windows = {secret[start : start + size] for start in range(len(secret) - size + 1)}
        if any(window in text for window in windows):
            text = _masked_windows(text, windows, size)
    return text


def _masked_windows(text: str, windows: set[str], size: int) -> str:
    spans: list[tuple[int, int]] = []
    for start in range(len(text) - size + 1):
        if text[start : start + size] in windows:
            begin = spans.pop()[0] if spans and spans[-1][1] >= start else start
            spans.append((begin, start + size))
    for begin, end in reversed(spans):
        text = f"{text[:begin]}***{text[end:]}"
    return text


def _mask_exception(exc: BaseException, secrets: tuple[str, ...]) -> None:
    """Mask what a logged traceback of the cause would print."""
    for link in _chain(exc):
        link.args = tuple(masked(item, secrets) if isinstance(item, str) else item for item in link.args)
        if "message" in vars(link):
            link.message = masked(str(link.message), secrets)  # type: ignore[attr-defined]  # just looked up


def _meaning(text: str, asked: Asked) -> _Meaning | None:
    for meaning in _MEANINGS:
        if meaning.words.search(text) and (asked.has_image or not meaning.needs_image):
            return meaning
    return None


def _codes(body: Any) -> str:
    """Code and type of an error's body: servers are surer of those than of their texts."""
    if not isinstance(body, Mapping):
        return ""
    inner = body.get("error")
    source = inner if isinstance(inner, Mapping) else body
    return f"{source.get('code') or ''} {source.get('type') or ''}"


def _model_hint(asked: Asked) -> str:
    match = nearest(asked.model, catalog.known_models(asked.provider)) if asked.provider else None
    return f"did you mean {match}?" if match and match != asked.model else "%chat models lists those it has"


def _when(seconds: float) -> str:
    if seconds > _DAY_S:
        return "the server asks to wait for more than a day"
    at = datetime.now().astimezone() + timedelta(seconds=seconds)
    return f"the server asks to wait {seconds:.0f} s: try again after {at:%H:%M}"


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """An exception and what caused it, outermost first, groups opened."""
    seen: set[int] = set()
    links: list[BaseException | None] = [exc]
    while links:
        link = links.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        links += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            links += link.exceptions


def _names(exc: BaseException) -> list[str]:
    return [kind.__name__ for kind in type(exc).__mro__]


def _error(
    kind: Kind,
    message: str,
    asked: Asked,
    *,
    hint: str | None = None,
    status_code: int | None = None,
    request_id: str | None = None,
    is_billable: bool = False,
    reply: str | None = None,
) -> BackendError:
    end = "" if message.endswith(("…", "?", "!")) else "."
    return kind(
        message + end,
        hint=hint,
        status_code=status_code,
        request_id=request_id or asked.request_id,
        retries=asked.retries,
        is_billable=is_billable,
        reply=None if reply is None else masked(reply, asked.secrets),
    )
