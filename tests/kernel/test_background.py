"""``--background`` in a real kernel: cells end at once, answers go on in their output, and stopping hits what it names.

Every wait is for a condition: what the server has sent, what the kernel has published or holds.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.store import Store
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fakes.server import FakeServer
    from tests.kernel.conftest import Chat
    from tests.kernel.harness import Outcome, Received

pytestmark = pytest.mark.kernel
ENDLESS = "tokens-100000@100"
SESSION = "get_ipython()._llm_magic.session"


@pytest.fixture(autouse=True)
def _static(request: pytest.FixtureRequest) -> None:
    """Displays as where there are no widgets; the live view has tests of its own."""
    if "chat" in request.fixturenames:
        request.getfixturevalue("chat").run("%chat config view=static", "config").checked()


@pytest.fixture
def begun(chat: Chat) -> Iterator[Chat]:
    """The chat kernel with an empty conversation, and nothing left under way in the end."""
    chat.begin()
    yield chat
    chat.run("%chat stop", "stop").checked()


def shown_by(message: Received) -> str | None:
    """Id of the display or the widget that a message is for, None where it is for none."""
    found = (message.content.get("transient") or {}).get("display_id") or message.content.get("comm_id")
    return str(found) if found else None


def shows_text(message: Received) -> bool:
    """A display, or a patch for a page, with text of an answer."""
    if "display" in message.type:
        return "<p>" in message.content["data"].get("text/html", "")
    patch = message.content.get("data", {}).get("content", {}) if message.type == "comm_msg" else {}
    return any(turn.get("a") for turn in patch.get("turns", {}).values())


def asked(chat: Chat, code: str, cell_id: str) -> Outcome:
    """Run a cell, and wait until some of its endless answer is shown."""
    outcome = chat.run(code, cell_id).checked()
    ids = {shown_by(message) for message in outcome.of_type("display_data", "comm_open")}
    chat.kernel.wait_for(lambda m: shown_by(m) in ids and shows_text(m))
    return outcome


def ended(chat: Chat, expression: str, *, timeout_s: float = 60.0) -> None:
    """Wait until something is true in the kernel."""
    chat.server.wait_until(lambda: bool(chat.kernel.value(expression)), timeout_s=timeout_s)


def bundle_when(chat: Chat, outcome: Outcome, holds: Callable[[str], bool]) -> dict[str, Any]:
    """What a cell's one display has become, once its text does what it must."""
    (shown,) = outcome.of_type("display_data")

    def fits(message: Received) -> bool:
        is_ours = message.type == "update_display_data" and shown_by(message) == shown_by(shown)
        return is_ours and holds(message.content["data"]["text/plain"])

    return dict(chat.kernel.wait_for(fits).content["data"])


def test_the_cell_ends_and_the_answer_comes_later(begun: Chat) -> None:
    """In its own output, whatever ran meanwhile; the turn is in its slot, the reply where it was told to go."""
    outcome = begun.run("%%chat --background --into note -m gated\nhello", "asking").checked()
    other = begun.run("print('meanwhile')\n'out'", "other").checked()
    assert "asking gated" in outcome.bundles[0]["text/plain"]
    assert begun.kernel.value("'note' in globals()") is False
    assert "being answered" in begun.run("%chat", "look").bundles[0]["text/plain"]

    begun.server.open_gate()
    bundle = bundle_when(begun, outcome, lambda text: text.startswith("before after"))

    assert "<p>before after</p>" in bundle["text/html"]
    ended(begun, "'note' in globals()")
    assert begun.kernel.value("(note.text, _reply.text)") == ("before after", "before after")
    slots = f"[(slot.key.ordinal, [turn.text for turn in slot.versions]) for slot in {SESSION}.current.slots]"
    assert begun.kernel.value(slots) == [(0, ["before after"])]
    # Front ends go by the display's id. ipykernel 7 also names the cell as parent, where a thread carries its context.
    assert [m.type for m in begun.kernel.published(other.id) if "display" in m.type] == []


def test_text_is_seen_while_it_arrives(begun: Chat) -> None:
    """In the display of the cell, which has ended."""
    outcome = asked(begun, f"%%chat --background -m {ENDLESS}\ncount", "asking")

    assert len(outcome.of_type("display_data")) == 1
    assert not begun.server.requests[-1].is_over


