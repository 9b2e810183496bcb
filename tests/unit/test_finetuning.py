"""What a provider would refuse of messages for fine-tuning, found without asking it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from llm_magic import check_jsonl
from llm_magic.content import AudioPart, ImagePart, Message, TextPart
from llm_magic.finetuning import COLUMNS, verdict
from llm_magic.finetuning_rules import RULES
from llm_magic.jsonl import to_jsonl
from llm_magic.slots import Conversation
from tests.fakes.conversations import ask, conversations

WHAT = {rule.what: name for name, rule in RULES.items()}


def said(role: str, content: Any = "text", **more: Any) -> dict[str, Any]:
    """A message as the protocol has it."""
    return {"role": role, "content": content, **more}


def example(*messages: Any, **beside: Any) -> str:
    """A line."""
    return json.dumps({"messages": list(messages)} | beside)


def call(name: str = "add", made: str = "c", arguments: str = "{}") -> dict[str, Any]:
    """A tool call."""
    return {"id": made, "type": "function", "function": {"name": name, "arguments": arguments}}


def picture(mode: str = "RGB", form: str = "PNG", **address: Any) -> dict[str, Any]:
    """A part with a picture of this mode in this format."""
    drawn = io.BytesIO()
    Image.new(mode, (2, 2)).save(drawn, form)
    url = f"data:image/{form.lower()};base64,{base64.b64encode(drawn.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url, **address}}


def found(text: str | bytes, **options: Any) -> list[tuple[int | None, int | None, str]]:
    """Line, message and rule of each problem; that of few examples left out."""
    frame = check_jsonl(text, **options)
    places = [[int(value) if value else None for value in frame[name].fillna(0)] for name in ("line", "message")]
    rows = zip(*places, (WHAT[what] for what in frame["what"]), strict=True)
    return [row for row in rows if row[2] != "few_examples"]


GOOD = [
    example(said("system", "Be brief."), said("user"), said("assistant")),
    example(said("user"), said("assistant", weight=0), said("user", name="ann"), said("assistant", weight=1)),
    example(said("user", [{"type": "text", "text": "a"}, picture()]), said("assistant")),
    example(said("user", [picture("RGBA", "WEBP", detail="low"), picture("RGB", "JPEG")] * 5), said("assistant")),
    example(
        said("user", [{"type": "image_url", "image_url": {"url": "https://example.org/a.gif"}}]), said("assistant")
    ),
    example(said("user"), said("assistant", None, refusal="No.")),
    example(
        said("user"),
        said("assistant", None, tool_calls=[call(made="a"), call(made="b")]),
        said("tool", "1", tool_call_id="b"),
        said("tool", "2", tool_call_id="a"),
        said("assistant"),
        tools=[{"type": "function", "function": {"name": "add", "parameters": {}}}],
        parallel_tool_calls=False,
    ),
    # The answer to learn may be the call itself.
    example(
        said("user"),
        {"role": "assistant", "tool_calls": [call()]},
        tools=[{"type": "function", "function": {"name": "add"}}],
    ),
]


def test_good_examples_have_no_problem() -> None:
    """What the guides show is not complained of."""
    assert found("\n".join(GOOD)) == []


TALK = [said("user"), said("assistant")]
BAD: list[tuple[str, list[tuple[int | None, str]]]] = [
    ("{", [(None, "not_json")]),
    ('{"messages": [], "messages": []}', [(None, "not_json")]),
    ('{"messages": [{"role": "user", "content": NaN}]}', [(None, "not_json")]),
    ("[]", [(None, "not_example")]),
    ('{"prompt": "a", "completion": "b"}', [(None, "example_key"), (None, "example_key"), (None, "not_example")]),
    (example(), [(None, "no_messages")]),
    (example(*TALK, metadata={}), [(None, "example_key")]),
    (example("a", *TALK), [(1, "not_message")]),
    (example(said("developer"), *TALK), [(1, "role")]),
    (example({"content": "a"}, *TALK), [(1, "role")]),
    (example(said(["user"]), *TALK), [(1, "role")]),  # type: ignore[arg-type]  # that is the point
    (example(said("user"), said("assistant", annotations=[])), [(2, "message_key")]),
    (example(said("user", weight=1), said("assistant")), [(1, "weight_elsewhere")]),
    (example(said("user"), said("assistant", weight=0.5)), [(2, "weight")]),
    (example(said("user"), said("assistant", weight=True)), [(2, "weight")]),
    (example(said("user", ""), said("assistant")), [(1, "no_content")]),
    (example(said("user"), said("assistant", None)), [(2, "no_content")]),
    (example(said("user"), {"role": "assistant"}), [(2, "no_content")]),
    (example(said("user", []), said("assistant")), [(1, "no_content")]),
    (example(said("user", 5), said("assistant")), [(1, "content")]),
    (example(said("user", ["a", {"type": "video"}]), said("assistant")), [(1, "part"), (1, "part")]),
    (example(said("user", [{"type": "input_audio"}, {"type": "file"}]), said("assistant")), [(1, "sound_or_file")] * 2),
    (example(said("user"), said("assistant", [picture()])), [(2, "picture_elsewhere")]),
    (example(said("system", [picture()]), *TALK), [(1, "picture_elsewhere")]),
    (example(said("user", [picture("RGB", "GIF")]), said("assistant")), [(1, "picture_format")]),
    (example(said("user", [picture("L"), picture("P"), picture("LA")]), said("assistant")), [(1, "picture_mode")] * 3),
    (example(said("user", [picture("CMYK", "JPEG")]), said("assistant")), [(1, "picture_mode")]),
    (example(said("user", [picture(detail="original")]), said("assistant")), [(1, "picture_detail")]),
    (example(said("user", [picture()] * 11), said("assistant")), [(None, "many_pictures")]),
    (
        example(said("user", [{"type": "image_url", "image_url": {"url": "file:///a"}}]), said("assistant")),
        [(1, "picture")],
    ),
    (example(said("user", [{"type": "image_url"}]), said("assistant")), [(1, "picture")]),
    (
        example(said("user", [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]), said("assistant")),
        [(1, "picture")],
    ),
    (example(said("user", name="a b"), said("assistant")), [(1, "name")]),
    (example(said("user", name="a" * 65), said("assistant")), [(1, "name")]),
    (example(said("user", name=None), said("assistant")), [(1, "name")]),
    (example(said("user"), said("assistant", tool_calls=None)), [(2, "call")]),
    (example(said("user"), said("assistant", tool_calls=[])), [(2, "call")]),
    (example(said("user"), said("assistant", tool_calls=[{"id": "c"}])), [(2, "call")]),
    (example(said("user"), said("assistant", tool_calls=[call(made="")])), [(2, "call")]),
    (example(said("user"), said("assistant", tool_calls=[call("a b")])), [(2, "name"), (2, "undeclared")]),
    (example(said("user"), said("assistant", tool_calls=[call(arguments="{")])), [(2, "arguments"), (2, "undeclared")]),
    (
        example(said("user"), said("assistant", tool_calls=[call()]), said("assistant")),
        [(2, "unanswered_call"), (2, "undeclared")],
    ),
    (example(said("user"), said("tool", tool_call_id="c"), said("assistant")), [(2, "stray_tool")]),
    (example(said("user"), said("tool"), said("assistant")), [(2, "stray_tool")]),
    (example(*TALK, tools=[{"name": "add"}]), [(None, "tools")]),
    (example(*TALK, tools=5, parallel_tool_calls="no"), [(None, "tools"), (None, "tools")]),
    (example(said("user")), [(None, "no_answer")]),
    (example(*TALK, said("user")), [(3, "last_message")]),
    (example(said("user"), said("assistant", weight=0)), [(None, "untrained")]),
    (example(said("user", "\ud83d"), said("assistant")), [(None, "half_character")]),
]


@pytest.mark.parametrize(("line", "problems"), BAD, ids=range(len(BAD)))
def test_problem_is_found_where_it_is(line: str, problems: list[tuple[int | None, str]]) -> None:
    """Each problem is a row with its line and its message."""
    assert found(f"{GOOD[0]}\n\n{line}\n") == [(3, message, rule) for message, rule in problems]


def test_result_of_a_tool_may_be_empty() -> None:
    """A tool that says nothing is unwise and taken."""
    line = example(
        said("user"), said("assistant", tool_calls=[call()]), said("tool", "", tool_call_id="c"), said("assistant")
    )

    assert [rule for _, _, rule in found(line)] == ["empty_result", "undeclared"]
    assert set(check_jsonl(line)["severity"]) == {"warning"}


def test_whole_character_in_two_escapes_is_no_half() -> None:
    """An emoji that JSON writes as two escapes is a whole character."""
    assert found(example(said("user", "🦊"), said("assistant"))) == []


def test_large_picture_is_refused() -> None:
    """A picture has 10 MB at most."""
    drawn = io.BytesIO()
    Image.new("RGB", (2, 2)).save(drawn, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(drawn.getvalue() + bytes(10_000_000)).decode()}"

    line = example(said("user", [{"type": "image_url", "image_url": {"url": url}}]), said("assistant"))

    assert found(line) == [(1, 1, "picture_size")]
    assert check_jsonl(line)["found"][0] == "10.0 MB"


def test_bytes_are_checked_for_their_encoding() -> None:
    """Bytes that are not UTF-8 are named by their line, and the rest is checked all the same."""
    text = f"{GOOD[0]}\n{example(said('user', 'caf_'), said('assistant'))}\n{{".encode().replace(b"caf_", b"caf\xe9")

    assert found(text) == [(2, None, "not_utf8"), (3, None, "not_json")]


@pytest.mark.parametrize(
    ("model", "words", "is_long"),
    [(None, 60_000, False), (None, 70_000, True), ("gpt-3.5-turbo-0125", 17_000, True), ("gpt-4-0613", 7000, False)],
)
def test_example_has_as_many_tokens_as_are_trained(model: str | None, words: int, *, is_long: bool) -> None:
    """An example of more tokens than the model takes is a warning: it is cut."""
    line = example(said("user", "fox " * words), said("assistant"))

    assert found(line, model=model) == ([(1, None, "long")] if is_long else [])


def test_file_has_ten_examples_at_least() -> None:
    """Nine examples are a warning, of no line; ten are none."""
    frame = check_jsonl("\n".join(GOOD[:1] * 9))

    assert frame["what"].tolist() == ["fewer than 10 examples"]
    assert (frame["severity"][0], frame["found"][0], frame["line"].isna()[0]) == ("warning", "9", True)
    assert len(check_jsonl("\n".join(GOOD[:1] * 10))) == 0


def test_report_has_fixed_columns() -> None:
    """Columns and dtypes are the same with problems and without."""
    for text in ("", "\n".join(GOOD[:1] * 10), "{"):
        frame = check_jsonl(text)

        assert list(frame.columns) == list(COLUMNS)
        assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "Int64", *["string"] * 4]


def test_verdict_is_a_line_for_each_kind() -> None:
    """What is said after saving: each kind of problem once, with its places; or that there is none."""
    parts = (ImagePart(url="https://example.org/fox.png"), AudioPart(data=b"a", format="wav"))
    conversation = Conversation(system="Be brief.")
    ask(conversation, "one", prompt=(Message(role="user", parts=(TextPart(text="a"), *parts)),))
    (line,) = verdict(to_jsonl(conversation))
    assert line.startswith("refused for fine-tuning: sound or a file in a message (message 2: input_audio); put its")

    ask(conversation, "two", prompt=(Message(role="developer", parts=(TextPart(text="a"), parts[1])),))
    lines = verdict(to_jsonl(conversation) + "{")
    assert len(lines) == 3
    assert "(line 2: is not JSON: expecting property name" in lines[2]
    assert verdict(GOOD[0]) == ["1 example for fine-tuning, nothing a provider would refuse"]
    assert verdict("\n".join(GOOD[:2])) == ["2 examples for fine-tuning, nothing a provider would refuse"]


def test_verdict_names_a_few_places() -> None:
    """A thousand problems of one kind are one short line."""
    (line,) = verdict((example(said("user")) + "\n") * 1000)

    assert "(line 1; line 2; line 3; line 4; line 5; …)" in line


def test_empty_conversation_is_refused() -> None:
    """A conversation that sends nothing is no example, and what to do is said."""
    assert verdict(to_jsonl(Conversation())) == [
        "refused for fine-tuning: an example without messages (the example); ask something first, or unhide a turn"
    ]


@given(conversations())
@settings(deadline=None, max_examples=50)
def test_every_conversation_can_be_checked(conversation: Conversation) -> None:
    """Whatever a conversation sends, there is a report of it, and each line of the verdict is one line."""
    assert all("\n" not in line for line in verdict(to_jsonl(conversation)))


KEYS = ["messages", "role", "content", "weight", "name", "tool_calls", "tool_call_id", "id", "type", "function", "text"]
KEYS += ["image_url", "url", "detail", "arguments", "tools", "parallel_tool_calls", "refusal"]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["user", "assistant", "tool", "function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(ANYTHING, max_size=4), st.binary(max_size=10))
@settings(deadline=None, max_examples=300)
def test_anything_can_be_checked(messages: list[Any], rubbish: bytes) -> None:
    """A report comes of anything, never an exception."""
    frame = check_jsonl(json.dumps({"messages": messages}).encode() + b"\n" + rubbish)

    assert set(frame["what"]) <= set(WHAT)
