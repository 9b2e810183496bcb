"""What a docstring says of a function and of each of its parameters: Google, NumPy and Sphinx style.

Docstrings are prose: what fits no style is description, and nothing is an error.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_PARAMETERS = ("args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters")
_OTHERS = (
    *("returns", "return", "yields", "yield", "receives", "raises", "warns", "warnings", "attributes", "methods"),
    *("example", "examples", "note", "notes", "see also", "references", "todo", "source"),
)
_GOOGLE_SECTION = re.compile(rf"(?P<name>{'|'.join((*_PARAMETERS, *_OTHERS))}):\s*$", re.IGNORECASE)
_UNDERLINE = re.compile(r"(-{3,}|={3,})\s*$")
# "name: text", "name (type): text", "*names: text"; a type may hold brackets of its own.
_GOOGLE_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?:\(.*?\))?\s*:(?:\s+(?P<text>.*)|$)")
_NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_FIELD = re.compile(r":(?P<kind>\w+)(?:\s+(?P<said>[^:]*))?:\s*(?P<text>.*)$")
_FIELD_PARAMETERS = ("param", "parameter", "arg", "argument", "key", "keyword")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doc:
    """A docstring, read.

    Attributes:
        description: What stands before the first section, paragraphs kept; "" where there is nothing.
        parameters: What is said of each parameter, on one line; those of which nothing is said are missing.
    """

    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Doc:
    r"""What a docstring says.

    >>> read_docstring("Add.\n\nArgs:\n    a: One number.\n    b: Another.")
    Doc(description='Add.', parameters={'a': 'One number.', 'b': 'Another.'})
    """
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    found: dict[str, str] = {}
    is_described = False  # what follows a section is not description any more
    for title, body in _sections(lines):
        if title == ":":
            found |= _fields(body)
        elif title in _PARAMETERS:
            found |= _entries(body, is_numpy=bool(body) and bool(_UNDERLINE.match(body[0])))
        elif not title and not is_described:
            description += body
        is_described = is_described or bool(title)
    return Doc(description="\n".join(description).strip(), parameters=found)


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Title and lines of each section; "" for text outside of one, ":" for Sphinx's fields."""
    title, body = "", list[str]()
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        name = _title(line, following)
        if name is None and title not in ("", ":") and _is_outside(line, body):
            name = ""  # text at the margin ends a section of Google's
        if name is None or (name == ":" == title):
            body.append(line)
            continue
        yield title, body
        title, body = name, ([line] if name in ("", ":") else [])
    yield title, body


def _title(line: str, following: str) -> str | None:
    """The section a line begins, None where it begins none."""
    if line.startswith(":") and (found := _FIELD.match(line)):
        return ":" if found["kind"].lower() in (*_FIELD_PARAMETERS, *_OTHERS, "type", "rtype", "raise") else None
    if found := _GOOGLE_SECTION.match(line):
        return found["name"].lower()
    name = line.strip().lower()
    return name if _UNDERLINE.match(following) and name in (*_PARAMETERS, *_OTHERS) else None


def _is_outside(line: str, body: Sequence[str]) -> bool:
    is_numpy = bool(body) and bool(_UNDERLINE.match(body[0]))
    return bool(line.strip()) and not line[0].isspace() and not is_numpy and not _UNDERLINE.match(line)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    """``:param int name: text``, with lines that go on."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if begun := _FIELD.match(line):
            said = (begun["said"] or "").split()
            name = said[-1].lstrip("*") if said and begun["kind"].lower() in _FIELD_PARAMETERS else ""
            if name:
                found[name] = [begun["text"]]
        elif name:
            found[name].append(line)
    return _joined(found)


def _entries(lines: Sequence[str], *, is_numpy: bool) -> dict[str, str]:
    """Entries that begin at the section's own indent; deeper lines go on."""
    if is_numpy:
        lines = lines[1:]
    indent = min((_indent(line) for line in lines if line.strip()), default=0)
    entry = _NUMPY_ENTRY if is_numpy else _GOOGLE_ENTRY
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        begun = entry.match(line.strip()) if line.strip() and _indent(line) == indent else None
        if begun is None:
            for name in names:
                found[name].append(line)
            continue
        names = [name.strip().lstrip("*") for name in begun["names"].split(",")]
        for name in names:
            found[name] = [begun["text"] or ""] if not is_numpy else []
    return _joined(found)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(found: Mapping[str, Iterable[str]]) -> dict[str, str]:
    said = {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}
    return {name: text for name, text in said.items() if text}
