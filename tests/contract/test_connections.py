"""Sessions over the wire: how many requests at once, how long, to whom, and that nothing stays open."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llm_magic
from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.backends.local import LocalBackend
from llm_magic.backends.openai import OpenAIBackend
from llm_magic.backends.registry import Registry
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.errors import BackendTimeoutError, ConfigurationError, QuotaError
from llm_magic.session import Session
from llm_magic.settings import SETTINGS
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.server import FakeServer, Received

ROOT = Path(__file__).resolve().parents[2]
ANSWER = "hello there, world"


@pytest.fixture
def session(fake_server: FakeServer) -> Iterator[Session]:
    """A session that asks the fake server, with nothing of the environment."""
    config = Config(environ={}, session={"base_url": fake_server.url, "model": "echo"})
    made = Session(config=config, conversation_type=Conversation)
    yield made
    made.close()


def aside(session: Session, **settings: Any) -> Ask:
    """An ask of a conversation of its own, that keeps nothing."""
    chat = Conversation(session=session)
    return Ask(prompt=(message("user", ANSWER),), conversation=chat, is_kept=False, settings=settings)


def is_open(received: Received) -> bool:
    """The server has not ended it."""
    return not received.is_over


# What is known of an answer, and what is taken off it


@pytest.mark.capability("E14", "E16", "I11")
def test_a_reply_and_its_row_tell_of_the_request(session: Session) -> None:
    """Both models, why it ended, the server's id, how long it took, who is billed."""
    session.config.session["organization"] = "org-1"
    reply = Conversation(session=session).ask(ANSWER)

    (row,) = session.ledger.rows
    assert (reply.turn.requested_model, reply.model) == (row.requested_model, row.model) == ("echo", "echo-2026")
    assert (reply.finish_reason, row.finish_reason) == ("stop", "stop")
    assert reply.request_id == row.request_id == "req_0001"
    assert 0 < (reply.ttft_s or 0) <= (reply.latency_s or 0)
    assert 0 < (row.ttft_s or 0) <= (row.latency_s or 0) <= (reply.latency_s or 0)
    assert row.organization == "org-1"
    assert reply.cached is False
    assert reply.turn.notices == ()  # a dated name of the same model


@pytest.mark.capability("A12", "I11")
@pytest.mark.parametrize("is_streaming", [True, False])
def test_each_row_names_the_organization_it_was_billed_to(
    session: Session, fake_server: FakeServer, *, is_streaming: bool
) -> None:
    """Of several that are used in turn, the one of this request; no file of the conversation names any."""
    session.config.session |= {"organization": ["org-a", "org-b"], "stream": is_streaming}
    chat = Conversation(session=session)
    for _ in range(3):
        chat.ask(ANSWER)
    with pytest.raises(llm_magic.RequestRejectedError):
        chat.ask(ANSWER, model="status-400")

    sent = [received.headers["openai-organization"] for received in fake_server.requests]
    assert sent == ["org-a", "org-b", "org-a", "org-b"]
    assert [row.organization for row in session.ledger.rows] == [*sent[:3], "org-a, org-b"]  # a refusal bills nobody
    assert "org-a" not in str(chat.to_dict())


@pytest.mark.capability("E5", "F3", "F5", "G13")
@pytest.mark.parametrize("is_streaming", [True, False])
def test_settings_say_how_an_answer_begins_and_ends(session: Session, *, is_streaming: bool) -> None:
    """Tokens of a model's own at its end, a thought without its opening tag: of any model, if the user says so."""
    chat = Conversation(session=session)
    as_sent = chat.ask("why</think>so<end>", stream=is_streaming)
    session.config.session |= {"stop_tokens": "<end> </s>", "begins_thinking": True}
    told = chat.ask("why</think>so<end>", stream=is_streaming)

    assert (as_sent.text, as_sent.reasoning) == ("why</think>so<end>", "")
    assert (told.text, told.reasoning) == ("so", "why")
    assert "why" not in told.turn.messages()[-1].text


# How many, how fast


