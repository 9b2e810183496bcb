"""Conversations as frame, dict and Markdown, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Message, TextPart, message
from llm_magic.counts import Usage
from llm_magic.errors import StoreError
from llm_magic.export import (
    from_dict,
    from_frame,
    from_jsonl,
    to_dict,
    to_frame,
    to_jsonl,
    to_markdown,
)
from llm_magic.records import CONNECTION
from llm_magic.settings import SETTINGS
from llm_magic.slots import Conversation, Slot
from llm_magic.turns import Turn
from tests.fakes.conversations import ask, conversations

DTYPES = {
    "conversation": "string",
    "slot": "Int64",
    "version": "Int64",
    "turn_id": "string",
    "is_current": "boolean",
    "is_stale": "boolean",
    "is_hidden": "boolean",
    "cell_id": "string",
    "role": "string",
    "name": "string",
    "text": "string",
    "parts": "string",
    "n_images": "Int64",
    "tool_calls": "string",
    "tool_call_id": "string",
    "reasoning": "string",
    "data": "string",
    "model": "string",
    "status": "string",
    "seen": "string",
    "settings": "string",
    "at": "datetime64[ns, UTC]",
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "cost_usd": "Float64",
    "record": "string",
}
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


@pytest.fixture
def talk() -> Conversation:
    """Two turns, the first asked twice, with a picture."""
    conversation = Conversation(name="main", system="Be brief.", model="m")
    picture = ImagePart(data=PNG, media_type="image/png", width=2, height=3)
    prompt = Message(role="user", parts=(TextPart(text="What is "), picture, TextPart(text="?", label="mark")))
    usage = Usage(input_tokens=10, output_tokens=2, total_tokens=12)
    ask(conversation, "one", "A fox.", "c1", prompt=(prompt,), usage=usage, cost_usd=0.25, model="m-1")
    ask(conversation, "two", "Red.", "c2", usage=usage, cost_usd=None)
    ask(conversation, "one", "A dog.", "c1", usage=usage, cost_usd=0.5)
    return conversation


# Frames


@given(conversations())
@settings(deadline=None)
def test_frame_round_trip_is_exact(conversation: Conversation) -> None:
    """A conversation comes back from its frame as it was, whatever it holds."""
    assert from_frame(to_frame(conversation)) == conversation


@given(conversations(has_turns=True))
@settings(deadline=None, max_examples=30)
def test_frame_without_attributes_is_exact(conversation: Conversation) -> None:
    """What a frame says stands in its cells; its attributes, which concat drops, only serve an empty one."""
    frame = to_frame(conversation)
    frame.attrs.clear()

    assert from_frame(frame) == conversation


@given(conversations())
@settings(deadline=None, max_examples=30)
def test_frame_has_fixed_columns_and_dtypes(conversation: Conversation) -> None:
    """The columns and dtypes do not depend on what is in them."""
    frame = to_frame(conversation)

    assert list(frame.columns) == list(DTYPES)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES


def test_empty_frame_has_columns_and_comes_back() -> None:
    """A conversation without a turn has no rows, all columns, and keeps what else it is."""
    conversation = Conversation(name="new", system="", settings={"seed": 7})

    frame = to_frame(conversation)

    assert len(frame) == 0
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert from_frame(frame) == conversation


def test_frame_rows_are_messages_of_versions(talk: Conversation) -> None:
    """One row per message of every version, failed to current, in the order of slots."""
    frame = to_frame(talk)

    assert frame["slot"].tolist() == [1, 1, 1, 1, 2, 2]
    assert frame["version"].tolist() == [1, 1, 2, 2, 1, 1]
    assert frame["role"].tolist() == ["user", "assistant"] * 3
    assert frame["text"].tolist() == ["What is ?", "A fox.", "one", "A dog.", "two", "Red."]
    assert frame["is_current"].tolist() == [False, False, True, True, True, True]
    assert frame["n_images"].tolist() == [1, 0, 0, 0, 0, 0]
    assert frame["cell_id"].tolist() == ["c1"] * 4 + ["c2"] * 2
    assert set(frame["conversation"]) == {"main"}


def test_frame_stale_is_that_of_the_conversation(talk: Conversation) -> None:
    """A turn whose context changed is stale in the frame, on its rows alone."""
    frame = to_frame(talk)

    assert talk.is_stale(talk.slots[1])
    assert frame["is_stale"].tolist() == [False, False, False, False, True, True]


def test_frame_former_versions_are_not_stale() -> None:
    """Only a version that counts can be stale, as in the conversation."""
    conversation = Conversation()
    for cell in "abba":
        ask(conversation, cell, "x", cell)

    assert to_frame(conversation)["is_stale"].tolist() == [False] * 6 + [True] * 2


def test_frame_in_any_order_of_turns(talk: Conversation) -> None:
    """Numbers say the order of slots and versions, wherever their rows stand."""
    frame = to_frame(talk)

    assert from_frame(frame.sort_values(["slot", "version"], ascending=False, kind="stable")) == talk


def test_frame_counts_stand_on_answers_only(talk: Conversation) -> None:
    """Tokens and cost can be summed: they are on one row a turn, and an unknown price is missing."""
    frame = to_frame(talk)

    assert frame["input_tokens"].sum() == 30
    assert frame["cost_usd"].sum() == 0.75
    assert frame.loc[frame["role"] == "user", ["input_tokens", "output_tokens", "cost_usd"]].isna().all(axis=None)
    assert frame["cost_usd"].isna().tolist() == [True, False, True, False, True, True]


def test_frame_parts_are_there_where_text_is_not_all(talk: Conversation) -> None:
    """Parts are JSON with the bytes of pictures, and missing where the text says it all."""
    frame = to_frame(talk)

    assert frame["parts"].isna().tolist() == [False, True, True, True, True, True]
    assert [part["type"] for part in json.loads(frame["parts"][0])] == ["text", "image", "text"]


def test_frame_edited_text_counts(talk: Conversation) -> None:
    """A text that was edited in the frame is the text of the conversation made of it."""
    frame = to_frame(talk)
    frame.loc[frame["text"] == "Red.", "text"] = "Rust."

    assert [turn.text for turn in from_frame(frame).turns] == ["A dog.", "Rust."]


def test_frame_filtered_keeps_what_is_left(talk: Conversation) -> None:
    """A frame of only the current versions is a conversation of only the current versions."""
    frame = to_frame(talk)

    made = from_frame(frame[frame["is_current"]])

    assert made.turns == talk.turns
    assert [len(slot.versions) for slot in made.slots] == [1, 1]
    assert (made.id, made.system) == (talk.id, talk.system)


def test_frame_needs_only_the_plain_columns(talk: Conversation) -> None:
    """Without the columns that are derived or only exact, the messages come back."""
    frame = to_frame(talk).drop(columns=["record", "is_stale", "n_images", "data"])
    frame.attrs.clear()

    made = from_frame(frame)

    assert [turn.messages() for turn in made.turns] == [turn.messages() for turn in talk.turns]
    assert [turn.usage.total_tokens for turn in made.turns] == [12, 12]
    assert made.name == "main"


def test_frame_data_is_json_that_was_asked_for() -> None:
    """The data column holds the answer where JSON was asked for and came."""
    conversation = Conversation()
    wanted = {"response_format": {"type": "json_object"}}
    ask(conversation, "one", '{"a": 1}', settings=wanted)
    ask(conversation, "two", "{broken", settings=wanted)
    ask(conversation, "three", '{"a": 1}')

    assert to_frame(conversation)["data"].dropna().tolist() == ['{"a": 1}']


def test_frame_keeps_half_a_surrogate_pair() -> None:
    """A character that a server cut in two is kept as it came."""
    conversation = Conversation()
    ask(conversation, "\ud83d", "\ude00")

    assert from_frame(to_frame(conversation)) == conversation
    assert from_dict(json.loads(json.dumps(to_dict(conversation)))) == conversation


def test_frame_shows_a_refusal() -> None:
    """A refusal is the text that the model said, and comes back as a refusal."""
    conversation = Conversation()
    ask(conversation, "one", "", refusal="No.")
    ask(conversation, "two", "Well,", refusal="no.")

    frame = to_frame(conversation)

    assert frame["text"].tolist() == ["one", "No.", "two", "Well,"]
    assert from_frame(frame) == conversation


def test_frame_of_two_conversations_is_refused(talk: Conversation) -> None:
    """Rows of several conversations are not mixed into one."""
    other = replace(talk, name="other")

    with pytest.raises(StoreError, match="holds 2 conversations"):
        from_frame(pd.concat([to_frame(talk), to_frame(other)], ignore_index=True))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("slot", None, "no slot or no version"),
        ("slot", 1.5, "'slot'.*whole number"),
        ("is_current", "perhaps", "'is_current'.*True or False"),
        ("at", "yesterday", "'at'.*time"),
        ("at", "2026-11-21 04:00:00", "'at'.*zone"),
        ("cost_usd", "much", "'cost_usd'.*number"),
        ("parts", "[", "'parts' is not JSON"),
        ("parts", '["x"]', "'parts'"),
        ("parts", '[{"type": "text"}]', "part"),
        ("parts", '[{"type": "text", "text": 1}]', "TextPart"),
        ("parts", '[{"type": "image", "url": "file:///etc/passwd"}]', "ImagePart"),
        ("tool_calls", "{}", "tool_calls"),
        ("seen", "[1]", "'seen'"),
        ("seen", "[", "'seen' is not JSON"),
        ("settings", "[1]", "'settings'.*no JSON object"),
        ("record", "[1]", "'record'.*no JSON object"),
        ("role", "wizard", "slot 2 has no answer"),
        ("status", "odd", "'status'"),
        ("turn_id", None, "'id'"),
        ("text", ["a"], "'text'"),
    ],
)
def test_frame_misfit_is_one_line(talk: Conversation, column: str, value: Any, says: str) -> None:
    """A cell that does not fit is a StoreError that names it."""
    frame = to_frame(talk).astype(object)
    frame.at[5, column] = value  # noqa: PD008  # loc would spread a list over cells

    with pytest.raises(StoreError, match=says) as caught:
        from_frame(frame)

    assert "\n" not in str(caught.value)


def test_frame_of_questions_is_refused(talk: Conversation) -> None:
    """A question is never taken for an answer."""
    frame = to_frame(talk)

    with pytest.raises(StoreError, match="Version 1 of slot 1 has no answer"):
        from_frame(frame[frame["role"] == "user"])


def test_frame_with_an_unknown_role_is_refused(talk: Conversation) -> None:
    """A role that the protocol does not know is named."""
    frame = to_frame(talk)
    frame.loc[0, "role"] = "wizard"

    with pytest.raises(StoreError, match="wizard"):
        from_frame(frame)


def test_frame_without_a_needed_column_says_which(talk: Conversation) -> None:
    """A missing column is named."""
    with pytest.raises(StoreError, match="no column 'slot', 'role'"):
        from_frame(to_frame(talk).drop(columns=["role", "slot"]))


# Dicts


@given(conversations())
@settings(deadline=None)
def test_dict_round_trip_is_exact(conversation: Conversation) -> None:
    """A conversation comes back from its dict, by way of JSON, as it was."""
    assert from_dict(json.loads(json.dumps(to_dict(conversation)))) == conversation


def test_dict_is_versioned(talk: Conversation) -> None:
    """The dict says what it is."""
    assert {name: to_dict(talk)[name] for name in ("format", "version")} == {
        "format": "llm_magic.conversation",
        "version": 2,
    }


def test_first_format_is_read(talk: Conversation) -> None:
    """The first format listed what a turn saw; it is judged as before."""
    data = to_dict(talk) | {"version": 1}
    del data["began_at"]
    data["slots"][1]["versions"][0]["seen"] = [talk.slots[0].versions[0].id]

    made = from_dict(data)

    assert made.stale() == talk.stale() == {talk.slots[1].id}
    assert made.slots == talk.slots


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "not a conversation of llm_magic"),
        ({"version": 3}, "format 3"),
        ({"version": "1"}, "no version"),
        ({"version": True}, "no version"),
        ({"version": 0}, "no version"),
        ({"name": 5}, "'name'"),
        ({"settings": []}, "'settings'"),
        ({"slots": None}, "'slots'"),
        ({"slots": [1]}, "'slots'"),
        ({"slots": [{"versions": []}]}, "no 'id'"),
        ({"slots": [{"id": "s", "versions": [], "key": 5}]}, "'key'"),
        ({"slots": [{"id": "s", "versions": [], "key": {"ordinal": 1}}]}, "no 'cell_id'"),
        ({"slots": [{"id": "s", "versions": [{"id": "t", "at": "x", "prompt": []}]}]}, "'at'"),
        ({"slots": [{"id": "s", "versions": [{"id": "t", "at": "2026-11-21"}]}]}, "no 'prompt'"),
    ],
)
def test_foreign_dict_is_one_line(talk: Conversation, change: dict[str, Any], says: str) -> None:
    """A newer version, a foreign dict and a value that does not fit are one line each."""
    with pytest.raises(StoreError, match=says) as caught:
        from_dict(to_dict(talk) | change)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [[], None, "x", 5, {}])
def test_what_is_no_dict_of_ours_is_refused(data: Any) -> None:
    """Anything else than our dict is refused."""
    with pytest.raises(StoreError, match="not a conversation"):
        from_dict(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", 5),
        ("retries", -1),
        ("retries", True),
        ("retries", 2**63),
        ("seen", 7),
        ("seen", [1]),
        ("logprobs", [1]),
        ("cost_usd", "free"),
        ("usage", []),
        ("usage", {"input_tokens": "many"}),
        ("tool_calls", [{}]),
        ("tool_calls", {}),
        ("at", "2026-11-21T04:00:00"),
        ("prompt", [{"parts": []}]),
        ("prompt", [{"role": "user", "parts": [{"type": "audio", "data": "!", "format": "ogg"}]}]),
        ("prompt", [{"role": "user", "parts": [{"type": "image", "data": 5}]}]),
        ("prompt", [{"role": "user", "name": 5}]),
    ],
)
def test_turn_of_wrong_types_is_refused(talk: Conversation, name: str, value: object) -> None:
    """No value of a wrong type gets into a turn."""
    data = to_dict(talk)
    data["slots"][0]["versions"][0][name] = value

    with pytest.raises(StoreError):
        from_dict(data)


@pytest.mark.capability("A18")
def test_connection_settings_neither_leave_nor_enter(talk: Conversation) -> None:
    """Keys and the address they go to are in no export, and a foreign one cannot set them."""
    secret = dict.fromkeys(CONNECTION, "sk-canary") | {"extra_headers": {"Authorization": "sk-canary"}}
    talk.settings = {**secret, "seed": 7}
    ask(talk, "three", settings={**secret, "top_p": 1})

    data = to_dict(talk)
    data["settings"] |= secret

    assert "sk-canary" not in json.dumps(to_dict(talk))
    assert "sk-canary" not in to_frame(talk).to_csv()
    assert "sk-canary" not in to_jsonl(talk) + to_markdown(talk)
    assert from_dict(data).settings == {"seed": 7}
    assert from_dict(data).turns[-1].settings == {"top_p": 1}


def test_connection_settings_are_settings() -> None:
    """The settings that stay behind exist, and every secret is among them."""
    assert set(SETTINGS) >= CONNECTION
    assert {row.name for row in SETTINGS.values() if row.kind == "secret"} <= CONNECTION


def test_export_shares_nothing_with_the_conversation(talk: Conversation) -> None:
    """Changing an export does not change the conversation."""
    talk.settings = {"stop": ["a"]}

    to_dict(talk)["settings"]["stop"].append("b")

    assert talk.settings == {"stop": ["a"]}


def test_subclass_comes_back_as_itself(talk: Conversation) -> None:
    """The class asked for is made, by every way."""

    @dataclass(slots=True, kw_only=True, repr=False)
    class Special(Conversation):
        extra: int = 1

    assert type(from_dict(to_dict(talk), cls=Special)) is Special
    assert type(from_frame(to_frame(talk), cls=Special)) is Special
    assert type(from_jsonl(to_jsonl(talk), cls=Special)) is Special


# Markdown


def test_markdown_reads_as_a_conversation(talk: Conversation) -> None:
    """Headings, prompts and answers of the versions that count, and what is particular about them."""
    talk.slots = (talk.slots[0], replace(talk.slots[1], is_hidden=True))

    assert to_markdown(talk) == (
        "# main\n\n## System prompt\n\n```text\nBe brief.\n```\n\n"
        "## Turn 1 (version 2 of 2)\n\n"
        "### User\n\n```text\none\n```\n\n### Answer\n\n```markdown\nA dog.\n```\n\n"
        "## Turn 2 (stale, hidden)\n\n### User\n\n```text\ntwo\n```\n\n### Answer\n\n```markdown\nRed.\n```\n"
    )


def test_markdown_marks_what_is_particular_about_a_turn(talk: Conversation) -> None:
    """A turn says that it failed, broke off, goes on from a version, is stale or hidden, and which version it is."""
    ask(talk, "three", "", "c3", status="failed", error="HTTP 500")
    half = ask(talk, "four", "Fox", "c4", status="interrupted")
    ask(talk, "four", "Foxes.", "c4", continues=half.id)
    ask(talk, "five", "", "c5", refusal="No.")
    talk.hide(talk.slots[4])
    talk.reserve(None)

    headings = [line for line in to_markdown(talk).splitlines() if line.startswith("## ")]

    assert headings == [
        "## System prompt",
        "## Turn 1 (version 2 of 2)",
        "## Turn 2 (stale)",
        "## Turn 3 (failed)",
        "## Turn 4 (continued, version 2 of 2)",
        "## Turn 5 (hidden)",
    ]
    assert "```markdown\nFoxes.\n```" in to_markdown(talk)
    assert "```markdown\nNo.\n```" in to_markdown(talk)


def test_markdown_shows_a_failed_version_only_where_there_is_no_other(talk: Conversation) -> None:
    """A turn that failed when it was asked again is shown as it counts."""
    ask(talk, "two", "", "c2", status="failed", error="HTTP 500")

    assert "HTTP 500" not in to_markdown(talk)
    assert "## Turn 2 (stale, version 1 of 2)" in to_markdown(talk)


def test_markdown_has_the_system_prompt_that_was_sent() -> None:
    """A conversation that takes the session's system prompt shows what its last turn was sent with."""
    conversation = Conversation()
    ask(conversation, "one", system="Session's.")

    assert "## System prompt\n\n```text\nSession's.\n```" in to_markdown(conversation)


