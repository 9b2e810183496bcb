"""Whatever goes wrong: a typed error or a marked partial turn, an exact ledger, an end in time, nothing left behind.

Each case is one ask of a session over a real connection, to a server that misbehaves on purpose: our own, and llmock's
as a second opinion.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llmock.scenarios import Delay, Fail, SlowFirstToken, StreamFault
from llmock.testing import LLMockServer

from llm_magic import errors
from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.engine import shared_engine
from llm_magic.session import Session
from tests.fakes.answers import words
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_magic.turns import Turn

# For servers that keep us waiting, whose own patience is longer; and for all others, on a loaded machine too.
SHORT_S, LONG_S = 1.0, 60.0
WAITING = ("stall", "silent")
PROMPT = "hello there, world"
# What an ask may take beyond its timeouts: a machine that does three things at once, not a hang.
SLACK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault and how it must end.

    Attributes:
        model: What the server is asked for, and so what it does.
        error: The class of error that is raised; None where the answer is whole.
        status: The status of the turn and of its ledger row.
        pieces: How much of the answer arrives, in pieces; None where it is whole.
        retries: Retries that are made.
        options: Options of the ask.
    """

    model: str
    error: type[BaseException] | None = None
    status: str = "failed"
    pieces: int | None = 0
    retries: int = 0
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "-".join([self.model, *(f"{name}={value}" for name, value in self.options)])


def refused(model: str, error: type[BaseException], **more: Any) -> Case:
    """A request that is refused: nothing comes, nothing is billed."""
    return Case(model=model, error=error, **more)


def whole(case: Case) -> Case:
    """The same, of an answer that is asked for in one piece."""
    return Case(
        model=case.model,
        error=case.error,
        status=case.status,
        pieces=case.pieces,
        retries=case.retries,
        options=(*case.options, ("stream", False)),
    )


REFUSED = (
    refused("status-400", errors.RequestRejectedError),
    refused("status-401", errors.AuthenticationError),
    refused("status-402", errors.BackendError),
    refused("status-403", errors.AuthenticationError),
    refused("status-404", errors.RequestRejectedError),
    refused("status-405", errors.RequestRejectedError),
    refused("status-408@0.01", errors.BackendError, retries=1),
    refused("status-409@0.01", errors.RequestRejectedError, retries=1),
    refused("status-413", errors.RequestRejectedError),
    refused("status-418", errors.BackendError),
    refused("status-422", errors.RequestRejectedError),
    refused("status-429@0.01", errors.RateLimitedError, retries=1),
    refused("status-429@7200", errors.RateLimitedError),
    refused("status-500@0.01", errors.RequestRejectedError, retries=1),
    refused("status-502@0.01", errors.RequestRejectedError, retries=1),
    refused("status-503@0.01", errors.RequestRejectedError, retries=1),
    refused("status-504@0.01", errors.RequestRejectedError, retries=1),
    refused("status-529@0.01", errors.RequestRejectedError, retries=1),
    refused("no-retry-500", errors.RequestRejectedError),
    refused("quota", errors.QuotaError),
    refused("context", errors.ContextLengthError),
    refused("context-llama", errors.ContextLengthError),
    refused("wants-no-limit", errors.RequestRejectedError, options=(("max_tokens", 5),)),
)
BROKEN = tuple(
    Case(model=f"{fault}@{pieces}", error=error, status="truncated" if pieces else "failed", pieces=pieces)
    for fault, error in (
        ("stall", errors.BackendTimeoutError),
        ("drop", errors.StreamInterruptedError),
        ("truncated", errors.StreamInterruptedError),
        ("truncated-in-event", errors.StreamInterruptedError),
        ("garbage", errors.StreamInterruptedError),
        ("misshapen", errors.StreamInterruptedError),
        ("error-event", errors.StreamInterruptedError),
        ("context-event", errors.ContextLengthError),
    )
    for pieces in (0, 1, 12)
    if (fault, pieces) != ("truncated", 0)
)
OTHERS = (
    Case(model="truncated@0", error=errors.RequestRejectedError),  # an empty page, for all that can be seen
    Case(model="html", error=errors.RequestRejectedError),
    Case(model="not-a-completion", error=errors.RequestRejectedError),
    Case(model="hang-up", error=errors.BackendError, retries=1),
    Case(model="drop-then-ok", status="complete", pieces=None, retries=1),
    Case(model="500-then-ok@0.01", status="complete", pieces=None, retries=1),
    Case(model="429-then-ok@0.01", status="complete", pieces=None, retries=1),
    Case(model="429-ms-then-ok@10", status="complete", pieces=None, retries=1),
    Case(model="drop-after-end@12", status="complete", pieces=12),
    Case(model="truncated-done@12", status="complete", pieces=12),
    Case(model="refuses-stream-options", status="complete", pieces=None),
    Case(model="empty", status="complete"),
    Case(model="silent", error=errors.BackendTimeoutError),
    Case(model="silent", error=errors.BackendTimeoutError, options=(("timeout_s", SHORT_S / 2),)),
    Case(
        model="tokens-1000@40",
        error=errors.BackendTimeoutError,
        status="truncated",
        options=(("timeout_s", 2 * SHORT_S),),
    ),
)
WHOLE = tuple(whole(case) for case in (*REFUSED[:6], *REFUSED[-4:-1], *OTHERS[1:7], OTHERS[11], OTHERS[12]))
CASES = (*REFUSED, *BROKEN, *OTHERS, *WHOLE)


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """The engine's threads, that of the first import among them, are there before any are counted."""
    with FakeServer() as server:
        ask(server.url, "echo", {})


