"""``%chat list``: the conversations, each with its size, dates and cost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from ..content import AudioPart, FilePart, ImagePart, TextPart
from ..frames import typed_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Any

    import pandas as pd

    from ..content import Part
    from ..frames import ColumnKind
    from ..session import Session
    from ..slots import Conversation
    from ..turns import Turn

COLUMNS: Mapping[str, ColumnKind] = {
    "name": "text",
    "turns": "count",
    "versions": "count",
    "model": "text",
    "is_current": "flag",
    "is_archived": "flag",
    "began_at": "time",
    "changed_at": "time",
    "size_bytes": "count",
    "input_tokens": "count",
    "output_tokens": "count",
    "cost_usd": "number",
}


def conversations_frame(session: Session) -> pd.DataFrame:
    """One row per conversation of the session, in the order they were begun.

    Columns: name, model (string; missing where the session's is asked); turns, versions, size_bytes, input_tokens,
    output_tokens (Int64); is_current, is_archived (boolean); began_at, changed_at (datetime64[ns, UTC]); cost_usd
    (Float64, missing where the price of any version is unknown). Tokens and cost are of all versions, those a fork
    shares with its parent included; ``size_bytes`` is all text, and each picture, sound and file once.
    """
    return typed_frame(COLUMNS, [_row(session, conversation) for conversation in session.conversations])


def _row(session: Session, conversation: Conversation) -> dict[str, Any]:
    turns = [turn for slot in conversation.slots for turn in slot.versions]
    costs = [turn.cost_usd for turn in turns if turn.cost_usd is not None]
    return {
        "name": conversation.name,
        "turns": len(conversation.slots),
        "versions": len(turns),
        "model": conversation.model,
        "is_current": conversation is session.current,
        "is_archived": conversation.is_archived,
        "began_at": conversation.began_at,
        "changed_at": changed_at(conversation),
        "size_bytes": size_bytes(turns),
        "input_tokens": sum(turn.usage.input_tokens for turn in turns),
        "output_tokens": sum(turn.usage.output_tokens for turn in turns),
        # A sum of some would look like a total.
        "cost_usd": sum(costs) if len(costs) == len(turns) else None,
    }


def changed_at(conversation: Conversation) -> datetime:
    """When the last answer ended, UTC; when it was begun, where there is none."""
    ends = (turn.at + timedelta(seconds=turn.latency_s or 0.0) for slot in conversation.slots for turn in slot.versions)
    return max(ends, default=conversation.began_at)


def size_bytes(turns: list[Turn]) -> int:
    """Bytes of all text, and of each picture, sound and file once, as the store keeps them."""
    attached: set[bytes] = set()
    size = 0
    for turn in turns:
        size += sum(_text_bytes(text) for text in (turn.text, turn.reasoning, turn.refusal, turn.system or ""))
        for part in _parts(turn):
            match part:
                case TextPart():
                    size += _text_bytes(part.text)
                case ImagePart() | AudioPart() | FilePart():
                    attached.add(part.data)
                case _:
                    assert_never(part)
    return size + sum(map(len, attached))


def _parts(turn: Turn) -> Iterator[Part]:
    for message in turn.prompt:
        yield from message.parts


def _text_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
