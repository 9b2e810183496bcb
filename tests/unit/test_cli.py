"""The command ``llm-magic``: what it prints, how it ends."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from llm_magic import cli, quickstart
from llm_magic._version import __version__
from llm_magic.backends import weights

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine, and a folder of one's own to work in."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "LLM_MAGIC_", "MBODI_", "AZURE_")) and name != "LLM_MAGIC_CACHE_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("LLM_MAGIC_STORE", str(tmp_path / "store.sqlite3"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache."""
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path / "cache"))


def command(*words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "llm_magic.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
        start_new_session=True,
    )


def running_with(mark: str) -> list[int]:
    """Ids of the processes with this in their environment."""
    found = []
    for item in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            if mark.encode() in item.read_bytes():
                found.append(int(item.parent.name))
    return found


def read_notebook(path: Path) -> Any:
    """A notebook of the current format, as it is in the file."""
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]  # it has no types


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints it and is done."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])

    assert capsys.readouterr().out == f"llm-magic {__version__}\n"


@pytest.mark.parametrize("words", [[], ["quickstrat"], ["autoload"], ["autoload", "maybe"]])
def test_unknown_words_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not know is status 2 and the usage."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)

    assert "usage: llm-magic" in capsys.readouterr().err


@pytest.mark.usefixtures("no_weights")
def test_download_says_where_the_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Weights that are there are named, and nothing is fetched."""
    weights.path().parent.mkdir()
    with weights.path().open("wb") as file:
        file.truncate(weights.SMOLLM2.file_bytes)

    assert cli.main(["download"]) == 0

    assert capsys.readouterr().out == f"The local model is ready: {weights.path()}\n"


@pytest.mark.usefixtures("no_weights")
def test_an_error_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback: the message, the hint, on stderr."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)

    assert cli.main(["download"]) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("llm-magic: The local model was not downloaded: ")
    assert "Hint: " in last


def test_bar_draws_in_place_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line fills up; its end is reached and left."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = cli._Bar()

    for done in (0, 45_000_000, 90_000_000):
        bar(done, 90_000_000)
    bar.end()

    drawn = terminal.getvalue().split("\r")[1:]
    assert [line.count("#") for line in drawn] == [0, 15, 30]
    assert "45.0 of 90.0 MB" in drawn[1]
    assert terminal.getvalue().endswith("\n")


def test_bar_is_few_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """In a log it is a line at each quarter."""
    bar = cli._Bar()

    for done in range(101):
        bar(done * 1_000_000, 100_000_000)
    bar.end()

    assert capsys.readouterr().err.splitlines() == [f"local model: {part} of 100 MB" for part in (0, 25, 50, 75, 100)]


def test_autoload_says_what_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On and off each name the file, and the state they leave."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    path = tmp_path / "etc" / "ipython" / "ipython_config.json"

    assert cli.main(["autoload", "on"]) == 0
    told = capsys.readouterr().out
    assert str(path) in told
    assert "autoload is on" in told

    assert cli.main(["autoload", "off"]) == 0
    assert "autoload is off" in capsys.readouterr().out

    path.parent.mkdir(parents=True)
    path.write_text('{"InteractiveShellApp": {"extra_extensions": ["llm_magic"]}}')
    assert cli.main(["autoload", "off"]) == 0
    assert "still on" in capsys.readouterr().out


def test_doctor_ends_by_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 0 where all is well, 1 and a mark where something is broken."""
    assert cli.main(["doctor"]) == 0
    assert "!" not in {line[0] for line in capsys.readouterr().out.splitlines()}

    monkeypatch.setenv("LLM_MAGIC_LOCAL_MODEL", str(tmp_path / "none.gguf"))
    assert cli.main(["doctor"]) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("! local model")]


def test_quickstart_notebook_is_found_and_clean() -> None:
    """The notebook is there, valid, without outputs, and its cells have ids."""
    notebook = read_notebook(quickstart.notebook_path())

    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@pytest.mark.kernel
@pytest.mark.local_model
@pytest.mark.usefixtures("local_weights")
def test_quickstart_runs_with_the_local_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a key: real answers in the terminal, the usage table, and the executed copy saved and named."""
    assert cli.main(["quickstart"]) == 0

    told = capsys.readouterr().out
    assert "Asking smollm2-135m-instruct on this machine." in told
    assert "The capital of France is Paris." in told
    assert "input_tokens" in told
    assert "\x1b" not in told
    executed = tmp_path / "quickstart-executed.ipynb"
    assert str(executed) in told
    assert "jupyter lab quickstart-executed.ipynb" in told
    notebook = read_notebook(executed)
    (ask,) = [cell for cell in notebook.cells if cell.get("id") == "ask"]
    assert "Paris" in str(ask.outputs[0].data["text/html"])


@pytest.mark.kernel
def test_quickstart_that_fails_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is not there: one line, status 1, and the copy shows how far it went."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        patch.setenv("OPENAI_MODEL", "m")
        patch.setenv("LLM_MAGIC_MAX_RETRIES", "0")
        assert cli.main(["quickstart", "--output", "out/run.ipynb"]) == 1

    told = capsys.readouterr()
    assert "http://127.0.0.1:9/v1" in told.out
    assert told.err.splitlines()[-1].startswith("llm-magic: The quickstart stopped: ")
    assert "Traceback" not in told.err
    assert (tmp_path / "out" / "run.ipynb").is_file()


@pytest.mark.kernel
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_quickstart_can_be_interrupted() -> None:
    """Ctrl-C in mid-run: one line, status 130, no process left."""
    mark = f"QUICKSTART_MARK={secrets.token_hex(8)}"
    environ = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_MODEL": "m", "LLM_MAGIC_MAX_RETRIES": "9"}
    environ |= dict([mark.split("=")])
    with command("quickstart", environ=environ) as process:
        assert process.stdout is not None
        while "What is the capital of France" not in process.stdout.readline():
            assert process.poll() is None
        assert len(running_with(mark)) >= 2  # the command and its kernel
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=30)

    assert process.returncode == 130
    assert told.splitlines()[-1] == "llm-magic: interrupted"
    assert "Traceback" not in told
    assert running_with(mark) == []