@pytest.fixture
def server(fake_server: FakeServer) -> Iterator[FakeServer]:
    """The fake server, which has no connection left in the end."""
    yield fake_server
    fake_server.wait_until(lambda: fake_server.open_connections == 0)


@pytest.fixture
def clean() -> Iterator[None]:
    """Afterwards there are no more threads, tasks and sockets than before, but for the engine's own thread."""
    shared_engine().loop()
    threads, sockets = set(threading.enumerate()), _sockets()
    yield
    _wait_until(lambda: _tasks() == 1)  # the one that counts
    _wait_until(lambda: set(threading.enumerate()) <= threads)
    _wait_until(lambda: _sockets() <= sockets)


def open_session(url: str, *, patience_s: float = LONG_S) -> Session:
    """A session with a server, and one retry."""
    environ = {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": "sk-test-0123456789",
        "LLM_MAGIC_MAX_RETRIES": "1",
        "LLM_MAGIC_FIRST_BYTE_TIMEOUT_S": str(patience_s),
        "LLM_MAGIC_STALL_TIMEOUT_S": str(patience_s),
    }
    return Session(config=Config(environ=environ), conversation_type=Conversation)


def ask(
    url: str, model: str, options: dict[str, Any], *, patience_s: float = LONG_S
) -> tuple[Session, Turn, BaseException | None]:
    """One ask of a session that is closed by then; its turn, and what it raised."""
    session = open_session(url, patience_s=patience_s)
    chat = Conversation(session=session)
    began, error = time.monotonic(), None
    try:
        chat.ask(PROMPT, model=model, **options)
    except errors.LLMMagicError as exc:
        error = exc
    finally:
        session.close()
    assert time.monotonic() - began < 2 * min(patience_s, SHORT_S) + SLACK_S
    (turn,) = chat.slots[0].versions
    return session, turn, error


@pytest.mark.capability("G21", "H3", "H5", "H7", "H8", "H10", "H11", "K1")
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("clean")
def test_every_fault_ends_as_it_should(server: FakeServer, case: Case) -> None:
    """The right error, what had arrived, one row that says what was billed or is flagged, and nothing left open."""
    patience_s = SHORT_S if case.model.startswith(WAITING) else LONG_S
    session, turn, error = ask(server.url, case.model, dict(case.options), patience_s=patience_s)

    assert error is None if case.error is None else isinstance(error, case.error)
    assert turn.status == case.status
    if case.pieces is None:
        assert turn.text == PROMPT  # what models repeat that have no answer of their own
    elif case.pieces or case.status != "truncated":
        assert turn.text == "".join(words(case.pieces))
    else:  # cut by the clock: how much had come is chance
        assert turn.text
        assert server.text_of("tokens-1000").startswith(turn.text)
    (row,) = session.ledger.rows
    assert (row.status, row.retries, row.turn_id) == (case.status, case.retries, turn.id)
    assert_billed(server, row.request_id, row)
    assert str(error).count("\n") == 0


def assert_billed(server: FakeServer, request_id: str | None, row: Any) -> None:
    """The row has what the server billed, or is flagged as an estimate; what was refused has nothing."""
    bill = next((bill for bill in server.billed if bill.request_id == request_id), None)
    if bill is not None and bill.is_reported and row.status == "complete":
        assert (row.input_tokens, row.output_tokens) == (bill.input_tokens, bill.output_tokens)
        assert not row.is_estimate
    elif bill is not None or not row.request_id:
        # Accepted, or silent: it may have worked on it. Never reached: nothing.
        assert row.is_estimate == bool(row.total_tokens)
    else:
        assert (row.total_tokens, row.is_estimate) == (0, False)


