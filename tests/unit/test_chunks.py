"""Chunks of an answer to events."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from llm_magic.backends.chunks import ChunkReader, normalized_finish_reason, usage_from_openai
from llm_magic.counts import Usage
from llm_magic.events import (
    Completed,
    Event,
    LogprobsDelta,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk as servers send it."""
    return {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish_reason}], **more}


def read(*chunks: dict[str, Any], begins_thinking: bool = False) -> tuple[list[Event], Completed]:
    """All events of an answer but the last, and the last."""
    reader = ChunkReader(begins_thinking=begins_thinking)
    for item in chunks:
        reader.read(item)
    completed = reader.finish()
    return reader.take(), completed


def calls(*pieces: dict[str, Any]) -> list[tuple[int, str, str, str]]:
    """Number, id, name and arguments of tool calls, each piece in a chunk of its own."""
    events, _ = read(*(chunk({"tool_calls": [piece]}) for piece in pieces))
    return [(e.index, e.id, e.name, e.arguments) for e in events if isinstance(e, ToolCallDelta)]


@pytest.mark.capability("G6")
def test_neighbouring_text_is_joined() -> None:
    """What one read brought is one delta; other kinds part it."""
    events, _ = read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "a"}),
        chunk({"content": "b"}),
        chunk({"refusal": "no"}),
        chunk({"content": "c"}),
    )

    assert events == [TextDelta(text="ab"), RefusalDelta(text="no"), TextDelta(text="c")]


@pytest.mark.capability("F1", "F4")
@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_comes_apart_from_text(key: str) -> None:
    """Both names of the field are known; tags after it are text."""
    events, _ = read(chunk({key: "why", "content": None}), chunk({"content": "<think>so"}))

    assert events == [ReasoningDelta(text="why"), TextDelta(text="<think>so")]


def test_text_held_back_for_a_tag_comes_before_the_reasoning() -> None:
    """Space that could have led up to a tag keeps its place when thoughts come in a field of their own."""
    events, _ = read(chunk({"content": " "}), chunk({"reasoning": "why"}), chunk({"content": "so"}))

    assert events == [TextDelta(text=" "), ReasoningDelta(text="why"), TextDelta(text="so")]


def test_both_names_of_the_reasoning_in_one_chunk_count_once() -> None:
    """Servers that send both send the same text."""
    events, _ = read(chunk({"reasoning": "why", "reasoning_content": "why"}))

    assert events == [ReasoningDelta(text="why")]


@pytest.mark.capability("E6")
def test_content_may_be_a_list_of_parts() -> None:
    """Text parts are text, thinking parts are thoughts, empty and unknown ones nothing."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "why"}]},
        {"type": "text", "text": "so"},
        {"type": "text", "text": ""},
        {"type": "reference", "ids": [1]},
        {"type": "refusal", "refusal": "no"},
    ]

    events, _ = read(chunk({"content": parts}))

    assert events == [ReasoningDelta(text="why"), TextDelta(text="so"), RefusalDelta(text="no")]


@pytest.mark.capability("E6")
def test_a_whole_completion_is_one_chunk() -> None:
    """Message, text and delta are read alike."""
    message = {"role": "assistant", "content": "so", "reasoning_content": "why", "tool_calls": None}
    legacy = {"index": 0, "text": "old", "finish_reason": "stop"}

    assert read({"choices": [{"message": message, "finish_reason": "stop"}]})[0] == [
        ReasoningDelta(text="why"),
        TextDelta(text="so"),
    ]
    assert read({"choices": [legacy]})[0] == [TextDelta(text="old")]


@pytest.mark.capability("G3", "G16")
def test_chunks_without_choices_are_read_for_their_usage() -> None:
    """No choices, null choices and no delta never fail, and the last usage that is not null counts."""
    reader = ChunkReader()
    items: list[dict[str, Any]] = [
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
        chunk({"content": "a"}, usage={"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}),
        chunk(usage=None),
    ]
    for item in items:
        reader.read(item)

    assert reader.usage == Usage(input_tokens=4, output_tokens=5, total_tokens=9)


@pytest.mark.capability("G14", "K9")
def test_many_empty_chunks_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """More than ten in a row: one warning; ten, or with content between: none."""
    with caplog.at_level(logging.WARNING, logger="llm_magic"):
        read(*[{"choices": []}] * 10, chunk({"content": "a"}), *[{"choices": []}] * 10)
        assert not caplog.records
        read(*[{"choices": []}] * 30)

    assert len(caplog.records) == 1


@pytest.mark.capability("E15")
def test_only_the_first_answer_is_read() -> None:
    """Further choices, in the same chunk or in their own, are left out and told once."""
    second = {"index": 1, "delta": {"content": "second"}, "finish_reason": None}
    first = {"index": 0, "delta": {"content": "first"}, "finish_reason": None}

    events, _ = read({"choices": [first, second]}, {"choices": [second]})

    assert [type(event) for event in events] == [TextDelta, Notice]
    assert events[0] == TextDelta(text="first")


@pytest.mark.capability("G8", "G11")
def test_tool_calls_are_numbered_by_appearance() -> None:
    """With indexes from 0 or 1, without any, with ids alone, with index 0 throughout: the calls are the same."""
    whole = [(0, "a", "f", "{}"), (1, "b", "g", "[]")]

    def call(name: str, arguments: str, **more: Any) -> dict[str, Any]:
        return {"function": {"name": name, "arguments": arguments}, **more}

    for first, second in (
        ({"index": 0, "id": "a"}, {"index": 1, "id": "b"}),
        ({"index": 1, "id": "a"}, {"index": 2, "id": "b"}),
        ({"index": 0, "id": "a"}, {"index": 0, "id": "b"}),
        ({"id": "a"}, {"id": "b"}),
    ):
        assert calls(call("f", "{}", **first), call("g", "[]", **second)) == whole
    assert [item[0] for item in calls(call("f", "{}"), call("g", "[]"))] == [0, 1]


@pytest.mark.capability("G8")
def test_pieces_of_a_call_find_their_call() -> None:
    """By index, by id, or as the last one begun."""
    begun = {"function": {"name": "f", "arguments": ""}}
    more = {"function": {"arguments": "{}"}}

    assert [c[0] for c in calls({"index": 0, **begun}, {"index": 1, **begun}, {"index": 0, **more})] == [0, 1, 0]
    assert [c[0] for c in calls({"id": "a", **begun}, {"id": "b", **begun}, {"id": "a", **more})] == [0, 1, 0]
    assert [c[0] for c in calls(begun, more, begun, more)] == [0, 0, 1, 1]


@pytest.mark.capability("D17")
def test_arguments_that_are_no_text_are_written_as_json() -> None:
    """Some servers send them parsed."""
    assert calls({"function": {"name": "f", "arguments": {"a": 1}}}) == [(0, "", "f", '{"a": 1}')]


@pytest.mark.capability("D15")
def test_calls_in_the_text_are_calls() -> None:
    """Behind a thought, before the model's own end token; they end the answer as calls do."""
    text = '<think>hm</think>Look.\n<tool_call>{"name": "f", "arguments": {}}</tool_call><|im_end|>'
    reader = ChunkReader(stop_tokens=("<|im_end|>",), text_calls="hermes")

    for letter in text:
        reader.read(chunk({"content": letter}))
    reader.read(chunk({}, "stop"))
    completed = reader.finish()
    thought, said, call = reader.take()

    assert (thought, said) == (ReasoningDelta(text="hm"), TextDelta(text="Look."))
    assert isinstance(call, ToolCallDelta)
    assert (call.index, call.name, call.arguments) == (0, "f", "{}")
    assert call.id.startswith("call_")
    assert completed.finish_reason == "tool_calls"


