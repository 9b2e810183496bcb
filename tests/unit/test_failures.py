"""What went wrong, as one error of ours."""

from __future__ import annotations

import inspect
import socket
import ssl
import traceback
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends import failures
from llm_magic.backends.failures import Asked, masked, one_line, words_of
from llm_magic.errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    ContextLengthError,
    QuotaError,
    RateLimitedError,
    RequestRejectedError,
    StreamInterruptedError,
)

CANARY = "sk-proj-CANARY0123456789abcdef"
ASKED = Asked(address="api.example.org", model="gpt-5.4-mimi", key_name="OPENAI_API_KEY", secrets=(CANARY,))
REQUEST = httpx2.Request("POST", "https://api.example.org/v1/chat/completions")
SDK_CLASSES = [
    member
    for _, member in inspect.getmembers(openai._exceptions, inspect.isclass)
    if issubclass(member, Exception) and member.__module__.startswith("openai")
]
STATUS_CLASSES = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
}


def status_error(status: int, body: Any) -> openai.APIStatusError:
    """What the SDK raises for a reply."""
    response = httpx2.Response(status, headers={"x-request-id": "req_1"}, request=REQUEST)
    return STATUS_CLASSES.get(status, openai.APIStatusError)(
        f"Error code: {status} - {body}", response=response, body=body
    )


def error_body(message: str, code: str | None = None) -> dict[str, Any]:
    """An error as OpenAI sends it."""
    return {"error": {"message": message, "code": code, "type": "invalid_request_error"}}


def connection_error(*causes: BaseException) -> openai.APIConnectionError:
    """What the SDK raises where there is no reply, with the causes below it."""
    error = openai.APIConnectionError(request=REQUEST)
    link: BaseException = error
    for cause in causes:
        link.__cause__ = cause
        link = cause
    return error


@pytest.mark.parametrize("kind", SDK_CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_the_sdk_has_its_place(kind: type[Exception]) -> None:
    """No error of the SDK's module is without one of ours."""
    assert issubclass(failures.KINDS[kind.__name__], BackendError)


def test_nothing_is_mapped_that_the_sdk_does_not_have() -> None:
    """The table holds no leftovers."""
    assert set(failures.KINDS) == {kind.__name__ for kind in SDK_CLASSES}


@pytest.mark.parametrize(
    ("status", "body", "kind", "says", "hint"),
    [
        (401, error_body("Incorrect API key"), AuthenticationError, "The key was refused (HTTP 401)", "OPENAI_API_KEY"),
        (403, error_body("no access"), AuthenticationError, "Access was denied", "project"),
        (402, error_body("pay"), QuotaError, "quota is used up", "credit"),
        (404, error_body("The model `x` does not exist"), RequestRejectedError, "no such model", "%chat models"),
        (404, error_body("model 'x' not found, try pulling it first"), RequestRejectedError, "no such model", "%chat"),
        (400, error_body("bad", "model_not_found"), RequestRejectedError, "no such model", "%chat models"),
        (404, "<html><title>404 Not Found</title></html>", RequestRejectedError, "Nothing is there", "base_url"),
        (409, error_body("busy"), RequestRejectedError, "refused (HTTP 409): busy", None),
        (413, error_body("big"), RequestRejectedError, "too large", "less"),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "no"}]}, RequestRejectedError, "body.seed: no", None),
        (429, error_body("slow down"), RateLimitedError, "Too many requests", "moment"),
        (429, error_body("no", "insufficient_quota"), QuotaError, "quota is used up", "another key"),
        (400, error_body("Your credit balance is too low"), QuotaError, "quota is used up", "another key"),
        (400, error_body("x", "context_length_exceeded"), ContextLengthError, "context window", "--fresh"),
        (400, error_body("maximum context length is 4096 tokens"), ContextLengthError, "context window", "--fresh"),
        (
            400,
            {"error": {"message": "request exceeds the available context size", "code": 400}},
            ContextLengthError,
            "context window",
            "%chat new",
        ),
        (
            400,
            {"object": "error", "message": "The prompt is longer than the maximum model length of 2048"},
            ContextLengthError,
            "context window",
            "%chat new",
        ),
        (
            400,
            error_body("prompt is too long: 300000 tokens > 200000"),
            ContextLengthError,
            "context window",
            "--fresh",
        ),
        (500, error_body("oops"), RequestRejectedError, "The server failed (HTTP 500): oops", "later"),
        (502, "<html><title>Bad Gateway</title></html>", RequestRejectedError, "(HTTP 502): Bad Gateway", "later"),
        (500, error_body("the image cannot be shown"), RequestRejectedError, "The server failed", "later"),
        (418, None, RequestRejectedError, "refused (HTTP 418)", None),
    ],
)
def test_a_status_becomes_one_line(
    status: int, body: Any, kind: type[BackendError], says: str, hint: str | None
) -> None:
    """Status and words decide kind, message and hint."""
    error = failures.refused(status_error(status, body), ASKED)

    assert type(error) is kind
    assert says in error.message
    assert "\n" not in str(error)
    assert (error.status_code, error.request_id, error.is_billable) == (status, "req_1", False)
    assert error.hint is None if hint is None else hint in (error.hint or "")


