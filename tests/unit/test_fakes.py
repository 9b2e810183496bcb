"""What other tests stand on: the fake server and the guard of the network."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.fakes.server import FakeServer

TRIES = 5


def post(server: FakeServer, model: str) -> Any:
    """The reply to a raw request."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello there"}]}
    asked = urllib.request.Request(
        f"{server.url}/chat/completions", json.dumps(body).encode(), {"Authorization": "Bearer k"}
    )
    with urllib.request.urlopen(asked, timeout=10) as reply:
        return json.load(reply)


def test_requests_are_recorded_and_billed(fake_server: FakeServer) -> None:
    """Body, headers, times; what is billed is what is reported."""
    reply = post(fake_server, "echo")

    received, bill = fake_server.requests[0], fake_server.billed[0]
    assert received.body["model"] == "echo"
    assert received.headers["authorization"] == "Bearer k"
    assert reply["choices"][0]["message"]["content"] == "hello there"
    assert reply["usage"]["total_tokens"] == bill.input_tokens + bill.output_tokens == 9 + 2
    fake_server.wait_until(lambda: received.finished_at is not None)
    assert received.disconnected_at is None


@pytest.mark.parametrize("model", ["silent", "stall", "tokens-10000@10"])
def test_a_client_that_leaves_is_seen_at_once(fake_server: FakeServer, model: str) -> None:
    """Within 50 ms, in every state of the answer: the least of some tries, as a busy machine adds to each."""
    assert min(seconds_until_seen(fake_server, model) for _ in range(TRIES)) < 0.05


def seconds_until_seen(fake_server: FakeServer, model: str) -> float:
    """Ask, leave, and see how long the server takes to note it."""
    number = len(fake_server.requests)
    host, port = fake_server.url.removeprefix("http://").removesuffix("/v1").split(":")
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
    with socket.create_connection((host, int(port))) as client:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        fake_server.wait_until(lambda: len(fake_server.requests) > number)
        left_at = time.monotonic()
    fake_server.wait_until(lambda: fake_server.requests[number].disconnected_at is not None)
    return (fake_server.requests[number].disconnected_at or 0) - left_at


def test_the_text_of_a_model_is_known(fake_server: FakeServer) -> None:
    """So that answers can be compared exactly; the words are not all the same."""
    text = fake_server.text_of("tokens-1000")

    assert post(fake_server, "tokens-1000")["choices"][0]["message"]["content"] == text
    assert len(set(text.split())) > 20
    assert fake_server.text_of("echo", "a  b") == "a  b"


def test_the_server_runs_as_a_process_of_its_own() -> None:
    """It tells its address on one line, its records over HTTP, and ends with its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/models", timeout=10) as reply:
            assert json.load(reply)["object"] == "list"
        with urllib.request.urlopen(url.replace("/v1", "/_records"), timeout=10) as reply:
            records = json.load(reply)
        process.stdin.close()
        assert process.wait(10) == 0

    assert [item["path"] for item in records["requests"]] == ["/v1/models"]
    assert records["billed"] == []


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org"])
def test_the_network_is_out_of_reach(host: str, request: pytest.FixtureRequest) -> None:
    """A connection that leaves this machine fails, and would fail the test that tries it."""
    attempts = request.getfixturevalue("_attempts")

    with pytest.raises(PermissionError, match="only loopback"):
        socket.create_connection((host, 80), timeout=1)

    assert attempts.pop() == host
