"""What was asked, as safe HTML: the text as it was typed, names of what was attached, small pictures of pictures.

Comes in: messages. Goes out: HTML whose only addresses are ``data:`` ones made here. Pictures that a server would fetch
are named and not shown.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from ..content import ImagePart, TextPart
from ..errors import ContentError
from ..images import image_from_bytes
from .clean import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..content import Message, Part

THUMBNAIL_EDGE_PX = 192
# Small pictures are passed through as they are, with whatever else their file holds.
_THUMBNAIL_BYTES = 48_000
_SHOWN_CHARACTERS = 20_000


def prompt_html(messages: tuple[Message, ...]) -> str:
    """A prompt whole: its parts in order, in an element where line ends and spaces are to be kept."""
    return "".join(
        f'<div class="llm-magic-prompt mathjax_ignore tex2jax_ignore">{_role(message)}{"".join(_shown(message))}</div>'
        for message in messages
    )


def pictures_html(messages: tuple[Message, ...]) -> str:
    """The pictures of a prompt alone; "" where it has none."""
    return "".join(_picture(part) for message in messages for part in message.parts if isinstance(part, ImagePart))


def _role(message: Message) -> str:
    return "" if message.role == "user" else f'<span class="llm-magic-chip">{message.role}</span> '


def _shown(message: Message) -> Iterator[str]:
    for part in message.parts:
        match part:
            case TextPart(label=""):
                yield _typed(part.text)
            case ImagePart():
                yield _picture(part)
            case _:
                yield _chip(part)
    for call in message.tool_calls:
        yield f'<span class="llm-magic-chip">{escape(f"calls {call.name}")}</span>'


def _typed(text: str) -> str:
    left_out = len(text) - _SHOWN_CHARACTERS
    if left_out > 0:
        text = f"{text[:_SHOWN_CHARACTERS]} … {left_out:,} characters more"
    return escape(text)


def _chip(part: Part) -> str:
    return f'<span class="llm-magic-chip">{escape(part.label)}</span>'


def _picture(part: ImagePart) -> str:
    """A small picture of a picture, whose label is its description."""
    small = _thumbnail(part)
    if small is None:
        return _chip(part)
    source = f"data:{small.media_type};base64,{base64.b64encode(small.data).decode('ascii')}"
    label = escape(part.label).replace('"', "&quot;")
    return f'<img class="llm-magic-thumbnail" src="{source}" alt="{label}" title="{label}">'


def _thumbnail(part: ImagePart) -> ImagePart | None:
    if not part.data:
        return None
    try:
        small = image_from_bytes(part.data, max_edge_px=THUMBNAIL_EDGE_PX)
    except ContentError:
        # Of a conversation that was loaded: whatever it holds, it is no picture.
        return None
    return small if len(small.data) <= _THUMBNAIL_BYTES else None
