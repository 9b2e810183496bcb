"""Parts and messages are values that survive being saved, and unknown kinds are told."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.content import (
    DETAILS,
    ROLES,
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    ToolResult,
    checked_role,
    media_hash,
    message,
    message_from_dict,
    message_to_dict,
    part_from_dict,
    part_to_dict,
    text_of,
    tool_call_from_dict,
)
from llm_magic.errors import ContentError

text = st.text(max_size=30)
data = st.binary(max_size=60)
pixels = st.integers(0, 5000)
details: st.SearchStrategy[Any] = st.sampled_from(DETAILS)
texts = st.builds(TextPart, text=text, label=text)
pictures = st.builds(
    ImagePart,
    data=data,
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    detail=details,
    width=pixels,
    height=pixels,
) | st.builds(ImagePart, url=st.just("https://host/a.png"), detail=details)
sounds = st.builds(AudioPart, data=data, format=st.sampled_from(["wav", "mp3"]))
documents = st.builds(FilePart, data=data, media_type=st.just("application/pdf"), filename=text)
parts = texts | pictures | sounds | documents
calls = st.builds(ToolCall, id=text, name=text, arguments=text)
messages = st.builds(
    Message,
    role=st.sampled_from(ROLES),
    parts=st.lists(parts, max_size=4).map(tuple),
    name=st.none() | text,
    tool_calls=st.lists(calls, max_size=2).map(tuple),
    tool_call_id=st.none() | text,
)


@given(parts)
def test_part_round_trip(part: Part) -> None:
    """Every part comes back from its dict, by way of JSON, to the byte."""
    assert part_from_dict(json.loads(json.dumps(part_to_dict(part)))) == part


@given(messages)
def test_message_round_trip(item: Message) -> None:
    """Every message comes back from its dict, by way of JSON, its parts in order."""
    assert message_from_dict(json.loads(json.dumps(message_to_dict(item)))) == item


@given(calls)
def test_tool_call_round_trip(call: ToolCall) -> None:
    """A tool call comes back from the protocol's own form, broken arguments and all."""
    assert tool_call_from_dict(call.to_dict()) == call


@pytest.mark.capability("C13", "D17")
def test_arguments_that_are_an_object_become_their_json() -> None:
    """Servers and users who send arguments as an object mean its JSON text."""
    call = {"id": "c", "function": {"name": "f", "arguments": {"city": "Zürich", "n": 0}}}

    assert tool_call_from_dict(call).arguments == '{"city": "Zürich", "n": 0}'
    assert tool_call_from_dict({"function": {"name": "f", "arguments": {}}}).arguments == "{}"


def test_tool_call_from_a_sparse_dict() -> None:
    """What a server left out is empty, not an error."""
    assert tool_call_from_dict({}) == ToolCall(id="", name="", arguments="")
    assert tool_call_from_dict({"id": None, "function": None}) == ToolCall(id="", name="", arguments="")


@pytest.mark.parametrize("kind", ["video", None, 5])
def test_unknown_part_is_told(kind: Any) -> None:
    """A part of an unknown type is one line that names the type and the known ones."""
    with pytest.raises(ContentError, match=rf"Unknown part type {kind!r}\.  Hint: known: text, image, audio, file"):
        part_from_dict({"type": kind})


def test_roles_are_checked() -> None:
    """A message without a role, or with an unknown one, is one line that names the roles."""
    with pytest.raises(ContentError, match=r"no role\.  Hint: one of system, developer, user"):
        message_from_dict({"parts": []})
    with pytest.raises(ContentError, match="Unknown role 'narrator'"):
        checked_role("narrator")
    assert [checked_role(role) for role in ROLES] == list(ROLES)


@given(
    some=st.lists(parts, max_size=3).map(tuple),
    flags=st.tuples(st.booleans(), st.booleans()),
    latency_s=st.none() | st.floats(0, 100),
)
def test_tool_results_survive_json(some: tuple[Part, ...], flags: tuple[bool, bool], latency_s: float | None) -> None:
    """What was told to the model, and why, is all there after it was saved."""
    is_error, is_denied = flags
    told = ToolResult(call_id="c", name="f", parts=some, is_error=is_error, is_denied=is_denied, latency_s=latency_s)

    assert ToolResult.from_dict(json.loads(json.dumps(told.to_dict()))) == told


def test_message_of_text() -> None:
    """A message of one text has one part, of an empty text none: the protocol refuses empty text."""
    assert message("user", "hi") == Message(role="user", parts=(TextPart(text="hi"),))
    assert message("user", "").parts == ()


@given(st.lists(parts, max_size=6).map(tuple))
def test_text_of_is_the_text_alone(some: tuple[Part, ...]) -> None:
    """The text of parts is that of the text parts in order, with nothing between them."""
    assert text_of(some) == "".join(part.text for part in some if isinstance(part, TextPart))
    assert Message(role="user", parts=some).text == text_of(some)


@pytest.mark.parametrize(
    ("part", "label"),
    [
        (ImagePart(data=bytes(1500), width=20, height=10), "image 20 × 10, 2 kB"),
        (ImagePart(data=bytes(1500)), "image, 2 kB"),
        (ImagePart(url="https://host/a.png"), "image https://host/a.png"),
        (AudioPart(data=bytes(3000), format="wav"), "audio wav, 3 kB"),
        (FilePart(data=bytes(4000), media_type="application/pdf", filename="a.pdf"), "file a.pdf, 4 kB"),
    ],
)
def test_labels_say_what_is_there(part: Part, label: str) -> None:
    """What a view says of a part without showing it."""
    assert part.label == label


def test_media_hash_tells_pictures_apart() -> None:
    """Equal bytes have equal hashes, other bytes another."""
    one, same, other = (ImagePart(data=data) for data in (b"a", b"a", b"b"))

    assert media_hash(one) == media_hash(same)
    assert media_hash(one) != media_hash(other)
    assert len(media_hash(one)) == 16


def test_parts_do_not_change() -> None:
    """Values are frozen: what was sent stays what was sent."""
    part = TextPart(text="a")

    with pytest.raises(FrozenInstanceError):
        part.text = "b"  # type: ignore[misc]  # that is the point
