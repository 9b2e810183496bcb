"""Strategies that make any conversation there can be, for the round trips."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, get_args

from hypothesis import strategies as st

from llm_magic.content import (
    DETAILS,
    ROLES,
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    ToolResult,
    message,
)
from llm_magic.counts import Usage
from llm_magic.events import Reason
from llm_magic.slots import CellKey, Conversation, Slot
from llm_magic.turns import Status, Step, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn, SearchStrategy

COUNTS = st.integers(0, 2**40)
SECONDS = st.none() | st.floats(0, 1e6)
TIMES = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive
# Line ends, quotes, words that look like values, half a row of a table: what breaks files.
TEXTS = st.text(max_size=20) | st.sampled_from(
    [
        "a\r\nb",
        "a\rb",
        "\n",
        '"',
        ",",
        "NA",
        "None",
        "nan",
        "True",
        "1",
        "\x00",
        "\u2028",
        "```",
        "=1+1",
        "é",
        "🦊",
    ]
)
NAMES = st.text(min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
SETTINGS = st.dictionaries(st.sampled_from(["temperature", "seed", "stop", "x"]), JSON, max_size=3)
PARTS: SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, text=TEXTS, label=TEXTS),
    st.builds(
        ImagePart,
        data=st.binary(max_size=20),
        media_type=st.sampled_from(["image/png", "image/jpeg"]),
        detail=st.sampled_from(DETAILS),
        width=COUNTS,
        height=COUNTS,
    ),
    st.builds(ImagePart, url=st.just("https://example.org/fox.png"), detail=st.sampled_from(DETAILS)),
    st.builds(AudioPart, data=st.binary(max_size=20), format=st.sampled_from(["wav", "mp3"])),
    st.builds(FilePart, data=st.binary(max_size=20), media_type=st.just("application/pdf"), filename=TEXTS),
)
CALLS = st.lists(st.builds(ToolCall, id=TEXTS, name=TEXTS, arguments=TEXTS), max_size=2).map(tuple)
USAGES = st.builds(
    Usage,
    **{
        field.name: st.booleans()
        if field.name == "is_estimate"
        else COUNTS
        if field.default == 0
        else st.none() | COUNTS
        for field in fields(Usage)
    },
)

RESULTS = st.builds(
    ToolResult,
    call_id=TEXTS,
    name=TEXTS,
    parts=st.lists(PARTS, max_size=2).map(tuple),
    is_error=st.booleans(),
    is_denied=st.booleans(),
    latency_s=SECONDS,
)
STEPS = st.lists(
    st.builds(
        Step,
        reason=st.sampled_from(get_args(Reason)),
        text=TEXTS,
        reasoning=TEXTS,
        tool_calls=CALLS,
        results=st.lists(RESULTS, max_size=2).map(tuple),
        error=st.none() | TEXTS,
        finish_reason=st.none() | TEXTS,
        usage=USAGES | st.just(Usage()),
        cost_usd=st.none() | st.floats(0, 100),
        latency_s=SECONDS,
        retries=COUNTS,
    ),
    max_size=1,
).map(tuple)


def ask(conversation: Conversation, text: str, answer: str = "fine", cell: str | None = None, **turn: Any) -> Turn:
    """A turn of a conversation, as the session adds it."""
    slot = conversation.reserve(CellKey(cell_id=cell) if cell else None)
    values: dict[str, Any] = {
        "prompt": (message("user", text),),
        "text": answer,
        "seen": conversation.context(slot.id).seen,
        "cell_id": cell,
    }
    made = Turn(id=f"{text}-{len(slot.versions)}", **values | turn)
    conversation.add_version(slot, made)
    return made


def some_or_none(*, has_empty: bool) -> SearchStrategy[str | None]:
    """A text or None; CSV cannot tell an empty text from none, so the empty one can be left out."""
    return st.none() | (TEXTS if has_empty else TEXTS.filter(bool))


@st.composite
def turns(draw: DrawFn, ids: Iterator[int], *, has_empty: bool) -> Turn:
    """Any turn."""
    maybe = some_or_none(has_empty=has_empty)
    prompt = st.builds(
        Message,
        role=st.sampled_from(ROLES),
        parts=st.lists(PARTS, max_size=3).map(tuple),
        name=maybe,
        tool_calls=CALLS,
        tool_call_id=maybe,
    )
    values: dict[str, Any] = {
        "prompt": st.lists(prompt, max_size=2).map(tuple),
        "text": TEXTS,
        "status": st.sampled_from(get_args(Status)),
        "reasoning": TEXTS,
        "refusal": st.just("") | TEXTS,
        "tool_calls": CALLS,
        "steps": st.just(()) | STEPS,
        "tool_names": st.lists(TEXTS, max_size=2).map(tuple),
        "logprobs": st.none() | st.lists(st.dictionaries(TEXTS, JSON, max_size=2), max_size=2).map(tuple),
        "finish_reason": maybe,
        "error": maybe,
        "usage": USAGES | st.just(Usage()),
        "cost_usd": st.none() | st.floats(0, 100),
        "backend": TEXTS,
        "requested_model": TEXTS,
        "model": maybe,
        "request_id": maybe,
        "at": TIMES,
        "latency_s": SECONDS,
        "ttft_s": SECONDS,
        "retries": COUNTS,
        "system": maybe,
        "settings": SETTINGS,
        "seen": st.just("") | st.text("0123456789abcdef", min_size=16, max_size=16),
        "is_fresh": st.booleans(),
        "cell_id": maybe,
        "continues": maybe,
        "notices": st.lists(TEXTS, max_size=2).map(tuple),
    }
    return Turn(id=f"turn-{next(ids)}", **{name: draw(strategy) for name, strategy in values.items()})


@st.composite
def conversations(draw: DrawFn, *, has_empty: bool = True, has_turns: bool = False) -> Conversation:
    """Any conversation.

    Args:
        draw: Of hypothesis.
        has_empty: Texts that may be None may also be empty.
        has_turns: At least one slot has a version.
    """
    ids = count()
    slots = []
    for position in range(draw(st.integers(has_turns, 3))):
        least = has_turns and position == 0
        versions = tuple(draw(turns(ids, has_empty=has_empty)) for _ in range(draw(st.integers(least, 2))))
        slots.append(
            Slot(
                id=f"slot-{position}",
                key=draw(st.none() | st.builds(CellKey, cell_id=NAMES, ordinal=st.integers(0, 3))),
                versions=versions,
                current_id=draw(st.none() | st.sampled_from([turn.id for turn in versions])) if versions else None,
                is_hidden=draw(st.booleans()) if versions else False,
                source=draw(st.none() | NAMES),
            )
        )
    return Conversation(
        name=draw(TEXTS),
        id=draw(NAMES),
        system=draw(st.none() | TEXTS),
        model=draw(st.none() | TEXTS),
        settings=draw(SETTINGS),
        is_archived=draw(st.booleans()),
        made_by=draw(st.none() | TEXTS),
        parent=draw(st.none() | NAMES),
        began_at=draw(TIMES),
        slots=tuple(slots),
    )
