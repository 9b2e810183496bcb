"""The keeper: what a session writes to the store, from one thread, so that nothing paid for is lost.

Comes in: conversations as they stand, ledger rows, drafts of answers under way. It finds out by itself what of a
conversation is not written yet. What cannot be written waits for the next time; where that is hopeless, one line
says so, and the work goes on in memory.
"""

from __future__ import annotations

import logging
import os
import queue
import secrets
import threading
import weakref
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .errors import StoreError
from .records import head_to_dict
from .turns import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .ledger import LedgerRow
    from .slots import Conversation, Slot
    from .store import Draft, Store, Writing

T = TypeVar("T")
Job: TypeAlias = "Callable[[Store], T]"
# The longest that a cell, or the end of the kernel, waits for a slow disk. Seconds.
PATIENCE_S = 10.0
log = logging.getLogger("llm_magic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A conversation at one moment, to be written in another thread.

    Attributes:
        conversation: The conversation itself.
        head: Its head.
        slots: Its row.
        is_listed: It is one of the session's own, not of a variable.
        is_touched: It counts as changed, though nothing of it has.
    """

    conversation: Conversation
    head: Mapping[str, Any]
    slots: tuple[Slot, ...]
    is_listed: bool = True
    is_touched: bool = False


def snapshot_of(conversation: Conversation, *, is_listed: bool) -> Snapshot:
    """A conversation as it stands now."""
    head = head_to_dict(conversation)
    return Snapshot(conversation=conversation, head=head, slots=conversation.slots, is_listed=is_listed)


@dataclass(slots=True)
class _Written:
    """What of a conversation is in the store."""

    head: Mapping[str, Any] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    next_position: int = 0


class _OffError(StoreError):
    """The user wants nothing stored: not to be told."""


class Keeper:
    """Keeps the conversations and the ledger of one session.

    Args:
        session_id: Who writes.
        where: Gives the setting ``store`` at each use: on, off, memory, or a path.

    Attributes:
        notebook: Full path of the notebook, None where unknown.
    """

    def __init__(self, session_id: str, where: Callable[[], str]) -> None:
        self.notebook: str | None = None
        self._session_id = session_id
        self._where = where
        self._secret: bytes | None = None
        self._start_over()

    def _start_over(self) -> None:
        """Begin with nothing, as in the child of a fork, where the writer's thread is not."""
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._jobs: queue.SimpleQueue[tuple[str, Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._told = ""
        self._store: Store | None = None
        self._open_where = ""
        self._hopeless: StoreError | None = None
        self._private: set[str] = set()
        self._forgotten: set[str] = set()
        self._written: dict[str, _Written] = {}
        self._waiting: dict[str, Snapshot] = {}
        self._rows: list[LedgerRow] = []
        self._ended: list[str] = []

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
            ended: Id of a turn whose draft is done with.

        Returns:
            Ends when it is written. Its error, if any, is told by :meth:`take_lines`; what was to be written then
            waits for the next time.
        """
        if self._where() != "off":
            self._rows.extend(rows)
        elif snapshot is not None:
            self._private.add(snapshot.conversation.id)
        return self._submit(lambda store: self._keep(store, snapshot, ended))

    def keep_draft(self, snapshot: Snapshot, draft: Draft) -> Future[None]:
        """Write an answer under way, as far as it has come; see :meth:`keep`."""

        def write(store: Store) -> None:
            self._keep(store, snapshot, None)
            if snapshot.conversation.id not in self._written:
                return
            # It may go on under another id since it was begun.
            store.write_draft(replace(draft, conversation=snapshot.conversation.id))

        return self._submit(write)

    def call(self, job: Job[T]) -> T:
        """Do something with the store, and wait for it.

        Raises:
            StoreError: It failed, or nothing is stored.
        """
        try:
            return self._submit(job).result(PATIENCE_S)
        except TimeoutError as exc:
            raise StoreError(f"The store has not answered within {PATIENCE_S:g} s.", hint="is its disk there?") from exc

    def forget(self, conversation: Conversation) -> None:
        """Delete a conversation, and write nothing of it any more.

        Raises:
            StoreError: The store cannot be written.
        """
        forgotten = conversation.id

        def delete(store: Store) -> None:
            self._forgotten.add(forgotten)
            self._waiting.pop(forgotten, None)
            self._written.pop(forgotten, None)
            store.forget(forgotten)

        self.call(delete)

    def has_read(self, conversation: Conversation) -> None:
        """A conversation comes from the store, and is this session's now."""
        slots = {slot.id: slot for slot in conversation.slots}
        self._remember(conversation, _Written(head=head_to_dict(conversation), slots=slots, next_position=-1))

    def close(self) -> None:
        """Write what waits, and end the thread."""
        thread = self._thread
        if thread is None or self._pid != os.getpid():
            return
        self._submit(lambda store: self._keep(store, None, None))
        self._jobs.put(None)
        thread.join(PATIENCE_S)
        self._thread = None

    # In the writer's thread

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            where, job, future = item
            try:
                future.set_result(job(self._opened(where)))
            except StoreError as exc:
                self._tell(exc)
                future.set_exception(exc)
            except Exception as exc:
                # The thread must outlive a mistake of ours: what is asked next is to be kept.
                log.exception("the store's thread")
                self._tell(StoreError(f"Something could not be kept: {type(exc).__name__}.", hint="see the log"))
                future.set_exception(exc)
        self._shut()

    def _opened(self, where: str) -> Store:
        if where != self._open_where:
            self._shut()
            self._open_where = where
        if self._store is None:
            if self._hopeless is not None:
                raise self._hopeless
            self._open(where)
            self._recover()
        assert self._store is not None
        return self._store

    def _open(self, where: str) -> None:
        from .store import BusyStoreError, Store

        if where == "off":
            raise _OffError("Nothing is stored.", hint="%chat config store=on")
        path = store_path(where)
        is_new = where != "memory" and not Path(path).exists()
        try:
            self._store = Store(path)
        except BusyStoreError:
            raise
        except StoreError as exc:
            # Not tried again until the setting changes.
            self._hopeless = exc
            raise
        if is_new:
            self._lines.put(f"Conversations are kept in {path}; %chat config store=off keeps nothing.")

    def _recover(self) -> None:
        """Take up answers whose process was killed."""
        assert self._store is not None
        try:
            for draft in self._store.orphans():
                self._store.recover(draft)
        except StoreError as exc:
            self._tell(exc)

    def _shut(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store, self._hopeless, self._open_where = None, None, ""
        self._written.clear()

    def _keep(self, store: Store, snapshot: Snapshot | None, ended: str | None) -> None:
        if snapshot is not None and snapshot.conversation.id in self._forgotten:
            snapshot = None
        if snapshot is not None and snapshot.conversation.id in self._private:
            name = snapshot.conversation.name
            self._lines.put(f"Conversation {name!r} was asked while nothing was stored, and is not kept.")
        elif snapshot is not None:
            self._waiting[snapshot.conversation.id] = snapshot
        if ended is not None:
            self._ended.append(ended)
        for waiting in list(self._waiting.values()):
            self._write(store, waiting)
        if self._rows or self._ended:
            self._write(store, None)

    def _write(self, store: Store, snapshot: Snapshot | None) -> None:
        from .store import TakenError, Writing

        rows, ended = tuple(self._rows), tuple(self._ended)
        writing = Writing(session=self._session_id, notebook=self.notebook, rows=rows, ended=ended)
        if snapshot is None:
            store.write(writing)
        else:
            self._waiting.pop(snapshot.conversation.id, None)
            try:
                self._write_conversation(store, snapshot, writing)
            except TakenError:
                name = snapshot.conversation.name
                snapshot.conversation.id = new_id()
                self._lines.put(f"Conversation {name!r} was taken up elsewhere; here it goes on as a copy.")
                self._write_conversation(store, snapshot, writing)
            except StoreError:
                self._waiting.setdefault(snapshot.conversation.id, snapshot)
                raise
        del self._rows[: len(rows)], self._ended[: len(ended)]

    def _write_conversation(self, store: Store, snapshot: Snapshot, writing: Writing) -> None:
        conversation_id = snapshot.conversation.id
        written = self._written.get(conversation_id, _Written())
        head = {**snapshot.head, "id": conversation_id}
        change, next_position = _difference(written, snapshot.slots)
        has_head = head != written.head or snapshot.is_touched
        if not (has_head or writing.rows or writing.ended or any(change.values())):
            return
        store.write(
            replace(
                writing,
                conversation=conversation_id,
                head=head if has_head else None,
                is_listed=snapshot.is_listed,
                **change,
            )
        )
        now = _Written(head=head, slots={slot.id: slot for slot in snapshot.slots}, next_position=next_position)
        self._remember(snapshot.conversation, now)

    def _remember(self, conversation: Conversation, written: _Written) -> None:
        if conversation.id not in self._written:
            weakref.finalize(conversation, self._written.pop, conversation.id, None).atexit = False
        self._written[conversation.id] = written

    def _tell(self, error: StoreError) -> None:
        if isinstance(error, _OffError):
            return
        line = f"{error.message} What is asked meanwhile is kept in memory. Hint: {error.hint}"
        # The same trouble is said once, not at every ask.
        if line != self._told:
            self._told = line
            self._lines.put(line)

    # The thread

    def _submit(self, job: Job[T]) -> Future[T]:
        if self._pid != os.getpid():
            self._start_over()
        future: Future[T] = Future()
        where = self._where()
        if where == "off" and self._thread is None:
            future.set_exception(_OffError("Nothing is stored.", hint="%chat config store=on"))
            return future
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="llm_magic store", daemon=True)
            self._thread.start()
        self._jobs.put((where, job, future))
        return future


def store_path(where: str) -> str:
    """What a setting ``store`` names: a path, or SQLite's name for memory."""
    if where == "memory":
        return ":memory:"
    if where == "on":
        from .store.database import default_path

        return str(default_path())
    return str(Path(where).expanduser().absolute())


def _difference(written: _Written, slots: tuple[Slot, ...]) -> tuple[dict[str, Any], int]:
    """What of a row is not in the store as it should be, and the position behind its last slot."""
    from .store import Placed

    now = {slot.id: slot for slot in slots}
    order = tuple(now)
    kept = tuple(slot_id for slot_id in written.slots if slot_id in now)
    is_appended = written.next_position >= 0 and order[: len(kept)] == kept
    first = written.next_position - len(kept) if is_appended else 0
    changed = tuple(
        Placed(slot=slot, position=first + place, written=_count_written(written.slots.get(slot.id)))
        for place, slot in enumerate(slots)
        if written.slots.get(slot.id) is not slot
    )
    removed = tuple(slot_id for slot_id in written.slots if slot_id not in now)
    return {"slots": changed, "removed": removed, "positions": () if is_appended else order}, first + len(slots)


def _count_written(slot: Slot | None) -> int:
    return len(slot.versions) if slot is not None else 0
