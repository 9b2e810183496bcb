"""What the panel shows of a session and of a turn that has been answered: fields for its pages, from values.

Comes in: the session, a slot, a turn. Goes out: dicts as pages know them (safe HTML under ``p``, plain text and numbers
elsewhere). Nothing is remembered here and nothing is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import catalog, rendering
from ..backends.registry import model_name
from ..rendering.plain import sound
from ..reply import footer, remarks
from ..wording import count, marks
from .editing import editable

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..session import Session
    from ..slots import Conversation, Slot
    from ..turns import Turn

# A longer prompt was no doubt not typed; it would be in every state that is sent.
_EDITED_CHARACTERS = 20_000


def head_fields(session: Session) -> dict[str, Any]:
    """The fields of the whole that the session knows."""
    conversation = session.current
    look_up = session.look_up(conversation)
    undo, redo = conversation.second_thoughts
    fields = {
        "name": conversation.name,
        "names": [
            {"name": one.name, "turns": len(one.slots)}
            for one in session.conversations
            if one is conversation or not one.is_archived
        ],
        "model": model_name(look_up),
        "models": _models(session, look_up("base_url").value),
        "system": look_up("system").value or "",
        "totals": f"{count(len(conversation.slots), 'turn')} · {_totals(session)}",
        "undo": undo,
        "redo": redo,
    }
    sent: dict[str, Any] = sound_values(fields)
    return sent


def settled_fields(
    session: Session, conversation: Conversation, slot: Slot, turn: Turn, *, number: int, stale: Collection[str]
) -> dict[str, Any]:
    """The fields of a turn that has been answered, but for its prompt and pieces.

    Args:
        session: Whose turn.
        conversation: Whose turn.
        slot: Its slot.
        turn: The version that is shown.
        number: The slot's number.
        stale: Ids of all stale slots of the conversation.
    """
    has_footer = session.config.get("footer")
    return {
        **placed_fields(session, conversation, slot, number=number, stale=stale),
        "v": slot.versions.index(turn) + 1,
        "vs": len(slot.versions),
        "w": turn.id,
        "s": turn.status,
        "e": _editable(turn),
        "notes": [rendering.plain_text(line) for line in _notes(slot, turn)],
        "foot": rendering.plain_text(footer(turn)) if has_footer else None,
        "fig": None,
        "wait": None,
        "asks": None,
        "blocks": None,
    }


def placed_fields(
    session: Session, conversation: Conversation, slot: Slot, *, number: int, stale: Collection[str]
) -> dict[str, Any]:
    """The fields of a turn's place in the row, answered or not."""
    found = marks(session, conversation, slot, stale) if slot.versions else []
    return {"n": number, "hidden": slot.is_hidden, "marks": found}


def _totals(session: Session) -> str:
    """The session's totals as ``%chat`` has them, shorter."""
    total = session.ledger.total()
    about = "~" if total.n_estimates else ""
    tokens = f"{about}{total.input_tokens:,} → {about}{total.output_tokens:,} tokens"
    return f"session {tokens} · {total.cost_text}" if total.n_requests else "nothing asked yet"


def _editable(turn: Turn) -> str | None:
    text = editable(turn.prompt)
    return sound(text) if text is not None and len(text) <= _EDITED_CHARACTERS else None


def sound_values(value: Any) -> Any:
    """A JSON value whose texts can be sent: with half a surrogate pair in it a message is never sent at all."""
    match value:
        case str():
            return sound(value)
        case dict():
            return {key: sound_values(item) for key, item in value.items()}
        case list():
            return [sound_values(item) for item in value]
        case _:
            return value


def _notes(slot: Slot, turn: Turn) -> list[str]:
    lines = remarks(turn)
    latest, current = slot.latest, slot.current
    if turn is current and latest is not None and latest is not turn and latest.status == "failed":
        lines.append(f"the last try failed: {latest.error or 'nothing arrived'}")
    if current is not None and turn is not current:
        lines.append(f"this version does not count: version {slot.versions.index(current) + 1} does")
    return lines


def _models(session: Session, base_url: str | None) -> list[str]:
    """Names of models for completion: those asked before, and those the provider is known for."""
    provider = catalog.provider_of(base_url) if base_url else "openai"
    asked = {turn.requested_model for one in session.conversations for slot in one.slots for turn in slot.versions}
    known = {catalog.DEFAULT_MODEL, catalog.LOCAL_MODEL, *(catalog.known_models(provider) if provider else ())}
    return sorted(asked - {""}) + sorted(known - asked)
