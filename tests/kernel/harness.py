"""A real ipykernel in a child process, driven over its own protocol.

In go code, metadata as a front end sends it, and interrupts; out come all messages, each with its size on the
wire. The kernel is this interpreter's own, started without an installed kernelspec, in an environment made
here: nothing of the user's configuration, keys or caches gets in. Every wait has an end.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import zmq
from ipykernel.kernelspec import make_ipkernel_cmd
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from nbformat import NotebookNode

Channel: TypeAlias = Literal["shell", "iopub", "stdin", "control"]
ROOT = Path(__file__).resolve().parents[2]
# All of the environment that a kernel gets from ours: where programs are, and what Windows cannot do without.
_KEPT_VARIABLES = ("PATH", "SYSTEMROOT", "COMSPEC", "PATHEXT", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")
_START_TIMEOUT_S = 120.0
_STARTS = 3
_PROBE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message from the kernel.

    Attributes:
        channel: Where it came.
        type: Its ``msg_type``.
        content: Its content.
        metadata: Its metadata.
        parent_id: Id of the request it belongs to, "" where there is none.
        size_bytes: All of its frames on the wire: topic, signature, headers, content, buffers.
        buffers: Binary frames after the content.
        at_s: When it arrived, on ``time.monotonic()``'s clock.
    """

    channel: Channel
    type: str
    content: dict[str, Any]
    metadata: dict[str, Any]
    parent_id: str
    size_bytes: int
    buffers: tuple[bytes, ...]
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one execution.

    Attributes:
        id: Id of the request.
        reply: Content of the ``execute_reply``.
        messages: Everything published for it, until it was idle, in order.
    """

    id: str
    reply: dict[str, Any]
    messages: tuple[Received, ...]

    @property
    def status(self) -> str:
        """How it ended: ``ok``, ``error`` or ``aborted``."""
        return str(self.reply["status"])

    @property
    def iopub_bytes(self) -> int:
        """All that was published for it, in bytes on the wire."""
        return sum(message.size_bytes for message in self.messages)

    @property
    def stdout(self) -> str:
        """What it printed."""
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        """What it printed to the error stream."""
        return self._stream("stderr")

    @property
    def result(self) -> dict[str, Any] | None:
        """The bundle of its ``Out``, None where it has none."""
        found = self.of_type("execute_result")
        return dict(found[0].content["data"]) if found else None

    @property
    def errors(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """Name, value and traceback lines of each error output."""
        return tuple(
            (
                str(message.content["ename"]),
                str(message.content["evalue"]),
                tuple(message.content["traceback"]),
            )
            for message in self.of_type("error")
        )

    @property
    def bundles(self) -> tuple[dict[str, Any], ...]:
        """Bundles of displays and result as a notebook would save them: updates by display id applied."""
        kept: list[dict[str, Any]] = []
        places: dict[str, list[int]] = {}
        for message in self.messages:
            display_id = (message.content.get("transient") or {}).get("display_id")
            if message.type in ("display_data", "execute_result"):
                places.setdefault(display_id or "", []).append(len(kept))
                kept.append(dict(message.content["data"]))
            elif message.type == "update_display_data":
                for place in places.get(display_id or "", []):
                    kept[place] = dict(message.content["data"])
            elif message.type == "clear_output":
                kept, places = [], {}
        return tuple(kept)

    def of_type(self, *types: str) -> tuple[Received, ...]:
        """Its messages of these types."""
        return tuple(message for message in self.messages if message.type in types)

    def checked(self) -> Outcome:
        """Itself, if all went well.

        Raises:
            AssertionError: It ended in an error or was not run; the message holds what the user saw.
        """
        assert self.status == "ok", f"{self.status}: {self.errors or self.reply}\n{self.stdout}{self.stderr}"
        return self

    def _stream(self, name: str) -> str:
        return "".join(m.content["text"] for m in self.of_type("stream") if m.content["name"] == name)


class _OwnSpecs(KernelSpecManager):
    """Knows one kernel: the one of this interpreter."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = make_ipkernel_cmd(executable=sys.executable)
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


