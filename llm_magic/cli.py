"""The command ``llm-magic``: quickstart, download, doctor, autoload.

An error is one line on stderr and a status other than 0.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import autoload, rendering
from ._version import __version__
from .errors import LLMMagicError

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130  # as a shell counts a program that SIGINT ended
_BAR_CELLS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Words after ``llm-magic``; None for those of this process.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except LLMMagicError as exc:
        print(rendering.plain_text(f"llm-magic: {exc}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("llm-magic: interrupted", file=sys.stderr)
        return _INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llm-magic", description="Language models inside a notebook.")
    parser.add_argument("--version", action="version", version=f"llm-magic {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    quickstart = commands.add_parser(
        "quickstart",
        help="run a notebook with a real model and show its answers; without a key, a local model",
    )
    quickstart.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where the executed notebook goes (quickstart-executed.ipynb)",
    )
    quickstart.set_defaults(run=_quickstart)
    commands.add_parser("download", help="get the local model's weights once, 98 MB").set_defaults(run=_download)
    doctor = commands.add_parser("doctor", help="what is installed, configured and reachable; shows no secret")
    doctor.set_defaults(run=_doctor)
    switch = commands.add_parser("autoload", help="load the extension in every kernel of this environment, or not")
    switch.add_argument("state", choices=("on", "off"))
    switch.set_defaults(run=_autoload)
    return parser


def _quickstart(options: argparse.Namespace) -> int:
    from . import quickstart
    from .backends.registry import Registry
    from .config import Config

    quickstart.check_installed()
    config = Config()
    choice = Registry().resolve(config.look_up)
    info = choice.backend.info()
    place = "on this machine" if info.name == "local" else f"at {info.base_url}"
    print(rendering.plain_text(f"Asking {choice.model} {place}."))
    if info.name == "local" and config.get("local_model") is None:
        _get_weights()
    output = options.output or Path(quickstart.OUTPUT_NAME)
    try:
        quickstart.run(output, say=lambda text: print(text, flush=True) if text else None)
    finally:
        if output.is_file():
            print(f"\nThe executed notebook: {output.absolute()}")
    print(f"Open it in JupyterLab: {_open_command(output)}")
    return 0


def _open_command(notebook: Path) -> str:
    beside = shutil.which("jupyter", path=str(Path(sys.executable).parent))
    command = shlex.join((beside or "jupyter", "lab", str(notebook)))
    return command if beside else f'pip install "llm-magic[lab]" && {command}'


def _download(_: argparse.Namespace) -> int:
    print(f"The local model is ready: {_get_weights()}")
    return 0


def _get_weights() -> Path:
    from .backends import weights

    bar = _Bar()
    try:
        return weights.installed() or weights.download(progress=bar)
    finally:
        bar.end()


def _doctor(_: argparse.Namespace) -> int:
    from . import doctor

    is_broken = False
    for finding in doctor.examine():
        mark = "!" if finding.is_broken else " "
        print(f"{mark} {finding.topic:<12} {rendering.plain_text(finding.text)}", flush=True)
        is_broken |= finding.is_broken
    return int(is_broken)


def _autoload(options: argparse.Namespace) -> int:
    changed = autoload.turn_on() if options.state == "on" else autoload.turn_off()
    for path in changed:
        print(f"changed {path}")
    if options.state == "on":
        print("autoload is on: new kernels and terminal IPython of this environment load llm_magic")
    elif autoload.is_on():
        print(f"autoload is still on, by an entry that is not ours: {autoload.folder() / autoload.BASE_FILE}")
    else:
        print("autoload is off")
    return 0


class _Bar:
    """A progress bar: redrawn in place on a terminal, else a line at each quarter."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._shown = -1
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        part = done * _BAR_CELLS // total if self._is_terminal else done * 4 // total
        if self._is_terminal:
            speed = done / 1e6 / max(0.1, time.monotonic() - self._started_s)
            bar = "#" * part + "." * (_BAR_CELLS - part)
            line = f"\rlocal model [{bar}] {done / 1e6:5.1f} of {total / 1e6:.1f} MB, {speed:.1f} MB/s "
            print(line, end="", file=sys.stderr, flush=True)
        elif part != self._shown:
            print(f"local model: {done / 1e6:.0f} of {total / 1e6:.0f} MB", file=sys.stderr, flush=True)
        self._shown = part

    def end(self) -> None:
        """Leave the bar's line, if there is one."""
        if self._is_terminal and self._shown >= 0:
            print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
