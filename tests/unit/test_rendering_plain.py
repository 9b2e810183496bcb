"""Text for terminals: nothing of it is obeyed, nothing of it reorders what is around it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.rendering import PlainStream, plain_text
from llm_magic.rendering.plain import sound
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import BIDI_CONTROLS

CONTROL_TEXTS = st.lists(
    st.sampled_from(
        [
            "a",
            "m",
            "1",
            ";",
            "?",
            " ",
            "[",
            "]",
            "P",
            "X",
            "^",
            "_",
            "\\",
            "(",
            "\n",
            "\t",
            "\r",
            "\b",
            "\x07",
            "\x18",
            "\x1b",
            "\x1b[",
            "\x1b]",
            "\x90",
            "\x9b",
            "\x9c",
            "\x9d",
            "\x7f",
            "\x85",
            "é",
            "\u202e",
            "\ud83d",
            "\ude00",
        ]
    ),
    max_size=30,
).map("".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x9b31mred\x9bm", "red"),
        ("\x1b[?1049h\x1b[2J\x1b[10;10Hx", "x"),
        ("\x1b[1 q\x1b[!px", "x"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]52;c;cm0=\x1b\\x", "x"),
        ("\x9d0;title\x9cx", "x"),
        ("\x1b]8;;http://a.invalid\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\x\x90q\x9cy\x1b_apc\x1b\\z\x1b^pm\x1b\\\x1bXsos\x1b\\", "xyz"),
        ("\x1bc\x1b7\x1b(0\x1b#8\x1b%Gx", "x"),
        ("a\rb\bc\x00d\x7fe\x85f\x0bg\x0ch\x07", "abcdefgh"),
        ("line\r\nline\ttab\n", "line\nline\ttab\n"),
        ("\x1b\x1b[31mx", "x"),
        ("\x1b[31\nx", "\nx"),
        ("\x1b[31éx", "éx"),
        ("\x1b]0;lost\nkept", "\nkept"),
        ("\x1b]0;a\x18x\x1b]0;a\x1b[1mx", "xx"),
        ("x\x1b", "x"),
        ("x\x1b[12", "x"),
        ("x\x1b]0;never", "x"),
        ("[31m ]0; 日本 😀", "[31m ]0; 日本 😀"),
        ("a\ud800b \ud83d\ude00 \ud83d", "a\ufffdb 😀 \ufffd"),
    ],
)
def test_plain_text_drops_sequences_whole(text: str, shown: str) -> None:
    """Control characters go, sequences with all that belongs to them; other text stays as it is."""
    assert plain_text(text) == shown


@pytest.mark.parametrize("control", BIDI_CONTROLS)
def test_plain_text_shows_bidirectional_controls(control: str) -> None:
    """A character that would show text in another order is seen instead of obeyed."""
    assert plain_text(f"a{control}b") == f"a<U+{ord(control):04X}>b"


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=BIDI_CONTROLS)))
def test_plain_text_keeps_harmless_text(text: str) -> None:
    """Text without controls is printed unchanged."""
    assert plain_text(text) == text


@settings(deadline=None)
@given(CONTROL_TEXTS | st.text() | st.sampled_from(HOSTILE))
def test_plain_text_prints_no_control(text: str) -> None:
    """Whatever comes in, no control but newline and tab goes out, and it can be encoded."""
    shown = plain_text(text)

    assert not [char for char in shown if char in BIDI_CONTROLS or (char not in "\n\t" and not char >= " ")]
    assert not [char for char in shown if "\x7f" <= char <= "\x9f"]
    assert shown.encode().decode() == shown


@settings(deadline=None)
@given(CONTROL_TEXTS | st.sampled_from(HOSTILE), st.data())
def test_plain_stream_is_the_same_in_any_chunks(text: str, data: st.DataObject) -> None:
    """Sequences and characters may be cut anywhere: fed in chunks or at once, the same is shown."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    stream = PlainStream()

    shown = "".join(stream.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))

    # Only a stream may still hope for the other half of its last character.
    is_cut = "\ud800" <= text[-1:] <= "\udbff"
    assert shown == plain_text(text[:-1] if is_cut else text)


def test_plain_stream_shows_text_as_soon_as_it_is_text() -> None:
    """Text is held back only while it may be part of a sequence."""
    stream = PlainStream()

    assert [stream.feed(text) for text in ("a\x1b", "[3", "1", "mb", "c")] == ["a", "", "", "b", "c"]


def test_sound_pairs_halves_of_characters() -> None:
    """Halves that a server sent apart become the character they are; a lone half becomes the replacement."""
    assert sound("\ud83d\ude00") == "😀"
    assert sound("\ude00\ud83d") == "\ufffd\ufffd"
