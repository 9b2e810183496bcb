"""A proxy on loopback: what it is asked for goes to one server, whatever name it was asked for by.

Plain requests are handed on with their path alone, ``CONNECT`` opens a tunnel. What was asked of it is recorded.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

_END_TIMEOUT_S = 10.0


class FakeProxy:
    """The proxy, in a thread of its own; a context manager.

    Args:
        target: Address of the server behind it; None ends each tunnel after its first bytes.

    Attributes:
        lines: The first line of each request.
        heads: The whole head of each, lower-case.
        tunnelled: The first bytes of each tunnel.
    """

    def __init__(self, target: str | None = None) -> None:
        self.lines: list[str] = []
        self.heads: list[str] = []
        self.tunnelled: list[bytes] = []
        self._target = (urlsplit(target).hostname, urlsplit(target).port) if target else None
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy._serve(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Where it is, "http://127.0.0.1:PORT"."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_END_TIMEOUT_S)

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            read = client.recv(65536)
            if not read:
                return
            head += read
        line, _, rest = head.partition(b"\r\n")
        self.lines.append(line.decode())
        self.heads.append(head.partition(b"\r\n\r\n")[0].decode().lower())
        method, address, version = line.split(b" ")
        if method == b"CONNECT":
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.tunnelled.append(client.recv(65536))
            return
        assert self._target is not None
        path = urlsplit(address.decode()).path.encode()
        with socket.create_connection(self._target) as server:
            server.sendall(b" ".join((method, path, version)) + b"\r\n" + rest)
            threading.Thread(target=_pipe, args=(server, client), daemon=True).start()
            _pipe(client, server)


def _pipe(source: socket.socket, target: socket.socket) -> None:
    try:
        while read := source.recv(65536):
            target.sendall(read)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # one of the two has gone: so does the other
