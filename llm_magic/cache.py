"""Answers that came already: what is asked again, word for word, of the same model, is answered from here, for nothing.

Off unless the setting ``cache`` says otherwise, and kept as long as the session. Only whole answers are kept; whoever
asks for another (``retry``) gets one.
"""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING, Any, TypeAlias

from .backends.base import closing
from .events import Completed, Notice, Opened, Retrying
from .jsontext import json_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .backends.base import Backend, Request
    from .events import Event

# As many as the largest column that is sensibly mapped twice.
KEPT_ANSWERS = 10_000
_Key: TypeAlias = "tuple[Any, ...]"


class AnswerCache:
    """The answers of one session, the oldest giving way. May be used from any thread."""

    def __init__(self, size: int = KEPT_ANSWERS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._known: collections.OrderedDict[_Key, tuple[Event, ...]] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._known.clear()

    async def stream(self, backend: Backend, request: Request) -> AsyncGenerator[Event, None]:
        """The events of an answer: those of the former one, where there is one, else the backend's.

        Raises:
            BackendError: As :meth:`Backend.stream`; nothing is kept then.
        """
        key = _key(backend, request)
        with self._lock:
            former = self._known.get(key)
            if former is not None:
                self._known.move_to_end(key)
        if former is not None:
            yield Opened(is_cached=True)
            for event in former:
                yield event
            return
        events: list[Event] = []
        async with closing(backend.stream(request)) as stream:
            async for event in stream:
                # How it came about is no part of the answer.
                if not isinstance(event, Opened | Retrying | Notice):
                    events.append(event)
                if isinstance(event, Completed):
                    self._keep(key, tuple(events))
                yield event

    def _keep(self, key: _Key, events: tuple[Event, ...]) -> None:
        with self._lock:
            self._known[key] = events
            while len(self._known) > self._size:
                self._known.popitem(last=False)


def _key(backend: Backend, request: Request) -> _Key:
    """What makes two requests one: who is asked, for which model, what, and how."""
    info = backend.info()
    how = json_text([request.params, request.tools, request.api])
    return (info.name, info.base_url, info.organization, request.model, request.messages, how)
