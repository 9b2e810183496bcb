"""Azure OpenAI: paths of deployments, keys and tokens, what is missing."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import sys
import types
from typing import TYPE_CHECKING, Any

import openai
import pytest

import llm_magic
from llm_magic._version import __version__
from llm_magic.api import Conversation
from llm_magic.backends.azure import AzureOpenAIBackend
from llm_magic.backends.connection import Accepted, Call
from llm_magic.backends.registry import Registry, factory
from llm_magic.config import Config
from llm_magic.errors import AuthenticationError, ConfigurationError, MissingDependencyError
from llm_magic.session import Session
from llm_magic.testing import check_backend
from tests.fakes.asking import aask, ask, request
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "azure-canary-0123456789abcdef"
VERSION = "2024-10-21"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's user."""
    for name in ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def azure(server: FakeServer, **more: Any) -> AzureOpenAIBackend:
    """To the fake server, opened by a key where nothing else is given."""
    opened = {"api_key": KEY} if not any(name.startswith("azure_ad") for name in more) else {}
    address = {"azure_endpoint": server.url.removesuffix("/v1"), "azure_deployment": "echo", "api_version": VERSION}
    return AzureOpenAIBackend(**{**address, **opened, **more})


def sent(server: FakeServer, **more: Any) -> Mapping[str, str]:
    """The headers of one request."""
    answer = ask(azure(server, **more), "echo")
    assert answer.text == "hello there, world", answer.error
    return server.requests[-1].headers


@pytest.mark.capability("A37")
def test_the_deployment_is_in_the_path_and_the_version_in_the_query(fake_server: FakeServer) -> None:
    """The key has a header of its own; none says Bearer."""
    headers = sent(fake_server)

    assert fake_server.requests[0].path == f"/openai/deployments/echo/chat/completions?api-version={VERSION}"
    assert headers["api-key"] == KEY
    assert "authorization" not in headers


@pytest.mark.capability("A37")
def test_without_a_deployment_the_models_name_is_one(fake_server: FakeServer) -> None:
    """So one resource serves ``-m azure/NAME``; a name is one step of a path, whatever is in it."""
    backend = azure(fake_server, azure_deployment=None)

    ask(backend, "echo")
    ask(backend, "status-404/../x")

    paths = [received.path.partition("?")[0] for received in fake_server.requests]
    assert paths[0] == "/openai/deployments/echo/chat/completions"
    assert paths[1] == "/openai/deployments/status-404%2F..%2Fx/chat/completions"


@pytest.mark.capability("A37")
def test_other_endpoints_and_models_have_their_places(fake_server: FakeServer) -> None:
    """What a deployment answers lies below it, the list of models beside it."""
    backend = azure(fake_server)

    async def run() -> list[Mapping[str, Any]]:
        try:
            async for step in backend.connection.send(Call(path="/embeddings", body={"model": "m", "input": "x"})):
                assert isinstance(step, Accepted)
                await step.response.aclose()
        except llm_magic.BackendError:
            pass  # the path is what is looked at
        try:
            return await backend.models()
        finally:
            await backend.aclose()

    assert [row["id"] for row in asyncio.run(run())]
    assert [received.path for received in fake_server.requests] == [
        f"/openai/deployments/echo/embeddings?api-version={VERSION}",
        f"/openai/models?api-version={VERSION}",
    ]


@pytest.mark.capability("A37")
@pytest.mark.parametrize(
    ("left_out", "message", "variable"),
    [
        ("api_version", "Azure OpenAI needs api_version.", "OPENAI_API_VERSION"),
        ("azure_endpoint", "Azure OpenAI needs azure_endpoint.", "AZURE_OPENAI_ENDPOINT"),
        ("api_key", "No key for Azure OpenAI.", "AZURE_OPENAI_API_KEY"),
    ],
)
def test_what_is_missing_is_told_before_anything_is_sent(left_out: str, message: str, variable: str) -> None:
    """In one line, with the variable that may hold it; and the variable is read."""
    whole: dict[str, Any] = {"azure_endpoint": "http://127.0.0.1:9", "api_version": VERSION, "api_key": KEY}
    value = whole.pop(left_out)

    with pytest.raises((ConfigurationError, AuthenticationError)) as caught:
        AzureOpenAIBackend(**whole, environ={})

    assert caught.value.message == message
    assert variable in (caught.value.hint or "")
    assert AzureOpenAIBackend(**whole, environ={variable: value}).name == "azure"


