"""Values a user hands over become tools."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args, overload

from ..errors import ToolError
from ..strictness import strict as strict_form
from .definition import RunsOn, Tool
from .docstrings import read_docstring
from .names import checked_name
from .places import place_of
from .signatures import ModelSignature, doc_of, signature_of, underlying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

RUNS_ON: tuple[str, ...] = get_args(RunsOn)
_KINDS = "a function, a method, a pydantic model, a schema as dict"
Decorator: TypeAlias = "Callable[[Any], Tool]"


@overload
def tool(
    value: Any,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    read_only: bool = False,
    strict: bool | None = None,
    runs_on: RunsOn | None = None,
    timeout_s: float | None = None,
) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    read_only: bool = False,
    strict: bool | None = None,
    runs_on: RunsOn | None = None,
    timeout_s: float | None = None,
) -> Decorator: ...
def tool(
    value: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    read_only: bool = False,
    strict: bool | None = None,
    runs_on: RunsOn | None = None,
    timeout_s: float | None = None,
) -> Tool | Decorator:
    """Make a tool of a function, as a decorator with or without options.

    It hands nothing over: that is done with each ask, by ``--tool NAME`` or ``tools=``.

    Args:
        value: A function (sync or async), method, callable object, pydantic model, or schema as dict.
        name: What the model calls it; None: its own name.
        description: What it is for; None: as its docstring says.
        read_only: It changes nothing, so that it runs without being asked for.
        strict: Whether the server shall hold the model to the schema; None: where it can.
        runs_on: "thread" (sync functions), "main" thread, "loop" (the engine's, async functions), "kernel" (its own
            loop, needs ``allow_nested()``); None: as the function is, a thread or the engine's loop.
        timeout_s: Longest time of one call, in seconds; None: as the setting says.

    Raises:
        ToolError: It cannot be a tool.
    """
    names = sys._getframe(1).f_locals  # noqa: SLF001  # hints that are text may name what is defined beside the function

    def made(value: Any) -> Tool:
        one = _made(value, name=name, names=names, wanted=strict)
        if description is not None:
            one = replace(one, description=description)
        one = replace(one, is_read_only=read_only or one.is_read_only, timeout_s=_checked_time(timeout_s, one))
        return _placed(one, runs_on)

    return made if value is None else made(value)


def as_tool(value: Any, *, name: str | None = None) -> Tool:
    """What a user hands over, as a tool.

    Args:
        value: A tool; a function (sync or async), method, partial or callable object; a pydantic model, whose calls
            give back the validated object; or a schema as dict, whose calls are handed back to the user.
        name: What the model calls it; None: its own name.

    Raises:
        ToolError: It cannot be a tool, or its name is not allowed.
    """
    one = _made(value, name=name, names={}, wanted=None)
    if one.is_method:
        raise ToolError(f"{one.name} is a method of a class.", hint=f"hand over an object's: thing.{one.name}")
    return one


def toolset(values: Iterable[Any]) -> tuple[Tool, ...]:
    """Tools in order.

    Raises:
        ToolError: A value cannot be a tool, or two have the same name.
    """
    tools = tuple(as_tool(value) for value in values)
    seen: dict[str, Tool] = {}
    for one in tools:
        if one.name in seen:
            raise ToolError(f"Two tools are called {one.name}.", hint="llm_magic.tool(name=…) gives one another name")
        seen[one.name] = one
    return tools


def _made(value: Any, *, name: str | None, names: Mapping[str, Any], wanted: bool | None) -> Tool:
    """A tool of any value, in strict form where that is wanted, or loses nothing; a tool keeps the form it has."""
    if isinstance(value, MethodType) and isinstance(value.__func__, Tool):  # @classmethod over @tool
        inner = value.__func__
        value = inner if inner.function is None else inner.bound(MethodType(inner.function, value.__self__))
    if isinstance(value, Tool):
        one = value if name is None else replace(value, name=checked_name(name))
        return one if wanted is None else _strict(one, wanted=wanted)
    if isinstance(value, dict):
        return _from_schema(value, name)
    if _is_model(value):
        return _strict(_from_model(value, name), wanted=wanted)
    if isinstance(value, staticmethod | classmethod) or (callable(value) and not isinstance(value, type)):
        return _strict(_from_function(value, name, names), wanted=wanted)
    raise ToolError(f"A value of type {type(value).__name__} cannot be a tool.", hint=f"hand over {_KINDS}")


def _from_function(value: Any, name: str | None, names: Mapping[str, Any]) -> Tool:
    if inspect.isasyncgenfunction(inspect.unwrap(underlying(value))):
        raise ToolError(f"{_name_of(value)} is an async generator.", hint="return a list of what it yields")
    is_class_method = isinstance(value, classmethod)
    function = value.__func__ if isinstance(value, staticmethod) else value
    inner = value.__func__ if is_class_method else function
    called = checked_name(_name_of(inner) if name is None else name)
    is_method = is_class_method or (not isinstance(value, staticmethod) and _is_in_class(inner))
    signature = signature_of(inner, name=called, skips_first=is_method, names=names)
    return Tool(
        name=called,
        description=read_docstring(doc_of(inner)).description,
        parameters=signature.to_schema(),
        runs_on="loop" if _is_async(inner) else "thread",
        where=place_of(inner),
        function=function,
        signature=signature,
        is_method=is_method,
    )


def _from_model(model: type[BaseModel], name: str | None) -> Tool:
    called = checked_name(model.__name__ if name is None else name)
    signature = ModelSignature(model=model)
    return Tool(
        name=called,
        description=read_docstring(model.__dict__.get("__doc__")).description,
        parameters=signature.to_schema(),
        # It only reads what it is given: nothing of the user's runs but what the model says of itself.
        is_read_only=True,
        function=model,
        signature=signature,
    )


def _from_schema(value: Mapping[str, Any], name: str | None) -> Tool:
    inner = value.get("function", value)
    if not isinstance(inner, dict) or not isinstance(inner.get("parameters", {}), dict):
        raise ToolError("A dict is not the schema of a tool.", hint="{'name': …, 'description': …, 'parameters': {…}}")
    if "name" not in inner and name is None:
        raise ToolError("The schema of a tool has no name.", hint="{'name': …, 'description': …, 'parameters': {…}}")
    return Tool(
        name=checked_name(inner.get("name") if name is None else name),
        description=str(inner.get("description") or ""),
        parameters=inner.get("parameters", {}),
        is_strict=bool(inner.get("strict")),
    )


def _strict(one: Tool, *, wanted: bool | None) -> Tool:
    """The tool in strict form: where it loses nothing by it, always or never where that is wanted.

    In strict form a model has to send every argument. One with a default stays as it is, unless told otherwise: what
    may be left out is then sent as null.
    """
    if one.signature is None or not one.parameters:
        return one
    plain = one.signature.to_schema()
    if wanted is False:
        return replace(one, parameters=plain, is_strict=False)
    is_whole = set(plain.get("properties", ())) == set(plain.get("required", ()))
    schema = strict_form(plain) if is_whole or wanted else None
    if schema is None and wanted:
        raise ToolError(
            f"{one.name} cannot be strict: servers have no strict form for its parameters.",
            hint="parameters of plain types, Literal, Enum, and lists or models of them",
        )
    return one if schema is None else replace(one, parameters=schema, is_strict=True)


def _placed(one: Tool, runs_on: RunsOn | None) -> Tool:
    if runs_on is None:
        return one
    if runs_on not in RUNS_ON:
        raise ToolError(f"Unknown place {runs_on!r} to run {one.name} on.", hint="one of " + ", ".join(RUNS_ON))
    is_async = one.function is not None and _is_async(one.function)
    if is_async != (runs_on in ("loop", "kernel")):
        fitting = "loop, kernel" if is_async else "thread, main"
        kind = "an async" if is_async else "a sync"
        raise ToolError(f"{one.name} is {kind} function and cannot run on {runs_on!r}.", hint=f"one of {fitting}")
    return replace(one, runs_on=runs_on)


def _checked_time(timeout_s: float | None, one: Tool) -> float | None:
    if timeout_s is not None and not timeout_s > 0:
        raise ToolError(f"timeout_s of {one.name} is {timeout_s}.", hint="seconds, more than 0")
    return one.timeout_s if timeout_s is None else timeout_s


def _name_of(function: Any) -> object:
    function = underlying(function)
    return getattr(function, "__name__", None) or type(function).__name__


def _is_in_class(function: Any) -> bool:
    """A function that stands in the body of a class and takes the object first."""
    if not inspect.isfunction(function):
        return False
    inside = function.__qualname__.rpartition(".")[0]
    first = inspect.unwrap(function).__code__.co_varnames[:1]
    return bool(inside) and not inside.endswith("<locals>") and first in (("self",), ("cls",))


def _is_async(function: Any) -> bool:
    function = underlying(function)
    if isinstance(function, classmethod):
        function = function.__func__
    return inspect.iscoroutinefunction(inspect.unwrap(function)) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  # what it is, not whether
    )


def _is_model(value: Any) -> bool:
    """A pydantic model; without importing pydantic, since a class of it cannot exist before that."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return isinstance(value, type) and base is not None and issubclass(value, cast("type", base))
