"""The control channel: who is heard, what is dropped, and when the cell looks busy again."""

from __future__ import annotations

import asyncio
import gc
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.views.channel import AGAIN_AFTER_S, MESSAGE_TYPE, Channel, channel_of
from tests.fakes.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass
class Session:
    """Takes down what a kernel would send."""

    sent: list[tuple[Any, ...]] = field(default_factory=list)

    def send(self, _socket: object, kind: str, content: object, *, parent: object, ident: bytes) -> None:
        self.sent.append((kind, content, parent, ident))


@dataclass
class Kernel:
    """As much of an ipykernel as the channel touches."""

    control_handlers: Any = field(default_factory=dict)
    session: Session = field(default_factory=Session)
    iopub_socket: object = None

    def get_parent(self, channel: str) -> str:
        return f"the cell's request on {channel}"

    def _topic(self, topic: str) -> bytes:
        return topic.encode()


@dataclass
class Shell:
    """A shell of a kernel."""

    kernel: Any = field(default_factory=Kernel)


class Page:
    """Hears what is said to it."""

    def __init__(self) -> None:
        self.heard: list[Mapping[str, Any]] = []

    def hear(self, message: Mapping[str, Any], buffers: Sequence[object] = ()) -> None:
        assert not buffers
        self.heard.append(message)
        if message.get("k") == "break":
            raise LookupError("broken")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time passes when told."""
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    return made


def channel(shell: Shell) -> Channel:
    return Channel(shell)  # type: ignore[arg-type]  # as much of a shell as it touches


def say(shell: Shell, content: Any) -> None:
    """Let a message arrive as a kernel hands it on."""
    shell.kernel.control_handlers[MESSAGE_TYPE](None, None, {"content": content})


def test_a_message_reaches_the_widget_it_names() -> None:
    """Of all that listen only the one; and that the channel works is known from then on."""
    shell = Shell()
    made, one, other = channel(shell), Page(), Page()
    made.listen("one", one)
    made.listen("other", other)
    assert made.is_open
    assert not made.is_heard

    say(shell, {"t": "one", "k": "hello"})

    assert one.heard == [{"t": "one", "k": "hello"}]
    assert other.heard == []
    assert made.is_heard


@pytest.mark.parametrize("content", [None, "x", [], {}, {"t": None}, {"t": []}, {"t": {}}, {"t": "gone"}, {"t": 1}])
def test_a_message_to_nobody_is_dropped_without_a_word(content: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Anyone who may run code may send anything; it does no harm and says nothing."""
    shell = Shell()
    made, page = channel(shell), Page()
    made.listen("one", page)

    say(shell, content)

    assert page.heard == []
    assert caplog.records == []


def test_a_listener_that_raises_is_logged_and_heard_again(caplog: pytest.LogCaptureFixture) -> None:
    """The kernel's control channel goes on whatever becomes of one message."""
    shell = Shell()
    made, page = channel(shell), Page()
    made.listen("one", page)

    with caplog.at_level(logging.ERROR, logger="llm_magic"):
        say(shell, {"t": "one", "k": "break"})
    say(shell, {"t": "one", "k": "hello"})

    assert [one["k"] for one in page.heard] == ["break", "hello"]
    assert [record.message for record in caplog.records] == ["a message of a page could not be heard"]


def test_a_listener_is_let_go() -> None:
    """To be listened to keeps nobody alive."""
    shell = Shell()
    made, page = channel(shell), Page()
    made.listen("one", page)

    del page
    gc.collect()
    say(shell, {"t": "one", "k": "break"})

    assert not made._listeners


def test_busy_is_said_after_the_kernel_has_said_idle(clock: Clock) -> None:
    """Not before, when it would be undone; for the cell, not for the message; and a few times more, then no more."""
    shell = Shell()
    made = channel(shell)
    sent = shell.kernel.session.sent

    async def control() -> None:
        say(shell, {"t": "one"})
        # Here the kernel publishes "idle", before its loop goes on.
        made.stay_busy()
        assert sent == []
        await asyncio.sleep(0)

    made.stay_busy()
    asyncio.run(control())
    made.stay_busy()
    made.stay_busy()
    assert sent == [("status", {"execution_state": "busy"}, "the cell's request on shell", b"status")]

    for _ in range(1000):
        clock.now += 0.01
        made.stay_busy()
    assert len(sent) == 1 + len(AGAIN_AFTER_S)


def test_busy_is_said_where_the_handler_runs_without_a_loop() -> None:
    """In a kernel that hands messages on from a plain thread."""
    shell = Shell()
    made = channel(shell)

    say(shell, {})
    made.stay_busy()

    assert len(shell.kernel.session.sent) == 1


@pytest.mark.parametrize("shell", [Shell(kernel=None), Shell(kernel=Kernel(control_handlers=None)), object()])
def test_without_a_control_channel_it_stays_closed(shell: Any) -> None:
    """Terminals and other kernels: nothing is heard and nothing is said, but by comm."""
    made, page = Channel(shell), Page()
    made.listen("one", page)

    made.stay_busy()
    made.hear({"t": "one", "k": "hello"})

    assert not made.is_open
    assert len(page.heard) == 1


def test_a_kernel_has_one_channel() -> None:
    """Whoever asks for it, so that no later one takes the messages from an earlier."""
    shell: Any = Shell()

    assert channel_of(shell) is channel_of(shell)
    assert channel_of(Shell()) is not channel_of(shell)  # type: ignore[arg-type]  # as much of a shell as it touches
