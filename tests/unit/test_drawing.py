"""Drawing one turn: what of each event a page gets to see, and that the end is the turn as it is kept."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.counts import Usage
from llm_magic.events import (
    Completed,
    NextRound,
    Notice,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    Sending,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    Waiting,
)
from llm_magic.rendering import markdown_html, preformatted_html
from llm_magic.reply import answer_pieces, footer, reasoning_pieces
from llm_magic.turns import Step
from llm_magic.views.drawing import TurnDrawing
from llm_magic.views.feed import Feed
from tests.fakes.asked import ended, plan
from tests.fakes.calls import PARIS, ROME, progress, said
from tests.fakes.pages import Store

if TYPE_CHECKING:
    from llm_magic.content import ToolCall, ToolResult
    from llm_magic.events import Event
    from llm_magic.reply import Form
    from llm_magic.turns import Status

DONE = Completed(finish_reason="stop", model="m")
KEY = "turn"


@dataclass(kw_only=True)
class Drawn:
    """A drawing, and a page that sees it."""

    form: Form = "markdown"
    has_footer: bool = True
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made = plan()
        self.plan = replace(made, base=replace(made.base, settings=self.settings))
        self.feed = Feed("view")
        self.drawing = TurnDrawing(self.feed, KEY, self.plan, form=self.form, has_footer=self.has_footer)
        self.store = Store(self.feed.snapshot())
        self.events: list[Event] = []

    def add(self, *events: Event) -> dict[str, Any]:
        """Draw events; the turn as the page has it then."""
        self.events += events
        for event in events:
            self.drawing.add(event)
        self.drawing.put()
        return self.seen()

    def end(self, status: Status | None = None) -> dict[str, Any]:
        """Draw the end of what was added."""
        self.drawing.end(ended(self.plan, *self.events, status=status))
        return self.seen()

    def seen(self) -> dict[str, Any]:
        """The turn as the page has it."""
        if (patch := self.feed.patch()) is not None:
            self.store.apply(patch)
        turn: dict[str, Any] = copy.deepcopy(self.store.whole["turns"][KEY])
        return turn


def html(turn: dict[str, Any], section: str = "a") -> str:
    """A text of the turn."""
    return "".join(one if isinstance(one, str) else one[1] for one in turn.get(section, ()))


def test_states_follow_the_events() -> None:
    """Waiting, with the reason while there is one; running from the first word; at the end as it is kept."""
    drawn = Drawn()
    assert drawn.seen()["s"] == "waiting"
    assert drawn.add(Waiting(reason="another one"))["wait"] == "Waiting: another one"
    assert "wait" not in drawn.add(Sending())
    assert drawn.add(Opened())["s"] == "waiting"
    assert drawn.add(TextDelta(text="a"))["s"] == "running"
    assert drawn.end("interrupted")["s"] == "interrupted"


@pytest.mark.parametrize(
    "event", [TextDelta(text="a"), ReasoningDelta(text="a"), RefusalDelta(text="a"), ToolCallDelta(index=0, name="f")]
)
def test_it_runs_with_whatever_comes_first(event: Event) -> None:
    """Thoughts, refusals and calls are answers too."""
    drawn = Drawn()
    drawn.add(Waiting(reason="another one"))

    turn = drawn.add(event)

    assert turn["s"] == "running"
    assert "wait" not in turn


@given(text=st.text(alphabet="ab *`|\n#-1.é漢😀\r", max_size=60), sizes=st.lists(st.integers(1, 7), min_size=1))
def test_the_end_is_the_whole_text_however_it_came(text: str, sizes: list[int]) -> None:
    """Answer and reasoning, cut anywhere and drawn at any time, are in the end what they render to."""
    drawn = Drawn()
    at = 0
    while at < len(text):
        size = sizes[at % len(sizes)]
        drawn.add(ReasoningDelta(text=text[at : at + size]), TextDelta(text=text[at : at + size]))
        at += size
    turn = drawn.end()

    assert html(turn) == markdown_html(text)
    assert html(turn, "r") == markdown_html(text, highlight=False)


def test_code_is_highlighted_in_the_answer_alone() -> None:
    """Thoughts are read, if at all, for what they say."""
    code = "```python\nreturn 1\n```\n"
    drawn = Drawn()
    drawn.add(ReasoningDelta(text=code), TextDelta(text=code))

    turn = drawn.end()

    assert "</span>" in html(turn)
    assert "</span>" not in html(turn, "r")


@pytest.mark.capability("H2")
def test_remarks_of_the_way_stand_until_those_of_the_end() -> None:
    """Retries and notices are lines, none of which can be anything but text; the end has its own."""
    drawn = Drawn()
    turn = drawn.add(
        Retrying(attempt=1, max_retries=2, wait_s=1.5, reason="rate limited"), Notice(text="look \x1b[31m<b>here")
    )
    assert turn["notes"] == ["rate limited, retry 1/2 in 1.5 s", "look <b>here"]

    drawn.add(TextDelta(text="a"))
    assert drawn.end("interrupted")["notes"][-1] == "interrupted: what had arrived is kept"


def test_the_footer_takes_the_figures_place() -> None:
    """While it runs there are figures, then the footer, if there is to be one."""
    drawn = Drawn()
    turn = drawn.add(TextDelta(text="a"))
    assert "fig" in turn
    assert "foot" not in turn

    turn = drawn.end()
    assert "fig" not in turn
    assert turn["foot"] == footer(ended(drawn.plan, *drawn.events))
    bare = Drawn(has_footer=False)
    bare.add(TextDelta(text="a"))
    assert "foot" not in bare.end()


def test_text_is_shown_as_it_is() -> None:
    """Asked for as text, nothing in it is markup."""
    drawn = Drawn(form="text")

    assert html(drawn.add(TextDelta(text="**a**"), TextDelta(text="\n<b>"))) == preformatted_html("**a**\n<b>")
    assert html(drawn.end()) == preformatted_html("**a**\n<b>")


@pytest.mark.parametrize("form", ["json", "code"])
def test_forms_that_need_the_whole_answer_wait_for_it(form: Form) -> None:
    """Half of a JSON value is none; that something comes is seen by the figures."""
    drawn = Drawn(form=form)
    turn = drawn.add(TextDelta(text='{"a"'), TextDelta(text=": 1}"))
    assert html(turn) == ""
    assert turn["s"] == "running"

    assert "1" in html(drawn.end())


@pytest.mark.capability("E13")
def test_an_answer_that_was_asked_for_as_json_is_drawn_as_data() -> None:
    """Indented while it grows, a table at the end, where the ask does not say otherwise."""
    drawn = Drawn(settings={"response_format": {"type": "json_object"}})

    growing = html(drawn.add(TextDelta(text='{"city": "Os')))
    drawn.add(TextDelta(text='lo"}'), DONE)
    whole = html(drawn.end())

    assert growing == '<pre>{\n  "city": "Os"\n}</pre>\n'
    assert "<tr><th>city</th><td>Oslo</td></tr>" in whole


def test_what_waits_to_be_drawn_is_counted() -> None:
    """By which it is decided when to draw."""
    drawn = Drawn()
    drawn.drawing.add(TextDelta(text="abc"))
    drawn.drawing.add(ReasoningDelta(text="de"))
    assert drawn.drawing.pending == 5

    drawn.drawing.put()
    assert drawn.drawing.pending == 0


def asked_for(*calls: ToolCall) -> list[Event]:
    """The answer that asks for calls."""
    return [
        TextDelta(text="Let me *look*."),
        *(
            ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments)
            for index, call in enumerate(calls)
        ),
    ]


@pytest.mark.capability("G9")
def test_a_tool_turn_goes_through_its_states() -> None:
    """Answering, waiting for the user's word, running a tool, answering again; the question stands while it is open."""
    drawn = Drawn()
    assert drawn.add(*asked_for(PARIS))["s"] == "running"
    asking = progress(0, PARIS, "asking")
    turn = drawn.add(asking)
    assert turn["s"] == "asking"
    assert [question["call"] for question in turn["asks"]] == [0]

    assert not drawn.drawing.permit({"call": 1, "answer": "yes"})
    assert drawn.drawing.permit({"call": 0, "answer": "yes"})

    turn = drawn.add()
    assert "asks" not in turn
    assert drawn.add(progress(0, PARIS, "running"))["s"] == "tool"
    assert drawn.add(progress(0, PARIS, "done", "18 °C"))["s"] == "running"
    turn = drawn.add(NextRound(number=2, reason="tools"), TextDelta(text="It is warm."))
    assert turn["s"] == "running"
    assert html(turn).startswith('<p>Let me <em>look</em>.</p>\n<div class="llm-magic-tool llm-magic-tool-done">')
    assert html(turn).endswith("<p>It is warm.</p>\n")