@pytest.mark.parametrize("status", [400, 500])
def test_a_picture_that_is_not_taken_is_named(status: int) -> None:
    """Only where there was one: the word alone means nothing. llama.cpp answers it with 500."""
    body = error_body("image input is not supported - hint: you may need to provide the mmproj")

    assert "take pictures" in failures.refused(status_error(status, body), replace(ASKED, has_image=True)).message
    assert "take pictures" not in failures.refused(status_error(status, body), ASKED).message


def test_a_mistyped_model_is_set_right() -> None:
    """The nearest of the provider's models is named."""
    error = failures.refused(
        status_error(404, error_body("The model does not exist", "model_not_found")), replace(ASKED, provider="openai")
    )

    assert error.hint == "did you mean gpt-5.4-mini?"


def test_retries_and_waits_are_told() -> None:
    """How often it was tried, and when to try again."""
    once = failures.refused(status_error(500, None), replace(ASKED, retries=1))
    twice = failures.refused(status_error(429, None), replace(ASKED, retries=2), retry_after_s=3600)
    never = failures.refused(status_error(429, None), ASKED, retry_after_s=float("inf"))

    assert "after a retry (HTTP 500)" in once.message
    assert "after 2 retries (HTTP 429)" in twice.message
    assert (once.retries, twice.retries) == (1, 2)
    assert "wait 3600 s: try again after " in (twice.hint or "")
    assert "more than a day" in (never.hint or "")


