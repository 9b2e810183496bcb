"""The views: what is written to a terminal, what is displayed in a notebook, how often, and what is left of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.events import (
    Completed,
    Event,
    NextRound,
    Notice,
    ReasoningDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolCallDelta,
    Waiting,
)
from llm_magic.turns import Status, Step, Turn, TurnBuilder
from llm_magic.views.plain import PlainNotice, PlainView, TerminalStatus
from llm_magic.views.static import Display, StaticStatus, StaticView
from tests.fakes.calls import PARIS, progress, said
from tests.fakes.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_magic.watch import View


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The views' clock."""
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    return made


class Recorder(Display):
    """Takes what would be displayed."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[dict[str, str]] = []

    @property
    def is_shown(self) -> bool:
        return bool(self.shown)

    def show(self, bundle: Mapping[str, Any]) -> None:
        self.shown.append(dict(bundle))


def ended(*events: Event, status: Status | None = None) -> Turn:
    """The turn these events make."""
    builder = TurnBuilder(Turn(id="0", prompt=(), requested_model="m"))
    for event in events:
        builder.add(event)
    return builder.build(status=status)


def play(view: View, *events: Event, status: Status | None = None) -> None:
    """Draw events and their end."""
    for event in events:
        view.add(event)
        view.tick()
    view.end(ended(*events, status=status))


DONE = Completed(finish_reason="stop", model="m")


def test_plain_view_streams_safely(capsys: pytest.CaptureFixture[str]) -> None:
    """Text is written as it comes, escape sequences cut in two included, with remarks and footer at the end."""
    play(PlainView(), TextDelta(text="red \x1b[3"), TextDelta(text="1mtext\x1b[0m \u202e"), DONE)

    assert capsys.readouterr().out == "red text <U+202E>\n[m]\n"


@pytest.mark.capability("H2")
def test_plain_view_tells_thinking_and_retries_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Reasoning is a word, a retry a line."""
    retry = Retrying(attempt=1, max_retries=2, wait_s=1.5, reason="rate limited")
    play(
        PlainView(has_footer=False),
        retry,
        ReasoningDelta(text="hm"),
        ReasoningDelta(text="hm"),
        TextDelta(text="so"),
        DONE,
    )

    assert capsys.readouterr().out == "[rate limited, retry 1/2 in 1.5 s]\n[thinking]\nso\n"


def test_plain_view_shows_json_when_it_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A form that needs the whole answer waits for it."""
    play(PlainView(form="json", has_footer=False), TextDelta(text='{"a"'), TextDelta(text=": 1}"), DONE)

    assert capsys.readouterr().out == '{\n  "a": 1\n}\n'


def test_failed_ask_leaves_nothing_but_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The error is the one line: no view adds another."""
    play(PlainView(), status="failed")
    view = StaticView(waiting="asking m")
    view._display = display = Recorder()
    play(view, status="failed")

    assert capsys.readouterr().out == ""
    assert display.shown == []


@pytest.mark.capability("G20")
def test_static_view_updates_when_half_has_been_added(clock: Clock) -> None:
    """At most twice a second, only after growth by half, and the final state always."""
    view = StaticView(waiting="asking m")
    view._display = display = Recorder()
    sizes = []
    for _ in range(1000):
        clock.now += 0.01
        view.add(TextDelta(text="word "))
        before = len(display.shown)
        view.tick()
        if len(display.shown) > before:
            sizes.append((clock.now, view._size))
    play(view, DONE)

    for (earlier, small), (later, large) in zip(sizes, sizes[1:], strict=False):
        assert later - earlier >= 0.49
        assert large >= 1.5 * small
    assert 3 < len(sizes) < 20
    assert "text/html" in display.shown[-1]


@pytest.mark.capability("H2")
def test_static_view_waits_before_it_says_so(clock: Clock) -> None:
    """A quick answer shows no waiting line; a slow one does, with retries and notices."""
    view = StaticView(waiting="asking m")
    view._display = display = Recorder()
    view.tick()
    assert display.shown == []
    clock.now += 0.6
    view.tick()
    view.tick()
    assert [bundle["text/plain"] for bundle in display.shown] == ["(asking m …)"]
    clock.now += 0.6
    view.add(Retrying(attempt=1, max_retries=2, wait_s=1.5, reason="rate limited"))
    view.add(Notice(text="the local model was <b>restarted</b>"))
    view.tick()
    assert "rate limited, retry 1/2" in display.shown[-1]["text/html"]
    assert "<b>" not in display.shown[-1]["text/html"]


