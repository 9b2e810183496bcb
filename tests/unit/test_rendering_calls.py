"""Tool calls as they are shown: what a reader sees of each, folded where it is long, and never more than text."""

from __future__ import annotations

import io
import json
from html import unescape
from typing import Any, get_args

import pytest

from llm_magic.content import ImagePart, TextPart, ToolCall, ToolResult
from llm_magic.rendering import CallState, ShownCall, arguments_text, call_html, call_text, called, signature
from llm_magic.rendering.calls import MAX_ARGUMENTS_CHARACTERS, MAX_RESULT_CHARACTERS, MAX_RESULT_PARTS
from tests.fakes.calls import PARIS, said
from tests.fakes.hostile import HOSTILE
from tests.fakes.markup import BIDI_CONTROLS, judge

STATES: tuple[CallState, ...] = get_args(CallState)


def seen(html: str) -> str:
    """The text of HTML."""
    return unescape(judge(html).text)


@pytest.mark.capability("G9")
def test_arguments_are_seen_while_they_come() -> None:
    """A call that is written shows what there is of its arguments, unfolded; invalid so far, and raw."""
    html = call_html(ShownCall(name="get_weather", arguments='{"city": "Pa'))

    assert html.startswith('<div class="llm-magic-tool llm-magic-tool-started">')
    assert '{"city": "Pa</pre>' in html
    assert "started" in seen(html)


@pytest.mark.parametrize(
    ("result", "class_name", "says"),
    [
        (None, "llm-magic-tool-idle", "not called"),
        (said(PARIS, "18 °C"), "llm-magic-tool-done", "done: 18 °C"),
        (said(PARIS, "no such city", state="failed"), "llm-magic-tool-failed", "failed: no such city"),
        (said(PARIS, "not allowed", state="denied"), "llm-magic-tool-denied", "denied: not allowed"),
    ],
)
@pytest.mark.capability("G9", "D20")
def test_a_short_call_is_one_line(result: ToolResult | None, class_name: str, says: str) -> None:
    """Name, arguments, state and result, in HTML and in a terminal alike; errors are marked."""
    shown = called(PARIS, result)

    html = call_html(shown)

    assert class_name in html
    assert f'get_weather({{"city": "Paris"}}) {says}' in seen(html)
    assert call_text(shown) == f'get_weather({{"city": "Paris"}}): {says}'


def test_a_long_call_is_folded() -> None:
    """What does not fit on a line is behind it: arguments an item a line, and the result as it is."""
    call = ToolCall(id="c", name="plot", arguments=json.dumps({"points": list(range(60)), "title": "ä"}))
    result = ToolResult(call_id="c", name="plot", parts=(TextPart(text="\n a\n  b\n"),), latency_s=75.4)

    html = call_html(called(call, result))
    line = call_text(called(call, result))

    assert html.startswith('<details class="llm-magic-tool llm-magic-tool-done"><summary><code>plot({"points": [0, 1,')
    assert "done in 1 min 15 s</span></summary>" in html
    assert '    59\n  ],\n  "title": "ä"\n}</pre>' in html
    assert "<pre>\n\n a\n  b\n</pre>" in html
    assert line.endswith("…: done in 1 min 15 s: a b")
    assert len(line) < 250


def test_a_moment_is_not_told() -> None:
    """A call that takes less than a second looks the same each time it is run."""
    quick, slow = (ToolResult(call_id="c", name="f", latency_s=took_s) for took_s in (0.9, 1.4))

    assert call_text(called(PARIS, quick)).endswith("done")
    assert call_text(called(PARIS, slow)).endswith("done in 1 s")


@pytest.mark.capability("D11")
def test_arguments_that_are_no_json_are_shown_raw() -> None:
    """As the model wrote them, with the error that it was told."""
    call = ToolCall(id="c", name="f", arguments='{"city": Paris}')

    html = call_html(called(call, said(call, "the arguments are not JSON", state="failed", latency_s=None)))

    assert 'f({"city": Paris})' in seen(html)
    assert "failed: the arguments are not JSON" in seen(html)


@pytest.mark.parametrize(
    "arguments", ["", "{", "[" * 40_000, "[" * 100_000, "1" * 10_000, '"\\ud800"', "NaN", "{}" * 100_000]
)
def test_no_arguments_are_too_strange(arguments: str) -> None:
    """Deep, long, broken and unpaired: shown, and cut where nobody would read on."""
    for state in STATES:
        html = call_html(ShownCall(name="f", arguments=arguments, state=state))
        assert judge(html).faults == []
        assert len(html) < 3 * MAX_ARGUMENTS_CHARACTERS
    assert len(arguments_text(arguments)) < MAX_ARGUMENTS_CHARACTERS + 50


def test_what_is_left_out_is_counted() -> None:
    """Of long results and of many parts."""
    text = called(PARIS, said(PARIS, "x" * (MAX_RESULT_CHARACTERS + 1234)))
    parts = called(PARIS, said(PARIS, *(f"{n}\n" for n in range(MAX_RESULT_PARTS + 3))))

    assert "1,234 characters more" in seen(call_html(text))
    assert "3 more" in seen(call_html(parts))


def test_pictures_of_results_are_small() -> None:
    """A picture that a tool gave is a thumbnail, as those of prompts are; in a terminal it is named."""
    from PIL import Image

    data = io.BytesIO()
    Image.effect_noise((900, 600), 60).save(data, "PNG")
    part = ImagePart(data=data.getvalue(), media_type="image/png", width=900, height=600)

    shown = called(PARIS, said(PARIS, "the map", part, ImagePart(url="https://example.org/a.png")))

    html = call_html(shown)
    assert html.count("<img ") == 1
    assert 'class="llm-magic-thumbnail" src="data:image/' in html
    assert "image at example.org" in html
    assert len(html) < 12_000
    assert "[image 900 × 600" in call_text(shown)


@pytest.mark.parametrize("name", ["", "\n", "a\nb\x1b[2J"])
def test_names_are_one_line(name: str) -> None:
    """Whatever a model calls a function."""
    assert "\n" not in signature(name, "{}")
    assert "\x1b" not in signature(name, "{}")
    assert signature(name, "{}") in ("(no name)()", "a b()")


def test_hostile_calls_are_harmless_in_every_state() -> None:
    """Names, arguments and results are shown as text, and terminals get no control of theirs."""
    controls = set(map(chr, [*range(32), *range(0x7F, 0xA0)])) | set(BIDI_CONTROLS)
    for text in HOSTILE:
        written: list[Any] = [text, json.dumps({"a": text}), json.dumps({text: [text]}, ensure_ascii=False)]
        for arguments, state in zip(written * 3, STATES, strict=False):
            result = ToolResult(call_id=text, name=text, parts=(TextPart(text=text), TextPart(text=f"{text}\n{text}")))
            shown = ShownCall(name=text, arguments=arguments, state=state, result=result)
            assert judge(call_html(shown)).faults == []
            assert not controls & set(call_text(shown))
