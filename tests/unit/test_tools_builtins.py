"""The tools that come with the package."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from llm_magic.content import ImagePart, ToolCall, ToolResult, text_of
from llm_magic.tools import Bound, builtin, checked, run, toolset
from llm_magic.tools.builtins import BUILTINS
from llm_magic.values import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME = pd.DataFrame({"city": ["Bern", "Basel", "Bonn", None], "size": [4, 3, 2, 1], 7: [1.5, 2.5, 3.5, 4.5]})


def on_main(function: Callable[[], Any]) -> Future[Any]:
    """The main thread, at once."""
    future: Future[Any] = Future()
    future.set_result(function())
    return future


def call(name: str, namespace: dict[str, Any], /, **arguments: Any) -> ToolResult:
    """What comes of a call."""
    tool = builtin(name, namespace)
    assert tool is not None
    bound = checked(tool, ToolCall(id="c", name=name, arguments=json.dumps(arguments)))
    if not isinstance(bound, Bound):
        return bound
    return asyncio.run(run(bound, timeout_s=60.0, limits=DEFAULT_LIMITS, on_main=on_main))


def said(name: str, namespace: dict[str, Any], /, **arguments: Any) -> str:
    """Its text."""
    return text_of(call(name, namespace, **arguments).parts)


@pytest.mark.capability("D4")
def test_built_in_tools_are_found_by_name() -> None:
    """Only these; what they may do is said by the tool itself."""
    python, dataframe = toolset([builtin(name, {}) for name in BUILTINS])

    assert (python.name, python.is_read_only, python.runs_on) == ("python", False, "main")
    assert (dataframe.name, dataframe.is_read_only, dataframe.runs_on) == ("dataframe", True, "thread")
    assert builtin("other", {}) is None
    assert list(python.parameters["properties"]) == ["code"]
    assert python.where == dataframe.where == "llm_magic"


def test_an_always_holds_for_the_notebook() -> None:
    """Made again for the next cell, the tool is the same; another notebook's is not."""
    names: dict[str, Any] = {}
    tools = [builtin("python", names), builtin("python", names), builtin("python", {})]
    one, same, other = (tool.identity for tool in tools if tool is not None)

    assert one == same != other


