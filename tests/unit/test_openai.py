"""The OpenAI backend: keys, addresses, clients, and what of it is seen."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

import httpx2
import openai
import pytest

from llm_magic.backends.openai import OpenAIBackend
from llm_magic.errors import AuthenticationError, ConfigurationError, RequestRejectedError
from llm_magic.events import Retrying, ToolCallDelta
from llm_magic.providers import Profile, Quirks
from llm_magic.settings import SETTINGS
from tests.fakes.asking import aask, ask, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_magic.providers.profile import PrefixForm
    from tests.fakes.asking import Asked
    from tests.fakes.server import FakeServer

CANARY = "sk-canary-0123456789abcdef"
SERVER = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, address or organization of this machine's user."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "LLM_MAGIC_", "MBODI_", "AZURE_OPENAI")):
            monkeypatch.delenv(name)


def sent_headers(server: FakeServer, backend: OpenAIBackend) -> dict[str, str]:
    """The headers of one request."""
    ask(backend, "echo")
    return dict(server.requests[-1].headers)


@pytest.mark.capability("D14", "D15")
def test_calls_in_the_text_are_looked_for_where_tools_are_sent(fake_server: FakeServer) -> None:
    """And where the profile says that the server leaves them there; else they are text."""
    text = '<tool_call>{"name": "f", "arguments": {"a": 1}}'
    tools = ({"type": "function", "function": {"name": "f"}},)

    def said(form: Literal["none", "hermes"], **more: Any) -> Asked:
        profile = Profile(name="mine", title="Mine", quirks=Quirks(text_calls=form))
        backend = OpenAIBackend(base_url=fake_server.url, profile=profile, environ={})
        return ask(backend, request("echo", text, **more))

    found = said("hermes", tools=tools)
    (call,) = found.of_type(ToolCallDelta)
    assert (call.name, call.arguments, found.text) == ("f", '{"a": 1}', "")
    assert found.completed is not None
    assert found.completed.finish_reason == "tool_calls"
    for other in (said("hermes"), said("none", tools=tools)):
        assert (other.text, other.of_type(ToolCallDelta)) == (text, [])


# Keys and addresses


@pytest.mark.capability("A1")
def test_keys_are_looked_for_in_order(fake_server: FakeServer) -> None:
    """The argument, then our variable, OpenAI's, and the one of the family."""
    environ = {"MBODI_API_KEY": "third", "OPENAI_API_KEY": "second", "LLM_MAGIC_API_KEY": "first"}
    used = []
    for _ in range(3):
        headers = sent_headers(fake_server, OpenAIBackend(base_url=fake_server.url, environ=environ))
        used.append(headers["authorization"])
        environ.popitem()
    given = sent_headers(
        fake_server, OpenAIBackend(api_key="given", base_url=fake_server.url, environ={"OPENAI_API_KEY": "x"})
    )

    assert used == ["Bearer first", "Bearer second", "Bearer third"]
    assert given["authorization"] == "Bearer given"


@pytest.mark.capability("A1")
def test_openai_wants_a_key_and_others_may_not(fake_server: FakeServer) -> None:
    """Missing, it is an error before anything is sent that names a variable; elsewhere a placeholder is sent."""
    with pytest.raises(AuthenticationError, match=r"No key for api\.openai\.com") as caught:
        OpenAIBackend(environ={})
    assert "OPENAI_API_KEY" in (caught.value.hint or "")
    with pytest.raises(AuthenticationError):
        OpenAIBackend(base_url="https://eu.api.openai.com/v1", environ={})

    headers = sent_headers(fake_server, OpenAIBackend(base_url=fake_server.url, environ={}))

    assert headers["authorization"] == "Bearer no-key"


@pytest.mark.parametrize("key", ["sk-\u201cquoted\u201d", "sk-two words\nlines", "sk-\x00"])
def test_a_key_that_cannot_be_one_is_refused_unseen(key: str) -> None:
    """It could not be sent; it is not shown."""
    with pytest.raises(AuthenticationError, match="The key in api_key holds a character") as caught:
        OpenAIBackend(api_key=key)

    assert key not in str(caught.value)


