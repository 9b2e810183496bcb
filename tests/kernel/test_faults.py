"""Everything that goes wrong with a server or a prompt: one line, nothing lost, and the next ask works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.conftest import CANARY

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat, StartKernel

pytestmark = pytest.mark.kernel
LAST = (
    "(lambda s: (s.last.status, s.last.text, len(s.current.slots), [t.text for t in s.current.turns]))"
    "(get_ipython()._llm_magic.session)"
)
REFUSED = {
    "status-401": "AuthenticationError: The key was refused (HTTP 401)",
    "status-403": "AuthenticationError: Access was denied (HTTP 403)",
    "status-404": "RequestRejectedError: There is no such model (HTTP 404)",
    "quota": "QuotaError: The account's quota is used up (HTTP 429)",
    "status-429@0.01": "RateLimitedError: Too many requests after 2 retries (HTTP 429)",
    "context": "ContextLengthError: The conversation is longer than the model's context window (HTTP 400)",
    "html": "RequestRejectedError: The server's reply is not a chat completion",
    "not-a-completion": "RequestRejectedError: The server's reply is not a chat completion",
}
BROKEN = {
    "truncated": "StreamInterruptedError: The answer ended without its end mark",
    "drop": "StreamInterruptedError: The connection broke off",
    "garbage": "StreamInterruptedError: The server sent something that is not an answer",
    "error-event": "StreamInterruptedError: The server broke off: The server had an error",
}


def check_next_ask_works(chat: Chat) -> None:
    """The conversation goes on as if the failed ask had not been."""
    chat.run("%%chat\nstill there?", "next").checked()
    assert chat.kernel.value("_reply.text") == "still there?"


@pytest.mark.parametrize("model", REFUSED)
def test_refusal_is_one_line_and_sends_nothing_later(chat: Chat, model: str) -> None:
    """A refused ask is kept as failed, costs a row of no tokens, and is not sent again."""
    chat.begin()

    outcome = chat.run(f"%%chat -m {model}\nhello", "a")

    assert REFUSED[model] in chat.one_line(outcome)
    assert outcome.bundles == ()
    status, text, slots, turns = chat.kernel.value(LAST)
    assert (status, text, slots, turns) == ("failed", "", 1, [])
    check_next_ask_works(chat)
    assert len(chat.server.requests[-1].body["messages"]) == 1


@pytest.mark.parametrize("model", BROKEN)
def test_broken_stream_keeps_the_partial_answer(chat: Chat, model: str) -> None:
    """What arrived is shown, kept as truncated, counted as an estimate, and sent with the next ask."""
    chat.begin()

    outcome = chat.run(f"%%chat -m {model}\nhello", "a")

    assert BROKEN[model] in chat.one_line(outcome)
    assert "truncated" in outcome.bundles[-1]["text/plain"]
    status, text, slots, turns = chat.kernel.value(LAST)
    assert status == "truncated"
    assert text
    assert (slots, turns) == (1, [text])
    assert chat.kernel.value("_reply.usage.is_estimate and _reply.usage.output_tokens > 0")
    check_next_ask_works(chat)


@pytest.mark.capability("G21")
def test_stall_ends_with_its_time(chat: Chat) -> None:
    """A stream that stops coming ends after the stall timeout, and the text so far is kept."""
    chat.begin()
    chat.run("%chat config stall_timeout_s=1.5", "c").checked()

    outcome = chat.run("%%chat -m stall\nhello", "a")

    chat.run("%chat config stall_timeout_s=", "c").checked()
    assert "BackendTimeoutError: The answer stalled after 1.5 s" in chat.one_line(outcome)
    assert chat.kernel.value("_reply.turn.status") == "truncated"
    check_next_ask_works(chat)


def test_silence_ends_with_the_first_byte_timeout(chat: Chat) -> None:
    """A server that never replies is given up after the first-byte timeout."""
    chat.begin()
    chat.run("%chat config first_byte_timeout_s=0.3", "c").checked()

    outcome = chat.run("%%chat -m silent\nhello", "a")

    chat.run("%chat config first_byte_timeout_s=", "c").checked()
    assert "did not reply within 0.3 s" in chat.one_line(outcome)
    check_next_ask_works(chat)


def test_timeout_option_limits_the_whole_answer(chat: Chat) -> None:
    """--timeout ends an answer that is still coming."""
    outcome = chat.run("%%chat -m tokens-100000@50 --timeout 2\nhello", "a")

    assert "No whole answer within 2.0 s" in chat.one_line(outcome)
    assert chat.kernel.value("_reply.turn.status") == "truncated"


@pytest.mark.parametrize("model", ["429-then-ok", "429-then-ok@0.05", "500-then-ok", "drop-then-ok"])
def test_retry_is_made_and_counted(chat: Chat, model: str) -> None:
    """A passing fault is retried before the first byte and counted in the ledger."""
    chat.begin()
    chat.run(f"%%chat -m {model}\nhello {model}", "a").checked()

    assert chat.kernel.value("_reply.turn.retries") == 1
    assert chat.kernel.value("_reply.text") == f"hello {model}"


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("no-usage", "hello"),
        ("refuses-stream-options", "hello"),
        ("usage-with-choices", "hello"),
        ("content-list", "hello"),
        ("non-stream", "hello"),
        ("no-done", "hello"),
        ("crlf", "hello"),
        ("megabyte", "m" * 1_000_000),
        ("think", "then I say"),
        ("reasoning", "then I say"),
    ],
)
def test_unusual_answers_are_whole(chat: Chat, model: str, text: str) -> None:
    """Servers differ; the text is the same."""
    chat.begin()
    chat.run(f"%%chat -m {model}\nhello", "a").checked()

    assert chat.kernel.value("_reply.text") == text
    check_next_ask_works(chat)


@pytest.mark.capability("E19", "E21")
def test_empty_answer_and_refusal_say_so(chat: Chat) -> None:
    """An empty answer is shown as such and not sent again; a refusal is shown and stored."""
    chat.begin()
    assert "(empty reply)" in chat.run("%%chat -m empty\nhello", "a").checked().bundles[-1]["text/plain"]
    refused = chat.run("%%chat -m refusal\nhello", "b").checked().bundles[-1]["text/plain"]
    assert "The model refused: I cannot do that." in refused
    assert chat.kernel.value("_reply.turn.refusal") == "I cannot do that."
    check_next_ask_works(chat)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:9/v1", "Cannot reach 127.0.0.1:9 (connection refused)"),
        ("http://nowhere.invalid/v1", "Cannot reach nowhere.invalid"),
    ],
)
def test_unreachable_server_is_one_line(start_kernel: StartKernel, url: str, says: str) -> None:
    """A wrong port and an unknown host are named."""
    kernel = start_kernel(environ={"OPENAI_BASE_URL": url, "LLM_MAGIC_MAX_RETRIES": "0"})
    kernel.run("%load_ext llm_magic").checked()

    ((name, text, traceback),) = kernel.run("%%chat\nhello", cell_id="a").errors

    assert name == "RequestRejectedError"
    assert says in text
    assert len(traceback) == 1


def test_missing_key_is_never_the_local_model(start_kernel: StartKernel) -> None:
    """A model that is named without its key is an AuthenticationError that names the variable."""
    kernel = start_kernel()
    kernel.run("%load_ext llm_magic").checked()
    for model, variable in (
        ("gpt-5.4-mini", "OPENAI_API_KEY"),
        ("gemini-3-flash", "GEMINI_API_KEY"),
        ("claude-x", "ANTHROPIC_API_KEY"),
    ):
        ((name, text, _),) = kernel.run(f"%%chat -m {model}\nhello", cell_id="a").errors
        assert name == "AuthenticationError"
        assert variable in text


def test_picture_for_a_text_model_is_refused_with_advice(chat: Chat) -> None:
    """A server that takes no pictures says so in one line."""
    chat.begin()
    chat.run("from PIL import Image; img = Image.new('L', (8, 8))", "i").checked()

    assert "does not take pictures" in chat.one_line(chat.run("%%chat -m no-image\n{{ img }}", "a"))
    check_next_ask_works(chat)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{{ missing }}", "No variable named 'missing'"),
        ("{{ 1 / 0 }}", "division by zero"),
        (
            "{{ __import__('PIL.Image').Image.open(__import__('io').BytesIO(b'nothing')) }}",
            "cannot identify image",
        ),
        ("{{ b'\\x89PNG broken' }}", "image"),
    ],
)
def test_failing_expression_sends_nothing(chat: Chat, body: str, says: str) -> None:
    """An expression that fails stops before anything is sent, in one line."""
    before = len(chat.server.requests)

    line = chat.one_line(chat.run(f"%%chat\nlook: {body}", "a"))

    assert says in line
    assert len(chat.server.requests) == before


@pytest.mark.parametrize(
    "expression", ["'x' * 10_000_000", "'{' * 100_000 + '}}' * 1000", "'\\x00\\x1b[31m\\ud800 binary'"]
)
def test_strange_prompts_arrive(chat: Chat, expression: str) -> None:
    """Ten megabytes, braces without end and binary text are sent as they are."""
    chat.begin()
    chat.run(f"text = {expression}", "a").checked()
    chat.run("get_ipython().run_cell_magic('llm', '-m see --fresh', text)", "b", timeout_s=120).checked()

    assert chat.kernel.value("len(_reply.turn.prompt_text) == len(text) and _reply.text") == "no picture\n"


def test_unknown_options_name_the_nearest(chat: Chat) -> None:
    """A mistyped option asks nothing."""
    assert "did you mean --temperature?" in chat.one_line(chat.run("%%chat --temprature 1\nhi", "a"))
    assert "to ask, use %%chat or %llm" in chat.one_line(chat.run("%chat what is this", "b"))


def test_key_is_in_nothing_that_leaves(chat: Chat, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The canary key is in no output, error, repr, pickle, saved file or table of the whole module."""
    folder = tmp_path_factory.mktemp("saved")
    code = f"""
import copy, logging, pickle, io
stream = io.StringIO()
logging.basicConfig(level=logging.DEBUG, stream=stream, force=True)
session = get_ipython()._llm_magic.session
backend = session.resolve(session.look_up(session.current)).backend
%chat save {folder}/talk.json
%llm hello
seen = "".join(map(repr, (session, backend, session.config, session.registry, pickle.dumps(backend))))
seen += stream.getvalue()
u = %chat usage
c = %chat config
seen += u.to_csv() + c.to_csv() + repr(backend.info())
"""
    outcome = chat.run(code, "a").checked()
    logged = chat.run(
        "logging.basicConfig(level=logging.WARNING, force=True)\nCANARY_FOUND = 'sk-canary' in seen", "b"
    ).checked()

    assert chat.kernel.value("CANARY_FOUND") is False
    assert chat.kernel.value("len(stream.getvalue()) > 0")
    for message in (*outcome.messages, *logged.messages):
        assert CANARY not in str(message.content)
    assert CANARY not in (folder / "talk.json").read_text()
    assert chat.server.requests[-1].headers["authorization"] == f"Bearer {CANARY}"
