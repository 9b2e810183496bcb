r"""``{{ expression }}`` in a prompt: finding the expressions, evaluating them, putting the parts in a row.

What comes in: the text a user typed, and the names it may use. What goes out: parts. Pure but for what the
expressions themselves do; all braces are read before the first one is evaluated, and no value is ever read
for braces again.

An expression ends at the first ``}}`` at which it parses, so dicts, f-strings and strings that hold ``}}``
work. Plain text are: ``${{``, ``{{#``, ``{{%``, an empty ``{{ }}``, and a ``{{`` that no ``}}`` follows
before the next ``{{``, unless a string between them holds that one. ``\{{`` is a literal ``{{``. An
expression is at most 10,000 characters long and is tried at no more than its first 200 ``}}``.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .content import Part, TextPart
from .errors import InterpolationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

# Parts from a value and the expression it is the value of.
Convert: TypeAlias = Callable[[Any, str], tuple[Part, ...]]

_MAX_CLOSERS = 200
_MAX_EXPRESSION = 10_000
# Attempts in vain at "{{" that turned out to be plain text, in one prompt: they keep a hostile text linear.
_MAX_VAIN = 300
_SHOWN_EXPRESSION, _SHOWN_MESSAGE = 80, 200
_OPENERS = re.compile(r"(?P<escaped>\\\{\{)|(?P<plain>\$\{\{|\{\{[#%]|\{\{\s*\}\})|\{\{")
# A name in single braces that nothing but a space, a quote or a bracket precedes: no LaTeX, no "${name}".
_SINGLE = re.compile(r"(?<![\w{}$\\^])\{\s*([^\W\d]\w*)\s*\}(?!\})")
_QUOTE = re.compile("['\"]")
_RAW_HINT = r"--raw sends braces as they are, \{{ sends one pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One ``{{ expression }}``.

    Attributes:
        source: The Python between the braces, without the white space around it.
        start: Where its ``{{`` begins in the text.
        end: Where its ``}}`` ends in the text.
    """

    source: str
    start: int
    end: int


def split(text: str) -> tuple[str | Expression, ...]:
    r"""The plain text and the expressions of a prompt, in order.

    >>> split(r"a {{ b }} \{{ c")
    ('a ', Expression(source='b', start=2, end=9), ' {{ c')

    Returns:
        Texts, never empty and never two in a row, with their escapes undone; and expressions.

    Raises:
        InterpolationError: What is between ``{{`` and ``}}`` is no Python expression.
    """
    pieces: list[str | Expression] = []
    pending: list[str] = []
    position = 0
    for kind, start, end, source in _scan(text):
        if kind == "open":
            break
        pending.append(text[position:start])
        position = end
        if kind == "broken":
            message = f"{_shown(source)} is not a Python expression."
            raise InterpolationError(message, hint=_RAW_HINT)
        if kind == "escaped":
            pending.append("{{")
        else:
            pieces += [joined] if (joined := "".join(pending)) else []
            pieces.append(Expression(source=source, start=start, end=end))
            pending = []
    pending.append(text[position:])
    pieces += [joined] if (joined := "".join(pending)) else []
    return tuple(pieces)


def escape(text: str) -> str:
    r"""A prompt that stands for this very text, whatever braces it holds.

    >>> escape("{{ x }}")
    '\\{{ x }}'
    """
    return text.replace("{{", r"\{{")


