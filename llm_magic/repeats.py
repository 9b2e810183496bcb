"""Asks that repeat what was asked: again, and on from where an answer ends.

Comes in: a conversation. Goes out: an :class:`~llm_magic.asks.Ask`; nothing is evaluated anew. Tools are named: the
session knows those that were handed over to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import continuation
from .asks import Ask
from .backends.registry import backend_names
from .errors import ConfigurationError
from .settings import SETTINGS

if TYPE_CHECKING:
    from .slots import Conversation
    from .turns import Turn


def again(conversation: Conversation, number: int | None) -> Ask:
    """The ask that repeats a turn, as it was sent, in its slot.

    Raises:
        ConfigurationError: There is no such turn, or it has not been answered yet.
    """
    slot = conversation.numbered(number if number is not None else len(conversation.slots))
    turn = slot.current or slot.latest
    if turn is None:
        raise ConfigurationError("That turn has not been answered yet.", hint="wait for it")
    return Ask(
        prompt=turn.prompt,
        conversation=conversation,
        slot=slot,
        is_fresh=turn.is_fresh,
        # Who asks again wants another answer.
        settings={"model": _model_of(turn, conversation), "system": turn.system or "", "cache": False},
        # None is not sent: what is set by now and was not then does not count.
        tool_names=turn.tool_names,
        params={name: None for name, row in SETTINGS.items() if row.is_parameter} | dict(turn.settings),
    )


def _model_of(turn: Turn, conversation: Conversation) -> str | None:
    """The model that was asked, as it is named to be asked again."""
    has_backend = getattr(conversation, "backend", None) is not None
    is_named = turn.backend in backend_names() and turn.backend != "openai"
    if turn.requested_model and is_named and not has_backend:
        return f"{turn.backend}/{turn.requested_model}"
    return turn.requested_model or None


def onward(conversation: Conversation) -> Ask:
    """The ask that goes on with the partial answer of the last turn, in its slot.

    Raises:
        ConfigurationError: There is no such turn.
    """
    partial = continuation.partial_of(conversation)
    ask = again(conversation, None)
    # One answer is gone on with, however many were asked for.
    return replace(ask, continues=partial, params={**ask.params, "n": None})