def test_several_at_once_in_different_conversations(begun: Chat) -> None:
    """Each in its own conversation and output; one stopped by its number goes alone."""
    first = asked(begun, f"%%chat --background -c one -m {ENDLESS}\nfirst", "one")
    second = asked(begun, f"%%chat --background -c two -m {ENDLESS}\nsecond", "two")
    assert sum(not one.is_over for one in begun.server.requests) == 2

    begun.run("%chat use one", "use").checked()
    stopped = begun.run("%chat stop 1", "stop").checked()

    assert stopped.stdout == "1 answer stopped\n"
    bundle_when(begun, first, lambda text: "interrupted" in text)
    assert begun.kernel.value(f"[len(c.turns) for c in {SESSION}.conversations if c.name in ('one', 'two')]") == [1, 0]
    again = begun.run("%chat stop", "stop").checked()
    assert again.stdout == "1 answer stopped\n"
    bundle_when(begun, second, lambda text: "interrupted" in text)
    assert begun.run("%chat stop", "stop").checked().stdout == "nothing is being answered\n"


def test_stopping_again_and_late_hits_nothing_else(begun: Chat) -> None:
    """A turn's id is stopped once: pressed twice, after its end, and while the next turn starts."""
    asked(begun, f"%%chat --background -m {ENDLESS}\nfirst", "first")
    begun.run(f"%%chat --background -m {ENDLESS}\nsecond", "second").checked()
    number = len(begun.server.requests)
    code = f"""
session = {SESSION}
first, second = [run.turn_id for run in session.watchers.runs]
pressed = [session.stop(first), session.stop(first)]
"""
    begun.run(code, "press").checked()
    # The second turn waited behind the first: it is sent now, and the button of the first is pressed once more.
    begun.server.wait_until(lambda: len(begun.server.requests) > number)
    late = begun.kernel.value("(pressed, session.stop(first), session.stop(''))")

    assert late == ([True, False], False, False)
    assert begun.kernel.value("[run.turn_id == second for run in session.watchers.runs]") == [True]
    assert [turn["role"] for turn in begun.server.requests[-1].body["messages"]] == ["user", "assistant", "user"]


def test_the_same_conversation_waits_visibly_and_in_order(begun: Chat) -> None:
    """A cell that waits behind a background turn says so, and an interrupt of the cell stops the cell alone."""
    asked(begun, f"%%chat --background -m {ENDLESS}\nfirst", "first")
    number = len(begun.server.requests)
    begun.run("from llm_magic.views import static; static.STATUS_AFTER_S = 0", "at once").checked()
    waiting = begun.kernel.submit("%%chat\nsecond", cell_id="second")
    begun.kernel.wait_for(
        lambda m: "display" in m.type and "waiting: another answer" in m.content["data"]["text/html"],
        parent_id=waiting,
    )

    begun.kernel.interrupt()
    outcome = begun.kernel.finish(waiting)

    begun.run("static.STATUS_AFTER_S = 3600", "later").checked()
    assert begun.one_line(outcome) == "Interrupted: nothing had arrived"
    assert len(begun.server.requests) == number
    assert not begun.server.requests[-1].is_over
    assert begun.run("%chat stop", "stop").stdout == "1 answer stopped\n"
    statuses = f"[slot.latest.status for slot in {SESSION}.current.slots]"
    assert begun.kernel.value(statuses) == ["interrupted", "interrupted"]


def test_an_error_is_a_line_in_the_output(begun: Chat) -> None:
    """With its hint; nothing is printed by a thread, and the next cells run."""
    outcome = begun.run("%%chat --background --into broken -m status-401\nhello", "asking").checked()

    bundle = bundle_when(begun, outcome, lambda text: "failed" in text)

    assert "failed: The key was refused (HTTP 401)" in bundle["text/plain"]
    assert "Hint:" in bundle["text/html"]
    ended(begun, "'broken' in globals()")
    assert begun.kernel.value("broken.turn.status") == "failed"
    assert not [m for m in begun.kernel.messages if m.parent_id == outcome.id and m.type in ("error", "stream")]


def test_a_stream_that_breaks_keeps_its_text_and_says_why(begun: Chat) -> None:
    """As below a cell that waits."""
    outcome = begun.run("%%chat --background -m drop@3\nhello", "asking").checked()

    bundle = bundle_when(begun, outcome, lambda text: "truncated" in text)

    assert begun.server.text_of("tokens-3") in bundle["text/plain"]
    assert "Hint:" in bundle["text/plain"]


def test_an_aside_goes_on_as_well(begun: Chat) -> None:
    """It is not added, and its reply is there at the end; --quiet shows nothing."""
    outcome = begun.run("%%llm --background --quiet --into aside\nin passing", "asking").checked()

    ended(begun, "'aside' in globals()")

    assert begun.kernel.value("aside.text") == "in passing"
    assert begun.kernel.value(f"len({SESSION}.current.slots)") == 0
    assert not outcome.bundles


def test_a_line_magic_cannot(begun: Chat) -> None:
    """It gives its reply back."""
    outcome = begun.run("x = %llm --background hello", "asking")

    assert begun.one_line(outcome).startswith("ConfigurationError: --background is not for %llm.")