def test_the_way_there_is_what_is_kept() -> None:
    """After the last request nothing changes on the page but what is not of the answer."""
    drawn = Drawn()
    drawn.add(ReasoningDelta(text="- hm"), *asked_for(PARIS, ROME))
    drawn.add(progress(1, ROME, "denied", "not allowed"), progress(0, PARIS, "done", "18 °C\n" * 40))
    before = drawn.add(
        NextRound(number=2, reason="tools"), ReasoningDelta(text="so"), TextDelta(text="It is **warm**."), DONE
    )
    step = Step(
        reason="tools",
        text="Let me *look*.",
        reasoning="- hm",
        tool_calls=(PARIS, ROME),
        results=(said(PARIS, "18 °C\n" * 40), said(ROME, "not allowed", state="denied")),
    )
    turn = replace(ended(drawn.plan, *drawn.events[-3:]), steps=(step,))

    drawn.drawing.end(turn)

    after = drawn.seen()
    assert (before["a"], before["r"]) == (after["a"], after["r"])
    assert html(after) == "".join(piece.html for piece in answer_pieces(turn))
    assert html(after, "r") == "".join(piece.html for piece in reasoning_pieces(turn))
    assert html(after, "r") == "<ul>\n<li>hm</li>\n</ul>\n<p>so</p>\n"


