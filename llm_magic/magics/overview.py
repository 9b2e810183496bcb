"""What ``%chat`` and its tables show: where am I, which conversations, which settings, how many tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import rendering
from ..config import shown
from ..errors import ConfigurationError
from ..parameters import sampling_of
from ..reply import answer_bundle
from ..settings import SETTINGS
from ..wording import count, marks, prompt_line, tokens_used
from .dry_run import fullness

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd

    from ..config import Value
    from ..session import Session
    from ..slots import Conversation, Slot


def bundle(session: Session) -> dict[str, str]:
    """``%chat``: the conversation, its numbered turns with their marks, model, tokens, cost."""
    conversation = session.current
    stale = conversation.stale()
    rows = [
        (str(number), _line(slot), _marks(session, conversation, slot, stale), _tokens(slot))
        for number, slot in enumerate(conversation.slots, start=1)
    ]
    parent = session.parent_name(conversation)
    forked = f" (forked from {parent!r})" if parent else ""
    head = " · ".join(
        filter(
            None,
            [
                f"Conversation {conversation.name!r}{forked}",
                count(len(rows), "turn"),
                _model(session),
                fullness(session) if rows else "",
            ],
        )
    )
    total = session.ledger.total()
    nothing = "This session has asked nothing yet." if rows else "Nothing asked yet: %%chat asks."
    foot = f"This session: {total}" if total.n_requests else nothing
    if (spent := session.gate.told()) is not None:
        foot += f"\nBudget: {spent}"
    return {"text/plain": _plain(head, rows, foot), "text/html": _html(head, rows, foot)}


def turn_bundle(conversation: Conversation, number: int, version: int | None = None) -> dict[str, str]:
    """``%chat show N``: a turn whole, with its prompt, and its versions where there are several.

    Args:
        conversation: Whose turn.
        number: Its number.
        version: Which version of it, failed ones too; None is the one that counts, else the one asked last.

    Raises:
        ConfigurationError: There is no such turn or version, or it has not been answered yet.
    """
    slot = conversation.numbered(number)
    turn = slot.current or slot.latest if version is None else slot.version(version)
    if turn is None:
        raise ConfigurationError(f"Turn {number} has not been answered yet.", hint="wait for it")
    answer = answer_bundle(turn)
    prompt = rendering.plain_text(prompt_line(turn, limit=None))
    html, text = rendering.answer_html(rendering.preformatted_html(prompt)) + answer["text/html"], answer["text/plain"]
    if version is None and len(slot.versions) > 1:
        lines = [_version_line(slot, number, place) for place in range(1, len(slot.versions) + 1)]
        html += rendering.answer_html(rendering.preformatted_html("\n".join(lines)))
        text += "\n" + "\n".join(lines)
    return {"text/html": html, "text/plain": f"{prompt}\n\n{text}"}


def _version_line(slot: Slot, number: int, place: int) -> str:
    turn = slot.version(place)
    said = [f"{number}.{place}", turn.status, tokens_used(turn), "counts" if turn.id == slot.current_id else ""]
    return rendering.plain_text(" · ".join([*filter(None, said)]) + f": {prompt_line(turn)}")


def _marks(session: Session, conversation: Conversation, slot: Slot, stale: Collection[str]) -> str:
    """The marks of a turn in one text, several versions among them."""
    if slot.latest is None:
        return "being answered"
    found = marks(session, conversation, slot, stale)
    if len(slot.versions) > 1:
        found.append(f"{len(slot.versions)} versions")
    return ", ".join(found)


def config_frame(session: Session) -> pd.DataFrame:
    """One row per setting: name, value (as text; secrets only as set or not), origin, help.

    Where no profile is set, the row says which one is asked all the same. A last row says what sampling the
    parameters mean.
    """
    import pandas as pd

    from ..safe_frames import DataFrame

    look_up = session.look_up(session.current)
    values = {name: look_up(name) for name in SETTINGS}
    rows = {name: (shown(name, found.value), found.origin, SETTINGS[name].help) for name, found in values.items()}
    if values["profile"].value is None and (asked := session.registry.profile_name(look_up)):
        rows["profile"] = (f"not set: {asked} is asked", *rows["profile"][1:])
    rows["sampling"] = (_sampling(values), "default", "what temperature and top_p mean; set with -p sampling=greedy")
    return DataFrame(
        {column: [row[place] for row in rows.values()] for place, column in enumerate(("value", "origin", "help"))},
        index=pd.Index(list(rows), name="name", dtype="string"),
        dtype="string",
    )


def _sampling(values: Mapping[str, Value]) -> str:
    found = sampling_of({name: values[name].value for name in ("temperature", "top_p")})
    if found.strategy == "greedy":
        return "greedy"
    return f"{found.strategy}, temperature {found.temperature:g}, top_p {found.top_p:g}"


def _model(session: Session) -> str:
    choice = session.resolve(session.look_up(session.current))
    return f"{choice.model} (local model on this machine)" if choice.backend.name == "local" else str(choice.model)


def _line(slot: Slot) -> str:
    turn = slot.current or slot.latest
    return rendering.plain_text(prompt_line(turn)) if turn is not None else "…"


def _tokens(slot: Slot) -> str:
    turn = slot.current or slot.latest
    return "" if turn is None else tokens_used(turn)


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
