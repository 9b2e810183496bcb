"""Whether a value fits a type, and the value of that type: pydantic for types, jsonschema for schemas given as JSON.

The one home of both; they are imported when the first type comes in. Comes in: JSON, as Python reads it. Goes out: a
value of the type, or one error with a short line for everything that does not fit.
"""

from __future__ import annotations

import copy
import functools
import json
import sys
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Path: TypeAlias = "Sequence[int | str]"
_LONGEST_PROBLEM = 200
_LONGEST_NAME = 60
_ADAPTERS = 64
_JSON_TYPES: Mapping[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Misfit:
    path: Path
    words: str
    is_null: bool = False


def json_schema(kind: Any, *, by_alias: bool = True) -> dict[str, Any]:
    """The JSON schema of a type, as pydantic makes it.

    Args:
        kind: Any annotation that pydantic takes, ``typing.TypedDict`` among them.
        by_alias: Fields have the names they have in JSON, not those they have in Python.

    Raises:
        ConfigurationError: It is no type, or one that JSON cannot hold.
    """
    from pydantic import PydanticUserError

    adapter = adapter_of(kind)
    try:
        made: dict[str, Any] = adapter.json_schema(by_alias=by_alias)
    except PydanticUserError as exc:
        says = f"{called(kind)} has no JSON schema: {_first_line(exc)}"
        raise ConfigurationError(says, hint="use types that JSON can hold") from exc
    return made


def problems(exc: Exception, *, at: str = "") -> list[str]:
    """What does not fit, one short line each, with its path.

    Args:
        exc: A ``pydantic.ValidationError`` or a ``SchemaError``; any other error is one line.
        at: Path of the value that was checked.
    """
    from pydantic import ValidationError

    if isinstance(exc, SchemaError):
        return list(exc.problems)
    if isinstance(exc, ValidationError):
        return _lines(_misfits(exc), at=at)
    return [_line(at, str(exc) or type(exc).__name__)]


def checked(kind: Any, value: Any, *, at: str = "") -> Any:
    """A value of a type, out of its JSON.

    null is taken for "left out" where the type has no other use for it: the strict form of a schema asks for that.

    Args:
        kind: As for :func:`json_schema`.
        value: JSON, as Python reads it. Not changed.
        at: Path of the value, for the problems.

    Raises:
        ConfigurationError: It is no type.
        SchemaError: The value does not fit.
    """
    from pydantic import ValidationError

    adapter = adapter_of(kind)

    def misfits(one: Any) -> tuple[Any, list[_Misfit]]:
        try:
            # As JSON: a model that is strict about Python's types still takes a date's text.
            return adapter.validate_json(json.dumps(one)), []
        except ValidationError as exc:
            return None, _misfits(exc)
        except Exception as exc:  # the user's own code, called by pydantic
            line = _line("", f"{type(exc).__name__}: {exc}")
            raise SchemaError(f"{called(kind)} could not check the value: {line}.", problems=[line]) from exc

    return _fitted(value, misfits, at=at)


def checked_by(schema: Mapping[str, Any], value: Any, *, at: str = "") -> Any:
    """JSON that fits a JSON schema; null is taken for "left out" as in :func:`checked`.

    Where jsonschema is not installed (it comes with Jupyter), only the kind of the value as a whole is checked.

    Raises:
        SchemaError: The value does not fit.
    """
    return _fitted(value, lambda one: (one, _schema_misfits(schema, one)), at=at)


def adapter_of(kind: Any) -> Any:
    """The adapter pydantic makes of a type.

    Raises:
        ConfigurationError: pydantic does not take it.
    """
    from pydantic import PydanticUserError

    try:
        return _adapter(kind) if _has_hash(kind) else _adapter.__wrapped__(kind)
    except (PydanticUserError, TypeError, NameError) as exc:
        says = f"{called(kind)} cannot be used as a type: {_first_line(exc)}"
        raise ConfigurationError(says, hint="docs/typed.md lists what can") from exc


def _has_hash(kind: Any) -> bool:
    try:
        hash(kind)
    except TypeError:
        # Annotated may hold a list.
        return False
    return True


def called(kind: Any) -> str:
    """What a type is called in a message: not longer than a line."""
    name = getattr(kind, "__name__", None) if isinstance(kind, type) and not typing.get_args(kind) else None
    text = name or repr(kind).replace("typing.", "").replace("__main__.", "")
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


@functools.lru_cache(maxsize=_ADAPTERS)
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(takeable(kind))


def takeable(kind: Any) -> Any:
    """A type with every ``typing.TypedDict`` in it made one that pydantic takes before Python 3.12."""
    if sys.version_info >= (3, 12):
        return kind
    if type(kind) is getattr(typing, "_TypedDictMeta", None):
        return _typed_dict(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(takeable(one) for one in arguments)]  # noqa: UP007  # "|" knows no tuple
    if origin not in (list, dict, tuple, set, frozenset) or not arguments:
        return kind
    return origin[tuple(one if one is ... else takeable(one) for one in arguments)]


def _typed_dict(kind: Any) -> Any:
    import typing_extensions

    hints = {name: takeable(hint) for name, hint in typing.get_type_hints(kind, include_extras=True).items()}
    wrapped = (typing.Required, typing.NotRequired)
    fields = {
        name: hint
        if typing.get_origin(hint) in wrapped or name in kind.__required_keys__
        else typing_extensions.NotRequired[hint]
        for name, hint in hints.items()
    }
    make: Any = typing_extensions.TypedDict
    made = make(kind.__name__, fields)
    made.__doc__ = kind.__doc__
    made.__module__ = kind.__module__
    return made


def _fitted(value: Any, misfits: Any, *, at: str) -> Any:
    """The value as it fits; once more without the nulls that do not."""
    fitted, found = misfits(value)
    if not found:
        return fitted
    left_out = copy.deepcopy(value)
    if _remove_nulls(left_out, [one.path for one in found if one.is_null]):
        fitted, others = misfits(left_out)
        if not others:
            return fitted
    lines = _lines(found, at=at)
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    raise SchemaError(f"The value does not fit: {lines[0]}{more}.", problems=lines)


def _remove_nulls(value: Any, paths: Iterable[Path]) -> bool:
    """Take the properties at these paths out where they are null; whether there were any."""
    is_changed = False
    for path in paths:
        holder, key, place = None, None, value
        for step in path:
            # What is no step of the value names a branch of a union.
            is_step = step in place if isinstance(place, dict) else isinstance(place, list) and isinstance(step, int)
            if is_step:
                holder, key, place = place, step, place[step]
        if isinstance(holder, dict) and place is None and key in holder:
            del holder[key]
            is_changed = True
    return is_changed


def _misfits(exc: Any) -> list[_Misfit]:
    found = exc.errors(include_url=False, include_context=False)
    return [_Misfit(path=one["loc"], words=one["msg"], is_null=one["input"] is None) for one in found]


def check_json_schema(schema: Mapping[str, Any]) -> None:
    """Check that a JSON schema is one, where jsonschema is installed.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        import jsonschema
    except ImportError:
        return
    try:
        jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as exc:
        raise ConfigurationError(f"That is no JSON schema: {_first_line(exc)}", hint="correct it") from exc


def _schema_misfits(schema: Mapping[str, Any], value: Any) -> list[_Misfit]:
    try:
        import jsonschema
        import referencing
    except ImportError:
        return _whole_misfits(schema, value)
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        # An empty registry: what the schema refers to in another place is not fetched.
        found = list(kind(schema, registry=referencing.Registry()).iter_errors(value))
    except referencing.exceptions.Unresolvable as exc:
        line = f"the schema refers to what is not in it: {exc.ref}"
        raise SchemaError(f"The value could not be checked: {line}.", problems=[line]) from exc
    return [_Misfit(path=list(one.absolute_path), words=one.message, is_null=one.instance is None) for one in found]


def _whole_misfits(schema: Mapping[str, Any], value: Any) -> list[_Misfit]:
    kind = _JSON_TYPES.get(str(schema.get("type")))
    return (
        []
        if kind is None or isinstance(value, kind)
        else [_Misfit(path=(), words=f"this is not of type {schema['type']!r}")]
    )


def _lines(found: Iterable[_Misfit], *, at: str) -> list[str]:
    return list(dict.fromkeys(_line(_shown(at, one.path), one.words) for one in found))


def _shown(at: str, path: Path) -> str:
    """A path as Python writes it: ``items[0].price``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return (at + "".join(steps)).removeprefix(".")


def _line(path: str, words: str) -> str:
    text = " ".join(words.split())
    text = text if len(text) <= _LONGEST_PROBLEM else f"{text[:_LONGEST_PROBLEM]}…"
    text = text.removesuffix(".")
    return f"{path}: {text}" if path else text


def _first_line(exc: Exception) -> str:
    """What an error says, without the advice that follows."""
    return _line("", (str(exc) or type(exc).__name__).partition("\n")[0].partition(". ")[0]) + "."
