"""Tokens of a model's own at the end of its answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends.chunks import ChunkReader
from llm_magic.backends.stop_tokens import StopTokens
from llm_magic.events import ReasoningDelta, TextDelta
from llm_magic.providers.local_table import STOP_TOKENS


def stripped(*pieces: str) -> tuple[str, bool]:
    """A text in pieces without tokens at its end, and whether there was one."""
    tokens = StopTokens(STOP_TOKENS)
    text = "".join(tokens.feed(piece) for piece in pieces) + tokens.finish()
    return text, tokens.was_met


@pytest.mark.capability("E5", "G13")
@pytest.mark.parametrize("token", STOP_TOKENS)
@pytest.mark.parametrize("after", ["", "\n", "  \n"])
def test_a_token_at_the_end_is_taken_off(token: str, after: str) -> None:
    """With white space behind it; whatever stands before it stays."""
    assert stripped(f"Yes. {token}{after}") == ("Yes. ", True)
    assert stripped(*f"Yes. {token}{after}") == ("Yes. ", True)


@pytest.mark.capability("E5", "G13")
@pytest.mark.parametrize(
    "text",
    ["", "a < b", "<", "<|", "<|eot_id", "</s> ends a strike", "</s", "x<|eot_id|>y", "<html></html>", "1 <| 2 |> 3"],
)
def test_everything_else_is_the_answer(text: str) -> None:
    """Also what begins like a token, and a token in the middle."""
    assert stripped(text) == stripped(*text) == (text, False)


def test_several_tokens_are_taken_off() -> None:
    """One behind the other."""
    assert stripped("so</s><|im_end|>\n<|eot_id|>") == ("so", True)
    assert stripped("</s> and </s>") == ("</s> and ", True)


def test_text_is_held_back_only_while_it_may_be_a_token() -> None:
    """What cannot become one is shown at once."""
    tokens = StopTokens(STOP_TOKENS)

    assert [tokens.feed(piece) for piece in ("ab", "c<", "|im", "x", "d</s>", " e")] == [
        "ab",
        "c",
        "",
        "<|imx",
        "d",
        "</s> e",
    ]


@pytest.mark.capability("E5", "G13")
@given(
    text=st.text(alphabet="a <|_/>sim\n", max_size=30),
    token=st.sampled_from(["", *STOP_TOKENS]),
    cuts=st.lists(st.integers(0, 40), max_size=8),
)
def test_cuts_change_nothing(text: str, token: str, cuts: list[int]) -> None:
    """However a text is cut, the same is left."""
    whole = text + token
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = [whole[start:end] for start, end in zip(places, places[1:], strict=False)]

    assert stripped(*pieces) == stripped(whole)
    if token:
        assert not stripped(whole)[0].rstrip().endswith(token)


@pytest.mark.capability("E5", "G13")
def test_an_answer_that_ends_with_a_token_has_stopped() -> None:
    """Where the server does not say why it ended; a limit that was met stays one. Thoughts are left alone."""

    def completed(reason: str | None) -> tuple[list[object], str]:
        reader = ChunkReader(stop_tokens=STOP_TOKENS)
        for delta in ({"reasoning": "why</s>"}, {"content": "so<|eot"}, {"content": "_id|>"}):
            reader.read({"choices": [{"index": 0, "delta": delta}]})
        reader.read({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        end = reader.finish()
        return list(reader.take()), end.finish_reason

    events = [ReasoningDelta(text="why</s>"), TextDelta(text="so")]
    assert completed(None) == completed("stop") == (events, "stop")
    assert completed("length") == (events, "length")
