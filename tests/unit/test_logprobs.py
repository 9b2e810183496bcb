"""Log probabilities, in whatever shape a server sends them, are one table of the whole answer."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends.chunks import ChunkReader
from llm_magic.backends.logprobs import token_logprobs
from llm_magic.content import message
from llm_magic.logprobs import logprobs_frame
from llm_magic.reply import Reply
from llm_magic.turns import Turn, TurnBuilder

CHAT = {
    "content": [
        {
            "token": "Hi",
            "logprob": -0.1,
            "bytes": [72, 105],
            "top_logprobs": [{"token": "Ho", "logprob": -2.5}, {"token": "Hi", "logprob": -0.1}],
        }
    ]
}
LEGACY = {
    "tokens": ["Hi", "!"],
    "token_logprobs": [None, -0.5],
    "top_logprobs": [None, {"!": -0.5, "?": -1.5}],
    "text_offset": [0, 2],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.capability("E17")
@pytest.mark.parametrize(
    ("sent", "tokens"),
    [
        (CHAT, [("Hi", -0.1, [("Hi", -0.1), ("Ho", -2.5)])]),
        (LEGACY, [("Hi", None, []), ("!", -0.5, [("!", -0.5), ("?", -1.5)])]),
        ({"tokens": ["a"], "token_logprobs": [-1], "top_logprobs": None}, [("a", -1.0, [])]),
        (
            [{"a": -0.2, "b": -1.0}, {"token": "c", "logprob": -0.3}],
            [("a", -0.2, [("a", -0.2), ("b", -1.0)]), ("c", -0.3, [])],
        ),
        ({"logprobs_by_token": {"a": -0.2}}, [("a", -0.2, [("a", -0.2)])]),
        (-0.25, [("piece", -0.25, [])]),
    ],
    ids=["chat", "legacy", "top-1", "by position", "by token", "number"],
)
def test_every_shape_is_a_row_a_token(sent: Any, tokens: list[tuple[str, float | None, list[Any]]]) -> None:
    """Token, logprob, its probability, and the alternatives, the likeliest first."""
    frame = logprobs_frame(token_logprobs(sent, "piece"))

    assert frame["token"].tolist() == [token for token, _, _ in tokens]
    known = [(value, math.exp(value)) for _, value, _ in tokens if value is not None]
    assert frame["logprob"].isna().tolist() == [value is None for _, value, _ in tokens]
    assert list(zip(frame["logprob"].dropna(), frame["prob"].dropna(), strict=True)) == [
        (pytest.approx(value), pytest.approx(prob)) for value, prob in known
    ]
    assert frame["alternatives"].tolist() == [others for _, _, others in tokens]


def test_an_empty_table_has_its_columns() -> None:
    """Columns and dtypes do not depend on what came."""
    dtypes = {"token": "string", "logprob": "Float64", "prob": "Float64", "alternatives": "object"}

    assert {name: str(dtype) for name, dtype in logprobs_frame([]).dtypes.items()} == dtypes


@pytest.mark.capability("E17")
def test_a_stream_gives_those_of_all_its_chunks() -> None:
    """Not of the last chunk alone; and a chunk that has none, or null, is no fault."""
    builder, reader = TurnBuilder(Turn(id="t", prompt=(message("user", "?"),))), ChunkReader()
    for text, sent in (("Hi", CHAT), (" ", None), ("you", -0.5), ("!", {"content": None})):
        reader.read({"choices": [{"index": 0, "delta": {"content": text}, "logprobs": sent}]})

    for event in reader.take():
        builder.add(event)
    reply = Reply(turn=builder.build())

    assert reply.logprobs is not None
    assert reply.logprobs["token"].tolist() == ["Hi", "you"]
    assert reply.text == "Hi you!"


def test_none_is_none() -> None:
    """Where they were not asked for there is no table."""
    assert Reply(turn=Turn(id="t", prompt=())).logprobs is None


@given(JSON)
def test_whatever_is_sent_is_read(sent: Any) -> None:
    """No shape of JSON breaks the answer it comes with."""
    assert len(logprobs_frame(token_logprobs(sent, "x"))) >= 0
