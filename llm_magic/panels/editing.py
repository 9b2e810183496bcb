"""A prompt as a text that can be edited, and the edited text as a prompt again.

What was attached stays with it: after the text without a word; in the middle of it as a mark, ``⟦df: DataFrame
5 × 3⟧``, which can be moved or taken out like a word. Pure; the text is never evaluated.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ..content import TextPart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..content import Message, Part

_OPEN, _CLOSE = "⟦⟧"
_MARK_CHARACTERS = 60


def editable(prompt: tuple[Message, ...]) -> str | None:
    """The text of a prompt with marks for what stands in it; None where it is more than one message of the user."""
    if len(prompt) != 1 or prompt[0].role != "user" or prompt[0].tool_calls:
        return None
    body, _, marks = _taken_apart(prompt[0].parts)
    return "".join(_typed(part) if place not in marks else marks[place] for place, part in enumerate(body))


def edited(prompt: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """The prompt with another text; marks in it stand for what they stood for.

    Args:
        prompt: As it was asked, one that is :func:`editable`.
        text: Its text, edited.
    """
    (message,) = prompt
    body, attached, marks = _taken_apart(message.parts)
    parts = {mark: body[place] for place, mark in marks.items()}
    return (replace(message, parts=(*_parts(text, parts), *attached)),)


def _taken_apart(parts: tuple[Part, ...]) -> tuple[tuple[Part, ...], tuple[Part, ...], dict[int, str]]:
    """The parts up to the last typed text, those after it, and a mark for each of the former that is none."""
    end = max((place for place, part in enumerate(parts, start=1) if _is_typed(part)), default=0)
    body = parts[:end]
    # A mark must not be taken for what the user wrote, nor for another's.
    written = "".join(_typed(part) for part in body)
    marks: dict[int, str] = {}
    for place, part in enumerate(body):
        if not _is_typed(part):
            taken = {*marks.values()}
            number = 1
            while (mark := _mark(part, number)) in taken or mark in written:
                number += 1
            marks[place] = mark
    return body, parts[end:], marks


def _mark(part: Part, number: int) -> str:
    label = " ".join(part.label.replace(_OPEN, "(").replace(_CLOSE, ")").split())[:_MARK_CHARACTERS]
    return f"{_OPEN}{label}{f' ({number})' if number > 1 else ''}{_CLOSE}"


def _parts(text: str, marked: dict[str, Part]) -> Iterator[Part]:
    """A text's parts in order: what its marks stand for, and the text between them."""
    pieces = re.split(f"({'|'.join(map(re.escape, marked))})", text) if marked else [text]
    for piece in pieces:
        if piece in marked:
            yield marked[piece]
        elif piece:
            yield TextPart(text=piece)


def _is_typed(part: Part) -> bool:
    return isinstance(part, TextPart) and not part.label


def _typed(part: Part) -> str:
    return part.text if isinstance(part, TextPart) and not part.label else ""
