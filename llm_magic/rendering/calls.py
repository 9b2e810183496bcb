"""Tool calls as they are shown: name, arguments, where the call stands, what came of it.

Comes in: what a model wrote and a function returned, hostile both. Goes out: safe HTML, one element a call, folded
where it is long; and a line of text for terminals. Times are told from a second on: what is run again should look the
same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..content import TextPart
from .clean import clean_prompt, escape
from .plain import plain_text
from .prompts import part_html

if TYPE_CHECKING:
    from ..content import ToolCall, ToolResult

CallState: TypeAlias = Literal["started", "asking", "running", "done", "failed", "denied", "idle"]

MAX_NAME_CHARACTERS = 80
MAX_LINE_CHARACTERS = 100
MAX_ARGUMENTS_CHARACTERS = 4_000
MAX_RESULT_CHARACTERS = 8_000
MAX_RESULT_PARTS = 20
# Beyond this, arguments are not read to be written more prettily.
_PRETTY_CHARACTERS = 50_000
_WORDS: dict[CallState, str] = {
    "started": "started",
    "asking": "waits for your word",
    "running": "running",
    "done": "done",
    "failed": "failed",
    "denied": "denied",
    "idle": "not called",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCall:
    """One tool call as it stands.

    Attributes:
        name: The function's name, as the model wrote it.
        arguments: JSON text of the arguments, or what there is of it.
        state: started: its arguments still come in; idle: nobody has called it, nor will; else as the session says.
        result: What came of it, None while nothing has.
    """

    name: str
    arguments: str = ""
    state: CallState = "started"
    result: ToolResult | None = None


def called(call: ToolCall, result: ToolResult | None) -> ShownCall:
    """A call as it is kept."""
    state: CallState = "done"
    if result is None:
        state = "idle"
    elif result.is_error:
        state = "denied" if result.is_denied else "failed"
    return ShownCall(name=call.name, arguments=call.arguments, state=state, result=result)


def call_html(call: ShownCall) -> str:
    """A call as one element of safe HTML."""
    name = f"llm-magic-tool llm-magic-tool-{call.state}"
    state = f'<span class="llm-magic-tool-state">{escape(_state(call))}</span>'
    if call.state == "started":
        # Open, so that it is seen what comes.
        written = _pre(_cut(call.arguments, MAX_ARGUMENTS_CHARACTERS)) if call.arguments else ""
        return clean_prompt(f'<div class="{name}"><code>{escape(_name(call))}</code> {state}{written}</div>') + "\n"
    line, result = _signature(call), _short_result(call)
    head = f"<code>{escape(_cut_line(line))}</code> {state}"
    if result is not None and len(line) <= MAX_LINE_CHARACTERS:
        return clean_prompt(f'<div class="{name}">{head}{escape(result and f": {result}")}</div>') + "\n"
    pretty = arguments_text(call.arguments)
    body = _pre(pretty) if len(line) > MAX_LINE_CHARACTERS else ""
    return clean_prompt(f'<details class="{name}"><summary>{head}</summary>{body}{_result_html(call)}</details>') + "\n"


def call_text(call: ShownCall) -> str:
    """A call as one line, safe to print.

    >>> call_text(ShownCall(name="get_weather", arguments='{"city": "Paris"}', state="running"))
    'get_weather({"city": "Paris"}): running'
    """
    result = _result_text(call)
    said = f"{_state(call)}: {_cut_line(one_line(result))}" if result else _state(call)
    return f"{_cut_line(_signature(call))}: {said}"


def signature(name: str, arguments: str) -> str:
    """A call as it would be written, on one line, safe to print; not cut.

    >>> signature("get_weather", '{"city":   "Paris"}')
    'get_weather({"city": "Paris"})'
    """
    return _signature(ShownCall(name=name, arguments=arguments))


def arguments_text(arguments: str, *, most: int = MAX_ARGUMENTS_CHARACTERS) -> str:
    """Arguments for people: JSON with an item a line, else as they came.

    Args:
        arguments: JSON text, or what a model took for it.
        most: At most so many characters, and a word on how many are left out.
    """
    return _cut(_rewritten(arguments, indent=2), most)


def one_line(text: str) -> str:
    r"""Text on one line, safe to print.

    >>> one_line("a\n\tb \x1b[31mc")
    'a b c'
    """
    return " ".join(plain_text(text).split())


def _name(call: ShownCall) -> str:
    return _cut(one_line(call.name), MAX_NAME_CHARACTERS) or "(no name)"


def _signature(call: ShownCall) -> str:
    arguments = one_line(_rewritten(call.arguments))
    return f"{_name(call)}({'' if arguments == '{}' else arguments})"


def _rewritten(arguments: str, *, indent: int | None = None) -> str:
    """JSON written evenly; what is none, or is longer or deeper than anything that is meant, as it came."""
    if len(arguments) > _PRETTY_CHARACTERS:
        return arguments
    try:
        return json.dumps(json.loads(arguments), indent=indent, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


def _state(call: ShownCall) -> str:
    took_s = call.result.latency_s if call.result is not None else None
    return f"{_WORDS[call.state]} in {_duration(took_s)}" if took_s and took_s >= 1 else _WORDS[call.state]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _short_result(call: ShownCall) -> str | None:
    """What came of it where a line can hold it; None where it cannot."""
    if call.result is not None and any(not isinstance(part, TextPart) for part in call.result.parts):
        return None
    text = _result_text(call).strip()
    return one_line(text) if len(text) <= MAX_LINE_CHARACTERS and "\n" not in text else None


def _result_text(call: ShownCall) -> str:
    """What came of it, as text; what is none, by its name."""
    parts = call.result.parts if call.result is not None else ()
    return "\n".join(part.text if isinstance(part, TextPart) else f"[{part.label}]" for part in parts)


def _result_html(call: ShownCall) -> str:
    parts = call.result.parts if call.result is not None else ()
    shown = [
        _pre(_cut(part.text, MAX_RESULT_CHARACTERS)) if isinstance(part, TextPart) else part_html(part)
        for part in parts[:MAX_RESULT_PARTS]
    ]
    if len(parts) > MAX_RESULT_PARTS:
        shown.append(escape(f"{len(parts) - MAX_RESULT_PARTS} more"))
    return "\n".join(shown)


def _pre(text: str) -> str:
    # The first newline of a <pre> is not shown: the cleaner reads it so, and once more the browser.
    return f"<pre>\n\n{escape(text)}</pre>"


def _cut(text: str, most: int) -> str:
    left_out = len(text) - most
    return f"{text[:most]} … {left_out:,} characters more" if left_out > 0 else text


def _cut_line(line: str) -> str:
    return line if len(line) <= MAX_LINE_CHARACTERS else f"{line[: MAX_LINE_CHARACTERS - 1]}…"
