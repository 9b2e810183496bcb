"""What was said, without the bookkeeping: messages as JSON Lines in OpenAI's format, and Markdown to read.

JSON Lines holds what the next ask would send; Markdown is written only. A model's text is hostile: Markdown
shows it inside fences, where it is no markup, loads nothing, and controls no terminal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .backends.wire import message_from_openai, message_to_openai
from .content import TextPart
from .errors import LLMMagicError, StoreError
from .jsontext import json_text
from .records import calls_from_dicts, checked_message
from .slots import Conversation, Slot, context_messages
from .turns import Turn, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .content import Message, ToolCall
    from .records import C

_JSONL_HINT = 'a line is {"messages": [...]} or one message'
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNANSWERED = "no answer in the file"


def to_jsonl(conversation: Conversation) -> str:
    """The messages that the next ask would send, as one line in OpenAI's fine-tuning format.

    A conversation that takes its system prompt from the session has the one its last turn was sent with.
    """
    sent = conversation.before(None)
    system = conversation.system
    if system is None and sent:
        system = sent[-1].system
    messages = [message_to_openai(item) for item in context_messages(system, conversation.context().messages, ())]
    return json_text({"messages": messages}) + "\n"


def from_jsonl(
    text: str,
    *,
    cls: type[C] = Conversation,  # type: ignore[assignment]  # the default of C, which mypy does not match up
) -> C:
    """A conversation from messages in OpenAI's format, in any order of roles.

    A slot is an answer and all messages before it since the last one; messages that call tools, and what the
    tools said, belong to what is asked. Messages after the last answer become a turn that failed: kept, never
    sent.

    Args:
        text: One line ``{"messages": [...]}``, or one message a line. A plain system message at the start
            becomes the conversation's system prompt.
        cls: What to make of it.

    Raises:
        StoreError: A line is not such a message; the error names the line.
    """
    messages = list(_messages(text))
    system = None
    if messages and _is_system_prompt(messages[0]):
        system = messages.pop(0).text
    conversation = cls(system=system)
    prompt: list[Message] = []
    for index, item in enumerate(messages):
        is_last = index == len(messages) - 1
        if item.role == "assistant" and (is_last or not item.tool_calls):
            _add(conversation, tuple(prompt), answer=item)
            prompt.clear()
        else:
            prompt.append(item)
    if prompt:
        _add(conversation, tuple(prompt), answer=None)
    return conversation


def to_markdown(conversation: Conversation) -> str:
    """A conversation to read: each turn's prompt and answer, the version that counts.

    Texts stand verbatim in fences that they cannot end; pictures and files are named, not included.
    """
    blocks = [f"# {_inline(conversation.name or 'Conversation')}"]
    if conversation.system:
        blocks += ["## System prompt", _fenced(conversation.system, "text")]
    for number, slot in enumerate(conversation.slots, start=1):
        turn = slot.current or slot.latest
        if turn is not None:
            blocks += [f"## Turn {number}{_marks(slot, turn)}", *_turn(turn)]
    return "\n\n".join(blocks) + "\n"


def _messages(text: str) -> Iterator[Message]:
    is_begun = False
    # Not splitlines(): JSON text may hold the other line ends that it knows.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        data = _line(line, number)
        if "messages" not in data:
            yield _message(data, number)
        elif is_begun:
            raise StoreError(f"Line {number} begins a second conversation.", hint="one file holds one: split it")
        elif not isinstance(data["messages"], list):
            raise StoreError(f"Line {number} has no list of messages.", hint=_JSONL_HINT)
        else:
            yield from (_message(item, number) for item in data["messages"])
        is_begun = True


def _line(line: str, number: int) -> Mapping[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise StoreError(f"Line {number} is not JSON.", hint=_JSONL_HINT) from exc
    if not isinstance(data, dict):
        raise StoreError(f"Line {number} is not a JSON object.", hint=_JSONL_HINT)
    return data


def _message(data: Any, number: int) -> Message:
    if not isinstance(data, dict):
        raise StoreError(f"Line {number} has a message that is not a JSON object.", hint=_JSONL_HINT)
    try:
        calls_from_dicts(data.get("tool_calls") or [])
        return checked_message(message_from_openai(data))
    except LLMMagicError as exc:
        raise StoreError(f"Line {number}: {exc.message}", hint=exc.hint or _JSONL_HINT) from exc


def _is_system_prompt(item: Message) -> bool:
    return item.role == "system" and item.name is None and all(isinstance(part, TextPart) for part in item.parts)


def _add(conversation: Conversation, prompt: tuple[Message, ...], *, answer: Message | None) -> None:
    turn = Turn(
        id=new_id(),
        prompt=prompt,
        text=answer.text if answer else "",
        tool_calls=answer.tool_calls if answer else (),
        status="complete" if answer else "failed",
        error=None if answer else _UNANSWERED,
        system=conversation.system or None,
        seen=conversation.context().seen,
    )
    conversation.slots = (*conversation.slots, Slot(id=new_id()).with_version(turn))


def _marks(slot: Slot, turn: Turn) -> str:
    marks: list[str] = [] if turn.status == "complete" else [turn.status]
    if slot.is_hidden:
        marks.append("hidden")
    if len(slot.versions) > 1:
        marks.append(f"version {slot.versions.index(turn) + 1} of {len(slot.versions)}")
    return f" ({', '.join(marks)})" if marks else ""


def _turn(turn: Turn) -> Iterator[str]:
    for item in turn.prompt:
        yield f"### {item.role.capitalize()}"
        yield from _prompt(item)
    yield f"### Answer of {_inline(turn.model)}" if turn.model else "### Answer"
    if answer := turn.text or turn.refusal:
        yield _fenced(answer, "markdown")
    yield from map(_call, turn.tool_calls)
    if turn.error:
        yield f"*{_inline(turn.error)}*"


def _prompt(item: Message) -> Iterator[str]:
    for part in item.parts:
        yield _fenced(part.text, "text") if isinstance(part, TextPart) else f"*{_inline(part.label)}*"
    yield from map(_call, item.tool_calls)


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
