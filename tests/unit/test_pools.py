"""Pools of connections: few requests use few connections, again; many use many, and give their places back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from llm_magic.backends.pools import SIZE, Pools, pools_for

if TYPE_CHECKING:
    from tests.fakes.server import FakeServer


async def asked(client: httpx2.AsyncClient, server: FakeServer, model: str = "echo") -> str:
    """Ask, and read the whole reply."""
    body = {"model": model, "messages": [{"role": "user", "content": "a"}]}
    reply = await client.post(f"{server.url}/chat/completions", json=body, timeout=60)
    return str(reply.json()["choices"][0]["message"]["content"])


def active(pools: Pools) -> list[int]:
    """How many requests are on each pool."""
    return [pool.active for pool in pools._pools]


def test_one_request_after_the_other_uses_one_connection(fake_server: FakeServer) -> None:
    """A connection is used again, whatever the number of requests."""

    async def ten() -> None:
        async with httpx2.AsyncClient(transport=Pools(trust_env=False)) as client:
            for _ in range(10):
                assert await asked(client, fake_server) == "a"

    asyncio.run(ten())

    assert len({received.peer for received in fake_server.requests}) == 1


def test_many_at_once_spread_over_pools(fake_server: FakeServer) -> None:
    """No pool has more than it should; when they have ended, all places are free, and the first pool is used again."""

    async def many() -> tuple[list[int], list[int]]:
        pools = Pools(trust_env=False)
        async with httpx2.AsyncClient(transport=pools) as client:
            tasks = [asyncio.create_task(asked(client, fake_server, "silent")) for _ in range(2 * SIZE + 3)]
            await asyncio.to_thread(fake_server.wait_until, lambda: len(fake_server.requests) == len(tasks))
            meanwhile = active(pools)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.gather(*(asked(client, fake_server) for _ in range(SIZE)))
            return meanwhile, active(pools)

    assert asyncio.run(many()) == ([SIZE, SIZE, 3], [0, 0, 0])


@pytest.mark.parametrize(
    ("options", "proxies", "is_ours"),
    [
        ({}, {}, True),
        ({"trust_env": False, "verify": False}, {"https": "http://proxy.invalid"}, True),
        ({}, {"https": "http://proxy.invalid"}, False),
        ({"proxy": "http://proxy.invalid"}, {}, False),
        ({"limits": httpx2.Limits()}, {}, False),
        ({"transport": httpx2.AsyncHTTPTransport()}, {}, False),
    ],
)
def test_a_client_that_wants_something_else_gets_none(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], proxies: dict[str, str], *, is_ours: bool
) -> None:
    """A proxy, limits or a transport of one's own stay what they are."""
    monkeypatch.setattr("urllib.request.getproxies", lambda: proxies)

    assert (pools_for(options) is not None) == is_ours