@pytest.mark.parametrize(
    ("causes", "kind", "says"),
    [
        (
            (httpx2.ConnectError("x"), OSError("All failed"), ConnectionRefusedError()),
            RequestRejectedError,
            "Cannot reach api.example.org (connection refused).",
        ),
        (
            (httpx2.ConnectError("x"), ExceptionGroup("many", [OSError("first"), ConnectionRefusedError()])),
            RequestRejectedError,
            "(connection refused)",
        ),
        ((httpx2.ConnectError("x"), socket.gaierror(-2, "y")), RequestRejectedError, "(unknown host)"),
        ((httpx2.ConnectError("x"), ssl.SSLError(1, "expired")), RequestRejectedError, "TLS"),
        ((httpx2.ProxyError("407 from the proxy"),), RequestRejectedError, "(407 from the proxy)"),
        ((httpx2.ConnectTimeout("x"),), BackendTimeoutError, "(no connection in time)"),
        ((httpx2.RemoteProtocolError("x"),), StreamInterruptedError, "before its reply (connection closed)"),
        ((httpx2.ReadError("x"), ConnectionResetError()), StreamInterruptedError, "(connection reset)"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named(
    causes: tuple[BaseException, ...], kind: type[BackendError], says: str
) -> None:
    """With host and reason, and without a status."""
    error = failures.refused(connection_error(*causes), ASKED)

    assert type(error) is kind
    assert says in error.message
    assert (error.status_code, error.is_billable) == (None, False)


@pytest.mark.parametrize("cause", [openai.OpenAIError("no credentials"), TypeError("not JSON"), ValueError("x" * 5000)])
def test_whatever_else_is_raised_becomes_ours(cause: Exception) -> None:
    """A request that cannot even be sent is a short line, too."""
    error = failures.refused(cause, ASKED)

    assert type(error) is RequestRejectedError
    assert error.message.startswith("The request could not be sent: ")
    assert len(error.message) < 400


@pytest.mark.parametrize(
    "error",
    [
        failures.broken(OSError(f"broke {CANARY}"), ASKED),
        failures.garbled(f"{{garbage {CANARY}", ASKED),
        failures.no_completion(f"<html>{CANARY}", ASKED),
        failures.reported({"message": f"bad {CANARY[:12]}"}, ASKED),
        failures.unfinished(ASKED),
        failures.stalled(600, ASKED),
        failures.silent(120, ASKED),
    ],
    ids=lambda error: str(error)[:25],
)
def test_an_accepted_request_may_be_billed(error: BackendError) -> None:
    """Whatever happened to its answer; and the key is in none of the messages, nor in what is kept of a reply."""
    assert error.is_billable
    assert "CANARY" not in f"{error} {vars(error)}"
    assert "\n" not in str(error)


def test_errors_inside_a_reply_are_told_apart() -> None:
    """A context that overflows in mid-stream is one; other forms of errors are read, too."""
    assert type(failures.reported({"message": "x", "code": "context_length_exceeded"}, ASKED)) is ContextLengthError
    assert type(failures.reported("plain text", ASKED)) is StreamInterruptedError
    assert "plain text" in failures.reported("plain text", ASKED).message
    assert "7" in failures.reported(7, ASKED).message


@pytest.mark.parametrize(
    "echoed", [CANARY, CANARY[:10], CANARY[-12:], f"{CANARY}{CANARY}", f"({CANARY}), {CANARY[3:20]}"]
)
def test_an_echoed_key_is_masked_everywhere(echoed: str) -> None:
    """Whole or in part, in the message and in the traceback of the cause."""
    cause = status_error(401, error_body(f"Incorrect API key provided: {echoed}. See the dashboard."))
    try:
        raise failures.refused(cause, ASKED) from cause
    except AuthenticationError as error:
        shown = "".join(traceback.format_exception(error))

    assert "***" in shown
    for start in range(len(CANARY) - 7):
        assert CANARY[start : start + 8] not in shown


@given(before=st.text(max_size=20), after=st.text(max_size=20), start=st.integers(0, 22))
def test_no_eight_characters_of_a_secret_are_shown(before: str, after: str, start: int) -> None:
    """Wherever they are."""
    shown = masked(f"{before}{CANARY[start:]}{after}", (CANARY,))

    assert not any(CANARY[at : at + 8] in shown for at in range(len(CANARY) - 7))


def test_words_that_are_too_short_for_a_secret_are_shown() -> None:
    """A key "ollama" is a placeholder, and "key" a word."""
    assert masked("the key is wrong", ("key",)) == "the key is wrong"
    assert masked("sk-tiny7 is wrong", ("sk-tiny7",)) == "*** is wrong"


@given(text=st.text(max_size=2000))
def test_words_of_a_server_are_one_short_line(text: str) -> None:
    """Without control characters, at most 300 characters."""
    line = one_line(text)

    assert len(line) <= 300
    assert line.isprintable()
    assert line == line.strip()


def test_long_words_are_cut_and_say_so() -> None:
    """An ellipsis stands for the rest."""
    assert one_line("x" * 301) == "x" * 299 + "…"
    assert one_line("x" * 300) == "x" * 300
    assert one_line("two\r\n lines\x1b[31m. ") == "two lines[31m"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "a"}, "a"),
        ({"message": "a"}, "a"),
        ({"detail": "a"}, "a"),
        ({"detail": [{"msg": "a", "loc": ["body", 0]}]}, "body.0: a"),
        ({"detail": [{"msg": "a"}]}, "a"),
        ([{"error": {"message": "a"}}], "a"),
        ("plain", "plain"),
        ("<html><head><title>a</title></head><body>b</body></html>", "a"),
        ("<p>a</p>", " a "),
        ({"odd": 1}, "{'odd': 1}"),
        ([], "[]"),
        (None, ""),
    ],
)
def test_the_words_of_an_error_are_found(body: Any, words: str) -> None:
    """In every form servers send them."""
    assert words_of(body) == words
