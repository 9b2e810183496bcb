"""The shelf: the conversations of a session, which one is current, and where the asks of a cell belong.

Names and places only: nothing is asked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cells import Cells
from .errors import ConfigurationError, did_you_mean
from .slots import Conversation
from .turns import new_id

if TYPE_CHECKING:
    from .slots import Cell, CellKey


class Shelf(Cells):
    """The conversations of one session.

    Args:
        conversation_type: What is made.

    Attributes:
        conversations: All of them, archived ones included, in the order they were begun.
        current: The one that asks belong to where nothing else is said.
    """

    def __init__(self, conversation_type: type[Conversation] = Conversation) -> None:
        super().__init__()
        self._conversation_type = conversation_type
        self.current = conversation_type(name="main")
        self.conversations: list[Conversation] = [self.current]

    def new(self, name: str | None = None, *, cell_id: str | None = None) -> Conversation:
        """Begin a conversation and make it the current one.

        An existing name is archived and begun afresh. Without a name, a cell that made one before begins that one
        afresh, so that Run All is harmless.
        """
        with self.lock:
            if name is None and cell_id is not None:
                name = next((c.name for c in self._live() if c.made_by == cell_id), None)
            if name is None:
                number = len(self.conversations) + 1
                while f"chat-{number}" in {c.name for c in self.conversations}:
                    number += 1
                name = f"chat-{number}"
            self._archive(name)
            self.current = self.add(name, cell_id=cell_id)
            return self.current

    def fork(self, name: str, *, at: int | None = None, cell_id: str | None = None) -> Conversation:
        """Go on in a copy of the current conversation, up to and including turn ``at``; None copies all.

        An existing name is archived, as :meth:`new` does.

        Raises:
            ConfigurationError: There is no such turn.
        """
        with self.lock:
            made = self.current.fork(name, at=at)
            made.made_by = cell_id
            self._archive(name)
            self.conversations.append(made)
            self.current = made
            return made

    def parent_name(self, conversation: Conversation) -> str | None:
        """What the conversation is called that this one was forked from; None where it was not, or it is not here."""
        parent = self._by_id(conversation.parent)
        return parent.name if parent is not None else None

    def add(self, name: str, *, cell_id: str | None = None) -> Conversation:
        """Begin a conversation beside the current one, under a name that is free."""
        made = self._conversation_type(name=name, made_by=cell_id)
        self.conversations.append(made)
        return made

    def use(self, name: str) -> Conversation:
        """Make a conversation the current one.

        Raises:
            ConfigurationError: There is none of that name.
        """
        with self.lock:
            self.current = self.named(name)
            return self.current

    def named(self, name: str) -> Conversation:
        """The conversation of that name, archived ones included.

        Raises:
            ConfigurationError: There is none.
        """
        for conversation in self.conversations:
            if conversation.name == name:
                return conversation
        names = [c.name for c in self.conversations]
        hint = did_you_mean(name, names, otherwise=f"%chat new {name} begins it; %chat list shows what there is")
        raise ConfigurationError(f"There is no conversation {name!r}.", hint=hint)

    def adopt(self, conversation: Conversation) -> None:
        """Take a conversation that was made elsewhere into the session, as a new one, and the current one.

        A taken name is changed, and so is the id: a file can be loaded where the conversation it was saved from is,
        and twice.
        """
        with self.lock:
            taken = {c.name for c in self.conversations}
            wanted = conversation.name or "loaded"
            conversation.name = next(
                name
                for number in range(1, len(taken) + 2)
                if (name := wanted if number == 1 else f"{wanted}-{number}") not in taken
            )
            conversation.id = new_id()
            self.conversations.append(conversation)
            self.current = conversation

    def home(self, cell: Cell | None) -> Conversation:
        """Where a kept ask of a cell belongs: where the cell has a slot, else the current conversation.

        A slot that the current conversation left behind when it was forked does not count: going on differently is
        what a fork is for.
        """
        key = self.peek_key(cell)
        if key is None or self.slot_for(self.current, key, cell) is not None or self._left_behind(key, cell):
            return self.current
        for conversation in reversed(self._live()):
            if self.slot_for(conversation, key, cell) is not None:
                return conversation
        return self.current

    def _left_behind(self, key: CellKey, cell: Cell | None) -> bool:
        """A conversation that the current one comes from had a slot of this cell when it was forked."""
        fork = self.current
        for _ in self.conversations:
            parent = self._by_id(fork.parent)
            if parent is None:
                return False
            slot = self.slot_for(parent, key, cell)
            if slot is not None and slot.versions and slot.versions[0].at <= fork.began_at:
                return True
            fork = parent
        return False

    def _by_id(self, conversation_id: str | None) -> Conversation | None:
        return next((c for c in self.conversations if c.id == conversation_id), None)

    def _live(self) -> list[Conversation]:
        return [c for c in self.conversations if not c.is_archived]

    def _archive(self, name: str) -> None:
        for conversation in self._live():
            if conversation.name == name:
                taken = {c.name for c in self.conversations}
                conversation.name = next(n for k in range(1, len(taken) + 2) if (n := f"{name}~{k}") not in taken)
                conversation.is_archived = True
