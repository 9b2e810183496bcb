"""What a user hands over becomes a tool: functions of every kind, pydantic models, schemas."""

from __future__ import annotations

import functools
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
from pydantic import BaseModel, Field

import llm_magic
from llm_magic.errors import ToolError
from llm_magic.tools import Tool, as_tool, tool, toolset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def fetch(url: str) -> str:
    """Fetch a page."""
    return url


async def each() -> AsyncIterator[int]:
    yield 1


def with_field(a: int = Field(3)) -> int:
    return a


class Counter:
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    @tool
    def more(self, by: int) -> int:
        """Count on."""
        self.count += by
        return self.count

    @tool(read_only=True)
    async def now(self) -> int:
        return self.count

    @classmethod
    @tool
    def made(cls, start: int) -> str:
        return f"{cls.__name__} {start}"

    @tool
    @classmethod
    def also_made(cls, start: int) -> str:
        return f"{cls.__name__} {start}"

    @staticmethod
    @tool
    def twice(number: int) -> int:
        return 2 * number

    @tool
    @staticmethod
    def thrice(number: int) -> int:
        return 3 * number

    def plain(self, by: int) -> int:
        """Count and forget."""
        return self.count + by

    def __call__(self, by: int) -> int:
        """Count when called."""
        return self.count + by


class Invoice(BaseModel):
    """An invoice.

    Attributes:
        total: Not told twice.
    """

    total: float = Field(description="In francs.")
    title: str


SCHEMA = {"name": "look_up", "description": "Look up.", "parameters": {"type": "object", "properties": {"q": {}}}}


@pytest.mark.capability("D1")
def test_a_function_becomes_the_protocols_tool() -> None:
    """Name, description, parameters; nothing that is not there."""
    made = as_tool(add)

    assert made.to_openai() == {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "required": ["a", "b"],
                "additionalProperties": False,
            },
        },
    }
    assert made.where == f"test_tools_making.py, line {add.__code__.co_firstlineno}"


@pytest.mark.capability("D1")
def test_what_there_is_not_is_not_said() -> None:
    """A function without words and parameters is its name alone."""

    def tick() -> None: ...

    assert as_tool(tick).to_openai() == {"type": "function", "function": {"name": "tick"}}


def test_a_decorated_function_stays_a_function() -> None:
    """It is called as before, by Python and by name; its signature and place are its own."""
    marked = tool(read_only=True, name="plus", timeout_s=2.5, description="Sum.")(add)

    assert marked(1, b=2) == 3
    assert (marked.name, marked.description, marked.is_read_only, marked.timeout_s) == ("plus", "Sum.", True, 2.5)
    assert functools.reduce(marked, [1, 2, 3]) == 6
    assert marked.__wrapped__ is add
    assert tool(add) == llm_magic.tool(add) == as_tool(add)
    assert as_tool(marked) is marked
    assert as_tool(marked, name="sum").name == "sum"


@pytest.mark.capability("D5")
def test_every_kind_of_callable_is_a_tool() -> None:
    """Async, partial, objects that are called, bound methods, built-ins, wrapped functions."""
    counter = Counter(5)

    @functools.wraps(add)
    def wrapped(*args: Any, **kwargs: Any) -> int:
        return add(*args, **kwargs)

    made = toolset([fetch, functools.partial(add, 1), counter, counter.plain, math.sqrt, as_tool(wrapped, name="w")])

    assert [one.name for one in made] == ["fetch", "add", "Counter", "plain", "sqrt", "w"]
    assert [one.description.split()[0] for one in made] == ["Fetch", "Add", "Count", "Count", "Return", "Add"]
    assert [list(one.parameters["properties"]) for one in made] == [["url"], ["b"], ["by"], ["by"], ["x"], ["a", "b"]]
    assert [one.runs_on for one in made] == ["loop", *["thread"] * 5]
    assert made[2](1) == made[3](1) == 6


