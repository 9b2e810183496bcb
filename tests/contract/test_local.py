"""The local backend on the real model: its answers, its faults, and the life and death of its process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm_magic.api import Conversation
from llm_magic.backends import weights
from llm_magic.backends.base import Backend, Request
from llm_magic.backends.local import LocalBackend
from llm_magic.config import Config
from llm_magic.content import ImagePart, Message, TextPart, message
from llm_magic.errors import BackendError, ContextLengthError, RequestRejectedError, StreamInterruptedError
from llm_magic.events import Completed, Notice, TextDelta, UsageReport
from llm_magic.session import Session
from llm_magic.testing import check_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_magic.events import Event

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("local_weights")]
posix = pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
ROOT = Path(__file__).resolve().parents[2]
PARIS = "The capital of France is Paris."
# Starts the model and says where it runs; then does as the test says.
PARENT = """
import asyncio, os, sys
from llm_magic.backends.base import Request
from llm_magic.backends.local import LocalBackend
from llm_magic.content import message

async def main():
    async for event in backend.stream(Request(model="m", messages=(message("user", "Hi"),))):
        pass

backend = LocalBackend()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for the module, as the engine has one for a kernel."""
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def module_cache(local_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of this module's own, with the weights in it; what dies here leaves no log in the user's."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / local_weights.name).symlink_to(local_weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_MAGIC_CACHE_DIR", str(folder))
        yield


@pytest.fixture
def cache(local_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own, with the weights in it; child processes use it too."""
    (tmp_path / local_weights.name).symlink_to(local_weights)
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def backend(runner: asyncio.Runner, local_weights: Path) -> Iterator[LocalBackend]:
    """A backend on the downloaded weights; its process starts with the first request."""
    opened = LocalBackend()
    yield opened
    runner.run(opened.aclose())


def ask(prompt: str = "What is the capital of France?", *, system: str | None = None, **params: object) -> Request:
    """A request with one question."""
    head = (message("system", system),) if system is not None else ()
    return Request(model="smollm2-135m-instruct", messages=(*head, message("user", prompt)), params=params)


async def collect(backend: LocalBackend, request: Request) -> list[Event]:
    """All events of a stream."""
    return [event async for event in backend.stream(request)]


def text_of(events: list[Event]) -> str:
    """The answer's text."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def pid_of(backend: LocalBackend) -> int:
    """Id of the backend's process."""
    assert backend._running is not None
    return backend._running.server.pid


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def children() -> set[int]:
    """Ids of the processes this one has started."""
    lists = (task / "children" for task in Path("/proc/self/task").iterdir())
    return {int(pid) for item in lists if item.exists() for pid in item.read_text().split()}


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    """Wait for a condition, with an end."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.01)  # between looks at another process, which sends no signal


# Answers


def test_is_a_backend(backend: LocalBackend) -> None:
    """It has all that the protocol asks for, and says that nothing leaves this machine."""
    assert isinstance(backend, Backend)
    assert backend.info().is_local
    assert backend.info().base_url.startswith("http://127.0.0.1")


def test_keeps_the_promises_of_a_backend(runner: asyncio.Runner) -> None:
    """The acceptance test of all backends, on the real model."""
    runner.run(check_backend(LocalBackend, model="smollm2-135m-instruct"))


@pytest.mark.parametrize("system", ["You are a helpful assistant.", None])
def test_knows_the_capital_of_france(backend: LocalBackend, runner: asyncio.Runner, system: str | None) -> None:
    """The default question has the right answer, always the same one, with usage and a proper end."""
    events = runner.run(collect(backend, ask(system=system)))

    assert text_of(events) == PARIS
    (report,) = [event for event in events if isinstance(event, UsageReport)]
    assert report.usage.input_tokens > 10
    assert report.usage.output_tokens == 8
    assert events[-1] == Completed(finish_reason="stop", model="smollm2-135m-instruct")


def test_system_prompt_is_heard(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """A code given in the system prompt is in the answer."""
    request = ask("What is the secret code?", system="You are a helpful assistant. The secret code is 7431.")

    assert "7431" in text_of(runner.run(collect(backend, request)))


def test_max_tokens_ends_an_answer(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """A cap is kept and reported."""
    events = runner.run(collect(backend, ask("Tell me a long story.", max_tokens=5)))

    assert isinstance(events[-1], Completed)
    assert events[-1].finish_reason == "length"


def test_answers_side_by_side_from_one_process(runner: asyncio.Runner) -> None:
    """Requests that start together share one process, and each gets its own answer."""

    async def both() -> tuple[list[list[Event]], int]:
        backend = LocalBackend()
        try:
            answers = await asyncio.gather(*(collect(backend, ask()) for _ in range(2)))
            return answers, pid_of(backend)
        finally:
            await backend.aclose()

    answers, pid = runner.run(both())

    assert [text_of(events) for events in answers] == [PARIS, PARIS]
    assert is_gone(pid)


def test_models_lists_the_one_model(runner: asyncio.Runner) -> None:
    """The list is there without a process."""
    backend = LocalBackend()

    assert [model["id"] for model in runner.run(backend.models())] == ["smollm2-135m-instruct"]
    assert not backend.is_running


def test_a_model_of_ones_own(
    local_weights: Path, tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``LLM_MAGIC_LOCAL_MODEL`` names any GGUF file."""
    (tmp_path / "mine.gguf").symlink_to(local_weights)
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("LLM_MAGIC_LOCAL_MODEL", str(tmp_path / "mine.gguf"))

    async def answer() -> str:
        backend = LocalBackend()
        try:
            return text_of(await collect(backend, ask()))
        finally:
            await backend.aclose()

    assert runner.run(answer()) == PARIS


