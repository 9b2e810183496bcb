"""What an endpoint takes, and what is learned from its refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.base import Request
from llm_magic.backends.dialect import Dialect
from llm_magic.content import message
from llm_magic.providers import Quirks, named

if TYPE_CHECKING:
    from llm_magic.providers.profile import LimitName, Way


def request(model: str = "m", *, is_streaming: bool = True, **params: Any) -> Request:
    """A request with parameters."""
    return Request(model=model, messages=(message("user", "hi"),), params=params, is_streaming=is_streaming)


def params(dialect: Dialect, asked: Request) -> dict[str, Any]:
    """What is sent beside model and messages."""
    return {key: value for key, value in dialect.body(asked).json.items() if key not in ("model", "messages")}


def test_none_is_never_sent() -> None:
    """None would mean null; false and 0 are values."""
    sent = params(Dialect(), request(is_streaming=False, stop=None, seed=0, parallel_tool_calls=False))

    assert sent == {"seed": 0, "parallel_tool_calls": False}


def test_usage_is_asked_for_with_every_stream() -> None:
    """And not without one: servers refuse it there. Other stream options are kept."""
    dialect = Dialect()

    assert params(dialect, request()) == {"stream": True, "stream_options": {"include_usage": True}}
    assert params(dialect, request(is_streaming=False, stream_options={"x": 1})) == {}
    assert params(dialect, request(stream_options={"x": 1}))["stream_options"] == {"include_usage": True, "x": 1}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Unknown parameter: 'stream_options'."),
        (422, "body.stream_options: Extra inputs are not permitted"),
        (400, "Extra inputs are not permitted"),
    ],
)
def test_stream_options_are_left_out_once_refused(status: int, words: str) -> None:
    """Named or not; by that model alone."""
    dialect = Dialect()

    assert dialect.learn(dialect.body(request(stream_options={"x": 1})), status=status, words=words)

    assert params(dialect, request(stream_options={"x": 1})) == {"stream": True}
    assert "stream_options" in params(dialect, request("other"))


def test_two_requests_under_way_learn_the_same() -> None:
    """The second refusal of what was sent before the first one came is no surprise."""
    dialect = Dialect()
    one = two = dialect.body(request())

    assert dialect.learn(one, status=400, words="stream_options")
    assert dialect.learn(two, status=400, words="stream_options")


@pytest.mark.parametrize(
    ("mine", "other"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")]
)
def test_the_limit_has_the_name_the_server_wants(mine: LimitName, other: str) -> None:
    """The one it is known to want, else the other once it refuses that."""
    dialect = Dialect(Quirks(limit_name=mine))
    sent = dialect.body(request(max_tokens=5))
    assert sent.json[mine] == 5

    assert dialect.learn(sent, status=400, words=f"Unsupported parameter: '{mine}'. Use '{other}' instead.")

    assert params(dialect, request(max_tokens=5, is_streaming=False)) == {other: 5}


def test_a_limit_that_is_too_large_is_the_users_business() -> None:
    """An error that merely names a parameter changes nothing."""
    dialect = Dialect()
    sent = dialect.body(request(max_tokens=10**9))

    assert not dialect.learn(sent, status=400, words="max_tokens is too large: at most 4096")
    assert "max_tokens" in params(dialect, request(max_tokens=5))


@pytest.mark.capability("B1")
def test_sampling_that_a_model_is_known_to_refuse_is_not_sent() -> None:
    """And what was left out is told."""
    body = Dialect().body(request("o3-mini", temperature=0.5, top_p=1, seed=1, is_streaming=False))

    assert body.left_out == ("temperature", "top_p")
    assert set(body.json) == {"model", "messages", "seed"}


@pytest.mark.capability("B1")
def test_sampling_that_a_model_refuses_is_learned() -> None:
    """By that model alone; what it did not refuse is still sent."""
    dialect = Dialect()
    asked = request(temperature=0.5, top_p=1)

    words = "Unsupported value: 'temperature' does not support 0.5 with this model."
    assert dialect.learn(dialect.body(asked), status=400, words=words)

    assert dialect.body(asked).left_out == ("temperature",)
    assert "top_p" in dialect.body(asked).json
    assert dialect.body(request("other", temperature=0.5)).left_out == ()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Unsupported parameter: 'response_format'"),
        (400, "'n' is not supported"),
        (400, "Unsupported parameter: 'tools'"),
        (400, "unknown thing, please stop sowing seed"),
        (400, "no"),
        (500, "stream_options"),
        (404, "unsupported temperature"),
    ],
)
def test_other_errors_teach_nothing(status: int, words: str) -> None:
    """What changes the question, or was refused for another reason, is an error."""
    dialect = Dialect()
    asked = request(temperature=0.5, seed=1, n=2, stop=["x"], response_format={"type": "json_object"})
    sent = dialect.body(asked)

    assert not dialect.learn(sent, status=status, words=words)
    assert dialect.body(asked) == sent


@pytest.mark.parametrize(
    ("form", "mark", "flags"),
    [
        ("ask", {}, {}),
        ("plain", {}, {}),
        ("prefix", {"prefix": True}, {}),
        ("continue_final_message", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_the_beginning_of_an_answer_is_marked_as_the_server_wants(
    form: Way, mark: dict[str, Any], flags: dict[str, Any]
) -> None:
    """The last message, where it is the assistant's; no other request is marked."""
    dialect = Dialect(Quirks(continues=form))
    asked = replace(request(is_streaming=False), messages=(message("user", "hi"), message("assistant", "Hel")))

    assert dialect.body(asked).json["messages"][1] == {"role": "assistant", "content": "Hel"} | mark
    assert params(dialect, asked) == flags
    assert params(dialect, request(is_streaming=False)) == {}


