"""A backend for tests of columns: what it answers depends on the prompt, and it counts who is there at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llm_magic.backends.base import BackendInfo
from llm_magic.counts import Usage
from llm_magic.errors import QuotaError, RequestRejectedError
from llm_magic.events import Completed, RefusalDelta, TextDelta, UsageReport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from llm_magic.backends.base import Request
    from llm_magic.events import Event


class ColumnBackend:
    """Answers the last message in capitals; ``fail``, ``broke``, ``refuse`` and ``hang`` do as they say.

    Args:
        hook: Called with the number of each request, before it is answered.

    Attributes:
        requests: What was asked, in the order it came.
        most_at_once: Most requests that were under way at once. Count.
    """

    name = "column"

    def __init__(self, hook: Callable[[int], object] = lambda _number: None) -> None:
        self.requests: list[Request] = []
        self.most_at_once = self._now = 0
        self._hook = hook

    def info(self) -> BackendInfo:
        return BackendInfo(name=self.name, is_local=False, base_url="column:")

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        text = request.messages[-1].text
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            self._hook(len(self.requests))
            # Later rows are faster: answers do not come in the order of the questions.
            for _ in range(max(1, 20 - len(self.requests))):
                await asyncio.sleep(0)
            if text == "fail":
                raise RequestRejectedError("The server refused the request.", hint="ask otherwise")
            if text == "broke":
                raise QuotaError("The account's quota is used up.")
            if text == "hang":
                yield TextDelta(text="so far")
                await asyncio.Event().wait()
            yield RefusalDelta(text="no") if text == "refuse" else TextDelta(text=text.upper())
            yield UsageReport(usage=Usage(input_tokens=2, output_tokens=1, total_tokens=3))
            yield Completed(finish_reason="stop", model="column-1")
        finally:
            self._now -= 1

    async def models(self) -> list[Mapping[str, Any]]:
        return [{"id": "column-1"}]

    async def aclose(self) -> None:
        """Nothing is open."""
