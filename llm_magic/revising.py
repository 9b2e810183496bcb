"""The commands that change a conversation's row and ask nobody: undo, redo, pick, hide, unhide, move, prune.

A command's name and numbers come in; the row is changed, and one line goes out that says what happened, in the
numbers that ``%chat`` prints. What is so already is said and not done again, so that ``undo`` never takes back
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .wording import count, counting, prompt_line, turns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .history import Change
    from .session import Session
    from .slots import Conversation


def revise(session: Session, name: str, *numbers: int) -> str:
    """Do a command to the session's current conversation.

    Args:
        session: Whose conversation.
        name: One of ``REVISIONS``.
        numbers: Of turns, or of a turn and its version, as the command takes them.

    Returns:
        What happened, in one line.

    Raises:
        ConfigurationError: There is no such turn or version, or it cannot count.
    """
    with session.lock:
        return REVISIONS[name](session, *numbers)


def _undo(session: Session) -> str:
    conversation = session.current
    change = conversation.undo()
    if change is None:
        return "nothing to undo"
    if change.slot is not None and change.place is not None:
        prompt = f", {prompt_line(turn)!r}" if (turn := change.slot.latest) is not None else ""
        return _said(conversation, f"taken back: turn {change.place + 1}{prompt}; %chat redo brings it back")
    return _said(conversation, f"taken back: {_told(conversation, change)}")


def _redo(session: Session) -> str:
    conversation = session.current
    change = conversation.redo()
    return "nothing to redo" if change is None else _said(conversation, f"made again: {_told(conversation, change)}")


def _pick(session: Session, number: int, version: int) -> str:
    conversation = session.current
    slot = conversation.numbered(number)
    turn = slot.version(version)
    if turn.id == slot.current_id:
        return f"version {version} of turn {number} counts already"
    conversation.pick(slot, turn)
    return _said(conversation, f"version {version} of turn {number} counts")


def _hide(session: Session, number: int) -> str:
    conversation = session.current
    slot = conversation.numbered(number)
    if slot.is_hidden:
        return f"turn {number} is hidden already"
    conversation.hide(slot)
    return _said(conversation, f"turn {number} is hidden")


def _unhide(session: Session, number: int) -> str:
    conversation = session.current
    slot = conversation.numbered(number)
    if not slot.is_hidden:
        return f"turn {number} is not hidden"
    conversation.unhide(slot)
    return _said(conversation, f"turn {number} is in again")


def _move(session: Session, number: int, before: int) -> str:
    conversation = session.current
    slot, other = conversation.numbered(number), conversation.numbered(before)
    if before in (number, number + 1):
        return f"turn {number} stands there already"
    conversation.move(slot, other)
    return _said(conversation, f"turn {number} is {turns_of(conversation, [slot.id])} now")


def _prune(session: Session) -> str:
    conversation = session.current
    gone = [slot for slot in session.gone_slots(conversation) if not slot.is_hidden]
    if not gone:
        return "no turn's cell is gone"
    conversation.hide(*gone, what="prune")
    return _said(conversation, f"hidden, cell gone: {turns_of(conversation, [slot.id for slot in gone])}")


def _told(conversation: Conversation, change: Change) -> str:
    """What a change was, and what is true now; every slot it touched is in the row."""
    turns = turns_of(conversation, change.slot_ids)
    slot = conversation.slot(change.slot_ids[0])
    counts = counting(slot) if slot is not None else ""
    match change.what:
        case "ask":
            return f"{turns} asked{'' if change.place is not None else ' again'}; {counts}"
        case "pick":
            return f"picking a version of {turns}; {counts}"
        case "hide":
            return f"hiding {turns}"
        case "unhide":
            return f"taking {turns} in again"
        case "move":
            return f"moving a turn, which is {turns} now"
        case "prune":
            return f"hiding {turns}, cell gone"


def _said(conversation: Conversation, text: str) -> str:
    """A line, and how many turns are stale after it."""
    stale = len(conversation.context().stale)
    return f"{text} · {count(stale, 'stale turn')}: %chat refresh" if stale else text


# Each does its command and says what happened.
REVISIONS: Mapping[str, Callable[..., str]] = {
    "undo": _undo,
    "redo": _redo,
    "pick": _pick,
    "hide": _hide,
    "unhide": _unhide,
    "move": _move,
    "prune": _prune,
}
