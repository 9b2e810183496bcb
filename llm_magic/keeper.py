"""The keeper: what a session writes to the store, from one thread, so that nothing paid for is lost.

Comes in: conversations as they stand, ledger rows, drafts of answers under way. What is new of them is found out in
``owed.py``. What cannot be written waits for the next time; where that is hopeless, one line says so, and the work goes
on in memory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import secrets
import threading
import weakref
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .errors import StoreError
from .owed import MEMORY, Owed
from .turns import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ledger import LedgerRow
    from .owed import Snapshot
    from .slots import Conversation
    from .store import Draft, Store

T = TypeVar("T")
Job: TypeAlias = "Callable[[Store], T]"
# The longest that a cell, or the end of the kernel, waits for a slow disk. Seconds.
PATIENCE_S = 10.0
log = logging.getLogger("llm_magic")
_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


class _OffError(StoreError):
    """The user wants nothing stored: not to be told."""


class Keeper:
    """Keeps the conversations and the ledger of one session.

    Args:
        session_id: Who writes.
        where: Gives the setting ``store`` at each use: on, off, memory, or a path.
    """

    def __init__(self, session_id: str, where: Callable[[], str]) -> None:
        self._where = where
        self._secret: bytes | None = None
        self._begin(session_id)
        _keepers.add(self)

    def _begin(self, session_id: str) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None
        self._jobs: queue.SimpleQueue[tuple[str, Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._told: set[str] = set()
        self._store: Store | None = None
        self._open_where = ""
        self._last_where = "off"
        self._hopeless: StoreError | None = None
        self._owed = Owed(session_id, self._say)

    def begin_in_child(self) -> None:
        """Begin anew in the child of a fork, where the writer's thread is not.

        Its conversations are the parent's: what it adds to them goes to copies, as in any other process.
        """
        notebook = self.notebook
        self._begin(new_id())
        self.notebook = notebook

    @property
    def session_id(self) -> str:
        """Who owns what is written."""
        return self._owed.session_id

    @property
    def notebook(self) -> str | None:
        """Full path of the notebook, None where unknown."""
        return self._owed.notebook

    @notebook.setter
    def notebook(self, path: str | None) -> None:
        self._owed.notebook = path

    @property
    def is_on(self) -> bool:
        """Something is to be stored."""
        return self._where() != "off"

    @property
    def secret(self) -> bytes:
        """What cells are hashed with: the store's, or where nothing is stored one of this process. Never changes."""
        if self._secret is None:
            try:
                self._secret = self.call(lambda store: store.secret)
            except StoreError:
                # The line that says so has been noted.
                self._secret = secrets.token_bytes(32)
        return self._secret

    def take_lines(self) -> list[str]:
        """What the user is to be told, once."""
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get_nowait())
        return lines

    def keep(self, snapshot: Snapshot | None, *rows: LedgerRow, ended: str | None = None) -> Future[None]:
        """Write what is new of a conversation, and ledger rows; from any thread.

        Args:
            snapshot: The conversation, None where there are only rows.
            rows: Ledger rows.
            ended: Id of a turn that has ended: its draft is done with.

        Returns:
            Ends when it is written. Its error, if any, is told by :meth:`take_lines`; what was to be written then
            waits for the next time.
        """
        if self.is_on:
            self._owed.note(snapshot, rows, ended)
        elif ended is not None:
            self._owed.note_private(ended)
            # Its draft may have been written before the user said so.
            self._owed.note(None, (), ended)
        return self._submit(self._owed.settle)

    def note(self, *rows: LedgerRow) -> None:
        """Write ledger rows with whatever is written next."""
        if self.is_on:
            self._owed.note(None, rows)

    def keep_draft(self, snapshot: Snapshot, draft: Draft) -> Future[None]:
        """Write an answer under way, as far as it has come; see :meth:`keep`."""
        if self.is_on:
            self._owed.note(snapshot)

        def write(store: Store) -> None:
            self._owed.settle(store)
            if self._owed.takes_draft(snapshot.conversation, draft.turn.id):
                # It may go on under another id since it was begun.
                store.write_draft(replace(draft, conversation=snapshot.conversation.id))

        return self._submit(write)

    def call(self, job: Job[T]) -> T:
        """Do something with the store, and wait for it.

        Raises:
            StoreError: It failed, or nothing is stored.
        """
        return _result(self._submit(job))

    def recover(self) -> None:
        """Take up answers whose process was killed; what cannot be taken up is told.

        Raises:
            StoreError: The store cannot be opened.
        """
        self.call(self._recover)

    def forget(self, conversation: Conversation) -> None:
        """Delete a conversation wherever it was written, and write nothing of it any more.

        Raises:
            StoreError: The store cannot be written; it is deleted with the next writing.
        """
        where = self._where()
        if where == "off":
            # What was written before is to be deleted all the same.
            where = self._last_where
        if where == "off":
            return
        try:
            self._owed.note_forgotten(conversation, store_path(where))
            _result(self._submit(self._owed.settle_forgetting, where))
        except StoreError as exc:
            message = f"{exc.message} The conversation is deleted as soon as that is possible."
            raise StoreError(message, hint=exc.hint) from exc

    def has_read(self, conversation: Conversation) -> None:
        """A conversation comes from the store, and is this session's now."""
        self._owed.has_read(conversation)

    def close(self) -> None:
        """Write what waits, and end the thread. What comes later begins another."""
        with self._lock:
            thread, self._thread = self._thread, None
            jobs, self._jobs = self._jobs, queue.SimpleQueue()
        if thread is None:
            return
        where = self._where()
        if where != "off":
            jobs.put((where, self._owed.settle, Future()))
        jobs.put(None)
        thread.join(PATIENCE_S)

    # In the writer's thread

    def _run(self, jobs: queue.SimpleQueue[tuple[str, Job[Any], Future[Any]] | None]) -> None:
        while (item := jobs.get()) is not None:
            where, job, future = item
            if future.set_running_or_notify_cancel():
                with self._working:
                    self._do(where, job, future)
        with self._working:
            self._shut()

    def _do(self, where: str, job: Job[Any], future: Future[Any]) -> None:
        try:
            result = job(self._opened(where))
        except _OffError as exc:
            future.set_exception(exc)
        except StoreError as exc:
            self._say(f"{exc.message} What is asked meanwhile is kept in memory. Hint: {exc.hint}")
            future.set_exception(exc)
        except Exception as exc:
            # The thread must outlive a mistake of ours: what is asked next is to be kept.
            log.exception("the store's thread")
            self._say(f"Something could not be kept: {type(exc).__name__}. Hint: see the log")
            future.set_exception(exc)
        else:
            future.set_result(result)

    def _opened(self, where: str) -> Store:
        if where != self._open_where:
            self._shut()
            self._open_where = where
        if self._store is None:
            if self._hopeless is not None:
                raise self._hopeless
            self._store = self._open(where)
            self._owed.start_anew()
            self._recover(self._store)
        return self._store

    def _recover(self, store: Store) -> None:
        try:
            for draft in store.orphans():
                store.recover(draft)
        except StoreError as exc:
            self._say(f"{exc.message} What a killed kernel left is not taken up. Hint: {exc.hint}")

    def _open(self, where: str) -> Store:
        from .store import BusyStoreError, Store

        if where == "off":
            raise _OffError("Nothing is stored.", hint="%chat config store=on")
        try:
            path = store_path(where)
            is_new = path != MEMORY and not Path(path).exists()
            store = Store(path)
        except BusyStoreError:
            raise
        except StoreError as exc:
            # Not tried again until the setting changes.
            self._hopeless = exc
            raise
        self._last_where = where
        if is_new:
            self._say(f"Conversations are kept in {path}; %chat config store=off keeps nothing.")
        return store

    def _shut(self) -> None:
        store, self._store, self._hopeless, self._open_where = self._store, None, None, ""
        if store is not None:
            store.close()

    # From any thread

    def _say(self, line: str, *, again: bool = False) -> None:
        # The same trouble is said once, not at every ask.
        if again or line not in self._told:
            self._told.add(line)
            self._lines.put(line)

    def _submit(self, job: Job[T], where: str | None = None) -> Future[T]:
        future: Future[T] = Future()
        where = where or self._where()
        with self._lock:
            if self._thread is None:
                if where == "off":
                    future.set_exception(_OffError("Nothing is stored.", hint="%chat config store=on"))
                    return future
                self._thread = threading.Thread(
                    target=self._run, args=(self._jobs,), name="llm_magic store", daemon=True
                )
                self._thread.start()
            self._jobs.put((where, job, future))
        return future


def _begin_all() -> None:
    for keeper in list(_keepers):
        keeper.begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)


def _result(future: Future[T]) -> T:
    try:
        return future.result(PATIENCE_S)
    except TimeoutError as exc:
        # Not done behind the user's back later.
        future.cancel()
        raise StoreError(f"The store has not answered within {PATIENCE_S:g} s.", hint="is its disk there?") from exc


def store_path(where: str) -> str:
    """What a setting ``store`` names: a path, or SQLite's name for memory.

    Raises:
        StoreError: It names no path.
    """
    if where == "memory":
        return MEMORY
    if where == "on":
        from .store.database import default_path

        return str(default_path())
    try:
        # lstat(): what no path can hold is found out here.
        path = Path(where).expanduser().absolute()
        with contextlib.suppress(OSError):
            path.lstat()
    except (RuntimeError, ValueError) as exc:
        raise StoreError(f"{where!r} is no path: {exc}.", hint="%chat config store=PATH") from exc
    return str(path)