@pytest.mark.capability("A1")
def test_the_nearest_key_is_sent(fake_server: FakeServer) -> None:
    """The ask's, the session's, %config's, then those of the environment; a server of one's own needs none."""
    environ = {"LLM_MAGIC_API_KEY": "ours", "OPENAI_API_KEY": "openai", "MBODI_API_KEY": "mbodi"}
    config = Config(environ=environ, traits={"api_key": "trait"}, session={"base_url": fake_server.url})
    config.session |= {"model": "echo", "api_key": "session"}
    owner = Session(config=config, registry=Registry(environ), conversation_type=Conversation)
    chat = Conversation(session=owner)

    chat.ask(ANSWER, api_key="ask")
    for layer in (config.session, config.traits):
        chat.ask(ANSWER)
        del layer["api_key"]
    for variable in tuple(environ):
        chat.ask(ANSWER)
        del environ[variable]
    chat.ask(ANSWER)
    owner.close()

    used = [received.headers["authorization"].removeprefix("Bearer ") for received in fake_server.requests]
    assert used == ["ask", "session", "trait", "ours", "openai", "mbodi", "no-key"]


@pytest.mark.capability("A9", "A12", "A18", "B20")
def test_names_of_other_wrappers_mean_settings(fake_server: FakeServer) -> None:
    """key, org, timeout: they go where ours go, and not into the request's body."""
    environ = {"OPENAI_API_KEY": "theirs"}
    config = Config(environ=environ, session={"base_url": fake_server.url})
    owner = Session(config=config, registry=Registry(environ), conversation_type=Conversation)
    chat = Conversation(session=owner)

    chat.ask(ANSWER, model="echo", key="ENV", org="org-1", retry=0)
    with pytest.raises(BackendTimeoutError, match=r"No whole answer within 2 s"):
        chat.ask(ANSWER, model="gated", timeout=2)
    fake_server.open_gate()
    with pytest.raises(ConfigurationError, match="'api_key' is given twice"):
        chat.ask(ANSWER, model="echo", key="a", api_key="b")
    owner.close()

    first = fake_server.requests[0]
    assert (first.headers["authorization"], first.headers["openai-organization"]) == ("Bearer theirs", "org-1")
    assert [received.body.keys() - {"stream", "stream_options"} for received in fake_server.requests] == [
        {"model", "messages"}
    ] * 2


@pytest.mark.capability("B21", "C18")
def test_roles_and_names_are_said_as_it_is_set(session: Session, fake_server: FakeServer) -> None:
    """Any role by another name, authors before their text; what is kept stays as it was."""
    session.config.session |= {"roles": "system=developer", "names": "prefixed", "author": "ada"}
    chat = Conversation(session=session, system="Be brief.")

    chat.ask(ANSWER)

    sent = fake_server.requests[0].body["messages"]
    assert [(item["role"], item["content"]) for item in sent] == [
        ("developer", "Be brief."),
        ("user", f"ada said: {ANSWER}"),
    ]
    (turn,) = chat.turns
    assert [(item.role, item.name, item.text) for item in turn.prompt] == [("user", "ada", ANSWER)]


@pytest.mark.capability("A21", "H9")
def test_the_third_of_three_waits(session: Session, fake_server: FakeServer) -> None:
    """Two are under way unless something else is set: the third is sent when one of them has ended."""
    assert SETTINGS["max_in_flight"].default == 2
    runs = [session.ask(aside(session, model="gated")) for _ in range(3)]

    fake_server.wait_until(lambda: len(fake_server.requests) == 2)
    held = [is_open(received) for received in fake_server.requests]
    fake_server.open_gate()
    turns = [run.outcome().turn for run in runs]

    first, second, third = fake_server.requests
    assert held == [True, True]
    assert [turn.text for turn in turns] == ["before after"] * 3
    assert third.at >= min(received.finished_at or 0 for received in (first, second))


@pytest.mark.capability("A21")
def test_more_may_be_under_way_where_it_is_set(session: Session, fake_server: FakeServer) -> None:
    """All three at once."""
    session.config.session["max_in_flight"] = 3
    runs = [session.ask(aside(session, model="gated")) for _ in range(3)]

    fake_server.wait_until(lambda: len(fake_server.requests) == 3)
    held = [is_open(received) for received in fake_server.requests]
    fake_server.open_gate()

    assert held == [True] * 3
    assert [run.outcome().turn.text for run in runs] == ["before after"] * 3


@pytest.mark.capability("K11", "A10", "A12")
def test_threads_of_a_session_share_the_turns(session: Session, fake_server: FakeServer) -> None:
    """8 threads × 50 asks over 3 keys and 2 organizations: exact counts at the server."""
    keys = ["key-one", "key-two", "key-six"]
    session.config.session |= {"api_key": keys, "organization": ["org-a", "org-b"], "max_in_flight": 8}

    def fifty(_: int) -> None:
        chat = Conversation(session=session)
        for _ in range(50):
            assert chat.ask(ANSWER, keep=False).text == ANSWER

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(fifty, range(8)))

    heads = [received.headers for received in fake_server.requests]
    assert Counter(head["authorization"].removeprefix("Bearer ") for head in heads) == {
        "key-one": 134,
        "key-two": 133,
        "key-six": 133,
    }
    assert Counter(head["openai-organization"] for head in heads) == {"org-a": 200, "org-b": 200}


