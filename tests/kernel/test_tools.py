"""Tools in a real kernel: what they print lands in their cell, built-in ones work on the notebook's names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernel.conftest import Chat

pytestmark = pytest.mark.kernel
TOOLS = """\
import asyncio, threading, llm_magic
import pandas as pd
sales = pd.DataFrame({"city": ["Bern", "Basel"], "sold": [3, 5]})
places = []
def note(word: str) -> str:
    print("noted", word)
    places.append(threading.current_thread().name)
    return word
@llm_magic.tool(runs_on="kernel")
async def own_loop() -> bool:
    await asyncio.sleep(0)
    return asyncio.get_running_loop() is loop
loop = asyncio.get_running_loop()
"""


def ask(chat: Chat, *calls: list[Any]) -> Any:
    """A cell whose model makes these calls; all that is handed over may run."""
    options = " ".join(f"--tool {name}" for name in dict.fromkeys(call[0] for call in calls))
    code = f"%%chat -m calls {options} --raw\n{json.dumps(calls)}"
    return chat.run(code, "ask").checked()


@pytest.fixture
def ready(chat: Chat) -> Chat:
    """The chat kernel with an empty conversation and the functions above."""
    chat.begin()
    chat.run("%chat config tool_permission=auto", "allow").checked()
    chat.run(TOOLS, "tools").checked()
    return chat


@pytest.mark.capability("D4", "D19")
def test_tools_work_where_they_belong(ready: Chat) -> None:
    """A thread prints into the cell that asks; python runs as a cell would; dataframe looks; places name their cell."""
    outcome = ask(
        ready,
        ["note", {"word": "this"}],
        [
            "python",
            {"code": "total = int(sales.sold.sum())\nprint('summed')\nthreading.current_thread().name"},
        ],
        ["dataframe", {"name": "sales", "operation": "sum", "columns": ["sold"]}],
    )

    assert "noted this\n" in outcome.stdout
    assert "summed\n" in outcome.stdout
    assert ready.kernel.value("(places, total)") == (["tool note"], 8)
    text = ready.kernel.value("_reply.text")
    assert "summed\nMainThread" in text
    assert "sold,8" in text
    where = ready.kernel.value("llm_magic.tool(note).where")
    count = ready.kernel.value("get_ipython().compile.format_code_name(note.__code__.co_filename)[1]")
    assert f"In[{where.removeprefix('cell ').partition(',')[0]}]" == count
    assert where.endswith(", line 5")


def test_a_tool_may_want_the_kernels_own_loop(ready: Chat) -> None:
    """Which is busy with the cell, until that is allowed."""
    ask(ready, ["own_loop", {}])
    assert "llm_magic.allow_nested()" in ready.kernel.value("_reply.text")

    ready.run("llm_magic.allow_nested()", "nested").checked()
    ask(ready, ["own_loop", {}])
    assert ready.kernel.value("_reply.text") == "I have: true"
