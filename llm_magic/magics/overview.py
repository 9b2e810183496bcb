"""What ``%chat`` and its tables show: where am I, which conversations, which settings, how many tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import rendering, tokens
from ..config import SETTINGS, shown
from ..content import TextPart
from ..slots import context_messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ..session import Session
    from ..slots import Conversation, Slot
    from ..turns import Turn

LINE_CHARACTERS = 72


def bundle(session: Session) -> dict[str, str]:
    """``%chat``: the conversation, its numbered turns with their marks, model, tokens, cost."""
    conversation = session.current
    rows = [
        (str(number), _line(slot), ", ".join(marks(session, conversation, slot)), _tokens(slot))
        for number, slot in enumerate(conversation.slots, start=1)
    ]
    head = f"Conversation {conversation.name!r} · {count(len(rows), 'turn')} · {_model(session)}"
    total = session.ledger.total()
    foot = f"This session: {total}" if total.n_requests else "Nothing asked yet: %%chat asks."
    return {"text/plain": _plain(head, rows, foot), "text/html": _html(head, rows, foot)}


def marks(session: Session, conversation: Conversation, slot: Slot) -> list[str]:
    """What is special about a turn: failed, interrupted, stale, hidden, cell gone, several versions."""
    found = []
    latest = slot.latest
    if latest is None:
        return ["being answered"]
    if latest.status != "complete":
        found.append(
            latest.status if latest.id == slot.current_id or slot.current is None else f"last try {latest.status}"
        )
    if conversation.is_stale(slot):
        found.append("stale")
    if slot.is_hidden:
        found.append("hidden")
    if slot.key is not None and slot.key.cell_id in session.gone:
        found.append("cell gone")
    if len(slot.versions) > 1:
        found.append(f"{len(slot.versions)} versions")
    return found


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


def count(number: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "turn"), count(2, "turn")
    ('1 turn', '2 turns')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def conversations_frame(session: Session) -> pd.DataFrame:
    """One row per conversation: name, turns, model, is_current, is_archived, input_tokens, output_tokens, cost_usd."""
    import pandas as pd

    rows = session.conversations
    turns = [[turn for slot in c.slots for turn in slot.versions] for c in rows]
    costs = [_sum_known([turn.cost_usd for turn in each]) for each in turns]
    return pd.DataFrame(
        {
            "name": pd.Series([c.name for c in rows], dtype="string"),
            "turns": pd.Series([len(c.slots) for c in rows], dtype="Int64"),
            "model": pd.Series([c.model for c in rows], dtype="string"),
            "is_current": pd.Series([c is session.current for c in rows], dtype="boolean"),
            "is_archived": pd.Series([c.is_archived for c in rows], dtype="boolean"),
            "input_tokens": pd.Series([sum(t.usage.input_tokens for t in each) for each in turns], dtype="Int64"),
            "output_tokens": pd.Series([sum(t.usage.output_tokens for t in each) for each in turns], dtype="Int64"),
            "cost_usd": pd.Series(costs, dtype="Float64"),
        }
    )


def config_frame(session: Session) -> pd.DataFrame:
    """One row per setting: name, value (as text; secrets only as set or not), origin, help."""
    import pandas as pd

    look_up = session.look_up(session.current)
    values = {name: look_up(name) for name in SETTINGS}
    return pd.DataFrame(
        {
            "value": [shown(name, found.value) for name, found in values.items()],
            "origin": [found.origin for found in values.values()],
            "help": [SETTINGS[name].help for name in values],
        },
        index=pd.Index(list(values), name="name", dtype="string"),
        dtype="string",
    )


def tokens_frame(session: Session, text: str | None) -> pd.DataFrame:
    """Tokens of a text, or of the conversation as it would be sent: one row each, what, tokens, is_estimate, method."""
    import pandas as pd

    conversation = session.current
    look_up = session.look_up(conversation)
    model = session.resolve(look_up).model
    if text is not None:
        counted = [("text", tokens.count_text(text, model))]
    else:
        system = look_up("system").value
        seen = conversation.context().messages
        counted = [
            (f"turn {conversation.slots.index(slot) + 1}", tokens.count_messages(turn.messages(), model))
            for slot in conversation.slots
            if slot.is_sent and (turn := slot.current) is not None
        ]
        counted.append(("all that is sent", tokens.count_messages(context_messages(system, seen, ()), model)))
    return pd.DataFrame(
        {
            "what": pd.Series([what for what, _ in counted], dtype="string"),
            "tokens": pd.Series([c.tokens for _, c in counted], dtype="Int64"),
            "is_estimate": pd.Series([c.is_estimate for _, c in counted], dtype="boolean"),
            "method": pd.Series([c.method for _, c in counted], dtype="string"),
        }
    )


def _sum_known(costs: list[float | None]) -> float | None:
    """The sum, None where any is unknown: a sum of parts would look like a total."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _model(session: Session) -> str:
    choice = session.resolve(session.look_up(session.current))
    return f"{choice.model} (local model on this machine)" if choice.backend.name == "local" else str(choice.model)


def _line(slot: Slot) -> str:
    turn = slot.current or slot.latest
    return rendering.plain_text(prompt_line(turn)) if turn is not None else "…"


def _tokens(slot: Slot) -> str:
    turn = slot.current or slot.latest
    if turn is None or not turn.usage.total_tokens:
        return ""
    return f"{'~' if turn.usage.is_estimate else ''}{turn.usage.input_tokens} → {turn.usage.output_tokens}"


def _plain(head: str, rows: Sequence[tuple[str, ...]], foot: str) -> str:
    width = max((len(row[1]) for row in rows), default=0)
    lines = [
        f"{number:>3}  {line:<{width}}  {used}{'  (' + marked + ')' if marked else ''}".rstrip()
        for number, line, marked, used in rows
    ]
    return rendering.plain_text("\n".join([head, *lines, foot]))


def _html(head: str, rows: Sequence[tuple[str, ...]], foot: str) -> str:
    from html import escape

    # JupyterLab aligns the cells of any table to the right, and only a style of the cell's own changes that.
    left = 'style="text-align: left"'
    lines = [
        "".join(f"<td {left}>{escape(cell)}</td>" for cell in (number, line, used, marked))
        for number, line, marked, used in rows
    ]
    cells = "".join(f"<tr>{line}</tr>" for line in lines)
    heads = "".join(f"<th {left}>{name}</th>" for name in ("", "prompt", "tokens", "marks"))
    titles = f"<thead><tr>{heads}</tr></thead>"
    table = f"<table>{titles}<tbody>{cells}</tbody></table>" if rows else ""
    return rendering.answer_html(f"<p>{escape(head)}</p>{table}" + rendering.footer_html(foot))
