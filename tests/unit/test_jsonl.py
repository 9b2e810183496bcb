"""Messages as JSON Lines: ours, other people's, and those written by hand."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Message, TextPart, ToolCall
from llm_magic.errors import StoreError
from llm_magic.jsonl import from_jsonl, from_messages, to_jsonl, unkept
from llm_magic.slots import Conversation, context_messages
from tests.fakes.conversations import PARTS, TEXTS, ask

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


@pytest.fixture
def talk() -> Conversation:
    """Two turns."""
    conversation = Conversation(name="main", system="Be brief.")
    ask(conversation, "one", "A fox.", "c1")
    ask(conversation, "two", "Red.", "c2")
    return conversation


def line_of(*messages: dict[str, Any], **beside: Any) -> str:
    """A line with all its messages."""
    return json.dumps({"messages": list(messages)} | beside)


def said(role: str, content: Any = "text", **more: Any) -> dict[str, Any]:
    """A message as the protocol has it."""
    return {"role": role, "content": content, **more}


def test_jsonl_is_what_would_be_sent(talk: Conversation) -> None:
    """One line in the fine-tuning format: the system prompt and the current versions."""
    text = to_jsonl(talk)

    assert text.endswith("\n")
    assert json.loads(text) == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "A fox."},
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": "Red."},
        ]
    }


def test_jsonl_leaves_out_what_is_not_sent(talk: Conversation) -> None:
    """Failed, hidden and former versions are not in it."""
    ask(talk, "three", "", "c3", status="failed")
    ask(talk, "two", "Rust.", "c2")
    talk.hide(talk.slots[0])

    assert [item["content"] for item in json.loads(to_jsonl(talk))["messages"]] == [
        "Be brief.",
        "two",
        "Rust.",
    ]


def test_jsonl_has_the_system_prompt_that_was_sent() -> None:
    """A conversation that takes the session's system prompt has the one its last turn was sent with."""
    conversation = Conversation()
    ask(conversation, "one", system="Session's.")

    assert json.loads(to_jsonl(conversation))["messages"][0] == {"role": "system", "content": "Session's."}


@given(st.lists(st.tuples(TEXTS.filter(bool), TEXTS.filter(bool)), max_size=4), st.none() | TEXTS.filter(bool))
@settings(deadline=None)
def test_jsonl_round_trip_keeps_the_messages(pairs: list[tuple[str, str]], system: str | None) -> None:
    """What would be sent is sent again after a round trip, and nothing is stale."""
    conversation = Conversation(system=system)
    for number, (text, answer) in enumerate(pairs):
        ask(conversation, text, answer, f"c{number}")

    made = from_jsonl(to_jsonl(conversation))

    assert made.system == system
    assert context_messages(made.system, made.context().messages, ()) == context_messages(
        system, conversation.context().messages, ()
    )
    assert not any(made.is_stale(slot) for slot in made.slots)


ROLE_LISTS = st.lists(st.sampled_from(["system", "developer", "user", "assistant", "tool"]), max_size=8)


@pytest.mark.capability("C10")
@pytest.mark.parametrize("form", ["one line", "a line each"])
@given(roles=ROLE_LISTS)
@settings(deadline=None)
def test_jsonl_takes_any_order_of_roles(roles: list[str], form: str) -> None:
    """Any order of messages becomes slots, and no message up to the last answer is lost."""
    messages = [{"role": role, "content": f"{role} {index}"} for index, role in enumerate(roles)]
    text = json.dumps({"messages": messages}) if form == "one line" else "\n\n".join(map(json.dumps, messages))

    made = from_jsonl(text)

    last = max((index for index, role in enumerate(roles) if role == "assistant"), default=-1)
    answered = [item["content"] for item in messages[: last + 1]]
    if roles[:1] == ["system"]:
        assert made.system == "system 0"
        answered = answered[1:]
    sent = [item.text for turn in made.before(None) for item in turn.messages()]
    assert sent == answered
    assert len(made.before(None)) == roles.count("assistant")


def test_jsonl_keeps_a_question_without_an_answer() -> None:
    """Messages after the last answer are kept as a failed turn, which is not sent."""
    made = from_jsonl('{"role": "user", "content": "and?"}')

    turn = made.slots[0].versions[0]
    assert (turn.prompt_text, turn.status, made.turns) == ("and?", "failed", ())


def test_jsonl_keeps_tool_calls_with_what_is_asked() -> None:
    """Calls and the tools' answers are part of what is asked, so that they are sent again, whole."""
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "2", "tool_call_id": "c"},
        {"role": "assistant", "content": "2."},
    ]

    made = from_jsonl(json.dumps({"messages": messages}))

    assert len(made.slots) == 1
    assert [item.role for item in made.turns[0].messages()] == ["user", "assistant", "tool", "assistant"]
    assert made.turns[0].prompt[1].tool_calls == (ToolCall(id="c", name="add", arguments="{}"),)
    again = from_jsonl(to_jsonl(made))
    assert again.turns[0].messages() == made.turns[0].messages()


