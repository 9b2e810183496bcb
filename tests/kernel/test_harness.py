"""The harness itself: what it says of a kernel is so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernel.conftest import StartKernel
    from tests.kernel.harness import Kernel

pytestmark = pytest.mark.kernel


def test_run_collects_output_result_and_sizes(module_kernel: Kernel) -> None:
    """One execution's streams, result and bytes are told apart from those of others."""
    module_kernel.run("print('elsewhere')").checked()

    outcome = module_kernel.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7").checked()

    assert outcome.stdout == "out\n"
    assert outcome.stderr == "err\n"
    assert outcome.result == {"text/plain": "42"}
    assert 500 < outcome.iopub_bytes < 20_000
    long = module_kernel.run("print('x' * 100_000)").checked()
    assert 100_000 < long.iopub_bytes < 110_000


def test_run_reports_an_error_as_outcome(module_kernel: Kernel) -> None:
    """An error in the cell is an outcome with its output; checked() raises it."""
    outcome = module_kernel.run("1 / 0")

    assert outcome.status == "error"
    assert outcome.errors[0][:2] == ("ZeroDivisionError", "division by zero")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        outcome.checked()


def test_run_sends_metadata_and_stdin_permission(module_kernel: Kernel) -> None:
    """The kernel sees cell id, further metadata and whether it may ask, exactly as given."""
    code = "parent = get_ipython().get_parent(); seen = parent['metadata'], parent['content']['allow_stdin']"

    module_kernel.run(code, cell_id="abc", metadata={"deletedCells": ["d"]}, allow_stdin=True).checked()
    assert module_kernel.value("seen") == ({"cellId": "abc", "deletedCells": ["d"]}, True)

    module_kernel.run(code).checked()
    assert module_kernel.value("seen") == ({}, False)


def test_bundles_apply_display_updates(module_kernel: Kernel) -> None:
    """Bundles are what a notebook would save: an updated display once, with its last content."""
    code = (
        "from IPython.display import display\n"
        "h = display({'text/plain': 'one'}, raw=True, display_id=True)\n"
        "display({'text/plain': 'other'}, raw=True)\n"
        "h.update({'text/plain': 'two'}, raw=True)"
    )

    assert module_kernel.run(code).checked().bundles == ({"text/plain": "two"}, {"text/plain": "other"})


def test_input_is_asked_and_answered(module_kernel: Kernel) -> None:
    """A cell that may ask gets the answer."""
    request_id = module_kernel.submit("name = input('who? ')", allow_stdin=True)

    asked = module_kernel.wait_for(lambda m: m.type == "input_request", parent_id=request_id)
    module_kernel.answer("Ada")
    module_kernel.finish(request_id).checked()

    assert asked.content["prompt"] == "who? "
    assert module_kernel.value("name") == "Ada"


def test_interrupt_ends_a_running_cell_and_aborts_queued_ones(module_kernel: Kernel) -> None:
    """An interrupt ends the cell at once; the cell behind it is not run."""
    running = module_kernel.submit("import time\nprint('started', flush=True)\ntime.sleep(600)")
    queued = module_kernel.submit("ran = True")
    module_kernel.wait_for(lambda m: m.type == "stream", parent_id=running)

    module_kernel.interrupt()
    outcome = module_kernel.finish(running)

    assert outcome.errors[0][0] == "KeyboardInterrupt"
    assert module_kernel.finish(queued).status == "aborted"


def test_wait_for_has_an_end(module_kernel: Kernel) -> None:
    """Waiting for what never comes ends in time and says what came instead."""
    module_kernel.run("print('noise')").checked()

    with pytest.raises(TimeoutError, match="noise"):
        module_kernel.wait_for(lambda _: False, timeout_s=0.2)


def test_complete_asks_the_kernel(module_kernel: Kernel) -> None:
    """Completion is the kernel's own."""
    module_kernel.run("telescope = 1").checked()

    assert "telescope" in module_kernel.complete("telesc")


def test_restart_forgets_names(kernel: Kernel) -> None:
    """A restart is a new process without the old names, and works like the first."""
    kernel.run("x = 1").checked()
    first = kernel.value("__import__('os').getpid()")

    kernel.restart()

    assert kernel.value("__import__('os').getpid()") != first
    assert kernel.run("x").errors[0][0] == "NameError"


def test_environment_is_made_here(start_kernel: StartKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither keys nor folders of the user reach the kernel; what the test sets does."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")
    kernel = start_kernel(environ={"LLM_MAGIC_MODEL": "m"})

    kernel.run("import os, llm_magic").checked()

    assert kernel.value("os.environ.get('OPENAI_API_KEY')") is None
    assert kernel.value("os.environ['LLM_MAGIC_MODEL']") == "m"
    assert kernel.value("os.path.expanduser('~')") == str(kernel.home)
    assert kernel.value("get_ipython().ipython_dir").startswith(str(kernel.home))
    assert kernel.value("os.getcwd()") == os.path.realpath(kernel.folder)


def test_death_is_noticed(kernel: Kernel) -> None:
    """A kernel that dies ends the wait with what happened."""
    request_id = kernel.submit("print('started', flush=True)\nimport time\ntime.sleep(600)")
    kernel.wait_for(lambda m: m.type == "stream", parent_id=request_id)

    kernel.kill()

    with pytest.raises(ConnectionResetError, match="died"):
        kernel.finish(request_id)
