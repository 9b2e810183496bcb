"""Several answers to one request, their chunks mixed: what the models "choices" and "choices-broken" write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    JSON = dict[str, Any]


def answers_of(body: JSON) -> list[str]:
    """What each answer says."""
    return [f"answer {number}" for number in range(body.get("n", 1))]


def mixed_choices(body: JSON, *, is_broken: bool = False) -> Iterator[JSON]:
    """The choices of the stream's chunks: first a word of each, the last first, then the rest and the end of each.

    Broken, only the answer with number 1 gets so far.
    """
    answers = answers_of(body)
    for index, text in reversed(list(enumerate(answers))):
        yield {"index": index, "delta": {"content": text[:6]}, "finish_reason": None}
    for index, text in enumerate(answers):
        if is_broken and index != 1:
            continue
        yield {"index": index, "delta": {"content": text[6:]}, "finish_reason": None}
        yield {"index": index, "delta": {}, "finish_reason": "stop"}


def whole_choices(body: JSON) -> list[JSON]:
    """The choices of a completion in one piece."""
    return [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(answers_of(body))
    ]