def test_jsonl_ends_with_a_call_that_nobody_answered() -> None:
    """A call at the end is the answer there is: kept with its text, which is sent."""
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "Hm.", "tool_calls": [call]},
    ]

    turn = from_jsonl(json.dumps({"messages": messages})).turns[0]

    assert (turn.text, turn.status) == ("Hm.", "complete")
    assert turn.tool_calls == (ToolCall(id="c", name="add", arguments="{}"),)


def test_jsonl_system_prompt_is_that_of_the_turns() -> None:
    """Turns say which system prompt they were asked with; one by a named author is a message like others."""
    system = {"role": "system", "content": "Be brief."}
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]

    plain = from_jsonl(json.dumps({"messages": [system, *talk]}))
    named = from_jsonl(json.dumps({"messages": [{**system, "name": "boss"}, *talk]}))

    assert (plain.system, plain.turns[0].system) == ("Be brief.", "Be brief.")
    assert (named.system, named.turns[0].prompt[0].name) == (None, "boss")


def test_jsonl_may_begin_with_a_byte_order_mark() -> None:
    """Text that an editor marked is read all the same."""
    assert from_jsonl('\ufeff{"role": "assistant", "content": "b"}').turns[0].text == "b"


BAD_LINES = [
    ("{", r"Line 1 is not JSON: expecting property name.* \(column 2\)"),
    ('{"role": "user", "content": "a"}\n\nnope', r"Line 3 is not JSON: expecting value \(column 1\)"),
    ('{"role": "user", "content": "a",}', r"Line 1 is not JSON: a comma before the closing bracket \(column 33\)"),
    (line_of(said("user")) + "\r\n" + '{"messages": [1, ]}', "Line 2 is not JSON: a comma before the closing bracket"),
    ("// a comment", r"Line 1 is not JSON: expecting value \(column 1\)"),
    ("{'role': 'user'}", "Line 1 is not JSON: expecting property name enclosed in double quotes"),
    ('{"role": "user"} {"role": "user"}', r"Line 1 is not JSON: extra data \(column 18\)"),
    ("{\n" + '"messages": []}', r"Line 1 is not JSON"),
    ('{"role": "user", "role": "user"}', "Line 1 has the key 'role' twice"),
    ('{"messages": [{"role": "user", "content": "a", "content": "b"}]}', "Line 1 has the key 'content' twice"),
    ('{"n": ' + "9" * 5000 + "}", "Line 1 is not JSON that can be read"),
    ("[1]", "Line 1 is not a JSON object"),
    ('{"messages": 1}', "Line 1 has no list of messages"),
    ('{"messages": [1]}', "Line 1, message 1 is not a JSON object"),
    (line_of(said("user"), {"content": "a"}), "Line 1, message 2: A message has no role"),
    (line_of(said("wizard")), "Line 1, message 1: The role is 'wizard'.*system, developer, user, assistant, tool"),
    (line_of(said("User")), "Line 1, message 1: The role is 'User'"),
    (line_of(said("w" * 1000)), "The role is 'w{40}…'"),
    (json.dumps({"role": 5}), "Line 1: The role is a int"),
    (json.dumps({"role": ["user"]}), "Line 1: The role is a list"),
    (json.dumps(said("user", name=5)), "Line 1: .*'name'"),
    (json.dumps(said("tool", tool_call_id=5)), "Line 1: .*'tool_call_id'"),
    (json.dumps(said("assistant", refusal=5)), "Line 1: .*'refusal'"),
    (json.dumps(said("assistant", tool_calls=5)), "Line 1: .*'tool_calls'"),
    (json.dumps(said("assistant", tool_calls=[{"id": "c"}])), "Line 1: .*'tool_calls'"),
    (json.dumps(said("assistant", tool_calls=[{"id": 1, "function": {}}])), "Line 1: .*'tool_calls' is of a wrong"),
    (
        json.dumps(said("assistant", tool_calls=[{"function": {"arguments": 1}}])),
        "Line 1: .*'tool_calls' is of a wrong",
    ),
    (json.dumps(said("assistant", None, function_call={"name": "f"})), "Line 1: 'function_call'.*tool_calls"),
    (json.dumps(said("user", 5)), "Line 1: The content of a message is text or a list of parts, not int"),
    (json.dumps(said("user", [5])), "Line 1: A part is a dict with a type, not int"),
    (json.dumps(said("user", [{"type": "video"}])), "Line 1: A part of type 'video'"),
    (json.dumps(said("user", [{"type": "text", "text": 5}])), "Line 1: A part of type 'text'"),
    (json.dumps(said("user", [{"type": "image_url", "image_url": "file:///etc/passwd"}])), "Line 1: "),
    (json.dumps(said("user", [{"type": "image_url", "image_url": "data:image/png;base64,?"}])), "Line 1: .*base64"),
    (json.dumps(said("user", [{"type": "image_url", "image_url": {"url": "data:,a"}}])), "Line 1: .*data URL"),
    ("[" * 100_000, "Line 1 is not JSON"),
]