# How long


@pytest.mark.capability("A24", "A31", "H9")
def test_an_answer_that_does_not_begin_is_not_waited_for(session: Session, fake_server: FakeServer) -> None:
    """120 seconds, unless something else is set; nothing is asked again, nothing is lost."""
    assert SETTINGS["first_byte_timeout_s"].default == 120

    with pytest.raises(BackendTimeoutError, match=r"did not reply within 0\.2 s"):
        Conversation(session=session).ask(ANSWER, model="silent", first_byte_timeout_s=0.2)

    assert len(fake_server.requests) == 1
    assert Conversation(session=session).ask(ANSWER).text == ANSWER


@pytest.mark.capability("A25", "A31", "H9")
def test_an_answer_that_stalls_keeps_its_text(session: Session) -> None:
    """600 seconds between two pieces, unless something else is set."""
    assert SETTINGS["stall_timeout_s"].default == 600
    chat = Conversation(session=session)

    with pytest.raises(BackendTimeoutError, match=r"stalled after 1 s"):
        chat.ask(ANSWER, model="stall@3", stall_timeout_s=1)

    (turn,) = chat.turns
    assert turn.text.strip()
    assert turn.status == "truncated"


@pytest.mark.capability("B20")
def test_one_ask_may_have_a_time_of_its_own(session: Session, fake_server: FakeServer) -> None:
    """However much of the answer came; the next ask has none."""
    chat = Conversation(session=session)

    with pytest.raises(BackendTimeoutError, match=r"No whole answer within 0\.3 s"):
        chat.ask(ANSWER, model="gated", timeout_s=0.3)
    fake_server.open_gate()

    assert chat.ask(ANSWER).text == ANSWER


@pytest.mark.capability("H4", "H7", "A5")
def test_retries_by_the_name_others_have(fake_server: FakeServer) -> None:
    """One more try than that, then one error that says how often, with the server's id of the request."""
    backend = OpenAIBackend(base_url=fake_server.url, key="k", org="org-1", retry=1, model_src="x")
    session = Session(config=Config(environ={}), conversation_type=Conversation)

    with pytest.raises(llm_magic.RateLimitedError, match="after a retry") as caught:
        Conversation(backend=backend, model="status-429@0.01", session=session).ask("x")
    session.close()
    asyncio.run(backend.aclose())

    assert len(fake_server.requests) == 2
    assert caught.value.request_id == "req_0002"
    assert caught.value.hint
    assert caught.value.retries == 1
    assert fake_server.requests[0].headers["openai-organization"] == "org-1"


@pytest.mark.capability("A11", "H11")
def test_keys_without_quota_cost_a_session_one_error(session: Session, fake_server: FakeServer) -> None:
    """Each of them is asked once; the conversation is as it was, and another model of the backend cannot help."""
    session.config.session |= {"api_key": ["key-one", "key-two"]}
    chat = Conversation(session=session)

    for _ in range(3):
        with pytest.raises(QuotaError):
            chat.ask(ANSWER, model="quota")

    assert len(fake_server.requests) == 2
    assert chat.turns == ()


# Whom


@pytest.mark.capability("A15", "A30")
def test_the_model_is_the_asks_the_conversations_or_the_sessions(session: Session) -> None:
    """The nearest one counts; connection, parameters and the rest are one flat set of names."""
    backend = ScriptedBackend([says("x")])
    session.config.session["model"] = "of-session"
    plain = Conversation(session=session, backend=backend)
    named = Conversation(session=session, backend=backend, model="of-conversation")

    plain.ask("a")
    named.ask("b", user_agent="lab/1", temperature=0.5, max_retries=4)
    named.ask("c", model="of-ask")

    assert [request.model for request in backend.requests] == ["of-session", "of-conversation", "of-ask"]
    assert backend.requests[1].params == {"temperature": 0.5}
    assert backend.requests[1].max_retries == 4
    with pytest.raises(ConfigurationError) as caught:
        session.config.look_up("user_agnt")
    assert caught.value.hint == "did you mean user_agent?"


