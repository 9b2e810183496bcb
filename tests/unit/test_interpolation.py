r"""``{{ }}`` is Python, all other braces are text, and a failing expression is one line."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_magic.content import ImagePart, Part, TextPart, text_of
from llm_magic.errors import ContentError, InterpolationError
from llm_magic.interpolation import (
    Expression,
    escape,
    expression_at,
    interpolate,
    single_brace_hint,
    split,
)

braces = st.text(alphabet="{}$\\#%'\"ab (\n:,1f")


def as_text(value: Any, _name: str) -> tuple[Part, ...]:
    return (TextPart(text=str(value)),)


def render(text: str, **scope: Any) -> str:
    """What is sent for a prompt, all values as text."""
    parts = interpolate(text, scope, convert=as_text)
    assert len(parts) <= 1
    return text_of(parts)


@given(st.text())
def test_text_without_double_braces_is_unchanged(text: str) -> None:
    """A prompt without ``{{`` is sent as it was typed, to the character."""
    text = text.replace("{{", "{")

    assert render(text) == text


@given(braces)
@example("{{")
@example("{{{")
@example("{{ }}")
@example("{{\\{{")
def test_braces_never_raise_anything_else(text: str) -> None:
    """Whatever the braces, a prompt is parts or an InterpolationError of one line."""
    try:
        parts = interpolate(text, {"a": 1}, convert=as_text)
    except InterpolationError as exc:
        error: InterpolationError | None = exc
    else:
        error = None
        assert all(isinstance(part, TextPart) for part in parts)

    assert error is None or "\n" not in str(error)


@given(st.text() | braces)
def test_escape_round_trip(text: str) -> None:
    """An escaped text is sent as that very text, whatever it holds."""
    assert render(escape(text)) == text


@given(st.text() | braces, braces)
def test_values_are_never_read_again(value: str, around: str) -> None:
    """Braces in a value are text: nothing in it is evaluated, and none of it is changed."""
    plain = escape(around)

    sent = interpolate(f"{plain}\n{{{{ value }}}}", {"value": value}, convert=as_text)

    assert text_of(sent) == f"{around}\n{value}"


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("{{ x }}", "5"),
        ("{{x}}", "5"),
        ("a {{ x }} b {{ x + 1 }}.", "a 5 b 6."),
        ("{{x}}{{x}}", "55"),
        ('{{ {"a": {"b": x}} }}', "{'a': {'b': 5}}"),
        ('{{ {"a": {"b": {"c": x}}}["a"]}}', "{'b': {'c': 5}}"),
        ('{{ f"{x}" }}', "5"),
        ('{{ f"{{x}} {x}" }}', "{x} 5"),
        ('{{ "}}" }}', "}}"),
        ("{{ '{{' }}", "{{"),
        ("{{{x}}}", "{5}"),
        ("{{ [x * i for i in range(3) if x] }}", "[0, 5, 10]"),
        ("{{ (lambda: x)() }}", "5"),
        ("{{ x, x }}", "(5, 5)"),
        ("{{ (y := x) }}{{ y }}", "55"),
        ("{{ 'a'\n   .upper() }}", "A"),
        ("{{\n  x\n}}", "5"),
        ("{{ x # a note\n }}", "5"),
        ("{{ x if x else {} }}", "5"),
        (r"{{ '\d' }}", r"\d"),
    ],
)
def test_expressions_are_python(text: str, sent: str) -> None:
    """An expression ends at the first ``}}`` at which it parses: dicts, f-strings and strings work."""
    assert render(text, x=5) == sent


@pytest.mark.parametrize(
    "text",
    [
        "${{ github.ref }}",
        "{{#if x}}",
        "{{% for %}}",
        "{{ x",
        "{{",
        "}}",
        "{{}}",
        "{{ }}",
        "{{\n}}",
        "{x} $x ${x} {x!r} {",
        '{"a": {"b": 1}}',
        r"\frac{a}{b} $x^{2}$",
        "a {{ b {{ c",
    ],
)
def test_other_braces_are_plain_text(text: str) -> None:
    """Single braces, dollars, other template languages, empty and unclosed pairs are sent as they are."""
    assert render(text, x=5) == text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (r"\{{ x }}", "{{ x }}"),
        (r"\{{ x }} {{ x }}", "{{ x }} 5"),
        (r"\\{{ x }}", r"\{{ x }}"),
        ("{{ open {{ x }}", "{{ open 5"),
        ("${{ x }} {{ x }}", "${{ x }} 5"),
        ("{{ a 'quote {{ x }} it's", "{{ a 'quote 5 it's"),
    ],
)
def test_plain_and_expressions_mix(text: str, sent: str) -> None:
    """A plain ``{{`` takes nothing away from an expression after it."""
    assert render(text, x=5) == sent


def test_expressions_run_once_from_left_to_right() -> None:
    """Each expression is evaluated once, in the order it stands."""
    calls: list[int] = []

    def call(number: int) -> int:
        calls.append(number)
        return number

    assert render("{{ f(1) }} {{ f(2) }} {{ f(1) }}", f=call) == "1 2 1"
    assert calls == [1, 2, 1]


def test_scope_is_not_changed() -> None:
    """Names assigned in an expression, and builtins, do not leak into the scope given."""
    scope = {"x": 1}

    interpolate("{{ (y := x) }}", scope, convert=as_text)

    assert scope == {"x": 1}


def test_nothing_is_evaluated_when_something_does_not_parse() -> None:
    """A broken expression is found before the first one runs."""
    calls: list[int] = []

    with pytest.raises(InterpolationError):
        render("{{ calls.append(1) }} {{ x y }}", calls=calls)

    assert calls == []


def test_unknown_name_names_the_nearest() -> None:
    """A typo is one line: the expression, the nearest name, and --raw."""
    with pytest.raises(InterpolationError) as caught:
        render("What is in {{ phto }}?", photo=1, df=2)

    assert caught.value.message == "No variable named 'phto' for {{ phto }}."
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean photo?")
    assert "--raw" in caught.value.hint
    assert isinstance(caught.value.__cause__, NameError)


def test_unknown_attribute_names_the_nearest() -> None:
    """A typo in an attribute names the nearest one."""
    with pytest.raises(InterpolationError, match=r"did you mean upper\?"):
        render("{{ s.uper() }}", s="a")


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def _raise(exc: BaseException) -> None:
    raise exc


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (ValueError("two\nlines\x1b[31m"), "ValueError: two lines [31m"),
        (ValueError("long " * 5000), "ValueError: long long"),
        (KeyError(), "KeyError"),
        (_UnspeakableError(), "_UnspeakableError"),
        (NameError("not ours"), "NameError: not ours"),
    ],
)
def test_failing_expression_is_one_short_line(exc: Exception, said: str) -> None:
    """Whatever an expression raises: one line with the expression, the exception and --raw."""
    with pytest.raises(InterpolationError) as caught:
        render("{{ f(exc) }}", f=_raise, exc=exc)

    assert caught.value.message.startswith(f"{{{{ f(exc) }}}} failed: {said}")
    assert "--raw" in str(caught.value)
    assert len(str(caught.value)) < 450
    assert str(caught.value).isprintable()
    assert caught.value.__cause__ is exc


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), SystemExit()])
def test_interrupts_pass_through(exc: BaseException) -> None:
    """The user's Stop is no failing expression."""
    with pytest.raises(type(exc)):
        render("{{ f(exc) }}", f=_raise, exc=exc)


@pytest.mark.parametrize(
    "text",
    [
        "{{ df.head( }}",
        "{{ x y }}",
        "{{ for i in x }}",
        "{{ yield }}",
        "{{ await x }}",
        "{{ x = 1 }}",
        "{{ \x00 }}",
    ],
)
def test_what_does_not_parse_is_one_line(text: str) -> None:
    """Something closed that is no Python expression is an error, not text."""
    with pytest.raises(InterpolationError, match=r"is not a Python expression\.  Hint: --raw"):
        render(text, x=1)


@pytest.mark.parametrize(
    "text", ["{{ " + "-" * 9000 + "1 }}", "{{ " + "(" * 3000 + ")" * 3000 + " }}", "{{ '\ud800' }}"]
)
def test_what_the_parser_chokes_on_is_one_line(text: str) -> None:
    """Expressions nested too deep, or with half a character, are errors like any other."""
    with pytest.raises(InterpolationError, match="is not a Python expression") as caught:
        render(text)

    assert str(caught.value).isprintable()


def test_long_expressions_are_capped_in_errors() -> None:
    """A long expression is cut in its error, a long one of several lines too."""
    with pytest.raises(InterpolationError) as caught:
        render("{{ y + [\n" + "1,\n" * 500 + "] }}")

    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def test_convert_is_given_the_expression() -> None:
    """Values are converted by the function given, which is told what the user calls them."""
    seen: list[tuple[Any, str]] = []

    def convert(value: Any, name: str) -> tuple[Part, ...]:
        seen.append((value, name))
        return (ImagePart(url=f"http://host/{value}"),)

    parts = interpolate("a {{ x }} b {{x+1}}", {"x": 1}, convert=convert)

    assert seen == [(1, "x"), (2, "x+1")]
    assert parts == (
        TextPart(text="a "),
        ImagePart(url="http://host/1"),
        TextPart(text=" b "),
        ImagePart(url="http://host/2"),
    )


def test_content_errors_pass_through() -> None:
    """A value that cannot be sent says so itself."""

    def convert(value: Any, name: str) -> tuple[Part, ...]:
        raise ContentError(f"{name} is {value}")

    with pytest.raises(ContentError, match="x is 1"):
        interpolate("{{ x }}", {"x": 1}, convert=convert)


def test_labelled_text_stays_apart_on_its_own_lines() -> None:
    """A table in a sentence keeps its label and gets lines of its own; the typed text is not touched."""

    def convert(value: Any, name: str) -> tuple[Part, ...]:
        return (TextPart(text=value, label=name),)

    parts = interpolate("in {{ a }} and {{ b }}\nnow {{ c }}", {"a": "1\n2", "b": "3\n4", "c": "5"}, convert=convert)

    assert parts == (
        TextPart(text="in "),
        TextPart(text="\n1\n2\n", label="a"),
        TextPart(text=" and "),
        TextPart(text="\n3\n4", label="b"),
        TextPart(text="\nnow "),
        TextPart(text="5", label="c"),
    )


def test_empty_prompt_has_no_parts() -> None:
    """Nothing typed, or only empty values, is no part at all."""
    assert interpolate("", {}, convert=as_text) == ()
    assert interpolate("{{ '' }}", {}, convert=as_text) == ()


def test_split_tells_places() -> None:
    """Expressions know where in the prompt they stand."""
    text = "a {{ b }} c"

    pieces = split(text)

    assert pieces == ("a ", Expression(source="b", start=2, end=9), " c")
    assert text[2:9] == "{{ b }}"


@pytest.mark.parametrize(
    "text",
    [
        "{" * 10_000_000,
        "}" * 10_000_000,
        "{{ " * 3_000_000,
        "{{ " * 3_000_000 + "}}",
        "{{" * 2_500_000 + "}}" * 2_500_000,
        "{{'" * 3_000_000 + "}}" * 100,
        "{{ " + "a " * 5_000_000 + "}}",
        "${{" * 3_000_000,
        "\\{{" * 3_000_000,
        "{{}}" * 2_500_000,
        ("{{'" * 3000 + "}}" * 200) * 1000,
        "{{'{{" + "(" * 300 + "}}" * 100_000,
        "{{ '" + "}}" * 4000 + "' }}",
        "{{a}}" * 100_000,
    ],
    ids=range(14),
)
def test_braces_cost_linear_time(text: str) -> None:
    """10 MB of braces of any kind are read in seconds (quadratic would be hours)."""
    start = time.process_time()

    with contextlib.suppress(InterpolationError):
        interpolate(text, {"a": 1}, convert=as_text)

    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Explain {df}", "{df} is sent as it stands; {{ df }} sends the value."),
        ("Explain { df }.", "{df} is sent as it stands; {{ df }} sends the value."),
        ("({x}, {df})", "{df} is sent as it stands; {{ df }} sends the value."),
        ("{{ df }}", None),
        ("${df}", None),
        (r"\frac{df}{df} x_{df}", None),
        ("{other} {1}", None),
        ("{df.head()}", None),
        ("{{df}", None),
    ],
)
def test_single_brace_hint(text: str, hint: str | None) -> None:
    """``{df}`` with df defined is pointed out; LaTeX, shells and unknown names are not."""
    assert single_brace_hint(text, {"df": 1}) == hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ df.he|ad() }}", "df.he"),
        ("{{|", ""),
        ("a {{ x }} {{ df.|", "df."),
        ("{{ broken( }} {{ df|", "df"),
        ("{{ open {{ df|", "df"),
        ('{{ df["a|', 'df["a'),
        ("{{ x }}|", None),
        ("{{ x }} b|", None),
        ("${{ x|", None),
        ("\\{{ x|", None),
        ("{x|", None),
        ("|", None),
    ],
)
def test_expression_at(text: str, found: str | None) -> None:
    """The expression under the cursor is found, and where it begins; none outside of ``{{ }}``."""
    cursor = text.index("|")
    text = text.replace("|", "")

    got = expression_at(text, cursor)

    assert got == (None if found is None else (found, cursor - len(found)))


@given(braces, st.integers(0, 60))
def test_expression_at_never_fails(text: str, cursor: int) -> None:
    """Completion finds an expression or none, and one that ends at the cursor."""
    got = expression_at(text, cursor)

    assert got is None or text[:cursor].endswith(got[0])
