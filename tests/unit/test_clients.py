"""How a server is reached: proxies, redirects, connections, what is told of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest

from llm_magic._version import __version__
from llm_magic.backends.clients import CLIENT_OPTIONS
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.backends.transport import HTTP_OPTIONS, Transport
from llm_magic.errors import BackendError, ConfigurationError, RequestRejectedError
from llm_magic.events import Retrying
from tests.fakes.asking import aask, ask, request
from tests.fakes.proxy import FakeProxy
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER = "hello there, world"
KEY = "sk-canary-0123456789abcdef"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy of this machine's user."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "LLM_MAGIC_", "MBODI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def backend(url: str, **more: Any) -> OpenAIBackend:
    """To a server."""
    return OpenAIBackend(base_url=url, api_key=KEY, **more)


def sent_headers(server: FakeServer, **more: Any) -> Mapping[str, str]:
    """The headers of one request."""
    assert ask(backend(server.url, **more), "echo").text == ANSWER
    return server.requests[-1].headers


# Arguments


@pytest.mark.capability("A4")
def test_the_sdks_options_are_known() -> None:
    """The list is the SDK's own, but for what has a name of ours."""
    arguments = set(inspect.signature(openai.AsyncOpenAI.__init__).parameters) - {"self"}
    ours = {"api_key", "base_url", "organization", "project"}

    assert {name for name in arguments if not name.startswith("_")} - ours == CLIENT_OPTIONS


@pytest.mark.capability("A26")
def test_the_http_clients_options_are_known() -> None:
    """All of them."""
    assert set(inspect.signature(httpx2.AsyncClient.__init__).parameters) - {"self"} == HTTP_OPTIONS


@pytest.mark.capability("A30")
@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        ({"max_retry": 3}, "max_retries"),
        ({"querys_per_second": 3}, "queries_per_second"),
        ({"organisation": "org-1"}, "organization"),
        ({"http_options": {"http_2": True}}, "http2"),
    ],
)
def test_unknown_arguments_name_the_nearest(options: dict[str, Any], nearest: str) -> None:
    """Whether they are ours, the SDK's or the HTTP client's."""
    with pytest.raises(ConfigurationError) as caught:
        backend("http://127.0.0.1:9/v1", **options)

    assert next(name for name in (*options.get("http_options", {}), *options)) in caught.value.message
    assert caught.value.hint == f"did you mean {nearest}?"


@pytest.mark.capability("A5")
def test_routing_words_of_others_are_let_pass() -> None:
    """They are harmless."""
    assert backend("http://127.0.0.1:9/v1", model_src="openai").name == "openai"


@pytest.mark.parametrize("named", [{"proxy": "http://127.0.0.1:9"}, {"max_connections": 2}, {"max_redirects": 1}])
def test_a_client_of_ones_own_brings_its_transport(named: dict[str, Any]) -> None:
    """What would be set beside it, and not be used, is told."""

    class Client:
        base_url = "http://127.0.0.1:9/v1"

        async def post(self) -> None:
            """Never called."""

    with pytest.raises(ConfigurationError, match="cannot be set beside client"):
        OpenAIBackend(client=Client(), **named)
    with pytest.raises(ConfigurationError, match="cannot be set beside http_client"):
        backend("http://127.0.0.1:9/v1", http_client=object(), **named)


@pytest.mark.capability("A26")
def test_http_options_reach_the_client(fake_server: FakeServer) -> None:
    """Those with a name of ours go before them."""
    seen: list[str] = []

    async def look_at(sent: httpx2.Request) -> None:
        seen.append(str(sent.url))

    options = {"event_hooks": {"request": [look_at]}, "headers": {"X-Http": "1"}, "max_redirects": 0}
    moved = fake_server.url.replace("/v1", "/moved/v1")

    assert ask(backend(moved, http_options=options, max_redirects=1), "echo").text == ANSWER
    assert isinstance(ask(backend(moved, http_options=options), "echo").failure, RequestRejectedError)
    assert len(seen) == 3
    assert fake_server.requests[-1].headers["x-http"] == "1"


