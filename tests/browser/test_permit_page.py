"""Tool calls on the page: rows as they go, and the question with its buttons, in the live view and in the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from llm_magic.rendering import ShownCall, call_html, called
from llm_magic.views.widgets import live_type
from tests.browser.panel_page import PanelPage, turn
from tests.fakes.calls import PARIS, ROME, said
from tests.fakes.hostile import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator

    from tests.browser.panel_page import Theme

pytestmark = pytest.mark.browser

LONG = called(PARIS, said(PARIS, "18 °C\n" * 60))
ROWS = [
    call_html(called(ROME, said(ROME, "noon"))),
    call_html(LONG),
    call_html(called(PARIS, said(PARIS, "no such city", state="failed"))),
    call_html(called(ROME, said(ROME, "not allowed", state="denied"))),
    call_html(ShownCall(name="get_weather", arguments=PARIS.arguments, state="asking")),
    call_html(ShownCall(name="get_time", arguments=ROME.arguments, state="running")),
    call_html(ShownCall(name="get_weather", arguments='{"ci')),
]
WEATHER = {"call": 4, "name": "get_weather", "args": '{\n  "city": "Paris"\n}', "where": "cell 3, line 4"}
CLOCK = {"call": 5, "name": "get_time", "args": "{}", "where": ""}
ASKING: dict[str, Any] = {
    "s": "asking",
    "w": "turn-1",
    "a": ["<p>Let me look.</p>", *ROWS],
    "asks": [WEATHER, CLOCK],
    "foot": None,
}


# Press a button, and see at once whether it and those beside it can be pressed again.
PRESSED = "node => { node.click(); return [...node.parentElement.children].map((one) => one.disabled) }"


class Opened(Protocol):
    """Opens a panel; all are closed with the test, which fails if a page had an error."""

    def __call__(self, *, theme: Theme = "light", **fields: Any) -> PanelPage: ...


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens panels with one turn that asks."""
    pages: list[PanelPage] = []

    def start(*, theme: Theme = "light", **fields: Any) -> PanelPage:
        page = PanelPage(browser, {"s1": turn(1, **(ASKING | fields))}, theme=theme, size=(400, 1500))
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()
        assert page.errors == []


def question(panel: PanelPage, name: str) -> Locator:
    """A question."""
    return panel.page.get_by_role("group", name=f"May {name} run?", exact=True)


def permits(panel: PanelPage) -> list[dict[str, Any]]:
    """The words on calls that were said to the kernel, each once."""
    words: list[dict[str, Any]] = []
    for one in panel.said:
        word = {name: value for name, value in one.items() if name in ("turn", "call", "answer")}
        if one["k"] == "permit" and word not in words:
            words.append(word)
    return words


@pytest.mark.parametrize(("label", "answer"), [("Allow", "yes"), ("Always", "always"), ("Deny", "no")])
def test_a_button_says_one_word_on_one_call(opened: Opened, label: str, answer: str) -> None:
    """Said until it is acknowledged; the other question stays; the patch that follows takes this one away."""
    panel = opened()
    expect(question(panel, "get_weather")).to_contain_text("Run get_weather from cell 3, line 4?")
    expect(question(panel, "get_weather")).to_contain_text('"city": "Paris"')
    expect(question(panel, "get_time")).to_contain_text("Run get_time?")
    expect(panel.turn(1)).to_contain_text("Waiting for your word")

    assert panel.button(f"{label}: get_weather").evaluate(PRESSED) == [True, True, True]

    panel.page.wait_for_function("() => fake.said.filter(({ k }) => k === 'permit').length > 2")
    assert permits(panel) == [{"turn": "turn-1", "call": 4, "answer": answer}]
    expect(panel.button("Allow: get_time")).to_be_enabled()
    panel.hear({"k": "ack", "turn": "turn-1", "call": 4, "is_taken": True})
    panel.put("s1", asks=[CLOCK])
    expect(question(panel, "get_weather")).to_have_count(0)
    panel.put("s1", asks=None, s="tool")
    expect(panel.page.locator(".llm-magic-question")).to_have_count(0)
    expect(panel.turn(1)).to_contain_text("Running a tool")


def test_what_nobody_acknowledges_can_be_said_again(opened: Opened) -> None:
    """A kernel that does not hear leaves the buttons to the user."""
    panel = opened()
    assert panel.button("Deny: get_time").evaluate(PRESSED) == [True, True, True]

    expect(panel.button("Deny: get_time")).to_be_enabled()

    assert permits(panel) == [{"turn": "turn-1", "call": 5, "answer": "no"}]


def test_stop_and_permit_are_acknowledged_apart(opened: Opened) -> None:
    """The word on a call that is heard does not stand for a Stop that is not."""
    panel = opened()
    panel.page.evaluate("() => { fake.said.length = 0 }")
    panel.turn(1).get_by_role("button", name="Stop answering").click()
    panel.hear({"k": "ack", "turn": "turn-1", "call": 4, "is_taken": True})

    panel.page.wait_for_function("() => fake.said.filter(({ k }) => k === 'stop').length > 2")


