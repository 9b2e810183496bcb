"""What the panel shows of a session: turns, versions, asks under way, and no more than a page can take."""

from __future__ import annotations

import itertools
import json
import math
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llm_magic.asks import Ask
from llm_magic.content import ImagePart, Message, message
from llm_magic.counts import Usage
from llm_magic.engine import shared_engine
from llm_magic.errors import BackendError
from llm_magic.events import Completed, Event, ReasoningDelta, RefusalDelta, Retrying, TextDelta
from llm_magic.panels import board as board_module
from llm_magic.panels.board import FIRST_TURNS
from llm_magic.testing import says
from llm_magic.turns import Step, Turn
from tests.fakes.calls import PARIS, progress, said
from tests.fakes.conversations import ask
from tests.fakes.panels import WAIT_S, Desk, make_desk

if TYPE_CHECKING:
    import pytest

NEVER_S = 3600.0


def html(row: Any, section: str) -> str:
    """The HTML of a row's answer or reasoning."""
    return "".join(piece if isinstance(piece, str) else piece[1] for piece in row.get(section, []))


def until(desk: Desk, condition: Any) -> dict[str, Any]:
    """The state, once it fulfils a condition."""
    deadline = time.monotonic() + WAIT_S
    woken = threading.Event()
    while time.monotonic() < deadline:
        state = desk.state()
        if condition(state):
            return state
        woken.wait(0.01)
    raise AssertionError(desk.state())


def row_of(state: dict[str, Any], slot: str) -> dict[str, Any]:
    found: dict[str, Any] = state["turns"].get(slot, {})
    return found


def test_a_turn_is_shown_with_all_that_is_known_of_it() -> None:
    """Number, version, state, prompt, text to edit, answer, reasoning, footer."""
    usage = Usage(input_tokens=12, output_tokens=3, total_tokens=15)
    desk = make_desk([ReasoningDelta(text="Well *now*"), *says("**Yes**", usage=usage)])

    slot = desk.ask("Is <b>it</b>?")

    state = desk.state()
    row = state["turns"][slot]
    assert state["order"] == [slot]
    assert {name: row[name] for name in ("n", "v", "vs", "s", "e", "marks", "hidden", "notes")} == {
        "n": 1,
        "v": 1,
        "vs": 1,
        "s": "complete",
        "e": "Is <b>it</b>?",
        "marks": [],
        "hidden": False,
        "notes": [],
    }
    assert row["w"] == desk.session.current.turns[0].id
    assert row["foot"] == "scripted · 12 → 3 tokens"
    assert "&lt;b&gt;it&lt;/b&gt;" in row["p"]
    assert html(row, "a") == "<p><strong>Yes</strong></p>\n"
    assert html(row, "r") == "<p>Well <em>now</em></p>\n"
    assert "fig" not in row


def test_an_ask_of_a_cell_is_shown_while_it_streams() -> None:
    """The panel shows what cells ask, from the first word on, and then the turn that is kept."""
    desk = make_desk([TextDelta(text="half "), NEVER_S])
    run = desk.session.ask(Ask(prompt=(message("user", "from a cell"),)))

    state = until(desk, lambda state: html(row_of(state, (state["order"] or [""])[0]), "a"))

    (slot,) = state["order"]
    row = state["turns"][slot]
    assert (row["s"], row["w"], row["v"], row["vs"]) == ("running", run.turn_id, 1, 1)
    assert row["fig"]["model"] == "m"
    assert html(row, "a") == "<p>half</p>\n"
    assert "e" not in row
    assert desk.board.source(slot) is None
    assert desk.session.stop(run.turn_id)
    assert run.wait(WAIT_S)
    row = until(desk, lambda state: state["turns"][slot]["s"] == "interrupted")["turns"][slot]
    assert row["notes"] == ["interrupted: what had arrived is kept"]
    assert row["marks"] == ["interrupted"]
    assert "fig" not in row
    assert desk.board.source(slot) == "half "


def test_asides_are_not_shown() -> None:
    """What is not added to the conversation is not in the panel, but counted in its totals."""
    desk = make_desk()
    before = desk.state()["head"]["totals"]
    run = desk.session.ask(Ask(prompt=(message("user", "aside"),), is_kept=False))
    assert run.wait(WAIT_S)

    state = desk.state()

    assert state["order"] == []
    assert state["head"]["totals"] != before


def test_several_asks_wait_in_order() -> None:
    """A second ask says that it waits, and both are answered in order."""
    desk = make_desk([0.05, *says("one")], says("two"))
    first = desk.begin("ask", text="first")
    second = desk.begin("ask", text="second")

    state = until(desk, lambda state: "wait" in row_of(state, second) or row_of(state, second).get("s") == "complete")

    assert state["order"] == [first, second]
    desk.wait()
    rows = desk.rows()
    assert [html(row, "a") for row in rows] == ["<p>one</p>\n", "<p>two</p>\n"]
    assert not any("wait" in row for row in rows)


