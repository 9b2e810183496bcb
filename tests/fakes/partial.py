"""A backend in this process that can be stopped after any piece of its answer, and goes on with it in any manner."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from llm_magic.backends import wire
from llm_magic.events import Completed, TextDelta
from llm_magic.testing import ScriptedBackend
from tests.fakes.answers import pieces_of
from tests.fakes.going_on import goes_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from llm_magic.backends.base import Request
    from llm_magic.events import Event


class PartialBackend(ScriptedBackend):
    """Answers one text, piece by piece; after a given number of pieces nothing more comes, until it is stopped.

    Args:
        pieces: The whole answer.
        manner: How it goes on, of ``going_on.MANNERS``; "prefix" where a last message of the assistant's is its
            beginning.

    Attributes:
        stops_after: How many pieces come; None for all.
        has_stopped: Set when they have been taken and no more comes.
    """

    def __init__(self, pieces: Sequence[str], *, manner: str = "prefix") -> None:
        super().__init__(continues="prefix" if manner == "prefix" else "ask")
        self.pieces = pieces
        self.manner = manner
        self.stops_after: int | None = None
        self.has_stopped = threading.Event()

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer, or go on."""
        self.requests.append(request)
        messages = [wire.message_to_openai(item) for item in request.messages]
        text = goes_on(self.manner, "".join(self.pieces), messages)
        # At the beginning its own pieces, later a word each: the rest may begin anywhere.
        pieces = self.pieces if text == "".join(self.pieces) else pieces_of(text)
        for piece in pieces[: self.stops_after]:
            yield TextDelta(text=piece)
            await asyncio.sleep(0)
        if self.stops_after is not None:
            self.has_stopped.set()
            await asyncio.Event().wait()
        yield Completed(finish_reason="stop", model="partial")