def test_questions_are_answered_by_keyboard(opened: Opened) -> None:
    """Tab reaches arguments and buttons; after one answer the focus is at the next question, on no button."""
    panel = opened()
    panel.button("Allow: get_weather").focus()
    panel.page.keyboard.press("Enter")
    panel.page.keyboard.press("Enter")
    assert permits(panel) == [{"turn": "turn-1", "call": 4, "answer": "yes"}]

    panel.put("s1", asks=[CLOCK])
    expect(question(panel, "get_time")).to_be_focused()
    panel.page.keyboard.press("Enter")
    assert len(permits(panel)) == 1
    for label in ("Allow", "Always", "Deny"):
        panel.page.keyboard.press("Tab")
        expect(panel.button(f"{label}: get_time")).to_be_focused()
    panel.page.keyboard.press("Space")

    assert permits(panel)[1:] == [{"turn": "turn-1", "call": 5, "answer": "no"}]


def test_a_page_that_is_loaded_again_asks_again(opened: Opened) -> None:
    """The question is part of the state."""
    panel = opened()
    panel.open()

    panel.button("Allow: get_weather").click()

    assert permits(panel) == [{"turn": "turn-1", "call": 4, "answer": "yes"}]


def test_an_unfolded_call_stays_so(opened: Opened) -> None:
    """While others go on, and when its own state changes."""
    panel = opened(a=[call_html(LONG), ROWS[-1]])
    details = panel.turn(1).locator("details.llm-magic-tool")
    details.locator("summary").click()
    assert details.evaluate("node => node.open")

    panel.put("s1", a=[call_html(LONG), call_html(ShownCall(name="get_weather", arguments='{"city"'))])
    again = called(PARIS, said(PARIS, "19 °C\n" * 60))
    panel.put("s1", a=[call_html(again), ROWS[0]])

    expect(details).to_contain_text("19 °C")
    assert details.evaluate("node => node.open")


def test_arguments_are_seen_as_they_come(opened: Opened) -> None:
    """What is added is added in its place: what is selected before it stays selected. There is no button on it."""
    panel = opened(a=[ROWS[-1]], s="running", asks=None)
    written = panel.turn(1).locator(".llm-magic-tool pre")
    expect(written).to_have_text('{"ci')
    panel.page.evaluate("() => getSelection().selectAllChildren(document.querySelector('.llm-magic-tool pre'))")

    panel.put("s1", a=[call_html(ShownCall(name="get_weather", arguments='{"city": "Paris & <b>'))])

    expect(written).to_have_text('{"city": "Paris & <b>')
    assert panel.page.evaluate("() => String(getSelection()).trim()").startswith('{"ci')
    expect(panel.turn(1).locator(".llm-magic-code-actions")).to_have_count(0)


def test_hostile_questions_are_text(opened: Opened) -> None:
    """Whatever a model calls, with whatever: elements are ours alone, and nothing runs."""
    asks = [
        {"call": number, "name": text, "args": f"{text}\n{text}", "where": text} for number, text in enumerate(lines())
    ]
    panel = opened(asks=asks)

    names = panel.page.evaluate(
        "() => [...new Set([...document.querySelectorAll('.llm-magic-questions *')].map((node) => node.localName))]"
    )

    assert sorted(names) == ["button", "code", "div", "p", "pre"]
    assert panel.page.evaluate("() => window.__pwned") is None
    expect(panel.page.locator(".llm-magic-question")).to_have_count(len(asks))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_wrong(opened: Opened, theme: Theme) -> None:
    """Rows in every state and questions, folded and unfolded: names, roles and contrast hold."""
    panel = opened(theme=theme)
    for summary in panel.turn(1).locator(".llm-magic-tool > summary").all():
        summary.click()

    found = Axe().run(panel.page, context="#host")

    assert found.violations_count == 0, found.generate_report()
    assert panel.page.locator(".llm-magic-turn").get_attribute("aria-busy") == "false"


_LIVE = """
async ([source, snap]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const hearers = [];
  window.said = [];
  const model = {
    get: () => snap,
    on: (name, hear) => name === "msg:custom" && hearers.push(hear),
    off: () => {},
    send: (message) => said.push(message),
  };
  window.hear = (message) => hearers.forEach((hearer) => hearer(message));
  const widget = module.default();
  widget.initialize({ model });
  for (const _ of [1, 2]) {
    const el = document.createElement("div");
    document.body.append(el);
    widget.render({ model, el });
  }
}
"""


def test_two_views_of_one_answer_ask_together(browser: Browser) -> None:
    """Answered in one, the question is gone from both."""
    page = browser.new_page()
    turns = {"turn": {"w": "turn", "s": "asking", "a": [ROWS[4]], "asks": [CLOCK]}}
    snap = {"q": 0, "t": "view", "head": {"control": True}, "order": ["turn"], "turns": turns}
    page.evaluate(_LIVE, [live_type()._esm, snap])
    buttons = page.get_by_role("button", name="Always: get_time")
    expect(buttons).to_have_count(2)

    buttons.last.click()

    words = [one for one in page.evaluate("() => said") if one["k"] == "permit"]
    assert {name: words[0][name] for name in ("t", "turn", "call", "answer")} == {
        "t": "view",
        "turn": "turn",
        "call": 5,
        "answer": "always",
    }
    page.evaluate("() => hear({ k: 'p', q: 1, turns: { turn: { asks: null, s: 'tool' } } })")
    expect(buttons).to_have_count(0)
    page.close()