def test_what_cannot_be_asked_is_the_cells_own_error(begun: Chat) -> None:
    """At once, as ever."""
    outcome = begun.run("%%chat --background\n{{ missing }}", "asking")

    assert begun.one_line(outcome).startswith("InterpolationError: No variable named 'missing'")


def test_where_nobody_watches_the_cell_waits(begun: Chat) -> None:
    """nbclient ends its kernel after the last cell: the answer is in the notebook before."""
    begun.run("%chat config view=auto", "config").checked()

    outcome = begun.kernel.run("%%chat --background\nhello there").checked()

    assert outcome.bundles[0]["text/plain"].startswith("hello there")


def test_where_displays_are_not_updated_two_lines_are_printed(begun: Chat) -> None:
    """One says that it was asked, one where the answer is."""
    begun.run("%chat config view=plain", "config").checked()

    outcome = begun.run("%%chat --background -m echo\nhello there", "asking").checked()
    begun.kernel.wait_for(lambda m: m.type == "stream" and "answered" in m.content["text"], parent_id=outcome.id)

    printed = "".join(m.content["text"] for m in begun.kernel.published(outcome.id) if m.type == "stream")
    assert printed == "[turn 1: asked in the background]\n[turn 1: answered · %chat show 1]\n"
    begun.run("%chat config view=static", "config").checked()


def test_an_interrupt_while_the_cell_asks_stops_the_answer(begun: Chat) -> None:
    """It is the cell's interrupt as long as the cell runs: one line, and the cells behind it do not run."""
    code = f"""
import signal
session = {SESSION}
def ask(asked, ask=session.ask):
    run = ask(asked)
    signal.raise_signal(signal.SIGINT)
    return run
session.ask = ask
try:
    get_ipython().run_cell_magic("chat", "--background -m {ENDLESS}", "count")
finally:
    del session.ask
"""

    outcome = begun.run(code, "interrupting")

    assert begun.one_line(outcome).startswith("Interrupted: the answer is being closed")
    ended(begun, "not session.watchers.runs")
    assert begun.kernel.value("[slot.latest.status for slot in session.current.slots]") == ["interrupted"]


def test_watchers_hear_what_python_did_in_a_cell(begun: Chat) -> None:
    """Commands are not the only ones to change a conversation: news come with the end of each cell."""
    begun.run(f"news = []\nremove = {SESSION}.watch(news.append)", "watch").checked()
    begun.run("news.clear()\nimport llm_magic\nllm_magic.conversation().system = 'Be brief.'", "change").checked()

    assert begun.kernel.value("[type(one).__name__ for one in news]") == ["Changed"]
    begun.run("remove()\nllm_magic.conversation().system = None", "done").checked()


# Pages


class Page:
    """A page that shows the live view of a cell, and what its buttons say."""

    def __init__(self, chat: Chat, outcome: Outcome) -> None:
        self._kernel = chat.kernel
        opened = chat.kernel.wait_for(
            lambda m: m.type == "comm_open" and "snap" in m.content["data"]["state"], parent_id=outcome.id
        )
        self.snap = opened.content["data"]["state"]["snap"]
        (self.turn_id,) = [turn["w"] for turn in self.snap["turns"].values()]
        self.say(k="hello")

    def say(self, **message: Any) -> None:
        """Say something on the control channel."""
        self._kernel.send("llm_magic", {"t": self.snap["t"], **message}, channel="control")

    def press_stop(self) -> None:
        """Press the button."""
        self.say(k="stop", turn=self.turn_id)


@pytest.fixture
def live(begun: Chat) -> Chat:
    """The same, for pages."""
    begun.run("%chat config view=live", "config").checked()
    return begun


def is_final(outcome: Outcome) -> Callable[[Received], bool]:
    """Whether a message is the last state of a cell's display."""
    (shown,) = outcome.of_type("display_data")
    return lambda m: (
        m.type == "update_display_data"
        and shown_by(m) == shown_by(shown)
        and "interrupted" in m.content["data"]["text/plain"]
    )


def test_the_widget_is_made_in_the_cell_and_fed_after_it(live: Chat) -> None:
    """Its display stands in the cell's output before the cell ends; patches come, and at last the static output."""
    outcome = asked(live, f"%%chat --background -m {ENDLESS}\ncount", "widget")
    (shown,) = outcome.of_type("display_data")
    assert any("widget-view" in name for name in shown.content["data"])
    page = Page(live, outcome)

    live.kernel.wait_for(lambda m: m.type == "comm_msg" and bool(m.content["data"].get("content", {}).get("turns")))
    page.press_stop()

    final = live.kernel.wait_for(is_final(outcome))
    assert set(final.content["data"]) == {"text/html", "text/plain"}


def test_a_failure_is_told_in_the_widgets_display(live: Chat) -> None:
    """As where there are no widgets."""
    outcome = live.run("%%chat --background -m status-401\nhello", "failing").checked()

    bundle = bundle_when(live, outcome, lambda text: "failed" in text)

    assert "Hint:" in bundle["text/plain"]


