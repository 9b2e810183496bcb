"""However a valid stream is cut and mixed, the turn is the same: bytes in, Turn out, through the whole reading path."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magic.backends.failures import Asked
from llm_magic.backends.reading import read_reply
from llm_magic.content import ToolCall
from llm_magic.turns import Turn, TurnBuilder
from tests.fakes.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Without "<": whether tags are thoughts has tests of its own, test_think.py.
TEXT = st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=30)
ARGUMENTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3).map(json.dumps)
ENDS = ("data: [DONE]\n\n", "")
USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a model says, before it is cut into a stream."""

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]


@dataclass(slots=True)
class Response:
    """A reply whose bytes come in given pieces."""

    pieces: list[bytes]
    headers: dict[str, str] = field(default_factory=dict)

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
            # Now and then nothing is there yet: what comes together is read together.
            if len(piece) % 2:
                await asyncio.sleep(0)


@st.composite
def answers(draw: st.DrawFn) -> Said:
    calls = tuple(
        ToolCall(id=f"call_{number}", name=draw(st.sampled_from(["add", "look_up"])), arguments=draw(ARGUMENTS))
        for number in range(draw(st.integers(0, 4)))
    )
    return Said(text=draw(TEXT), reasoning=draw(TEXT), calls=calls)


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """A text in pieces, empty ones among them."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Said, list[bytes]]:
    """An answer, and the bytes of a stream that says it, in the pieces they are received in."""
    said = draw(answers())
    rows: list[list[dict[str, Any]]] = [
        [{"content": piece} for piece in cut(draw, said.text)],
        [{draw(st.sampled_from(["reasoning", "reasoning_content"])): piece} for piece in cut(draw, said.reasoning)],
        *(call_deltas(number, call, cut(draw, call.arguments)) for number, call in enumerate(said.calls)),
    ]
    deltas = mixed(draw, rows)
    if draw(st.booleans()):
        deltas = joined(deltas)
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if said.calls else "stop"}]})
    usage: dict[str, Any] = {"usage": USAGE} | ({"choices": []} if draw(st.booleans()) else {})
    chunks.insert(len(chunks) if draw(st.booleans()) else draw(st.integers(0, len(chunks))), usage)
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    is_ascii = draw(st.booleans())
    lines = [f"data: {json.dumps(chunk, ensure_ascii=is_ascii)}{line_end}{line_end}" for chunk in chunks]
    data = ("".join(lines) + draw(st.sampled_from(ENDS))).encode()
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return said, [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def call_deltas(number: int, call: ToolCall, pieces: list[str]) -> list[dict[str, Any]]:
    """The first piece brings id and name, as the protocol has it."""
    head: dict[str, Any] = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": pieces[0]}}
    rest: list[dict[str, Any]] = [{"function": {"arguments": piece}} for piece in pieces[1:]]
    return [{"tool_calls": [{"index": number, **part}]} for part in (head, *rest)]


def mixed(draw: st.DrawFn, rows: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """All rows in one, each in its own order; calls begin in theirs."""
    calls = rows[2:]
    order = draw(st.permutations([place for place, row in enumerate(rows) for _ in row]))
    begun = iter([2 + place for place in range(len(calls))])
    names: dict[int, int] = {}
    left = [iter(row) for row in rows]
    out = []
    for place in order:
        if place >= 2 and place not in names:
            names[place] = next(begun)
        out.append(names.get(place, place))
    # How often a call is drawn may now be another's count: what is left over follows in order.
    deltas = [delta for place in out if (delta := next(left[place], None)) is not None]
    return deltas + [delta for rest in left for delta in rest]


def joined(deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of different kinds in one delta: text and calls, several calls."""
    out: list[dict[str, Any]] = []
    for delta in deltas:
        (kind,) = delta
        if out and kind not in out[-1] and not {"reasoning", "reasoning_content"} & {kind, *out[-1]}:
            out[-1] = {**out[-1], **delta}
        elif out and kind == "tool_calls" and kind in out[-1]:
            out[-1] = {**out[-1], kind: [*out[-1][kind], *delta[kind]]}
        else:
            out.append(delta)
    return out


def read(pieces: list[bytes]) -> Turn:
    """The turn of a stream."""
    base = Turn(id="t", prompt=(), at=datetime(2026, 1, 1, tzinfo=UTC))
    builder = TurnBuilder(base, clock=Clock())
    asked = Asked(address="127.0.0.1", model="m")

    async def fold() -> None:
        async for event in read_reply(Response(pieces), asked, stall_s=10):
            builder.add(event)

    asyncio.run(fold())
    return builder.build()


@pytest.mark.capability("G7", "G8", "G11", "G12", "G16")
@settings(max_examples=400)
@given(streams())
def test_any_cut_of_any_stream_gives_the_same_turn(stream: tuple[Said, list[bytes]]) -> None:
    """Text, thoughts and up to four calls, mixed in any order, cut into any chunks, received in any pieces."""
    said, pieces = stream

    turn = read(pieces)

    assert turn == replace(
        turn,
        text=said.text,
        reasoning=said.reasoning,
        tool_calls=said.calls,
        finish_reason="tool_calls" if said.calls else "stop",
        status="complete",
    )
    assert (turn.usage.input_tokens, turn.usage.output_tokens) == (7, 9)


@given(streams(), st.data())
def test_a_stream_that_ends_early_keeps_a_beginning(stream: tuple[Said, list[bytes]], data: st.DataObject) -> None:
    """Cut off at any byte: what is kept is a beginning of what was said, call by call; or the end was there already."""
    said, pieces = stream
    whole = b"".join(pieces)
    builder = TurnBuilder(Turn(id="t", prompt=()), clock=Clock())
    asked = Asked(address="127.0.0.1", model="m")
    errors: list[Exception] = []

    async def fold() -> None:
        try:
            async for event in read_reply(Response([whole[:place]]), asked, stall_s=10):
                builder.add(event)
        except Exception as exc:  # looked at below
            errors.append(exc)

    place = data.draw(st.integers(0, len(whole)))
    asyncio.run(fold())
    turn = builder.build()

    assert said.text.startswith(turn.text)
    assert said.reasoning.startswith(turn.reasoning)
    assert all(
        full.arguments.startswith(part.arguments) for full, part in zip(said.calls, turn.tool_calls, strict=False)
    )
    assert (builder.completed is not None) != bool(errors)
    assert [type(error).__name__ for error in errors] in ([], ["StreamInterruptedError"], ["RequestRejectedError"])