def interpolate(text: str, scope: Mapping[str, Any], *, convert: Convert) -> tuple[Part, ...]:
    """The parts a prompt stands for.

    Args:
        text: What the user typed.
        scope: The names that expressions see. Not changed: what one assigns is gone with the call.
        convert: Makes parts from a value; called with the value and its expression.

    Returns:
        Parts in order. Text the user typed and text of values are one part, verbatim; a part with a label
        stays apart, on lines of its own.

    Raises:
        InterpolationError: An expression does not parse or fails. Those before it were evaluated.
        ContentError: A value cannot be sent.
    """
    pieces = split(text)
    if all(isinstance(piece, str) for piece in pieces):
        return _in_a_row([TextPart(text=piece) for piece in pieces if isinstance(piece, str)])
    # One dict as globals: comprehensions and lambdas look their names up there, and only there.
    names = dict(scope)
    parts: list[Part] = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(TextPart(text=piece))
        else:
            parts += convert(evaluate(piece, names), _capped(piece.source, _SHOWN_EXPRESSION))
    return _in_a_row(parts)


def evaluate(expression: Expression, names: dict[str, Any]) -> Any:
    """The value of an expression.

    Args:
        expression: From :func:`split`.
        names: Its globals.

    Raises:
        InterpolationError: It failed; one line, ``from`` the exception. An interrupt passes through.
    """
    code = _parsed(expression.source)
    assert code is not None  # split found it to parse
    try:
        return eval(code, names)  # noqa: S307  # the user's own code, typed into the user's own kernel
    except Exception as exc:
        raise _failure(expression.source, exc, names) from exc


def single_brace_hint(text: str, scope: Mapping[str, Any]) -> str | None:
    """A line for those who wrote ``{df}``, with ``df`` defined, where they may have meant ``{{ df }}``.

    >>> single_brace_hint("Explain {df}.", {"df": 1})
    '{df} is sent as it stands; {{ df }} sends the value.'
    """
    for match in _SINGLE.finditer(text):
        if match[1] in scope:
            return f"{{{match[1]}}} is sent as it stands; {{{{ {match[1]} }}}} sends the value."
    return None


def expression_at(text: str, cursor: int) -> tuple[str, int] | None:
    """The expression being typed at the cursor, for completion.

    >>> expression_at("Explain {{ df.he", 16)
    ('df.he', 11)

    Args:
        text: The prompt.
        cursor: Position in it, in characters.

    Returns:
        The expression up to the cursor, and where in the text it begins; None outside of ``{{ }}``.
    """
    typed = text[:cursor]
    for kind, start, _, _ in _scan(typed):
        if kind == "open":
            # Nothing ends from here on, so it is the last of them that is being typed.
            openers = [match for match in _OPENERS.finditer(typed, start) if match.lastgroup is None]
            source = typed[openers[-1].end() :].lstrip()
            return (source, len(typed) - len(source)) if len(source) <= _MAX_EXPRESSION else None
    return None


_Kind: TypeAlias = Literal["escaped", "expression", "broken", "open"]


def _scan(text: str) -> Iterator[tuple[_Kind, int, int, str]]:
    r"""What the braces of a text are: kind, start, end, and the expression's source.

    ``escaped`` is a ``\{{``; ``broken`` has a ``}}`` and does not parse; ``open`` is a ``{{`` with no ``}}``
    anywhere after it, and ends the scan. Plain braces are passed over.
    """
    position, closer, vain = 0, -1, 0
    while match := _OPENERS.search(text, position):
        start, position = match.span()
        if match["escaped"]:
            yield "escaped", start, position, ""
        if match.lastgroup:
            continue
        if closer < position:
            closer = text.find("}}", position)
        if closer < 0:
            yield "open", start, position, ""
            return
        following = text.find("{{", position, closer)
        # Python has a use for "{{" only in strings (there is no set of sets or dicts): else this is plain.
        if following >= 0 and (vain >= _MAX_VAIN or not _QUOTE.search(text, position, following)):
            continue
        source, end, attempts = _expression(text, position, closer)
        if source is not None:
            yield "expression", start, end, source
            position = end
        elif following >= 0 or closer - position > _MAX_EXPRESSION:
            vain += attempts
        else:
            yield "broken", start, closer + 2, text[position:closer]
            position = closer + 2


