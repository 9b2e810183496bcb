"""Bytes of a reply, as much at once as there is: what arrives while nobody looks is joined.

A transport hands out one small piece after the other, even where a hundred have come in one network read. A
task takes them as they come; its reader is woken once for all of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# A reader that does not keep up must not fill the memory.
_MOST_BYTES = 1 << 20


class Pump:
    """Reads ahead; an async context manager whose end ends the reading, also in mid-read.

    Args:
        source: Pieces as the transport has them.
    """

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._has_ended = False
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def read(self, *, timeout_s: float) -> bytes | None:
        """What has come since the last time, waiting for it where there is nothing; None at the end.

        Raises:
            TimeoutError: Nothing came in time.
            Exception: What the transport raised, once all that came before has been read.
        """
        if not self._pieces and not self._has_ended:
            self._news.clear()
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        if not self._pieces:
            if self._error is not None:
                raise self._error
            return None
        read = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._room.set()
        return read

    async def _run(self) -> None:
        try:
            async for piece in self._source:
                self._pieces.append(piece)
                self._size += len(piece)
                self._news.set()
                if self._size > _MOST_BYTES:
                    self._room.clear()
                    await self._room.wait()
        except Exception as exc:  # noqa: BLE001  # handed to the reader, who raises it
            self._error = exc
        finally:
            self._has_ended = True
            self._news.set()
