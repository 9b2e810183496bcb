"""The live view in a real kernel: what it sends, and what comes of what pages say while the cell blocks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.rendering import markdown_html
from tests.fakes.frontends import Recorded
from tests.fakes.pages import TurnPage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.conftest import Chat
    from tests.kernel.harness import Outcome, Received

pytestmark = pytest.mark.kernel
ENDLESS = "%%chat -m tokens-20000@100\ncount"
STALLING = "%%chat -m stall\nsing"
SESSION = "get_ipython()._llm_magic.session"
VIEW = "application/vnd.jupyter.widget-view+json"
ANSWERS = sorted((Path(__file__).parents[1] / "fixtures" / "answers").glob("*.md"))
# A disconnect has to be seen by the server within this. Seconds, the least of TRIES: a busy machine adds to each.
DISCONNECT_S = 0.5
TRIES = 5
FOR_EVER_S = 3600


@pytest.fixture
def begun(chat: Chat) -> Iterator[Chat]:
    """The chat kernel with an empty conversation, patient with pages."""
    chat.begin()
    constants(chat)
    yield chat
    constants(chat, known=3.0, unknown=1.0, grace=60.0)


def constants(
    chat: Chat,
    *,
    known: float = FOR_EVER_S,
    unknown: float = FOR_EVER_S,
    grace: float = FOR_EVER_S,
    status: float = 0.5,
) -> None:
    """Set how long views wait for a page, widgets for a late one, and displays for something to show."""
    chat.run(
        "from llm_magic.magics import showing\nfrom llm_magic.views import live\n"
        f"showing.KNOWN_PATIENCE_S, showing.UNKNOWN_PATIENCE_S = {known}, {unknown}\n"
        f"live.GRACE_S, live.STATUS_AFTER_S = {grace}, {status}",
        "constants",
    ).checked()


def opened(chat: Chat, code: str, cell_id: str = "cell") -> tuple[str, TurnPage]:
    """Submit a cell and open a page on its live view."""
    request_id = chat.kernel.submit(code, cell_id=cell_id)
    page = TurnPage.of_cell(chat.kernel, request_id)
    page.say("hello")
    return request_id, page


def kept(outcome: Outcome) -> dict[str, Any]:
    """The bundle of the one display of a cell."""
    (bundle,) = outcome.bundles
    return bundle


def status(message: Received) -> str | None:
    """The execution state a message says."""
    return str(message.content["execution_state"]) if message.type == "status" else None


def instances(chat: Chat) -> list[str]:
    """Models that ipywidgets keeps."""
    code = "[type(one).__name__ for one in __import__('ipywidgets').widgets.widget._instances.values()]"
    return list(chat.kernel.value(code))


@pytest.mark.capability("G20")
def test_page_sees_the_answer_grow_and_the_notebook_keeps_static_html(begun: Chat) -> None:
    """The display is a widget while the answer arrives, and text and HTML alone in the end."""
    request_id, page = opened(begun, "%%chat -m slow@0.02 --raw\n" + "one **two** three four " * 5)
    page.see(lambda page: "<strong>two</strong>" in page.html)
    page.see(lambda page: page.turn["s"] == "complete")
    assert page.states[-2:] == ["running", "complete"]
    outcome = begun.kernel.finish(request_id).checked()

    (shown,) = outcome.of_type("display_data")
    assert shown.content["data"][VIEW]["model_id"] == page.model_id
    assert set(kept(outcome)) == {"text/html", "text/plain"}
    assert page.html == markdown_html(begun.kernel.value("_reply.text"))
    assert page.html in kept(outcome)["text/html"]
    assert page.turn["foot"] in kept(outcome)["text/plain"]
    assert len(outcome.of_type("display_data", "update_display_data")) == 2


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_what_the_page_has_is_the_saved_answer(begun: Chat, path: Path) -> None:
    """Whatever is in an answer, and however it is cut: page, notebook and turn hold the same."""
    text = path.read_text(encoding="utf-8")
    begun.kernel.run(f"prompt = {text!r}").checked()

    request_id, page = opened(begun, "%%chat -m shards@0.0005\n{{ prompt }}")
    page.see(lambda page: page.turn["s"] == "complete")
    outcome = begun.kernel.finish(request_id).checked()

    answer = begun.kernel.value("_reply.text")
    assert answer.strip() == text.strip()
    assert page.html == markdown_html(answer)
    assert page.html in kept(outcome)["text/html"]


def test_pictures_that_were_sent_are_over_the_answer(begun: Chat) -> None:
    """The page shows them small while the answer arrives; so does the notebook, with the same few kB."""
    begun.kernel.run("from PIL import Image; photo = Image.effect_noise((800, 600), 64)").checked()

    request_id, page = opened(begun, "%%chat -m slow@0.01\nWhat is in {{ photo }}?")
    page.see(lambda page: page.turn["s"] == "complete")
    html = kept(begun.kernel.finish(request_id).checked())["text/html"]

    pictures = page.turn["pics"]
    assert pictures.startswith('<div class="llm-magic-pictures"><img ')
    assert pictures in html
    assert html.index(pictures) < html.index(page.html)
    assert len(pictures) < 11_000


def test_page_that_gets_no_patch_asks_for_the_whole_and_is_exact(begun: Chat) -> None:
    """What a server drops is made good by one answer to ``need``; who misses nothing is told so in a word."""
    request_id, page = opened(begun, ENDLESS)
    had = len(page.html)
    page.see(lambda page: page.lost > 200, is_lossy=True)
    assert len(page.html) == had
    page.say("need")
    page.see(lambda page: len(page.html) > had, is_lossy=True)
    page.stop()
    outcome = begun.kernel.finish(request_id)
    page.look(is_lossy=True)
    assert page.turn["s"] == "running"

    page.say("need")
    page.see(lambda page: page.turn["s"] == "interrupted", is_lossy=True)
    page.say("need")
    page.see(lambda page: {"k": "same"} in page.said, is_lossy=True)

    assert page.html in kept(outcome)["text/html"]
    assert page.html == markdown_html(begun.kernel.value(f"{SESSION}.last.text"))


@pytest.mark.capability("G22", "K1")
def test_stop_closes_the_connection_within_half_a_second(begun: Chat) -> None:
    """Said while the cell blocks: the server sees it go, the cell ends with one line, what came is kept."""
    waits = []
    for _ in range(TRIES):
        request_id, page = opened(begun, ENDLESS)
        page.see(lambda page: len(page.html) > 10)
        at = time.monotonic()
        page.stop()
        outcome = begun.kernel.finish(request_id)
        request = begun.server.requests[-1]
        begun.server.wait_until(lambda r=request: r.is_over)  # type: ignore[misc]  # r has a default
        assert request.disconnected_at is not None
        waits.append(request.disconnected_at - at)
        assert begun.one_line(outcome).endswith("characters kept")
        assert "interrupted" in kept(outcome)["text/plain"]
        assert begun.kernel.value(f"{SESSION}.last.status") == "interrupted"

    assert min(waits) < DISCONNECT_S


def test_stop_pressed_again_and_again_stops_once(begun: Chat) -> None:
    """Twice at once, and after the end: every one is acknowledged, the cell has one error, the next one is unharmed."""
    request_id, page = opened(begun, ENDLESS)
    page.see(lambda page: len(page.html) > 10)
    page.stop()
    page.stop()
    outcome = begun.kernel.finish(request_id)
    page.stop()
    page.see(lambda page: [one["k"] for one in page.said].count("ack") == 3)

    assert begun.one_line(outcome).startswith("Interrupted")
    begun.run("%%chat\nnext", "next").checked()
    assert begun.kernel.value("_reply.text") == "next"


def test_stop_of_an_ended_turn_does_not_hit_the_one_that_begins(begun: Chat) -> None:
    """A stop carries the id of its turn: said while another is answered, it is nothing."""
    ended_id, ended = opened(begun, "%%chat -m slow@0.01 --raw\none two three four", "one")
    ended.see(lambda page: page.turn["s"] == "complete")
    # The cell may not have ended yet, and the next is already waiting behind it.
    request_id = begun.kernel.submit(ENDLESS, cell_id="two")
    ended.stop()
    begun.kernel.finish(ended_id).checked()
    page = TurnPage.of_cell(begun.kernel, request_id)
    page.say("hello")
    ended.stop()
    page.say("stop", turn=ended.turn["w"])
    page.say("stop", turn="")
    page.say("stop")
    begun.kernel.send("llm_magic", {"k": "stop", "t": "other", "turn": page.turn["w"]}, channel="control")
    ended.see(lambda ended: len(ended.said) >= 2)
    tokens = begun.server.billed[-1].output_tokens
    page.see(lambda _: begun.server.billed[-1].output_tokens > tokens + 50)
    assert page.turn["s"] == "running"
    assert not page.said

    page.stop()
    assert begun.one_line(begun.kernel.finish(request_id)).startswith("Interrupted")


def test_bad_messages_are_dropped_without_a_word(begun: Chat) -> None:
    """Whatever comes on the control channel, the kernel goes on hearing, and no cell shows anything of it."""
    request_id, page = opened(begun, STALLING)
    key = page.store.whole["t"]
    bad: list[Any] = [
        {},
        {"k": "stop"},
        {"t": key},
        {"t": [key], "k": "stop"},
        {"t": {}, "k": 3},
        {"t": None, "k": "hello"},
        {"t": key, "k": {"stop": 1}},
        {"t": key, "k": "need"},
        {"t": key, "k": "need", "q": {"a": 1}},
        {"t": key, "k": "need", "q": "1"},
        {"t": key, "k": "stop", "turn": [page.turn["w"]]},
        {"t": key, "k": "hello", "late": {"very": True}, "more": [1] * 1000},
        {"t": key, "k": "shown"},
        {"t": key, "k": "other"},
    ]
    for content in bad:
        begun.kernel.send("llm_magic", content, channel="control")
    page.stop()
    outcome = begun.kernel.finish(request_id)

    assert begun.one_line(outcome).startswith("Interrupted")
    assert outcome.stdout == outcome.stderr == ""
    assert {one["k"] for one in page.said} <= {"ack", "same"}


def test_kernel_looks_busy_until_the_cell_has_ended(begun: Chat) -> None:
    """After each message of a page the cell says again that it is busy; its own "idle" is the last word."""
    request_id, page = opened(begun, ENDLESS)
    page.see(lambda page: page.store.whole["head"] == {"control": True})
    for _ in range(3):
        asked = page.say("need")
        idle = begun.kernel.wait_for(lambda message: status(message) == "idle", parent_id=asked)
        begun.kernel.wait_for(
            lambda message, since=idle: status(message) == "busy" and message.at_s > since.at_s,  # type: ignore[misc]  # it has a default
            parent_id=request_id,
        )
    page.stop()
    begun.kernel.finish(request_id)
    late = page.say("need")
    begun.kernel.wait_for(lambda message: status(message) == "idle", parent_id=late)
    begun.run("%%chat\nnext", "next").checked()

    states = [found for message in begun.kernel.published(request_id) if (found := status(message))]
    assert states[-1] == "idle"
    assert states.count("idle") == 1
    assert states.count("busy") >= 4


def test_widgets_are_closed_and_forgotten(begun: Chat) -> None:
    """After the grace time nothing of a turn is left in the kernel, nor in the page."""
    before = instances(begun)
    constants(begun, grace=0.01)
    request_id, page = opened(begun, "%%chat -m slow@0.01 --raw\none two three")
    begun.kernel.finish(request_id).checked()
    begun.kernel.wait_for(lambda m: m.type == "comm_close" and m.content["comm_id"] == page.model_id)

    begun.server.wait_until(lambda: instances(begun) == before)


def test_widget_of_a_page_that_came_late_stays(begun: Chat) -> None:
    """A reloaded page asks for every widget's state, gets the turn as it is, and keeps its widget."""
    code = """
class Later:
    calls = []
    def later(self, delay_s, function):
        self.calls.append(function)
live.shared_engine, former = Later, live.shared_engine
"""
    begun.run(code, "later").checked()
    before = instances(begun)
    request_id, page = opened(begun, "%%chat -m slow@0.01 --raw\none two three")
    begun.kernel.finish(request_id).checked()
    get_state = f"__import__('ipywidgets').widgets.widget._instances[{page.model_id!r}].get_state()"
    late = TurnPage(begun.kernel, page.model_id, begun.kernel.value(f"{get_state}['snap']"))
    assert late.turn["s"] == "complete"
    assert late.html == "<p>one two three</p>\n"

    late.say("hello", late=late.store.whole["late"])
    late.say("need")
    late.see(lambda page: {"k": "same"} in page.said)
    begun.run("live.shared_engine = former\nfor call in Later.calls: call()", "close").checked()

    assert sorted(instances(begun)) == sorted([*before, "Layout", "LiveWidget"])