# What is told


@pytest.mark.capability("A20")
def test_user_agent_names_package_and_sdk(fake_server: FakeServer) -> None:
    """And may be another."""
    agent = sent_headers(fake_server)["user-agent"]

    assert agent == f"llm_magic/{__version__} (openai/{openai.__version__})"
    assert sent_headers(fake_server, user_agent="mine/2")["user-agent"] == "mine/2"
    assert sent_headers(fake_server, headers={"User-Agent": "theirs"})["user-agent"] == "theirs"


@pytest.mark.capability("A20", "K10")
def test_an_empty_user_agent_tells_nothing_of_the_machine(fake_server: FakeServer) -> None:
    """Neither name nor version, system or processor, in whatever header."""
    told = sent_headers(fake_server)
    silent = sent_headers(fake_server, user_agent="")

    assert {"x-stainless-os", "x-stainless-arch", "x-stainless-runtime-version"} <= told.keys()
    assert silent["user-agent"] == ""
    # What is documented is what is sent.
    page = (Path(__file__).parents[2] / "docs" / "connections.md").read_text(encoding="utf-8")
    assert "A request says `llm_magic/VERSION (openai/VERSION)`" in page
    assert re.fullmatch(r"llm_magic/\S+ \(openai/\S+\)", told["user-agent"])
    assert '`user_agent=""` sends none of that' in page
    assert not re.search(r"python|linux|darwin|windows|openai|httpx|llm_magic|x86|arm64", str(silent), re.IGNORECASE)