@pytest.mark.capability("A37", "A38")
@pytest.mark.parametrize(
    ("environ", "header", "value"),
    [
        ({"AZURE_OPENAI_API_KEY": "k"}, "api-key", "k"),
        ({"AZURE_OPENAI_AD_TOKEN": "t"}, "authorization", "Bearer t"),
        ({"AZURE_OPENAI_AD_TOKEN": "t", "AZURE_OPENAI_API_KEY": "k"}, "authorization", "Bearer t"),
    ],
)
def test_the_environment_opens_it(fake_server: FakeServer, environ: dict[str, str], header: str, value: str) -> None:
    """A token goes before a key; only one of the two is sent."""
    headers = sent(fake_server, api_key=None, environ=environ)

    assert headers[header] == value
    assert len({"api-key", "authorization"} & headers.keys()) == 1


@pytest.mark.capability("A38")
@pytest.mark.parametrize("is_async", [True, False])
def test_a_token_provider_is_called_for_each_request(fake_server: FakeServer, *, is_async: bool) -> None:
    """Async or not; its tokens are never shown."""
    tokens = iter(["one", "two", KEY])

    async def later() -> str:
        return next(tokens)

    backend = azure(fake_server, azure_ad_token_provider=later if is_async else lambda: next(tokens))
    ask(backend, "echo", times=2)
    failure = ask(backend, "status-401").failure

    assert [received.headers["authorization"] for received in fake_server.requests] == [
        "Bearer one",
        "Bearer two",
        f"Bearer {KEY}",
    ]
    assert not any("api-key" in received.headers for received in fake_server.requests)
    assert isinstance(failure, AuthenticationError)
    assert KEY not in str(failure)


@pytest.mark.capability("A38")
@pytest.mark.parametrize("is_async", [False, True])
def test_a_token_provider_that_fails_is_one_line(fake_server: FakeServer, *, is_async: bool) -> None:
    """It names the function and what it said first; nothing is sent."""

    def fail() -> str:
        raise OSError("no credential here\nand much more")

    async def afail() -> str:
        return fail()

    failure = ask(azure(fake_server, azure_ad_token_provider=afail if is_async else fail), "echo").failure

    assert isinstance(failure, AuthenticationError)
    assert failure.message == "The function given as azure_ad_token_provider failed: OSError: no credential here."
    assert isinstance(failure.__cause__, OSError)
    assert fake_server.requests == []


@pytest.mark.capability("A38")
def test_a_token_may_be_given_or_referred_to(fake_server: FakeServer) -> None:
    """It is always sent as Bearer."""
    assert sent(fake_server, azure_ad_token="t1")["authorization"] == "Bearer t1"
    referred = sent(fake_server, azure_ad_token="env:LAB_TOKEN", environ={"LAB_TOKEN": "t2"})
    assert referred["authorization"] == "Bearer t2"


def test_several_ways_to_open_it_are_refused(fake_server: FakeServer) -> None:
    """Which one was meant cannot be known."""
    with pytest.raises(ConfigurationError, match="takes one of api_key, azure_ad_token and"):
        azure(fake_server, api_key=KEY, azure_ad_token="t")
    with pytest.raises(ConfigurationError, match="'defualt' is no token provider"):
        azure(fake_server, azure_ad_token_provider="defualt")


