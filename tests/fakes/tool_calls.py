"""How the fake server's models call tools: a round of calls, then an answer that repeats what they gave.

``calls-MANNER`` calls what the user's last text lists, a line each: ``add {"a": 1, "b": 2}``. The manner is how its
chunks are cut. Nothing here is sent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Delta: TypeAlias = dict[str, Any]
Piece: TypeAlias = dict[str, Any]
SAID = "Let me see."


def called(
    manner: str, messages: Sequence[Mapping[str, Any]], asked: str, *, shards_of: Callable[[str], list[str]]
) -> dict[str, Any]:
    """The fields of an ``Answer``: its deltas, and why it ends.

    Args:
        manner: How the chunks are cut.
        messages: What was sent.
        asked: The user's last text.
        shards_of: Cuts a text anywhere.
    """
    results = _results(messages)
    if results and manner != "again":
        return _fields({"content": f"I was told: {'; '.join(results)}"}, finish_reason="stop")
    if manner == "none":
        return _fields({"content": SAID})
    calls = [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in asked.splitlines())]
    if manner == "legacy":
        name, arguments = calls[0]
        return _fields({"function_call": {"name": name, "arguments": arguments}}, finish_reason="function_call")
    pieces = [_pieces(number, *call, shards_of) for number, call in enumerate(calls)]
    return _fields(*_DELTAS[manner](pieces), finish_reason="stop" if manner == "stop" else "tool_calls")


def _fields(*deltas: Delta, finish_reason: str = "tool_calls") -> dict[str, Any]:
    return {"deltas": deltas, "finish_reason": finish_reason}


def _results(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tools gave since the model called them; a call without its result is an error in this server, too."""
    number = next((n for n in reversed(range(len(messages))) if messages[n]["role"] == "assistant"), None)
    if number is None or not messages[number].get("tool_calls"):
        return []
    ids = [call["id"] for call in messages[number]["tool_calls"]]
    told = {item["tool_call_id"]: item["content"] for item in messages[number + 1 :] if item["role"] == "tool"}
    assert list(told) == ids, "the results are not those of the calls, in their order"
    return [told[one] for one in ids]


def _pieces(number: int, name: str, arguments: str, shards_of: Callable[[str], list[str]]) -> list[Piece]:
    """A call cut anywhere: first its id and name, then its arguments."""
    first = {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}
    return [first, *({"index": number, "function": {"arguments": shard}} for shard in shards_of(arguments))]


def _whole(pieces: list[Piece]) -> Piece:
    arguments = "".join(piece["function"]["arguments"] for piece in pieces)
    return {**pieces[0], "function": {**pieces[0]["function"], "arguments": arguments}}


def _plain(calls: list[list[Piece]]) -> Iterator[Delta]:
    return ({"tool_calls": [piece]} for pieces in calls for piece in pieces)


def _without(*keys: str) -> Callable[[list[list[Piece]]], Iterator[Delta]]:
    """As servers send them that leave something out."""

    def deltas(calls: list[list[Piece]]) -> Iterator[Delta]:
        return _plain([[{k: v for k, v in piece.items() if k not in keys} for piece in pieces] for pieces in calls])

    return deltas


def _same_index(calls: list[list[Piece]]) -> Iterator[Delta]:
    return _plain([[{**_whole(pieces), "index": 0}] for pieces in calls])


def _one_delta(calls: list[list[Piece]]) -> Iterator[Delta]:
    """Text and all calls in one."""
    yield {"content": SAID, "tool_calls": [_whole(pieces) for pieces in calls]}


def _interleaved(calls: list[list[Piece]]) -> Iterator[Delta]:
    for row in range(max(map(len, calls))):
        yield {"tool_calls": [pieces[row] for pieces in calls if row < len(pieces)]}


def _objects(calls: list[list[Piece]]) -> Iterator[Delta]:
    """Arguments as objects, which are no text."""
    for piece in map(_whole, calls):
        arguments = json.loads(piece["function"]["arguments"])
        yield {"tool_calls": [{**piece, "function": {**piece["function"], "arguments": arguments}}]}


_DELTAS: Mapping[str, Callable[[list[list[Piece]]], Iterator[Delta]]] = {
    "plain": _plain,
    "stop": _plain,
    "again": _plain,
    "no-index": _without("index"),
    "no-id": _without("id"),
    "bare": _without("index", "id", "type"),
    "same-index": _same_index,
    "one-delta": _one_delta,
    "interleaved": _interleaved,
    "objects": _objects,
}
MANNERS = tuple(_DELTAS)