@pytest.mark.capability("D18", "E18")
def test_the_retired_function_call_is_a_tool_call() -> None:
    """Old servers still send it."""
    events, completed = read(chunk({"function_call": {"name": "f", "arguments": "{}"}}), chunk({}, "function_call"))

    assert events == [ToolCallDelta(index=0, name="f", arguments="{}")]
    assert completed.finish_reason == "tool_calls"


def test_tool_calls_set_the_finish_reason(caplog: pytest.LogCaptureFixture) -> None:
    """Calls that end with "stop" end with tool_calls, and it is logged; cut ones stay cut."""
    piece = chunk({"tool_calls": [{"id": "a", "function": {"name": "f"}}]})

    with caplog.at_level(logging.WARNING, logger="llm_magic"):
        assert read(piece, chunk({}, "stop"))[1].finish_reason == "tool_calls"
    assert len(caplog.records) == 1
    assert read(piece, chunk({}, "length"))[1].finish_reason == "length"


@pytest.mark.capability("E2", "E3")
@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("EOS", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("function_call", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("something else", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_finish_reasons_are_five(sent: str | None, meant: str) -> None:
    """Whatever a server calls it."""
    assert normalized_finish_reason(sent) == meant


@pytest.mark.capability("G18")
def test_model_and_tier_are_those_of_the_last_chunk() -> None:
    """A router may tell late which model answers."""
    _, completed = read(chunk(model="router"), chunk({}, "stop", model="gpt-x", service_tier="flex"), {"choices": []})

    assert completed == Completed(finish_reason="stop", model="gpt-x", service_tier="flex")


def test_logprobs_are_kept_as_sent() -> None:
    """Token, logprob, bytes, top_logprobs."""
    token = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
    item = chunk({"content": "a"})
    item["choices"][0]["logprobs"] = {"content": [token], "refusal": None}

    assert read(item)[0] == [TextDelta(text="a"), LogprobsDelta(tokens=(token,))]


@pytest.mark.capability("F3")
def test_thoughts_in_tags_are_told_apart() -> None:
    """Also where the family begins inside a thought."""
    assert read(chunk({"content": "<think>w"}), chunk({"content": "hy</think>so"}))[0] == [
        ReasoningDelta(text="why"),
        TextDelta(text="so"),
    ]
    assert read(chunk({"content": "why</think>so"}), begins_thinking=True)[0] == [
        ReasoningDelta(text="why"),
        TextDelta(text="so"),
    ]


@pytest.mark.capability("I16")
def test_usage_keeps_every_detail() -> None:
    """All details of the protocol; what is not sent is None, not 0."""
    usage = usage_from_openai(
        {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "total_tokens": 30,
            "prompt_tokens_details": {
                "cached_tokens": 1,
                "cache_write_tokens": 2,
                "audio_tokens": 3,
                "image_tokens": 4,
                "text_tokens": 5,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 6,
                "audio_tokens": 7,
                "accepted_prediction_tokens": 8,
                "rejected_prediction_tokens": 9,
            },
        }
    )

    assert usage == Usage(
        input_tokens=10,
        output_tokens=20,
        total_tokens=30,
        cached_tokens=1,
        cache_write_tokens=2,
        input_audio_tokens=3,
        input_image_tokens=4,
        input_text_tokens=5,
        reasoning_tokens=6,
        output_audio_tokens=7,
        accepted_prediction_tokens=8,
        rejected_prediction_tokens=9,
    )
    assert usage_from_openai({"prompt_tokens": 1, "completion_tokens": None, "prompt_tokens_details": None}) == Usage(
        input_tokens=1, total_tokens=1
    )
    assert usage_from_openai({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}).cached_tokens == 4
