"""Whether and when a failed request is sent again."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import httpx2
import openai
import pytest

from llm_magic.backends.retries import pause_before_retry, retry_after_s

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def status_error(status: int, headers: dict[str, str] | None = None, body: Any = None) -> openai.APIStatusError:
    """What the SDK raises for a status."""
    response = httpx2.Response(status, headers=headers or {}, request=REQUEST)
    kind = {429: openai.RateLimitError}.get(status, openai.APIStatusError)
    return kind("no", response=response, body=body)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_passing_faults_are_tried_again(status: int) -> None:
    """Time-outs, conflicts, rate limits, server errors."""
    assert pause_before_retry(status_error(status), retries=0) is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_refusals_are_not(status: int) -> None:
    """The same request would be refused again."""
    assert pause_before_retry(status_error(status), retries=0) is None


def test_the_server_may_decide() -> None:
    """``x-should-retry`` counts before the status."""
    assert pause_before_retry(status_error(400, {"x-should-retry": "true"}), retries=0) is not None
    assert pause_before_retry(status_error(500, {"x-should-retry": "false"}), retries=0) is None


@pytest.mark.capability("H11")
def test_a_used_up_quota_is_not_tried_again() -> None:
    """It comes with status 429, and waiting does not fill it."""
    quota = status_error(429, {"retry-after": "1"}, {"code": "insufficient_quota"})

    assert pause_before_retry(quota, retries=0) is None


def test_connections_are_tried_again_and_say_why() -> None:
    """Refused, reset, or without an answer in time."""
    refused = openai.APIConnectionError(request=REQUEST)
    refused.__cause__ = ConnectionRefusedError(111, "refused")

    pause = pause_before_retry(refused, retries=0)

    assert pause is not None
    assert pause.reason == "connection refused"
    assert pause_before_retry(ValueError("ours"), retries=0) is None


@pytest.mark.parametrize(("retries", "longest"), [(0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (5, 8.0), (2000, 8.0)])
def test_waits_double_up_to_eight_seconds(retries: int, longest: float) -> None:
    """With up to a quarter taken off, so that many clients do not come back at once."""
    waits = [pause_before_retry(status_error(500), retries=retries) for _ in range(50)]

    assert all(pause is not None and 0.75 * longest <= pause.wait_s <= longest for pause in waits)
    assert len({pause.wait_s for pause in waits if pause is not None}) > 1


@pytest.mark.capability("H1")
@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ],
)
def test_the_servers_wait_is_kept(headers: dict[str, str], wait_s: float) -> None:
    """In seconds, whole or not, or in milliseconds."""
    pause = pause_before_retry(status_error(429, headers), retries=3)

    assert pause is not None
    assert (pause.wait_s, pause.reason) == (wait_s, "rate limited")


@pytest.mark.capability("H11")
def test_a_wait_of_more_than_two_minutes_is_not_waited() -> None:
    """Who asks in a notebook wants to know now."""
    assert pause_before_retry(status_error(429, {"retry-after": "120"}), retries=0) is not None
    assert pause_before_retry(status_error(429, {"retry-after": "121"}), retries=0) is None
    assert pause_before_retry(status_error(503, {"retry-after": "1e999"}), retries=0) is None


def test_retry_after_may_be_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP knows both forms; a date that is over, nonsense and no number are no wait."""
    now = 1_790_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)

    def on(seconds: float) -> dict[str, str]:
        return {"retry-after": email.utils.formatdate(now + seconds, usegmt=True)}

    assert retry_after_s(on(30)) == 30.0
    assert retry_after_s(on(-30)) is None
    for value in ("soon", "nan", "-3", "0"):
        assert retry_after_s({"retry-after": value}) is None
    assert retry_after_s({}) is None