@pytest.mark.capability("C9")
@pytest.mark.parametrize(("text", "says"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_jsonl_bad_line_is_named(text: str, says: str) -> None:
    """A line that is no message is named by its number, in one line that says what is wrong."""
    with pytest.raises(StoreError, match=says) as caught:
        from_jsonl(text)

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_jsonl_with_several_conversations_says_which_to_choose() -> None:
    """Several conversations are not mixed, and none is dropped: the lines are named, and each can be taken."""
    lines = [line_of(said("user", "a"), said("assistant", "b")), "", line_of(said("assistant", "c"))]
    text = "\n".join([*lines, json.dumps(said("user", "d")), "", json.dumps(said("assistant", "e"))])

    with pytest.raises(StoreError, match=r"There are 3 conversations, at lines 1, 3, 4\..*at 1.*line=1"):
        from_jsonl(text)
    with pytest.raises(StoreError, match=r"no conversation at line 2\..*1, 3, 4"):
        from_jsonl(text, line=2)
    chosen = [[turn.text for turn in from_jsonl(text, line=number).turns] for number in (1, 3, 4, 5, 6)]
    assert chosen == [["b"], ["c"], ["e"], ["e"], ["e"]]
    assert from_jsonl(text, line=5).turns[0].prompt_text == "d"


def test_jsonl_with_a_thousand_examples_names_a_few() -> None:
    """The error for a training file stays one line."""
    with pytest.raises(StoreError, match=r"There are 1000 conversations, at lines 1, 2, 3, 4, 5 …\."):
        from_jsonl((line_of(said("assistant")) + "\n") * 1000)


def test_jsonl_without_a_message_is_an_empty_conversation() -> None:
    """Nothing is nothing, and no line of it can be chosen."""
    assert from_jsonl("\n \r\n").slots == from_jsonl('{"messages": []}').slots == ()
    with pytest.raises(StoreError, match="no conversation at line 1"):
        from_jsonl("\n", line=1)


def test_jsonl_takes_what_editors_and_servers_make_of_it() -> None:
    """A mark at the start, line ends of Windows, empty lines, and the nulls and empty lists that SDKs write."""
    dumped: dict[str, Any] = {
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    lines = [json.dumps(said("developer", "Be brief.")), json.dumps(said("user", None)), ""]
    text = "\ufeff" + "\r\n".join([*lines, json.dumps(said("assistant", "b", **dumped)), ""])

    made = from_jsonl(text)

    assert [(item.role, item.text) for item in made.turns[0].prompt] == [("developer", "Be brief."), ("user", "")]
    assert (made.system, made.turns[0].text, made.turns[0].notices) == (None, "b", ())


def test_jsonl_keeps_pictures_to_the_byte() -> None:
    """A picture in a data URL comes back as its bytes, one of the web as its address."""
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    parts = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/fox.png"}},
    ]

    prompt = from_jsonl(line_of(said("user", parts), said("assistant"))).turns[0].prompt[0]

    assert prompt.parts == (
        TextPart(text="What?"),
        ImagePart(data=PNG, media_type="image/png", detail="low"),
        ImagePart(url="https://example.org/fox.png"),
    )


def test_jsonl_says_what_it_does_not_keep() -> None:
    """What a conversation has no place for is named in the notices of the turn it belongs to."""
    weighted = said("assistant", "b", weight=0, name="bob", metadata={"a": 1})
    text = line_of(
        said("user"), weighted, said("user"), said("assistant", "c"), tools=[{"type": "function"}], model="m"
    )

    first, second = from_jsonl(text).turns

    assert first.notices == ("not kept from the file: 'tools', 'model', 'weight', 'metadata', 'name'",)
    assert second.notices == ()


def test_jsonl_says_of_much_that_is_not_kept_a_little() -> None:
    """Names from a file are quoted and cut: a notice is one short line whatever the file holds."""
    turn = from_jsonl(json.dumps(said("assistant", **{f"{number}\n{'x' * 100}": 1 for number in range(9)}))).turns[0]

    (notice,) = turn.notices
    assert "\n" not in notice
    assert notice.endswith(" and 4 more")
    assert len(notice) < 300


def test_jsonl_names_a_picture_in_an_answer() -> None:
    """An answer of ours is text: what else is in one of a file is named."""
    part = {"type": "image_url", "image_url": {"url": "https://example.org/fox.png"}}

    (turn,) = from_jsonl(line_of(said("assistant", ["See", part]))).turns

    assert (turn.text, turn.notices) == ("See", ("not kept from the file: 'ImagePart'",))


def test_jsonl_keeps_refusals_and_thoughts() -> None:
    """A refusal is a refusal again, and the thoughts that some servers send beside an answer are its reasoning."""
    refused, thought = said("assistant", None, refusal="No."), said("assistant", "b", reasoning_content="Hm.")

    first, second = from_jsonl(line_of(refused, said("user"), thought)).turns

    assert (first.text, first.refusal) == ("", "No.")
    assert (second.text, second.reasoning, second.notices) == ("b", "Hm.", ())


@pytest.mark.capability("C13")
def test_jsonl_takes_arguments_that_are_objects() -> None:
    """Arguments of a call are JSON text, as some write them not."""
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": {"a": [1, "é"]}}}
    messages = [said("user"), said("assistant", None, tool_calls=[call]), said("tool", "2", tool_call_id="c")]

    (turn,) = from_jsonl(line_of(*messages, said("assistant"))).turns

    assert turn.prompt[1].tool_calls == (ToolCall(id="c", name="add", arguments='{"a": [1, "é"]}'),)


@pytest.mark.capability("C10")
def test_messages_may_come_as_a_list_or_a_request() -> None:
    """Messages of a .json: the list itself, or a dict that has it, as requests are logged."""
    messages = [said("user", "a"), said("assistant", "b")]

    for data in (messages, {"model": "m", "messages": messages}):
        assert from_messages(data).turns[0].messages() == from_jsonl(line_of(*messages)).turns[0].messages()
    with pytest.raises(StoreError, match="Message 2: The role is 'wizard'"):
        from_messages([said("user"), said("wizard")])
    wrongs: list[Any] = [5, None, {"messages": {}}, "x"]
    for wrong in wrongs:
        with pytest.raises(StoreError, match="no list of messages"):
            from_messages(wrong)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KEYS = ["role", "content", "name", "tool_calls", "tool_call_id", "refusal", "reasoning", "weight", "type", "text"]
KEYS += ["image_url", "url", "detail", "function", "id", "arguments", "messages", "file", "file_data", "input_audio"]
NESTED = st.recursive(
    VALUES | st.sampled_from(["user", "assistant", "tool", "text", "image_url", "file", "data:;base64,AA==", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(NESTED, max_size=3), st.sampled_from(["", "user", "assistant"]))
@settings(deadline=None, max_examples=300)
def test_jsonl_of_anything_is_a_conversation_or_one_line(lines: list[Any], role: str) -> None:
    """Whatever the values of a file are, the outcome is a conversation or an error of one line that names its line."""
    if role:
        lines = [line | {"role": role} if isinstance(line, dict) else line for line in lines]

    made: list[Conversation] = []
    said_of_it = ""
    try:
        made.append(from_jsonl("\n".join(map(json.dumps, lines))))
    except StoreError as exc:
        said_of_it = str(exc)

    assert "\n" not in said_of_it
    assert made or said_of_it.startswith(("Line ", "There are "))
    assert all(from_jsonl(to_jsonl(one)).context().messages == one.context().messages for one in made)


# A file without a name gets one.
NAMED_PARTS = PARTS.filter(lambda part: getattr(part, "filename", "file") != "")


@given(st.lists(st.lists(NAMED_PARTS, max_size=3), max_size=3))
@settings(deadline=None)
def test_jsonl_round_trip_keeps_parts(prompts: list[list[Any]]) -> None:
    """Pictures, sound and files that are sent come back with their bytes; sizes and labels are not in the protocol."""
    conversation = Conversation()
    for number, parts in enumerate(prompts):
        ask(conversation, str(number), prompt=(Message(role="user", parts=tuple(parts)),))

    made = from_jsonl(to_jsonl(conversation))

    assert to_jsonl(made) == to_jsonl(conversation)
    sent = [part for turn in conversation.turns for part in turn.prompt[0].parts if hasattr(part, "data")]
    back = [part for turn in made.turns for part in turn.prompt[0].parts if hasattr(part, "data")]
    assert [part.data for part in back] == [part.data for part in sent]


def test_what_was_not_kept_is_listed_once() -> None:
    """What a file holds and a conversation does not is told together after loading, each line once."""
    talk = [said("user"), said("assistant", weight=0)]

    made = from_jsonl(line_of(*talk, *talk, said("user"), said("assistant", "c", audio={"id": "a"})))

    assert unkept(made) == ("not kept from the file: 'weight'", "not kept from the file: 'audio'")
