"""The Python side of the engine: Conversation with its asks, and the functions of the module.

The same session, the same engine and the same ledger as the magics.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import functools
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias, get_args

from . import export, offers
from . import slots as base
from .archive import Scope
from .asks import Ask, limits_of
from .content import Message
from .errors import ConfigurationError, ToolError
from .events import NextRound, TextDelta, ToolProgress
from .ledger import frame_of
from .parameters import by_own_names, checked_parameter
from .repeats import again, onward
from .reply import Reply
from .run import Run, checked
from .schemas import schema_among
from .session import Session
from .settings import SETTINGS
from .tools import toolset
from .values import asked_parts
from .watch import watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    import pandas as pd

    from .backends.base import Backend
    from .call_log import CallEvent
    from .events import Event
    from .tools import Tool
    from .turns import Turn
    from .values import Limits

Askable: TypeAlias = Any


@dataclass(slots=True, kw_only=True, repr=False)
class Conversation(base.Conversation):
    """A conversation that can be asked.

    Attributes:
        backend: Who answers; None takes the configured one.
        session: Whose configuration and ledger are used; the notebook's where not given.

    Example:
        >>> chat = Conversation(system="Answer in one word.")
        >>> chat.turns
        ()
    """

    backend: Backend | None = field(default=None, compare=False)
    session: Session | None = field(default=None, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """All but the session, whose threads and files stay where they are: elsewhere it is that of the notebook."""
        return {item.name: getattr(self, item.name) for item in fields(self)} | {"session": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = type(self).__new__(type(self))
        made.__setstate__(copy.deepcopy(self.__getstate__(), memo) | {"session": self.session})
        return made

    def ask(self, *parts: Askable, **options: Any) -> Reply:
        """Ask, and wait for the answer.

        Args:
            parts: Text, pictures, DataFrames …, in order; see ``register_content`` for more.
            options: ``schema`` (the type of the answer, see docs/typed.md), ``json_output`` (True: any JSON object),
                ``tools`` (a list of functions, methods, pydantic models or schemas the model may call), ``keep``
                (default True), ``fresh``, ``force`` (default False), ``timeout_s``, any setting of ``%chat config`` by
                name, and any other request parameter by its OpenAI name. ``budget`` is that of this ask: US dollars
                (0.05), or tokens ("20000tok").

        Raises:
            Interrupted: The user interrupted; what had arrived is kept.
            LLMMagicError: The ask cannot be sent, failed, or broke off.
        """
        return self._replied(checked(watch(lambda: self._run(parts, options, is_watched=True))))

    async def aask(self, *parts: Askable, **options: Any) -> Reply:
        """Ask, and await the answer; see :meth:`ask`. Cancelling the task stops the answer.

        Nobody is asked whether a tool may run: those that are marked read-only do, the others where the setting
        ``tool_permission`` is auto.
        """
        return self._replied(await self._run(parts, options, is_attended=False).aturn())

    def stream(self, *parts: Askable, **options: Any) -> Iterator[Event]:
        """Ask, and yield the events as they come; see :meth:`ask`. Closing the iterator stops the answer.

        Each ``TextDelta`` holds the piece as ``text`` and all text so far as ``snapshot``. A ``ToolProgress`` with a
        ``question`` is answered before the next event is taken, by ``event.question.answer("yes")``; else it is no.

        Raises:
            LLMMagicError: As :meth:`ask`, after the last event.
        """
        run, with_snapshot = self._run(parts, options), Snapshots()
        try:
            for event in run:
                with denied_at_last(event):
                    yield with_snapshot(event)
        finally:
            run.cancel()
            outcome = run.outcome()
        checked(outcome)

    async def astream(self, *parts: Askable, **options: Any) -> AsyncIterator[Event]:
        """Ask, and yield the events on the caller's own loop; see :meth:`stream`."""
        run, with_snapshot = self._run(parts, options), Snapshots()
        try:
            async for event in run:
                with denied_at_last(event):
                    yield with_snapshot(event)
        finally:
            run.cancel()
        await run.aturn()

    def retry(self, number: int | None = None, **options: Any) -> Reply:
        """Ask a turn again, as it was sent: a new version in its slot.

        Args:
            number: The turn's number as ``%chat`` prints it; None is the last.
            options: As for :meth:`ask`, over what was sent.
        """
        owner = self.session or session()
        ask = watched(with_options(again(self, number), options, backend=self.backend))
        return self._replied(checked(watch(lambda: owner.ask(ask))))

    def go_on(self, **options: Any) -> Reply:
        """Go on with the last turn, whose answer is partial: interrupted, broken off, or cut at the limit of tokens.

        The result is a new version that holds the former text and the rest; only the rest is asked and paid for, and
        what little a model has to repeat. ``%chat continue`` does the same.

        Args:
            options: As for :meth:`ask`, over what was sent.

        Raises:
            ConfigurationError: There is no such turn.
            Interrupted: The user interrupted; what had arrived is kept, and can be gone on with.
            LLMMagicError: As :meth:`ask`.
        """
        owner = self.session or session()
        ask = watched(with_options(onward(self), options, backend=self.backend))
        return self._replied(checked(watch(lambda: owner.ask(ask))))

    def to_frame(self) -> pd.DataFrame:
        """One row per message of every version; columns and dtypes are fixed, see ``export.to_frame``."""
        return export.to_frame(self)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """The inverse of :meth:`to_frame`.

        Raises:
            StoreError: The frame is not one of ours.
        """
        return export.from_frame(frame, cls=cls)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON-able dict."""
        return export.to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.

        Raises:
            StoreError: The dict is not one of ours.
        """
        return export.from_dict(data, cls=cls)

    def to_jsonl(self) -> str:
        """The messages that would be sent, one line in OpenAI's fine-tuning format.

        ``llm_magic.check_jsonl`` says what a provider would refuse of it.
        """
        return export.to_jsonl(self)

    @classmethod
    def from_jsonl(cls, text: str, *, line: int | None = None) -> Self:
        """A conversation of messages in OpenAI's format, ``{"messages": [...]}`` or a message a line.

        Args:
            text: The lines.
            line: Which conversation, by a line of it, where there are several.

        Raises:
            StoreError: A line is not such a message, or there are several conversations and no line is given.
        """
        return export.from_jsonl(text, line=line, cls=cls)

    def to_markdown(self) -> str:
        """The conversation to read."""
        return export.to_markdown(self)

    def _replied(self, turn: Turn) -> Reply:
        return Reply(turn=turn, schema=(self.session or session()).types.of(turn.settings))

    def _run(
        self,
        parts: tuple[Askable, ...],
        options: Mapping[str, Any],
        *,
        is_watched: bool = False,
        is_attended: bool = True,
    ) -> Run:
        owner = self.session or session()
        prompt = Message(role="user", parts=prompt_parts(owner, self, parts))
        ask = Ask(prompt=(prompt,), conversation=self, is_watched=is_watched, is_attended=is_attended)
        return owner.ask(with_options(ask, options, backend=self.backend))


