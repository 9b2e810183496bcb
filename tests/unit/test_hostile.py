"""The corpus of hostile texts, and what becomes of it in every place that takes text: nothing but text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.failures import Asked, garbled, no_completion, reported
from llm_magic.content import Message, TextPart, ToolCall
from llm_magic.events import (
    NextRound,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    TextDelta,
    ToolCallDelta,
    Waiting,
)
from llm_magic.news import AskBegan
from llm_magic.rendering import IncrementalRenderer, PlainStream, markdown_html, plain_text, prompt_html, sound_values
from llm_magic.reply import Reply, answer_bundle
from llm_magic.testing import says
from llm_magic.turns import Step, Turn
from llm_magic.views.drawing import TurnDrawing
from llm_magic.views.feed import Feed
from tests.fakes import hostile
from tests.fakes.calls import progress, said
from tests.fakes.hostile import HOSTILE, PAYLOADS, lines, some
from tests.fakes.markup import BIDI_CONTROLS, judge
from tests.fakes.panels import make_desk

if TYPE_CHECKING:
    from llm_magic.asks import Plan
    from llm_magic.errors import BackendError
    from llm_magic.reply import Form

ASKED = Asked(address="127.0.0.1:1", model="m")
CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{BIDI_CONTROLS}\ud800-\udfff]")


def turn(**fields: Any) -> Turn:
    """A whole answer."""
    return Turn(**{"id": "0", "prompt": (), "requested_model": "m", "finish_reason": "stop", **fields})


def test_the_corpus_is_what_its_table_says() -> None:
    """At least 150 texts, no two alike, in the classes and numbers that are written down."""
    table = re.findall(r"^\| (\w+) +\| +(\d+) \|", hostile.__doc__ or "", re.MULTILINE)

    assert {name: int(number) for name, number in table} == {name: len(texts) for name, texts in PAYLOADS.items()}
    assert len(set(HOSTILE)) == len(HOSTILE) >= 150
    assert len(lines()) >= 150


@pytest.mark.parametrize("name", PAYLOADS)
def test_answers_cut_anywhere_are_harmless(name: str) -> None:
    """Wherever a chunk ends, what is drawn then is harmless, and the end is the whole text's rendering."""
    for text in PAYLOADS[name][::2]:
        for size in (1, 2, 3, 5):
            renderer = IncrementalRenderer()
            for at in range(0, len(text), size):
                renderer.feed(text[at : at + size])
                assert judge(renderer.html()).faults == []
            assert renderer.final() == markdown_html(text)


@pytest.mark.parametrize("form", ["markdown", "text", "json", "code"])
def test_replies_are_harmless_in_every_part(form: Form) -> None:
    """Text, reasoning, refusal, tool calls, names of models, reasons, notices and errors are shown as text."""
    for text in HOSTILE:
        call = ToolCall(id=text, name=text, arguments=text)
        whole = turn(
            text=text, reasoning=text, refusal=text, tool_calls=(call,), model=text, notices=(text,), finish_reason=text
        )
        steps = (
            Step(reason="tools", text=text, reasoning=text, tool_calls=(call,), results=(said(call, text, text),)),
            Step(reason="repair", text=text, error=text),
        )
        broken = turn(text=text, status="truncated", error=text, requested_model=text, steps=steps)
        for shown in (whole, broken):
            bundle = answer_bundle(shown, form=form)
            assert judge(bundle["text/html"]).faults == []
            assert not CONTROLS.search(bundle["text/plain"] + repr(Reply(turn=shown, form=form)))


@pytest.fixture(scope="module")
def plan() -> Plan:
    """What an ask is going to do."""
    plans: list[Plan | None] = []
    desk = make_desk(says("done"))
    desk.session.watch(lambda news: plans.append(news.run.plan) if isinstance(news, AskBegan) else None)
    desk.ask("plan")
    (made,) = plans
    assert made is not None
    return made


