"""The model on this machine: an OpenAI backend whose server is a child process of ours.

In: requests, as for every backend. Out: events. The process is started by the first request, kept for the
next ones, and started again once where it died. Fetching the weights is not done here (``weights.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from .. import providers
from ..config import Config
from ..content import TextPart
from ..errors import BackendError, ConfigurationError, RequestRejectedError, StreamInterruptedError, did_you_mean
from ..events import Notice
from . import configuration, weights
from .base import BackendInfo
from .child import ServerProcess, ServerSettings
from .local_tools import CallReader, has_tools, in_words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ..events import Event
    from .base import Request
    from .connection import Call, Revise
    from .openai import OpenAIBackend
    from .posting import Posted

# What there is beside chat; vectors come from a process of their own.
_EMBEDDINGS = "/embeddings"
_PATHS = frozenset(("/completions", _EMBEDDINGS))
_ARGUMENTS = ("model_path", "threads", "context_tokens")
Purpose: TypeAlias = Literal["chat", "embed"]
_LOG_DAYS = 7
_LOG_NAME = re.compile(r"local-(\d+)(-[0-9a-f]+)?\.log")
# After a connection broke: how long its process may take to be gone, which tells a death from a mere fault.
_DEATH_WAIT_S = 3.0
# The file's own template, but for the sentence it begins with where no system message is given: with the
# original one the model does not know the capital of France.
_SMOLLM2_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# With any warmth it knows every second capital, and sometimes repeats itself without an end.
_SMOLLM2_SETTINGS: Mapping[str, Any] = {
    "chat_template": _SMOLLM2_TEMPLATE,
    "temperature": 0.0,
    "max_tokens": 1024,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A server, its key, and the client that speaks to it."""

    server: ServerProcess
    api_key: str = field(repr=False)
    client: OpenAIBackend = field(repr=False)