@pytest.mark.capability("A31", "A40")
def test_settings_of_one_ask_reach_the_wire(session: Session, fake_server: FakeServer) -> None:
    """And hold for that one."""
    chat = Conversation(session=session)

    chat.ask("a", user_agent="lab/1", headers={"X-Team": "biology"}, organization="org-1", api_key="k1")
    chat.ask("b")

    first, second = (received.headers for received in fake_server.requests)
    assert (first["user-agent"], first["x-team"]) == ("lab/1", "biology")
    assert (first["openai-organization"], first["authorization"]) == ("org-1", "Bearer k1")
    assert second["user-agent"].startswith("llm_magic/")
    assert not {"x-team", "openai-organization"} & second.keys()


@pytest.mark.capability("A16")
def test_who_is_asked_says_whether_it_is_here() -> None:
    """A server on this machine may be a proxy, so only our own model is."""
    assert LocalBackend().info().is_local
    assert not OpenAIBackend(base_url="http://127.0.0.1:9/v1").info().is_local


@pytest.mark.capability("K4")
def test_a_setting_may_refer_to_a_variable(fake_server: FakeServer) -> None:
    """Which is read in the session's environment, and followed when it changes."""
    environ = {"LAB_KEY": "first"}
    config = Config(environ=environ, session={"base_url": fake_server.url, "api_key": "env:LAB_KEY", "model": "echo"})
    session = Session(config=config, conversation_type=Conversation, registry=Registry(environ))
    chat = Conversation(session=session)

    chat.ask("a")
    environ["LAB_KEY"] = "second"
    chat.ask("b")
    session.close()

    assert [received.headers["authorization"] for received in fake_server.requests] == ["Bearer first", "Bearer second"]


# What stays


@pytest.mark.capability("K5")
def test_conversations_pickle_and_copy_without_a_key(fake_server: FakeServer) -> None:
    """What was said travels, what opens the server does not; a copy within the process can ask on."""
    key = "sk-canary-0123456789abcdef"
    session = Session(config=Config(environ={}), conversation_type=Conversation)
    backend = OpenAIBackend(base_url=fake_server.url, api_key=key)
    chat = Conversation(backend=backend, model="echo", session=session)
    chat.ask("hello")

    pickled = pickle.dumps(chat)
    copied = copy.deepcopy(chat)
    assert copied.ask("and on", keep=False).text == "and on"
    session.close()
    for opened in (chat, copied):
        assert opened.backend is not None
        asyncio.run(opened.backend.aclose())

    assert key.encode() not in pickled
    travelled = pickle.loads(pickled)
    assert travelled == copied == chat
    assert travelled.session is None
    assert len(chat.turns) == 1


@pytest.mark.capability("A41")
def test_a_closed_session_leaves_nothing_open(fake_server: FakeServer) -> None:
    """No connection, no thread's work, no warning, also where the process just ends."""
    code = f"""
import asyncio, gc, sys
from llm_magic import OpenAIBackend
from llm_magic.api import ask, session

print(ask("one", model="echo").text)
if sys.argv[1] == "close":
    session().close()
    print(ask("two", model="echo").text)  # it opens again
    session().close()
gc.collect()

async def own_loop():
    backend = OpenAIBackend(base_url={fake_server.url!r}, api_key="k")
    await backend.models()
    await backend.aclose()

asyncio.run(own_loop())
gc.collect()
"""
    for how, answers in (("close", "one\ntwo\n"), ("leave", "one\n")):
        done = subprocess.run(
            [sys.executable, "-W", "always", "-c", code, how],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LLM_MAGIC_BASE_URL": fake_server.url},
        )
        assert (done.returncode, done.stdout) == (0, answers), done.stderr
        assert "ResourceWarning" not in done.stderr, done.stderr
    assert not [received for received in fake_server.requests if is_open(received)]


@pytest.mark.capability("K9")
def test_one_logger_speaks_for_the_package() -> None:
    """Whoever sets up ``llm_magic`` hears all of it."""
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "llm_magic").rglob("*.py"))
    names = set(re.findall(r"getLogger\(([^)]*)\)", sources))

    assert '"llm_magic"' in names
    assert {name for name in names if not re.fullmatch(r'"llm_magic(\.\w+)*"', name)} == set()
    assert "warnings.warn(" not in sources


@pytest.mark.capability("K13")
def test_a_source_tree_knows_its_version() -> None:
    """No package is installed here: neither ours nor any other."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import llm_magic; print(llm_magic.__version__)"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.strip() == llm_magic.__version__, done.stderr
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", llm_magic.__version__)
