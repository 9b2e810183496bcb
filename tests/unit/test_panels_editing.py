"""A prompt as a text that can be edited, and back."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Message, Part, TextPart, message
from llm_magic.panels.editing import editable, edited
from tests.fakes.conversations import PARTS

TABLE = TextPart(text="a b\n1 2", label="df: DataFrame 1 × 2")
PICTURE = ImagePart(data=b"png", media_type="image/png", width=4, height=3)


def asked(*parts: Part) -> tuple[Message, ...]:
    return (Message(role="user", parts=parts),)


def test_attachments_after_the_text_need_no_word() -> None:
    """What was pasted under a question stays when the question is edited."""
    prompt = asked(TextPart(text="What is it?"), PICTURE, TABLE)

    assert editable(prompt) == "What is it?"
    assert edited(prompt, "And this?") == asked(TextPart(text="And this?"), PICTURE, TABLE)
    assert edited(prompt, "") == asked(PICTURE, TABLE)


def test_attachments_in_the_text_are_marks() -> None:
    """What stands in the middle can be kept, moved, repeated and taken out like a word."""
    prompt = asked(TextPart(text="Is "), TABLE, TextPart(text=" like "), TABLE, TextPart(text="?"))
    first, second = "⟦df: DataFrame 1 × 2⟧", "⟦df: DataFrame 1 × 2 (2)⟧"

    assert editable(prompt) == f"Is {first} like {second}?"
    assert edited(prompt, f"{second} alone") == asked(TABLE, TextPart(text=" alone"))
    assert edited(prompt, "Is ⟦df⟧ there?") == asked(TextPart(text="Is ⟦df⟧ there?"))


def test_braces_in_an_edited_text_are_text() -> None:
    """Nothing that is typed is evaluated or taken for something else."""
    assert edited(asked(TextPart(text="x")), "{{ 1 + 1 }} ${y}") == asked(TextPart(text="{{ 1 + 1 }} ${y}"))


@pytest.mark.parametrize(
    "prompt",
    [
        (),
        (message("user", "one"), message("user", "two")),
        (message("tool", "result"),),
    ],
)
def test_what_is_no_single_question_cannot_be_edited(prompt: tuple[Message, ...]) -> None:
    """Prompts of loaded conversations may be more than one message, or somebody else's."""
    assert editable(prompt) is None


@given(
    st.lists(PARTS | st.just(TABLE) | st.builds(TextPart, text=st.sampled_from(["⟦", "⟧", "⟦df: DataFrame 1 × 2⟧"])))
)
def test_an_unchanged_text_asks_the_same(parts: list[Part]) -> None:
    """Whatever a prompt holds, editing nothing changes nothing but where its texts are cut."""
    prompt = (Message(role="user", parts=tuple(parts)),)
    text = editable(prompt)
    assert text is not None

    assert joined(edited(prompt, text)) == joined(prompt)


def joined(prompt: tuple[Message, ...]) -> Message:
    """A prompt whose neighbouring typed texts are one, empty ones left out."""
    found: list[Part] = []
    for is_typed, group in groupby(prompt[0].parts, lambda part: isinstance(part, TextPart) and not part.label):
        if is_typed:
            text = "".join(part.text for part in group if isinstance(part, TextPart))
            found += [TextPart(text=text)] if text else []
        else:
            found += group
    return replace(prompt[0], parts=tuple(found))