def test_decorated_methods_bind() -> None:
    """From an object a method has its object; class and static methods work in either order of decorators."""
    counter = Counter(1)

    more = as_tool(counter.more)

    assert list(more.parameters["properties"]) == ["by"]
    assert (counter.more(2), more(3), counter.count) == (3, 6, 6)
    assert Counter.more(counter, 1) == 7
    assert (as_tool(counter.now).runs_on, as_tool(counter.now).is_read_only) == ("loop", True)
    for made in (Counter.made, counter.made, Counter.also_made, counter.also_made):
        assert as_tool(made)(3) == "Counter 3"
        assert list(as_tool(made).parameters["properties"]) == ["start"]
    assert as_tool(counter.twice)(2) == as_tool(Counter.twice)(2) == 4
    assert as_tool(counter.thrice)(2) == as_tool(Counter.thrice)(2) == 6


def test_a_method_without_its_object_is_refused() -> None:
    """One line says what to hand over instead."""
    with pytest.raises(ToolError, match=r"more is a method of a class\.  Hint: hand over an object's: thing\.more"):
        as_tool(Counter.more)


@pytest.mark.capability("D5")
def test_a_pydantic_model_is_a_strict_tool() -> None:
    """Its fields are the parameters, its docstring the description, its calls make objects of it."""
    made = as_tool(Invoice)

    assert (made.name, made.description, made.is_strict, made.is_read_only) == ("Invoice", "An invoice.", True, True)
    assert made.parameters["properties"] == {
        "total": {"type": "number", "description": "In francs."},
        "title": {"type": "string"},
    }
    assert made(total=1, title="t") == Invoice(total=1.0, title="t")


@pytest.mark.capability("D5")
def test_the_sdks_own_schema_of_a_model_is_a_tool() -> None:
    """As ``openai.pydantic_function_tool`` makes it: strict, and only a schema."""
    made = as_tool(dict(openai.pydantic_function_tool(Invoice)))

    assert (made.name, made.is_strict, made.function) == ("Invoice", True, None)
    assert made.description.startswith("An invoice.")
    assert list(made.parameters["properties"]) == ["total", "title"]


@pytest.mark.capability("D5")
@pytest.mark.parametrize("schema", [SCHEMA, {"type": "function", "function": SCHEMA}])
def test_a_schema_is_a_tool_without_a_function(schema: dict[str, Any]) -> None:
    """In both of the protocol's forms; it cannot be called."""
    made = as_tool(schema)

    assert made.to_openai() == {"type": "function", "function": SCHEMA}
    assert made.function is None
    with pytest.raises(ToolError, match="only a schema"):
        made(q=1)
    assert as_tool({"name": "f", "strict": True}).is_strict


@pytest.mark.capability("D6")
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"name": "a b"}, "'a b' cannot be the name of a tool"),
        ({"name": "x" * 65}, "cannot be the name of a tool"),
        ({"name": ""}, "'' cannot be the name"),
        ({"description": "d"}, "has no name"),
        ({"name": "f", "parameters": "no"}, "is not the schema of a tool"),
        (lambda x: x, "A lambda has no name"),
        (3, "A value of type int cannot be a tool"),
        (int, "A value of type type cannot be a tool"),
        (print, "takes \\*args"),
        (each, "each is an async generator"),
        (with_field, "The default of a of with_field is a Field of pydantic's"),
        (min, "does not tell its parameters"),
    ],
)
def test_what_cannot_be_a_tool_is_one_line(value: Any, said: str) -> None:
    """Each says what is wrong and what to do."""
    with pytest.raises(ToolError, match=said) as caught:
        as_tool(value)

    assert caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.capability("D6")
def test_two_tools_of_one_name_are_refused() -> None:
    """The model could not tell them apart; one of them may be given another name."""
    with pytest.raises(ToolError, match="Two tools are called add"):
        toolset([add, functools.partial(add, 1)])
    assert len(toolset([add, as_tool(functools.partial(add, 1), name="increment")])) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runs_on": "moon"}, "Unknown place 'moon'"),
        ({"runs_on": "loop"}, "add is a sync function"),
        ({"timeout_s": 0}, "timeout_s of add is 0"),
        ({"name": "a.b"}, "cannot be the name"),
    ],
)
def test_options_that_do_not_fit_are_one_line(options: dict[str, Any], said: str) -> None:
    """Said when the tool is made, not when it is called."""
    with pytest.raises(ToolError, match=said):
        tool(**options)(add)
    with pytest.raises(ToolError, match="fetch is an async function and cannot run on 'main'"):
        tool(runs_on="main")(fetch)


