"""What the package costs, as ratios measured in one run: ours against the openai client, or the answer's bytes.

CPU seconds, bytes and waiting times of a real kernel asking a real server on loopback. Machines are noisy: the floor is
measured beside ours, and a ratio is what counts. ``python -m benchmarks`` prints them; the tests hold them to their
limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fakes.server import FakeServer
from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.kernel.harness import Received

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-benchmark-0123456789"
TOKENS = "tokens-10000"
_LINES = {
    "prose": "Some words, and *more* of them; `code` too, so that it is prose.\n\n",
    "block of code": "value = compute(1, 2, 3)  # why this is here\n",
    "table": "| cell and more | 12 | some more text here |\n",
}
_STARTS = {"prose": "", "block of code": "```python\n", "table": "| a | b | c |\n|---|---|---|\n"}
BLOCKS = {name: _STARTS[name] + line * (200_000 // len(line)) for name, line in _LINES.items()}
_PEER = """
import openai, time
client = openai.OpenAI(base_url={url!r}, api_key={key!r})
def peer(model):
    for chunk in client.chat.completions.create(model=model, messages=[{{"role": "user", "content": "go"}}],
    stream=True):
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One ratio.

    Attributes:
        name: What was measured.
        ours: Our cost.
        floor: What it is compared with.
        unit: Unit of both.
        limit: The ratio it must not pass.
    """

    name: str
    ours: float
    floor: float
    unit: str
    limit: float

    @property
    def ratio(self) -> float:
        """Ours over the floor."""
        return self.ours / self.floor

    def __str__(self) -> str:
        verdict = "ok" if self.ratio <= self.limit else "TOO MUCH"
        figures = f"{self.ours:>10.4g} / {self.floor:<10.4g} {self.unit:<6} = {self.ratio:<8.3f}"
        return f"{self.name:<48} {figures} (limit {self.limit:g}) {verdict}"


def loading() -> Measure:
    """CPU of ``%load_ext llm_magic`` beside that of ``import openai``, each in a fresh process; the least of three."""
    start = (
        "import time; from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell.instance();"
        "start = time.process_time(); {}; print(time.process_time() - start)"
    )
    return Measure(
        name="%load_ext, CPU against import openai",
        ours=min(_cpu_of(start.format("shell.run_line_magic('load_ext', 'llm_magic')")) for _ in range(3)),
        floor=min(_cpu_of(start.format("import openai")) for _ in range(3)),
        unit="s",
        limit=0.2,
    )


def streaming(home: Path) -> list[Measure]:
    """Kernel CPU and iopub bytes of a 10,000-token answer that comes as fast as it can, and that its text is exact."""
    with FakeServer() as server, _kernel(home, server) as kernel:
        kernel.run(_PEER.format(url=server.url, key=KEY)).checked()
        # Both once before: imports, connection and caches are not what is measured.
        kernel.run("peer('tokens-10')").checked()
        kernel.run("%%chat -m tokens-10 --quiet\ngo", cell_id="warm").checked()
        ours: list[float] = []
        floor: list[float] = []
        sent = 0
        for number in range(3):
            kernel.run(f"start = time.process_time(); peer({TOKENS!r}); spent = time.process_time() - start").checked()
            floor.append(kernel.value("spent"))
            kernel.run("start = time.process_time()").checked()
            outcome = kernel.run(f"%%chat -m {TOKENS} -c run-{number}\ngo", cell_id=f"ours-{number}").checked()
            kernel.run("spent = time.process_time() - start").checked()
            ours.append(kernel.value("spent"))
            sent = outcome.iopub_bytes
        text = kernel.value("_reply.text")
        assert text == server.text_of(TOKENS), "the text is exactly what was sent"
    return [
        Measure(
            name="10,000 tokens, kernel CPU against the client",
            ours=min(ours),
            floor=min(floor),
            unit="s",
            limit=0.5,
        ),
        Measure(
            name="10,000 tokens, iopub bytes against the answer",
            ours=sent,
            floor=len(text.encode()),
            unit="bytes",
            limit=12,
        ),
    ]


def slow_streaming(home: Path, *, seconds: float = 100.0) -> Measure:
    """Iopub bytes of the same answer when it takes its time."""
    with FakeServer() as server, _kernel(home, server) as kernel:
        model = f"{TOKENS}@{10_000 / seconds:g}"
        outcome = kernel.run(f"%%chat -m {model}\ngo", cell_id="slow", timeout_s=seconds * 2 + 30).checked()
        size = len(kernel.value("_reply.text").encode())
    return Measure(
        name=f"10,000 tokens over {seconds:g} s, iopub bytes",
        ours=outcome.iopub_bytes,
        floor=size,
        unit="bytes",
        limit=12,
    )


def live_streaming(home: Path) -> Measure:
    """Iopub bytes of the same answer in a widget that a page shows, at 2,000 tokens a second."""
    with FakeServer() as server, _kernel(home, server) as kernel:
        request_id = kernel.submit(f"%%chat -m {TOKENS}@2000\ngo", cell_id="live")
        opened = kernel.wait_for(lambda message: "snap" in _state(message))
        kernel.send("llm_magic", {"k": "hello", "t": _state(opened)["snap"]["t"]}, channel="control")
        outcome = kernel.finish(request_id).checked()
        size = len(kernel.value("_reply.text").encode())
    created = sum(message.size_bytes for message in outcome.of_type("comm_open", "display_data"))
    return Measure(
        name="10,000 tokens live, iopub bytes after the widget",
        ours=outcome.iopub_bytes - created,
        floor=size,
        unit="bytes",
        limit=4,
    )


def open_blocks(home: Path) -> list[Measure]:
    """Kernel CPU of an answer that is one open block of 200 kB in a widget, beside as much prose."""
    with FakeServer() as server, _kernel(home, server) as kernel:
        kernel.run("import time").checked()
        kernel.run("%%chat -m tokens-10 --quiet\ngo", cell_id="warm").checked()
        spent = {name: _live_cpu(kernel, name, text) for name, text in BLOCKS.items()}
    return [
        Measure(name=f"one {name} of 200 kB, CPU against prose", ours=cpu, floor=spent["prose"], unit="s", limit=2)
        for name, cpu in spent.items()
        if name != "prose"
    ]


def _live_cpu(kernel: Kernel, name: str, text: str) -> float:
    kernel.run("start = time.process_time()").checked()
    request_id = kernel.submit(f"%%llm --fresh --raw -m echo\n{text}", cell_id=f"block-{name}")
    opened = kernel.wait_for(lambda message: "snap" in _state(message), parent_id=request_id)
    kernel.send("llm_magic", {"k": "hello", "t": _state(opened)["snap"]["t"]}, channel="control")
    kernel.finish(request_id).checked()
    kernel.run("spent = time.process_time() - start").checked()
    return float(kernel.value("spent"))


def _state(message: Received) -> Mapping[str, Any]:
    """The state a widget opens with, empty for other messages."""
    found: Mapping[str, Any] = message.content["data"].get("state", {}) if message.type == "comm_open" else {}
    return found


def interrupting(home: Path) -> Measure:
    """From the interrupt to idle, beside the openai client's loop; the least of six, for others use the machine too."""
    with FakeServer() as server, _kernel(home, server) as kernel:
        kernel.run(_PEER.format(url=server.url, key=KEY)).checked()
        kernel.run("%%chat -m tokens-10 --quiet\ngo", cell_id="warm").checked()
        ours = min(_idle_after(kernel, server, "%%chat -m tokens-10000@200\ngo") for _ in range(6))
        floor = min(_idle_after(kernel, server, "peer('tokens-10000@200')") for _ in range(6))
    return Measure(name="interrupt to idle, against the client's loop", ours=ours, floor=floor, unit="s", limit=0.1)