def test_buttons_stop_their_own_turn_alone(live: Chat) -> None:
    """Pressed twice, pressed late, pressed while the next turn starts, or with another's id: nothing else is hit."""
    first = asked(live, f"%%chat --background -c left -m {ENDLESS}\nfirst", "left")
    other = asked(live, f"%%chat --background -c right -m {ENDLESS}\nother", "right")
    page, other_page = Page(live, first), Page(live, other)

    other_page.say(k="stop", turn=page.turn_id)
    other_page.say(k="stop", turn="unknown")
    page.press_stop()
    page.press_stop()
    live.kernel.wait_for(is_final(first))
    page.press_stop()
    second = asked(live, f"%%chat --background -c left -m {ENDLESS}\nsecond", "left second")
    page.press_stop()
    # What was said before has been heard when this is.
    second_page = Page(live, second)
    live.kernel.ask("kernel_info_request", {}, channel="control")

    under_way = live.kernel.value(f"[run.turn_id for run in {SESSION}.watchers.runs if not run.is_stopping]")
    assert under_way == [other_page.turn_id, second_page.turn_id]
    assert sum(not one.is_over for one in live.server.requests) == 2
    other_page.press_stop()
    live.kernel.wait_for(is_final(other))
    assert live.kernel.value(f"[run.turn_id for run in {SESSION}.watchers.runs]") == [second_page.turn_id]


def test_a_button_does_not_wait_for_the_cell_that_runs(live: Chat) -> None:
    """A background turn is stopped while another cell blocks the kernel."""
    outcome = asked(live, f"%%chat --background -m {ENDLESS}\ncount", "behind")
    page = Page(live, outcome)
    blocking = live.kernel.submit(
        f"import time\nwhile {SESSION}.watchers.runs: time.sleep(0.01)\nprint('over')", cell_id="blocking"
    )
    live.kernel.wait_for(lambda m: m.type == "execute_input", parent_id=blocking)

    page.press_stop()

    assert live.kernel.finish(blocking).checked().stdout == "over\n"
    live.kernel.wait_for(is_final(outcome))


# The end


@contextlib.contextmanager
def streaming(home: Path, server: FakeServer, path: Path) -> Iterator[Kernel]:
    """A kernel whose background turn shows some text."""
    environ = {
        "OPENAI_API_KEY": "sk-canary",
        "OPENAI_BASE_URL": server.url,
        "LLM_MAGIC_MODEL": ENDLESS,
        "LLM_MAGIC_STORE": str(path),
        "LLM_MAGIC_VIEW": "static",
    }
    with Kernel(home, environ=environ) as kernel:
        kernel.run("%load_ext llm_magic", cell_id="load").checked()
        kernel.run("%%chat --background\ncount", cell_id="asking").checked()
        kernel.wait_for(shows_text)
        yield kernel


def interrupted_and_kept(server: FakeServer, path: Path) -> None:
    """The server saw the disconnect; the store has the partial turn, marked, and its row."""
    server.wait_until(lambda: server.requests[-1].is_over)
    assert server.requests[-1].disconnected_at is not None
    with contextlib.closing(Store(str(path))) as store:
        (kept,) = store.conversations()
        (turn,) = store.read(kept.id).turns
        (row,) = store.ledger()
    assert (turn.status, turn.error) == ("interrupted", None)
    assert turn.text
    assert server.text_of(ENDLESS).startswith(turn.text)
    assert (row.status, row.turn_id, row.is_estimate) == ("interrupted", turn.id, True)


@pytest.mark.parametrize("end", ["shutdown", "restart"])
def test_the_end_of_the_kernel_ends_background_turns_cleanly(tmp_path: Path, fake_server: FakeServer, end: str) -> None:
    """What came is kept, in the store and in the ledger; nobody goes on paying."""
    path = tmp_path / "store.db"

    with streaming(tmp_path / "home", fake_server, path) as kernel:
        if end == "restart":
            kernel.restart()

    interrupted_and_kept(fake_server, path)


def test_unloading_ends_background_turns(tmp_path: Path, fake_server: FakeServer) -> None:
    """Their last state is drawn in their output, and the kernel lives on."""
    path = tmp_path / "store.db"

    with streaming(tmp_path / "home", fake_server, path) as kernel:
        kernel.run("%unload_ext llm_magic", cell_id="unload").checked()
        updates = [m.content["data"]["text/plain"] for m in kernel.messages if m.type == "update_display_data"]
        assert "interrupted" in updates[-1]
        fake_server.wait_until(lambda: fake_server.requests[-1].is_over)
        assert kernel.value("1 + 1") == 2

    interrupted_and_kept(fake_server, path)
