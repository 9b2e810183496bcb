"""How commands and panel name things: turns, versions, prompts, numbers of them, marks. Plain text, not made safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .content import TextPart

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .session import Session
    from .slots import Conversation, Slot
    from .turns import Turn

LINE_CHARACTERS = 72


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "turn"), count(2, "turn")
    ('1 turn', '2 turns')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def turns_text(numbers: Sequence[int]) -> str:
    """Turns by their numbers; a long row is named by its ends.

    >>> turns_text([3]), turns_text([2, 3]), turns_text([2, 3, 5]), turns_text([2, 3, 4, 5])
    ('turn 3', 'turns 2 and 3', 'turns 2, 3 and 5', 'turns 2 to 5')
    """
    if len(numbers) == 1:
        return f"turn {numbers[0]}"
    if len(numbers) > 3 and numbers[-1] - numbers[0] == len(numbers) - 1:  # noqa: PLR2004  # more than is listed
        return f"turns {numbers[0]} to {numbers[-1]}"
    return f"turns {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def turns_of(conversation: Conversation, slot_ids: Sequence[str]) -> str:
    """Slots by the numbers they have now."""
    wanted = set(slot_ids)
    return turns_text([number for number, slot in enumerate(conversation.slots, start=1) if slot.id in wanted])


def prompt_line(turn: Turn, *, limit: int | None = LINE_CHARACTERS) -> str:
    """A prompt in words: typed text as it is, other content by its label; cut to ``limit`` characters."""
    words = []
    for message in turn.prompt:
        for part in message.parts:
            is_typed = isinstance(part, TextPart) and not part.label
            words.append(part.text if is_typed and isinstance(part, TextPart) else f"[{part.label}]")
    text = "".join(words)
    if limit is None:
        return text
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def counting(slot: Slot) -> str:
    """Which of a slot's versions counts."""
    for number, turn in enumerate(slot.versions, start=1):
        if turn.id == slot.current_id:
            return f"version {number} counts"
    return "no version counts"


def tokens_used(turn: Turn) -> str:
    """Tokens in and out, "~" before counts of ours; "" where there are none."""
    usage = turn.usage
    return (
        f"{'~' if usage.is_estimate else ''}{usage.input_tokens} → {usage.output_tokens}" if usage.total_tokens else ""
    )


def marks(session: Session, conversation: Conversation, slot: Slot, stale: Collection[str]) -> list[str]:
    """What is special about a turn: failed, interrupted, stale, hidden, cell gone.

    Args:
        session: Knows which cells are gone.
        conversation: Whose turn.
        slot: The turn's slot; it has been answered.
        stale: Ids of all stale slots of the conversation.
    """
    found = []
    latest = slot.latest
    if latest is not None and latest.status != "complete":
        is_shown = latest.id == slot.current_id or slot.current is None
        found.append(latest.status if is_shown else f"last try {latest.status}")
    if slot.id in stale:
        found.append("stale")
    if slot.is_hidden:
        found.append("hidden")
    if session.is_gone(conversation, slot):
        found.append("cell gone")
    return found
