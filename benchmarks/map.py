"""What ``map()`` costs: 1,000 prompts at 200 ms each, 100 in flight, beside the time they must take.

The server is a process of its own, so that its work is not counted as ours. ``python -m benchmarks.map`` prints it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measures import ROOT, Measure

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS, IN_FLIGHT, LATENCY_S = 1_000, 100, 0.2
_KEY = "sk-benchmark-0123456789"
_END_TIMEOUT_S = 10
# The process that asks: once to warm up (imports, connections, prices), then what is measured.
_ASKING = """
import json, time, llm_magic
prompts = [f"Is review {{number}} positive?" for number in range({rows})]
llm_magic.map(prompts[:{in_flight}], model="late@0", in_flight={in_flight})
start, cpu = time.monotonic(), time.process_time()
frame = llm_magic.map(prompts, model="late@{latency_s}", in_flight={in_flight})
spent = time.monotonic() - start, time.process_time() - cpu
assert (frame["status"] == "complete").all() and list(frame["answer"]) == prompts, frame["error"].dropna().head()
assert len(llm_magic.usage("all")) == {rows} + {in_flight}
print(json.dumps(spent))
"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The fake server in a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin, process.stdout:
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()
        process.wait(_END_TIMEOUT_S)


def asked(store: Path, *, rows: int = ROWS, in_flight: int = IN_FLIGHT, latency_s: float = LATENCY_S) -> list[float]:
    """Seconds by the clock and of CPU that a ``map()`` takes, its store in a file."""
    code = _ASKING.format(rows=rows, in_flight=in_flight, latency_s=latency_s)
    with server() as url:
        environ = {"OPENAI_API_KEY": _KEY, "OPENAI_BASE_URL": url, "LLM_MAGIC_STORE": str(store)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    spent: list[float] = json.loads(done.stdout.splitlines()[-1])
    return spent


def every_measure(home: Path, *, runs: int = 2) -> list[Measure]:
    """Wall time beside the ideal and CPU a request beside what it may be; the least of some runs."""
    times = [asked(home / f"{number}.db") for number in range(runs)]
    ideal_s = ROWS / IN_FLIGHT * LATENCY_S
    return [
        Measure(
            name=f"map of {ROWS:,} rows, time against the ideal",
            ours=min(wall for wall, _ in times),
            floor=ideal_s,
            unit="s",
            limit=1.3,
        ),
        Measure(
            name="map, CPU a row against 1.5 ms",
            ours=min(cpu for _, cpu in times) / ROWS,
            floor=0.0015,
            unit="s",
            limit=1,
        ),
    ]


def main() -> int:
    """Measure and print; the number that pass their limit."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        measures = every_measure(Path(folder))
    for measure in measures:
        print(measure)
    print(f"{time.monotonic() - start:.0f} s")
    return sum(measure.ratio > measure.limit for measure in measures)


if __name__ == "__main__":
    sys.exit(main())