def test_a_proxy_is_not_asked(backend: LocalBackend, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is for other machines."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fresh = LocalBackend()

    async def answer() -> str:
        try:
            return text_of(await collect(fresh, ask()))
        finally:
            await fresh.aclose()

    assert runner.run(answer()) == PARIS


# Faults


def test_context_overflow(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """A prompt longer than the window is told as that, and the next ask works."""
    with pytest.raises(ContextLengthError):
        runner.run(collect(backend, ask("word " * 9000)))

    assert text_of(runner.run(collect(backend, ask()))) == PARIS


def test_pictures_are_refused_before_anything_starts(runner: asyncio.Runner) -> None:
    """A picture is refused in one line, without a process or a request."""
    backend = LocalBackend()
    picture = ImagePart(data=b"x", media_type="image/png", width=4, height=3)
    request = Request(model="m", messages=(Message(role="user", parts=(TextPart(text="What?"), picture)),))

    with pytest.raises(RequestRejectedError, match="text only") as caught:
        runner.run(collect(backend, request))

    assert "\n" not in str(caught.value)
    assert not backend.is_running


def test_missing_weights_name_the_way_to_get_them(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without weights: one line with the command, and nothing is downloaded."""
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path))

    with pytest.raises(RequestRejectedError) as caught:
        runner.run(collect(LocalBackend(), ask()))

    assert caught.value.message == "The local model is not on this machine."
    assert caught.value.hint == "%chat local download (or: llm-magic download) gets it once, 98 MB"
    assert list(tmp_path.iterdir()) == []


def test_missing_package_names_the_extra(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without xllamacpp: one line with the extra to install."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(RequestRejectedError, match="not installed") as caught:
        runner.run(collect(LocalBackend(), ask()))

    assert caught.value.hint == 'pip install "llm-magic[local]"'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No file"),
        (b"PK", "is not a GGUF file"),
        (b"GGUF and then nothing of use", "llama.cpp cannot load it"),
        (b"cut", "the file is cut off or damaged|llama.cpp cannot load it"),
    ],
)
def test_a_bad_file_is_one_line(
    local_weights: Path, tmp_path: Path, runner: asyncio.Runner, content: bytes | None, message: str
) -> None:
    """No file, another format, garbage, a file that was cut: each is one line, and no process is left."""
    file = tmp_path / "bad.gguf"
    if content == b"cut":
        with local_weights.open("rb") as whole:
            content = whole.read(3_000_000)
    if content is not None:
        file.write_bytes(content)
    backend = LocalBackend(model_path=file)

    with pytest.raises(RequestRejectedError, match=message) as caught:
        runner.run(collect(backend, ask()))

    assert "\n" not in str(caught.value)
    assert not backend.is_running


@linux
def test_too_little_memory_is_one_line(runner: asyncio.Runner) -> None:
    """A process that gets no memory for the model is told in one line as that."""
    import resource  # there is none on Windows

    async def squeeze() -> BackendError:
        before = children()
        asked = asyncio.create_task(collect(LocalBackend(), ask()))
        while not asked.done():
            for pid in children() - before:
                resource.prlimit(pid, resource.RLIMIT_AS, (250 << 20, 250 << 20))
                before.add(pid)
            await asyncio.sleep(0.001)
        failure = asked.exception()
        assert isinstance(failure, BackendError)
        return failure

    failure = runner.run(squeeze())

    assert isinstance(failure, RequestRejectedError)
    assert "too little memory" in str(failure)
    assert "\n" not in str(failure)


def test_a_log_that_cannot_be_written_is_one_line(
    local_weights: Path, tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache folder that cannot be made is named."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path / "file" / "cache"))

    with pytest.raises(RequestRejectedError, match="cannot be started") as caught:
        runner.run(collect(LocalBackend(model_path=local_weights), ask()))

    assert "LLM_MAGIC_CACHE_DIR" in str(caught.value)


# Going on with a partial answer


def test_it_goes_on_from_a_beginning(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """Cut after any of its tokens and gone on with, an answer is the one it gives at once: its warmth is 0."""
    question = ask("Tell me about the sea in three sentences.", max_tokens=60)

    async def cut_everywhere() -> tuple[int, dict[str, str]]:
        pieces = [event.text for event in await collect(backend, question) if isinstance(event, TextDelta)]
        whole, others = "".join(pieces), {}
        for count in range(1, len(pieces)):
            beginning = "".join(pieces[:count]).rstrip()
            messages = (*question.messages, message("assistant", beginning))
            rest = text_of(await collect(backend, replace(question, messages=messages)))
            if not (beginning + rest).startswith(whole):
                others[beginning] = rest
        return len(pieces), others

    count, others = runner.run(cut_everywhere())

    assert backend.info().continues == "prefix"
    assert count > 20
    # The last bit of a probability depends on what is reckoned together: a close race may end otherwise.
    assert len(others) <= 2, others


def test_an_answer_cut_at_the_limit_becomes_whole(local_weights: Path) -> None:
    """What ended for want of tokens goes on to its end, for the tokens of the rest."""
    backend = LocalBackend(model_path=local_weights)
    session = Session(config=Config(environ={}), conversation_type=Conversation)
    chat = Conversation(backend=backend, model=backend.model, session=session)
    cut = chat.ask("What is the capital of France?", max_tokens=3)

    whole = chat.go_on(max_tokens=50)
    session.run(backend.aclose())

    assert (cut.finish_reason, whole.finish_reason) == ("length", "stop")
    assert len(cut.text) < len(whole.text)
    assert whole.text == PARIS
    assert whole.usage.output_tokens < 10


# Life and death of the process


def test_closing_a_stream_frees_its_slot(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """The server stops working on an answer as soon as nobody reads it."""

    async def read_a_little() -> None:
        # A minute's worth and more: it cannot be idle because it is done.
        stream = backend.stream(ask("Tell me a very long story.", max_tokens=8000))
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        await stream.aclose()

    def is_idle() -> bool:
        assert backend._running is not None
        headers = {"Authorization": f"Bearer {backend._running.api_key}"}
        asked = urllib.request.Request(f"{backend._running.server.address}/slots", headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10) as reply:
            return not any(slot["is_processing"] for slot in json.load(reply))

    runner.run(read_a_little())

    wait_until(is_idle)


def test_asks_in_quick_succession_all_answer(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """The server closes connections when it likes; an ask never meets one that is already gone."""

    async def many() -> list[Event]:
        return [(await collect(backend, ask(max_tokens=1)))[-1] for _ in range(30)]

    assert all(isinstance(event, Completed) for event in runner.run(many()))


def test_process_needs_the_key(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """Another program of this machine cannot ask it."""
    runner.run(collect(backend, ask()))
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
    asked = urllib.request.Request(f"{backend.info().base_url}/chat/completions", data=body)

    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=10)
    caught.value.close()


@linux
def test_process_sees_no_key_of_ours(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, ours or its own, is in its environment, command line or log, and no prompt in the log."""
    for name in ("OPENAI_API_KEY", "LLM_MAGIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "SOME_TOKEN"):
        monkeypatch.setenv(name, "canary-value")

    async def look() -> tuple[bytes, bytes, str, bytes, int]:
        backend = LocalBackend()
        try:
            await collect(backend, ask("canary-prompt", max_tokens=5))
            assert backend._running is not None
            server, key = backend._running.server, backend._running.api_key
            process = Path(f"/proc/{server.pid}")
            seen = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
            assert key not in repr(backend) + repr(server) + repr(backend._running)
            log = server.log_path
            return *seen, key, log.read_bytes(), log.stat().st_mode
        finally:
            await backend.aclose()

    environment, command, key, log, mode = runner.run(look())

    assert b"PATH=" in environment
    assert b"OMP_WAIT_POLICY=PASSIVE" in environment
    assert b"canary" not in environment + command + log
    assert key.encode() not in environment + command + log
    assert mode & 0o777 == 0o600


@posix
def test_interrupt_leaves_it_alive(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """It is in a session of its own, and an interrupt that reaches it all the same does nothing."""
    runner.run(collect(backend, ask()))
    pid = pid_of(backend)

    os.kill(pid, signal.SIGINT)

    assert os.getsid(pid) != os.getsid(0)
    assert text_of(runner.run(collect(backend, ask()))) == PARIS
    assert pid_of(backend) == pid


@posix
def test_is_started_again_after_a_death_between_asks(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """The next ask says so and answers."""
    runner.run(collect(backend, ask()))
    os.kill(pid_of(backend), signal.SIGKILL)
    wait_until(lambda: not backend.is_running)

    events = runner.run(collect(backend, ask()))

    assert isinstance(events[0], Notice)
    assert "started again" in events[0].text
    assert text_of(events) == PARIS
    assert not any(isinstance(event, Notice) for event in runner.run(collect(backend, ask())))


@posix
def test_is_started_again_after_a_death_before_the_first_byte(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """A death while the prompt is read costs a notice and some seconds, not the answer."""
    runner.run(collect(backend, ask()))
    pid = pid_of(backend)

    async def kill_while_waiting() -> list[Event]:
        os.kill(pid, signal.SIGSTOP)  # it cannot answer, and the request waits
        asked = asyncio.create_task(collect(backend, ask()))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        return await asked

    events = runner.run(kill_while_waiting())

    assert [type(event) for event in events].count(Notice) == 1
    assert text_of(events) == PARIS


@posix
def test_dying_twice_is_one_line(runner: asyncio.Runner) -> None:
    """A process that dies again at once is not started for ever: one line that names the log."""

    async def kill_each() -> tuple[BackendError, int]:
        backend, killed = LocalBackend(), set[int]()
        asked = asyncio.create_task(collect(backend, ask("word " * 7000)))
        while not asked.done():
            if backend.is_running and pid_of(backend) not in killed:
                killed.add(pid_of(backend))
                os.kill(pid_of(backend), signal.SIGKILL)
            await asyncio.sleep(0.001)
        await backend.aclose()
        failure = asked.exception()
        assert isinstance(failure, BackendError)
        return failure, len(killed)

    failure, deaths = runner.run(kill_each())

    assert isinstance(failure, RequestRejectedError)
    assert deaths == 2
    assert "stopped twice" in str(failure)
    assert ".log" in str(failure)


@posix
def test_a_death_in_the_middle_breaks_the_stream(backend: LocalBackend, runner: asyncio.Runner) -> None:
    """What had arrived stays, the stream breaks in one line, and the next ask starts the model again."""
    came: list[Event] = []

    async def kill_in_the_middle() -> None:
        async for event in backend.stream(ask("Tell me a very long story.", max_tokens=1000)):
            came.append(event)
            if isinstance(event, TextDelta):
                os.kill(pid_of(backend), signal.SIGKILL)

    with pytest.raises(StreamInterruptedError, match="in the middle") as caught:
        runner.run(kill_in_the_middle())

    assert text_of(came)
    assert ".log" in str(caught.value)
    assert text_of(runner.run(collect(backend, ask()))) == PARIS


def test_aclose_ends_it_and_the_next_ask_starts_it(runner: asyncio.Runner) -> None:
    """Closing leaves no process; asking again needs no new backend, and is no news."""
    backend = LocalBackend()

    async def twice() -> list[int]:
        pids = []
        for _ in range(2):
            events = await collect(backend, ask())
            assert not any(isinstance(event, Notice) for event in events)
            pids.append(pid_of(backend))
            await backend.aclose()
        return pids

    first, second = runner.run(twice())

    assert first != second
    assert is_gone(first)
    assert is_gone(second)
    assert not backend.is_running


@posix
def test_logs_go_with_what_wrote_them(cache: Path, runner: asyncio.Runner) -> None:
    """The log of a process that ended as it should is removed, that of one that died is kept for the user."""
    backend = LocalBackend()

    async def die_and_end() -> tuple[Path, Path]:
        logs = []
        for _ in range(2):
            await collect(backend, ask(max_tokens=1))
            assert backend._running is not None
            logs.append(backend._running.server.log_path)
            assert logs[-1].exists()
            if len(logs) == 1:
                os.kill(pid_of(backend), signal.SIGKILL)
                assert backend._running.server.has_ended(timeout_s=20)
        await backend.aclose()
        return logs[0], logs[1]

    died, ended = runner.run(die_and_end())

    assert died.exists()
    assert not ended.exists()
    assert set(cache.glob("local-*")) == {died}


@posix
def test_a_start_clears_what_processes_have_left_that_are_no_more(cache: Path, runner: asyncio.Runner) -> None:
    """Logs of living processes stay, and so does what is no log of ours; a log that is a week old goes."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    kept = {cache / name for name in (f"local-{os.getpid()}-0a1b.log", "local-1.log", "local-x.log", "other-1.log")}
    old = cache / f"local-{os.getpid()}.log"
    left = {cache / f"local-{gone.pid}.log", cache / f"local-{gone.pid}-0a1b.log", old}
    for log in kept | left:
        log.touch()
    os.utime(old, (0, 0))
    backend = LocalBackend()

    async def start_and_end() -> None:
        await collect(backend, ask(max_tokens=1))
        await backend.aclose()

    runner.run(start_and_end())

    assert set(cache.glob("*.log")) == kept


@posix
def test_kill_of_the_parent_ends_it(cache: Path) -> None:
    """A kernel that dies by ``kill -9`` takes its model with it, and leaves no log."""
    code = PARENT + "print(backend._running.server.pid, flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)

        assert list(cache.glob("local-*.log"))
        parent.kill()

        wait_until(lambda: is_gone(pid))
    assert not list(cache.glob("local-*.log"))


@posix
def test_a_fork_does_not_keep_it_alive(local_weights: Path) -> None:
    """A forked process has no model yet, and does not hold its parent's: that ends with its parent."""
    code = PARENT + (
        "server = backend._running.server.pid\n"
        "if os.fork() == 0:\n"
        "    print(server, os.getpid(), flush=True)\n"
        "    sys.stdin.readline()\n"
        "    print(backend.is_running, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        server, forked = map(int, parent.stdout.readline().split())

        parent.kill()

        try:
            wait_until(lambda: is_gone(server))
            assert not is_gone(forked)
            print(file=parent.stdin, flush=True)
            assert parent.stdout.readline() == "False\n"
        finally:
            os.kill(forked, signal.SIGKILL)


def test_weights_are_the_pinned_ones(local_weights: Path) -> None:
    """What the other tests ask is the file they were written for."""
    assert weights.is_copy(local_weights)
