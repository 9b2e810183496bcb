"""What was asked, as safe HTML: text as it was typed, what was attached named and folded, small pictures of pictures.

Comes in: messages. Goes out: HTML whose only addresses are ``data:`` ones made here. Nothing in it is read as Markdown:
line ends and blanks are kept, for an element that keeps them. Pictures that a server would fetch are named by their
host and not shown.
"""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from ..content import ImagePart, TextPart
from ..images import thumbnail
from .clean import clean_prompt, escape, unix_lines
from .markdown import host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..content import Message, Part

MAX_TYPED_CHARACTERS = 20_000
MAX_ATTACHED_CHARACTERS = 8_000
MAX_PICTURES = 20


def prompt_html(messages: Sequence[Message]) -> str:
    """A prompt whole: its parts in order, in an element where line ends and blanks are to be kept."""
    shown = (
        f'<div class="llm-magic-prompt mathjax_ignore tex2jax_ignore">{_role(message)}{"".join(_parts(message))}</div>'
        for message in messages
    )
    return clean_prompt("".join(shown))


def pictures_html(messages: Sequence[Message]) -> str:
    """The pictures of a prompt alone, small, in one element; "" where it has none."""
    pictures = [part for message in messages for part in message.parts if isinstance(part, ImagePart)]
    if not pictures:
        return ""
    shown = [_picture(part) for part in pictures[:MAX_PICTURES]]
    if len(pictures) > MAX_PICTURES:
        shown.append(_chip(f"{len(pictures) - MAX_PICTURES} more pictures"))
    return clean_prompt(f'<div class="llm-magic-pictures">{" ".join(shown)}</div>\n')


def _role(message: Message) -> str:
    return "" if message.role == "user" else f"{_chip(message.role)} "


def _parts(message: Message) -> Iterator[str]:
    for part in message.parts:
        yield part_html(part)
    for call in message.tool_calls:
        yield _chip(f"calls {call.name}")


def part_html(part: Part) -> str:
    """One part, small; to be cleaned with what is around it."""
    match part:
        case TextPart(label=""):
            return escape(_cut(part.text, MAX_TYPED_CHARACTERS))
        case TextPart():
            # The first newline of a <pre> is not shown: the cleaner reads it so, and once more the browser.
            text = f"<pre>\n\n{escape(_cut(part.text, MAX_ATTACHED_CHARACTERS))}</pre>"
            return f'<details class="llm-magic-attached"><summary>{escape(part.label)}</summary>{text}</details>'
        case ImagePart():
            return _picture(part)
        case _:
            return _chip(part.label)


def _cut(text: str, most: int) -> str:
    left_out = len(text) - most
    return f"{text[:most]} … {left_out:,} characters more" if left_out > 0 else text


def _chip(text: str) -> str:
    return f'<span class="llm-magic-chip">{escape(text)}</span>'


def _picture(part: ImagePart) -> str:
    """A small picture of a picture, whose label is its description; else its name."""
    if part.url:
        host = host_of(part.url)
        return _chip(f"image at {host}" if host else "image")
    small = thumbnail(part)
    if small is None:
        return _chip(part.label)
    source = f"data:{small.media_type};base64,{base64.b64encode(small.data).decode('ascii')}"
    size = f'width="{small.width}" height="{small.height}"'
    return f'<img class="llm-magic-thumbnail" src="{source}" alt="{html.escape(unix_lines(part.label))}" {size}>'
