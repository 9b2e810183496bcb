"""Messages as JSON Lines in OpenAI's format: ours, other people's, and those written by hand.

Comes in: text. Goes out: a conversation, or one line that names the file's line. What a conversation has no place for
(the weight of a message, an example's tools) is said in the notices of its turns, never dropped in silence. What a
provider takes for fine-tuning is checked in ``finetuning.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .backends.wire import message_from_openai, message_to_openai
from .content import ROLES, TextPart
from .errors import LLMMagicError, StoreError
from .jsontext import brief, json_text, strict_value
from .records import calls_from_dicts, checked_message
from .slots import Conversation, Slot, context_messages, system_sent
from .turns import Turn, new_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from .content import Message
    from .records import C

LINE_HINT = 'a line is {"messages": [...]} or one message'
FILE_HINT = 'messages are [...] or {"messages": [...]}'
_UNANSWERED = "no answer in the file"
_KNOWN = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal"})
# Thoughts of the model, as servers call them.
_THOUGHTS = ("reasoning_content", "reasoning")
_MOST_NAMED = 5
_UNKEPT = "not kept from the file: "


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A message of a file.

    Attributes:
        message: The message; a refusal is its text where it has no other.
        text: Its text, a refusal apart.
        refusal: The refusal.
        thoughts: The model's thoughts beside it.
        unkept: Names of what stands beside it and has no place in a conversation.
    """

    message: Message
    text: str
    refusal: str
    thoughts: str
    unkept: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Block:
    """A conversation in a file: one line with all its messages, or a message a line.

    Attributes:
        lines: Its first line and its last.
        items: Where each message stands, and what it is.
        unkept: Names of what stands beside the messages.
    """

    lines: tuple[int, int]
    items: list[tuple[str, Any]]
    unkept: tuple[str, ...] = ()


def to_jsonl(conversation: Conversation) -> str:
    """The messages that the next ask would send, as one line in OpenAI's fine-tuning format.

    A conversation that takes its system prompt from the session has the one its last turn was sent with.
    """
    sent = context_messages(system_sent(conversation), conversation.context().messages, ())
    messages = [message_to_openai(item) for item in sent]
    return json_text({"messages": messages}) + "\n"


def from_jsonl(
    text: str,
    *,
    line: int | None = None,
    cls: type[C] = Conversation,  # type: ignore[assignment]  # the default of C, which mypy does not match up
) -> C:
    """A conversation from messages in OpenAI's format, in any order of roles.

    A slot is an answer and all messages before it since the last one; messages that call tools, and what the
    tools said, belong to what is asked. Messages after the last answer become a turn that failed: kept, never
    sent. What has no place in a conversation, such as ``weight``, is named in the turn's notices.

    Args:
        text: One line ``{"messages": [...]}``, or one message a line; empty lines are passed over. A plain system
            message at the start becomes the conversation's system prompt.
        line: Which conversation, by a line of it, where there are several; None takes the only one.
        cls: What to make of it.

    Raises:
        StoreError: A line is not such a message (the error names the line), or there are several conversations
            and no line is given.
    """
    blocks = list(_blocks(text))
    if not blocks and line is None:
        return cls()
    block = _chosen(blocks, line)
    return _conversation([_found(data, where) for where, data in block.items], block.unkept, cls)


def from_messages(
    data: Any,
    *,
    cls: type[C] = Conversation,  # type: ignore[assignment]  # the default of C, which mypy does not match up
) -> C:
    """A conversation from a list of messages in OpenAI's format, or from a dict that has one as ``messages``.

    Raises:
        StoreError: It is not such a list; the error names the message by its number.
    """
    whole = data if isinstance(data, dict) else {"messages": data}
    messages = whole.get("messages")
    if not isinstance(messages, list):
        raise StoreError("The file has no list of messages.", hint=FILE_HINT)
    found = [_found(item, f"Message {number}") for number, item in enumerate(messages, start=1)]
    return _conversation(found, _beside(whole, {"messages"}), cls)


