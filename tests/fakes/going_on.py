"""Models that go on with a partial answer, each in its own manner: values, nothing here is sent.

A whole answer is known; a request either holds its beginning as a last message, or asks to go on with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LAST_WORDS = re.compile(r"<last_words>(.*)</last_words>", re.DOTALL)
_SENTENCE = re.compile(r"(?<=[.!?\n])\s+")

# How the rest of an answer is said: of its beginning, the last words to repeat, and the rest.
MANNERS: Mapping[str, Callable[[str, str, str], str]] = {
    "anchor": lambda _before, last, rest: last + rest,
    "exact": lambda _before, _last, rest: rest,
    "sentence": lambda before, _last, rest: _SENTENCE.split(before)[-1] + rest,
    "all": lambda before, _last, rest: before + rest,
    "spaced": lambda _before, last, rest: "\n" + re.sub(r"\s+", "  ", last) + rest,
    "capital": lambda _before, last, rest: last[:1].upper() + last[1:] + rest,
    "sure": lambda _before, last, rest: f"Sure, continuing:\n\n{last}{rest}",
    "german": lambda _before, last, rest: f"Hier geht es weiter:\n{last}{rest}",
    "chatty": lambda _before, last, rest: f"Of course! Here is the rest of my answer:\n\n…{last}{rest}",
    "tagged": lambda _before, last, rest: f"<last_words>{last}</last_words>{rest}",
    "quoted": lambda _before, last, rest: f'"{last}"{rest}',
    "fenced": lambda before, last, rest: f"{_opened(before)}{last}{rest}",
}


def goes_on(manner: str, whole: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """What is answered: the rest of the answer where a part of it is there, else all of it."""
    last = messages[-1]
    if last["role"] == "assistant":
        return whole[len(_beginning(whole, last["content"])) :]
    asked = _asked(last)
    if asked is None:
        return whole
    before = _beginning(whole, messages[-2]["content"])
    return MANNERS[manner](before, asked[1], whole[len(before) :])


def is_asked_to(messages: Sequence[Mapping[str, Any]]) -> bool:
    """A request wants the rest of an answer."""
    return messages[-1]["role"] == "assistant" or _asked(messages[-1]) is not None


def _asked(last: Mapping[str, Any]) -> re.Match[str] | None:
    return _LAST_WORDS.search(last["content"]) if isinstance(last["content"], str) else None


def _beginning(whole: str, text: str) -> str:
    assert whole.startswith(text), f"this is not how the answer began: {text[-40:]!r}"
    return text


def _opened(before: str) -> str:
    """The line that opens the code block anew in which the text ends."""
    fences: list[str] = re.findall(r"^```.*\n", before, re.MULTILINE)
    return fences[-1] if len(fences) % 2 else ""