@pytest.mark.capability("B6", "B9")
@pytest.mark.parametrize(
    ("name", "sent"), [("openai", "frequency_penalty"), ("ollama", "repeat_penalty"), ("vllm", "repetition_penalty")]
)
def test_a_penalty_for_repeating_has_the_name_the_server_has_for_it(name: str, sent: str) -> None:
    """OpenAI's nearest one, llama.cpp's, or its own."""
    asked = request(repetition_penalty=1.2, is_streaming=False)

    assert params(Dialect(named(name).quirks), asked) == {sent: 1.2}


@pytest.mark.capability("B8", "B12")
def test_raw_parameters_go_into_the_body_as_they_are() -> None:
    """Over everything else."""
    asked = request(temperature=1, extra_body={"top_k": 5, "temperature": 0}, is_streaming=False)

    assert params(Dialect(), asked) == {"temperature": 0, "top_k": 5}


def test_what_a_provider_is_known_to_refuse_is_not_sent() -> None:
    """And told, by the name it was asked for."""
    body = Dialect(named("groq").quirks).body(request(logprobs=True, max_tokens=5))

    assert body.left_out == ("logprobs",)
    assert body.json["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("property 'user' is unsupported", "user"),
        ("Unsupported parameter: user", "user"),
        ("body.user: Extra inputs are not permitted", "user"),
        ("Argument not supported on this model: stop", "stop"),
        ("unknown field `seed`", "seed"),
        ("reasoning_effort is not supported with this model", "reasoning_effort"),
        ("Unrecognized request argument supplied: topLogprobs", "top_logprobs"),
    ],
)
def test_refusals_are_understood_however_they_are_worded(words: str, name: str) -> None:
    """Quoted, as a path, in camel case."""
    dialect = Dialect()
    asked = request(user="u", stop=["x"], seed=1, reasoning_effort="low", top_logprobs=2, logprobs=True)

    assert dialect.learn(dialect.body(asked), status=400, words=words)
    assert dialect.body(asked).left_out == (name,)


@pytest.mark.parametrize(
    "words",
    [
        "The user is not allowed to use this model",
        "unexpected end of input, please stop",
        "unknown model: store it first",
        "messages: the name of the tool is unknown",
        "messages.0.content: developer mode is on",
    ],
)
def test_words_that_merely_look_like_parameters_teach_nothing(words: str) -> None:
    """Common words count only where they stand like a name."""
    dialect = Dialect()
    asked = request(user="u", stop=["x"], store=True)

    assert not dialect.learn(dialect.body(asked), status=400, words=words)
    assert dialect.body(asked).left_out == ()


@pytest.mark.capability("J1")
def test_a_completion_is_a_prompt_with_its_own_limit() -> None:
    """The messages' text as it stands; its limit has one name, whatever chat calls it."""
    asked = replace(request(is_streaming=False, max_tokens=5), api="completions")

    body = Dialect(Quirks(limit_name="max_completion_tokens")).body(asked).json

    assert body == {"model": "m", "prompt": "hi", "max_tokens": 5}


@pytest.mark.capability("B14", "B19", "J1")
@pytest.mark.parametrize(
    ("words", "is_learned", "without"),
    [
        ("Unknown parameter: 'stream_options'.", True, "stream_options"),
        ("Unknown parameter: 'seed'.", True, "seed"),
        ("messages: property 'name' is unsupported", False, ""),
        ("The role developer is not supported.", False, ""),
        ("This model's maximum context length is 4096 tokens.", False, ""),
    ],
)
def test_refusals_of_a_completion_teach_too(words: str, without: str, *, is_learned: bool) -> None:
    """It has no messages, of which some refusals speak; what teaches nothing stays the server's error."""
    dialect, asked = Dialect(), replace(request(seed=1), api="completions")
    first = dialect.body(asked)

    assert dialect.learn(first, status=400, words=words) == is_learned
    assert dialect.body(asked).json.keys() == first.json.keys() - {without}