def unkept(conversation: Conversation) -> tuple[str, ...]:
    """What the turns of a conversation that was just read say of what has no place in one, each line once."""
    notices = (line for slot in conversation.slots for turn in slot.versions for line in turn.notices)
    return tuple(dict.fromkeys(line for line in notices if line.startswith(_UNKEPT)))[:_MOST_NAMED]


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not empty, with their numbers from 1."""
    # Not splitlines(): JSON text may hold the other line ends that it knows.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            yield number, line


def _blocks(text: str) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in numbered_lines(text):
        data = strict_value(line, f"Line {number}", hint=LINE_HINT)
        if not isinstance(data, dict):
            raise StoreError(f"Line {number} is not a JSON object.", hint=LINE_HINT)
        if "messages" in data:
            if block is not None:
                yield block
            block = None
            yield _whole(data, number)
        elif block is None:
            block = _Block(lines=(number, number), items=[(f"Line {number}", data)])
        else:
            block.lines = (block.lines[0], number)
            block.items.append((f"Line {number}", data))
    if block is not None:
        yield block


def _whole(data: Mapping[str, Any], number: int) -> _Block:
    messages = data["messages"]
    if not isinstance(messages, list):
        raise StoreError(f"Line {number} has no list of messages.", hint=LINE_HINT)
    return _Block(
        lines=(number, number),
        items=[(f"Line {number}, message {place}", item) for place, item in enumerate(messages, start=1)],
        unkept=_beside(data, {"messages"}),
    )


def _chosen(blocks: Sequence[_Block], line: int | None) -> _Block:
    starts = ", ".join(str(block.lines[0]) for block in blocks[:_MOST_NAMED])
    more = " …" if len(blocks) > _MOST_NAMED else ""
    if line is None:
        if len(blocks) == 1:
            return blocks[0]
        raise StoreError(
            f"There are {len(blocks)} conversations, at lines {starts}{more}.",
            hint=f"say which: %chat load FILE at {blocks[0].lines[0]}, or from_jsonl(text, line={blocks[0].lines[0]})",
        )
    for block in blocks:
        if block.lines[0] <= line <= block.lines[1]:
            return block
    raise StoreError(f"There is no conversation at line {line}.", hint=f"there is one at {starts}{more}")


def _found(data: Any, where: str) -> _Found:
    if not isinstance(data, dict):
        raise StoreError(f"{where} is not a JSON object.", hint=LINE_HINT)
    try:
        _check(data)
        data = {**data, "tool_calls": [_with_text(call) for call in data.get("tool_calls") or ()]}
        message = checked_message(message_from_openai(data))
        thoughts = next((name for name in _THOUGHTS if isinstance(data.get(name), str)), "")
        return _Found(
            message=message,
            text=message.text if data.get("content") else "",
            refusal=data.get("refusal") or "",
            thoughts=data.get(thoughts, ""),
            unkept=_beside(data, {*_KNOWN, thoughts}),
        )
    except LLMMagicError as exc:
        raise StoreError(f"{where}: {exc.message}", hint=exc.hint or LINE_HINT) from exc


def _check(data: Mapping[str, Any]) -> None:
    """What the wire takes as it comes and a file must not hold."""
    role = data.get("role")
    if role is not None and role not in ROLES:
        said = brief(role) if isinstance(role, str) else f"a {type(role).__name__}"
        raise StoreError(f"The role is {said}.", hint="one of " + ", ".join(ROLES))
    if not isinstance(data.get("refusal"), str | None):
        raise StoreError("The 'refusal' of a message is no text.")
    calls = data.get("tool_calls") or []
    calls_from_dicts(calls)
    for call in calls:
        texts = (call.get("id"), call["function"].get("name"))
        arguments = call["function"].get("arguments")
        if not all(isinstance(text, str | None) for text in texts) or not isinstance(arguments, str | dict | None):
            raise StoreError("A value in 'tool_calls' is of a wrong type.", hint="id, name and arguments are text")


def _with_text(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call whose arguments are JSON text: some write them as the object itself."""
    function = call["function"]
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        return {**call, "function": {**function, "arguments": json_text(arguments)}}
    return dict(call)


def _beside(data: Mapping[str, Any], known: Collection[str]) -> tuple[str, ...]:
    """Names of what is there beside what is known; servers send null and empty lists for what is not."""
    return tuple(name for name, value in data.items() if name not in known and value not in (None, "", [], {}))


def _conversation(found: list[_Found], unkept: tuple[str, ...], cls: type[C]) -> C:
    system = None
    if found and _is_system_prompt(found[0].message):
        first = found.pop(0)
        system, unkept = first.message.text, (*unkept, *first.unkept)
    conversation = cls(system=system)
    asked: list[_Found] = []
    for index, item in enumerate(found):
        is_last = index == len(found) - 1
        if item.message.role == "assistant" and (is_last or not item.message.tool_calls):
            _add(conversation, asked, answer=item, unkept=unkept)
            asked, unkept = [], ()
        else:
            asked.append(item)
    if asked:
        _add(conversation, asked, answer=None, unkept=unkept)
    return conversation


def _is_system_prompt(item: Message) -> bool:
    return item.role == "system" and item.name is None and all(isinstance(part, TextPart) for part in item.parts)


def _add(conversation: Conversation, asked: list[_Found], *, answer: _Found | None, unkept: tuple[str, ...]) -> None:
    said: dict[str, Any] = {"status": "failed", "error": _UNANSWERED}
    for item in asked:
        unkept += (*item.unkept, *(["refusal"] if item.text and item.refusal else ()))
        unkept += ("reasoning",) if item.thoughts else ()
    if answer is not None:
        message = answer.message
        unkept += (*answer.unkept, *(["name"] if message.name else ()))
        unkept += tuple(type(part).__name__ for part in message.parts if not isinstance(part, TextPart))
        said = {"text": answer.text, "refusal": answer.refusal, "reasoning": answer.thoughts}
        said["tool_calls"] = message.tool_calls
    turn = Turn(
        id=new_id(),
        prompt=tuple(item.message for item in asked),
        system=conversation.system or None,
        seen=conversation.context().seen,
        notices=_notices(unkept),
        **said,
    )
    conversation.slots = (*conversation.slots, Slot(id=new_id()).with_version(turn))


def _notices(unkept: Sequence[str]) -> tuple[str, ...]:
    names = list(dict.fromkeys(unkept))
    if not names:
        return ()
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (f"{_UNKEPT}{', '.join(map(brief, names[:_MOST_NAMED]))}{more}",)
