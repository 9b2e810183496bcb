"""What the panel's buttons do: a word and its fields from the page, to the session, and back a line or data.

Run in the kernel's main thread, between cells. What cannot be done is answered in one line, and nothing is lost: the
page keeps what was typed until it hears that it was taken.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import api, repeats, saving
from ..asks import Ask
from ..content import Message, TextPart
from ..errors import ConfigurationError, ContentError, LLMMagicError, did_you_mean
from ..revising import revise
from .attaching import attached
from .editing import editable, edited
from .names import names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..session import Session
    from ..slots import Slot
    from .board import Board
    from .said import Said

EXPORTS = ("md", "json", "jsonl", "csv")
log = logging.getLogger("llm_magic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an action.

    Attributes:
        is_ok: It was done.
        line: What the user should read, "" for nothing.
        data: What the page asked for, None where it asked for nothing.
    """

    is_ok: bool = True
    line: str = ""
    data: Any = None


class Actions:
    """The actions on one session.

    Args:
        session: Whose conversations.
        board: What the panel shows of them.
        namespace: Gives the user's variables.
        hidden: Names among them that are not the user's own.
    """

    def __init__(
        self,
        session: Session,
        board: Board,
        *,
        namespace: Callable[[], Mapping[str, Any]],
        hidden: Collection[str] = (),
    ) -> None:
        self._session = session
        self._board = board
        self._namespace = namespace
        self._hidden = hidden
        self._table: Mapping[str, Callable[[Said, Sequence[Any]], Done]] = {
            "ask": self._ask,
            "edit": self._edit,
            "retry": self._retry,
            "continue": self._continue,
            "pick": self._pick,
            "hide": lambda said, _: self._revise("hide", said),
            "unhide": lambda said, _: self._revise("unhide", said),
            "undo": lambda _said, _: Done(line=revise(session, "undo")),
            "redo": lambda _said, _: Done(line=revise(session, "redo")),
            "new": self._new,
            "use": self._use,
            "fork": self._fork,
            "model": self._model,
            "system": self._system,
            "names": self._names,
            "export": self._export,
            "earlier": self._earlier,
        }

    def do(self, name: str, said: Said, buffers: Sequence[Any] = ()) -> Done:
        """Do what the page says. What it changed is written down, and told to whoever watches the session."""
        try:
            return self._action(name)(said, buffers)
        except LLMMagicError as exc:
            return Done(is_ok=False, line=str(exc))
        except Exception as exc:
            # The page must get its answer, whatever breaks: what was typed would wait for it for ever.
            log.exception("the panel could not %s", name)
            return Done(is_ok=False, line=f"That failed: {type(exc).__name__}: {exc}")
        finally:
            self._session.keep_all()

    def _action(self, name: str) -> Callable[[Said, Sequence[Any]], Done]:
        if name not in self._table:
            hint = did_you_mean(name[:40], self._table, otherwise="reload the page")
            raise ConfigurationError(f"The panel does not know {name[:40]!r}.", hint=hint)
        return self._table[name]

    def _ask(self, said: Said, buffers: Sequence[Any]) -> Done:
        conversation = self._session.current
        limits = api.limits_for(self._session, conversation)
        parts = attached(said.several("with"), buffers, self._namespace(), limits=limits)
        text = said.text("text", default="")
        # Verbatim: what is typed here is nobody's code, braces or not.
        typed = (TextPart(text=text),) if text.strip() else ()
        prompt = Message(role="user", parts=(*typed, *parts))
        return self._begin(Ask(prompt=(prompt,), conversation=conversation, is_fresh=said.flag("fresh")))

    def _edit(self, said: Said, _buffers: Sequence[Any]) -> Done:
        slot = self._slot(said)
        turn = self._board.shown(slot)
        if turn is None:
            raise ConfigurationError("That turn is being answered.", hint="stop it first")
        if editable(turn.prompt) is None:
            raise ConfigurationError("That prompt is more than one message and cannot be edited.", hint="ask anew")
        prompt = edited(turn.prompt, said.text("text"))
        return self._begin(
            Ask(
                prompt=prompt,
                conversation=self._session.current,
                slot=slot,
                is_fresh=turn.is_fresh,
                tool_names=turn.tool_names,
            )
        )

    def _retry(self, said: Said, _buffers: Sequence[Any]) -> Done:
        return self._begin(repeats.again(self._session.current, self._number(said)))

    def _continue(self, _said: Said, _buffers: Sequence[Any]) -> Done:
        return self._begin(repeats.onward(self._session.current))

    def _begin(self, ask: Ask) -> Done:
        if not any(message.parts for message in ask.prompt):
            raise ContentError("There is nothing to ask.", hint="write a question, or attach something")
        run = self._session.ask(replace(ask, is_attended=True))
        return Done(data={"slot": self._board.slot_of(run.turn_id)})

    def _pick(self, said: Said, _buffers: Sequence[Any]) -> Done:
        slot = self._slot(said)
        version = said.number("v")
        turn = slot.version(version)
        self._board.look_at(slot, None if turn.is_sendable else turn)
        if not turn.is_sendable:
            return Done(line=f"version {version} cannot count: it is only shown")
        return Done(line=revise(self._session, "pick", self._number(said), version))

    def _revise(self, command: str, said: Said) -> Done:
        return Done(line=revise(self._session, command, self._number(said)))

    def _new(self, said: Said, _buffers: Sequence[Any]) -> Done:
        name = said.text("name", default="").strip()
        is_afresh = any(one.name == name and one.slots for one in self._session.conversations)
        made = self._session.new(name or None)
        former = "; the former of that name is archived" if is_afresh else ""
        return Done(line=f"conversation {made.name!r} begun{former}")

    def _use(self, said: Said, _buffers: Sequence[Any]) -> Done:
        used = self._session.use(said.text("name"))
        return Done(line=f"conversation {used.name!r}")

    def _fork(self, said: Said, _buffers: Sequence[Any]) -> Done:
        parent = self._session.current.name
        name = said.text("name", default="").strip() or self._free(f"{parent}-fork")
        made = self._session.fork(name, at=said.number("at") if "at" in said else None)
        return Done(line=f"conversation {made.name!r} goes on from {parent!r}")

    def _free(self, name: str) -> str:
        taken = {conversation.name for conversation in self._session.conversations}
        numbered = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
        return next(one for one in numbered if one not in taken)

    def _model(self, said: Said, _buffers: Sequence[Any]) -> Done:
        name = said.text("name").strip()
        self._session.current.model = name or None
        return Done(line=f"model {name}" if name else "the session's model")

    def _system(self, said: Said, _buffers: Sequence[Any]) -> Done:
        text = said.text("text")
        self._session.current.system = text if text.strip() else ""
        return Done(line="system prompt set" if text.strip() else "no system prompt")

    def _names(self, _said: Said, _buffers: Sequence[Any]) -> Done:
        return Done(data=names(self._namespace(), hidden=self._hidden))

    def _export(self, said: Said, _buffers: Sequence[Any]) -> Done:
        form = said.text("form")
        if form not in EXPORTS:
            raise ConfigurationError(f"There is no export as {form[:40]!r}.", hint="one of " + ", ".join(EXPORTS))
        conversation = self._session.current
        name = re.sub(r"[^\w.-]+", "-", conversation.name).strip("-.") or "conversation"
        text = saving.encoded(conversation, f".{form}").decode("utf-8")
        return Done(data={"name": f"{name}.{form}", "text": text})

    def _earlier(self, _said: Said, _buffers: Sequence[Any]) -> Done:
        self._board.show_earlier()
        return Done()

    def _slot(self, said: Said) -> Slot:
        slot = self._session.current.slot(said.text("slot"))
        if slot is None:
            raise ConfigurationError("That turn is not in this conversation any more.", hint="redo may bring it back")
        return slot

    def _number(self, said: Said) -> int:
        return self._session.current.slots.index(self._slot(said)) + 1