@pytest.mark.parametrize(("ask", "status"), [("%%chat -m status-400", FOR_EVER_S), ("%%chat -m silent --timeout 1", 0)])
def test_failed_ask_leaves_one_line_and_no_view(begun: Chat, ask: str, status: float) -> None:
    """Where nothing had arrived the error is all there is, whether a view had been shown meanwhile or not."""
    constants(begun, status=status)

    outcome = begun.run(f"{ask}\nhello")

    assert begun.one_line(outcome).startswith(("RequestRejectedError", "BackendTimeoutError"))
    assert bool(outcome.of_type("comm_open")) is (status == 0)
    assert not any(shown for bundle in outcome.bundles for shown in bundle.values())


@pytest.mark.capability("G20")
@pytest.mark.parametrize("name", ["vscode", "colab"])
def test_front_end_without_widgets_is_remembered(begun: Chat, name: str) -> None:
    """Where no page says hello in time, the answer goes on as static HTML, and later ones begin so."""
    begun.run("%reload_ext llm_magic", "load").checked()
    constants(begun, unknown=0.2)
    recorded = Recorded.of(name)

    for is_first in (True, False):
        request = recorded.request(ENDLESS, cell=f"vscode-notebook-cell:/n.ipynb#W{is_first:d}")
        outcome = shown_as_html(
            begun, begun.kernel.send("execute_request", request["content"], metadata=request["metadata"])
        )

        assert bool(outcome.of_type("comm_open")) is is_first
        (first, *_) = outcome.of_type("display_data")
        assert (VIEW in first.content["data"]) is is_first
    begun.run("%reload_ext llm_magic", "load").checked()


