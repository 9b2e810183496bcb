"""The store of a widget in a bare Chromium whose clock stands: what it says to the kernel, when, and which way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.views.widgets import SHARED_SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# A widget's model and its kernel, as much of them as the store uses.
_OPEN = """
([source, snap, hasControl]) => {
  const hearers = { "msg:custom": new Set(), "change:snap": new Set() };
  window.said = { comm: [], control: [] };
  window.interrupts = 0;
  const kernel = { clientId: "page", username: "", interrupt: () => (interrupts += 1) };
  if (hasControl) kernel.sendControlMessage = (message) => said.control.push(message);
  const model = {
    widget_manager: { kernel },
    get: () => snap,
    send: (content) => said.comm.push(content),
    on: (name, hear) => hearers[name].add(hear),
    off: (name, hear) => hearers[name].delete(hear),
  };
  window.hear = (message) => hearers["msg:custom"].forEach((hear) => hear(message));
  window.adopt = (whole) => {
    snap = whole;
    hearers["change:snap"].forEach((hear) => hear());
  };
  window.store = new Function("model", source + "; return createStore(model)")(model);
}
"""
TURN = {"w": "turn", "s": "running", "blocks": True, "a": ["<p>one</p>"]}
STOP = {"k": "stop", "t": "view", "turn": "turn"}


class Widget:
    """A store in a page.

    Args:
        page: The page; its clock stands.
        has_control: The front end can send on the control channel.
        is_heard: The kernel has said that it hears it there.
        fields: Further fields of the turn.
    """

    def __init__(self, page: Page, *, has_control: bool = True, is_heard: bool = True, **fields: Any) -> None:
        self._page = page
        head = {"control": True} if is_heard else {}
        self.whole = {"q": 1, "t": "view", "head": head, "order": ["a"], "turns": {"a": TURN | fields}}
        page.evaluate(_OPEN, ["\n".join(path.read_text() for path in SHARED_SCRIPTS[:1]), self.whole, has_control])
        self.hello = self.said()

    def stop(self) -> None:
        """Press Stop."""
        self._page.evaluate("() => store.stop('a')")

    def hear(self, **message: Any) -> None:
        """Let the kernel say something."""
        self._page.evaluate("message => hear(message)", message)

    def adopt(self, **changes: Any) -> None:
        """Let the kernel send the whole state."""
        self._page.evaluate("whole => adopt(whole)", self.whole | changes)

    def wait(self, milliseconds: int) -> None:
        """Let time pass."""
        self._page.clock.run_for(milliseconds)

    def said(self) -> dict[str, list[dict[str, Any]]]:
        """What it has said since the last time, by the way it took."""
        found: dict[str, list[dict[str, Any]]] = self._page.evaluate(
            """() => {
              const found = { comm: said.comm, control: said.control.map((message) => message.content) };
              said = { comm: [], control: [] };
              return found;
            }"""
        )
        return {way: [{k: v for k, v in one.items() if k != "q"} for one in all_] for way, all_ in found.items()}

    @property
    def interrupts(self) -> int:
        """How often it has interrupted the kernel."""
        return int(self._page.evaluate("() => interrupts"))

    @property
    def html(self) -> str:
        """The answer as it has it."""
        return str(self._page.evaluate("() => store.state.turns.a.a.map((piece) => piece.html).join('')"))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page, not on a secure address, whose clock stands."""
    opened = browser.new_page()
    opened.clock.install(time=0)
    opened.goto("about:blank")
    opened.clock.pause_at(1000)
    assert opened.evaluate("() => [isSecureContext, typeof crypto.randomUUID]") == [False, "undefined"]
    yield opened
    opened.close()


def test_it_greets_by_control_and_by_comm_until_it_knows_that_it_is_heard(page: Page) -> None:
    """A kernel may take no such messages, and a front end may send none; nothing is said twice where both can."""
    hello = {"k": "hello", "t": "view", "late": False}

    assert Widget(page, is_heard=False).hello == {"comm": [hello], "control": [hello]}
    assert Widget(page).hello == {"comm": [], "control": [hello]}
    assert Widget(page, has_control=False).hello == {"comm": [hello], "control": []}


def test_what_goes_by_control_is_a_message_of_its_own(page: Page) -> None:
    """Also where the page is served without encryption, and the browser makes no ids."""
    widget = Widget(page)
    widget.stop()

    headers = page.evaluate("() => said.control.map((message) => message.header)")

    assert [header["msg_type"] for header in headers] == ["llm_magic"]
    assert headers[0]["msg_id"]


