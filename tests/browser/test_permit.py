"""The story of two functions in JupyterLab: one is approved by its button while the cell blocks, the other runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_live import answer, bar, expect_static, kept_html, opened
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from tests.browser.lab import Lab

pytestmark = pytest.mark.browser
TOOLS = '''import llm_magic

def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"18 °C in {city}"

@llm_magic.tool(read_only=True)
def get_time(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"
'''
ASK = """%%chat -m calls --tool get_weather --tool get_time --raw
[["get_weather", {"city": "Paris"}], ["get_time", {"city": "Paris"}]]"""


@pytest.mark.capability("D19", "G9", "G20")
def test_story_of_two_functions(lab: Lab) -> None:
    """Asked by keyboard while the cell blocks, read by whoever opens the saved notebook."""
    with FakeServer() as server:
        notebook = opened(lab, server, TOOLS, ASK)
        notebook.run_cell(1)
        notebook.run_cell_nowait(2)
        question = notebook.output(2).get_by_role("group", name="May get_weather run?")
        expect(question).to_contain_text("Run get_weather from cell 2, line 3?")
        expect(bar(notebook, 2)).to_contain_text("Waiting for your word")
        expect(answer(notebook, 2)).to_contain_text("done: noon in Paris")
        notebook.page.wait_for_function("() => rig.status() === 'busy'")

        question.get_by_role("button", name="Allow: get_weather").focus()
        notebook.page.keyboard.press("Enter")
        notebook.finish()

        expect_static(notebook, 2)
        html = kept_html(notebook, 2)
        parts = (
            "Let me look.",
            "done</span>: 18 °C in Paris",
            "done</span>: noon in Paris",
            "I have: 18 °C in Paris; noon",
        )
        places = [html.index(part) for part in parts]
        assert places == sorted(places)
        assert notebook.watch.errors == []
        notebook.save()
        assert "I have: 18 °C in Paris; noon in Paris" in notebook.reopen().outputs(2).text
