"""Server-sent events: bytes as the network delivers them → the data of whole events.

Any split of the same bytes gives the same data. Names and ids of events are passed over: Chat Completions
does not use them. The data is not parsed here.

Source: WHATWG HTML, "Parsing an event stream".
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"


class EventSplitter:
    """Finds the events in a stream of bytes; feed it what was read, in order."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._has_begun = False

    def feed(self, read: bytes) -> list[bytes]:
        """The data of the events that ``read`` makes whole, in order."""
        # Only the last line is open: what is kept is short, unless one event is huge, and then it is not
        # searched again.
        if b"\n" not in read and b"\r" not in read:
            self._rest += read
            return []
        self._rest += read
        data = bytes(self._rest)
        if b"\r" in data:
            # A carriage return at the very end may be half of a line end: it waits for what follows.
            tail = b"\r" if data.endswith(b"\r") else b""
            data = data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
        lines = data.split(b"\n")
        self._rest = bytearray(lines.pop())
        return self._events(lines)

    def finish(self) -> list[bytes]:
        """The data of an event that the end of the stream cut off before its blank line."""
        lines = bytes(self._rest).removesuffix(b"\r").split(b"\r")
        self._rest.clear()
        return self._events([*lines, b""])

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events = []
        for line in lines:
            if line[:6] == b"data: ":
                self._data.append(line[6:])
            elif not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data = []
            else:
                self._unusual(line)
            self._has_begun = True
        return events

    def _unusual(self, line: bytes) -> None:
        if not self._has_begun:
            line = line.removeprefix(_BOM)
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
