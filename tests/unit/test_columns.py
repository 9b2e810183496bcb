"""The quick way to a frame against the plain one, and what it costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import frames
from llm_magic.content import message
from llm_magic.export import COLUMNS, from_frame, to_frame
from llm_magic.slots import Conversation, Slot
from llm_magic.turns import Turn
from tests.fakes.conversations import conversations
from tests.fakes.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def cells_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as Python values, the record read."""
    columns = frames.ready_columns(frame)
    columns["record"] = [None if text is None else json.loads(text) for text in columns["record"]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def expected_of(conversation: Conversation) -> list[dict[str, Any]]:
    """The same by the plain way."""
    rows: Sequence[dict[str, Any]] = rows_of(conversation)
    return [{name: row.get(name) for name in COLUMNS} for row in rows]


@given(conversations())
@settings(deadline=None)
def test_columns_are_the_rows_of_the_dict(conversation: Conversation) -> None:
    """The frame made column by column is, cell by cell, the one made row by row from the dict."""
    assert cells_of(to_frame(conversation)) == json_alike(expected_of(conversation))


def json_alike(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records as they come back from JSON."""
    return [row | {"record": json.loads(json.dumps(row["record"]))} for row in rows]


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, 1.0, True, False, None, 1e300, float("inf"), -0.0, "1", "\ud83d", "é", 2**70, [1], {}]
)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6))
@settings(deadline=None)
def test_columns_tell_values_apart_that_are_equal(pairs: list[tuple[Any, Any]]) -> None:
    """1, 1.0 and True are equal in Python and not in JSON: each turn keeps its own."""
    turns = [
        Turn(
            id=f"t{number}",
            prompt=(),
            settings={"x": first, "y": second},
            latency_s=_number(first),
            request_id=_text(second),
        )
        for number, (first, second) in enumerate(pairs)
    ]
    conversation = Conversation(slots=tuple(Slot(id=turn.id, versions=(turn,)) for turn in turns))

    frame = to_frame(conversation)

    assert frame["settings"].tolist() == [
        json.dumps(turn.settings, ensure_ascii=False).encode("utf-8", "backslashreplace").decode() for turn in turns
    ]
    made = [slot.versions[0] for slot in from_frame(frame).slots]
    assert [repr(turn.latency_s) for turn in made] == [repr(turn.latency_s) for turn in turns]
    assert [turn.request_id for turn in made] == [turn.request_id for turn in turns]


def _number(value: Any) -> Any:
    return value if type(value) in (int, float) else None


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else None


def test_columns_of_many_turns_come_back() -> None:
    """Texts that most turns share, versions and pictures: what has quick paths of its own comes back as it was."""
    conversation = frames.conversation_of(400, versions=2, picture_every=3)

    frame = to_frame(conversation)

    assert from_frame(frame) == conversation
    assert frame["n_images"].sum() == 67 * 2


def test_columns_say_nothing_that_is_so_by_default() -> None:
    """What a turn's record holds is what is particular about it."""
    conversation = Conversation()
    conversation.add_version(conversation.reserve(None), Turn(id="t", prompt=(message("user", "a"),), text="b"))

    record = json.loads(to_frame(conversation)["record"].dropna().item())

    assert record["turn"] == {}
    assert set(record["slot"]) == {"id"}


def test_frame_costs_three_times_pandas_at_most() -> None:
    """100,000 messages become a frame in at most three times what pandas needs from ready columns."""
    measure = frames.framing()
    if measure.ratio > measure.limit:  # anew, where others had the machine
        measure = frames.framing()

    assert measure.ratio <= measure.limit, str(measure)