def test_an_ask_again_shows_the_new_try_in_its_place() -> None:
    """While a turn is asked again its former answer makes room, and counts on until the new one is whole."""
    desk = make_desk(says("old"), [NEVER_S])
    slot = desk.ask("q")
    assert html(desk.state()["turns"][slot], "a") == "<p>old</p>\n"

    desk.begin("edit", slot=slot, text="q2")

    row = until(desk, lambda state: state["turns"][slot]["s"] == "waiting")["turns"][slot]
    assert (row["v"], row["vs"], html(row, "a")) == (2, 2, "")
    assert "q2" in row["p"]
    desk.session.cancel()
    desk.wait()
    row = until(desk, lambda state: state["turns"][slot]["s"] != "waiting")["turns"][slot]
    assert (row["v"], row["vs"], row["s"], html(row, "a")) == (1, 2, "complete", "<p>old</p>\n")
    assert row["marks"] == ["last try interrupted"]


def test_tries_of_one_turn_are_shown_in_order() -> None:
    """Asked again twice, a turn shows the first try until it has ended, then the second."""
    desk = make_desk([TextDelta(text="zero")], [TextDelta(text="one"), NEVER_S], [TextDelta(text="two"), NEVER_S])
    slot = desk.ask("q")
    desk.state()
    for _ in range(2):
        desk.begin("retry", slot=slot)

    row = until(desk, lambda state: html(state["turns"][slot], "a") == "<p>one</p>\n")["turns"][slot]

    assert (row["v"], row["vs"], row["s"]) == (2, 2, "running")
    assert desk.session.stop(row["w"])
    row = until(desk, lambda state: html(state["turns"][slot], "a") == "<p>two</p>\n")["turns"][slot]
    assert (row["v"], row["vs"], row["s"]) == (3, 3, "running")
    desk.session.cancel()
    desk.wait()


def test_failures_elsewhere_are_not_said() -> None:
    """A line tells of the conversation that is shown."""
    desk = make_desk([0.05, BackendError("The server is down.")])
    desk.begin("ask", text="q")
    desk.do("new", name="other")
    desk.wait()
    ended = threading.Event()
    shared_engine().later(0.0, ended.set)
    assert ended.wait(WAIT_S)

    assert "say" not in desk.state()["head"]


def test_archived_conversations_and_models_without_a_name_are_not_listed() -> None:
    """What is chosen from is what one would choose."""
    desk = make_desk()
    long_talk(desk, 1)
    desk.session.new("main")

    head = desk.state()["head"]

    assert head["names"] == [{"name": "main", "turns": 0}]
    assert "" not in head["models"]
    assert "gpt-5.4-mini" in head["models"]


def test_rendered_turns_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel that is open for days does not hold the HTML of every turn it has shown."""
    monkeypatch.setattr(board_module, "_KEPT_TURNS", 3)
    desk = make_desk()
    long_talk(desk, 10)

    assert all(html(row, "a") for row in desk.rows())
    assert len(desk.board._rendered) == 3


def test_a_failed_ask_is_said_and_stays_visible() -> None:
    """The line of an error is in the turn's notes and told; a former answer stays what is shown."""
    desk = make_desk([BackendError("The server is down.", hint="wait")], says("good"), [BackendError("Down again.")])
    slot = desk.ask("q")

    state = until(desk, lambda state: "say" in state["head"])

    assert state["head"]["say"] == {"id": 1, "kind": "error", "text": "The server is down.  Hint: wait."}
    assert state["turns"][slot]["s"] == "failed"
    assert state["turns"][slot]["notes"] == ["failed: The server is down."]
    desk.begin("retry", slot=slot)
    desk.wait()
    desk.begin("retry", slot=slot)
    desk.wait()
    row = until(desk, lambda state: state["turns"][slot]["vs"] == 3)["turns"][slot]
    assert (row["s"], row["v"], row["marks"]) == ("complete", 2, ["last try failed"])
    assert row["notes"] == ["the last try failed: Down again."]


def test_retries_and_refusals_are_shown() -> None:
    """A retry is a note while it lasts; a refusal is the answer."""
    script: list[Event | float] = [Retrying(attempt=1, max_retries=2, wait_s=1, reason="rate limited"), NEVER_S]
    desk = make_desk(script, [RefusalDelta(text="I *cannot*."), Completed(finish_reason="stop")])
    slot = desk.begin("ask", text="q")

    row = until(desk, lambda state: row_of(state, slot).get("notes"))["turns"][slot]

    assert "rate limited" in row["notes"][0]
    desk.session.cancel()
    desk.wait()
    second = desk.ask("q")
    assert html(desk.state()["turns"][second], "a").endswith("<p>I <em>cannot</em>.</p>\n")
    assert desk.board.source(second) == "I *cannot*."