def test_stop_is_said_again_until_it_is_acknowledged(page: Page) -> None:
    """The answer to it may be lost. It names the turn, so it can do no harm; an interrupt could."""
    widget = Widget(page)
    widget.stop()
    widget.wait(450)
    assert widget.said()["control"] == [STOP] * 3

    widget.hear(k="ack", turn="another")
    widget.wait(200)
    assert widget.said()["control"] == [STOP]

    widget.hear(k="ack", turn="turn")
    widget.wait(1500)
    assert widget.said()["control"] == []
    assert widget.interrupts == 0


def test_stop_is_given_up_in_the_end(page: Page) -> None:
    """By a page whose kernel is gone."""
    widget = Widget(page)
    widget.stop()
    widget.wait(60_000)

    assert 5 <= [one["k"] for one in widget.said()["control"]].count("stop") <= 20
    assert widget.interrupts == 0


@pytest.mark.parametrize("has_control", [True, False])
def test_a_kernel_that_does_not_hear_is_interrupted_once(page: Page, *, has_control: bool) -> None:
    """Where a cell waits for the answer, and nobody acknowledges in time."""
    widget = Widget(page, has_control=has_control, is_heard=False)
    widget.stop()
    widget.wait(190)
    assert widget.interrupts == 0

    widget.wait(1500)

    assert widget.interrupts == 1
    assert widget.said()["comm"].count(STOP) == 1


@pytest.mark.parametrize(
    "turns",
    [
        {"a": {"s": "complete"}},
        {"a": {"s": "interrupted", "fig": None}},
        {"a": {"w": "next"}},
        {"a": {"blocks": None}},
        {"a": None},
    ],
    ids=str,
)
def test_nothing_is_interrupted_once_the_turn_has_ended(page: Page, turns: dict[str, Any]) -> None:
    """What runs by then is something else."""
    widget = Widget(page, is_heard=False)
    widget.stop()
    widget.hear(k="p", q=2, turns=turns)
    widget.wait(5000)

    assert widget.interrupts == 0


@pytest.mark.parametrize("state", ["complete", "interrupted", "truncated", "failed"])
def test_a_turn_that_has_ended_is_not_stopped(page: Page, state: str) -> None:
    """Pressed late, nothing is said at all."""
    widget = Widget(page, s=state, is_heard=False)
    widget.said()
    widget.stop()
    widget.wait(5000)

    assert widget.said() == {"comm": [], "control": []}
    assert widget.interrupts == 0


def test_a_background_turn_is_never_stopped_by_an_interrupt(page: Page) -> None:
    """It would hit whichever cell runs now."""
    widget = Widget(page, is_heard=False, blocks=None)
    widget.stop()
    widget.wait(5000)

    assert widget.interrupts == 0
    assert widget.said()["comm"].count(STOP) > 1


def test_a_gap_makes_it_ask_for_the_whole(page: Page) -> None:
    """A number too high, or a text that does not fit, and not more often than can be answered."""
    widget = Widget(page)
    widget.hear(k="p", q=3, turns={"a": {"a": [0, 10, ["two"], 13]}})
    widget.hear(k="p", q=4, turns={"a": {"a": [0, 13, ["three"], 18]}})
    assert [one["k"] for one in widget.said()["control"]] == ["need"]
    assert widget.html == "<p>one</p>"

    widget.adopt(q=4, turns={"a": TURN | {"a": ["<p>one two three</p>"]}})
    assert widget.html == "<p>one two three</p>"
    widget.wait(500)
    widget.hear(k="p", q=5, turns={"a": {"a": [0, 20, ["!"], 99]}})
    assert [one["k"] for one in widget.said()["control"]] == ["need"]


def test_what_came_before_is_not_taken_again(page: Page) -> None:
    """Repeated and late messages change nothing."""
    widget = Widget(page)
    widget.hear(k="p", q=2, turns={"a": {"a": [1, 0, ["<p>two</p>"], 20]}})
    widget.hear(k="p", q=2, turns={"a": {"a": [1, 0, ["<p>two</p>"], 20]}})
    widget.adopt(q=1)

    assert widget.html == "<p>one</p><p>two</p>"
    assert widget.said()["control"] == []


def test_silence_makes_it_ask_more_and_more_seldom(page: Page) -> None:
    """The last words may have been lost; once the turn has ended there is nothing to ask for."""
    widget = Widget(page)
    widget.wait(60_000)
    asked = len(widget.said()["control"])
    assert 3 <= asked <= 8

    widget.hear(k="same")
    widget.wait(10_000)
    assert len(widget.said()["control"]) <= 1

    widget.hear(k="p", q=2, turns={"a": {"s": "complete"}})
    widget.wait(600_000)
    assert widget.said()["control"] == []
