"""The live view without a page: when it shows its widget, how often it sends, and how it goes on unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest
from comm.base_comm import BaseComm

from llm_magic.events import Completed, ReasoningDelta, TextDelta, Waiting
from llm_magic.reply import answer_bundle
from llm_magic.views import live
from llm_magic.views.channel import Channel
from llm_magic.views.live import PATCH_AT_LEAST_EVERY_S, PATCH_EVERY_S, SNAPSHOTS_AFTER_S, LiveView, interval_s
from llm_magic.views.plain import STATUS_AFTER_S
from llm_magic.views.static import Display
from llm_magic.views.widgets import VIEW_TYPE
from tests.fakes import asked
from tests.fakes.calls import PARIS, ROME, progress
from tests.fakes.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from llm_magic.events import Event
    from llm_magic.turns import Status, Turn

PATIENCE_S = 3.0
DONE = Completed(finish_reason="stop", model="m")


class Recorder(Display):
    """Takes what would be displayed."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[dict[str, Any]] = []

    @property
    def is_shown(self) -> bool:
        return bool(self.shown)

    def show(self, bundle: Mapping[str, Any]) -> None:
        self.shown.append(dict(bundle))


class Line:
    """All that is said on the comms of a test's widgets, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def create(self, **options: Any) -> BaseComm:
        line = self

        class Recorded(BaseComm):
            def publish_msg(self, msg_type: str, data: Any = None, *_more: Any, **_options: Any) -> None:
                line.said.append((msg_type, data or {}))

        return Recorded(**options)

    @property
    def patches(self) -> list[dict[str, Any]]:
        """Numbered patches."""
        return [one for one in self.customs if one["k"] == "p"]

    @property
    def customs(self) -> list[dict[str, Any]]:
        """Messages to the page."""
        return [data["content"] for kind, data in self.said if kind == "comm_msg" and data["method"] == "custom"]

    @property
    def wholes(self) -> list[dict[str, Any]]:
        """Whole states sent after the first."""
        return [data["state"]["snap"] for kind, data in self.said if kind == "comm_msg" and data["method"] == "update"]


class Shown:
    """A live view, what it displays and what it sends; time passes when told."""

    def __init__(self, line: Line, clock: Clock, later: list[Callable[[], object]], **options: Any) -> None:
        self.line = line
        self.clock = clock
        self.later = later
        self.run = asked.run()
        self.deaf = 0
        self.events: list[Event] = []
        options = {"patience_s": PATIENCE_S, "on_deaf": self._note_deaf} | options
        self.view = LiveView(self.run, waiting="asking m", channel=Channel(object()), **options)  # type: ignore[arg-type]  # no kernel
        self.display = Recorder()
        self.view._display = self.view._static._display = self.display

    def _note_deaf(self) -> None:
        self.deaf += 1

    def play(self, *events: Event, for_s: float = 0.0) -> None:
        """Take events, then let time pass."""
        for event in events:
            self.events.append(event)
            self.view.add(event)
        self.view.tick()
        end = self.clock.now + for_s
        while self.clock.now < end:
            self.clock.now += 0.01
            self.view.tick()

    def end(self, status: Status | None = None) -> Turn:
        """End the turn."""
        turn = asked.ended(self.run.plan, *self.events, DONE, status=status)
        self.view.end(turn)
        return turn

    def say(self, kind: str, **more: Any) -> None:
        """Let a page say something."""
        self.view.hear({"k": kind, **more})


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """What pages would be sent; no widget is left when the test ends."""
    made = Line()
    monkeypatch.setattr("comm.create_comm", made.create)
    yield made
    ipywidgets.Widget.close_all()


@pytest.fixture
def shown(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Shown]]:
    """Makes views; what they are to do later waits for the test, and their runs end with it."""
    clock, later, made = Clock(), list[Any](), list[Shown]()

    class Later:
        def later(self, _delay_s: float, function: Callable[[], object]) -> None:
            later.append(function)

    def make(**options: Any) -> Shown:
        made.append(Shown(line, clock, later, **options))
        return made[-1]

    monkeypatch.setattr("time.monotonic", clock)
    monkeypatch.setattr("llm_magic.views.live.shared_engine", Later)
    yield make
    monkeypatch.undo()
    for one in made:
        one.run.cancel()


def test_nothing_is_shown_before_there_is_something_to_see(shown: Callable[..., Shown], line: Line) -> None:
    """A quick answer makes no waiting line; one that takes its time a widget that says so."""
    one = shown()
    one.play(for_s=STATUS_AFTER_S - 0.05)
    assert not one.display.shown
    assert not line.said

    one.play(Waiting(reason="another one"), for_s=0.1)

    (bundle,) = one.display.shown
    assert bundle["text/plain"] == "(asking m …)"
    assert VIEW_TYPE in bundle
    (state,) = [data["state"]["snap"] for kind, data in line.said if "snap" in data.get("state", {})]
    ((_, turn),) = state["turns"].items()
    assert (turn["s"], turn["wait"]) == ("waiting", "Waiting: another one")


def test_the_first_word_is_in_the_first_state(shown: Callable[..., Shown], line: Line) -> None:
    """No further message is needed to see it."""
    one = shown()

    one.play(TextDelta(text="hello"))

    (state,) = [data["state"]["snap"] for kind, data in line.said if "snap" in data.get("state", {})]
    assert state["turns"][one.run.turn_id]["a"] == ["<p>hello</p>\n"]
    assert state["late"] is False
    assert line.patches == []


@pytest.mark.capability("G20")
def test_patches_are_seldom_and_carry_all_that_came(shown: Callable[..., Shown], line: Line) -> None:
    """However many words come, no more than twenty messages a second; and none while nothing comes."""
    one = shown()
    one.play(ReasoningDelta(text="hm"))
    one.say("hello")
    for _ in range(100):
        one.play(TextDelta(text="word "), for_s=0.01)
    assert 5 <= len(line.patches) <= 1 / PATCH_EVERY_S

    one.play(for_s=1)
    before = len(line.patches)
    one.play(for_s=60)
    assert len(line.patches) == before
    assert [patch["q"] for patch in line.patches] == list(range(line.patches[0]["q"], line.patches[-1]["q"] + 1))


def test_the_more_waits_the_longer_a_patch_may_take() -> None:
    """Between the two bounds."""
    waits = [interval_s(pending) for pending in (0, 10, 100, 10_000)]

    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (PATCH_EVERY_S, PATCH_AT_LEAST_EVERY_S)


def test_where_no_page_comes_the_display_goes_on(shown: Callable[..., Shown], line: Line) -> None:
    """The whole is sent at growing intervals, then the answer is shown as where there are no widgets, and told once."""
    one = shown(patience_s=5.0)
    one.play(TextDelta(text="hello "), for_s=4.9)
    assert len(line.wholes) == len([at for at in SNAPSHOTS_AFTER_S if at < 4.9])
    assert all(whole["late"] is False for whole in line.wholes)
    assert (len(one.display.shown), one.deaf) == (1, 0)

    one.play(TextDelta(text="world"), for_s=10)

    assert one.deaf == 1
    assert "<p>hello world</p>" in one.display.shown[1]["text/html"]
    assert VIEW_TYPE not in one.display.shown[1]
    assert one.display.shown[-1] != one.display.shown[0]
    turn = one.end()
    assert one.display.shown[-1] == answer_bundle(turn)


def test_a_page_that_is_heard_is_trusted(shown: Callable[..., Shown], line: Line) -> None:
    """Nothing is sent twice for its sake, and the display stays a widget to the end."""
    one = shown()
    one.play(TextDelta(text="hello "))
    one.say("hello")
    one.play(TextDelta(text="world"), for_s=60)
    assert line.wholes == []
    assert (len(one.display.shown), one.deaf) == (1, 0)

    turn = one.end()

    assert one.display.shown[1:] == [answer_bundle(turn)]
    (last,) = line.patches[-1]["turns"].values()
    assert last["s"] == "complete"


def test_need_is_answered_by_the_whole_or_by_a_word(shown: Callable[..., Shown], line: Line) -> None:
    """Whoever is behind gets everything; who is not is told so."""
    one = shown()
    one.play(TextDelta(text="hello"))
    one.say("hello")
    one.say("need", q=0)
    (whole,) = line.wholes

    one.say("need", q=whole["q"])

    assert line.customs[-1] == {"k": "same"}
    assert len(line.wholes) == 1


def test_stop_hits_its_own_turn_alone(shown: Callable[..., Shown], line: Line) -> None:
    """Each is acknowledged, however often and late; one of another turn is nothing."""
    one, other = shown(), shown()
    for view in (one, other):
        view.play(TextDelta(text="hello"))
    one.say("stop", turn=other.run.turn_id)
    one.say("stop")
    assert not one.run.is_stopping
    assert not other.run.is_stopping

    one.say("stop", turn=one.run.turn_id)
    one.say("stop", turn=one.run.turn_id)
    assert one.run.wait(60)
    one.end("interrupted")
    one.say("stop", turn=one.run.turn_id)

    assert not other.run.is_stopping
    assert [message for message in line.customs if message["k"] == "ack"] == 3 * [{"k": "ack", "turn": one.run.turn_id}]


def test_a_page_that_still_shows_the_view_gets_the_answer_again(shown: Callable[..., Shown], line: Line) -> None:
    """The message that should have replaced the view was lost, or the page is a later one, which gets it for itself."""
    one = shown()
    one.play(TextDelta(text="hello"))
    one.say("shown")
    assert len(one.display.shown) == 1

    one.end()
    one.say("shown")

    assert one.display.shown[1] == one.display.shown[2] == line.customs[-1]["data"]
    assert line.customs[-1]["k"] == "kept"
    assert one.display.shown[0][VIEW_TYPE]["model_id"] == f"{one.run.turn_id}-view"


@pytest.mark.parametrize(("is_blocking", "says"), [(True, ""), (False, "[failed")])
def test_what_failed_leaves_no_view(shown: Callable[..., Shown], *, is_blocking: bool, says: str) -> None:
    """A cell that waits shows the error itself; one that does not gets it in the display."""
    one = shown(is_blocking=is_blocking)
    one.play(for_s=1)
    one.end("failed")

    assert VIEW_TYPE in one.display.shown[0]
    assert VIEW_TYPE not in one.display.shown[-1]
    assert one.display.shown[-1]["text/plain"].startswith(says)
    assert bool(one.display.shown[-1]["text/html"]) is bool(says)


def test_what_failed_before_anything_was_shown_shows_nothing(shown: Callable[..., Shown], line: Line) -> None:
    """The error is the one line."""
    one = shown()
    one.play()
    one.end("failed")

    assert not any((one.display.shown, line.said, one.later))


def test_the_widget_is_closed_later_unless_a_late_page_has_it(shown: Callable[..., Shown], line: Line) -> None:
    """With its layout; nothing of it is left in the kernel."""
    before = set(ipywidgets.widgets.widget._instances)
    one, other = shown(), shown()
    for view in (one, other):
        view.play(TextDelta(text="hello"))
        view.end()
    one.say("hello", late=False)
    other.say("hello", late=True)
    assert [kind for kind, _ in line.said].count("comm_open") == 4
    for call in one.later:
        call()

    assert [kind for kind, _ in line.said].count("comm_close") == 2
    left = [ipywidgets.widgets.widget._instances[key] for key in set(ipywidgets.widgets.widget._instances) - before]
    assert sorted(type(widget).__name__ for widget in left) == ["Layout", "LiveWidget"]


def test_a_page_that_asks_for_everything_comes_late(shown: Callable[..., Shown], line: Line) -> None:
    """It gets the state as it is now, and learns that it is late; one that is merely sent the whole does not."""
    one = shown()
    one.play(TextDelta(text="hello"))
    (widget,) = [w for w in ipywidgets.widgets.widget._instances.values() if type(w).__name__ == "LiveWidget"]

    assert widget.get_state()["snap"]["late"] is True
    assert widget.get_state("snap")["snap"]["late"] is False
    assert "snap" not in widget.get_state("_esm")
    assert live.GRACE_S >= 60


def test_pages_can_be_asked_once_they_are_heard(shown: Callable[..., Shown]) -> None:
    """Not known while one may still come; then yes; no where none came."""
    seen, unseen = shown(), shown()
    for one in (seen, unseen):
        one.play(progress(0, PARIS, "asking"))
        assert one.view.can_ask is None

    seen.say("hello")
    for one in (seen, unseen):
        one.play(for_s=PATIENCE_S + 0.1)

    assert (seen.view.can_ask, unseen.view.can_ask) == (True, False)


@pytest.mark.capability("G9", "G20")
def test_a_word_of_a_page_answers_the_question_it_names(shown: Callable[..., Shown], line: Line) -> None:
    """It is acknowledged to all pages, and the next patch takes the question from them."""
    one = shown()
    first, second = progress(0, PARIS, "asking"), progress(1, ROME, "asking")
    one.play(first, second)
    one.say("hello")
    turn = one.run.turn_id
    one.say("permit", turn="another", call=0, answer="yes")
    one.say("permit", call=0, answer="yes")
    assert not line.customs
    one.say("permit", turn=turn, call=0, answer="perhaps")
    assert first.question is not None
    assert first.question.is_open

    one.say("permit", turn=turn, call=0, answer="always")
    one.say("permit", turn=turn, call=0, answer="no")
    one.play(for_s=0.1)

    assert first.question.decision is not None
    assert first.question.decision.answer == "always"
    assert second.question is not None
    assert second.question.is_open
    acknowledged = [said for said in line.customs if said["k"] == "ack"]
    assert acknowledged == [
        {"k": "ack", "turn": turn, "call": 0, "is_taken": is_taken} for is_taken in (False, True, False)
    ]
    assert [asks["call"] for asks in line.patches[-1]["turns"][turn]["asks"]] == [1]


def test_a_page_that_comes_late_sees_the_question(shown: Callable[..., Shown], line: Line) -> None:
    """It is in the whole state, which a reload asks for."""
    one = shown()
    one.play(TextDelta(text="a"))
    one.say("hello")
    one.play(progress(0, PARIS, "asking"), for_s=0.1)

    one.say("need", q=0)

    assert [asks["name"] for asks in line.wholes[-1]["turns"][one.run.turn_id]["asks"]] == ["get_weather"]