def test_marks_and_undo_are_those_of_chat() -> None:
    """Stale turns are marked, and undo and redo say what they would do."""
    desk = make_desk()
    first = desk.ask("one")
    desk.ask("two")
    assert (desk.state()["head"]["undo"], desk.state()["head"].get("redo")) == ("ask", None)

    desk.begin("retry", slot=first)
    desk.wait()

    assert [row["marks"] for row in desk.rows()] == [[], ["stale"]]
    desk.do("undo")
    state = desk.state()
    assert (state["head"]["undo"], state["head"]["redo"]) == ("ask", "ask")
    desk.do("undo")
    assert [row["n"] for row in desk.rows()] == [1]


def test_another_conversation_takes_the_place_of_the_first() -> None:
    """The current conversation is shown, whoever switched; an ask under way is there again when it is used again."""
    desk = make_desk(says("done"), [TextDelta(text="half"), NEVER_S])
    desk.ask("one")
    slot = desk.begin("ask", text="two")
    until(desk, lambda state: html(row_of(state, slot), "a"))

    desk.session.new("other")
    desk.session.keep_all()

    state = desk.state()
    assert (state["order"], state["turns"], state["head"]["name"]) == ([], {}, "other")
    assert state["head"]["names"] == [{"name": "main", "turns": 2}, {"name": "other", "turns": 0}]
    desk.do("use", name="main")
    row = until(desk, lambda state: html(row_of(state, slot), "a"))["turns"][slot]
    assert (html(row, "a"), row["s"]) == ("<p>half</p>\n", "running")
    desk.session.cancel()
    desk.wait()


def long_talk(desk: Desk, turns: int) -> None:
    """A conversation of many turns."""
    for number in range(1, turns + 1):
        ask(desk.session.current, f"question {number}", f"answer *{number}*")


def test_a_long_conversation_opens_with_its_last_turns() -> None:
    """The first state has the last turns; earlier ones come when they are asked for, and stay."""
    desk = make_desk()
    long_talk(desk, 2 * FIRST_TURNS + 10)

    state = desk.state()

    assert len(state["order"]) == FIRST_TURNS
    assert state["head"]["earlier"] == FIRST_TURNS + 10
    assert desk.rows()[0]["n"] == FIRST_TURNS + 11
    desk.do("earlier")
    assert desk.state()["head"]["earlier"] == 10
    assert len(desk.state()["order"]) == 2 * FIRST_TURNS
    desk.ask("one more")
    assert desk.state()["head"]["earlier"] == 10
    desk.do("earlier")
    state = desk.state()
    assert "earlier" not in state["head"]
    assert [row["n"] for row in desk.rows()] == list(range(1, 2 * FIRST_TURNS + 12))


def test_turns_are_rendered_last_first_and_in_portions() -> None:
    """Where time is short the turns at the end are drawn first, and the rest when it goes on."""
    clock = itertools.count()
    desk = make_desk(clock=lambda: next(clock))
    long_talk(desk, 5)

    with desk.feed.lock:
        is_whole = desk.board.fill(until=2)
        desk.feed.patch()
        state = desk.feed.snapshot()

    assert not is_whole
    assert [html(state["turns"][slot], "a") != "" for slot in state["order"]] == [False, False, False, True, True]
    assert [bool(html(row, "a")) for row in desk.rows()] == [True] * 5


def test_a_turn_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """News of the session do not render again what has not changed, nor send it."""
    desk = make_desk()
    long_talk(desk, 5)
    until(desk, lambda state: "window" in state["head"])
    rendered: list[Turn] = []
    monkeypatch.setattr(board_module, "answer_pieces", rendered.append)

    desk.board.touch()
    with desk.feed.lock:
        assert desk.board.fill(until=math.inf)
        patch = desk.feed.patch()

    assert rendered == []
    assert patch is None


def test_what_python_code_changed_is_shown_with_the_next_news() -> None:
    """Changes without an ask are seen when a command or a cell has ended."""
    desk = make_desk()
    desk.ask("one")
    desk.session.current.model = "another"
    desk.session.current.hide(desk.slot(1))

    desk.session.keep_all()

    state = desk.state()
    assert state["head"]["model"] == "another"
    assert [row["hidden"] for row in desk.rows()] == [True]


def test_window_is_counted_for_what_would_be_sent() -> None:
    """The meter says how full the window is, once it has been counted, and again when a turn was added."""
    desk = make_desk(says("word " * 50))
    desk.do("model", name="gpt-4o")
    first = until(desk, lambda state: "window" in state["head"])["head"]["window"]
    desk.do("model", name="")
    desk.ask("q")
    desk.do("model", name="gpt-4o")

    second = until(desk, lambda state: state["head"]["window"]["used"] > first["used"])["head"]["window"]

    assert first["limit"] == 128_000
    assert second["used"] >= 50


