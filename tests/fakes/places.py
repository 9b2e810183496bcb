"""Models that put what they are asked into another place of their reply than its text, or into an error.

``in-reasoning``, ``in-refusal`` and ``in-tools`` stream it, ``in-finish`` ends with it, ``in-model`` says to be called
so, ``in-id`` gives the request this id; ``in-400``, ``in-401``, ``in-429`` and ``in-502`` refuse with it, ``in-event``
breaks off with it. Values alone; what sends them is in ``scenarios.py``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STREAMED = {"in-reasoning": "reasoning_content", "in-refusal": "refusal"}
_STATUS = re.compile(r"in-(4\d\d|5\d\d)")
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
_PIECE_CHARACTERS = 40


def deltas_in(place: str, text: str) -> tuple[dict[str, Any], ...] | None:
    """What the stream's chunks carry; None where the model is not of these."""
    if place in _STREAMED:
        pieces = (text[at : at + _PIECE_CHARACTERS] for at in range(0, len(text), _PIECE_CHARACTERS))
        return tuple({_STREAMED[place]: piece} for piece in pieces)
    if place == "in-tools":
        return tuple(_call(number, line) for number, line in enumerate(json.loads(text)))
    return ({"content": "said"},) if place.startswith("in-") else None


def finish_in(place: str, text: str) -> str:
    """Why the answer ends."""
    return {"in-finish": text, "in-tools": "tool_calls"}.get(place, "stop")


def model_in(place: str, text: str) -> str | None:
    """What the model says to be called, None where that is its own name."""
    return text if place == "in-model" else None


def headers_in(place: str, text: str) -> Mapping[str, str]:
    """Further headers of the reply: what of the text HTTP can carry."""
    return {"x-request-id": _UNSENDABLE.sub("", text).strip()} if place == "in-id" else {}


def refusal_in(place: str, text: str) -> tuple[int, Any, Mapping[str, str]] | None:
    """Status, body and headers of an error, None where the model answers."""
    found = _STATUS.fullmatch(place)
    if found is None:
        return None
    status, headers = int(found[1]), {"x-should-retry": "false"}
    if status >= 500:
        page = f"<html><head><title>{text}</title></head><body>{text}</body></html>"
        return status, page.encode("utf-8", "replace"), headers | {"content-type": "text/html"}
    return status, {"error": error_in(text)}, headers


def error_in(text: str) -> dict[str, Any]:
    """An error that says the text wherever it can."""
    return {"message": text, "type": text, "code": text, "param": text}


def _call(index: int, line: str) -> dict[str, Any]:
    function = {"name": line, "arguments": json.dumps({line: line}) if index % 2 else line}
    return {"tool_calls": [{"index": index, "type": "function", "id": line, "function": function}]}
