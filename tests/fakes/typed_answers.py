"""Models that are asked for a type: how they refuse the form of the request, and what they answer.

The prompt is a JSON list of what such a model answers, in order: the first time, after the first repair, and so on.
``typed`` takes every form; ``typed-no-schema`` refuses ``json_schema``, ``typed-no-form`` (HTTP 422) every
``response_format``; ``typed-event`` accepts the request and then breaks off with that refusal, in its stream;
``typed-invalid`` finds fault with the schema; ``typed-length`` and ``typed-filter`` end with that reason;
``typed-refuses`` refuses to answer. Values alone; what sends them is in ``scenarios.py``.
"""

from __future__ import annotations

import json
from typing import Any

_REPAIR = "Your answer cannot be used"
_ENDS = {"typed-length": "length", "typed-filter": "content_filter"}


def typed_answer(body: dict[str, Any]) -> tuple[tuple[dict[str, Any], ...], str] | None:
    """Deltas and finish reason of one of these models, None where it is none."""
    name = str(body["model"])
    if not name.startswith("typed"):
        return None
    if name == "typed-refuses":
        return ({"refusal": "I would "}, {"refusal": "rather not."}), "stop"
    texts = [_text(item["content"]) for item in body["messages"] if item["role"] == "user"]
    asked = next(place for place, text in reversed([*enumerate(texts)]) if not text.startswith(_REPAIR))
    answers, _ = json.JSONDecoder().raw_decode(texts[asked])
    n_repairs = sum(text.count(_REPAIR) for text in texts[asked:])
    said = answers[min(n_repairs, len(answers) - 1)]
    pieces = [said[at : at + 7] for at in range(0, len(said), 7)]
    return tuple({"content": piece} for piece in pieces), _ENDS.get(name, "stop")


def typed_refusal(body: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
    """Status and body of the error one of these models answers with, None where it answers."""
    form = (body.get("response_format") or {}).get("type")
    match body["model"]:
        case "typed-no-schema" if form == "json_schema":
            return 400, _error("Invalid parameter: 'response_format' of type 'json_schema' is not supported here.")
        case "typed-no-form" if form is not None:
            detail = {"type": "extra_forbidden", "loc": ["body", "response_format"], "msg": "Extra inputs"}
            return 422, {"detail": [detail]}
        case "typed-invalid" if form == "json_schema":
            return 400, _error("Invalid schema for response_format 'Line': 'price' is no good.")
        case _:
            return None


def typed_event(body: dict[str, Any]) -> dict[str, Any] | None:
    """The error in the stream of a server that accepts what it cannot do, None where there is none."""
    form = (body.get("response_format") or {}).get("type")
    is_broken = body["model"] == "typed-event" and form == "json_schema"
    return _error("failed to parse grammar: json_schema") if is_broken else None


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": "response_format", "code": None}}


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