def test_final_view_displays_once(clock: Clock) -> None:
    """Where nobody watches there is one display, at the end."""
    view = StaticView(waiting="asking m", is_live=False)
    view._display = display = Recorder()
    clock.now += 5
    play(view, TextDelta(text="a"), TextDelta(text="b"), DONE)

    assert len(display.shown) == 1


def test_status_line_is_emptied(clock: Clock) -> None:
    """The line of an aside is gone when it is answered; asides of one cell share it."""
    display = Recorder()
    for _ in range(2):
        status = StaticStatus("asking m", display)
        status.tick()
        clock.now += 0.6
        status.tick()
        status.end(ended(DONE))

    assert [bundle["text/plain"] for bundle in display.shown] == ["(asking m …)", "", "(asking m …)", ""]


def test_terminal_status_is_for_people(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """Nothing is written where stderr is no terminal; where it is, the line is taken away again."""
    status = TerminalStatus("asking m")
    clock.now += 1
    status.tick()
    assert capsys.readouterr().err == ""

    watched = TerminalStatus("asking \x1b[31mm")
    watched._is_watched = True
    clock.now += 1
    watched.tick()
    watched.end(ended(DONE))
    assert capsys.readouterr().err == "\rasking m\r        \r"


# Waiting, and the background


@pytest.mark.parametrize("kind", ["view", "status"])
def test_static_views_say_what_they_wait_for(kind: str, clock: Clock) -> None:
    """And when the wait is over; a reason is made safe."""
    recorder = Recorder()
    waiting, asking = "behind <b>another</b>", "asking m"
    view: View = StaticView(waiting=asking, display=recorder) if kind == "view" else StaticStatus(asking, recorder)

    for event in (Waiting(reason=waiting), Sending()):
        view.add(event)
        clock.now += 1
        view.tick()

    told = [bundle["text/html"] for bundle in recorder.shown]
    assert [("waiting: behind &lt;b&gt;" in html, "asking m" in html) for html in told] == [
        (True, False),
        (False, True),
    ]


def test_terminals_say_what_they_wait_for(
    capsys: pytest.CaptureFixture[str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line in the view, the line itself in the status."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    status = TerminalStatus("asking m")
    clock.now += 1
    status.add(Waiting(reason="another \x1b[31manswer"))
    status.tick()
    play(PlainView(), Waiting(reason="another \x1b[31manswer"), Sending(), TextDelta(text="x"), DONE)

    shown = capsys.readouterr()
    assert shown.out == "[waiting: another answer]\nx\n[m]\n"
    assert shown.err == "\rwaiting: another answer"


def test_static_view_in_the_background_shows_itself_and_its_failure() -> None:
    """At once, as the cell will have ended; and the error, which no cell raises."""
    recorder = Recorder()
    view = StaticView(waiting="asking m", display=recorder, form="code", is_blocking=False)

    view.tick()
    view.tick()
    view.end(Turn(id="0", prompt=(), requested_model="m", status="failed", error="No key.  Hint: set one."))

    assert ["asking m" in bundle["text/html"] for bundle in recorder.shown] == [True, False]
    assert "failed: No key.  Hint: set one." in recorder.shown[-1]["text/plain"]


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        (ended(TextDelta(text="x"), DONE), "answered · %chat show 3"),
        (ended(TextDelta(text="x"), status="interrupted"), "interrupted: what had arrived is kept · %chat show 3"),
        (Turn(id="0", prompt=(), status="failed", error="No \x1b[31mkey."), "failed: No key."),
    ],
)
def test_plain_notice_is_two_lines(turn: Turn, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One when it is asked, one when it has ended, by the number the turn has then."""
    numbers = iter((2, 3))
    notice = PlainNotice(lambda: f"turn {next(numbers)}", lambda: "%chat show 3")

    notice.add(TextDelta(text="not shown"))
    notice.tick()
    notice.end(turn)

    assert capsys.readouterr().out == f"[turn 2: asked in the background]\n[turn 3: {told}]\n"


CALLED: tuple[Event, ...] = (
    TextDelta(text="Let me look."),
    ToolCallDelta(index=0, id=PARIS.id, name=PARIS.name, arguments=PARIS.arguments),
    progress(0, PARIS, "asking"),
    progress(0, PARIS, "running"),
    progress(0, PARIS, "done", "18 °C"),
    NextRound(number=2, reason="tools"),
    TextDelta(text="Warm."),
    DONE,
)


def test_plain_view_tells_of_calls_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """That it runs, and what came of it, between what was said before and after; the question is asked by others."""
    view = PlainView(has_footer=False)
    for event in CALLED:
        view.add(event)
    view.end(ended(TextDelta(text="Warm."), DONE))

    assert capsys.readouterr().out.splitlines() == [
        "Let me look.",
        '[get_weather({"city": "Paris"}): running]',
        '[get_weather({"city": "Paris"}): done: 18 °C]',
        "Warm.",
    ]


def test_plain_view_tells_of_calls_once_in_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    """A form that is printed when it is whole does not print them again."""
    view = PlainView(form="json", has_footer=False)
    for event in CALLED:
        view.add(event)
    step = Step(reason="tools", tool_calls=(PARIS,), results=(said(PARIS, "18 °C"),))
    view.end(replace(ended(TextDelta(text='{"t": 18}'), DONE), steps=(step,)))

    assert capsys.readouterr().out.count("18 °C") == 1


def test_plain_view_tells_why_it_is_asked_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed cannot be taken back; the line says what to think of it."""
    play(
        PlainView(has_footer=False),
        TextDelta(text="void"),
        NextRound(number=2, reason="repair", text="did not fit"),
        TextDelta(text="good"),
        DONE,
    )

    assert capsys.readouterr().out == "void\n[did not fit]\ngood\n"


@pytest.mark.capability("E13")
def test_views_show_json_as_it_comes(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """Indented in a notebook, as it is in a terminal; the line of a repair is told once."""
    view = StaticView(waiting="asking m", form="data")
    view._display = display = Recorder()
    view.add(TextDelta(text='{"a": [1, 2'))
    clock.now += 0.6
    view.tick()
    assert '<pre>{\n  "a": [\n    1' in display.shown[0]["text/html"]

    line = "asked once more"
    events = (TextDelta(text="no"), NextRound(number=2, reason="repair", text=line), TextDelta(text='{"a": 1}'), DONE)
    plain = PlainView(form="data", has_footer=False)
    for event in events:
        plain.add(event)
        plain.tick()
    plain.end(replace(ended(TextDelta(text='{"a": 1}'), DONE), steps=(Step(reason="repair", error=line),)))
    assert capsys.readouterr().out == 'no\n[asked once more]\n{"a": 1}\n'


@pytest.mark.capability("G20")
def test_static_view_shows_calls_as_they_go(clock: Clock) -> None:
    """At most twice a second, each state once, with no more than what the end has."""
    view = StaticView(waiting="asking m")
    view._display = display = Recorder()
    for event in CALLED:
        view.add(event)
        clock.now += 0.3
        view.tick()
        clock.now += 0.3
        view.tick()
    grown = [one["text/html"] for one in display.shown]
    for says in ("started", "waits for your word", "running", "done</span>: 18 °C"):
        assert says in "".join(grown)
    assert len(grown) <= len(CALLED)

    view.end(ended(TextDelta(text="Warm."), DONE))
    assert "Warm." in display.shown[-1]["text/html"]


def test_static_view_takes_back_what_could_not_stand(clock: Clock) -> None:
    """What is asked for anew is not left standing beside its successor."""
    view = StaticView(waiting="asking m")
    view._display = display = Recorder()
    for event in (
        TextDelta(text="void"),
        NextRound(number=2, reason="repair", text="did not fit"),
        TextDelta(text="good"),
    ):
        view.add(event)
        clock.now += 0.6
        view.tick()

    assert "void" in display.shown[0]["text/html"]
    assert "void" not in display.shown[-1]["text/html"]
    assert "did not fit" in display.shown[-1]["text/html"]


def test_status_line_makes_room_for_a_question(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the terminal asks, the line is away; it comes back when it goes on."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    view = TerminalStatus("asking m")
    clock.now += 1
    view.tick()
    view.add(progress(0, PARIS, "asking"))
    view.tick()
    assert capsys.readouterr().err.endswith("\r")

    view.add(progress(0, PARIS, "running"))
    view.tick()
    assert capsys.readouterr().err == "\rasking m"


def test_views_without_a_page_ask_nothing() -> None:
    """There the terminal does."""
    views = (PlainView(), StaticView(waiting="w"), StaticStatus("w", Recorder()), TerminalStatus("w"))

    assert [view.can_ask for view in views] == [False] * 4