def test_the_matrix_is_large_enough() -> None:
    """As many cases as were promised, no two alike."""
    assert len({str(case) for case in CASES}) == len(CASES) >= 60


@pytest.mark.capability("G22", "K1")
@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("model", "form"),
    [
        *((model, "streamed") for model in ("silent", "tokens-1000@100", "stall@12", "503-then-ok@60")),
        *((model, "in one piece") for model in ("silent", "503-then-ok@60")),
    ],
)
def test_stopping_leaves_nothing_behind(server: FakeServer, model: str, form: str) -> None:
    """Before the first byte, between chunks, in a stall, while waiting to try again: interrupted, and all is closed."""
    session = open_session(server.url)
    chat = Conversation(session=session)

    def stop() -> None:
        server.wait_until(lambda: bool(server.requests))
        session.cancel()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(errors.Interrupted):
        chat.ask(PROMPT, model=model, stream=form == "streamed")
    stopper.join()
    server.wait_until(lambda: all(request.is_over for request in server.requests))
    session.close()

    (row,) = session.ledger.rows
    assert row.status == chat.slots[0].versions[0].status == "interrupted"
    assert row.is_estimate == bool(row.total_tokens)


LLMOCK = (
    *(
        (Fail(status), error, "failed")
        for status, error in (
            (400, errors.RequestRejectedError),
            (401, errors.AuthenticationError),
            (403, errors.AuthenticationError),
            (404, errors.RequestRejectedError),
            (422, errors.RequestRejectedError),
        )
    ),
    *(
        (Fail(status, retry_after=0.01, times=None), error, "failed")
        for status, error in (
            (429, errors.RateLimitedError),
            (500, errors.RequestRejectedError),
            (503, errors.RequestRejectedError),
        )
    ),
    (Fail(500, retry_after=0.01), None, "complete"),
    (Fail(429, retry_after=7200), errors.RateLimitedError, "failed"),
    (Fail(429, code="insufficient_quota", times=None), errors.QuotaError, "failed"),
    (StreamFault("disconnect", after_chunks=0, times=None), errors.BackendError, "failed"),
    (StreamFault("disconnect", after_chunks=3), errors.StreamInterruptedError, "truncated"),
    (StreamFault("truncate", after_chunks=0), errors.BackendError, "failed"),
    (StreamFault("truncate", after_chunks=3), errors.StreamInterruptedError, "truncated"),
    (StreamFault("malformed", after_chunks=0), errors.StreamInterruptedError, "failed"),
    (StreamFault("malformed", after_chunks=3), errors.StreamInterruptedError, "truncated"),
    (StreamFault("stall", after_chunks=3, stall_seconds=3), errors.BackendTimeoutError, "truncated"),
    (SlowFirstToken(3), errors.BackendTimeoutError, "failed"),
    (Delay(3), errors.BackendTimeoutError, "failed"),
)


@pytest.fixture(scope="module")
def llmock() -> Iterator[LLMockServer]:
    with LLMockServer() as server:
        yield server


@pytest.mark.capability("G21", "H10")
@pytest.mark.parametrize(("fault", "kind", "status"), LLMOCK, ids=lambda value: getattr(value, "__name__", str(value)))
def test_faults_of_llmock_end_as_they_should(
    llmock: LLMockServer, fault: Any, kind: type[errors.BackendError] | None, status: str
) -> None:
    """Faults that somebody else thought of."""
    llmock.state.scenarios.clear()
    llmock.state.scenarios.add(fault)

    patience_s = SHORT_S if kind is errors.BackendTimeoutError else LONG_S
    session, turn, error = ask(llmock.base_url("openai"), "gpt-5.4-mini", {}, patience_s=patience_s)

    assert error is None if kind is None else isinstance(error, kind)
    assert turn.status == status
    assert bool(turn.text) == (status != "failed")
    assert [(row.status, row.turn_id) for row in session.ledger.rows] == [(status, turn.id)]


def _tasks() -> int:
    async def count() -> int:
        return len(asyncio.all_tasks())

    return shared_engine().run(count(), timeout_s=10)


def _sockets() -> int:
    """Sockets of this process. Each of the fake server's has an end here too."""

    def is_socket(path: Path) -> bool:
        try:
            return str(path.readlink()).startswith("socket:")
        except FileNotFoundError:  # the descriptor of this very listing
            return False

    folder = Path("/proc/self/fd")
    return sum(is_socket(path) for path in folder.iterdir()) if folder.exists() else 0


def _wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SLACK_S
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < end, "something is left behind"
        pause.wait(0.01)