@contextlib.contextmanager
def denied_at_last(event: Event) -> Iterator[None]:
    """While somebody has an event: a question in it that is not answered then is answered no."""
    try:
        yield
    finally:
        if isinstance(event, ToolProgress) and event.question is not None:
            event.question.answer("no", why="nobody answered before the next event was taken")


def watched(ask: Ask) -> Ask:
    """The ask, made by a blocking call that answers questions."""
    return replace(ask, is_watched=True, is_attended=True)


class Snapshots:
    """Gives each piece of an answer's text all the text of its request so far."""

    def __init__(self) -> None:
        self._text = ""

    def __call__(self, event: Event) -> Event:
        """The event, with its snapshot where it is text: that of its own request, as the turn's is that of the last."""
        if isinstance(event, NextRound):
            self._text = ""
        if not isinstance(event, TextDelta):
            return event
        self._text += event.text
        return replace(event, snapshot=self._text)


def prompt_parts(owner: Session, conversation: base.Conversation, values: tuple[Askable, ...]) -> Any:
    """Values as parts, by the session's limits."""
    limits = limits_for(owner, conversation)
    return tuple(part for value in values for part in asked_parts(value, limits=limits))


def limits_for(owner: Session, conversation: base.Conversation, cell: Mapping[str, Any] | None = None) -> Limits:
    """How large pictures and tables may be, by the settings in force."""
    return limits_of(owner.look_up(conversation, cell))


