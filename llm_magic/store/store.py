"""The store itself: every method is one short transaction."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..errors import StoreError
from ..slots import Conversation
from . import reading, writing
from .codec import decode_row
from .database import Database, run
from .troubles import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..ledger import LedgerRow
    from ..records import C
    from .values import Draft, Kept, Writing


# What decoding raises where a row is not as it was written.
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Store:
    """Conversations and ledger of one user. May be used from any thread, and in the child of a fork.

    Every method raises ``BusyStoreError`` where trying again can help (another process writes, the disk is full),
    else ``StoreError``; nothing has been written then.

    Args:
        where: A path, or ``:memory:``. The file is made where there is none, for nobody but the user.

    Attributes:
        where: As given.
        secret: 32 random bytes, made with the file: what the names of cells are keyed with.

    Raises:
        StoreError: It cannot be opened, is no store, or is of a later release. Nothing was changed.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._database = Database(where)
        try:
            with self._database.reading() as connection:
                found = run(connection, "SELECT value FROM meta WHERE name = 'secret'").fetchall()
            with self._sense():
                ((secret,),) = found
        except StoreError:
            self.close()
            raise
        self.secret: bytes = secret

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # Writing

    def write(self, changes: Writing) -> None:
        """Write all of it, or nothing. To write the same again changes nothing.

        Raises:
            TakenError: Another session owns the conversation now.
            ForgottenError: The conversation was written before, and is not there any more.
        """
        with self._database.writing() as connection:
            writing.write(connection, changes)

    def write_draft(self, draft: Draft) -> None:
        """Write an answer under way, over what was written of it before. Writing the version ends it.

        Where this is done once a second, new text or not, no other process takes it for left alone.

        Raises:
            ForgottenError: Its conversation or slot is not there.
        """
        with self._database.writing() as connection:
            writing.write_draft(connection, draft)

    def recover(self, draft: Draft) -> bool:
        """Keep a draft of :meth:`orphans` as the version it has become, with its ledger row.

        Returns:
            False where another process has done so, or its own goes on with it after all.
        """
        with self._database.writing() as connection, self._sense():
            return writing.recover(connection, draft)

    def take(self, conversation: str, session: str) -> None:
        """Make a session the owner of a conversation.

        Raises:
            ForgottenError: It is not there.
        """
        with self._database.writing() as connection:
            writing.take(connection, conversation, session)

    def forget(self, conversation: str) -> None:
        """Delete a conversation, and what no other one shares, from the file's bytes; its ledger rows stay.

        Takes as long as writing the file anew, and as much space again. Where that fails, the conversation is
        deleted, its bytes may be left, and forgetting it again, or any other, goes on from there.

        Args:
            conversation: Its id. One that is not there will never be written under this id either.
        """
        with self._database.writing() as connection:
            writing.forget(connection, conversation)
        self._database.rewrite()

    # Reading

    def read(
        self,
        conversation: str,
        *,
        cls: type[C] = Conversation,  # type: ignore[assignment]  # the default of C, which mypy does not match up
    ) -> C:
        """A conversation as it stands, without the slots that were undone or never answered.

        Args:
            conversation: Its id.
            cls: What to make of it.

        Raises:
            ForgottenError: It is not there.
        """
        with self._database.reading() as connection:
            rows = reading.Rows(connection, conversation)
        with self._sense():
            return reading.made_of(rows, cls)

    def conversations(self, notebook: str | None = None) -> tuple[Kept, ...]:
        """What is kept, the last changed first.

        Args:
            notebook: Only those of the notebook with this path.
        """
        with self._database.reading() as connection:
            rows = reading.conversations(connection, notebook)
        with self._sense():
            return tuple(map(reading.kept, rows))

    def ledger(self, *, session: str | None = None, notebook: str | None = None) -> tuple[LedgerRow, ...]:
        """Ledger rows in the order they were written.

        Args:
            session: Only those of this session.
            notebook: Only those of the notebook with this path.
        """
        with self._database.reading() as connection:
            rows = reading.ledger(connection, session, notebook)
        with self._sense():
            return tuple(map(decode_row, rows))

    def orphans(self) -> tuple[Draft, ...]:
        """Answers that were under way in processes that have ended, or have left them alone for 30 s."""
        with self._database.reading() as connection:
            rows, blobs = reading.drafts(connection)
        with self._sense():
            return tuple(reading.draft(row, blobs) for row in rows if reading.is_gone(row))

    @contextlib.contextmanager
    def _sense(self) -> Iterator[None]:
        try:
            yield
        except (StoreError, *_NONSENSE) as exc:
            raise damaged(self.where) from exc
