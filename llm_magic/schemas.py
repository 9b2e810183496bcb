"""Types that are asked for: the schema of a type, its form on the wire, and its values out of a model's text.

Comes in: whatever a user may name as a type. Goes out: a :class:`Schema`, which says what to send and reads what comes.
Who asks, shows and repairs is elsewhere; pydantic is in ``fitting.py``, OpenAI's strict form in ``strictness.py``.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ConfigurationError, ContentError, SchemaError
from .fitting import adapter_of, called, check_json_schema, checked, checked_by, json_schema
from .jsontext import brief, values_in
from .strictness import referred, strict

_KINDS = "a pydantic model, dataclass, TypedDict, list[Model], Enum, Literal, plain type or JSON schema"
_NOT_IN_NAMES = re.compile(r"[^\w-]+", re.ASCII)
_LONGEST_NAME = 48
# What a wrapped answer's name begins with: by that it is known again when all that is left is what was sent.
_WRAPPERS: Mapping[str, str] = {"items": "items_of_", "value": "value_of_"}
_SCHEMA_WORDS = frozenset(("type", "properties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"))
_FORMATS = frozenset(("json_schema", "json_object", "text"))
_SIMPLE = frozenset(("string", "integer", "number", "boolean"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A type that is asked for.

    Attributes:
        name: What it is called on the wire: letters, digits, "_" and "-", at most 64.
        json: The JSON schema that is sent: always an object's.
        is_strict: ``json`` is the strict form.
        key: The property of ``json`` that holds the value; None where the value is the object itself.
        kind: The type; None where it was given as a JSON schema.
        own: The JSON schema of the value itself.
        is_rows: The value is a list of objects of one type of the user's.
        columns: The fields of the object or the rows, and what JSON they are: string, integer, number, boolean,
            date-time, "" for all else; empty where the value has no fields.
    """

    name: str
    json: Mapping[str, Any]
    is_strict: bool
    key: str | None = None
    kind: Any = None
    own: Mapping[str, Any] = field(default_factory=dict)
    is_rows: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_free(self) -> bool:
        """Any object fits: the schema says no more than that it is one."""
        says_more = self.own.keys() - {"type", "additionalProperties", "title", "description"}
        return self.key is None and not says_more and self.own.get("additionalProperties", True) is True

    @property
    def label(self) -> str:
        """What it is called in a line for the user."""
        return self.name if self.kind is None else called(self.kind)

    def parse(self, text: str) -> Any:
        """The value in a model's text, with or without words or a fence around its JSON.

        Raises:
            SchemaError: There is none that fits; its problems are those of the longest JSON there is.
        """
        failed = SchemaError(
            "The answer is not JSON.", problems=["this is not JSON" if text.strip() else "there is no text"]
        )
        for number, plain in enumerate(_candidates(text, self.key)):
            try:
                return self.value(plain)
            except SchemaError as exc:
                failed = exc if not number else failed
        raise failed

    def value(self, plain: Any) -> Any:
        """The value out of its JSON, as Python reads that.

        Raises:
            SchemaError: It does not fit.
        """
        check, kind = (checked_by, self.own) if self.kind is None else (checked, self.kind)
        return check(kind, plain, at=self.key or "")

    def plain(self, value: Any) -> Any:
        """The inverse of :meth:`value`: JSON, as Python reads it."""
        return value if self.kind is None else adapter_of(self.kind).dump_python(value, mode="json", by_alias=True)

    def rows(self, value: Any) -> list[dict[str, Any]]:
        """The rows of a table: the fields of each object, or of the one, by name; nested ones as dicts."""
        plain = value if self.kind is None else adapter_of(self.kind).dump_python(value)
        return [dict(row) for row in (plain if isinstance(plain, list) else [plain])]

    def to_response_format(self) -> dict[str, Any]:
        """The request parameter that asks for it."""
        made = {"name": self.name, "schema": copy.deepcopy(dict(self.json)), "strict": self.is_strict}
        return {"type": "json_schema", "json_schema": made}


def schema_of(value: Any) -> Schema:
    """What a user names as a type, as a :class:`Schema`.

    Raises:
        ConfigurationError: It is none.
    """
    if isinstance(value, Schema):
        return value
    if isinstance(value, Mapping):
        return _made(_given(value), kind=None)
    if value is None or isinstance(value, str) or inspect.isroutine(value):
        raise ConfigurationError(f"{brief(value)} is not a type.", hint=f"a schema is {_KINDS}")
    # What a column is called is the field's name; on the wire it may have another.
    return _made(json_schema(value), kind=value, fields=json_schema(value, by_alias=False))