def with_options(ask: Ask, options: Mapping[str, Any], *, backend: Backend | None = None) -> Ask:
    """An ask with Python keyword options: ours, settings, and request parameters."""
    rest = by_own_names(options)
    is_kept, is_fresh = rest.pop("keep", ask.is_kept), rest.pop("fresh", ask.is_fresh)
    timeout_s, is_forced = rest.pop("timeout_s", ask.timeout_s), rest.pop("force", ask.is_forced)
    schema = schema_among(rest)
    # A turn that is asked again in another form was sent with one of its own.
    before = {name: value for name, value in ask.params.items() if name != "response_format" or schema is None}
    tools, tool_names = (tools_of(rest.pop("tools")), ()) if "tools" in rest else (ask.tools, ask.tool_names)
    settings = {name: SETTINGS[name].checked(rest.pop(name)) for name in list(rest) if name in SETTINGS}
    params = {name: checked_parameter(name, value) for name, value in rest.items()}
    return replace(
        ask,
        is_kept=is_kept,
        is_fresh=is_fresh,
        timeout_s=timeout_s,
        tools=tools,
        tool_names=tool_names,
        schema=schema or ask.schema,
        is_forced=is_forced,
        backend=backend,
        settings={**ask.settings, **settings},
        params={**{name: value for name, value in before.items() if name not in settings}, **params},
    )


def tools_of(values: Iterable[Any] | None) -> tuple[Tool, ...]:
    """What ``tools=`` names.

    Raises:
        ToolError: It is no list, a value in it cannot be a tool, or two have one name.
    """
    if values is None:
        return ()
    if not isinstance(values, list | tuple):
        raise ToolError(f"tools is a list, not a {type(values).__name__}.", hint="tools=[function]")
    return toolset(values)


@functools.cache
def session() -> Session:
    """The process's session, made on first use; closed when the process ends."""
    made = Session(conversation_type=Conversation, is_kept=True)
    atexit.register(made.close)
    return made


def conversation() -> Conversation:
    """The current conversation, the one ``%%chat`` adds to."""
    current = session().current
    assert isinstance(current, Conversation)
    return current


def ask(*parts: Askable, **options: Any) -> Reply:
    """Ask the current conversation and keep the turn; see :meth:`Conversation.ask`."""
    return conversation().ask(*parts, **options)


def usage(scope: Scope = "notebook") -> pd.DataFrame:
    """Every request: one row each, columns and dtypes fixed, see ``ledger.frame_of``.

    Args:
        scope: Of this ``session``, of this ``notebook`` across restarts, or ``all`` that the store has.

    Raises:
        ConfigurationError: There is no such scope.
        StoreError: The store cannot be read.
    """
    return usage_frame(session(), scope)


def usage_frame(owner: Session, scope: Scope) -> pd.DataFrame:
    """As :func:`usage`, of any session."""
    if scope not in get_args(Scope):
        raise ConfigurationError(f"There is no scope {scope!r}.", hint="one of " + ", ".join(get_args(Scope)))
    return frame_of(owner.usage_rows(scope))


def on_call(function: Callable[[CallEvent], object], *, content: bool = False) -> Callable[[], object]:
    """Have a function called with what happens to every request: sent, its answer begins, ended.

    The same events go to the log ``llm_magic.calls`` as lines of JSON, at the level INFO, without what was said.

    Args:
        function: Called in a thread of this package's, where it must not block; see ``call_log.CallEvent``.
        content: With what was sent and answered.

    Returns:
        Ends it. Harmless when repeated.
    """
    return session().calls.listen(function, content=content)


def calls() -> pd.DataFrame:
    """What happened to this session's last requests, one row for each event; see ``call_log.COLUMNS``."""
    return session().calls.to_frame()


def models(contains: str = "", *, refresh: bool = False) -> pd.DataFrame:
    """The models the configured server offers, and what is known of them; columns as ``offers.models_frame``.

    Args:
        contains: Only those whose id contains this, whatever its case.
        refresh: Ask the server again: its list is asked for once a session.

    Raises:
        BackendError: The server cannot be asked.
    """
    return models_frame(session(), contains, refresh=refresh)


def models_frame(owner: Session, contains: str = "", *, refresh: bool = False) -> pd.DataFrame:
    """As :func:`models`, of any session."""
    rows = owner.run(owner.models(is_fresh=refresh))
    backend = owner.resolve(owner.look_up(owner.current)).backend
    return offers.models_frame(rows, backend.info(), contains=contains)


def last() -> Turn | None:
    """The turn answered last, kept or not."""
    return session().last
