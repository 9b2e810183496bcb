"""The file: opened safely, brought up to date, used in transactions, and its errors in our words.

Comes in: a path. Goes out: connections within transactions. What the tables mean is not known here.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from . import schema
from .troubles import NonsenseError, damaged, in_our_words

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

MEMORY = ":memory:"
BUSY_TIMEOUT_S = 5.0
_ELSEWHERE = "%chat config store=off keeps nothing; store=PATH keeps it elsewhere"
_LARGEST = 2**63 - 1
# Those of this process, and by thread those that wait for it to fork.
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_forking = threading.local()
# A child has its parent's connections, and must not even close them: what is here is not closed by being dropped.
_connections: set[sqlite3.Connection] = set()


class Database:
    """A file, or memory, and this process's connection to it. May be used from any thread, one at a time.

    Args:
        where: A path, or ``:memory:``.

    Raises:
        StoreError: It cannot be opened, is no store, or is of a later release. Nothing was changed.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._open()
        _databases.add(self)

    def _open(self) -> None:
        self._connection = connect(self.where)
        _connections.add(self._connection)
        self._pid = os.getpid()

    def close(self) -> None:
        """Close the file; in the child of a fork, the parent's stays open."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._pid == os.getpid():
                _connections.discard(connection)
                connection.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes: all of it, or nothing.

        Its lock is taken at once: SQLite lets nobody wait who has read before.
        """
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that reads: the file as it is at one moment."""
        with self._transaction("BEGIN") as connection:
            yield connection

    def rewrite(self) -> None:
        """Write the whole file anew.

        Overwriting what is deleted is not enough: where SQLite has moved rows between pages, copies stay behind.
        """
        with self._held() as connection:
            connection.execute("VACUUM")

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._held() as connection:
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        with self.lock, in_our_words(self.where):
            if self._connection is None:
                raise StoreError(f"The store {self.where} is closed.", hint="it ends with the kernel")
            if self._pid != os.getpid() and self.where != MEMORY:
                self._open()
            yield self._connection


def _hold_all() -> None:
    _forking.databases = list(_databases)
    for database in _forking.databases:
        database.lock.acquire()


def _release_all() -> None:
    for database in _forking.databases:
        database.lock.release()
    _forking.databases = []


if hasattr(os, "register_at_fork"):
    # Not in the middle of another thread's transaction: SQLite would take the locks that the parent has on the file
    # for the child's own.
    os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_release_all)


def run(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
    """Execute a statement with any values at all.

    Text that has no UTF-8 is kept as bytes, see :func:`text`; a number that is too large, as the largest.
    """
    try:
        return connection.execute(statement, values)
    except (UnicodeEncodeError, OverflowError):
        return connection.execute(statement, tuple(map(_storable, values)))


def the_number(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> int:
    """The number of a row that is certainly there.

    Raises:
        NonsenseError: It is not.
    """
    found = run(connection, statement, values).fetchone()
    if found is None or not isinstance(found[0], int):
        raise NonsenseError
    return found[0]


def fits(value: Any) -> bool:
    """A value comes back from a column as it is."""
    try:
        return value == value and _storable(value) is value  # noqa: PLR0124  # NaN is nothing to SQLite
    except TypeError:
        return False


def text(value: str | bytes) -> str:
    """Text from a column, see :func:`run`."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
    elif isinstance(value, int) and abs(value) > _LARGEST:
        return _LARGEST
    return value


def connect(where: str) -> sqlite3.Connection:
    """Open a store, made where there is none.

    The rollback journal is safe on network homes that lock; to sync its folder too (EXTRA), after a power cut.

    Raises:
        StoreError: See :class:`Database`.
    """
    with in_our_words(where):
        # Here and not above: importing the package must load nothing that one may not need.
        import sqlite3

        if where != MEMORY:
            _make_private(Path(where))
        connection = sqlite3.connect(where, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            _check(connection, where)
            for pragma in ("foreign_keys=ON", "secure_delete=ON", "synchronous=EXTRA", "journal_mode=DELETE"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def default_path() -> Path:
    """Where the store of a user is."""
    import platformdirs

    return Path(platformdirs.user_data_dir("llm_magic", appauthor=False)) / "store.sqlite3"


def _make_private(path: Path) -> None:
    """A file, and where it is our own, a folder, for nobody but the user; whatever the umask says."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        # Never to open one that is there: to close it again would drop the locks this process has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600))
    if os.name != "posix":
        return
    if path == default_path():
        _narrow(path.parent, 0o700)
    _narrow(path, 0o600)


def _narrow(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) & ~mode:
        # One that belongs to somebody else: whoever put it there has said who may read it.
        with contextlib.suppress(PermissionError):
            path.chmod(mode)


def _check(connection: sqlite3.Connection, where: str) -> None:
    """Only reads: a file that is not ours to use stays as it is."""
    application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    is_empty = not _first(connection.execute("SELECT count(*) FROM sqlite_master"))
    if application != schema.APPLICATION_ID and (application or version or not is_empty):
        raise StoreError(f"{where} is a database of something else.", hint=_ELSEWHERE)
    if version < 0:
        raise damaged(where)
    if version > len(schema.STEPS):
        known = len(schema.STEPS)
        raise StoreError(
            f"The store {where} is of a later release (schema {version}; this one knows {known}).",
            hint="pip install -U llm-magic; %chat config store=PATH keeps things elsewhere meanwhile",
        )


def _migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that are missing, each in one transaction together with its number."""
    while _pragma(connection, "user_version") < len(schema.STEPS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _step(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _step(connection: sqlite3.Connection) -> None:
    # Asked again, now that nobody else can: another process may have been faster.
    version = _pragma(connection, "user_version")
    if version == len(schema.STEPS):
        return
    for statement in schema.STEPS[version]:
        connection.execute(statement)
    if version == 0:
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        connection.execute("INSERT INTO meta VALUES ('secret', ?)", (secrets.token_bytes(32),))
    connection.execute(f"PRAGMA user_version={version + 1}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(_first(connection.execute(f"PRAGMA {name}")))


def _first(rows: Iterable[tuple[Any, ...]]) -> Any:
    return next(iter(rows))[0]