def test_space_around_a_key_is_no_part_of_it(fake_server: FakeServer) -> None:
    """Files end in a newline."""
    headers = sent_headers(fake_server, OpenAIBackend(api_key=" sk-1\n", base_url=fake_server.url))

    assert headers["authorization"] == "Bearer sk-1"


@pytest.mark.capability("A1", "A18")
def test_a_key_may_be_a_function(fake_server: FakeServer) -> None:
    """Async or not; it is called for each request, and what it returns is masked like any key."""
    keys = iter(["one", "two", CANARY])

    async def later() -> str:
        return "awaited"

    backend = OpenAIBackend(api_key=lambda: next(keys), base_url=fake_server.url)
    ask(backend, "echo", times=2)
    error = ask(backend, "status-401").failure
    ask(OpenAIBackend(api_key=later, base_url=fake_server.url), "echo")

    used = [received.headers["authorization"] for received in fake_server.requests]
    assert used == ["Bearer one", "Bearer two", f"Bearer {CANARY}", "Bearer awaited"]
    assert CANARY not in str(error)


def test_a_key_function_that_fails_is_our_error(fake_server: FakeServer) -> None:
    """Whatever it raises."""

    def broken() -> str:
        raise OSError("the vault is shut")

    error = ask(OpenAIBackend(api_key=broken, base_url=fake_server.url), "echo").failure

    assert "the vault is shut" in error.message


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:9/v1", SERVER),
        ("http://127.0.0.1:9/v1/", SERVER),
        ("http://127.0.0.1:9/v1/chat/completions", SERVER),
        ("http://127.0.0.1:9/v1/chat/completions/", SERVER),
        ("http://user:secret@127.0.0.1:9/v1?key=secret", SERVER),
    ],
)
def test_addresses_are_shown_bare(given: str, used: str) -> None:
    """A full endpoint is understood; credentials and query are sent, and not shown."""
    backend = OpenAIBackend(base_url=given)

    assert backend.info().base_url == used
    assert "secret" not in f"{backend!r} {backend.info()!r}"
    assert b"secret" not in pickle.dumps(backend)
    assert copy.deepcopy(backend).connection.base_url == backend.connection.base_url


@pytest.mark.capability("A13")
def test_a_full_endpoint_is_asked_where_it_is(fake_server: FakeServer) -> None:
    """Not below it."""
    ask(OpenAIBackend(base_url=f"{fake_server.url}/chat/completions"), "echo")

    assert fake_server.requests[-1].path == "/v1/chat/completions"


def test_a_password_in_an_address_stands_in_no_pickle_after_use(fake_server: FakeServer) -> None:
    """The whole addresses that are kept for the next request do not travel."""
    backend = OpenAIBackend(base_url=fake_server.url.replace("127.0.0.1", "ann:s3cretword@127.0.0.1"), environ={})

    assert ask(backend, "echo").text == "hello there, world"

    assert fake_server.requests[0].headers["authorization"].startswith(("Basic", "Bearer"))
    assert b"s3cretword" not in pickle.dumps(backend)


@pytest.mark.capability("A17")
def test_addresses_are_looked_for_in_order() -> None:
    """Ours, the SDK's, and the old one that the SDK reads no more."""
    environ = {"OPENAI_API_BASE": "http://c/v1", "OPENAI_BASE_URL": "http://b/v1", "LLM_MAGIC_BASE_URL": "http://a/v1"}
    used = []
    for _ in range(3):
        used.append(OpenAIBackend(environ=environ).info().base_url)
        environ.popitem()

    assert used == ["http://a/v1", "http://b/v1", "http://c/v1"]
    assert OpenAIBackend(environ={"OPENAI_API_KEY": "x"}).info().base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http://", "/v1", "http://[::1", "http://host:port/v1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """With the form it has."""
    with pytest.raises(ConfigurationError, match="is not an address") as caught:
        OpenAIBackend(base_url=url)

    assert "http" in (caught.value.hint or "")


