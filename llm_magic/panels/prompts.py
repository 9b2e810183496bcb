"""A prompt as the panel shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import rendering
from ..content import TextPart

if TYPE_CHECKING:
    from ..content import Message


def prompt_html(messages: tuple[Message, ...]) -> str:
    """A prompt as safe HTML."""
    texts = [
        part.text if isinstance(part, TextPart) and not part.label else f"[{part.label}]"
        for message in messages
        for part in message.parts
    ]
    return rendering.preformatted_html(rendering.plain_text("".join(texts)))
