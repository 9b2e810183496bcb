"""The error tree: what happened, what to do about it, one line in a notebook.

Every error a user can meet is an :class:`LLMMagicError` (or :class:`Interrupted`). IPython asks
``_render_traceback_`` how to show an exception: ours answer with a single line, which is still a real
error output and stops Run All. Nothing here holds a key or the text of a prompt.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class LLMMagicError(Exception):
    """Base of all errors of this package.

    Args:
        message: What happened, with the value that caused it.
        hint: What to do, a sentence without a full stop at the end; None where there is nothing to advise.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        return f"{self.message}  Hint: {self.hint}" + ("" if self.hint[-1:] in "?." else ".")

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only attributes are state, not arguments; a cause (it may hold a request) never travels.
        return type(self), (self.message,), dict(self.__dict__)

    def _render_traceback_(self, *_: object) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class ConfigurationError(LLMMagicError):
    """A setting, option or command is unknown or its value does not fit."""


class InterpolationError(LLMMagicError):
    """An expression in ``{{ }}`` could not be evaluated; nothing was sent."""


class ContentError(LLMMagicError):
    """A value cannot become content of a message."""


class SchemaError(ContentError):
    """A value, such as an answer, does not fit the type that was asked for.

    Attributes:
        problems: What does not fit, one short line each, with its path.
    """

    def __init__(self, message: str, *, hint: str | None = None, problems: Iterable[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class ToolError(LLMMagicError):
    """A tool cannot be offered or called."""


class SessionBusyError(LLMMagicError):
    """A conversation was asked from inside its own answer."""


class BudgetExceededError(LLMMagicError):
    """A budget is spent."""


class MissingDependencyError(LLMMagicError):
    """An optional package is needed and not installed."""


class StoreError(LLMMagicError):
    """A conversation cannot be saved or loaded."""


class BackendError(LLMMagicError):
    """A request to a model failed.

    Attributes:
        status_code: HTTP status of the reply, None where there was none.
        request_id: The server's id of the request, None where it sent none.
        retries: Retries that went before this error. Count.
        is_billable: True where the server may have worked on the request (and may bill it): it accepted the
            request, or it stayed silent. False where it refused it or was never reached.
        reply: The beginning of what the server sent where it could not be read as an answer, without keys; for
            looking at, never shown. None elsewhere.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        status_code: int | None = None,
        request_id: str | None = None,
        retries: int = 0,
        is_billable: bool = False,
        reply: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status_code = status_code
        self.request_id = request_id
        self.retries = retries
        self.is_billable = is_billable
        self.reply = reply


class AuthenticationError(BackendError):
    """The key is missing, wrong, or not allowed to do this (HTTP 401, 403)."""


class QuotaError(BackendError):
    """The account's quota or credit is used up; trying again does not help."""


class RateLimitedError(BackendError):
    """Too many requests, and the retries are used up (HTTP 429)."""


class RequestRejectedError(BackendError):
    """The server refused the request (HTTP 400, 404, 409, 413, 422) or could not handle it (5xx)."""


class ContextLengthError(BackendError):
    """The conversation and the prompt are longer than the model's context window."""


class BackendTimeoutError(BackendError):
    """No first byte, or no further byte, within its time."""


class StreamInterruptedError(BackendError):
    """The answer broke off: connection lost, garbage, an error event, or an end without its end mark."""


class Interrupted(KeyboardInterrupt):  # the name the user reads; like its parent, not an error
    """The user interrupted an answer: what had arrived is kept. One line, and still stops Run All.

    Attributes:
        frame: What a ``map()`` had by then, a DataFrame; None elsewhere.
    """

    frame: Any = None

    def _render_traceback_(self, *_: object) -> list[str]:
        return [f"{type(self).__name__}: {self}" if str(self) else type(self).__name__]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None where none is close.

    >>> nearest("temprature", ["temperature", "seed"])
    'temperature'
    """
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """A hint that names the nearest known name, or ``otherwise``.

    >>> did_you_mean("phto", ["photo", "df"])
    'did you mean photo?'
    """
    match = nearest(name, known)
    return f"did you mean {match}?" if match else otherwise
