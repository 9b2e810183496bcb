"""Replies and what is kept of an answer: the forms, remarks, footer, and that nothing of it is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.backends.chunks import normalized_finish_reason
from llm_magic.content import ImagePart, Message, TextPart, ToolCall
from llm_magic.counts import Usage
from llm_magic.errors import ContentError
from llm_magic.reply import Reply, answer_bundle, fenced, footer, parse_json, remarks
from llm_magic.turns import Step, Turn
from tests.fakes.calls import PARIS, ROME, said
from tests.fakes.markup import ANSWERS

if TYPE_CHECKING:
    from llm_magic.reply import Form

HOSTILE = "<script>alert(1)</script> \x1b]0;title\x07 ![x](https://evil.example/p.png)"


def turn(**fields: Any) -> Turn:
    """A whole answer."""
    return Turn(**{"id": "0", "prompt": (), "requested_model": "m", "finish_reason": "stop", **fields})


def test_bundle_is_safe_html_and_plain_text_alone() -> None:
    """No Markdown, no script, no address to fetch, no terminal control."""
    bundle = answer_bundle(turn(text=HOSTILE, reasoning=HOSTILE, refusal=HOSTILE, notices=(HOSTILE,)))

    assert set(bundle) == {"text/html", "text/plain"}
    assert "<script" not in bundle["text/html"]
    assert "<img" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"] + bundle["text/html"]


def test_bundle_shows_the_pictures_that_were_sent() -> None:
    """Pictures that a server fetched are named by their host, before the answer."""
    prompt = (Message(role="user", parts=(TextPart(text="What is"), ImagePart(url="https://example.org/a.png"))),)

    html = answer_bundle(turn(text="A cat.", prompt=prompt))["text/html"]

    chip = '<div class="llm-magic-pictures"><span class="llm-magic-chip">image at example.org</span></div>'
    assert html.index(chip) < html.index("A cat.")


@pytest.mark.capability("E14")
def test_reply_gives_its_turn() -> None:
    """str is the text; the rest is the turn's."""
    usage = Usage(input_tokens=3, output_tokens=2, total_tokens=5)
    reply = Reply(turn=turn(text="Paris.", usage=usage, model="m-2026", cost_usd=0.5, request_id="r", ttft_s=0.1))
    told = Reply(turn=turn(reasoning="hm", latency_s=2.5, service_tier="flex", status="complete"))

    assert (told.finish_reason, told.reasoning, told.latency_s, told.service_tier) == ("stop", "hm", 2.5, "flex")
    assert (told.logprobs, told.cached, told.tool_calls, told.model) == (None, False, (), "m")
    assert str(reply) == reply.text == "Paris."
    assert (reply.model, reply.usage, reply.cost_usd, reply.request_id, reply.ttft_s) == (
        "m-2026",
        usage,
        0.5,
        "r",
        0.1,
    )
    assert repr(reply) == "Paris."
    assert [part.text for part in reply.parts if hasattr(part, "text")] == ["Paris."]
    assert "3 → 2 tokens · $0.50" in reply._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("text", ['{"a": [1]}', 'Here:\n```json\n{"a": [1]}\n```\nDone.', ' {"a": [1]} '])
def test_json_is_found_whole_or_in_its_fence(text: str) -> None:
    """An answer that is JSON, or holds it in a fence, gives data."""
    assert Reply(turn=turn(text=text)).data == {"a": [1]}
    assert '"a"' in answer_bundle(turn(text=text), form="json")["text/plain"]


def test_text_that_is_not_json_says_so_only_when_asked() -> None:
    """It is shown as it came, and .data raises one line."""
    bundle = answer_bundle(turn(text="no json"), form="json", has_footer=False)

    assert bundle["text/plain"] == "no json"
    with pytest.raises(ContentError, match="not JSON"):
        parse_json("no json")


def test_code_is_what_stands_in_fences() -> None:
    """Blocks in order; an answer without a fence is all code."""
    text = "Do:\n```python\nx = 1\n```\nthen\n~~~\ny\n~~~\n"
    assert fenced(text) == [("python", "x = 1\n"), ("", "y\n")]
    assert answer_bundle(turn(text=text), form="code", has_footer=False)["text/plain"] == "x = 1\n\ny\n"
    assert answer_bundle(turn(text="z = 2"), form="code", has_footer=False)["text/plain"] == "z = 2"


@pytest.mark.capability("E19")
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "interrupted", "text": "half"}, "interrupted: what had arrived is kept"),
        ({"status": "interrupted", "reasoning": "hm"}, "interrupted: what had arrived is kept"),
        ({"status": "interrupted"}, "interrupted: nothing had arrived"),
        ({"status": "truncated", "text": "half"}, "truncated: what had arrived is kept"),
        ({"status": "failed", "error": "refused"}, "failed: refused"),
        ({"text": "x", "finish_reason": "length"}, "cut off: the limit of tokens was reached"),
        ({"text": "x", "finish_reason": "content_filter"}, "cut off by the provider's content filter"),
        ({}, "(empty reply)"),
        (
            {"tool_calls": (ToolCall(id="1", name="add", arguments="{}"),)},
            "the model asked to call add; nothing was called",
        ),
    ],
)
def test_remarks_say_how_it_ended(fields: dict[str, Any], says: str) -> None:
    """Every end but a good one is said."""
    assert remarks(turn(**fields)) == [says]


