"""Bytes as much at once as there is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llm_magic.backends.pump import Pump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_what_comes_together_is_read_together() -> None:
    """Pieces that are there at once are one read; what comes later is another."""
    more = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        await more.wait()
        yield b"c"

    async def run() -> list[bytes | None]:
        async with Pump(source()) as pump:
            first = await pump.read(timeout_s=5)
            more.set()
            return [first, await pump.read(timeout_s=5), await pump.read(timeout_s=5), await pump.read(timeout_s=5)]

    assert asyncio.run(run()) == [b"ab", b"c", None, None]


def test_an_error_comes_after_what_came_before_it() -> None:
    """Nothing that was received is lost, and the error stays."""

    async def source() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError("cut")

    async def run() -> None:
        async with Pump(source()) as pump:
            assert await pump.read(timeout_s=5) == b"a"
            for _ in range(2):
                with pytest.raises(OSError, match="cut"):
                    await pump.read(timeout_s=5)

    asyncio.run(run())


def test_a_source_that_stalls_is_waited_for_so_long() -> None:
    """Then it is a TimeoutError, and leaving ends the reading in its middle."""
    is_closed = False

    async def source() -> AsyncIterator[bytes]:
        nonlocal is_closed
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            is_closed = True

    async def run() -> None:
        async with Pump(source()) as pump:
            with pytest.raises(TimeoutError):
                await pump.read(timeout_s=0.01)

    asyncio.run(run())

    assert is_closed


def test_a_reader_that_does_not_keep_up_is_waited_for() -> None:
    """At most a megabyte and one piece wait in memory."""
    taken = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(100_000)

    async def run() -> tuple[int, int]:
        async with Pump(source()) as pump:
            await asyncio.sleep(0)
            ahead = taken
            total = 0
            while read := await pump.read(timeout_s=5):
                total += len(read)
            return ahead, total

    ahead, total = asyncio.run(run())

    assert ahead == 11
    assert total == 10_000_000
