"""What one request costs: 1,000 at 200 ms each, 100 in flight, our backend beside the SDK's own client.

The server is a process of its own, so that its work is not counted as ours. ``python -m benchmarks.connections`` prints
it.
"""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.map import server
from benchmarks.measures import ROOT, Measure

_REQUESTS, _IN_FLIGHT, _LATENCY_S = 1_000, 100, 0.2
_ASKING = """
import asyncio, json, time
import openai
from llm_magic import OpenAIBackend
from tests.fakes.asking import aask, request

MODEL = "late@{latency_s}"

async def ours(number):
    answer = await aask(backend, request(MODEL, f"Is review {{number}} positive?", is_streaming=False, timeout_s=60))
    assert answer.error is None, answer.error

async def floor(number):
    message = {{"role": "user", "content": f"Is review {{number}} positive?"}}
    await client.chat.completions.create(model=MODEL, messages=[message])

async def spent(ask):
    await asyncio.gather(*map(ask, range({in_flight})))  # to warm up: imports, connections
    room = asyncio.Semaphore({in_flight})
    async def one(number):
        async with room:
            await ask(number)
    start = time.process_time()
    await asyncio.gather(*map(one, range({requests})))
    return time.process_time() - start

async def main():
    global backend, client
    backend = OpenAIBackend(base_url={url!r}, api_key="k")
    client = openai.AsyncOpenAI(base_url={url!r}, api_key="k", max_retries=0)
    print(json.dumps([await spent(ours), await spent(floor)]))
    await backend.aclose()
    await client.close()

asyncio.run(main())
"""


def every_measure(*, runs: int = 2) -> list[Measure]:
    """CPU a request; the least of some runs."""
    with server() as url:
        code = _ASKING.format(url=url, requests=_REQUESTS, in_flight=_IN_FLIGHT, latency_s=_LATENCY_S)
        spent = [_run(code) for _ in range(runs)]
    return [
        Measure(
            name="a request of 100 in flight, CPU against the client",
            ours=min(ours for ours, _ in spent) / _REQUESTS,
            floor=min(floor for _, floor in spent) / _REQUESTS,
            unit="s",
            limit=1,
        )
    ]


def _run(code: str) -> tuple[float, float]:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    ours, floor = json.loads(done.stdout)
    return ours, floor


def main() -> int:
    """Measure and print; the number that pass their limit."""
    measures = every_measure()
    for measure in measures:
        print(measure)
    return sum(measure.ratio > measure.limit for measure in measures)


if __name__ == "__main__":
    sys.exit(main())