# Arguments


@pytest.mark.capability("A4", "A26")
def test_options_reach_the_sdk(fake_server: FakeServer) -> None:
    """Query, default headers, a transport of one's own."""
    seen: list[httpx2.Request] = []

    def handle(received: httpx2.Request) -> httpx2.Response:
        seen.append(received)
        return httpx2.Response(200, json={"choices": [{"message": {"content": "mocked"}, "finish_reason": "stop"}]})

    backend = OpenAIBackend(
        base_url=fake_server.url,
        http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(handle)),
        default_query={"api-version": "7"},
        default_headers={"X-One": "1", "X-Two": "1"},
        headers={"X-Two": "2"},
    )

    assert ask(backend, "echo").text == "mocked"
    assert seen[0].url.params["api-version"] == "7"
    assert (seen[0].headers["x-one"], seen[0].headers["x-two"]) == ("1", "2")


@pytest.mark.capability("A31", "H8")
def test_retries_and_timeouts_of_a_backend_go_before_a_requests(fake_server: FakeServer) -> None:
    """They were given to this one."""
    many = ask(OpenAIBackend(base_url=fake_server.url, max_retries=4), "status-429@0.01")
    short = ask(OpenAIBackend(base_url=fake_server.url, timeout=0.5), "silent")
    shorter = ask(OpenAIBackend(base_url=fake_server.url, timeout=httpx2.Timeout(9, read=0.5)), "silent")

    assert len(many.of_type(Retrying)) == 4
    assert "within 0.5 s" in short.failure.message
    assert "within 0.5 s" in shorter.failure.message


@pytest.mark.capability("G15", "I13")
@pytest.mark.parametrize("name", ["max_consecutive_empty_chunk_tolerance", "model_capabilities"])
def test_what_other_wrappers_have_retired_is_not_taken(name: str) -> None:
    """Neither as a setting nor as an argument."""
    retired: dict[str, Any] = {name: 3}

    assert name not in SETTINGS
    with pytest.raises(ConfigurationError, match=name):
        OpenAIBackend(base_url="http://127.0.0.1:9/v1", **retired)


