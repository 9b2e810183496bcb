"""Messages as families of servers take them."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from llm_magic.backends.families import for_family, role_map, to_wire
from llm_magic.content import ImagePart, Message, TextPart, ToolCall, message, message_from_dict, message_to_dict
from llm_magic.errors import RequestRejectedError
from llm_magic.providers import Quirks, named
from llm_magic.turns import Step

PICTURE = ImagePart(url="https://example.org/a.png")
CALL = ToolCall(id="call_abc", name="f", arguments="{}")
SYSTEMS = (message("system", "a"), message("developer", "b"), message("user", "hi"))


def wired(quirks: Quirks, *messages: Message) -> list[dict[str, Any]]:
    """Messages on the wire of a family."""
    return to_wire(for_family(messages, quirks), quirks)


def content(quirks: Quirks, item: Message) -> Any:
    """The content of one message on the wire."""
    return wired(quirks, item)[0].get("content")


@pytest.mark.capability("C21")
@pytest.mark.parametrize("way", ["merged", "moved"])
def test_several_system_messages_become_one(way: Literal["merged", "moved"]) -> None:
    """Joined by a line break, at the first place; one alone, and none, stay as they are."""
    quirks = Quirks(system_messages=way)

    assert for_family(SYSTEMS, quirks) == (message("system", "a\nb"), message("user", "hi"))
    assert for_family(SYSTEMS[1:], quirks) == SYSTEMS[1:]
    assert for_family(SYSTEMS[2:], quirks) == SYSTEMS[2:]
    assert for_family((), quirks) == ()


@pytest.mark.capability("C21")
def test_system_messages_between_others_are_refused_or_moved() -> None:
    """As the family wants; the error says how to have them moved."""
    apart = (message("user", "hi"), message("system", "a"), message("assistant", "ho"), message("system", "b"))

    with pytest.raises(RequestRejectedError, match="between other messages") as caught:
        for_family(apart, Quirks(system_messages="merged"))

    assert "system_messages=moved" in (caught.value.hint or "")
    assert for_family(apart, Quirks(system_messages="moved")) == (message("system", "a\nb"), apart[0], apart[2])
    assert for_family(apart, Quirks()) == apart


@pytest.mark.capability("C17")
@pytest.mark.parametrize("name", ["ada", "A-b_9", "x" * 64])
def test_a_valid_name_is_sent(name: str) -> None:
    """Letters, digits, _ and -, at most 64."""
    assert wired(Quirks(), Message(role="user", name=name))[0]["name"] == name


@pytest.mark.capability("C17")
@pytest.mark.parametrize("name", ["ada l", "", "x" * 65, "é", "a.b"])
def test_an_invalid_name_is_refused(name: str) -> None:
    """Before it is sent; where names are not sent it does not matter."""
    item = Message(role="user", parts=(TextPart(text="hi"),), name=name)

    with pytest.raises(RequestRejectedError, match="no name of an author"):
        for_family((item,), Quirks())
    assert "name" not in wired(Quirks(names="dropped"), item)[0]


@pytest.mark.capability("C18")
def test_a_name_may_stand_before_the_text() -> None:
    """On the first text part alone, wherever it stands; before a picture where there is no text."""
    quirks = Quirks(names="prefixed")
    parts = (PICTURE, TextPart(text="look"), TextPart(text="again"))

    assert content(quirks, Message(role="user", parts=(TextPart(text="hi"),), name="Reviewer")) == "Reviewer said: hi"
    mixed = content(quirks, Message(role="user", parts=parts, name="Reviewer"))
    assert [part.get("text") for part in mixed] == [None, "Reviewer said: look", "again"]
    only = content(quirks, Message(role="user", parts=(PICTURE,), name="Reviewer"))
    assert [part.get("text") for part in only] == ["Reviewer said: ", None]
    assert wired(quirks, Message(role="assistant", parts=(TextPart(text="ho"),), name="bot")) == [
        {"role": "assistant", "content": "ho"}
    ]
    assert content(quirks, message("user", "hi")) == "hi"


@pytest.mark.capability("C20")
@pytest.mark.parametrize("family", ["gemini", "claude"])
def test_a_message_that_only_calls_has_a_space_for_content(family: str) -> None:
    """With a text, that is the content; everywhere else it has none."""
    quirks = named(family).quirks
    silent, spoken = (
        Message(role="assistant", parts=parts, tool_calls=(CALL,)) for parts in ((), (TextPart(text="x"),))
    )

    assert content(quirks, silent) == " "
    assert content(quirks, spoken) == "x"
    assert content(named("openai").quirks, silent) is None
    assert content(named("mistral").quirks, silent) is None


@pytest.mark.capability("C20")
def test_claude_gets_no_blank_messages() -> None:
    """White space alone is skipped; calls, tools' answers and pictures are not."""
    quirks = named("claude").quirks
    blank = (message("user", " \n"), message("assistant", ""))
    kept = (
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", tool_call_id="call_abc"),
        Message(role="user", parts=(PICTURE,)),
    )

    assert for_family((*blank, *kept), quirks) == kept
    assert for_family(blank, Quirks()) == blank


