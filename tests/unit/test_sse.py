"""Server-sent events: bytes to the data of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic.backends.sse import EventSplitter


def split(data: bytes, cuts: list[int] | None = None) -> list[bytes]:
    """The events' data, the bytes being read in pieces."""
    splitter = EventSplitter()
    events, begin = [], 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]:
        events += splitter.feed(data[begin:end])
        begin = end
    return events + splitter.finish()


CASES = [
    (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
    (b"data:one\n\n", [b"one"]),
    (b"data:  two spaces\n\n", [b" two spaces"]),
    (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
    (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
    (b"data: one\ndata: line\n\n", [b"one\nline"]),
    (b": keep-alive\n\n:\n\ndata: one\n\n", [b"one"]),
    (b"event: message\nid: 7\nretry: 3\ndata: one\n\nid: 8\n\n", [b"one"]),
    (b"data\n\n", [b""]),
    (b"\xef\xbb\xbfdata: one\n\n", [b"one"]),
    (b"data: one\n\ndata: cut off", [b"one", b"cut off"]),
    (b"data: one\r", [b"one"]),
    (b"\n\n\n", []),
    (b"", []),
]


@pytest.mark.parametrize(("data", "events"), CASES)
def test_events_are_found_in_every_form_of_the_standard(data: bytes, events: list[bytes]) -> None:
    """Line ends, comments, several data lines, other fields, a missing last blank line."""
    assert split(data) == events
    assert split(data, list(range(len(data)))) == events


LINES = st.lists(
    st.sampled_from([b"data: x", b"data:{}", b"data: \xc3\xa9", b"", b"", b":", b"event: e", b"id", b"data"]),
    max_size=12,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(lines=LINES, ends=st.lists(ENDS, min_size=12, max_size=12), cuts=st.lists(st.integers(0, 200), max_size=20))
def test_any_split_gives_the_same_events(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    """Where the network cuts the bytes makes no difference."""
    data = b"".join(line + end for line, end in zip(lines, ends, strict=False))

    assert split(data, cuts) == split(data)


def test_byte_by_byte_is_the_same_as_at_once() -> None:
    """Even a line end cut in two is one line end."""
    data = b"data: one\r\ndata: more\r\n\r\ndata: \xf0\x9f\x98\x80\r\n\r\n"

    assert split(data, list(range(len(data)))) == split(data) == [b"one\nmore", "\N{GRINNING FACE}".encode()]
