"""The walls around rendered HTML: what may be in it at all, and characters made harmless.

Everything shown passes here last. The renderer already writes only what is allowed; the cleaner is a second wall that
knows nothing of Markdown, so that one mistake in front of it shows nothing and runs nothing. Comes in: HTML of the
renderer, or text; goes out: HTML of the tags, attributes and classes below.
"""

from __future__ import annotations

import functools
import html
import re
from typing import TYPE_CHECKING

from .plain import BIDI_CONTROLS, sound

if TYPE_CHECKING:
    import nh3

TAGS = frozenset(
    """
    a blockquote br code div em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong sup table tbody td th thead tr ul
    """.split()
)
# The star is said because the cleaner would let title and lang through on every element.
ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}}
DIRECTED = frozenset("blockquote div h1 h2 h3 h4 h5 h6 ol p table td th ul".split())
CLASSES = {
    "div": {"highlight"},
    "span": {"c", "k", "llm-magic-image", "m", "mathjax_process", "nc", "nf", "s", "tex2jax_process"},
}
# Of prompts and tool calls: their HTML has no links, but small pictures.
PROMPT_TAGS = frozenset("code details div img pre span summary".split())
_TOOL = {"llm-magic-tool"} | {
    f"llm-magic-tool-{state}" for state in ("started", "asking", "running", "done", "failed", "denied", "idle")
}
PROMPT_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "img": {"alt", "height", "src", "width"}}
PROMPT_CLASSES = {
    "details": {"llm-magic-attached"} | _TOOL,
    "div": {"llm-magic-pictures", "llm-magic-prompt", "mathjax_ignore", "tex2jax_ignore"} | _TOOL,
    "img": {"llm-magic-thumbnail"},
    "span": {"llm-magic-chip", "llm-magic-tool-state"},
}
LINK_REL = "noopener noreferrer"
LINK_SCHEMES = frozenset({"http", "https", "mailto"})

_PICTURE = re.compile(r"data:image/(?:jpeg|png);base64,[A-Za-z0-9+/]+={0,2}")

# Bidirectional controls are shown, other control characters replaced. A replacement stands for one character:
# dropping it
# could join what it kept apart.
_HARMLESS: dict[int, str] = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)], "\ufffd")
_HARMLESS |= {ord(char): f"&lt;U+{ord(char):04X}&gt;" for char in BIDI_CONTROLS}


def escape(text: str) -> str:
    """Text as the content of an element.

    >>> escape("<b> & \u202e")
    '&lt;b&gt; &amp; &lt;U+202E&gt;'
    """
    return html.escape(unix_lines(text), quote=False).translate(_HARMLESS)


def clean(rendered: str) -> str:
    """Rendered HTML with nothing in it but what is allowed above; control characters made harmless."""
    return _cleaner().clean(rendered).translate(_HARMLESS)


def clean_prompt(rendered: str) -> str:
    """The same for what was asked and what tools said, where text, folded text and small pictures are."""
    return _prompt_cleaner().clean(rendered).translate(_HARMLESS)


def harmless(escaped: str) -> str:
    """HTML whose text has been escaped by others, with its characters made harmless."""
    return sound(escaped).translate(_HARMLESS)


def unix_lines(text: str) -> str:
    r"""The text with its characters sound and its lines ended by ``\n`` alone."""
    text = sound(text)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


@functools.cache
def _cleaner() -> nh3.Cleaner:
    # Built once: building costs fifteen times what cleaning a paragraph does.
    import nh3

    return nh3.Cleaner(
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        tag_attribute_values={tag: {"dir": {"ltr", "rtl"}} for tag in DIRECTED} | {"a": {"target": {"_blank"}}},
        allowed_classes=CLASSES,
        url_schemes=set(LINK_SCHEMES),
        url_relative="deny",
        link_rel=LINK_REL,
        strip_comments=True,
    )


@functools.cache
def _prompt_cleaner() -> nh3.Cleaner:
    import nh3

    return nh3.Cleaner(
        tags=set(PROMPT_TAGS),
        attributes=PROMPT_ATTRIBUTES,
        allowed_classes=PROMPT_CLASSES,
        attribute_filter=_only_pictures,
        url_schemes={"data"},
        url_relative="deny",
        link_rel=None,
        strip_comments=True,
    )


def _only_pictures(_element: str, attribute: str, value: str) -> str | None:
    """Of addresses only pictures that are in them: a data: address may hold a page with script."""
    return value if attribute != "src" or _PICTURE.fullmatch(value) else None