@pytest.mark.capability("D4")
def test_python_runs_in_the_users_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Variables are there and stay; what is printed and the last value go back, printing shows in the cell too."""
    names: dict[str, Any] = {"n": 4}

    assert said("python", names, code="m = 2 * n\nprint('hi')\nm + 1") == "hi\n9"
    assert names["m"] == 8
    assert capsys.readouterr().out == "hi\n"
    assert said("python", names, code="k = 1") == "done"
    assert said("python", names, code="") == "done"
    assert said("python", names, code="def f():\n    return m\n\nf()") == "8"
    assert said("python", names, code="None") == "done"
    assert said("python", names, code="seen = []\nseen.append(1) or len(seen)") == "1"
    assert said("python", {"df": FRAME}, code="df").startswith("DataFrame, 4 rows")


def test_python_shows_pictures() -> None:
    """The last value is content of any kind."""
    (part,) = call("python", {}, code="from PIL import Image\nImage.new('RGB', (2, 2))").parts

    assert isinstance(part, ImagePart)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("\n\n1 / 0", "ZeroDivisionError: division by zero (line 3)"),
        ("x =", "SyntaxError: invalid syntax (line 1)"),
        ("import json\njson.loads('x')", "JSONDecodeError: Expecting value: line 1 column 1 (char 0) (line 2)"),
        ("print('so far')\nq", "so far\nNameError: name 'q' is not defined (line 2)"),
        ("print(1)\nimport sys\nsys.exit(2)", "1\nSystemExit: 2 (line 3)"),
    ],
)
def test_python_tells_what_failed(code: str, told: str) -> None:
    """And in which line of the code, after what was printed until then."""
    result = call("python", {}, code=code)

    assert result.is_error
    assert text_of(result.parts).startswith(told)


@pytest.mark.capability("D4")
@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        ({}, ["city,size,7", "Bern,4,1.5", "Basel,3,2.5", "Bonn,2,3.5", ",1,4.5"]),
        ({"rows": 1}, ["city,size,7", "Bern,4,1.5"]),
        ({"operation": "tail", "rows": 1, "columns": ["size"]}, [",size", "3,1"]),
        ({"sort": "size", "rows": 2, "columns": ["city", "size"]}, [",city,size", "3,,1", "2,Bonn,2"]),
        ({"sort": "7", "descending": True, "rows": 1, "columns": ["7"]}, [",7", "3,4.5"]),
        ({"operation": "sum", "columns": ["size"]}, ["column,sum", "size,10"]),
        ({"operation": "count"}, ["column,count", "city,3", "size,4", "7,4"]),
        ({"operation": "mean", "by": ["city"], "columns": ["size"], "rows": 1}, ["city,size", "Basel,3"]),
        ({"operation": "max", "by": ["size"], "columns": ["city"], "rows": 1}, ["size,city", "1,"]),
        ({"operation": "value_counts", "columns": ["size"], "rows": 1}, ["size,count", "4,1"]),
        ({"where": [{"column": "size", "comparison": ">=", "value": 3}], "columns": ["size"]}, ["size", "4", "3"]),
        ({"where": [{"column": "size", "comparison": "in", "value": [1, 9]}], "columns": ["size"]}, [",size", "3,1"]),
        ({"where": [{"column": "size", "comparison": "in", "value": 1}], "columns": ["size"]}, [",size", "3,1"]),
        ({"where": [{"column": "city", "comparison": "contains", "value": "B."}], "columns": ["size"]}, ["size"]),
        (
            {"where": [{"column": "city", "comparison": "contains", "value": "bA"}], "columns": ["size"]},
            [",size", "1,3"],
        ),
        (
            {"where": [{"column": "city", "comparison": "is null", "value": None}], "columns": ["size"]},
            [",size", "3,1"],
        ),
        (
            {
                "where": [
                    {"column": "city", "comparison": "not null", "value": None},
                    {"column": "size", "comparison": "!=", "value": 4},
                ],
                "columns": ["size"],
            },
            [",size", "1,3", "2,2"],
        ),
    ],
)
def test_dataframe_looks(asked: dict[str, Any], lines: list[str]) -> None:
    """First and last rows, filters, groups, statistics, orders: of a table that stays as it is."""
    before = FRAME.copy()

    text = said("dataframe", {"df": FRAME}, name="df", **asked)

    assert [line for line in text.splitlines() if not line.startswith(("DataFrame,", "dtypes:", "["))] == lines
    pd.testing.assert_frame_equal(FRAME, before)


def test_dataframe_describes() -> None:
    """All columns, numbers or not; a Series is a table of one column."""
    assert "unique" in said("dataframe", {"df": FRAME}, name="df", operation="describe")
    assert said("dataframe", {"s": pd.Series(range(200))}, name="s", rows=200).startswith("DataFrame, 100 rows")
    assert "value\n1" in said("dataframe", {"s": pd.Series([1, 2])}, name="s")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"name": "dff"}, "There is no variable dff.  Hint: did you mean df?"),
        ({"name": "n"}, "n is no DataFrame.  Hint: there are: df."),
        ({"name": "df", "columns": ["town"]}, "There is no column town.  Hint: there are: city, size, 7."),
        ({"name": "df", "sort": "sise"}, "There is no column sise.  Hint: did you mean size?"),
        ({"name": "df", "operation": "eval"}, "dataframe was not called: its arguments do not fit.\noperation: "),
        ({"name": "df.head()"}, "There is no variable df.head()."),
    ],
)
def test_dataframe_tells_what_there_is(asked: dict[str, Any], told: str) -> None:
    """Names are looked up, never evaluated; names of the user's own that begin with "_" are not told."""
    result = call("dataframe", {"df": FRAME, "_secret": FRAME, "n": 3}, **asked)

    assert result.is_error
    assert text_of(result.parts).startswith(told)
    assert "there is none" in said("dataframe", {}, name="x")