def test_markdown_names_pictures_and_shows_no_bytes() -> None:
    """A picture is a note of its size."""
    conversation = Conversation()
    picture = ImagePart(data=PNG * 100, media_type="image/png", width=2, height=3)
    ask(conversation, "one", prompt=(Message(role="user", parts=(picture,)),))

    text = to_markdown(conversation)

    assert "*image 2 \u00d7 3\\, 1 kB*" in text
    assert "base64" not in text


def test_markdown_says_why_a_turn_failed() -> None:
    """A failed turn is marked, with its one line."""
    conversation = Conversation()
    ask(conversation, "one", "", status="failed", error="HTTP 429 <b>")

    text = to_markdown(conversation)

    assert "## Turn 1 (failed)" in text
    assert r"*HTTP 429 \<b\>*" in text


def test_markdown_fence_is_longer_than_those_in_the_text() -> None:
    """Code in an answer does not end the answer's fence."""
    conversation = Conversation()
    ask(conversation, "one", "````\n# x\n````")

    assert "\n`````markdown\n````\n# x\n````\n`````\n" in to_markdown(conversation)


HOSTILE = st.text(alphabet="`~\n\r \t<>[]()!#*_\\\x1b\x00a", max_size=40)


@given(HOSTILE, HOSTILE, HOSTILE)
@settings(deadline=None)
def test_markdown_text_cannot_leave_its_fence(prompt: str, answer: str, name: str) -> None:
    """Whatever a prompt, an answer or a name holds, it is no markup: only our headings and fences are."""
    from markdown_it import MarkdownIt

    conversation = Conversation(name=name)
    ask(conversation, "x", answer, prompt=(message("user", prompt),), model=name or None, error=name or None)

    text = to_markdown(conversation)

    tokens = MarkdownIt("commonmark").parse(text)
    kinds = {token.type for token in tokens}
    assert kinds <= {"heading_open", "heading_close", "inline", "fence", "paragraph_open", "paragraph_close"}
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {"text", "text_special", "em_open", "em_close"}
    fences = [token.content for token in tokens if token.type == "fence"]
    assert len(fences) == bool(prompt) + bool(answer)
    assert not any(control in text for control in "\x1b\x00\r")


def test_times_keep_microseconds() -> None:
    """A time comes back to the microsecond, in UTC."""
    at = datetime(2026, 11, 21, 4, 5, 6, 789012, tzinfo=UTC)
    conversation = Conversation(slots=(Slot(id="s", versions=(Turn(id="t", prompt=(), at=at),)),))

    assert from_frame(to_frame(conversation)).slots[0].versions[0].at == at
    assert to_frame(conversation)["at"][0].to_pydatetime() == at