@pytest.mark.parametrize("name", PAYLOADS)
def test_pages_of_a_turn_under_way_are_given_harmless_pieces(name: str, plan: Plan) -> None:
    """What pages put in as HTML is harmless at each moment; what they put in as text holds no controls."""
    for text in PAYLOADS[name]:
        feed = Feed("view")
        drawing = TurnDrawing(feed, "t", replace(plan, request=replace(plan.request, model=text)))
        drawing.add(Waiting(reason=text))
        drawing.add(Retrying(attempt=1, max_retries=2, wait_s=1, reason=text))
        drawing.add(Notice(text=text))
        for kind in (ReasoningDelta, TextDelta, RefusalDelta):
            for half in filter(None, (text[: len(text) // 2], text[len(text) // 2 :])):
                drawing.add(kind(text=half))
                drawing.put()
                assert faults(feed) == []
        call = ToolCall(id=text, name=text, arguments=text)
        drawing.add(ToolCallDelta(index=0, id=text, name=text, arguments=text))
        for number, state in enumerate(("asking", "running", "done", "failed", "denied")):
            drawing.put()
            assert faults(feed) == []
            drawing.add(progress(number // 2, call, state, text, f"{text}\n{text}", where=text))  # type: ignore[arg-type]  # one of them
        drawing.add(NextRound(number=2, reason="tools", text=text))
        drawing.put()
        assert faults(feed) == []
        drawing.end(turn(text=text, reasoning=text, refusal=text, model=text, notices=(text,)))
        assert faults(feed) == []


def faults(feed: Feed) -> list[str]:
    """What is wrong in what a page is given now."""
    feed.patch()
    fields = feed.snapshot()["turns"]["t"]
    pieces = [fields.pop("a", []), fields.pop("r", [])]
    html = ["".join(piece if isinstance(piece, str) else piece[1] for piece in kind) for kind in pieces]
    said = json.dumps(fields, ensure_ascii=False).replace("\\n", "")
    return [*judge(html[0]).faults, *judge(html[1]).faults, *CONTROLS.findall(said)]


@pytest.mark.parametrize("text", lines())
def test_errors_are_one_line_without_controls(text: str) -> None:
    """Whatever a server says in an error, the user reads one line that a terminal only shows."""
    bodies: list[Any] = [text, {"message": text, "code": text, "type": text}, {text: text}, [text]]
    found: list[BackendError] = [reported(body, ASKED) for body in bodies]
    found += [garbled(text, ASKED), no_completion(text, ASKED)]

    for error in found:
        (line,) = error._render_traceback_()
        assert not CONTROLS.search(line)
        assert "\n" not in line


@pytest.mark.parametrize("name", PAYLOADS)
def test_terminals_are_given_text_alone(name: str) -> None:
    """Cut at every character, no control sequence reaches the terminal."""
    for text in PAYLOADS[name]:
        stream = PlainStream()
        shown = "".join(stream.feed(char) for char in text)
        assert not CONTROLS.search(shown + plain_text(text))


@pytest.mark.parametrize("name", PAYLOADS)
def test_prompts_are_harmless(name: str) -> None:
    """What was asked, and what was attached under a hostile name, is shown as text."""
    for text in PAYLOADS[name]:
        parts = (TextPart(text=text), TextPart(text=text, label=text))
        calls = (ToolCall(id=text, name=text, arguments=text),)
        html = prompt_html([Message(role="user", parts=parts), Message(role="assistant", parts=(), tool_calls=calls)])
        left = [fault for fault in judge(html).faults if not re.match(r"<(div|details|span) class=", fault)]
        assert left == []
        assert set(re.findall(r'class="([^"]*)"', re.sub(r">[^<]*<", "><", html))) <= {
            "llm-magic-prompt mathjax_ignore tex2jax_ignore",
            "llm-magic-attached",
            "llm-magic-chip",
        }


def test_the_panel_can_send_whatever_was_said() -> None:
    """Half of a character in a prompt, an answer or a name does not keep the panel from saying the rest."""
    desk = make_desk(*(says(text) for text in some(2)))
    for text in some(2):
        if text.strip():
            desk.ask(text)

    assert json.dumps(sound_values(desk.state()), ensure_ascii=False).encode()