class Kernel:
    """A kernel of one's own; use it as a context manager.

    Args:
        home: An empty folder for home, configuration, caches and working folder of the kernel.
        environ: Further environment variables, over the few it has by itself.
    """

    def __init__(self, home: Path, *, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.folder = home / "work"
        self.environ = environment(home) | dict(environ or {})
        self.messages: list[Received] = []
        self._manager: Any = None
        self._client: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Life and death

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in reversed(range(_STARTS)):
            try:
                self._start()
            except ConnectionResetError:
                # Its ports are chosen before it takes them: somebody else may have taken one meanwhile.
                if not left:
                    raise
            else:
                return

    def _start(self) -> None:
        self._manager = _manager(self.home)
        try:
            self._manager.start_kernel(env=dict(self.environ), cwd=str(self.folder))
            self._connect()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process, politely first. Doing it twice does no harm."""
        self._disconnect()
        if self._manager is not None:
            manager, self._manager = self._manager, None
            manager.shutdown_kernel(now=not manager.is_alive())

    def interrupt(self) -> None:
        """Interrupt the kernel as a front end's Stop does."""
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        """Restart as a front end does, and wait until it answers; former messages are forgotten."""
        self._disconnect()
        self._manager.restart_kernel()
        self._connect()

    def kill(self) -> None:
        """End the process as ``kill -9`` does."""
        self._manager.signal_kernel(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Id of the kernel's process."""
        return int(self._manager.provisioner.pid)

    # Running code

    def run(
        self,
        code: str,
        *,
        cell_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        allow_stdin: bool = False,
        timeout_s: float = 120.0,
    ) -> Outcome:
        """Execute code and wait until it is done. An error is an outcome too: see ``Outcome.checked``."""
        return self.finish(
            self.submit(code, cell_id=cell_id, metadata=metadata, allow_stdin=allow_stdin),
            timeout_s=timeout_s,
        )

    def submit(
        self,
        code: str,
        *,
        cell_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        allow_stdin: bool = False,
    ) -> str:
        """Send code to be executed and return the request's id at once.

        Args:
            code: The cell's text.
            cell_id: As JupyterLab sends it, in the metadata.
            metadata: Further metadata of the request.
            allow_stdin: Whether the kernel may ask for input: notebook front ends let it, nbclient does not.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": True,
        }
        extra = ({"cellId": cell_id} if cell_id is not None else {}) | dict(metadata or {})
        return self.send("execute_request", content, metadata=extra)

    def replay(self, request: Mapping[str, Any], *, timeout_s: float = 120.0) -> Outcome:
        """Execute what a front end sent, with its own header, metadata and content."""
        sent = self.send("execute_request", request["content"], metadata=request["metadata"], header=request["header"])
        return self.finish(sent, timeout_s=timeout_s)

    def finish(self, request_id: str, *, timeout_s: float = 120.0) -> Outcome:
        """Wait until an execution has replied and is idle.

        Raises:
            TimeoutError: It has not, in time; the message holds what it published.
        """
        idle = self.wait_for(
            lambda m: m.type == "status" and m.content["execution_state"] == "idle",
            parent_id=request_id,
            timeout_s=timeout_s,
        )
        reply = self.wait_for(lambda m: m.type == "execute_reply", parent_id=request_id, timeout_s=timeout_s)
        published = [m for m in self.published(request_id) if m.at_s <= idle.at_s]
        return Outcome(id=request_id, reply=reply.content, messages=tuple(published))

    def value(self, expression: str) -> Any:
        """The value of an expression in the kernel, for literals (numbers, text, lists, dicts, None …)."""
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": {"value": expression},
            "allow_stdin": False,
        }
        result = self.ask("execute_request", content)["user_expressions"]["value"]
        assert result["status"] == "ok", result
        return ast.literal_eval(result["data"]["text/plain"])

    def complete(self, code: str, cursor: int | None = None) -> list[str]:
        """What Tab offers at a place in the code (default: its end), as texts that replace what is typed."""
        place = len(code) if cursor is None else cursor
        return list(self.ask("complete_request", {"code": code, "cursor_pos": place})["matches"])

    # Messages

    def published(self, request_id: str) -> list[Received]:
        """What has been published for a request, until now."""
        return [m for m in self.messages if m.channel == "iopub" and m.parent_id == request_id]

    def wait_for(
        self, condition: Callable[[Received], bool], *, parent_id: str | None = None, timeout_s: float = 60.0
    ) -> Received:
        """The first message, of those that have come or will, that fulfils a condition.

        Args:
            condition: What it must fulfil.
            parent_id: Only messages of this request count; None takes all.
            timeout_s: How long to wait, in seconds.

        Raises:
            TimeoutError: None came.
        """
        deadline = time.monotonic() + timeout_s
        seen = 0
        while True:
            for message in self.messages[seen:]:
                seen += 1
                if parent_id in (None, message.parent_id) and condition(message):
                    return message
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"nothing of that kind within {timeout_s} s; {self._tail(parent_id)}")
            self._receive(min(left_s, _PROBE_S))

    def answer(self, text: str) -> None:
        """Answer an ``input_request``."""
        self._client.input(text)

    def ask(
        self,
        msg_type: str,
        content: Mapping[str, Any],
        *,
        channel: Channel = "shell",
        timeout_s: float = 60.0,
    ) -> dict[str, Any]:
        """Send a request of any type and wait for its reply's content."""
        request_id = self.send(msg_type, content, channel=channel)
        return self.wait_for(lambda m: m.channel == channel, parent_id=request_id, timeout_s=timeout_s).content

    def send(
        self,
        msg_type: str,
        content: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        channel: Channel = "shell",
        buffers: Sequence[bytes] = (),
    ) -> str:
        """Send a message of any type, a comm message for example, and return its id.

        Args:
            msg_type: Its type.
            content: Its content.
            metadata: Its metadata.
            header: Fields of its header; those that make it this very message are not taken.
            channel: Where it goes.
            buffers: Binary frames after the content.
        """
        message = self._client.session.msg(msg_type, dict(content), metadata=dict(metadata or {}))
        own = ("msg_id", "msg_type", "date")
        message["header"].update({name: value for name, value in (header or {}).items() if name not in own})
        message["buffers"] = list(buffers)
        getattr(self._client, f"{channel}_channel").send(message)
        return str(message["header"]["msg_id"])

    def _connect(self) -> None:
        # A client without the heartbeat: a dead process is noticed by its exit.
        self._client = self._manager.client()
        self._client.start_channels(hb=False)
        self.messages.clear()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            request_id = self.send("kernel_info_request", {})
            if self._hears(request_id):
                self.messages.clear()
                return
        raise TimeoutError(f"the kernel did not answer within {_START_TIMEOUT_S} s")

    def _hears(self, request_id: str) -> bool:
        # What is published before the subscription arrives is lost: ready is who hears a request on both.
        try:
            for channel in ("shell", "iopub"):
                self.wait_for(lambda m, c=channel: m.channel == c, parent_id=request_id, timeout_s=_PROBE_S)  # type: ignore[misc]  # c has a default
        except TimeoutError:
            return False
        return True

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
            self._client = None

    def _receive(self, timeout_s: float) -> None:
        """Take in what has arrived; wait for the first message if there is none."""
        poller = zmq.Poller()
        sockets: dict[Any, Channel] = {}
        for channel in ("iopub", "shell", "stdin", "control"):
            socket = getattr(self._client, f"{channel}_channel").socket
            sockets[socket] = channel
            poller.register(socket, zmq.POLLIN)
        ready = poller.poll(int(timeout_s * 1000) + 1)
        if not ready and not self._manager.is_alive():
            raise ConnectionResetError(f"the kernel has died; {self._tail(None)}")
        for socket, _ in ready:
            while socket.poll(0):
                self.messages.append(self._decode(socket.recv_multipart(), sockets[socket]))

    def _decode(self, frames: list[bytes], channel: Channel) -> Received:
        session = self._client.session
        _, signed = session.feed_identities(frames)
        message = session.deserialize(signed)
        return Received(
            channel=channel,
            type=message["header"]["msg_type"],
            content=message["content"],
            metadata=message["metadata"],
            parent_id=message["parent_header"].get("msg_id", ""),
            size_bytes=sum(len(frame) for frame in frames),
            buffers=tuple(bytes(buffer) for buffer in message["buffers"]),
            at_s=time.monotonic(),
        )

    def _tail(self, parent_id: str | None) -> str:
        came: Iterable[Received] = (m for m in self.messages if parent_id in (None, m.parent_id))
        return "last came " + "; ".join(f"{m.type} {str(m.content)[:300]}" for m in list(came)[-8:])


def run_notebook(
    notebook: NotebookNode, home: Path, *, environ: Mapping[str, str] | None = None, timeout_s: float = 160.0
) -> NotebookNode:
    """Run a notebook with the real nbclient, in an environment made as for :class:`Kernel`, and return it.

    Raises:
        CellExecutionError: A cell ended in an error; the notebook holds the outputs until then.
    """
    (home / "work").mkdir(parents=True, exist_ok=True)
    manager = _manager(home)
    client = NotebookClient(notebook, km=manager, timeout=timeout_s)
    try:
        return client.execute(env=environment(home) | dict(environ or {}), cwd=str(home / "work"))
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)


def _manager(home: Path) -> KernelManager:
    return KernelManager(kernel_spec_manager=_OwnSpecs(), connection_file=str(home / "connection.json"))


def environment(home: Path) -> dict[str, str]:
    """The whole environment of a kernel: folders below ``home``, and what is kept of ours."""
    folders = {
        "HOME": "",
        "USERPROFILE": "",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "jupyter",
        "JUPYTER_DATA_DIR": "jupyter-data",
        "JUPYTER_RUNTIME_DIR": "jupyter-runtime",
        "LLM_MAGIC_CACHE_DIR": "cache",
        "MPLCONFIGDIR": "matplotlib",
        "XDG_CACHE_HOME": "xdg-cache",
        "XDG_CONFIG_HOME": "xdg-config",
        "XDG_DATA_HOME": "xdg-data",
    }
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    # The working tree is what is tested, whether it is installed or not.
    return kept | {name: str(home / part) for name, part in folders.items()} | {"PYTHONPATH": str(ROOT)}
