"""A server of JupyterLab and Notebook in a child process: a home and a token of its own, on loopback.

Its kernels are of this interpreter; nothing of the user's configuration, keys or caches gets in. Every wait
has an end, and what was started is ended: the server, and with it its kernels.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from tests.kernel.harness import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

_START_TIMEOUT_S = 120.0
_END_TIMEOUT_S = 20.0
_PROBE_S = 0.05
# All cells are in the document, nothing is saved or fetched that no test asked for.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


class LabServer:
    """A server of one's own; use it as a context manager.

    Args:
        home: An empty folder for home, configuration, caches and notebooks.
        options: Further options of the command line.
        disabled: Front-end extensions that are not loaded.
    """

    def __init__(self, home: Path, *, options: Sequence[str] = (), disabled: Sequence[str] = ()) -> None:
        self.home = home
        self._options = options
        self._disabled = disabled
        self.folder = home / "work"
        self.token = secrets.token_hex(16)
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._write_settings()
        self.folder.mkdir()
        with (self.home / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*_command(self.folder), *self._options],
                env=environment(self.home) | {"JUPYTER_TOKEN": self.token},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # An interrupt typed at the terminal is for pytest, which then ends the server.
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and its kernels, politely first. Doing it twice does no harm."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_END_TIMEOUT_S)

    def write(self, name: str, cells: Sequence[str], *, environ: Mapping[str, str] | None = None) -> Path:
        """Put a notebook of code cells into the server's folder.

        Args:
            name: Its name, without the suffix; its kernel is called the same.
            cells: Source of each cell.
            environ: Further environment variables of its kernel.
        """
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "env": dict(environ or {}),
        }
        path = self.home / "jupyter-data" / "kernels" / name / "kernel.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(spec))
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": name, "display_name": name, "language": "python"}},
            "cells": [_code_cell(f"cell-{number}", source) for number, source in enumerate(cells)],
        }
        target = self.folder / f"{name}.ipynb"
        target.write_text(json.dumps(notebook))
        return target

    def ask(self, path: str) -> Any:
        """What the server's REST API answers to a GET, decoded."""
        request = urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def _write_settings(self) -> None:
        for name, values in _SETTINGS.items():
            plugin = self.home / "jupyter/lab/user-settings/@jupyterlab" / f"{name}.jupyterlab-settings"
            plugin.parent.mkdir(parents=True, exist_ok=True)
            plugin.write_text(json.dumps(values))
        page = self.home / "jupyter/labconfig/page_config.json"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(json.dumps({"disabledExtensions": dict.fromkeys(self._disabled, True)}))

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        ready = self.home / "jupyter-runtime" / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ChildProcessError(f"JupyterLab ended; {self._log()}")
            if self._answers(ready):
                return
            time.sleep(_PROBE_S)
        raise TimeoutError(f"JupyterLab did not answer within {_START_TIMEOUT_S} s; {self._log()}")

    def _answers(self, ready: Path) -> bool:
        try:
            self.url = json.loads(ready.read_text())["url"]
            self.ask("api/status")
        except (FileNotFoundError, json.JSONDecodeError, urllib.error.URLError):
            return False
        return True

    def _log(self) -> str:
        return f"its log ends with: {(self.home / 'server.log').read_text(errors='replace')[-2000:]}"


def _command(folder: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.allow_root={hasattr(os, 'geteuid') and os.geteuid() == 0}",
        "--LabApp.extension_manager=readonly",
        # Said once: said twice it turns itself off.
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]


def _code_cell(cell_id: str, source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": {},
        "execution_count": None,
        "source": source,
        "outputs": [],
    }
