"""Keys and organizations: where they come from, how they take turns, and that nobody sees them."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import pickle
import threading
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.openai import OpenAIBackend
from llm_magic.errors import AuthenticationError, ConfigurationError, QuotaError
from llm_magic.events import Notice
from llm_magic.settings import SETTINGS
from tests.fakes.asking import aask, ask, request

if TYPE_CHECKING:
    from tests.fakes.server import FakeServer

KEYS = ["sk-canary-one-0123456789", "sk-canary-two-0123456789", "sk-canary-six-0123456789"]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of this machine's user."""
    for name in ("OPENAI_API_KEY", "LLM_MAGIC_API_KEY", "LLM_MAGIC_API_KEYS", "MBODI_API_KEY", "OPENAI_ORG_ID"):
        monkeypatch.delenv(name, raising=False)


def keys_sent(server: FakeServer) -> list[str]:
    """The key of each request."""
    return [received.headers.get("authorization", "").removeprefix("Bearer ") for received in server.requests]


def backend(server: FakeServer, **more: Any) -> OpenAIBackend:
    """To the fake server."""
    return OpenAIBackend(base_url=server.url, **more)


@pytest.mark.capability("A10")
def test_a_list_of_keys_is_used_in_turn(fake_server: FakeServer) -> None:
    """One a request."""
    ask(backend(fake_server, api_key=KEYS), "echo", times=7)

    assert keys_sent(fake_server) == [*KEYS, *KEYS, KEYS[0]]


@pytest.mark.capability("K11", "A10")
def test_threads_share_the_turns(fake_server: FakeServer) -> None:
    """8 threads with loops of their own, 50 requests each, over 3 keys: exact counts at the server."""
    shared = backend(fake_server, api_key=KEYS)
    failed: list[BaseException] = []

    async def fifty() -> None:
        for _ in range(50):
            answer = await aask(shared, request("echo", is_streaming=False))
            assert answer.text == "hello there, world", answer.error
        # One of them closes all, when nobody asks any more and every loop still runs.
        if await asyncio.to_thread(barrier.wait, 60) == 0:
            await shared.aclose()
        await asyncio.to_thread(barrier.wait, 60)

    def work() -> None:
        try:
            asyncio.run(fifty())
        except BaseException as exc:
            failed.append(exc)

    barrier = threading.Barrier(8)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert failed == []
    assert Counter(keys_sent(fake_server)) == {KEYS[0]: 134, KEYS[1]: 133, KEYS[2]: 133}


@pytest.mark.capability("A12")
def test_organizations_take_turns_of_their_own(fake_server: FakeServer) -> None:
    """Two organizations over three keys: six different pairs; without any there is no header."""
    ask(backend(fake_server, api_key=KEYS, organization=["org-a", "org-b"]), "echo", times=6)
    billed = [received.headers["openai-organization"] for received in fake_server.requests]

    ask(backend(fake_server, api_key=KEYS, organization=None), "echo")

    assert billed == ["org-a", "org-b"] * 3
    assert len(set(zip(keys_sent(fake_server), billed, strict=False))) == 6
    assert "openai-organization" not in fake_server.requests[-1].headers
    assert backend(fake_server, organization=["org-a", "org-b"]).info().organization == "org-a, org-b"


@pytest.mark.capability("A11")
def test_a_key_without_quota_is_left_out(fake_server: FakeServer) -> None:
    """The request goes on with the next key, at once; the key is not asked again until the session is closed."""
    shared = backend(fake_server, api_key=KEYS)
    model = f"quota-of@{KEYS[1]}"

    async def run() -> list[Any]:
        answers = [await aask(shared, request(model)) for _ in range(4)]
        await shared.aclose()
        return answers

    first, second, *rest = asyncio.run(run())

    assert [answer.text for answer in (first, second, *rest)] == ["hello there, world"] * 4
    assert [event.text for event in second.of_type(Notice)] == ["a key's quota is used up: it is left out from now on"]
    assert keys_sent(fake_server) == [KEYS[0], KEYS[1], KEYS[2], KEYS[0], KEYS[2]]
    assert not any(answer.of_type(Notice) for answer in (first, *rest))

    ask(shared, model, times=2)
    assert KEYS[1] in keys_sent(fake_server)[5:]


