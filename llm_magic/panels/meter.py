"""How full the model's window is: the tokens of what the next ask would send, counted beside the work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .. import catalog, model_info, tokens
from ..backends.registry import model_name
from ..errors import ConfigurationError
from ..slots import context_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..content import Message
    from ..session import Session


class Meter:
    """Counts in a thread of its own: a long conversation takes seconds the first time, a moment after.

    Args:
        on_counted: Called in that thread when there is something new to read.
    """

    def __init__(self, on_counted: Callable[[], object]) -> None:
        self._on_counted = on_counted
        self._key: tuple[str | None, ...] = ()
        self._value: dict[str, Any] | None = None
        self._is_counting = False
        self._lock = threading.Lock()

    def read(self, session: Session) -> dict[str, Any] | None:
        """As last counted: ``used``, ``limit`` (None where unknown), ``is_estimate``; None while nothing has been."""
        with session.lock:
            conversation = session.current
            context = conversation.context()
            look_up = session.look_up(conversation)
            model, system, base_url = model_name(look_up), look_up("system").value, look_up("base_url").value
            said = look_up("model_info").value or {}
        key = (conversation.id, context.seen, model, system, base_url, repr(said))
        with self._lock:
            if key != self._key and not self._is_counting:
                self._is_counting, self._key = True, key
                messages = context_messages(system or None, context.messages, ())
                threading.Thread(
                    target=self._count, args=(messages, model, base_url, said), name="llm_magic meter", daemon=True
                ).start()
            return self._value

    def _count(self, messages: tuple[Message, ...], model: str, base_url: str | None, said: Mapping[str, Any]) -> None:
        try:
            counted = tokens.count_messages(messages, model)
            provider = catalog.provider_of(base_url) if base_url else None
            known = model_info.model_info(model, provider=provider, facts=_checked(said))
            value = {"used": counted.tokens, "limit": known.window, "is_estimate": counted.is_estimate}
            with self._lock:
                self._value = value
        finally:
            with self._lock:
                self._is_counting = False
        # What changed meanwhile is counted when this is read.
        self._on_counted()


def _checked(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the user says of the model; nothing where it cannot be meant, which the next ask tells."""
    try:
        return model_info.checked_facts(said)
    except ConfigurationError:
        return {}