def test_page_that_does_not_come_costs_one_turn_its_widget(begun: Chat) -> None:
    """In JupyterLab nobody may look just now: that answer goes on as HTML, the next one is a widget again."""
    constants(begun, known=0.2)

    for _ in range(2):
        outcome = shown_as_html(begun, begun.kernel.submit(ENDLESS, cell_id="cell"))

        (first,) = outcome.of_type("display_data")
        assert VIEW in first.content["data"]


def shown_as_html(chat: Chat, request_id: str) -> Outcome:
    """What came of an endless answer, interrupted when it was shown without a widget."""

    def is_html(message: Received) -> bool:
        bundle = message.content.get("data", {})
        return message.type.endswith("display_data") and VIEW not in bundle and "<p>" in bundle.get("text/html", "")

    chat.kernel.wait_for(is_html, parent_id=request_id)
    chat.kernel.interrupt()
    outcome = chat.kernel.finish(request_id)
    assert set(kept(outcome)) == {"text/html", "text/plain"}
    return outcome


def test_answer_that_waits_says_behind_what(begun: Chat) -> None:
    """While another turn of the conversation is answered, the page says so, and can stop the waiting."""
    code = f"""
from llm_magic.asks import Ask
from llm_magic.content import Message, TextPart
session = {SESSION}
parts = (TextPart(text="sing"),)
ahead = session.ask(Ask(prompt=(Message(role="user", parts=parts),), is_kept=True, settings={{"model": "stall"}}))
"""
    begun.run(code, "ahead").checked()

    request_id, page = opened(begun, "%%chat\nme too")
    page.see(lambda page: "wait" in page.turn)
    assert page.turn["s"] == "waiting"
    assert page.turn["wait"].startswith("Waiting: ")
    page.stop()

    assert begun.one_line(begun.kernel.finish(request_id)) == "Interrupted: nothing had arrived"
    assert begun.kernel.value("ahead.is_finished") is False
    begun.run("ahead.cancel()\n_ = ahead.wait(60)", "end").checked()