def saving(answers: Mapping[str, str]) -> Measure:
    """Bytes of the saved outputs of typical answers, beside the answers themselves plus 2 kB each / 4."""
    from llm_magic.reply import answer_bundle
    from llm_magic.turns import Turn

    saved = sum(len(json.dumps(answer_bundle(Turn(id="0", prompt=(), text=text)))) for text in answers.values())
    allowed = sum(4 * len(text.encode()) + 2000 for text in answers.values())
    return Measure(name="saved output against 4 × the answer + 2 kB", ours=saved, floor=allowed, unit="bytes", limit=1)


def _kernel(home: Path, server: FakeServer) -> _LoadedKernel:
    return _LoadedKernel(home, environ={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url})


class _LoadedKernel(Kernel):
    """A kernel with the extension loaded."""

    def start(self) -> None:
        super().start()
        self.run("%load_ext llm_magic").checked()


def _cpu_of(code: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    return float(done.stdout.strip().splitlines()[-1])


def _idle_after(kernel: Kernel, server: FakeServer, code: str) -> float:
    asked, billed = len(server.requests), len(server.billed)
    request_id = kernel.submit(code, cell_id=f"interrupted-{asked}")
    server.wait_until(lambda: len(server.billed) > billed and server.billed[-1].output_tokens > 20)
    start = time.monotonic()
    kernel.interrupt()
    outcome = kernel.finish(request_id)
    assert outcome.status == "error", "an interrupted cell ends with an error"
    return time.monotonic() - start


def every_measure(home: Callable[[], Path], answers: Mapping[str, str]) -> list[Measure]:
    """All of them, the slow stream too."""
    return [
        loading(),
        *streaming(home()),
        slow_streaming(home()),
        live_streaming(home()),
        *open_blocks(home()),
        interrupting(home()),
        saving(answers),
    ]
