"""Kernels for tests: one a test, one a module, or as many as a test starts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.fakes.server import FakeServer
from tests.kernel.harness import Kernel, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class StartKernel(Protocol):
    """Starts a kernel that ends with the test."""

    def __call__(self, *, environ: Mapping[str, str] | None = None) -> Kernel: ...


@pytest.fixture
def start_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartKernel]:
    """Starts kernels, each with a home of its own, and ends them with the test."""
    with ExitStack() as stack:

        def start(*, environ: Mapping[str, str] | None = None) -> Kernel:
            return stack.enter_context(Kernel(tmp_path_factory.mktemp("kernel"), environ=environ))

        yield start


@pytest.fixture
def kernel(start_kernel: StartKernel) -> Kernel:
    """A fresh kernel for one test."""
    return start_kernel()


@pytest.fixture(scope="module")
def module_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for all tests of a module: cheaper, but what a test leaves in it stays."""
    with Kernel(tmp_path_factory.mktemp("kernel")) as started:
        yield started


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A kernel with the extension loaded, and the server its magics ask."""

    kernel: Kernel
    server: FakeServer

    def run(self, code: str, cell_id: str = "cell", **options: Any) -> Outcome:
        """Run a cell as JupyterLab does."""
        return self.kernel.run(code, cell_id=cell_id, **options)

    def begin(self) -> None:
        """Start an empty conversation; the ledger goes on."""
        self.run("%chat new", cell_id="new").checked()

    def one_line(self, outcome: Outcome) -> str:
        """The one line of an outcome that failed: no traceback, no more than a line."""
        assert outcome.status == "error", outcome.messages
        ((_, _, traceback),) = outcome.errors
        (line,) = traceback
        assert "\n" not in line
        return line


NEVER_S = 3600
CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(scope="module")
def chat_server() -> Iterator[FakeServer]:
    """The server of a module's chat kernel."""
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory, chat_server: FakeServer) -> Iterator[Chat]:
    """A kernel of a user with a key, one a module."""
    environ = {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": chat_server.url, "LLM_MAGIC_MODEL": "echo"}
    with Kernel(tmp_path_factory.mktemp("kernel"), environ=environ) as kernel:
        kernel.run("%load_ext llm_magic").checked()
        # The first ask imports what it needs, which takes long; and a line that says an ask takes long depends on
        # the machine.
        kernel.run("%llm --quiet warm up").checked()
        kernel.run(f"from llm_magic.views import plain, static\nplain.STATUS_AFTER_S = {NEVER_S}").checked()
        kernel.run(f"static.STATUS_AFTER_S = {NEVER_S}").checked()
        yield Chat(kernel=kernel, server=chat_server)
