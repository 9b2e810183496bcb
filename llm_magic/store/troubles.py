"""What SQLite and the system say, as our errors: what happened, and whether trying again can help."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from typing import TYPE_CHECKING

from ..errors import StoreError
from .values import BusyStoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_ELSEWHERE = "%chat config store=PATH keeps things elsewhere, store=memory until the kernel ends"
_AWAY = "move the file away, and a new one is begun"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOCKLESS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


class NonsenseError(Exception):
    """What has just been written is not there: the file is damaged."""


@contextlib.contextmanager
def in_our_words(where: str) -> Iterator[None]:
    """Turn errors of SQLite and the system into ours.

    Args:
        where: The store, as the user knows it.

    Raises:
        BusyStoreError: It can be tried again.
        StoreError: It cannot.
    """
    try:
        import sqlite3
    except ImportError as exc:
        raise StoreError("This Python has no SQLite.", hint="%chat config store=off keeps nothing") from exc
    try:
        yield
    except sqlite3.Error as exc:
        raise _from_sqlite(exc, where) from exc
    except (NonsenseError, UnicodeDecodeError) as exc:
        # A message of SQLite's may quote what is broken, and be no text itself.
        raise damaged(where) from exc
    except OSError as exc:
        told = exc.strerror or str(exc)
        if exc.errno in _FULL:
            raise _full(where) from exc
        raise StoreError(f"The store {where} cannot be used: {told}.", hint=_ELSEWHERE) from exc


def damaged(where: str) -> StoreError:
    """The file is a database, and what is in it makes no sense."""
    return StoreError(f"The store {where} is damaged.", hint=_AWAY)


def _from_sqlite(exc: sqlite3.Error, where: str) -> StoreError:  # noqa: PLR0911  # one for each kind of trouble
    code = getattr(exc, "sqlite_errorcode", 0)
    match getattr(exc, "sqlite_errorname", "").split("_")[1:]:
        case ["BUSY" | "LOCKED" | "PROTOCOL", *_]:
            if _has_locks(where):
                return BusyStoreError(f"The store {where} is in use by another process.", hint="try again in a moment")
            return _lockless(where)
        case ["IOERR", "LOCK" | "UNLOCK" | "RDLOCK" | "CHECKRESERVEDLOCK"] | ["PERM", *_]:
            return _lockless(where)
        case ["FULL", *_]:
            return _full(where)
        case ["IOERR", *_]:
            return BusyStoreError(f"The disk of the store {where} failed: {exc}.", hint=_ELSEWHERE)
        case ["NOTADB", *_]:
            return StoreError(f"{where} is not a store, or damaged.", hint=f"{_AWAY}, or: {_ELSEWHERE}")
        case ["CORRUPT", *_]:
            return damaged(where)
        case _:
            # Text whose bytes are not UTF-8 has no code: the module finds it, not SQLite.
            if "decode" in str(exc):
                return damaged(where)
            return StoreError(f"The store {where} cannot be used: {exc} ({code}).", hint=_ELSEWHERE)


def _full(where: str) -> BusyStoreError:
    return BusyStoreError(f"There is no space left for the store {where}.", hint="make some")


def _lockless(where: str) -> StoreError:
    return StoreError(f"The file system of the store {where} has no locks.", hint=_ELSEWHERE)


def _has_locks(where: str) -> bool:
    """The store's folder can lock files. SQLite says "busy" where it cannot, too: NFS may mean it."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        # Not the store itself: to close it here would drop the locks this process has on it.
        with tempfile.TemporaryFile(dir=os.path.dirname(where)) as file:  # noqa: PTH120  # "" has no path
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        return exc.errno not in _LOCKLESS
    return True