@pytest.mark.capability("A40", "A31")
def test_headers_are_merged(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the SDK's, and with those of its variable; the later one counts, whatever its case."""
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-From-Environment: yes")

    headers = sent_headers(
        fake_server, default_headers={"X-One": "1", "X-Two": "1"}, headers={"x-two": "2", "X-Team": "biology"}
    )

    assert (headers["x-one"], headers["x-two"], headers["x-team"]) == ("1", "2", "biology")
    assert headers["x-from-environment"] == "yes"
    assert headers["x-stainless-lang"] == "python"
    assert headers["authorization"] == f"Bearer {KEY}"


# Redirects


@pytest.mark.capability("A23")
def test_three_redirects_are_followed(fake_server: FakeServer) -> None:
    """Each with the whole body; the fourth is an error that says so, at once."""
    three = ask(backend(fake_server.url.replace("/v1", "/moved" * 3 + "/v1")), "echo")
    bodies = [received.raw for received in fake_server.requests]
    four = ask(backend(fake_server.url.replace("/v1", "/moved" * 4 + "/v1")), "echo")

    assert three.text == ANSWER
    assert bodies == bodies[:1] * 4
    assert fake_server.requests[0].body["messages"][0]["content"] == ANSWER
    assert isinstance(four.failure, RequestRejectedError)
    assert re.fullmatch(r"127\.0\.0\.1:\d+ redirects the request again and again\.", four.failure.message)
    assert "max_redirects" in (four.failure.hint or "")
    assert not four.of_type(Retrying)


@pytest.mark.capability("A23")
def test_redirects_can_be_many_or_none(fake_server: FakeServer) -> None:
    """As it is set."""
    many = backend(fake_server.url.replace("/v1", "/moved" * 5 + "/v1"), max_redirects=5)
    none = backend(fake_server.url.replace("/v1", "/moved/v1"), max_redirects=0)

    assert ask(many, "echo").text == ANSWER
    assert isinstance(ask(none, "echo").failure, RequestRejectedError)


@pytest.mark.capability("A23", "A18")
def test_a_redirect_to_another_server_takes_no_secret_with_it(fake_server: FakeServer) -> None:
    """Not the key, not a header that holds one; what is no secret stays."""
    with FakeServer() as other:
        url = fake_server.url.replace("/v1", f"/elsewhere/{other.url.removeprefix('http://')}")
        headers = {"X-Api-Key": KEY, "X-Team": "biology"}

        assert ask(backend(url, headers=headers), "echo").text == ANSWER

        first, second = fake_server.requests[0], other.requests[0]
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.headers["x-api-key"] == KEY
    assert KEY not in str(second.headers)
    assert second.headers["x-team"] == "biology"
    assert second.raw == first.raw


# Proxies


@pytest.mark.capability("A14")
def test_a_proxy_is_asked_for_the_server(fake_server: FakeServer) -> None:
    """The server's name is the proxy's business: here it is none that exists."""
    with FakeProxy(fake_server.url) as proxy:
        answer = ask(backend("http://models.invalid/v1", proxy=proxy.url), "echo")

    assert answer.text == ANSWER, answer.error
    assert proxy.lines == ["POST http://models.invalid/v1/chat/completions HTTP/1.1"]
    assert fake_server.requests[0].headers["host"] == "models.invalid"


@pytest.mark.capability("A14", "K4")
def test_a_proxy_may_be_named_by_its_variable(fake_server: FakeServer) -> None:
    """So its password stands nowhere: not in a pickle either."""
    with FakeProxy(fake_server.url) as proxy:
        environ = {"LAB_PROXY": proxy.url.replace("//", "//ann:s3cretword@")}
        asked = backend("http://models.invalid/v1", proxy="env:LAB_PROXY", environ=environ)

        assert ask(asked, "echo").text == ANSWER

    assert "proxy-authorization: basic" in proxy.heads[0]
    assert b"s3cretword" not in pickle.dumps(asked)
    assert "s3cretword" not in repr(asked.connection._clients._transport)


@pytest.mark.capability("A14")
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_asked_for_a_tunnel(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """TLS begins inside of it: what the proxy sees is the server's name, and no key."""
    with FakeProxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        failed = ask(backend("https://models.invalid/v1"), request("echo", max_retries=0)).failure

    assert proxy.lines == ["CONNECT models.invalid:443 HTTP/1.1"]
    assert KEY not in proxy.heads[0]
    assert proxy.tunnelled[0][:1] == b"\x16", "a TLS handshake"
    assert b"models.invalid" in proxy.tunnelled[0]
    assert isinstance(failed, BackendError)


@pytest.mark.capability("A14")
def test_no_proxy_at_all_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the environment's is not asked."""
    with FakeProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        failed = ask(backend("https://models.invalid/v1", proxy=""), request("echo", max_retries=0)).failure

    assert proxy.lines == []
    assert "unknown host" in failed.message


# Connections


@pytest.mark.capability("A22")
@pytest.mark.parametrize(("limit", "used"), [(1, 1), (2, 2), (None, 4)])
def test_connections_are_limited(fake_server: FakeServer, limit: int | None, used: int) -> None:
    """Requests beyond them wait for one to be free."""
    shared = backend(fake_server.url, max_connections=limit)

    async def run() -> list[str]:
        async with contextlib.aclosing(shared):
            asking = [asyncio.create_task(aask(shared, request("gated", timeout_s=60))) for _ in range(4)]
            await asyncio.to_thread(fake_server.wait_until, lambda: len(fake_server.requests) == used)
            fake_server.open_gate()
            return [(await task).text for task in asking]

    assert asyncio.run(run()) == ["before after"] * 4
    assert len({received.peer for received in fake_server.requests}) == used


def test_a_transport_that_travels_leaves_secrets_behind() -> None:
    """A password in an address, and whatever is no plain value."""
    transport = Transport(
        proxy="http://ann:s3cretword@127.0.0.1:9", http_options={"http1": True, "auth": ("ann", "s3cretword")}
    )
    made = backend("http://127.0.0.1:9/v1", proxy=transport.proxy, http_options=transport.http_options)

    travelled = pickle.loads(pickle.dumps(made)).connection._clients._transport

    assert travelled == Transport(http_options={"http1": True})
    assert "s3cretword" not in repr(transport)