def test_figures_are_those_of_all_requests() -> None:
    """What the first was billed is not forgotten when the second begins."""
    drawn = Drawn()
    drawn.add(*asked_for(PARIS), UsageReport(usage=Usage(input_tokens=100, output_tokens=10, total_tokens=110)))
    drawn.add(NextRound(number=2, reason="tools"), TextDelta(text="Warm."))

    turn = drawn.add(UsageReport(usage=Usage(input_tokens=120, output_tokens=5, total_tokens=125)))

    assert (turn["fig"]["in"], turn["fig"]["out"], turn["fig"]["est"]) == (220, 15, False)


def test_what_could_not_stand_is_void() -> None:
    """An answer that is asked for anew makes room, and a line says why."""
    drawn = Drawn()
    drawn.add(TextDelta(text="void"))

    turn = drawn.add(NextRound(number=2, reason="repair", text="the answer did not fit: no year"))

    assert html(turn) == ""
    assert turn["notes"] == ["the answer did not fit: no year"]
    assert html(drawn.add(TextDelta(text="good"))) == "<p>good</p>\n"


def test_an_ended_turn_asks_nothing() -> None:
    """Whether it was answered or not: the buttons are gone."""
    drawn = Drawn()
    drawn.add(*asked_for(PARIS), progress(0, PARIS, "asking"))

    turn = drawn.end("interrupted")

    assert "asks" not in turn
    assert "not called" in html(turn)


def test_live_arguments_are_sent_as_they_come() -> None:
    """A patch has what was added to the arguments, not all of them again."""
    drawn = Drawn()
    drawn.add(ToolCallDelta(index=0, id="c", name="f", arguments="{"))
    sizes = []
    for number in range(50):
        drawn.drawing.add(ToolCallDelta(index=0, arguments=f'"key{number:02d}": 1, '))
        drawn.drawing.put()
        patch = drawn.feed.patch()
        assert patch is not None
        sizes.append(len(json.dumps(patch["turns"][KEY]["a"])))

    assert max(sizes) < 90


@given(
    texts=st.lists(st.text(alphabet="ab *`|\n#-é😀", max_size=20), min_size=1, max_size=4),
    results=st.lists(st.sampled_from(["", "short", "long\nlines", "x" * 300]), min_size=4, max_size=4),
    is_late=st.booleans(),
)
def test_rounds_are_drawn_as_they_are_kept(texts: list[str], results: list[str], is_late: bool) -> None:  # noqa: FBT001  # drawn
    """Any number of requests with any text: page and notebook have the same, whenever it was drawn."""
    drawn = Drawn()
    steps: list[Step] = []
    add = drawn.drawing.add if is_late else drawn.add
    for number, text in enumerate(texts[:-1]):
        call = replace(PARIS, id=f"c{number}")
        result: ToolResult = said(call, results[number])
        add(TextDelta(text=text))
        add(ToolCallDelta(index=0, id=call.id, name=call.name, arguments=call.arguments))
        add(replace(progress(number, call, "done"), result=result))
        add(NextRound(number=number + 2, reason="tools"))
        steps.append(Step(reason="tools", text=text, tool_calls=(call,), results=(result,)))
    drawn.events.clear()
    last = drawn.add(TextDelta(text=texts[-1]))

    turn = replace(ended(drawn.plan, *drawn.events), steps=tuple(steps))

    final = "".join(piece.html for piece in answer_pieces(turn))
    assert html(last).startswith(final.removesuffix(markdown_html(texts[-1])))
    drawn.drawing.end(turn)
    assert html(drawn.seen()) == final
