"""Child processes: the environment they may see, and the one that serves the local model.

:class:`ServerProcess` starts ``local_server.py``, hands it its settings over stdin, reads its address back
and ends it. It blocks: callers on an event loop use a thread. Nothing here speaks the protocol.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import weakref
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RequestRejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Loading a big model from a slow disk takes long; a start that takes longer than this is stuck.
START_TIMEOUT_S = 300.0
END_TIMEOUT_S = 5.0
_PASSED_ON = frozenset(
    (
        *(
            "CUDA_VISIBLE_DEVICES",
            "DYLD_LIBRARY_PATH",
            "HOME",
            "LANG",
            "LC_ALL",
            "LC_CTYPE",
            "LD_LIBRARY_PATH",
        ),
        *("PATH", "TEMP", "TMP", "TMPDIR", "TZ"),
        *("APPDATA", "COMSPEC", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "PATHEXT", "PROCESSOR_ARCHITECTURE"),
        *("PROGRAMDATA", "SYSTEMDRIVE", "SYSTEMROOT", "USERPROFILE", "WINDIR"),
    )
)
# What llama.cpp writes when it gives up, and what that means to a user; the first that fits wins.
_REASONS = (
    ("couldn't bind", "no port on 127.0.0.1 could be opened"),
    ("bad_alloc", "there is too little memory"),
    ("failed to allocate", "there is too little memory"),
    ("unable to allocate", "there is too little memory"),
    ("cannot allocate memory", "there is too little memory"),
    ("resource temporarily unavailable", "there is too little memory, or too many processes"),
    ("model is corrupted", "the file is cut off or damaged"),
    # llama.cpp's last lines may be lost when it gives up; the exception that follows is not.
    ("failed to init server", "llama.cpp cannot load it"),
)
_KILLED = 9
_live: weakref.WeakSet[ServerProcess] = weakref.WeakSet()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the server is told over stdin.

    Attributes:
        model_path: The GGUF file.
        model_name: The name it answers under.
        api_key: The key it asks for; random, made for this process.
        threads: Threads that compute. Count, >= 1.
        slots: Requests answered side by side. Count, >= 1.
        context_tokens: Context window of each slot. Count.
        chat_template: Jinja template that replaces the file's own, "" to keep that one.
        temperature: Where a request has none; None for llama.cpp's own default.
        max_tokens: Where a request has none; None for as many as fit.
        embeds: It makes vectors of texts, and answers no chat: llama.cpp does one or the other.
    """

    model_path: str
    model_name: str
    api_key: str = field(repr=False)
    threads: int
    slots: int = 2
    context_tokens: int = 8192
    chat_template: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    embeds: bool = False


def child_environment(names: Iterable[str] = (), *, prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment of a child process: an allow-list, so that no key gets there by being forgotten.

    Args:
        names: Further variables to pass on, in any case.
        prefixes: Variables that start with one of these are passed on as well.
    """
    allowed = _PASSED_ON.union(name.upper() for name in names)
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in allowed or (prefixes and name.upper().startswith(prefixes))
    }


class ServerProcess:
    """A running model server.

    Attributes:
        address: Where it listens, "http://127.0.0.1:PORT".
        pid: Its process id.
        log_path: Where its stderr goes; it removes the file itself when it ends as it should.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, address: str, log_path: Path) -> None:
        self._process = process
        self.address = address
        self.pid = process.pid
        self.log_path = log_path
        _live.add(self)

    @classmethod
    def start(cls, settings: ServerSettings, *, log_path: Path) -> ServerProcess:
        """Start the server and wait until it answers; blocks for seconds.

        Args:
            settings: What it is told.
            log_path: A file of its own, which does not exist yet.

        Raises:
            RequestRejectedError: It cannot be started, with the reason in one line.
        """
        home = _home_of_xllamacpp()
        process = _spawn(log_path)
        # A watchdog instead of a read with a timeout: pipes of Windows know none.
        watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            reply = _greet(process, {"home": home, "log": str(log_path), **asdict(settings)})
        except BaseException:
            _end(process, timeout_s=0)
            raise
        finally:
            watchdog.cancel()
        if "address" not in reply:
            _end(process, timeout_s=END_TIMEOUT_S)
            raise _start_error(settings, process.returncode, log_path)
        return cls(process, address=reply["address"], log_path=log_path)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def has_ended(self, *, timeout_s: float) -> bool:
        """Whether the process ends within a time; blocks up to that."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return not self.is_alive()

    def end(self, *, timeout_s: float = END_TIMEOUT_S) -> None:
        """End the process: by closing its stdin, and if that is not heard in time, by force."""
        _end(self._process, timeout_s=timeout_s)

    def forget(self) -> None:
        """In a forked process: let go of the pipes, so that the server still ends with its true parent."""
        self._process.returncode = 0  # not our child: never wait for it, never signal it
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _home_of_xllamacpp() -> str:
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None or spec.origin is None:
        raise RequestRejectedError(
            "The local model needs xllamacpp, which is not installed.", hint='pip install "llm-magic[local]"'
        )
    return str(Path(spec.origin).parents[1])


def _spawn(log_path: Path) -> subprocess.Popen[bytes]:
    program = Path(__file__).with_name("local_server.py")
    # Threads that busy-wait for each other bring a small machine to a crawl.
    environment = child_environment() | {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    # A session (group) of its own: the interrupt that ends an answer must not end the model.
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603  # our own program, no shell, nothing of the user in it
                [sys.executable, "-I", str(program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd=log_path.parent,
                close_fds=True,
                start_new_session=os.name == "posix",
                creationflags=flags,
                bufsize=0,
            )
        finally:
            os.close(log)
    except OSError as exc:
        raise RequestRejectedError(
            f"The local model's process cannot be started: {exc.strerror or exc}.",
            hint=f"its log goes to {log_path}; LLM_MAGIC_CACHE_DIR names another folder",
        ) from exc


def _greet(process: subprocess.Popen[bytes], settings: dict[str, Any]) -> dict[str, Any]:
    """Send the settings, read the one line that answers them; {} where the process died instead."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        reply = json.loads(process.stdout.readline() or b"{}")
    except (BrokenPipeError, ConnectionResetError, ValueError):
        return {}
    return reply if isinstance(reply, dict) else {}


def _start_error(settings: ServerSettings, code: int, log_path: Path) -> RequestRejectedError:
    text = log_path.read_text(errors="replace").lower()
    reason = next((meaning for needle, meaning in _REASONS if needle in text), "")
    if not reason:
        reason = f"its process was ended by signal {-code}" if code < 0 else f"its process ended with code {code}"
    name = Path(settings.model_path).name
    return RequestRejectedError(f"The local model {name} could not be started: {reason}.", hint=f"see {log_path}")


def _end(process: subprocess.Popen[bytes], *, timeout_s: float) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):  # a pipe whose reader is gone
        process.stdin.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _forget_servers() -> None:
    for server in list(_live):
        server.forget()
    _live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_servers)
