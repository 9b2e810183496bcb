"""Sessions that keep what they do, each in a store a test says, and what is in that store."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from llm_magic.api import Conversation
from llm_magic.config import Config
from llm_magic.session import Session
from llm_magic.store import Store
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llm_magic import slots as base
    from llm_magic.ledger import LedgerRow
    from llm_magic.testing import Script

NOTEBOOK = "/home/ada/walks.ipynb"


def open_session(where: object, notebook: str | None = NOTEBOOK) -> Session:
    """A session of a notebook; ``where`` is its setting ``store``."""
    made = Session(config=Config(environ={"LLM_MAGIC_STORE": str(where)}), conversation_type=Conversation, is_kept=True)
    made.note_notebook(notebook.rpartition("/")[2] if notebook else None, notebook)
    return made


@contextlib.contextmanager
def kept_session(where: object, notebook: str | None = NOTEBOOK) -> Iterator[Session]:
    """A session that ends with the block, as with its kernel."""
    made = open_session(where, notebook)
    try:
        yield made
    finally:
        made.close()


def talk(session: Session, *scripts: Script, name: str = "main") -> Conversation:
    """The session's conversation of that name, begun where there is none, with a scripted backend.

    Without scripts it answers ``answer``.
    """
    found = next((c for c in session.conversations if c.name == name), None) or session.new(name)
    assert isinstance(found, Conversation)
    session.current = found
    found.session, found.model = session, "m"
    found.backend = ScriptedBackend(scripts or [says("answer")])
    return found


def stored(path: Path, conversation: base.Conversation) -> Conversation:
    """A conversation as it is in a store."""
    with contextlib.closing(Store(str(path))) as store:
        return store.read(conversation.id, cls=Conversation)


def prompts(conversation: base.Conversation) -> list[str]:
    """What was asked in its slots, the version that counts, in order."""
    return [turn.prompt[0].text for turn in conversation.turns]


def ledger(path: Path) -> tuple[LedgerRow, ...]:
    """All ledger rows of a store."""
    with contextlib.closing(Store(str(path))) as store:
        return store.ledger()
