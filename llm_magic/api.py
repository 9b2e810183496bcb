"""The Python side of the engine: Conversation with its asks, and the functions of the module.

The same session, the same engine and the same ledger as the magics.
"""

from __future__ import annotations

import atexit
import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias, get_args

from . import continuation, export
from . import slots as base
from .archive import Scope
from .asks import Ask
from .backends.registry import backend_names
from .config import SETTINGS, checked_parameter
from .content import Message
from .errors import ConfigurationError
from .events import TextDelta
from .ledger import frame_of
from .reply import Reply
from .run import Run, checked
from .session import Session
from .values import Limits, to_parts
from .watch import watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import pandas as pd

    from .backends.base import Backend
    from .call_log import CallEvent
    from .events import Event
    from .turns import Turn

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

    def ask(self, *parts: Askable, **options: Any) -> Reply:
        """Ask, and wait for the answer.

        Args:
            parts: Text, pictures, DataFrames …, in order; see ``register_content`` for more.
            options: ``keep`` (default True), ``fresh`` (default False), ``timeout_s``, any setting of
                ``%chat config`` by name, and any other request parameter by its OpenAI name.

        Raises:
            Interrupted: The user interrupted; what had arrived is kept.
            LLMMagicError: The ask cannot be sent, failed, or broke off.
        """
        return Reply(turn=checked(watch(lambda: self._run(parts, options))))

    async def aask(self, *parts: Askable, **options: Any) -> Reply:
        """Ask, and await the answer; see :meth:`ask`. Cancelling the task stops the answer."""
        return Reply(turn=await self._run(parts, options).aturn())

    def stream(self, *parts: Askable, **options: Any) -> Iterator[Event]:
        """Ask, and yield the events as they come; see :meth:`ask`. Closing the iterator stops the answer.

        Each ``TextDelta`` holds the piece as ``text`` and all text so far as ``snapshot``.

        Raises:
            LLMMagicError: As :meth:`ask`, after the last event.
        """
        run, with_snapshot = self._run(parts, options), Snapshots()
        try:
            yield from map(with_snapshot, run)
        finally:
            run.cancel()
            outcome = run.outcome()
        checked(outcome)

    async def astream(self, *parts: Askable, **options: Any) -> AsyncIterator[Event]:
        """Ask, and yield the events on the caller's own loop; see :meth:`stream`."""
        run, with_snapshot = self._run(parts, options), Snapshots()
        try:
            async for event in run:
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
        ask = again(self, number)
        owner = self.session or session()
        return Reply(turn=checked(watch(lambda: owner.ask(with_options(ask, options, backend=self.backend)))))

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
        ask = with_options(onward(self), options, backend=self.backend)
        return Reply(turn=checked(watch(lambda: owner.ask(ask))))

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

    def _run(self, parts: tuple[Askable, ...], options: Mapping[str, Any]) -> Run:
        owner = self.session or session()
        prompt = Message(role="user", parts=prompt_parts(owner, self, parts))
        ask = Ask(prompt=(prompt,), conversation=self)
        return owner.ask(with_options(ask, options, backend=self.backend))


class Snapshots:
    """Gives each piece of an answer's text all the text so far."""

    def __init__(self) -> None:
        self._text = ""

    def __call__(self, event: Event) -> Event:
        """The event, with its snapshot where it is text."""
        if not isinstance(event, TextDelta):
            return event
        self._text += event.text
        return replace(event, snapshot=self._text)


def prompt_parts(owner: Session, conversation: base.Conversation, values: tuple[Askable, ...]) -> Any:
    """Values as parts, by the session's limits."""
    limits = limits_for(owner, conversation)
    return tuple(part for value in values for part in to_parts(value, limits=limits))


def limits_for(owner: Session, conversation: base.Conversation, cell: Mapping[str, Any] | None = None) -> Limits:
    """How large pictures and tables may be, by the settings in force."""
    look_up = owner.look_up(conversation, cell)
    names = ("max_image_edge_px", "detail", "frame_rows", "frame_columns", "frame_bytes")
    return Limits(**{name: look_up(name).value for name in names})


def with_options(ask: Ask, options: Mapping[str, Any], *, backend: Backend | None = None) -> Ask:
    """An ask with Python keyword options: ours, settings, and request parameters."""
    rest = dict(options)
    is_kept, is_fresh = rest.pop("keep", ask.is_kept), rest.pop("fresh", ask.is_fresh)
    timeout_s = rest.pop("timeout_s", ask.timeout_s)
    settings = {name: SETTINGS[name].checked(rest.pop(name)) for name in list(rest) if name in SETTINGS}
    params = {name: checked_parameter(name, value) for name, value in rest.items()}
    return replace(
        ask,
        is_kept=is_kept,
        is_fresh=is_fresh,
        timeout_s=timeout_s,
        backend=backend,
        settings={**ask.settings, **settings},
        params={**{name: value for name, value in ask.params.items() if name not in settings}, **params},
    )


def again(conversation: base.Conversation, number: int | None) -> Ask:
    """The ask that repeats a turn, as it was sent, in its slot.

    Raises:
        ConfigurationError: There is no such turn, or it has not been answered yet.
    """
    slot = conversation.numbered(number if number is not None else len(conversation.slots))
    turn = slot.current or slot.latest
    if turn is None:
        raise ConfigurationError("That turn has not been answered yet.", hint="wait for it")
    return Ask(
        prompt=turn.prompt,
        conversation=conversation,
        slot=slot,
        is_fresh=turn.is_fresh,
        # Who asks again wants another answer.
        settings={"model": _model_of(turn, conversation), "system": turn.system or "", "cache": False},
        # None is not sent: what is set by now and was not then does not count.
        params={name: None for name, row in SETTINGS.items() if row.is_parameter} | dict(turn.settings),
    )


def _model_of(turn: Turn, conversation: base.Conversation) -> str | None:
    """The model that was asked, as it is named to be asked again."""
    has_backend = getattr(conversation, "backend", None) is not None
    is_named = turn.backend in backend_names() and turn.backend != "openai"
    if turn.requested_model and is_named and not has_backend:
        return f"{turn.backend}/{turn.requested_model}"
    return turn.requested_model or None


def onward(conversation: base.Conversation) -> Ask:
    """The ask that goes on with the partial answer of the last turn, in its slot.

    Raises:
        ConfigurationError: There is no such turn.
    """
    partial = continuation.partial_of(conversation)
    return replace(again(conversation, None), continues=partial)


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


def models(contains: str = "") -> pd.DataFrame:
    """The models the configured server offers: one row each, sorted by id.

    Args:
        contains: Only those whose id contains this, whatever its case.

    Raises:
        BackendError: The server cannot be asked.
    """
    return models_frame(session(), contains)


def models_frame(owner: Session, contains: str = "") -> pd.DataFrame:
    """As :func:`models`, of any session: columns id, owner (string), created (datetime64[ns, UTC])."""
    import pandas as pd

    from .safe_frames import DataFrame

    rows = owner.run(owner.models())
    found = sorted((row for row in rows if contains.lower() in str(row["id"]).lower()), key=lambda row: str(row["id"]))
    created = [row.get("created") or None for row in found]
    return DataFrame(
        {
            "id": pd.Series([str(row["id"]) for row in found], dtype="string"),
            "owner": pd.Series([row.get("owned_by") for row in found], dtype="string"),
            "created": pd.to_datetime(pd.Series(created, dtype="Float64"), unit="s", utc=True).astype(
                "datetime64[ns, UTC]"
            ),
        }
    )


def last() -> Turn | None:
    """The turn answered last, kept or not."""
    return session().last
