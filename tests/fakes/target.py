"""A host that nobody should ask: it listens on loopback and notes whoever comes."""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_PATIENCE_S = 5.0
_END_TIMEOUT_S = 10.0
_REPLY = b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Target:
    """The host; a context manager.

    Attributes:
        visits: The first line of every connection, "" where none was sent.
    """

    def __init__(self) -> None:
        self.visits: list[str] = []
        visits = self.visits

        class Note(socketserver.StreamRequestHandler):
            timeout = _PATIENCE_S

            def handle(self) -> None:
                # Noted when it comes: a preconnection says nothing at all.
                visits.append("")
                place = len(visits) - 1
                try:
                    visits[place] = self.rfile.readline(65_536).decode("latin-1").strip()
                    self.wfile.write(_REPLY)
                except OSError:
                    pass  # gone, or silent: it has been noted

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Note)
        self._thread = threading.Thread(target=self._server.serve_forever, name="target", daemon=True)

    @property
    def host(self) -> str:
        """Address and port, as in a URL."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_END_TIMEOUT_S)
