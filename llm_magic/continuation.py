"""Going on with a partial answer: what can be gone on with, what is sent for it, and how the rest is joined to it.

Comes in: a partial turn, and what the backend can do. Goes out: the request, and the events of the rest as if the
answer had never stopped. Where the server takes the partial answer as the beginning of its own, that is all there is
to it; every other model is asked to repeat the last words, which tells where to join (``joining.py``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .content import message
from .errors import ConfigurationError
from .events import Completed, Notice, Retrying, TextDelta
from .joining import TAG, Asked, Joint, anchor_of, cut_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from .backends.base import Continues, Request
    from .content import Message
    from .events import Event
    from .joining import State
    from .slots import Conversation
    from .turns import Turn, TurnBuilder

_RETRY = "%chat retry asks it again"


def is_partial(turn: Turn) -> bool:
    """The answer ends before its end: interrupted, truncated, or cut off at the limit of tokens."""
    is_cut = turn.status in ("interrupted", "truncated") or turn.finish_reason == "length"
    return is_cut or (turn.status == "failed" and bool(turn.steps))


def partial_of(conversation: Conversation) -> Turn:
    """The answer to go on with: the version that counts of the last turn.

    Raises:
        ConfigurationError: There is none, it is whole, or it is none that can be gone on with.
    """
    if not conversation.slots:
        raise ConfigurationError("There is no turn to go on with.", hint="%%chat asks one")
    number, slot = len(conversation.slots), conversation.slots[-1]
    turn = slot.current
    if slot.latest is None:
        raise ConfigurationError(f"Turn {number} has not been answered yet.", hint="wait for it")
    if turn is None and slot.latest.steps:
        # Its tools have run: it goes on with what they gave.
        turn = slot.latest
    if turn is None:
        raise ConfigurationError(f"Turn {number} has no text to go on from.", hint=_RETRY)
    if not is_partial(turn):
        raise ConfigurationError(f"Turn {number} is whole.", hint=_RETRY)
    if turn.tool_calls:
        raise ConfigurationError(f"Turn {number} calls a tool, which cannot be gone on with.", hint=_RETRY)
    if turn.refusal:
        raise ConfigurationError(f"Turn {number} is a refusal, which cannot be gone on with.", hint=_RETRY)
    return turn


def rounds_of(former: Turn) -> tuple[Message, ...]:
    """The rounds of tools of a partial turn: what they gave is not asked for again."""
    return tuple(item for step in former.steps for item in step.messages())


def going_on(former: Turn, request: Request, base: Turn, *, way: Continues) -> tuple[Request, Turn]:
    """The request and the turn that go on with a partial answer.

    White space at its end is left to the model: after a space it could not begin the next word as it does, and some
    servers refuse such a message.

    Args:
        former: The partial turn.
        request: As its prompt would be asked again.
        base: The turn as it would begin then.
        way: What the backend can do.
    """
    text = former.text.rstrip()
    base = replace(
        base,
        text=text,
        reasoning=former.reasoning,
        steps=former.steps,
        # Repeated tokens, and those of the white space, have log probabilities too: no row of them fits the text.
        logprobs=former.logprobs if way == "prefix" and text == former.text else None,
        continues=former.id,
        seen=former.seen,
    )
    if not text:
        return request, base
    so_far = message("assistant", text)
    if way == "prefix":
        return replace(request, messages=(*request.messages, so_far)), base
    please = message("user", _please(text))
    # The rest of an answer does not have the form of a whole one.
    params = {name: value for name, value in request.params.items() if name != "response_format"}
    return replace(request, messages=(*request.messages, so_far, please), params=params), base


def _please(text: str) -> str:
    return (
        "Your last message was cut off. Go on with it from exactly where it ends, as if it had never stopped.\n"
        "Begin by repeating its last words, letter by letter, without these tags:\n"
        f"<{TAG}>{anchor_of(text)}</{TAG}>\n"
        "Then go straight on. Write nothing else: no greeting, no comment, no new beginning of a code block."
    )


class Seam:
    """Hands on the events of an answer, joined to the answer they go on with.

    Args:
        former: The partial turn that is gone on with; None lets everything pass as it is.
        way: What the backend can do.
        builder: Keeps. It begins with the text of the partial turn.
        show: Shows. It is given that text once the server has accepted the request.
        take: Is given all events of the answer, to be kept and shown.
    """

    def __init__(
        self,
        former: Turn | None,
        way: Continues,
        *,
        builder: TurnBuilder,
        show: Callable[[Event], None],
        take: Callable[[Event], None],
    ) -> None:
        self._builder = builder
        self._show = show
        self._take = take
        self._to_show = builder.text
        self._joint = _joint(former, way) if former is not None and builder.text else None

    def add(self, event: Event) -> None:
        """Take the next event."""
        if self._to_show and not isinstance(event, Retrying | Notice):
            self._show(TextDelta(text=self._to_show))
            self._to_show = ""
        match event:
            case TextDelta(text=text) if self._joint is not None:
                self._say(self._joint, self._joint.add(text))
            case Completed():
                self.end("whole")
                self._take(event)
            case _:
                self._take(event)

    def end(self, state: State = "broken") -> None:
        """No more text comes: what was held back is joined as well as can be. Doing it twice does no harm."""
        joint, self._joint = self._joint, None
        if joint is not None:
            self._say(joint, joint.end(state))

    def _say(self, joint: Joint, text: str) -> None:
        self._builder.left_out = joint.left_out
        if text:
            self._take(TextDelta(text=text))


def _joint(former: Turn, way: Continues) -> Joint:
    text = former.text.rstrip()
    if way == "prefix":
        return Joint(lambda came, state: cut_prefix(text, came, state))
    return Joint(Asked(text, former.text[len(text) :]).cut)
