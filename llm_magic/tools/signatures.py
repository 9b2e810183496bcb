"""A function's signature as a JSON schema, and a JSON object as arguments of the function.

pydantic reads the hints, makes the schema and checks what a model sends, all through ``fitting.py``; a signature as a
pydantic model is made here.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, SchemaError, ToolError, did_you_mean
from ..fitting import called, checked, json_schema, takeable
from .docstrings import read_docstring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

_EMPTY = inspect.Parameter.empty
_MANY = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_MAX_REASON = 120
_TYPES_HINT = "take text, numbers, lists, dicts, or pydantic models and dataclasses of them"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSignature:
    """How a JSON object becomes a call of a function.

    Attributes:
        model: pydantic's model of the arguments; its fields are numbered, since a parameter may have any name.
        parameters: The parameters in order.
    """

    model: type[BaseModel]
    parameters: tuple[inspect.Parameter, ...]

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`~llm_magic.tools.definition.Signature`."""
        names = [parameter.name for parameter in self.parameters]
        takes = "it takes " + ", ".join(names) if names else "it takes none"
        wrong = [
            f"{name[:_MAX_REASON]}: no such argument, {did_you_mean(name, names, otherwise=takes)}"
            for name in arguments
            if name not in names
        ]
        try:
            made = checked(self.model, {name: value for name, value in arguments.items() if name in names})
        except SchemaError as exc:
            wrong += exc.problems
        if wrong:
            raise SchemaError("The arguments do not fit.", problems=wrong)
        return {
            name: getattr(made, _field(number))
            for number, name in enumerate(names)
            if _field(number) in made.model_fields_set
        }

    def apply(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """See :class:`~llm_magic.tools.definition.Signature`."""
        rest = dict(arguments)
        ahead = (one for one in self.parameters if one.kind is inspect.Parameter.POSITIONAL_ONLY)
        return function(*[rest.pop(one.name, one.default) for one in ahead], **rest)

    def to_schema(self) -> dict[str, Any]:
        """See :class:`~llm_magic.tools.definition.Signature`."""
        return plain_schema(self.model) if self.parameters else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSignature:
    """How a JSON object becomes an object of a pydantic model, which stands for the function.

    Attributes:
        model: The model.
    """

    model: type[BaseModel]

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`~llm_magic.tools.definition.Signature`."""
        checked(self.model, dict(arguments))
        return dict(arguments)

    def apply(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """See :class:`~llm_magic.tools.definition.Signature`."""
        return checked(function, dict(arguments))

    def to_schema(self) -> dict[str, Any]:
        """See :class:`~llm_magic.tools.definition.Signature`; what the model is for is said by the tool."""
        return {key: value for key, value in plain_schema(self.model).items() if key != "description"}


def signature_of(
    function: Callable[..., Any], *, name: str, skips_first: bool = False, names: Mapping[str, Any] | None = None
) -> FunctionSignature:
    """The signature of a function, from its hints and its docstring.

    Args:
        function: Any callable with a signature.
        name: The tool's name, for errors.
        skips_first: The first parameter is the object a method is bound to.
        names: Names of the place where the function was defined, for hints that are text.

    Raises:
        ToolError: It has no signature, takes ``*args`` or ``**kwargs``, or a hint cannot be a JSON schema.
    """
    try:
        parameters = tuple(inspect.signature(function).parameters.values())[int(skips_first) :]
    except (TypeError, ValueError) as exc:
        raise ToolError(f"{name} does not tell its parameters.", hint="hand over a function that calls it") from exc
    for one in parameters:
        if one.kind in _MANY:
            raise ToolError(
                f"{name} takes {_MANY[one.kind]}{one.name}, which no schema can tell.", hint="name each parameter"
            )
    said = read_docstring(doc_of(function)).parameters
    hints = _hints(function, name=name, names=names or {})
    return FunctionSignature(model=_model(name, parameters, hints, said), parameters=parameters)


def doc_of(function: Any) -> str:
    """The docstring of a callable, past wrappers; of an object that is called, its method's or else its class's."""
    function = underlying(function)
    if inspect.isroutine(function):
        return inspect.getdoc(function) or ""
    return inspect.getdoc(type(function).__call__) or inspect.getdoc(type(function)) or ""


def underlying(function: Any) -> Any:
    """What a ``functools.partial`` calls; any other callable itself."""
    while isinstance(function, partial):
        function = function.func
    return function


def plain_schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type, without the titles pydantic makes of names.

    Raises:
        ConfigurationError: JSON cannot hold it.
    """
    made: dict[str, Any] = _untitled(json_schema(kind))
    return made


def _untitled(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _untitled_below(key, value) for key, value in schema.items() if key != "title"}


def _untitled_below(key: str, value: Any) -> Any:
    if key in ("properties", "$defs"):  # names of the user's, of which "title" may be one
        return {name: _untitled(one) for name, one in value.items()}
    return value if key in ("default", "enum", "const", "examples") else _untitled(value)


def _hints(function: Any, *, name: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """The type hints; those that are text are evaluated where the function stands."""
    target = inspect.unwrap(underlying(function))
    if not inspect.isroutine(target):
        target = type(target).__call__
    target = inspect.unwrap(getattr(target, "__func__", target))
    try:
        return typing.get_type_hints(target, localns={**names, **_enclosed(target)}, include_extras=True)
    except NameError as exc:
        raise ToolError(
            f"A type hint of {name} names {exc.name}, which is not defined.", hint="define it before the function"
        ) from exc
    except Exception as exc:  # a hint that is text is any expression
        reason = f"{type(exc).__name__}: {exc}"[:_MAX_REASON]
        raise ToolError(f"A type hint of {name} cannot be read: {reason}.") from exc


def _enclosed(function: Any) -> dict[str, Any]:
    """The names a function has from the functions around it."""
    return dict(inspect.getclosurevars(function).nonlocals) if inspect.isfunction(function) else {}


def _model(
    name: str, parameters: tuple[inspect.Parameter, ...], hints: Mapping[str, Any], said: Mapping[str, str]
) -> type[BaseModel]:
    from pydantic import create_model
    from pydantic.fields import FieldInfo

    fields: dict[str, Any] = {}
    for number, one in enumerate(parameters):
        if isinstance(one.default, FieldInfo):  # the function itself would be called with it
            raise ToolError(
                f"The default of {one.name} of {name} is a Field of pydantic's.",
                hint=f"write {one.name}: Annotated[type, Field(…)] = default",
            )
        hint = _takeable(hints.get(one.name, Any))
        # What stands beside the type is nearer to the parameter than the docstring.
        words = None if any(getattr(note, "description", None) for note in _notes(hint)) else said.get(one.name)
        try:
            json_schema(hint)
        except ConfigurationError as exc:
            raise ToolError(
                f"The parameter {one.name} of {name} is of type {called(hint)}, which JSON cannot hold.",
                hint=_TYPES_HINT,
            ) from exc
        fields[_field(number)] = (hint, _info(one, words))
    return create_model(name, **fields)


def _field(number: int) -> str:
    return f"p{number}"


def _info(parameter: inspect.Parameter, description: str | None) -> Any:
    from pydantic import Field

    told: dict[str, Any] = {"alias": parameter.name}
    if description:
        told["description"] = description
    default = parameter.default
    if default is _EMPTY:
        return Field(**told)
    # A default that JSON cannot hold is still one: the argument may be left out, and the schema does not tell it.
    return Field(default=default, **told) if _is_json(default) else Field(default_factory=lambda: default, **told)


def _takeable(hint: Any) -> Any:
    """A hint as pydantic takes it; text in ``Annotated`` is the parameter's description."""
    from pydantic import Field

    if not _notes(hint):
        return takeable(hint)
    read = tuple(Field(description=note) if isinstance(note, str) else note for note in _notes(hint))
    return typing.Annotated[(takeable(typing.get_args(hint)[0]), *read)]


def _notes(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()


def _is_json(value: Any) -> bool:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        to_jsonable_python(value)
    except (PydanticSerializationError, ValueError):
        return False
    return True
