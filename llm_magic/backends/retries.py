"""Whether a request that failed before its first byte is sent again, and when: the SDK's rules, made visible.

Differences on purpose: a used-up quota is never tried again, and neither is a server that stayed silent.
"""

from __future__ import annotations

import email.utils
import math
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import failures

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
LONGEST_RETRY_AFTER_S = 120.0
_SERVER_ERROR = 500
_REASONS = {408: "the server timed out", 409: "conflict", 429: "rate limited"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """What to do before the next try.

    Attributes:
        wait_s: How long to wait, in seconds.
        reason: Why there is a next try, in a few words.
    """

    wait_s: float
    reason: str


def pause_before_retry(exc: Exception, *, retries: int) -> Pause | None:
    """How long to wait before the next try; None where there is no use in one.

    Args:
        exc: What the SDK raised.
        retries: Retries made so far. Count.
    """
    status = getattr(exc, "status_code", None)
    if not isinstance(status, int):
        is_lost = "APIConnectionError" in (kind.__name__ for kind in type(exc).__mro__)
        if not is_lost or failures.is_redirected_away(exc):
            return None
        return Pause(wait_s=_backoff_s(retries), reason=failures.reason_of(exc))
    headers = headers_of(exc)
    after_s = retry_after_s(headers)
    if after_s is not None and after_s > LONGEST_RETRY_AFTER_S:
        return None
    if getattr(exc, "code", None) == "insufficient_quota" or not _may_retry(status, headers):
        return None
    reason = _REASONS.get(status) or (f"server error {status}" if status >= _SERVER_ERROR else f"HTTP {status}")
    return Pause(wait_s=after_s or _backoff_s(retries), reason=reason)


def headers_of(exc: Exception) -> Mapping[str, str]:
    """The headers of the reply an exception tells of."""
    headers: Mapping[str, str] = getattr(getattr(exc, "response", None), "headers", {})
    return headers


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long the server asks to wait, in seconds; None where it does not, or until a time that is over."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        return seconds if seconds > 0 and not math.isnan(seconds) else None
    try:
        at = email.utils.parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    seconds = at.timestamp() - time.time()
    return seconds if seconds > 0 else None


def _may_retry(status: int, headers: Mapping[str, str]) -> bool:
    match headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
        case _:
            return status in _REASONS or status >= _SERVER_ERROR


def _backoff_s(retries: int) -> float:
    wait_s: float = min(_FIRST_WAIT_S * 2.0 ** min(retries, 10), _LONGEST_WAIT_S)
    return wait_s * (1 - 0.25 * random.random())  # noqa: S311  # jitter, not a secret
