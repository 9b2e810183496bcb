"""The table of conversations: its columns also when empty, sizes, dates, costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from llm_magic.config import Config
from llm_magic.content import ImagePart, Message, TextPart
from llm_magic.counts import Usage
from llm_magic.magics.listing import COLUMNS, changed_at, conversations_frame, size_bytes
from llm_magic.session import Session
from llm_magic.slots import Conversation
from llm_magic.turns import Turn

IDS = count()
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def turn(*parts: Any, **changes: Any) -> Turn:
    return Turn(id=f"t{next(IDS)}", prompt=(Message(role="user", parts=parts),), **changes)


def kept(conversation: Conversation, *turns: Turn) -> None:
    """Keep turns in one slot."""
    slot = conversation.reserve(None)
    for one in turns:
        conversation.add_version(slot, one)


def test_columns_are_the_same_with_and_without_rows() -> None:
    """Dtypes do not depend on what is in the table."""
    session = Session(config=Config(environ={}))
    full = conversations_frame(session)
    session.conversations.clear()
    empty = conversations_frame(session)

    assert list(full.columns) == list(empty.columns) == list(COLUMNS)
    assert [str(dtype) for dtype in empty.dtypes] == [str(dtype) for dtype in full.dtypes]
    assert {str(full[name].dtype) for name in ("began_at", "changed_at")} == {"datetime64[ns, UTC]"}
    assert {str(full[name].dtype) for name in ("turns", "versions", "size_bytes", "input_tokens")} == {"Int64"}
    assert str(full["cost_usd"].dtype) == "Float64"
    assert (len(full), len(empty)) == (1, 0)


def test_row_counts_all_versions() -> None:
    """Turns are slots; tokens, cost and size are of every version."""
    session = Session(config=Config(environ={}))
    usage = Usage(input_tokens=5, output_tokens=2)
    kept(session.current, *(turn(TextPart(text="é"), text="abc", usage=usage, cost_usd=0.25) for _ in range(2)))
    session.new("side")
    kept(session.current, turn(cost_usd=0.5), turn(cost_usd=None))
    frame = conversations_frame(session)

    main, side = (frame.iloc[place] for place in range(2))
    assert (main["name"], main["turns"], main["versions"], main["is_current"]) == ("main", 1, 2, False)
    assert (main["input_tokens"], main["output_tokens"], main["cost_usd"]) == (10, 4, 0.5)
    assert main["size_bytes"] == 2 * (len("é".encode()) + len("abc"))
    assert (side["name"], side["versions"], side["is_current"]) == ("side", 2, True)
    assert frame["cost_usd"].isna().tolist() == [False, True]


def test_picture_counts_once() -> None:
    """A picture that was sent with every version is kept once."""
    picture = ImagePart(data=b"p" * 1000, media_type="image/png")

    assert size_bytes([turn(picture, text="one"), turn(picture, TextPart(text="more"), text="two")]) == 1010


def test_half_a_surrogate_pair_has_a_size() -> None:
    """What a server cut in two does not break the table."""
    assert size_bytes([turn(text="\ud83d")]) == 3


def test_last_change_is_the_end_of_the_last_answer() -> None:
    """The latest end counts, whatever the order; without a turn, the beginning does."""
    conversation = Conversation(began_at=NOON)
    assert changed_at(conversation) == NOON

    kept(conversation, turn(at=NOON + timedelta(hours=2), latency_s=30.0), turn(at=NOON + timedelta(hours=1)))

    assert changed_at(conversation) == NOON + timedelta(hours=2, seconds=30)