class LocalBackend:
    """A small model on the CPU of this machine, behind the same protocol as every other.

    Args:
        model_path: A GGUF file; None for the setting ``local_model``, and without it the downloaded weights.
        threads: Threads that compute, None for half the processors, four at most.
        context_tokens: Context window of a request. Count.
    """

    name = "local"

    def __init__(
        self,
        *,
        model_path: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        context_tokens: int = 8192,
    ) -> None:
        self._model_path = model_path
        # More than half compete with the kernel for the processor, and are slower even alone.
        self._threads = threads or max(1, min(4, (os.cpu_count() or 1) // 2))
        self._context_tokens = context_tokens
        self._servers: dict[Purpose, _Running] = {}
        self._lock = threading.Lock()
        self._process_id = os.getpid()

    def to_config(self) -> dict[str, Any]:
        """What it is made with, as data; see ``OpenAIBackend.to_config``."""
        given = {"model_path": self._model_path and str(self._model_path), "threads": self._threads}
        arguments = {**given, "context_tokens": self._context_tokens}
        return configuration.written(self.name, {key: value for key, value in arguments.items() if value is not None})

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | str | os.PathLike[str]) -> Self:
        """The backend that :meth:`to_config` wrote down.

        Raises:
            ConfigurationError: It is another provider's, or an argument does not fit.
        """
        arguments = configuration.own(config, cls.name)
        for name in arguments:
            if name not in _ARGUMENTS:
                raise ConfigurationError(f"LocalBackend has no argument {name!r}.", hint=did_you_mean(name, _ARGUMENTS))
        return cls(**arguments)

    def __repr__(self) -> str:
        return f"LocalBackend(model={self.model!r}, is_running={self.is_running})"

    @property
    def model(self) -> str:
        """The name of the model it serves."""
        file = self._file()
        return weights.SMOLLM2.model if weights.is_copy(file) or file == weights.path() else file.stem.lower()

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        self._notice_fork()
        return self._running is not None and self._running.server.is_alive()

    @property
    def _running(self) -> _Running | None:
        return self._servers.get("chat")

    def info(self) -> BackendInfo:
        """What is true of the backend as a whole; starts nothing."""
        address = self._running.server.address if self.is_running and self._running else "http://127.0.0.1"
        return BackendInfo(name=self.name, is_local=True, base_url=f"{address}/v1", continues="prefix")

    async def models(self) -> list[Mapping[str, Any]]:
        """The one model it serves; starts nothing."""
        return [{"id": self.model, "object": "model", "owned_by": "local"}]

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Send a request and yield what comes back; see ``Backend.stream``.

        A process that died is started again once, and a :class:`Notice` says so.

        Raises:
            RequestRejectedError: The model is not here, does not start, or died twice; or a part is not text.
            StreamInterruptedError: The process died in the middle of the answer.
        """
        _refuse_media(request)
        reader: CallReader | None = None
        if weights.is_copy(self._file()) and has_tools(request):
            reader, request = CallReader(request), in_words(request)
        request = replace(request, max_retries=0)  # a server on this machine is there or it is not
        may_restart = True
        while True:
            running, retired = await asyncio.to_thread(self._ready)
            if retired is not None:
                may_restart = False
                await retired.client.aclose()
                log = retired.server.log_path
                yield Notice(text=f"The local model had stopped and was started again (log: {log}).")
            is_open = False
            try:
                async with contextlib.aclosing(running.client.stream(request)) as events:
                    async for event in events:
                        is_open = True
                        for one in (event,) if reader is None else reader.read(event):
                            yield one
            except BackendError as exc:
                if exc.status_code is not None or not await _has_died(running):
                    raise
                if is_open or not may_restart:
                    raise _death(running.server.log_path, is_open=is_open) from exc
                may_restart = False
            else:
                return

    def has_path(self, path: str) -> bool:
        """It knows of an endpoint at that path: beside chat it completes text, and makes vectors of texts."""
        return path in _PATHS

    async def post(self, call: Call, *, revise: Revise | None = None) -> Posted:
        """Send a request to an endpoint and read its reply; see ``posting.Posting``."""
        running, retired = await asyncio.to_thread(self._ready, "embed" if call.path == _EMBEDDINGS else "chat")
        if retired is not None:
            await retired.client.aclose()
        return await running.client.post(replace(call, max_retries=0), revise=revise)

    async def aclose(self) -> None:
        """End its processes; the next request starts a new one."""
        self._notice_fork()
        servers, self._servers = self._servers, {}
        for running in servers.values():
            await running.client.aclose()
            await _ended(running.server)

    def _ready(self, purpose: Purpose = "chat") -> tuple[_Running, _Running | None]:
        """The running server, started where needed, and the dead one it replaces; a start blocks."""
        self._notice_fork()
        with self._lock:
            retired = self._servers.pop(purpose, None)
            if retired is not None and retired.server.is_alive():
                self._servers[purpose] = retired
                return retired, None
            if retired is not None:
                retired.server.end()
            self._servers[purpose] = self._start(purpose)
            return self._servers[purpose], retired

    def _start(self, purpose: Purpose) -> _Running:
        from .openai import OpenAIBackend

        file = self._checked_file()
        settings = ServerSettings(
            model_path=str(file),
            model_name=self.model,
            api_key=secrets.token_urlsafe(32),
            threads=self._threads,
            context_tokens=self._context_tokens,
            embeds=purpose == "embed",
            **(_SMOLLM2_SETTINGS if weights.is_copy(file) else {}),
        )
        _remove_old_logs()
        server = ServerProcess.start(settings, log_path=_new_log_path())
        client = OpenAIBackend(
            base_url=f"{server.address}/v1",
            api_key=settings.api_key,
            name=self.name,
            profile=providers.named("llamacpp"),
            # The server drops idle connections after some seconds: one that was kept may be gone when used.
            headers={"Connection": "close"},
        )
        return _Running(server=server, api_key=settings.api_key, client=client)

    def _file(self) -> Path:
        chosen = self._model_path or Config().get("local_model")
        return Path(chosen).expanduser().absolute() if chosen else weights.path()

    def _checked_file(self) -> Path:
        file = self._file()
        if not file.is_file():
            if file == weights.path():
                raise RequestRejectedError(
                    "The local model is not on this machine.",
                    hint="%chat local download (or: llm-magic download) gets it once, 98 MB",
                )
            raise RequestRejectedError(f"No file {file} for the local model.", hint="give the path of a GGUF file")
        try:
            with file.open("rb") as opened:
                is_gguf = opened.read(4) == b"GGUF"
        except OSError as exc:
            raise RequestRejectedError(f"{file} cannot be read: {exc.strerror}.") from exc
        if not is_gguf:
            raise RequestRejectedError(f"{file} is not a GGUF file.", hint="the local model is a file in GGUF format")
        return file

    def _notice_fork(self) -> None:
        """A forked process has no server yet: the one it knows of belongs to its parent."""
        if self._process_id != os.getpid():
            self._process_id, self._lock, self._servers = os.getpid(), threading.Lock(), {}


def _refuse_media(request: Request) -> None:
    for message in request.messages:
        for part in message.parts:
            if not isinstance(part, TextPart):
                raise RequestRejectedError(
                    f"The local model reads text only, and there is {part.label} in the conversation.",
                    hint="%chat new starts without it; a key or base URL brings a model that takes it",
                )


async def _ended(server: ServerProcess) -> None:
    """End a process without keeping the loop waiting; where this process ends too, there are no threads for that."""
    try:
        await asyncio.to_thread(server.end)
    except RuntimeError:
        server.end()


async def _has_died(running: _Running) -> bool:
    return await asyncio.to_thread(running.server.has_ended, timeout_s=_DEATH_WAIT_S)


def _death(log_path: Path, *, is_open: bool) -> BackendError:
    if is_open:
        return StreamInterruptedError(
            "The local model stopped in the middle of its answer.",
            hint=f"ask again; its log is {log_path}",
        )
    return RequestRejectedError(
        "The local model stopped twice before it answered.", hint=f"its log {log_path} may say why"
    )


def _new_log_path() -> Path:
    # In a container every kernel may have the same process id.
    return weights.cache_dir() / f"local-{os.getpid()}-{secrets.token_hex(4)}.log"


def _remove_old_logs() -> None:
    """Remove what processes have left that are no more, or that are very old."""
    oldest = time.time() - _LOG_DAYS * 24 * 3600
    for log in weights.cache_dir().glob("local-*.log"):
        with contextlib.suppress(OSError):  # another kernel removes them too
            if _is_orphan(log) or log.stat().st_mtime < oldest:
                log.unlink()


def _is_orphan(log: Path) -> bool:
    """The process that is named in it does not exist. Unknown on Windows, where asking would end it."""
    named = _LOG_NAME.fullmatch(log.name)
    if named is None or os.name == "nt":
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # another user's; not a process
        return False
    return False