@pytest.mark.capability("A11", "H11")
def test_without_any_quota_left_there_is_one_error(fake_server: FakeServer) -> None:
    """Each key is asked once; after that nothing is sent at all."""
    shared = backend(fake_server, api_key=KEYS)

    async def run() -> list[Any]:
        try:
            return [await aask(shared, request("quota")) for _ in range(2)]
        finally:
            await shared.aclose()

    first, second = asyncio.run(run())

    assert sorted(keys_sent(fake_server)) == sorted(KEYS)
    assert isinstance(first.failure, QuotaError)
    assert isinstance(second.failure, QuotaError)
    assert second.failure.message == "The quotas of all 3 keys are used up."
    assert len(first.of_type(Notice)) == 2


@pytest.mark.capability("H11")
def test_a_single_key_without_quota_is_asked_once_a_request(fake_server: FakeServer) -> None:
    """Credit may have been added meanwhile."""
    shared = backend(fake_server, api_key=KEYS[0])

    async def run() -> list[Any]:
        async with contextlib.aclosing(shared):
            return [await aask(shared, request("quota")) for _ in range(2)]

    assert all(isinstance(answer.failure, QuotaError) for answer in asyncio.run(run()))
    assert len(fake_server.requests) == 2


@pytest.mark.capability("A11", "A18")
def test_no_key_is_shown_or_logged(fake_server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a log, a repr, an error or its traceback, whichever key of the list it was."""
    caplog.set_level(logging.DEBUG)
    shared = backend(fake_server, api_key=[KEYS[0], lambda: KEYS[1]], headers={"X-Api-Key": KEYS[2]})
    seen = [repr(shared), repr(shared.connection), repr(vars(shared.connection)), str(shared.info())]

    async def run() -> None:
        for model in (*["status-401"] * 4, "quota", "quota"):
            answer = await aask(shared, request(model))
            seen.extend(traceback.format_exception(answer.failure))
        await shared.aclose()

    asyncio.run(run())

    shown = "\n".join([*seen, *(str(vars(record)) for record in caplog.records)])
    assert keys_sent(fake_server) == KEYS[:2] * 3
    assert caplog.records
    assert not [key for key in KEYS if key in shown]


@pytest.mark.capability("A9", "K4")
@pytest.mark.parametrize(
    ("given", "variable"), [("ENV", "OPENAI_API_KEY"), ("env:LAB_KEY", "LAB_KEY"), ("env:LAB_KEYS", "LAB_KEYS")]
)
def test_references_lead_to_variables(fake_server: FakeServer, given: str, variable: str) -> None:
    """The word ENV is OpenAI's variable; env:NAME any; one whose name ends in KEYS may hold several."""
    text = f"{KEYS[0]},\n {KEYS[1]}" if variable.endswith("KEYS") else KEYS[0]
    shared = backend(fake_server, api_key=given, environ={variable: text})

    ask(shared, "echo", times=2)

    assert keys_sent(fake_server) == [KEYS[0], KEYS[1] if variable.endswith("KEYS") else KEYS[0]]
    assert shared.connection.opened_by.name == variable


@pytest.mark.capability("A9")
def test_other_wrappers_names_for_keys_are_taken(fake_server: FakeServer) -> None:
    """``key`` and ``org``; what is ours goes before them."""
    environ = {"OPENAI_API_KEY": "theirs"}
    theirs = backend(fake_server, key="ENV", org="org-1", environ=environ)

    ask(theirs, "echo")

    headers = fake_server.requests[-1].headers
    assert (headers["authorization"], headers["openai-organization"]) == ("Bearer theirs", "org-1")
    with pytest.raises(ConfigurationError, match="no argument 'key'"):
        backend(fake_server, api_key="a", key="b", environ=environ)


def test_several_keys_of_the_environment(fake_server: FakeServer) -> None:
    """By commas or line breaks, without being asked for."""
    ask(backend(fake_server, environ={"LLM_MAGIC_API_KEYS": "\n".join(KEYS), "OPENAI_API_KEY": "x"}), "echo", times=3)

    assert keys_sent(fake_server) == KEYS


@pytest.mark.capability("A9", "K4")
@pytest.mark.parametrize("place", ["api_key", "headers", "proxy"])
def test_a_reference_to_nothing_is_told_at_once(fake_server: FakeServer, place: str) -> None:
    """By the variable's name, before anything is sent."""
    value: Any = {"X-Key": "env:LAB_KEY"} if place == "headers" else "env:LAB_KEY"

    with pytest.raises(AuthenticationError, match="The variable LAB_KEY is not set"):
        backend(fake_server, environ={}, **{place: value})


def test_headers_may_refer_to_variables(fake_server: FakeServer) -> None:
    """Their value is sent; a pickle takes the reference, and an error masks the value."""
    environ = {"LAB_PASS": KEYS[0]}
    shared = backend(fake_server, headers={"X-Pass": "env:LAB_PASS"}, environ=environ)
    ask(shared, "echo")

    assert fake_server.requests[-1].headers["x-pass"] == KEYS[0]
    assert KEYS[0].encode() not in pickle.dumps(shared)
    assert KEYS[0] in shared.connection.asked().secrets


def test_a_pickled_header_takes_the_value_of_its_new_place(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a key does."""
    monkeypatch.setenv("LAB_PASS", "here")
    pickled = pickle.dumps(backend(fake_server, headers={"X-Pass": "env:LAB_PASS"}, api_key="env:LAB_PASS"))
    monkeypatch.setenv("LAB_PASS", "there")

    ask(pickle.loads(pickled), "echo")

    received = fake_server.requests[-1].headers
    assert (received["x-pass"], received["authorization"]) == ("there", "Bearer there")


@pytest.mark.capability("K5")
def test_lists_of_keys_are_copied_and_not_pickled(fake_server: FakeServer) -> None:
    """A copy takes turns of its own."""
    shared = backend(fake_server, api_key=KEYS, organization=["org-a", "org-b"], queries_per_second=50)
    ask(shared, "echo")
    ask(copy.deepcopy(shared), "echo")

    pickled = pickle.dumps(shared)

    assert keys_sent(fake_server) == [KEYS[0], KEYS[0]]
    assert not [key for key in KEYS if key.encode() in pickled]
    made = pickle.loads(pickled)
    assert made.connection.organization == "org-a, org-b"
    assert made.connection.pace.per_second == 50


def test_functions_and_keys_may_stand_in_one_list(fake_server: FakeServer) -> None:
    """Each is used in its turn; the function is called for each of its requests."""
    calls = iter(("first", "second"))

    ask(backend(fake_server, api_key=[KEYS[0], lambda: next(calls)]), "echo", times=4)

    assert keys_sent(fake_server) == [KEYS[0], "first", KEYS[0], "second"]


@pytest.mark.parametrize("returned", [None, "", 5])
def test_a_function_that_returns_no_key_is_told(fake_server: FakeServer, returned: Any) -> None:
    """Nothing is sent."""
    error = ask(backend(fake_server, api_key=lambda: returned), "echo").failure

    assert isinstance(error, AuthenticationError)
    assert error.message == "The function given as api_key returned no key."
    assert fake_server.requests == []


def test_a_key_of_another_type_is_refused(fake_server: FakeServer) -> None:
    """With what it may be."""
    with pytest.raises(ConfigurationError, match="api_key is a int") as caught:
        backend(fake_server, api_key=["a", 5])

    assert "a list" in (caught.value.hint or "")


def test_a_header_of_the_users_opens_in_place_of_the_key(fake_server: FakeServer) -> None:
    """Whatever the case of its name."""
    ask(backend(fake_server, api_key=KEYS, headers={"authorization": "Basic xyz"}), "echo")

    assert fake_server.requests[-1].headers["authorization"] == "Basic xyz"


@pytest.mark.capability("H6")
def test_requests_keep_their_pace(fake_server: FakeServer) -> None:
    """Five at twenty a second take at least 200 ms, however many are under way at once."""
    assert SETTINGS["queries_per_second"].default is None
    shared = backend(fake_server, queries_per_second=20)

    async def run() -> float:
        async with contextlib.aclosing(shared):
            await aask(shared, request("echo"))  # imports and connects: that takes longer than the pace
            start = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(aask(shared, request("echo")))
        return start

    start = asyncio.run(run())

    arrivals = sorted(received.at - start for received in fake_server.requests)[1:]
    assert len(arrivals) == 5
    assert all(at >= number / 20 - 0.001 for number, at in enumerate(arrivals))


def test_bodies_hold_no_key(fake_server: FakeServer) -> None:
    """It is in its header alone."""
    ask(backend(fake_server, api_key=KEYS), "echo")

    assert "canary" not in json.dumps(fake_server.requests[-1].body)