@pytest.mark.capability("C20")
def test_gemini_gets_a_space_for_an_empty_message() -> None:
    """It refuses empty content."""
    assert content(named("gemini").quirks, message("user", "")) == " "
    assert content(Quirks(), message("user", "")) == ""


@pytest.mark.capability("C22")
def test_claude_gets_no_white_space_at_the_end_of_a_last_answer() -> None:
    """On a copy: what is kept stays as it was. Earlier answers are not touched."""
    quirks = named("claude").quirks
    last = message("assistant", "Once \n")
    messages = (last, message("user", "go on"), last)

    found = for_family(messages, quirks)

    assert [item.text for item in found] == ["Once \n", "go on", "Once"]
    assert (messages[-1].text, last.text) == ("Once \n", "Once \n")
    assert for_family((message("user", "hi "),), quirks)[0].text == "hi "
    assert for_family((Message(role="assistant", parts=(PICTURE,)),), quirks)[0].parts == (PICTURE,)


@pytest.mark.capability("C25")
def test_a_thought_is_sent_back_only_where_it_is_wanted() -> None:
    """Beside the calls it led to; it is kept with them."""
    step = Step(reason="tools", reasoning="why", tool_calls=(CALL,))
    said = step.messages()[0]
    answer = Message(role="assistant", parts=(TextPart(text="so"),), reasoning="why")

    assert said.reasoning == "why"
    assert message_from_dict(message_to_dict(said)) == said
    assert wired(named("deepseek").quirks, said)[0]["reasoning_content"] == "why"
    assert wired(named("openrouter").quirks, said)[0]["reasoning"] == "why"
    assert not {"reasoning", "reasoning_content"} & wired(Quirks(), said)[0].keys()
    assert wired(named("deepseek").quirks, answer)[0].keys() == {"role", "content"}


def test_ids_of_calls_fit_where_they_must() -> None:
    """Nine letters and digits, the same for call and answer, different for different ones; fitting ones stay."""
    quirks = named("mistral").quirks
    other = ToolCall(id="call_abd", name="f", arguments="{}")
    sent = wired(
        quirks,
        Message(role="assistant", tool_calls=(CALL, other, ToolCall(id="aB3dE6gH9", name="f", arguments="{}"))),
        Message(role="tool", tool_call_id="call_abc"),
    )

    first, second, third = (call["id"] for call in sent[0]["tool_calls"])
    assert sent[1]["tool_call_id"] == first != second
    assert third == "aB3dE6gH9"
    assert all(len(item) == 9 and item.isalnum() for item in (first, second))


def test_signatures_of_calls_go_back_to_gemini_alone() -> None:
    """Nobody else knows them; a message of another model's has the one that says so."""
    signed = Message(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="{}", signature="s"), CALL))
    unsigned = Message(role="assistant", tool_calls=(CALL, CALL))

    def signatures(family: str, item: Message) -> list[Any]:
        return [call.get("extra_content") for call in wired(named(family).quirks, item)[0]["tool_calls"]]

    assert signatures("gemini", signed) == [{"google": {"thought_signature": "s"}}, None]
    assert signatures("gemini", unsigned) == [
        {"google": {"thought_signature": "skip_thought_signature_validator"}},
        None,
    ]
    assert signatures("openai", signed) == [None, None]
    assert message_from_dict(message_to_dict(signed)) == signed


@pytest.mark.capability("B21")
def test_roles_have_the_names_the_server_has() -> None:
    """Any; those that are not named stay."""
    quirks = Quirks(roles={"developer": "system", "user": "human"})

    assert [item["role"] for item in wired(quirks, *SYSTEMS, message("assistant", "x"))] == [
        "system",
        "system",
        "human",
        "assistant",
    ]


@pytest.mark.capability("B21")
@pytest.mark.parametrize("text", ["system", "system=", "=x", "a=b,c"])
def test_a_map_of_roles_has_one_form(text: str) -> None:
    """NAME=NAME, divided by commas."""
    with pytest.raises(ValueError, match=text):
        role_map(text)
