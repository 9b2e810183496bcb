"""What a live answer costs the page and the wire: frames, long tasks and messages in JupyterLab in a real Chromium.

Frames and long tasks say as much about the machine as about us, so they are printed and not tested; bytes and messages
are both. ``python -m benchmarks.live`` prints one run.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from tests.browser.lab import Lab, find_chromium, launch
from tests.browser.server import LabServer
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from tests.browser.lab import Notebook

KEY = "sk-benchmark-0123456789"
RUNS = 3
# What happens in the page while a cell runs: frames drawn, tasks that held them up, messages of the kernel.
_WATCH = """
() => {
  const seen = { frames: 0, drawing: 0, long: [], messages: 0, bytes: 0, began: performance.now(), ended: 0 };
  window.seen = seen;
  const count = () => { seen.frames += 1; if (!seen.ended) requestAnimationFrame(count); };
  requestAnimationFrame(count);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) seen.long.push(Math.round(entry.duration));
  }).observe({ entryTypes: ["longtask"] });
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  kernel.iopubMessage.connect((_, message) => {
    seen.messages += 1;
    seen.bytes += JSON.stringify(message.content).length;
  });
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One answer, as the page saw it.

    Attributes:
        seconds: How long it took.
        frames_per_s: Frames the page drew meanwhile.
        longest_task_ms: The longest task over 50 ms, 0 where there was none.
        messages_per_s: Messages on iopub.
        content_bytes: Their content, without envelopes.
        answer_bytes: The answer's own.
    """

    seconds: float
    frames_per_s: float
    longest_task_ms: float
    messages_per_s: float
    content_bytes: int
    answer_bytes: int


def watched(notebook: Notebook, server: FakeServer, index: int, model: str) -> Seen:
    """Run a cell that asks a model, and watch the page meanwhile."""
    notebook.page.evaluate(_WATCH)
    notebook.run_cell(index, timeout_s=300)
    seen: dict[str, Any] = notebook.page.evaluate("() => { seen.ended = performance.now(); return seen; }")
    assert notebook.saved(index)[0]["output_type"] == "display_data", notebook.outputs(index).text
    seconds = (seen["ended"] - seen["began"]) / 1000
    return Seen(
        seconds=seconds,
        frames_per_s=seen["frames"] / seconds,
        longest_task_ms=max(seen["long"], default=0),
        messages_per_s=seen["messages"] / seconds,
        content_bytes=seen["bytes"],
        answer_bytes=len(server.text_of(model).encode()),
    )


_FIRST = """
() => {
  window.firstAt = 0;
  const look = () => {
    if (!window.firstAt && [...document.querySelectorAll(".llm-magic-answer")].at(-1)?.textContent.trim()) {
      window.firstAt = Date.now();
    }
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
}
"""


def first_text_ms(notebook: Notebook, server: FakeServer, index: int) -> float:
    """From the first token the server writes to its text in the page, in milliseconds."""
    notebook.page.evaluate(_FIRST)
    asked = len(server.billed)
    written: list[float] = []

    def note() -> None:
        server.wait_until(lambda: len(server.billed) > asked and server.billed[-1].output_tokens > 0)
        written.append(time.time())

    waiting = threading.Thread(target=note)
    waiting.start()
    notebook.run_cell(index)
    waiting.join()
    return float(notebook.page.evaluate("() => window.firstAt")) - written[0] * 1000


def main() -> int:
    """Print what three answers of 10,000 tokens, at 2,000 a second, cost."""
    path = find_chromium()
    if path is None:
        print("no Chromium on this machine: apt-get install chromium")
        return 1
    model = sys.argv[1] if len(sys.argv) > 1 else "tokens-10000@2000"
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeServer() as server,
        LabServer(Path(folder)) as lab_server,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright.chromium, path)
        lab = Lab(lab_server, browser)
        environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY, "LLM_MAGIC_MODEL": model}
        cells = [
            "%load_ext llm_magic",
            "%%chat -m tokens-10\nwarm",
            *(f"%%chat -c run-{number}\ngo" for number in range(RUNS)),
        ]
        notebook = lab.open(cells, environ=environ)
        notebook.run_cell(0)
        notebook.run_cell(1)
        seen = [watched(notebook, server, 2 + number, model) for number in range(RUNS)]
        first = [first_text_ms(notebook, server, 2 + RUNS + number) for number in range(RUNS)]
        lab.close()
        browser.close()
    for one in seen:
        print(one)
    for name in ("frames_per_s", "longest_task_ms", "messages_per_s", "content_bytes"):
        print(f"{name}: median {statistics.median(getattr(one, name) for one in seen):.4g}")
    print(f"first text after the first token: median {statistics.median(first):.0f} ms of {first}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
