"""JSON text that any file can hold, and values read from it; what is no JSON is one line that says where.

Cells of a frame are read as they are. What people write by hand is read strictly: a key that stands twice in an object
would hide what was said first.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .errors import StoreError

JSON_HINT = "to_dict() and %chat save write what can be loaded"
_TRAILING_COMMA = "a comma before the closing bracket"
_LONGEST_KEY = 40
_DECODER = json.JSONDecoder()
_OPENING = re.compile(r"[{\[]")
# A text full of brackets that open nothing is no answer; every try costs what it reads.
_MOST_TRIES = 200


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON text that any file can hold.

    Raises:
        StoreError: A setting is of a type that JSON does not have.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError, RecursionError) as exc:
        raise StoreError(f"A setting cannot be saved: {exc}.", hint="set it to text, a number or a list") from exc
    return escaped(text)


def escaped(text: str) -> str:
    """JSON text that has a UTF-8: half a surrogate pair has none; inside JSON its backslash form is the same."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_utf8(text: str) -> bool:
    r"""The text can be encoded; one with half a surrogate pair cannot.

    >>> is_utf8("é"), is_utf8("\ud800")
    (True, False)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def json_value(text: str, what: str) -> Any:
    """The inverse of :func:`json_text`.

    Raises:
        StoreError: It is not JSON; the message names ``what``.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise StoreError(f"{what} is not JSON.", hint=JSON_HINT) from exc


def strict_value(text: str, what: str, *, hint: str, has_lines: bool = False, is_standard: bool = False) -> Any:
    """JSON that people may have written, in which no key stands twice in an object.

    Args:
        text: The text.
        what: What it is, as a sentence begins.
        hint: What it should be.
        has_lines: The place of a mistake is its line and column, not its column alone.
        is_standard: NaN and Infinity, which Python writes and reads, are no JSON either.

    Raises:
        StoreError: It is not such JSON; the message says what is wrong, and where.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse if is_standard else None)
    except json.JSONDecodeError as exc:
        line = f"line {exc.lineno}, " if has_lines else ""
        raise StoreError(f"{what} is not JSON: {_reason(exc)} ({line}column {exc.colno}).", hint=hint) from exc
    except _TwiceError as exc:
        raise StoreError(f"{what} has the key {exc.key} twice in one object.", hint="leave one") from exc
    except (ValueError, RecursionError) as exc:
        # A number of thousands of digits, brackets in thousands of brackets.
        raise StoreError(f"{what} is not JSON that can be read.", hint=hint) from exc


def values_in(text: str) -> list[Any]:
    r"""The JSON values in an answer: the whole text, else the objects and arrays in it, the longest first.

    Models put words or a code fence around what they were asked for.

    >>> values_in('Sure:\n```json\n{"n": [1]}\n```')
    [{'n': [1]}]
    """
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        pass
    found: list[tuple[int, Any]] = []
    place = 0
    for _ in range(_MOST_TRIES):
        opening = _OPENING.search(text, place)
        if opening is None:
            break
        place = opening.start()
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
        else:
            found.append((end - place, value))
            place = end
    return [value for _, value in sorted(found, key=lambda one: -one[0])]


def partial_json(text: str) -> Any:
    r"""The JSON value that an answer has come to so far, as far as it has come; None where there is none yet.

    Words or a fence before it are passed over. A text that is not at its end is taken as far as it goes; a number or a
    word (true, null) is there when it is whole.

    >>> partial_json('```json\n{"name": "Ad')
    {'name': 'Ad'}
    """
    import jiter

    opening = _OPENING.search(text)
    if opening is None:
        return None
    try:
        return jiter.from_json(text[opening.start() :].encode("utf-8", "replace"), partial_mode="trailing-strings")
    except ValueError:
        # It is whole, and more follows; or it is no JSON.
        return next(iter(values_in(text)), None)


def brief(value: object) -> str:
    """Somebody else's key or word for a message of ours: quoted, on one line, not longer than a line."""
    text = str(value)
    return repr(text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…")


class _TwiceError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = brief(key)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1))
    return made


def _reason(exc: json.JSONDecodeError) -> str:
    # Python names the bracket's place or the comma's, by release.
    around = exc.doc[: exc.pos + 1].rstrip("}] \t\r\n")
    rest = exc.doc[exc.pos :].lstrip(", \t\r\n")
    if around.endswith(",") and rest.startswith(("}", "]")):
        return _TRAILING_COMMA
    return exc.msg[:1].lower() + exc.msg[1:]