@pytest.mark.capability("A38", "K6")
def test_the_default_credential_is_azures_own(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made once, asked for each request, in the scope of the service; it can be written down, and travels."""
    asked: list[str] = []

    def provider_of(credential: str, scope: str) -> Any:
        asked.append(f"{credential} {scope}")
        return lambda: f"token-{len(asked)}"

    identity = types.ModuleType("azure.identity")
    identity.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]  # it is only looked for
    vars(identity).update(DefaultAzureCredential=lambda: "credential", get_bearer_token_provider=provider_of)
    package = types.ModuleType("azure")
    package.__spec__, package.__path__ = types.SimpleNamespace(), []  # type: ignore[assignment]  # likewise
    monkeypatch.setitem(sys.modules, "azure", package)
    monkeypatch.setitem(sys.modules, "azure.identity", identity)

    backend = azure(fake_server, azure_ad_token_provider="default")
    ask(backend, "echo", times=2)

    assert asked == ["credential https://cognitiveservices.azure.com/.default"]
    assert {received.headers["authorization"] for received in fake_server.requests} == {"Bearer token-1"}
    assert backend.to_config()["config"]["azure_ad_token_provider"] == "default"
    assert sent_by(pickle.loads(pickle.dumps(backend)), fake_server)["authorization"] == "Bearer token-2"


def sent_by(backend: AzureOpenAIBackend, server: FakeServer) -> Mapping[str, str]:
    """The headers of one request of a backend."""
    ask(backend, "echo")
    return server.requests[-1].headers


@pytest.mark.capability("A38")
def test_the_default_credential_may_be_missing(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "azure", None)

    with pytest.raises(MissingDependencyError, match="needs azure-identity") as caught:
        azure(fake_server, azure_ad_token_provider="default")

    assert "llm-magic[azure]" in (caught.value.hint or "")


@pytest.mark.capability("A39")
def test_our_name_is_said_before_the_users(fake_server: FakeServer) -> None:
    """Whichever way that is given; "" tells nothing."""
    ours = f"llm_magic/{__version__} (openai/{openai.__version__})"

    assert sent(fake_server)["user-agent"] == ours
    assert sent(fake_server, user_agent="lab/1")["user-agent"] == f"{ours} lab/1"
    assert sent(fake_server, headers={"user-agent": "lab/2"})["user-agent"] == f"{ours} lab/2"
    silent = sent(fake_server, user_agent="")
    assert silent["user-agent"] == ""
    assert not re.search("python|openai/", str(silent), re.IGNORECASE)


@pytest.mark.capability("A23")
def test_a_redirect_to_another_server_takes_no_key_with_it(fake_server: FakeServer) -> None:
    """Its header is no standard one, so no transport knows it."""
    with FakeServer() as other:
        host = other.url.removeprefix("http://").removesuffix("/v1")
        backend = azure(fake_server, azure_endpoint=fake_server.url.replace("/v1", f"/elsewhere/{host}"))

        assert ask(backend, "echo").text == "hello there, world"

        assert fake_server.requests[0].headers["api-key"] == KEY
        assert "api-key" not in other.requests[0].headers


@pytest.mark.capability("A37", "K5")
def test_it_is_copied_and_pickled_without_its_key(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy keeps the key; a pickle finds the one of its place."""
    backend = azure(fake_server)

    assert KEY.encode() not in pickle.dumps(backend)
    assert sent_by(copy.deepcopy(backend), fake_server)["api-key"] == KEY
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "there")
    travelled = pickle.loads(pickle.dumps(azure(fake_server, api_key="env:AZURE_OPENAI_API_KEY")))
    assert sent_by(travelled, fake_server)["api-key"] == "there"


def test_it_is_found_by_name_and_keeps_the_protocol(fake_server: FakeServer) -> None:
    """Like every backend."""
    assert factory("azure") is AzureOpenAIBackend
    assert azure(fake_server).info().provider == "azure"

    async def run() -> None:
        await check_backend(lambda: azure(fake_server, azure_deployment=None), model="echo", secret=KEY)
        backend = azure(fake_server)
        assert (await aask(backend, request("echo", is_streaming=False))).text == "hello there, world"
        await backend.aclose()

    asyncio.run(run())


def test_unknown_arguments_name_the_nearest(fake_server: FakeServer) -> None:
    """Its own among them."""
    with pytest.raises(ConfigurationError) as caught:
        azure(fake_server, azure_deploymnt="x")

    assert caught.value.message == "AzureOpenAIBackend has no argument 'azure_deploymnt'."
    assert caught.value.hint == "did you mean azure_deployment?"


@pytest.mark.capability("A35", "A37", "A39")
@pytest.mark.parametrize("settings", [{"model": "azure/echo"}, {"model": "echo", "profile": "azure"}])
def test_one_setting_asks_the_resource_of_the_environment(fake_server: FakeServer, settings: dict[str, Any]) -> None:
    """By the model's name or the profile; settings say how it is reached, and OpenAI's key stays where it was."""
    environ = {
        "AZURE_OPENAI_ENDPOINT": fake_server.url.removesuffix("/v1"),
        "AZURE_OPENAI_API_KEY": KEY,
        "OPENAI_API_VERSION": VERSION,
        "OPENAI_API_KEY": "sk-openai",
    }
    config = Config(environ=environ, session={**settings, "user_agent": "lab/1", "headers": {"X-Team": "biology"}})
    session = Session(config=config, registry=Registry(environ), conversation_type=Conversation)
    chat = Conversation(session=session)

    chat.ask("hi")
    chat.ask("hi", user_agent="", api_key="given")
    del environ["OPENAI_API_VERSION"]
    with pytest.raises(ConfigurationError, match="Azure OpenAI needs api_version"):
        chat.ask("hi", user_agent="lab/2")
    session.close()

    first, second = fake_server.requests
    assert first.path == f"/openai/deployments/echo/chat/completions?api-version={VERSION}"
    assert (first.headers["api-key"], second.headers["api-key"]) == (KEY, "given")
    assert "sk-openai" not in str(first.headers)
    assert (first.headers["user-agent"].endswith(" lab/1"), second.headers["user-agent"]) == (True, "")
    assert first.headers["x-team"] == "biology"
    assert [row.backend for row in session.ledger.rows] == ["azure"] * 2
