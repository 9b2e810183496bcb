"""Messages as the protocol has them, and back."""

from __future__ import annotations

import base64
import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends import wire
from llm_magic.content import AudioPart, FilePart, ImagePart, Message, Part, TextPart, ToolCall
from llm_magic.errors import ContentError

PNG = ImagePart(data=b"\x89PNG bytes", media_type="image/png")
PNG_URL = "data:image/png;base64," + base64.b64encode(b"\x89PNG bytes").decode()


def to_openai(*parts: Part, **more: Any) -> dict[str, Any]:
    """A user's message on the wire."""
    return wire.message_to_openai(Message(role="user", parts=parts, **more))


@pytest.mark.capability("C1")
def test_text_alone_is_plain_text() -> None:
    """A message of one text part has a string for content; one of none the empty string."""
    assert to_openai(TextPart(text="hi", label="df")) == {"role": "user", "content": "hi"}
    assert to_openai() == {"role": "user", "content": ""}


@pytest.mark.capability("C3", "C12", "C1")
def test_parts_are_sent_in_their_order() -> None:
    """Text and pictures interleaved stay interleaved."""
    sent = to_openai(
        TextPart(text="look at"),
        PNG,
        TextPart(text="and at"),
        ImagePart(url="https://example.org/a.png", detail="low"),
        AudioPart(data=b"RIFF", format="wav"),
        FilePart(data=b"%PDF", media_type="application/pdf", filename="a.pdf"),
    )

    assert sent == {
        "role": "user",
        "content": [
            {"type": "text", "text": "look at"},
            {"type": "image_url", "image_url": {"url": PNG_URL}},
            {"type": "text", "text": "and at"},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        ],
    }


def test_calls_and_answers_of_tools_keep_their_ids() -> None:
    """An assistant that only calls has no content; a tool's answer names its call."""
    call = ToolCall(id="c1", name="add", arguments='{"a": 1}')

    assert wire.message_to_openai(Message(role="assistant", tool_calls=(call,))) == {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
    }
    assert wire.message_to_openai(Message(role="tool", parts=(TextPart(text="3"),), tool_call_id="c1")) == {
        "role": "tool",
        "content": "3",
        "tool_call_id": "c1",
    }
    assert to_openai(TextPart(text="hi"), name="ada")["name"] == "ada"


def test_bytes_are_encoded_once_per_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of an earlier turn is not encoded again; a part that is gone takes its encoding along."""
    encoded: list[bytes] = []
    encode = base64.b64encode

    def counted(data: bytes) -> bytes:
        encoded.append(data)
        return encode(data)

    monkeypatch.setattr(base64, "b64encode", counted)
    part = ImagePart(data=b"only here", media_type="image/png")

    first, second = to_openai(TextPart(text="a"), part), to_openai(part, TextPart(text="b"))

    assert first["content"][1] == second["content"][0]
    assert encoded == [b"only here"]
    del part
    gc.collect()
    to_openai(ImagePart(data=b"only here", media_type="image/png"))
    assert encoded == [b"only here"] * 2


@pytest.mark.capability("C10", "C15")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"role": "user", "content": "hi"}, Message(role="user", parts=(TextPart(text="hi"),))),
        ({"role": "system", "content": None}, Message(role="system")),
        ({"role": "developer", "content": ""}, Message(role="developer")),
        (
            {"role": "user", "content": {"type": "text", "text": "hi"}},
            Message(role="user", parts=(TextPart(text="hi"),)),
        ),
        ({"role": "user", "content": ["a", "b"]}, Message(role="user", parts=(TextPart(text="a"), TextPart(text="b")))),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": PNG_URL}]},
            Message(role="user", parts=(PNG,)),
        ),
        (
            {"role": "assistant", "content": None, "refusal": "no"},
            Message(role="assistant", parts=(TextPart(text="no"),)),
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            Message(role="assistant", parts=(TextPart(text="no"),)),
        ),
    ],
)
def test_messages_of_others_are_understood(data: dict[str, Any], message: Message) -> None:
    """Content as text, a part, a list, or missing; refusals; addresses as plain text."""
    assert wire.message_from_openai(data) == message


@pytest.mark.capability("C9", "C16", "D18")
@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"content": "hi"}, "no role"),
        ({"role": "robot", "content": "hi"}, "Unknown role 'robot'"),
        ({"role": "user", "content": 7}, "not int"),
        ({"role": "user", "content": [7]}, "not int"),
        ({"role": "user", "content": [{"type": "video"}]}, "type 'video'"),
        ({"role": "user", "content": [{"text": "no type"}]}, "a dict with a type"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%"}}]},
            "base64",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,\x80AAE"}}]},
            "base64",
        ),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:oops"}}]}, "data URL"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x", "detail": "huge"}}]}, "'huge'"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "type 'file'"),
        ({"role": "assistant", "content": None, "function_call": {"name": "f"}}, "'function_call'.*tool_calls"),
        (["user", "hi"], "not list"),
    ],
)
def test_what_is_no_message_is_refused(data: Any, says: str) -> None:
    """The error names the role or type that does not fit."""
    with pytest.raises(ContentError, match=says):
        wire.message_from_openai(data)


PARTS = st.one_of(
    st.builds(TextPart, text=st.text(min_size=1)),
    st.builds(
        ImagePart,
        data=st.binary(min_size=1),
        media_type=st.just("image/jpeg"),
        detail=st.sampled_from(["auto", "high"]),
    ),
    st.builds(ImagePart, url=st.just("https://example.org/a.png")),
    st.builds(AudioPart, data=st.binary(), format=st.sampled_from(["wav", "mp3"])),
    st.builds(FilePart, data=st.binary(), media_type=st.just("application/pdf"), filename=st.just("a.pdf")),
)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(["system", "developer", "user", "assistant"]),
    parts=st.lists(PARTS, max_size=4).map(tuple),
    name=st.none() | st.text(min_size=1),
    tool_calls=st.lists(st.builds(ToolCall, id=st.text(), name=st.text(), arguments=st.text()), max_size=2).map(tuple),
)


@given(message=MESSAGES)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    """There and back again is the same message."""
    assert wire.message_from_openai(wire.message_to_openai(message)) == message


def test_a_result_is_sent_as_one_text() -> None:
    """Servers that hand messages to a model's own template take no list there."""
    parts = (TextPart(text="printed\n"), TextPart(text="42"))

    sent = wire.sendable(Message(role="tool", parts=parts, tool_call_id="c1"))

    assert wire.message_to_openai(sent)["content"] == "printed\n42"
    assert wire.sendable(Message(role="user", parts=parts)).parts == parts


@pytest.mark.capability("D7", "D11")
@pytest.mark.parametrize(
    ("name", "arguments", "sent_name", "sent"),
    [
        ("add", '{"a": 1}', "add", '{"a": 1}'),
        ("functions.add it", "", "functions_add_it", "{}"),
        ("x" * 80, '{"a": ', "x" * 64, '{"not_json": "{\\"a\\": "}'),
        ("", "[1]", "_", '{"not_json": "[1]"}'),
    ],
)
def test_calls_are_sent_again_as_servers_take_them(name: str, arguments: str, sent_name: str, sent: str) -> None:
    """Names a model made up become allowed ones, arguments that are no object go inside of one."""
    call = ToolCall(id="c1", name=name, arguments=arguments)

    again = wire.sendable(Message(role="assistant", tool_calls=(call,)))

    assert again.tool_calls == (ToolCall(id="c1", name=sent_name, arguments=sent),)
