"""What tests of every kind share: the fake server, the local model's weights, and no network but loopback."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from llm_magic.backends import weights
from tests.fakes.server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Neither how fast this machine is nor chance decides a run; `nox -s explore` is the search for new examples.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Nothing of a test gets into the user's own store; what tests the store says where it is.
os.environ["LLM_MAGIC_STORE"] = "memory"
_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


@pytest.fixture(scope="session")
def local_weights() -> Path:
    """The local model's weights in the user's cache, downloaded where missing: the one use of a network."""
    return weights.download()


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A Chat Completions server on loopback that misbehaves by model name; see ``tests/fakes/scenarios.py``."""
    with FakeServer() as server:
        yield server


@pytest.fixture(scope="session")
def _attempts() -> Iterator[list[str]]:
    """Refuses connections and look-ups that leave this machine, and lists them."""
    attempts: list[str] = []

    def guard(host: object) -> None:
        if not _is_here(host):
            attempts.append(str(host))
            raise PermissionError(f"a test reached for {host}: only loopback is allowed")

    def connect(self: socket.socket, address: Any) -> None:
        guard(address[0] if isinstance(address, tuple) else None)
        _connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        guard(address[0] if isinstance(address, tuple) else None)
        return _connect_ex(self, address)

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and name.endswith(".invalid"):  # never exists, so nobody need be asked
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        guard(name)
        return _getaddrinfo(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield attempts


@pytest.fixture(autouse=True)
def _only_loopback(_attempts: list[str]) -> Iterator[None]:
    """Fails a test that reached beyond this machine, also where its error was swallowed."""
    before = len(_attempts)
    yield
    assert _attempts[before:] == []


def _is_here(host: object) -> bool:
    # None and "" are this machine; so are sockets with a path for an address.
    if not isinstance(host, str) or host in ("", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