def test_footer_marks_estimates_and_the_local_model() -> None:
    """~ before estimated tokens, no price where none is known, and a local answer is labelled."""
    usage = Usage(input_tokens=3, output_tokens=2, total_tokens=5, is_estimate=True)

    assert footer(turn(usage=usage)) == "m · ~3 → ~2 tokens"
    assert footer(turn(backend="local")) == "m (local model on this machine)"


@pytest.mark.parametrize("text", [*ANSWERS.values(), "\n\n".join(ANSWERS.values()) * 5])
def test_what_is_kept_of_an_answer_is_small(text: str) -> None:
    """A notebook keeps at most four times the answer and 2 kB, HTML and plain text together."""
    kept = sum(len(part.encode()) for part in answer_bundle(turn(text=text)).values())

    assert kept <= 4 * len(text.encode()) + 2_000


def test_steps_stand_before_the_answer_in_order() -> None:
    """What was said, what was called and what came of it, then the answer; in HTML and in text alike."""
    first = Step(reason="tools", text="Let me look.", tool_calls=(PARIS,), results=(said(PARIS, "18 °C"),))
    second = Step(reason="tools", tool_calls=(ROME,), results=(said(ROME, "not allowed", state="denied"),))
    shown = turn(text="It is **warm**.", steps=(first, second))

    bundle = answer_bundle(shown, has_footer=False)

    assert bundle["text/plain"].splitlines() == [
        "Let me look.",
        '[get_weather({"city": "Paris"}): done: 18 °C]',
        '[get_time({"city": "Rome"}): denied: not allowed]',
        "It is **warm**.",
    ]
    places = [bundle["text/html"].index(part) for part in ("look.", "18 °C", "not allowed", "<strong>warm")]
    assert places == sorted(places)
    assert repr(Reply(turn=shown)) == "It is **warm**."


@pytest.mark.parametrize("form", ["markdown", "text", "json", "code"])
def test_every_form_shows_the_calls(form: Form) -> None:
    """Asked for as JSON or code, that is said of the answer; what was called is shown all the same."""
    step = Step(reason="tools", text="Let *me*.", tool_calls=(PARIS,), results=(said(PARIS, "18 °C"),))

    html = answer_bundle(turn(text='{"a": 1}', steps=(step,)), form=form)["text/html"]

    assert "18 °C" in html
    assert ("<em>me</em>" in html) is (form != "text")


def test_calls_that_were_stopped_are_told_from_those_that_ran() -> None:
    """An answer that was interrupted among its tools: what came is there, and no call has another's result."""
    step = Step(reason="tools", tool_calls=(PARIS, ROME), results=(said(ROME, "noon"),))

    lines = answer_bundle(turn(status="interrupted", steps=(step,)), has_footer=False)["text/plain"].splitlines()

    assert lines == [
        '[get_weather({"city": "Paris"}): not called]',
        '[get_time({"city": "Rome"}): done: noon]',
        "[interrupted: what had arrived is kept]",
    ]


def test_tries_that_could_not_stand_leave_a_line() -> None:
    """Their text is void; why it did not fit is told."""
    step = Step(reason="repair", text="VOID", reasoning="why not", error="the answer did not fit: no year")

    bundle = answer_bundle(turn(text="good", steps=(step,)))

    assert "VOID" not in bundle["text/html"] + bundle["text/plain"]
    assert "the answer did not fit: no year" in bundle["text/html"]


@pytest.mark.capability("D12", "E18")
def test_calls_that_are_said_and_not_made_are_a_line() -> None:
    """A model that ends with calls and has none, whatever the server calls that end, is told of without an error."""
    says = "the model says that it calls a tool, and names none"

    assert remarks(turn(finish_reason="tool_calls")) == [says]
    assert remarks(turn(finish_reason=normalized_finish_reason("function_call"), text="Hm.")) == [says]
    assert remarks(turn(finish_reason="tool_calls", notices=(says,))) == [says]
    assert remarks(turn(finish_reason="tool_calls", tool_calls=(PARIS,))) == [
        "the model asked to call get_weather; nothing was called"
    ]


def test_what_is_kept_grows_with_what_was_said() -> None:
    """Twice the calls are twice the HTML, and a result of any length is kept once, cut."""
    step = Step(reason="tools", tool_calls=(PARIS,), results=(said(PARIS, "x" * 100_000),))

    small, large = (len(answer_bundle(turn(steps=(step,) * count))["text/html"]) for count in (10, 20))

    assert large < 2 * small < 200_000
