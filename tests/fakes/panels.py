"""A panel's board and actions on a session with a scripted backend, without a widget and without a kernel."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_magic.api import Conversation
from llm_magic.backends.registry import Choice, Registry, model_name
from llm_magic.config import Config
from llm_magic.panels.actions import Actions, Done
from llm_magic.panels.board import Board
from llm_magic.panels.said import Said
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says
from llm_magic.views.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_magic.config import Value
    from llm_magic.slots import Slot
    from llm_magic.testing import Script

WAIT_S = 30.0


class _Scripted(Registry):
    """Asks the scripted backend for every model but OpenAI's."""

    def __init__(self, backend: ScriptedBackend) -> None:
        super().__init__({})
        self._backend = backend

    def resolve(self, look_up: Callable[[str], Value]) -> Choice:
        model = model_name(look_up)
        return super().resolve(look_up) if model.startswith("gpt-") else Choice(backend=self._backend, model=model)


@dataclass(slots=True, kw_only=True)
class Desk:
    """A board and its actions, and the session under them.

    Attributes:
        session: Whose conversations.
        backend: Who answers.
        feed: Where the board draws.
        board: The board.
        actions: What the page can do.
        names: The user's variables.
    """

    session: Session
    backend: ScriptedBackend
    feed: Feed
    board: Board
    actions: Actions
    names: dict[str, Any] = field(default_factory=dict)

    def do(self, name: str, /, *, buffers: Sequence[Any] = (), **fields: Any) -> Done:
        """Do what a page says."""
        return self.actions.do(name, Said(fields), buffers)

    def ask(self, text: str, /, **fields: Any) -> str:
        """Ask, and wait for the answer; gives the slot's id."""
        slot = self.begin("ask", text=text, **fields)
        self.wait()
        return slot

    def begin(self, name: str, /, **fields: Any) -> str:
        """Begin an ask; gives the slot's id."""
        done = self.do(name, **fields)
        assert done.is_ok, done.line
        slot: str = done.data["slot"]
        return slot

    def wait(self) -> None:
        """Until nothing is being answered."""
        for run in self.session.watchers.runs:
            assert run.wait(WAIT_S)

    def state(self) -> dict[str, Any]:
        """What a page sees now."""
        with self.feed.lock:
            assert self.board.fill(until=math.inf)
            self.feed.patch()
            return self.feed.snapshot()

    def rows(self) -> list[Mapping[str, Any]]:
        """The turns a page sees now, in order."""
        state = self.state()
        return [state["turns"][slot_id] for slot_id in state["order"]]

    def slot(self, number: int) -> Slot:
        """A slot of the current conversation."""
        return self.session.current.numbered(number)


def make_desk(*scripts: Script, clock: Callable[[], float] = time.monotonic) -> Desk:
    """A desk whose model answers from scripts; without any, ``Hello.``."""
    backend = ScriptedBackend(scripts or [says("Hello.")])
    config = Config(environ={"LLM_MAGIC_MODEL": "m"})
    session = Session(config=config, registry=_Scripted(backend), conversation_type=Conversation)
    feed = Feed("panel")
    board = Board(session, feed, lambda: None, clock=clock)
    names: dict[str, Any] = {}
    actions = Actions(session, board, namespace=lambda: names, hidden=("In",))
    session.watch(board.note)
    return Desk(session=session, backend=backend, feed=feed, board=board, actions=actions, names=names)