def schema_among(options: dict[str, Any]) -> Schema | None:
    """The type that keyword options name as ``schema`` or ``json_output``, which are taken out; None for none.

    Raises:
        ConfigurationError: They name two, or what they name is no type.
    """
    schema, json_output = options.pop("schema", None), options.pop("json_output", None)
    if not isinstance(options.get("response_format"), Mapping | None):
        # What other wrappers and the SDK's parse() take there.
        raise ConfigurationError("response_format is the protocol's own form, no type.", hint="a type goes to schema=")
    if isinstance(json_output, bool):
        json_output = dict if json_output else None
    if schema is not None and json_output is not None:
        raise ConfigurationError("The ask has a schema and a json_output.", hint="leave one of them out")
    wanted = json_output if schema is None else schema
    return None if wanted is None else schema_of(wanted)


def plain_value(text: str, response_format: Any) -> Any:
    """The JSON in an answer, out of the object it was wrapped in if it was asked for by a :class:`Schema`.

    Raises:
        ContentError: There is none.
    """
    found = _candidates(text, wrapper_of(response_format))
    if not found:
        raise ContentError("The answer is not JSON.", hint="its text is in .text")
    return found[0]


def _candidates(text: str, key: str | None) -> list[Any]:
    found = [unwrapped(value, key) for value in values_in(text)]
    # Where nothing but words asked for JSON, a word may come without its quotes.
    return found or ([text.strip()] if key == "value" and text.strip() else [])


def unwrapped(value: Any, key: str | None) -> Any:
    """The value out of the object around it, where there is one."""
    return value[key] if key is not None and isinstance(value, Mapping) and key in value else value


def wrapper_of(response_format: Any) -> str | None:
    """Which property holds the value in an answer that was asked for by :meth:`Schema.to_response_format`, if any."""
    match response_format:
        case {"type": "json_schema", "json_schema": {"name": str(name)}}:
            return next((key for key, prefix in _WRAPPERS.items() if name.startswith(prefix)), None)
        case _:
            return None


def _given(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema of the user's, as plain JSON of our own."""
    if not _SCHEMA_WORDS & schema.keys() or str(schema.get("type")) in _FORMATS:
        hint = "a schema has a type; what servers take as response_format is a parameter of its own"
        raise ConfigurationError("The mapping is not a JSON schema.", hint=hint)
    try:
        own: dict[str, Any] = json.loads(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as exc:
        raise ConfigurationError(f"The JSON schema is not JSON: {exc}.", hint="write it in plain values") from exc
    check_json_schema(own)
    return own


def _made(own: dict[str, Any], *, kind: Any, fields: dict[str, Any] | None = None) -> Schema:
    try:
        root, rows = _root_and_rows(own)
        columns = _columns(fields or own)
    except KeyError as exc:
        raise ConfigurationError(f"The schema refers to {exc}, which is not in it.", hint="put it into $defs") from exc
    key = {"object": None, "array": "items"}.get(str(root.get("type")), "value")
    wire = own if key is None else _wrapped(own, key)
    strictly = strict(wire)
    title = rows.get("title") or root.get("title") or ("answer" if kind is None else called(kind))
    return Schema(
        name=_wire_name(str(title), key),
        json=wire if strictly is None else strictly,
        is_strict=strictly is not None,
        key=key,
        kind=kind,
        own=own,
        is_rows=kind is not None and bool(rows.get("properties")),
        columns=columns,
    )


def _root_and_rows(own: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What a schema says of the value as a whole, and of the items where that is a list; references followed."""
    defs = _defs(own)
    root = referred(own, defs)
    items = root.get("items") if root.get("type") == "array" else None
    return root, referred(items, defs) if isinstance(items, Mapping) else {}


def _columns(own: Mapping[str, Any]) -> dict[str, str]:
    root, rows = _root_and_rows(own)
    return {name: _json_kind(one, _defs(own)) for name, one in (rows or root).get("properties", {}).items()}


def _defs(own: Mapping[str, Any]) -> dict[str, Any]:
    return {**own.get("definitions", {}), **own.get("$defs", {})}


def _wrapped(own: Mapping[str, Any], key: str) -> dict[str, Any]:
    defs = {name: own[name] for name in ("$defs", "definitions") if name in own}
    inner = {name: value for name, value in own.items() if name not in defs}
    return {"type": "object", "properties": {key: inner}, "required": [key], "additionalProperties": False, **defs}


def _wire_name(title: str, key: str | None) -> str:
    plain = _NOT_IN_NAMES.sub("_", title).strip("_")[:_LONGEST_NAME] or "answer"
    if key is None and plain.startswith(tuple(_WRAPPERS.values())):
        # It is not wrapped, and must not be taken for it.
        return f"the_{plain}"
    return _WRAPPERS.get(key or "", "") + plain


def _json_kind(schema: Any, defs: Mapping[str, Any]) -> str:
    """What JSON a field is, null aside; see ``Schema.columns``."""
    if not isinstance(schema, Mapping):
        return ""
    schema = referred(schema, defs)
    branches = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(branches) == 1:
        return _json_kind(branches[0], defs)
    kind = schema.get("type")
    if kind == "string" and "format" in schema:
        return "date-time" if schema["format"] == "date-time" else ""
    return kind if isinstance(kind, str) and kind in _SIMPLE else ""