def test_pictures_of_a_prompt_are_named() -> None:
    """A prompt that is no text alone is shown whole, as safe HTML."""
    desk = make_desk()
    picture = ImagePart(data=b"x", media_type="image/png", width=4, height=3)
    prompt = (Message(role="user", parts=(picture,)),)
    slot = desk.session.current.reserve(None)
    desk.session.current.add_version(slot, replace(Turn(id="t", prompt=prompt), text="a fox"))

    (row,) = desk.rows()

    assert row["e"] == ""
    assert "4 × 3" in row["p"]


def test_a_gigantic_prompt_is_not_sent_to_be_edited() -> None:
    """What nobody typed would be in every state; it is shown in part and asked again as a whole."""
    desk = make_desk()
    slot = desk.ask("x" * 50_000)

    row = desk.state()["turns"][slot]

    assert "e" not in row
    assert len(row["p"]) < 25_000
    desk.begin("retry", slot=slot)
    desk.wait()
    assert len(desk.slot(1).versions[1].prompt_text) == 50_000


def test_totals_are_those_of_the_session() -> None:
    """Tokens and cost of all that was asked, estimates and unknown prices marked as in ``%chat``."""
    usage = Usage(input_tokens=3400, output_tokens=900, total_tokens=4300)
    desk = make_desk(says("one", usage=usage), says("two"))
    assert desk.state()["head"]["totals"] == "0 turns · nothing asked yet"

    desk.ask("q")
    assert desk.state()["head"]["totals"] == "1 turn · session 3,400 → 900 tokens · price unknown"

    desk.ask("q")
    assert desk.state()["head"]["totals"].startswith("2 turns · session ~3,")


def test_whatever_texts_hold_can_be_sent() -> None:
    """Half a surrogate pair, which no message can carry, is replaced wherever it comes from."""
    half = "\ud83d"
    desk = make_desk(says(f"broken {half}"), [BackendError(f"{half} down")])
    desk.do("new", name=f"talk {half}")
    desk.do("system", text=half)
    desk.do("model", name=f"m{half}")
    desk.ask(f"what is {half}?")
    desk.ask(half)

    state = until(desk, lambda state: "say" in state["head"])

    assert json.dumps(state, ensure_ascii=False).encode()
    assert state["head"]["name"] == "talk \ufffd"
    assert desk.rows()[0]["e"] == "what is \ufffd?"


def test_a_tool_of_any_ask_can_be_permitted_here() -> None:
    """The question of an ask that a cell began is in its row, once, and a word on another turn hits nothing."""
    desk = make_desk([TextDelta(text="Let me look."), NEVER_S])
    run = desk.session.ask(Ask(prompt=(message("user", "from a cell"),)))
    asking = progress(0, PARIS, "asking")
    shared_engine().later(0, lambda: run._emit(asking))

    state = until(desk, lambda state: "asks" in row_of(state, (state["order"] or [""])[0]))

    row = row_of(state, state["order"][0])
    assert (row["s"], [question["call"] for question in row["asks"]]) == ("asking", [0])
    assert not desk.board.permit("another", {"call": 0, "answer": "yes"})
    assert desk.board.permit(run.turn_id, {"call": 0, "answer": "yes"})
    assert not desk.board.permit(run.turn_id, {"call": 0, "answer": "yes"})
    assert "asks" not in desk.rows()[0]
    run.cancel()
    assert run.wait(WAIT_S)
    assert not desk.board.permit(run.turn_id, {"call": 0, "answer": "yes"})


def test_a_turn_that_has_ended_asks_nothing() -> None:
    """Stopped while it waited for a word: the buttons are gone."""
    desk = make_desk([TextDelta(text="Let me look."), NEVER_S])
    run = desk.session.ask(Ask(prompt=(message("user", "from a cell"),)))
    shared_engine().later(0, lambda: run._emit(progress(0, PARIS, "asking")))
    until(desk, lambda state: "asks" in row_of(state, (state["order"] or [""])[0]))

    run.cancel()
    assert run.wait(WAIT_S)

    (row,) = desk.rows()
    assert (row["s"], "asks" in row) == ("interrupted", False)


def test_the_calls_of_earlier_turns_are_shown() -> None:
    """The history has what was said, called and answered, as the notebook has it."""
    desk = make_desk()
    step = Step(reason="tools", text="Let me look.", tool_calls=(PARIS,), results=(said(PARIS, "18 °C"),))
    ask(desk.session.current, "q", "Warm.", steps=(step,))
    desk.board.touch()

    shown = html(desk.rows()[0], "a")

    assert shown.startswith("<p>Let me look.</p>")
    assert "done</span>: 18 °C" in shown
    assert shown.endswith("<p>Warm.</p>\n")
