"""Processes that write drafts: who they are, and whether one has ended."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

# A draft is written about once a second: what was left alone for so long has nobody any more.
STALE_AFTER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, told from all others.

    Attributes:
        host: The machine since it was started, and on it the container: where the process's number holds.
        pid: Its number there.
        started: When it was started, in the machine's own count; None where that cannot be told.
    """

    host: str
    pid: int
    started: str | None

    def is_gone(self, touched_at: float) -> bool:
        """Nobody goes on with what it left.

        Args:
            touched_at: When it was last heard of, Unix time in seconds. Counts where it cannot be asked.
        """
        if self.host == this_host() and os.name == "posix":
            if not _exists(self.pid):
                return True
            if self.started is not None:
                # The same number may be another process by now.
                return self.started != started(self.pid)
        return time.time() - touched_at > STALE_AFTER_S


def this_process() -> Process:
    """The one that asks."""
    return Process(host=this_host(), pid=os.getpid(), started=started(os.getpid()))


@functools.cache
def this_host() -> str:
    """Name of the machine, and where it can be told, which boot and which space of process numbers."""
    known = [platform.node()]
    with contextlib.suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(known)


def started(pid: int) -> str | None:
    """When a process was started, None where that cannot be told."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name, in parentheses, may hold anything; the 22nd field is the 20th behind it.
    return status.rpartition(")")[2].split()[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