@pytest.mark.capability("D5")
def test_strict_is_where_nothing_is_lost_by_it() -> None:
    """Not with defaults, unless wanted, then null stands for them; never where it cannot be."""

    def count(word: str, start: int = 0) -> int:
        return len(word) + start

    def free(data: dict[str, int]) -> None: ...

    assert not as_tool(count).is_strict
    assert as_tool(count).parameters["required"] == ["word"]
    strict = tool(strict=True)(count)
    assert strict.is_strict
    assert strict.parameters["required"] == ["word", "start"]
    loose = tool(add, strict=False)
    assert (loose.is_strict, "additionalProperties" in loose.parameters) == (False, False)
    assert as_tool(loose) == tool(loose) == loose
    assert tool(loose, strict=True).parameters == as_tool(add).parameters
    assert not as_tool(free).is_strict
    with pytest.raises(ToolError, match="free cannot be strict"):
        tool(strict=True)(free)


def test_identity_is_of_the_very_function() -> None:
    """The same function under any name is itself; equal ones, copies, and other objects' methods are not."""
    one, other = Counter(), Counter()

    def again(a: int, b: int) -> int:
        return a + b

    assert as_tool(add).identity == tool(name="x")(add).identity
    assert hash(as_tool(add).identity) == hash(as_tool(add).identity)
    assert as_tool(add).identity != as_tool(again).identity
    assert as_tool(one.more).identity == as_tool(one.more).identity != as_tool(other.more).identity
    assert as_tool(one.plain).identity == as_tool(one.plain).identity != as_tool(other.plain).identity
    assert as_tool(math.sqrt).identity == as_tool(math.sqrt).identity
    words: list[str] = []
    assert as_tool(words.pop).identity == as_tool(words.pop).identity != as_tool(list(words).pop).identity
    assert as_tool(Invoice).identity == as_tool(Invoice).identity
    assert as_tool(functools.partial(add, 1)).identity != as_tool(functools.partial(add, 1)).identity


def test_places_name_cells_and_no_folders() -> None:
    """A cell is told by its number, a file by its name alone; a built-in has no place."""
    from llm_magic.tools.places import place

    assert place("<ipython-input-3-0123456789ab>", 4) == "cell 3, line 4"
    assert place("/home/ada/work/statistics.py", 20) == "statistics.py, line 20"
    assert place("C:\\Users\\Ada\\statistics.py", 20) == "statistics.py, line 20"
    assert place("/tmp/ipykernel_77/123456.py", 2) == "a cell, line 2"
    assert as_tool(math.sqrt).where == ""


def test_the_documentations_example_is_true() -> None:
    """The functions of docs/tools.md are tools as it says."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(page.split("```python")[1].split("```")[0], names)

    convert, rates = toolset([names["convert"], names["rates"]])

    assert convert(200, currency="USD") == 232.0
    assert convert.parameters["properties"]["currency"]["description"] == "Three letters."
    assert (rates.is_read_only, rates.timeout_s, rates.runs_on) == (True, 10, "loop")


def test_making_tools_loads_nothing_heavy_before_it_is_used() -> None:
    """The package is imported with every ask: pydantic comes with the first tool."""
    code = "import sys, llm_magic.tools; assert not {'pydantic', 'pandas', 'openai', 'PIL'} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_tool_tells_itself() -> None:
    """Without its function's insides; a schema's tool can travel."""
    made = as_tool(SCHEMA)

    assert pickle.loads(pickle.dumps(made)) == made
    assert "function" not in repr(made)
    assert isinstance(hash(as_tool(add)), int)
    assert isinstance(made, Tool)