@pytest.mark.capability("A19", "I11")
def test_organization_and_project_are_sent_where_they_are_given(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the environment are OpenAI's business: no other server sees them."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-env")

    given = OpenAIBackend(base_url=fake_server.url, organization="org-1", project="proj-1")
    headers, bare = sent_headers(fake_server, given), sent_headers(fake_server, OpenAIBackend(base_url=fake_server.url))

    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")
    assert not {"openai-organization", "openai-project"} & bare.keys()
    assert OpenAIBackend(api_key="x").info().organization == "org-env"


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local server is reached directly."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert ask(OpenAIBackend(base_url=fake_server.url), "echo").text == "hello there, world"


# Clients


@pytest.mark.capability("A2")
def test_a_client_that_is_given_is_used_as_it_is(fake_server: FakeServer) -> None:
    """Its address and key count, and it is not closed."""

    async def run() -> tuple[str, bool]:
        client = openai.AsyncOpenAI(base_url=fake_server.url, api_key="theirs", organization="org-theirs")
        backend = OpenAIBackend(client=client, environ={})
        assert backend.info().base_url == fake_server.url
        assert backend.info().organization == "org-theirs"
        answer = await aask(backend, request("echo"))
        await backend.aclose()
        is_open = not client.is_closed()
        await client.close()
        return answer.text, is_open

    assert asyncio.run(run()) == ("hello there, world", True)
    assert fake_server.requests[-1].headers["authorization"] == "Bearer theirs"


@pytest.mark.capability("A2")
def test_azures_client_goes_its_own_ways(fake_server: FakeServer) -> None:
    """Deployment in the path, key in its header, version in the query."""

    async def run() -> str:
        client = openai.AsyncAzureOpenAI(
            azure_endpoint=fake_server.url.removesuffix("/v1"), api_key=CANARY, api_version="2024-10-21"
        )
        answer = await aask(OpenAIBackend(client=client), request("echo"))
        failed = await aask(OpenAIBackend(client=client), request("status-401"))
        assert CANARY not in str(failed.error)
        await client.close()
        return answer.text

    assert asyncio.run(run()) == "hello there, world"
    received = fake_server.requests[0]
    assert received.path == "/openai/deployments/echo/chat/completions?api-version=2024-10-21"
    assert received.headers["api-key"] == CANARY


@pytest.mark.parametrize("make", [lambda: openai.OpenAI(api_key="x"), object])
def test_a_client_that_cannot_be_used_is_refused(make: Callable[[], Any]) -> None:
    """A blocking one, or something else."""
    with pytest.raises(ConfigurationError, match="cannot be used"):
        OpenAIBackend(client=make())


@pytest.mark.capability("A3", "A6")
def test_nothing_is_loaded_or_opened_before_the_first_request() -> None:
    """The SDK takes half a second: it waits for the first request."""
    code = (
        "import sys\n"
        "from llm_magic import OpenAIBackend\n"
        "backend = OpenAIBackend(base_url='http://127.0.0.1:9/v1', api_key='x', max_retries=1)\n"
        "backend.info(), repr(backend)\n"
        "print([name for name in ('openai', 'httpx2', 'pandas', 'PIL', 'genai_prices') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


@pytest.mark.capability("A6")
def test_each_loop_has_a_client_of_its_own(fake_server: FakeServer) -> None:
    """One after the other, also where the first was not closed properly."""
    backend = OpenAIBackend(base_url=fake_server.url)

    texts = [ask(backend, "echo").text for _ in range(3)]

    assert texts == ["hello there, world"] * 3


@pytest.mark.capability("A41")
def test_a_client_is_closed_on_its_own_loop(fake_server: FakeServer) -> None:
    """Whoever asks for it: a connection left open would warn, and warnings fail this test."""
    backend = OpenAIBackend(base_url=fake_server.url)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    asyncio.run_coroutine_threadsafe(aask(backend, request("echo")), loop).result(10)
    asyncio.run(backend.aclose())

    assert backend.connection._clients._made == {}
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
def test_a_forked_process_opens_connections_of_its_own(fake_server: FakeServer) -> None:
    """And leaves its parent's alone."""
    code = f"""
import asyncio, os
from llm_magic import OpenAIBackend
from tests.fakes.asking import aask, request

backend = OpenAIBackend(base_url={fake_server.url!r})
loop = asyncio.new_event_loop()
assert loop.run_until_complete(aask(backend, request("echo", "parent"))).text == "parent"
child = os.fork()
if not child:
    answer = asyncio.new_event_loop().run_until_complete(aask(backend, request("echo", "child")))
    os._exit(answer.text != "child")
_, status = os.waitpid(child, 0)
assert loop.run_until_complete(aask(backend, request("echo", "again"))).text == "again"
loop.run_until_complete(backend.aclose())
loop.close()
print(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": "."},
    )

    assert done.stdout.strip() == "0", done.stderr
    peers = [received.peer for received in fake_server.requests]
    assert len(peers) == 3
    assert peers[0] == peers[2] != peers[1]


# Models


def test_models_are_listed_as_the_server_describes_them(fake_server: FakeServer) -> None:
    """With their ids and whatever else it tells."""

    async def run() -> list[Any]:
        backend = OpenAIBackend(base_url=fake_server.url)
        found = await backend.models()
        await backend.aclose()
        return found

    found = asyncio.run(run())

    assert [item["id"] for item in found] == ["echo", "see", "slow"]
    assert found[0]["owned_by"] == "fake"


def test_a_server_that_lists_no_models_says_so(fake_server: FakeServer) -> None:
    """A page instead of a list is an error of ours."""

    async def run() -> None:
        backend = OpenAIBackend(base_url=fake_server.url.replace("/v1", "/page/v1"))
        try:
            await backend.models()
        finally:
            await backend.aclose()

    with pytest.raises(RequestRejectedError, match="does not list its models"):
        asyncio.run(run())


# What is seen


@pytest.mark.capability("A18", "K5")
def test_the_key_is_in_nothing_that_is_shown_or_saved(fake_server: FakeServer) -> None:
    """Neither text nor pickle; the pickle also drops headers that hold one."""
    backend = OpenAIBackend(
        base_url=fake_server.url, api_key=CANARY, headers={"X-Api-Key": CANARY, "X-Team": "biology"}
    )
    ask(backend, "echo")

    assert CANARY not in f"{backend!r} {backend} {backend.info()}"
    assert CANARY.encode() not in pickle.dumps(backend)
    assert pickle.loads(pickle.dumps(backend)).connection._clients.headers == {"X-Team": "biology"}


@pytest.mark.capability("K5")
def test_a_pickled_backend_takes_the_key_of_the_place_it_comes_to(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable it came from; OpenAI's key never goes to a server whose key was another."""
    theirs = OpenAIBackend(base_url=fake_server.url, api_key="a", key_name="LAB_KEY")
    pickled = pickle.dumps(theirs)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")

    without = sent_headers(fake_server, pickle.loads(pickled))
    monkeypatch.setenv("LAB_KEY", "sk-lab")
    found = sent_headers(fake_server, pickle.loads(pickled))

    assert without["authorization"] == "Bearer no-key"
    assert found["authorization"] == "Bearer sk-lab"


def test_a_pickled_backend_without_its_key_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    pickled = pickle.dumps(OpenAIBackend(api_key=CANARY))

    error = ask(pickle.loads(pickled), "gpt-5.4-mini").failure

    assert isinstance(error, AuthenticationError)
    assert "No key for api.openai.com" in error.message
    monkeypatch.setenv("OPENAI_API_KEY", "sk-here")
    assert pickle.loads(pickled).connection.opened_by.secrets() == ("sk-here",)


def test_a_copy_keeps_its_key_and_learns_for_itself(fake_server: FakeServer) -> None:
    """Within a process it may; connections are its own."""
    backend = OpenAIBackend(base_url=fake_server.url, api_key="a")
    copied = copy.deepcopy(backend)

    ask(backend, "refuses-stream-options")
    ask(copied, "refuses-stream-options")

    assert {received.headers["authorization"] for received in fake_server.requests} == {"Bearer a"}
    assert len(fake_server.requests) == 4


@pytest.mark.capability("A16")
def test_info_tells_who_is_billed() -> None:
    """Name, organization and provider of prices; nothing is local, for a server may be a proxy."""
    openai_info = OpenAIBackend(api_key="x", organization="org-1").info()
    own = OpenAIBackend(base_url="http://localhost:11434/v1", name="ollama").info()

    assert (openai_info.name, openai_info.provider, openai_info.organization) == ("openai", "openai", "org-1")
    assert (own.name, own.provider, own.is_local) == ("ollama", None, False)


def test_parameters_that_are_no_json_are_our_error(fake_server: FakeServer) -> None:
    """Nothing is sent."""
    error = ask(OpenAIBackend(base_url=fake_server.url), request("echo", params={"stop": {1, 2}})).failure

    assert isinstance(error, RequestRejectedError)
    assert error.message.startswith("The request could not be sent: ")
    assert fake_server.requests == []


@pytest.mark.parametrize("way", ["plain", "prefix", "continue_final_message"])
def test_servers_that_go_on_by_prefix_are_told_so(way: PrefixForm) -> None:
    """Nothing else is assumed of a server."""
    assert OpenAIBackend(api_key="k", continues=way).info().continues == "prefix"
    assert OpenAIBackend(api_key="k").info().continues == "ask"


def test_unknown_way_to_go_on_names_the_nearest() -> None:
    """A typing error is one line."""
    with pytest.raises(ConfigurationError, match="did you mean prefix"):
        OpenAIBackend(api_key="k", continues="prefx")  # type: ignore[arg-type]  # the error is what is tested
