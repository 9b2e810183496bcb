"""Signatures as JSON schemas, and JSON back as arguments."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid  # noqa: TC003  # hints are read
from collections.abc import Callable, Sequence  # noqa: TC003  # hints are read
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from llm_magic.content import ToolCall
from llm_magic.errors import ToolError
from llm_magic.tools import Bound, as_tool, checked, tool


class Color(enum.Enum):
    """A color."""

    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    """Somebody."""

    name: str
    title: str | None = None


@dataclass
class Point:
    """A place."""

    x: float
    y: float = 0.0


class Row(TypedDict):
    """A row."""

    city: str


class Pair(NamedTuple):
    """Two."""

    first: int
    second: int


def many(  # type: ignore[no-untyped-def]  # noqa: PLR0917  # as users write it
    text: str,
    number: float,
    flag: bool,  # noqa: FBT001  # a signature as users write them
    maybe: Optional[int],  # noqa: UP045  # as users write it too
    either: int | str,
    kind: Literal["a", "b"],
    color: Color,
    table: dict[str, int],
    items: list[list[int]],
    unique: set[int],
    pair: tuple[int, str],
    anyone: Sequence[Person],
    point: Point,
    row: Row,
    day: dt.date,
    at: dt.datetime,
    key: uuid.UUID,
    path: Path,
    anything: Any,
    bare,
) -> None:
    """Take many things."""


SENT = {
    "text": "t",
    "number": 1,
    "flag": True,
    "maybe": None,
    "either": "x",
    "kind": "a",
    "color": "red",
    "table": {"a": 1},
    "items": [[1]],
    "unique": [1, 1],
    "pair": [1, "b"],
    "anyone": [{"name": "Ada"}],
    "point": {"x": 1},
    "row": {"city": "Bern"},
    "day": "2026-11-21",
    "at": "2026-11-21T10:00:00Z",
    "key": "12345678-1234-5678-9234-567812345678",
    "path": "a/b",
    "anything": [1, None],
    "bare": {"k": 1},
}


def bound(value: Any, /, **arguments: Any) -> dict[str, Any]:
    """The arguments a function would be called with."""
    made = as_tool(value)
    found = checked(made, ToolCall(id="c", name=made.name, arguments=json.dumps(arguments)))
    assert isinstance(found, Bound), found
    return dict(found.arguments)


def properties(function: Callable[..., Any]) -> Any:
    """The schema's properties."""
    return tool(function, strict=False).parameters["properties"]


@pytest.mark.capability("D2")
def test_types_become_their_schemas() -> None:
    """Plain types, unions, Literal, Enum, dict, lists, models, dataclasses, TypedDict, dates; none is free."""
    found = properties(many)

    assert [found[name].get("type") for name in ("text", "number", "flag", "table", "items")] == [
        "string",
        "number",
        "boolean",
        "object",
        "array",
    ]
    assert found["maybe"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert found["either"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert found["kind"] == {"type": "string", "enum": ["a", "b"]}
    assert found["items"]["items"] == {"type": "array", "items": {"type": "integer"}}
    assert found["unique"] == {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    assert found["anyone"] == {"type": "array", "items": {"$ref": "#/$defs/Person"}}
    assert [found[name].get("format") for name in ("day", "at", "key", "path")] == ["date", "date-time", "uuid", "path"]
    assert found["anything"] == found["bare"] == {}
    made = as_tool(many)
    assert made.parameters["$defs"]["Color"] == {"type": "string", "enum": ["red", "blue"], "description": "A color."}
    assert set(made.parameters["$defs"]["Person"]["properties"]) == {"name", "title"}
    assert made.parameters["required"] == list(SENT)


@pytest.mark.capability("D2", "D10")
def test_arguments_come_back_as_the_hints_say() -> None:
    """JSON becomes enums, sets, objects, dates."""
    found = bound(many, **SENT)

    assert found["color"] is Color.RED
    assert (found["unique"], found["pair"]) == ({1}, (1, "b"))
    assert found["anyone"] == [Person(name="Ada")]
    assert (found["point"], found["row"]) == (Point(1.0), {"city": "Bern"})
    assert (found["day"], found["key"].version) == (dt.date(2026, 11, 21), 5)
    assert found["at"] == dt.datetime(2026, 11, 21, 10, tzinfo=dt.UTC)
    assert found["path"] == Path("a/b")
    assert (found["anything"], found["bare"], found["maybe"]) == ([1, None], {"k": 1}, None)


@pytest.mark.capability("D3")
def test_defaults_that_are_false_are_kept() -> None:
    """0, False, "" and empty lists are defaults like any other, and such parameters are not required."""

    def f(a: int, b: int = 0, *, c: bool = False, d: str = "", e: list[int] = [], f: int | None = None) -> None:  # noqa: B006
        """F."""

    found = properties(f)

    assert [found[name].get("default", "none") for name in "abcdef"] == ["none", 0, False, "", [], None]
    assert as_tool(f).parameters["required"] == ["a"]
    assert bound(f, a=1) == {"a": 1}


@pytest.mark.capability("D3")
def test_parameters_are_described() -> None:
    """By docstring, by text in Annotated, by pydantic's Field; the nearest to the parameter counts."""

    def f(a: int, b: Annotated[int, "The b."], c: Annotated[int, Field(description="The c.", ge=0)], d: int) -> None:
        """F.

        Args:
            a: The a.
            b: Not this.
            c: Not this.
            d (int): The d.
        """

    assert {name: one.get("description") for name, one in properties(f).items()} == {
        "a": "The a.",
        "b": "The b.",
        "c": "The c.",
        "d": "The d.",
    }
    assert properties(f)["c"]["minimum"] == 0


def test_a_default_json_cannot_hold_is_still_one() -> None:
    """The argument may be left out, the schema does not tell it."""

    def f(a: Any = print) -> None: ...

    assert properties(f) == {"a": {}}
    assert bound(f) == {}


def test_null_stands_for_left_out() -> None:
    """Where the type has no other use for it: models that must send something send null."""

    def f(a: int = 3, b: int | None = 3) -> None: ...

    assert bound(f, a=None, b=None) == {"b": None}
    assert bound(tool(strict=True)(f), a=None, b=1) == {"b": 1}


def test_parameters_may_have_any_name() -> None:
    """Also those that mean something to pydantic, to JSON schema, or begin with "_"."""

    def f(*, schema: int, copy: int, _x: int, model_config: int, title: int, json: int, self_: int) -> int:
        return schema + copy + _x + model_config + title + json + self_

    names = ["schema", "copy", "_x", "model_config", "title", "json", "self_"]

    assert list(properties(f)) == names
    assert bound(f, **dict.fromkeys(names, 1)) == dict.fromkeys(names, 1)


def test_positional_only_parameters_are_given_by_place() -> None:
    """With the defaults of those before them that were left out."""

    def f(a: int = 1, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, ...]:
        return (a, b, c, d)

    made = as_tool(f)
    assert made.signature is not None
    for arguments, result in (({}, (1, 2, 3, 4)), ({"b": 5}, (1, 5, 3, 4)), ({"a": 6, "d": 7}, (6, 2, 3, 7))):
        assert made.signature.apply(f, bound(f, **arguments)) == result


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda *args: None, "takes *args, which no schema can tell"),
        (lambda a, **more: None, "takes **more, which no schema can tell"),
    ],
)
def test_open_signatures_are_refused(function: Callable[..., Any], said: str) -> None:
    """One line names what no schema can tell."""
    with pytest.raises(ToolError) as caught:
        as_tool(function, name="f")

    assert said in caught.value.message


