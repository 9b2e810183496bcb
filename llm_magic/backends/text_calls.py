"""Tool calls that a model writes into its text, where the server does not take them out: Llama's forms, and Hermes's.

In: the text as it comes, cut anywhere. Out: text and calls, in order. What looks like a call and is none stays text,
letter by letter.

Source: Meta's prompt formats for Llama 3.1 to 3.3 (JSON, ``<|python_tag|>``, ``<function=…>``); the ``<tool_call>``
template of Hermes 2 and Qwen 2.5.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..providers.profile import TextCalls

_PYTHON = "<|python_tag|>"
# How a call begins, and how it ends; "" at the end of the answer.
_TAGS: Mapping[TextCalls, Mapping[str, str]] = {
    "none": {},
    "llama": {_PYTHON: "", "<function=": "</function>"},
    "hermes": {"<tool_call>": "</tool_call>"},
}
# Llama answers with a bare object; the other with one in tags.
_BARE: tuple[TextCalls, ...] = ("llama",)
_NAMED = re.compile(r"\s*([\w.-]+)\s*>")
_BUILT_IN = re.compile(r"(\w+)\.call\(")
_MOST_BARE = 100_000  # characters of an answer that begins with a brace, before it is taken for text
_DECODER = json.JSONDecoder(strict=False)


class TextCall(NamedTuple):
    """A call, whole.

    Attributes:
        name: The function's name.
        arguments: JSON text of the arguments.
    """

    name: str
    arguments: str


class TextCallParser:
    """Tells calls from text, incrementally.

    Args:
        form: How the model writes them.
    """

    def __init__(self, form: TextCalls) -> None:
        self._tags = _TAGS[form]
        self._is_bare = form in _BARE  # nothing has been said yet, and a bare object would be a call
        self._is_after_call = False
        self._opener = ""  # the tag the held text began with
        self._held = self._space = ""

    def feed(self, text: str) -> list[str | TextCall]:
        """What the next text says and calls, as far as it can be told."""
        pieces: list[str | TextCall] = []
        self._held += text
        while self._held and self._step(pieces):
            pass
        return pieces

    def finish(self) -> list[str | TextCall]:
        """What is left at the end; a call may lack its closing tag."""
        pieces: list[str | TextCall] = []
        held, self._held = self._held, ""
        if self._opener:
            self._take(pieces, held, "")
        elif self._is_bare and (calls := calls_in(held)):
            pieces += calls
            self._is_after_call = True
        else:
            self._say(pieces, held)
        if self._space and not self._is_after_call:
            pieces.append(self._space)
        return pieces

    def _step(self, pieces: list[str | TextCall]) -> bool:
        """Take what can be told from the front of what is held; whether to look again."""
        if self._opener:
            return self._inside(pieces)
        if self._is_bare and self._held.lstrip()[:1] in ("", "{") and len(self._held) < _MOST_BARE:
            return False  # an object to the end, or text after all: told by its end
        tag, place = self._first_tag()
        if tag:
            self._say(pieces, self._held[:place])
            self._opener, self._held = tag, self._held[place + len(tag) :]
            return True
        place = len(self._held) - max((_overlap(self._held, tag) for tag in self._tags), default=0)
        self._say(pieces, self._held[:place])
        self._held = self._held[place:]
        return False

    def _inside(self, pieces: list[str | TextCall]) -> bool:
        closer = self._tags[self._opener]
        body, found, rest = self._held.partition(closer) if closer else (self._held, "", "")
        if not found:
            return False
        self._held = rest
        self._take(pieces, body, closer)
        return True

    def _take(self, pieces: list[str | TextCall], body: str, closer: str) -> None:
        """Read what stands between tags."""
        calls = _read(self._opener, body)
        if calls:
            pieces += calls
            self._is_after_call, self._is_bare, self._space = True, False, ""
        else:
            self._say(pieces, self._opener + body + closer)
        self._opener = ""

    def _say(self, pieces: list[str | TextCall], text: str) -> None:
        """Text; white space at its end waits for what follows: before and after a call it is none."""
        text = self._space + text if not self._is_after_call else text.lstrip()
        said = text.rstrip()
        self._space = text[len(said) :]
        if said:
            pieces.append(said)
            self._is_bare = self._is_after_call = False

    def _first_tag(self) -> tuple[str, int]:
        places = [(place, tag) for tag in self._tags if (place := self._held.find(tag)) >= 0]
        place, tag = min(places, default=(0, ""))
        return tag, place


def calls_in(text: str) -> list[TextCall] | None:
    """The calls in a text of JSON objects, one after the other or in a list; None where it is anything else.

    >>> calls_in('{"name": "f", "parameters": {"a": 1}}; {"name": "g"}')
    [TextCall(name='f', arguments='{"a": 1}'), TextCall(name='g', arguments='{}')]
    """
    calls: list[TextCall] = []
    rest = text.strip()
    while rest:
        try:
            value, end = _DECODER.raw_decode(rest)
        except (ValueError, RecursionError):
            return None
        for one in value if isinstance(value, list) else [value]:
            call = _call_of(one)
            if call is None:
                return None
            calls.append(call)
        rest = rest[end:].lstrip("; \t\r\n,")
    return calls or None


def _read(opener: str, body: str) -> list[TextCall] | None:
    """What stands behind a tag, as calls."""
    if opener == "<function=":
        named = _NAMED.match(body)
        return [TextCall(named[1], body[named.end() :].strip() or "{}")] if named else None
    calls = calls_in(body)
    if calls or opener != _PYTHON:
        return calls
    if call := _built_in(body.strip()):
        return [call]
    # What is neither is a program, for the interpreter that the tag is named after.
    return [TextCall("python", json.dumps({"code": body.strip()}))] if body.strip() else None


def _call_of(value: Any) -> TextCall | None:
    match value:
        case {"function": {"name": str()} as inner} | ({"name": str()} as inner):
            pass
        case {"function": str(name)}:
            inner = {**value, "name": name}
        case _:
            return None
    arguments = inner.get("parameters", inner.get("arguments"))
    if not inner["name"] or not isinstance(arguments, dict | str | None):
        return None
    written = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    return TextCall(inner["name"], written)


def _built_in(text: str) -> TextCall | None:
    """``brave_search.call(query="…")``, as Llama calls what it was trained with."""
    if not (found := _BUILT_IN.match(text)):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the model's own writing
            tree = ast.parse(text, mode="eval").body
        words = tree.keywords if isinstance(tree, ast.Call) else []
        return TextCall(found[1], json.dumps({word.arg: ast.literal_eval(word.value) for word in words if word.arg}))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of a text could be the beginning of a tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
