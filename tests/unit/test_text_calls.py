"""Calls that models write into their text are told from it, however it is cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends.text_calls import TextCall, TextCallParser, calls_in
from llm_magic.providers.profile import TextCalls  # noqa: TC001  # strategies read hints

F = TextCall("f", '{"a": 1}')
G = TextCall("g", "{}")
WRITTEN: list[tuple[TextCalls, str, list[str | TextCall]]] = [
    ("llama", '{"name": "f", "parameters": {"a": 1}}', [F]),
    ("llama", ' {"type": "function", "function": "f", "parameters": {"a": 1}}\n', [F]),
    ("llama", '{"name": "f", "parameters": {"a": 1}}; {"name": "g", "parameters": {}}', [F, G]),
    ("llama", '<|python_tag|>{"name": "f", "parameters": {"a": 1}}; {"name": "g"}', [F, G]),
    ("llama", 'So.\n<|python_tag|>{"type": "function", "name": "f", "parameters": {"a": 1}}', ["So.", F]),
    ("llama", '<|python_tag|>web.call(query="a\\"b", n=2)', [TextCall("web", '{"query": "a\\"b", "n": 2}')]),
    ("llama", "<|python_tag|>print(1)\n", [TextCall("python", '{"code": "print(1)"}')]),
    ("llama", '<|python_tag|>web.call(query="a', [TextCall("python", '{"code": "web.call(query=\\"a"}')]),
    ("llama", '<function=f>{"a": 1}</function>\n<function=g></function>\nDone.', [F, G, "Done."]),
    ("llama", '{"a": 1} is a dict', ['{"a": 1} is a dict']),
    ("llama", '{"name": "Ada", "parameters": 3}', ['{"name": "Ada", "parameters": 3}']),
    ("llama", 'I say {"name": "f", "parameters": {"a": 1}}\n', ['I say {"name": "f", "parameters": {"a": 1}}\n']),
    ("llama", "<|python_tag|>", ["<|python_tag|>"]),
    ("llama", "a < b, <|python, <functional>", ["a < b, <|python, <functional>"]),
    ("llama", "", []),
    ("hermes", 'Hm.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', ["Hm.", F]),
    ("hermes", '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>\n<tool_call>{"name": "g"}', [F, G]),
    ("hermes", '<tool_call>{"function": {"name": "f", "arguments": {"a": 1}}}</tool_call> ok', [F, "ok"]),
    ("hermes", "\n<tool_call>oops</tool_call> so\n", ["\n<tool_call>oops</tool_call> so\n"]),
    ("hermes", '{"name": "f", "arguments": {}}', ['{"name": "f", "arguments": {}}']),
    ("none", '<tool_call>{"name": "f"}</tool_call>', ['<tool_call>{"name": "f"}</tool_call>']),
]


def read(form: TextCalls, *pieces: str) -> list[str | TextCall]:
    """What a text that comes in pieces says and calls; neighbouring text as one."""
    parser = TextCallParser(form)
    found = [item for piece in pieces for item in parser.feed(piece)] + parser.finish()
    joined: list[str | TextCall] = []
    for item in found:
        if joined and isinstance(joined[-1], str) and isinstance(item, str):
            joined[-1] += item
        else:
            joined.append(item)
    return joined


@pytest.mark.capability("D15")
@pytest.mark.parametrize(("form", "text", "found"), WRITTEN)
def test_calls_are_told_from_text(form: TextCalls, text: str, found: list[str | TextCall]) -> None:
    """In each form a model has; what is none is text to the letter, white space around calls is nothing."""
    assert read(form, text) == found
    assert read(form, *text) == found


@pytest.mark.capability("D15")
@given(st.sampled_from(WRITTEN), st.lists(st.integers(min_value=0, max_value=80), max_size=6))
def test_cuts_change_nothing(written: tuple[TextCalls, str, list[str | TextCall]], cuts: list[int]) -> None:
    """Wherever the text is cut, also within a tag."""
    form, text, found = written
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]

    assert read(form, *(text[start:end] for start, end in itertools.pairwise(places))) == found


shards = st.lists(
    st.sampled_from(
        ["<|python_tag|>", "<function=", "f>", "</function>", "<tool_call>", "</tool_call>", "{", "}", " ", "a"]
    )
    | st.text(max_size=3)
)


@given(st.sampled_from(["llama", "hermes", "none"]), shards)
def test_text_without_calls_comes_through(form: TextCalls, pieces: list[str]) -> None:
    """Whatever a model says: where no call is found, not a letter is lost."""
    found = read(form, *pieces)

    if not any(isinstance(item, TextCall) for item in found):
        assert found == (["".join(pieces)] if "".join(pieces) else [])


def test_text_is_not_held_back() -> None:
    """But for what could still become a tag, and the white space before it."""
    parser = TextCallParser("hermes")

    assert parser.feed("Hello ") == ["Hello"]
    assert parser.feed("world <too") == [" world"]
    assert parser.feed("th> ") == [" <tooth>"]
    assert parser.finish() == [" "]


def test_a_very_long_object_is_text_in_time() -> None:
    """An answer that begins with a brace is not held for ever."""
    parser = TextCallParser("llama")

    held = [parser.feed("{" + "x" * 9999) for _ in range(11)]

    assert held[:9] == [[]] * 9
    assert "".join(map(str, itertools.chain(*held))) == ("{" + "x" * 9999) * 11


def test_deep_json_is_text() -> None:
    """No recursion ends a stream."""
    assert calls_in("[" * 100_000) is None
    assert calls_in(json.dumps([1])) is None
    assert read("llama", "<|python_tag|>f.call(" + "(" * 10_000) != []
