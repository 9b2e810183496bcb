"""The README does what it says: its commands are there, its snippets run, its table names what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llm_magic.magics.command_table import COMMANDS
from llm_magic.magics.table import OPTIONS
from tests.kernel.harness import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.server import FakeServer
    from tests.kernel.conftest import Chat

pytestmark = pytest.mark.kernel
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def test_readme_is_short_and_has_its_commands() -> None:
    """At most 150 lines, with the two commands a new user types."""
    assert README.count("\n") <= 150
    assert [block.strip().partition(" && ")[0] for language, block in BLOCKS if not language][:2] == [
        "python3 -m venv .venv"
    ] * 2
    assert (ROOT / "docs" / "panel.png").stat().st_size > 10_000


def test_python_snippet_runs(tmp_path: Path, fake_server: FakeServer) -> None:
    """The Python example prints an answer."""
    (snippet,) = (block for language, block in BLOCKS if language == "python")
    environ = environment(tmp_path) | {
        "OPENAI_BASE_URL": fake_server.url,
        "OPENAI_API_KEY": "sk-readme-0123456789",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", snippet], env=environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("What is the capital of France? 7 ")


def test_five_lines_run(chat: Chat) -> None:
    """The example of magics runs cell by cell, with a DataFrame and a figure."""
    (example,) = (block for _, block in BLOCKS if block.startswith("%load_ext"))
    chat.run(
        "import pandas as pd\nfrom matplotlib.figure import Figure\n"
        "df = pd.DataFrame({'a': [1, 2]})\nfig = Figure(); fig.subplots().plot([1, 2])",
        "data",
    ).checked()

    for number, cell in enumerate(example.strip().split("\n\n")):
        chat.run(cell, f"readme-{number}").checked()

    assert "Name the trend in" in chat.kernel.value("answer.text")
    assert "image_url" in str(chat.server.requests[-2].body["messages"][-1]["content"])


def test_tools_and_types_are_handed_over(chat: Chat) -> None:
    """The functions and the type of the example are in the requests that it sends."""
    (example,) = (block for _, block in BLOCKS if "--tool" in block)
    chat.run(
        "from pydantic import BaseModel\nclass Invoice(BaseModel):\n    total: float\n"
        "text = '[{\"total\": 3}]'\n"
        "def convert(euros: float) -> float: ...\ndef rates() -> dict[str, float]: ...",
        "made",
    ).checked()
    with_tools, with_type = example.strip().split("\n\n")

    chat.run(with_tools, "tools").checked()
    assert [tool["function"]["name"] for tool in chat.server.requests[-1].body["tools"]] == ["convert", "rates"]

    # The server repeats what it is told; the list in it is the answer.
    chat.run(with_type, "type").checked()
    assert chat.kernel.value("found.data.to_dict('list')") == {"total": [3.0]}
    assert "total" in str(chat.server.requests[-1].body["response_format"])


def test_what_is_named_exists() -> None:
    """Every option and command that the README names is in the tables of the code."""
    named = set(re.findall(r"`(--?[a-z][a-z-]*)`", README))

    assert named <= {flag for row in OPTIONS for flag in row.flags}
    assert {"-m", "-i"} <= named
    assert set(re.findall(r"%chat (\w+)", README)) - {"NAME"} <= {row.name for row in COMMANDS}
