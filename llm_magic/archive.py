"""The archive: a session's shelf together with what is kept of it, and of the sessions before it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from .config import Config
from .errors import ConfigurationError, StoreError, did_you_mean
from .keeper import Keeper
from .ledger import Ledger
from .news import Watchers
from .owed import Snapshot, snapshot_of
from .shelf import Shelf
from .slots import Conversation
from .turns import new_id

if TYPE_CHECKING:
    from .ledger import LedgerRow
    from .store import Kept

_ELSEWHERE = 2
Scope: TypeAlias = Literal["session", "notebook", "all"]


class Archive(Shelf):
    """Conversations, configuration and ledger of one session, and the store behind them.

    Args:
        config: Settings; the environment's and the defaults where not given.
        conversation_type: What ``new`` makes.
        notebook: Name of the notebook, for the ledger.
        is_kept: Conversations and ledger go to the store, as the setting ``store`` says.

    Attributes:
        id: Unique, 12 hex digits.
        config: Its settings.
        notebook: Name of the notebook, None where unknown.
        ledger: Its requests.
        keeper: What writes them down; None where nothing is kept.
        watchers: Who is told what happens, and what is under way.
    """

    def __init__(
        self,
        *,
        config: Config | None = None,
        conversation_type: type[Conversation] = Conversation,
        notebook: str | None = None,
        is_kept: bool = False,
    ) -> None:
        super().__init__(conversation_type)
        self.id = new_id()
        self.config = config or Config()
        self.notebook = notebook
        self.ledger = Ledger()
        self.keeper = Keeper(self.id, lambda: str(self.config.get("store"))) if is_kept else None
        self.watchers = Watchers()
        self._secret = secrets.token_bytes(32)
        self._is_past_told = False
        self._used = self.current
        self._resumed: dict[str | None, Conversation] = {}

    @property
    def secret(self) -> bytes:
        """What the names of cells are keyed with: the store's, so that cells are known again after a restart."""
        return self.keeper.secret if self.keeper is not None else self._secret

    def note_notebook(self, name: str | None, path: str | None) -> None:
        """Which notebook this session belongs to: its file's name, and its full path."""
        self.notebook = name
        if self.keeper is not None:
            self.keeper.notebook = path

    def snapshot(self, conversation: Conversation) -> Snapshot:
        """A conversation as it stands, for the keeper."""
        return snapshot_of(conversation, is_listed=any(c is conversation for c in self.conversations))

    def keep_all(self) -> None:
        """Write what has changed without an ask (marks, names, prompts), and tell of it. Waits for nothing.

        Whoever changes something calls this in the end.
        """
        self.watchers.note_changed()
        if self.keeper is None:
            return
        with self.lock:
            snapshots = [self.snapshot(c) for c in self.conversations if c.is_begun]
            # The one in use is the last changed: what comes back after a restart.
            is_new, self._used = self._used is not self.current, self.current
        for snapshot in sorted(snapshots, key=lambda one: one.conversation is self.current):
            self.keeper.keep(replace(snapshot, is_touched=is_new and snapshot.conversation is self.current))

    def lines(self) -> list[str]:
        """What the user is to be told once: where things are kept, what could not be, what there is of before."""
        if self.keeper is None:
            return []
        told = [] if self._is_past_told else self._past_line()
        self._is_past_told = True
        return [*self.keeper.take_lines(), *told]

    def usage_rows(self, scope: Scope = "notebook") -> tuple[LedgerRow, ...]:
        """Ledger rows of this session, of this notebook across restarts, or of all notebooks.

        Where nothing is stored, or the notebook is not known, there are only this session's.

        Raises:
            StoreError: The store cannot be read.
        """
        keeper, notebook = self.keeper, self.keeper.notebook if self.keeper else None
        if scope == "session" or keeper is None or not keeper.is_on or (scope == "notebook" and notebook is None):
            return self.ledger.rows
        of = notebook if scope == "notebook" else None
        stored = keeper.call(lambda store: store.ledger(notebook=of))
        # Ours as we have them: some may wait to be written.
        return (*(row for row in stored if row.session != self.id), *self.ledger.rows)

    def kept(self) -> tuple[Kept, ...]:
        """Conversations of former sessions, the last changed first; those of this notebook before all others."""
        keeper = self.keeper
        if keeper is None or not keeper.is_on:
            return ()
        keeper.recover()
        here = {c.id for c in self.conversations}
        found = [
            kept
            for kept in keeper.call(lambda store: store.conversations())
            if kept.id not in here and kept.owner != keeper.session_id and kept.is_listed and kept.n_turns
        ]
        return tuple(sorted(found, key=self._distance))

    def resume(self, name: str | None = None) -> Conversation:
        """Take up a conversation of a former session: it is the current one then, and this session's.

        A live one of its name is archived, or where it is empty, left out. Doing it again makes it the current one.

        Args:
            name: None takes the last changed of this notebook; a name is looked for in this notebook first. An id
                tells one from others of its name.

        Raises:
            ConfigurationError: There is none.
            StoreError: Nothing is stored, or the store cannot be read.
        """
        keeper = self._needed()
        with self.lock:
            again = self._resumed.get(name)
            if again is not None and any(c is again for c in self.conversations):
                self.current = again
                return again
        kept = self._chosen(name).id
        keeper.call(lambda store: store.take(kept, keeper.session_id))
        resumed = keeper.call(lambda store: store.read(kept, cls=self._conversation_type))
        keeper.has_read(resumed)
        with self.lock:
            self._make_room(resumed.name)
            self.conversations.append(resumed)
            self.current = resumed
            self._resumed |= {None: resumed, resumed.name: resumed} if name is None else {name: resumed}
        self._is_past_told = True
        return resumed

    def forget(self, name: str | None = None) -> str:
        """Delete a conversation from the session and from the store; its ledger rows stay, they hold no text.

        Args:
            name: None is the current one; one of a former session can be named too.

        Returns:
            What was deleted.

        Raises:
            ConfigurationError: There is none of that name.
            StoreError: The store cannot be written; the session has forgotten it all the same.
        """
        with self.lock:
            here = self.current if name is None else next((c for c in self.conversations if c.name == name), None)
        # An empty one, which every session begins with, does not stand before a kept one of its name.
        is_empty = here is not None and not here.slots and name is not None
        if here is not None and not (is_empty and any(kept.name == name for kept in self.kept())):
            with self.lock:
                self._drop(here)
            if self.keeper is not None:
                self.keeper.forget(here)
            return f"{here.name!r}, {_turns(len(here.slots))}"
        found = self._chosen(name)
        forgotten = found.id
        self._needed().call(lambda store: store.forget(forgotten))
        return f"{found.name!r}, {_turns(found.n_turns)}"

    def _chosen(self, name: str | None) -> Kept:
        """The kept conversation that is meant."""
        candidates = self.kept()
        ours = [kept for kept in candidates if self._distance(kept) < _ELSEWHERE]
        for kept in ours if name is None else candidates:
            if name in (None, kept.name, kept.id):
                return kept
        if name is not None:
            names = list(dict.fromkeys(kept.name for kept in candidates))
            known = f"kept are {', '.join(names[:5])}" if names else "nothing is kept of former sessions"
            raise ConfigurationError(
                f"No conversation {name!r} is kept.", hint=did_you_mean(name, names, otherwise=known)
            )
        hint = "nothing is kept of former sessions"
        if candidates:
            other = candidates[0]
            hint = f"%chat resume {other.name} takes up the last one of {notebook_name(other.notebook)}"
        raise ConfigurationError("No conversation of this notebook is kept.", hint=hint)

    def _past_line(self) -> list[str]:
        try:
            ours = [kept for kept in self.kept() if self._distance(kept) < _ELSEWHERE]
        except StoreError:
            # The keeper has its own line about it.
            return []
        if not ours:
            return []
        count, notebook = ours[0].n_turns, "this notebook"
        if self._distance(ours[0]):
            notebook = f"{notebook_name(ours[0].notebook)}, which is not there any more,"
        return [f"{_turns(count)} of {notebook} {'is' if count == 1 else 'are'} kept: %chat resume"]

    def _distance(self, kept: Kept) -> int:
        """How far away a conversation's notebook is: 0 this one, 1 perhaps this one under a former name, 2 another.

        A notebook that is not there any more, in the folder of one that is, was most likely renamed: the front
        ends tell nobody.
        """
        here, there = self.keeper.notebook if self.keeper else None, kept.notebook
        if here is None or there is None:
            return _ELSEWHERE
        if here == there:
            return 0
        one, other = Path(here), Path(there)
        is_renamed = other.is_absolute() and one.parent == other.parent and one.exists() and not other.exists()
        return 1 if is_renamed else _ELSEWHERE

    def _make_room(self, name: str) -> None:
        for conversation in self._live():
            if conversation.name == name and not conversation.slots:
                self.conversations.remove(conversation)
        self._archive(name)

    def _drop(self, conversation: Conversation) -> None:
        self.conversations = [c for c in self.conversations if c is not conversation]
        if self.current is conversation:
            live = self._live()
            self.current = live[-1] if live else self.add("main")

    def _needed(self) -> Keeper:
        if self.keeper is None or not self.keeper.is_on:
            raise StoreError("Nothing is stored here.", hint="%chat config store=on")
        return self.keeper


def notebook_name(path: str | None) -> str:
    """A notebook's path for people: its file alone."""
    return path.replace("\\", "/").rpartition("/")[2] if path else "a session without a notebook"


def _turns(number: int) -> str:
    return "1 turn" if number == 1 else f"{number} turns"