def test_types_json_cannot_hold_are_refused() -> None:
    """One line names parameter and type."""

    class Thing: ...

    def f(thing: Thing) -> None: ...

    def g(callback: Callable[[int], int]) -> None: ...

    with pytest.raises(ToolError, match="The parameter thing of f is of type Thing, which JSON cannot hold"):
        tool(f)
    with pytest.raises(ToolError, match="The parameter callback of g is of type"):
        tool(g)


def test_names_in_text_hints_are_found_where_the_function_stands() -> None:
    """Local types by the decorator, or by use in the function; else one line says which name is missing."""

    class Local(BaseModel):
        n: int

    @tool
    def f(value: Local) -> None: ...

    def uses(value: Local) -> Local:
        return Local(n=value.n)

    def alone(value: Elsewhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # that is the point

    assert bound(f, value={"n": 1}) == {"value": Local(n=1)}
    assert bound(uses, value={"n": 2}) == {"value": Local(n=2)}
    with pytest.raises(ToolError, match="A type hint of alone names Elsewhere, which is not defined"):
        as_tool(alone)


def test_hints_of_a_notebook_are_found_in_its_names() -> None:
    """Cells are executed in one dict, with or without the future import."""
    for start in ("", "from __future__ import annotations\n"):
        cells: dict[str, Any] = {}
        exec(f"{start}import enum\nclass Size(enum.Enum):\n    S = 's'\n", cells)
        exec(f"{start}def order(size: Size, n: int = 1) -> str:\n    return size.name", cells)

        assert bound(cells["order"], size="s") == {"size": cells["Size"].S}


def test_models_take_their_own_names() -> None:
    """A model's aliases are what the model sends; a nested error names its path."""

    class Order(BaseModel):
        order_id: int = Field(alias="orderId")

    made = as_tool(Order)
    call = ToolCall(id="c", name="Order", arguments='{"orderId": 3}')
    found = checked(made, call)

    assert list(made.parameters["properties"]) == ["orderId"]
    assert isinstance(found, Bound)
    assert made.signature is not None
    assert made.signature.apply(Order, found.arguments) == Order(orderId=3)


scalars = st.one_of(st.integers(), st.text(), st.booleans(), st.none())


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), scalars | st.lists(scalars)))
def test_whatever_comes_is_bound_or_told(arguments: dict[str, Any]) -> None:
    """Arguments of any kind either fit the hints or become a result that says why not."""

    def f(a: int, b: str = "", c: list[int] | None = None) -> None: ...

    found = checked(as_tool(f), ToolCall(id="c", name="f", arguments=json.dumps(arguments)))

    if isinstance(found, Bound):
        assert isinstance(found.arguments["a"], int)
        assert isinstance(found.arguments.get("b", ""), str)
    else:
        assert found.is_error