def _expression(text: str, start: int, closer: int) -> tuple[str | None, int, int]:
    """The shortest expression that begins at ``start``: its source, its end, and how often it was tried.

    Args:
        text: The prompt.
        start: After the ``{{``.
        closer: The first ``}}``; overlapping ones (in ``}}}``) count.
    """
    for attempt in range(1, _MAX_CLOSERS + 1):
        if not 0 <= closer - start <= _MAX_EXPRESSION:
            return None, start, attempt
        source = text[start:closer].strip()
        if _parsed(source) is not None:
            return source, closer + 2, attempt
        closer = text.find("}}", closer + 1, start + _MAX_EXPRESSION + 2)
    return None, start, _MAX_CLOSERS


@functools.lru_cache(maxsize=512)
def _parsed(source: str) -> CodeType | None:
    """The expression compiled, None where it is none; lines may be broken as if in brackets."""
    forms = (source, f"({source}\n)") if "\n" in source else (source,)
    with warnings.catch_warnings():
        # What Python has to say of an attempt ("invalid escape sequence") is not for the user.
        warnings.simplefilter("ignore")
        for form in forms:
            # ValueError: a null byte or half a surrogate pair; the last two: brackets nested too deep.
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                return compile(form, "<{{ }}>", "eval", dont_inherit=True)
    return None


def _in_a_row(parts: list[Part]) -> tuple[Part, ...]:
    """Parts with neighbouring texts joined; a labelled text of several lines gets lines of its own."""
    row: list[Part] = []
    pending: list[str] = []
    for part in parts:
        if isinstance(part, TextPart) and not part.label:
            pending.append(part.text)
            continue
        row += [TextPart(text=joined)] if (joined := "".join(pending)) else []
        row.append(part)
        pending = []
    row += [TextPart(text=joined)] if (joined := "".join(pending)) else []
    for number, part in enumerate(row):
        if isinstance(part, TextPart) and part.label and "\n" in part.text:
            before, after = (
                row[number - 1] if number else None,
                row[number + 1] if number + 1 < len(row) else None,
            )
            is_begun = isinstance(before, TextPart) and not before.text.endswith("\n")
            is_continued = isinstance(after, TextPart) and not after.text.startswith("\n")
            row[number] = replace(part, text="\n" * is_begun + part.text + "\n" * is_continued)
    return tuple(row)


def _failure(source: str, exc: Exception, names: dict[str, Any]) -> InterpolationError:
    """One line that says which expression failed and why, with the nearest name where that may help."""
    shown = _shown(source)
    if isinstance(exc, NameError) and exc.name and exc.name in source:
        known = [name for name in [*names, *dir(builtins)] if not name.startswith("_")]
        hint = did_you_mean(exc.name, known)
        message = f"No variable named {exc.name!r} for {shown}."
    else:
        hint = None
        if isinstance(exc, AttributeError) and exc.name:
            # Of the type, not the value: asking a value may run its code.
            hint = did_you_mean(exc.name, (name for name in dir(type(exc.obj)) if not name.startswith("_")))
        message = f"{shown} failed: {_reason(exc)}."
    return InterpolationError(message, hint=f"{hint} ({_RAW_HINT})" if hint else _RAW_HINT)


def _reason(exc: Exception) -> str:
    try:
        said = _capped(str(exc), _SHOWN_MESSAGE)
    except Exception:  # noqa: BLE001  # an exception that cannot tell itself: its type must do
        said = ""
    return f"{type(exc).__name__}: {said}".rstrip(":. ")


def _shown(source: str) -> str:
    return f"{{{{ {_capped(source, _SHOWN_EXPRESSION)} }}}}"


def _capped(text: str, length: int) -> str:
    """The text in one line of printable characters, cut with a mark."""
    cut = text[: length * 2]
    line = " ".join("".join(char if char.isprintable() else " " for char in cut).split())
    return line if len(line) <= length and len(text) == len(cut) else line[: length - 1] + "…"
