"""What was said, as Markdown to read; written only.

A model's text is hostile: it stands inside fences, where it is no markup, loads nothing, and controls no terminal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .content import TextPart
from .slots import system_sent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .content import Message, Part, ToolCall
    from .events import Reason
    from .slots import Conversation, Slot
    from .turns import Step, Turn

_STEPS: Mapping[Reason, str] = {"tools": "Tools", "repair": "A try that did not fit", "fallback": "A refused form"}
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def to_markdown(conversation: Conversation) -> str:
    """A conversation to read: each turn's prompt and answer, the version that counts.

    Hidden turns and failed ones are there, marked as in ``%chat``. Texts stand verbatim in fences that they cannot
    end; pictures and files are named, not included.
    """
    blocks = [f"# {_inline(conversation.name or 'Conversation')}"]
    stale = conversation.stale()
    if system := system_sent(conversation):
        blocks += ["## System prompt", _fenced(system, "text")]
    for number, slot in enumerate(conversation.slots, start=1):
        turn = slot.current or slot.latest
        if turn is not None:
            blocks += [f"## Turn {number}{_marks(slot, turn, is_stale=slot.id in stale)}", *_turn(turn)]
    return "\n\n".join(blocks) + "\n"


def _marks(slot: Slot, turn: Turn, *, is_stale: bool) -> str:
    marks: list[str] = [] if turn.status == "complete" else [turn.status]
    if turn.continues is not None:
        marks.append("continued")
    if is_stale:
        marks.append("stale")
    if slot.is_hidden:
        marks.append("hidden")
    if len(slot.versions) > 1:
        marks.append(f"version {slot.versions.index(turn) + 1} of {len(slot.versions)}")
    return f" ({', '.join(marks)})" if marks else ""


def _turn(turn: Turn) -> Iterator[str]:
    for item in turn.prompt:
        yield f"### {item.role.capitalize()}"
        yield from _prompt(item)
    for step in turn.steps:
        yield from _step(step)
    yield f"### Answer of {_inline(turn.model)}" if turn.model else "### Answer"
    if answer := turn.text or turn.refusal:
        yield _fenced(answer, "markdown")
    yield from map(_call, turn.tool_calls)
    if turn.error:
        yield f"*{_inline(turn.error)}*"


def _step(step: Step) -> Iterator[str]:
    yield f"### {_STEPS[step.reason]}"
    if step.text:
        yield _fenced(step.text, "markdown")
    yield from map(_call, step.tool_calls)
    for result in step.results:
        state = "denied" if result.is_denied else "failed" if result.is_error else "gives"
        yield f"{_inline(result.name)} {state}:"
        yield from _parts(result.parts)
    if step.error:
        yield f"*{_inline(step.error)}*"


def _prompt(item: Message) -> Iterator[str]:
    yield from _parts(item.parts)
    yield from map(_call, item.tool_calls)


def _parts(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        yield _fenced(part.text, "text") if isinstance(part, TextPart) else f"*{_inline(part.label)}*"


def _call(call: ToolCall) -> str:
    return f"Calls {_inline(call.name)}:\n\n{_fenced(call.arguments, 'json')}"


def _fenced(text: str, language: str) -> str:
    """A text in a fence that it cannot end: longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{_visible(text)}\n{fence}"


def _inline(text: str) -> str:
    """A text as plain words in a line of Markdown, whatever it holds."""
    return _PUNCTUATION.sub(r"\\\1", _visible(" ".join(text.split())))


def _visible(text: str) -> str:
    """A text with replacement characters for control characters; line ends are kept, as line feeds."""
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
