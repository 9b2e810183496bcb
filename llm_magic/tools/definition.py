"""What a tool is: a value that is still the function it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MethodType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from ..errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RunsOn: TypeAlias = Literal["thread", "main", "loop", "kernel"]


class Signature(Protocol):
    """How a JSON object becomes a call."""

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them.

        Raises:
            pydantic.ValidationError: They do not fit.
        """

    def to_schema(self) -> dict[str, Any]:
        """JSON schema of the arguments; empty where there are none."""

    def apply(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Call the function with what :meth:`check` gave."""


class Identity:
    """What an "always" is remembered by: the very function, for a method also the very object it is bound to.

    A function that is defined anew is another one, as is one that merely compares equal.
    """

    __slots__ = ("_key", "_objects")

    def __init__(self, function: object) -> None:
        owner = getattr(function, "__self__", None)
        inner = getattr(function, "__func__", None)
        if inner is not None:
            self._objects: tuple[object, ...] = (inner, owner)
        elif owner is not None and not isinstance(function, type):  # a built-in method: made anew with each access
            self._objects = (owner, type(owner).__dict__.get(getattr(function, "__name__", ""), function))
        else:
            self._objects = (function,)
        self._key = tuple(map(id, self._objects))  # the objects are held, so that no other gets their ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something a model may ask to have called. Calling it calls the function.

    Attributes:
        name: What the model calls it: letters, digits, "_" and "-", at most 64.
        description: What it is for, in words for the model; "" where nothing is said.
        parameters: JSON schema of its arguments, an object; empty where it takes none. Not to be changed.
        is_strict: The server is asked to hold the model to the schema; the schema is of that form.
        is_read_only: It changes nothing, so that it may run without being asked for.
        runs_on: Where it runs: a thread of its own, the main thread, the engine's loop, the kernel's own loop.
        timeout_s: Longest time of one call, in seconds; None: as the setting says.
        where: Where it is defined ("cell 3, line 4", "statistics.py, line 20"); "" where that is unknown.
        function: What is called. None: it is only a schema, and its calls are handed back to the user.
        signature: How arguments are checked and handed to the function; None without a function.
        is_method: It was made in the body of a class: it runs once it is had from an object.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_strict: bool = False
    is_read_only: bool = False
    runs_on: RunsOn = "thread"
    timeout_s: float | None = None
    where: str = ""
    function: Callable[..., Any] | None = field(default=None, repr=False)
    signature: Signature | None = field(default=None, repr=False, compare=False)
    is_method: bool = field(default=False, repr=False)

    @property
    def identity(self) -> Identity:
        """The object by which an "always" is remembered."""
        return Identity(self if self.function is None else self.function)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function: ``inspect.signature()`` and ``help()`` look through the tool."""
        if self.function is None:
            raise AttributeError("__wrapped__")
        return self.function

    def to_openai(self) -> dict[str, Any]:
        """The tool in the protocol's own form: only what there is to say."""
        function: dict[str, Any] = {"name": self.name}
        if self.description:
            function["description"] = self.description
        if self.parameters:
            function["parameters"] = self.parameters
        if self.is_strict:
            function["strict"] = True
        return {"type": "function", "function": function}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function.

        Raises:
            ToolError: There is none.
        """
        if self.function is None:
            raise ToolError(f"The tool {self.name} is only a schema.", hint="there is no function to call")
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool:
        """Had from an object, a tool made in a class's body is bound to it, as a method is."""
        if not self.is_method or self.function is None:
            return self
        if isinstance(self.function, classmethod):
            return self.bound(self.function.__get__(instance, owner))
        return self if instance is None else self.bound(MethodType(self.function, instance))

    def bound(self, function: Callable[..., Any]) -> Tool:
        """The tool with its function bound to an object."""
        return replace(self, function=function, is_method=False)

    def __hash__(self) -> int:
        return hash((self.name, self.identity))
