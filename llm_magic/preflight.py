"""Before a request is sent: can the model do what is asked, does the request fit, may it be paid for?

Comes in: a :class:`~llm_magic.asks.Plan`, later each further request of its turn. Goes out: the request, perhaps
without the oldest turns, or an error that says what to do; and, for people, what a request is made of and costs.
Whatever is refused here for what is known of a model can be sent all the same: ``--force``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .accounting import count_request, form_of, known, price
from .budgets import Rates
from .content import ImagePart, TextPart
from .counts import Usage
from .errors import ConfigurationError, ContextLengthError
from .events import Notice
from .model_info import abilities
from .picture_tokens import picture_tokens
from .tokens import count_messages, count_part, count_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .asks import Plan
    from .backends.base import Request
    from .budgets import Purse
    from .content import Message
    from .events import Event
    from .model_info import Abilities, ModelInfo
    from .tokens import Count, Method

# No model in use reads less than this: a request that cannot have more tokens needs no look at windows.
_FITS_ALWAYS = 2000
# A count by another tokenizer than the model's own is believed where it is beyond the window by this factor.
_MARGIN = 1.2
_MTOK = 1_000_000
_FORCE = "--force sends it all the same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that is sent, and its tokens.

    Attributes:
        what: "system", "turn 3", "prompt", "tools", "schema" or "frame", which is what begins the answer.
        tokens: Count.
        is_estimate: The count is no exact one.
        method: What counted.
    """

    what: str
    tokens: int
    is_estimate: bool
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a request is made of, and what it costs.

    Attributes:
        items: Its pieces, in order; their tokens add up to all of it.
        pictures: How many pictures are in it. Count.
        picture_tokens: Their tokens, which are part of the items'. Count.
        info: What is known of the model.
        cost_usd: Price of the input in US dollars, None where no price is known; 0.0 for a local model.
    """

    items: tuple[Item, ...]
    pictures: int
    picture_tokens: int
    info: ModelInfo
    cost_usd: float | None

    @property
    def tokens(self) -> int:
        """All tokens of the request."""
        return sum(item.tokens for item in self.items)

    @property
    def is_estimate(self) -> bool:
        """Something in it was not counted exactly."""
        return any(item.is_estimate for item in self.items)

    @property
    def remaining(self) -> int | None:
        """Tokens left for the answer, below 0 where it does not fit; None where the window is not known."""
        return None if self.info.window is None else self.info.window - self.tokens


def can(plan: Plan) -> Abilities:
    """What the model of a plan can do."""
    return abilities(plan.request.model, plan.info.provider, listed=plan.listed, facts=plan.facts)


def measure(plan: Plan) -> Measure:
    """What the request of a plan is made of."""
    request, model = plan.request, plan.request.model
    items = list(_items(plan))
    seen = [part for item in request.messages for part in item.parts if isinstance(part, ImagePart)]
    usage = Usage(input_tokens=sum(item.tokens for item in items))
    return Measure(
        items=tuple(items),
        pictures=len(seen),
        picture_tokens=sum(picture_tokens(part, model).tokens for part in seen),
        info=known(plan),
        cost_usd=price(plan, usage, None),
    )


def _items(plan: Plan) -> Iterator[Item]:
    request, numbers = plan.request, dict[str, int]()
    for number, slot in enumerate(plan.conversation.slots, 1):
        numbers |= {turn.id: number for turn in slot.versions}
    rest = list(request.messages)
    if rest and rest[0].role == "system" and plan.base.system:
        yield _item("system", _alone([rest.pop(0)], request.model))
    for turn in plan.context.turns:
        size = len(turn.messages())
        yield _item(f"turn {numbers.get(turn.id, '?')}", _alone(rest[:size], request.model))
        del rest[:size]
    yield _item("prompt", _alone(rest, request.model))
    if request.tools:
        yield _item("tools", count_tools(request.tools, None, request.model))
    if (counted := count_tools((), form_of(request), request.model)).tokens:
        yield _item("schema", counted)
    yield _item("frame", count_messages((), request.model))


def _item(what: str, counted: Count) -> Item:
    return Item(what=what, tokens=counted.tokens, is_estimate=counted.is_estimate, method=counted.method)


def _alone(messages: list[Message], model: str) -> Count:
    """Messages without what begins the answer, which every request has once."""
    counted = count_messages(messages, model)
    return replace(counted, tokens=counted.tokens - count_messages((), model).tokens)


def check_abilities(plan: Plan) -> None:
    """Refuse what the model is known not to do.

    Raises:
        ConfigurationError: It does not see pictures, or call functions. (Forms of answers are looked at in typed.py.)
    """
    if plan.ask.is_forced:
        return
    model = plan.request.model
    for needs, refusal in _needs(plan):
        if getattr(can(plan), needs) is False:
            raise ConfigurationError(f"{model} {refusal}.", hint=f"ask another with -m; {_FORCE}")


def unknown(plan: Plan) -> str | None:
    """A line on what is sent though nobody knows whether the model can do it; None where there is nothing such."""
    if plan.info.name == "local":
        return None
    named = [_WORDS[needs] for needs, _ in _needs(plan) if getattr(can(plan), needs) is None]
    if not named:
        return None
    return f"not known whether {plan.request.model} takes {' and '.join(named)}: tried"


_WORDS = {"vision": "pictures", "tools": "tools"}


def _needs(plan: Plan) -> Iterator[tuple[str, str]]:
    """What the request needs, by the name of the ability, and how it is said that it is missing."""
    messages = plan.request.messages
    if any(isinstance(part, ImagePart) for item in messages for part in item.parts):
        where = "" if any(isinstance(part, ImagePart) for item in plan.ask.prompt for part in item.parts) else _EARLIER
        yield "vision", f"does not see pictures{where}"
    if plan.request.tools:
        yield "tools", "does not call functions"


_EARLIER = ", and an earlier turn has one (%chat hide leaves a turn out)"


class Admission:
    """Lets the requests of one turn be sent, one after the other.

    Args:
        plan: The ask.
        purse: What it may spend.
    """

    def __init__(self, plan: Plan, purse: Purse) -> None:
        self._plan = plan
        self._purse = purse

    def __call__(self, request: Request, tell: Callable[[Event], None]) -> Request:
        """The request as it is to be sent.

        Args:
            request: What is to be sent.
            tell: Is told with a notice where something is left out.

        Raises:
            ConfigurationError: The model is known not to do what is asked; or a budget is in dollars, and no price is
                known.
            ContextLengthError: It is longer than the model reads.
            BudgetExceededError: There is no money for it.
        """
        check_abilities(self._plan)
        request = self._fitted(request, tell)
        if self._purse.is_bounded:
            self._purse.admit(self._rates(request))
        return request

    def _rates(self, request: Request) -> Rates:
        sent = count_request(request).tokens
        alone = price(self._plan, Usage(input_tokens=sent, total_tokens=sent), None)
        # Of a million: what one token costs is too small a number for a price list.
        usage = Usage(input_tokens=sent, output_tokens=_MTOK, total_tokens=sent + _MTOK)
        both = price(self._plan, usage, None)
        each = None if alone is None or both is None else (both - alone) / _MTOK
        return Rates(input_tokens=sent, input_usd=alone, output_usd=each)

    def _fitted(self, request: Request, tell: Callable[[Event], None]) -> Request:
        excess = 0 if self._plan.ask.is_forced else self._excess(request)
        if not excess:
            return request
        if self._plan.drops_oldest:
            fitted, dropped = self._without_oldest(request, excess)
            if dropped:
                left = f"the {dropped} oldest turns were" if dropped > 1 else "the oldest turn was"
                tell(Notice(text=f"{left} not sent: the request would have been too long for {request.model}"))
                return fitted
        raise self._too_long(request)

    def _excess(self, request: Request) -> int:
        """How many tokens too many a request has; 0 where it fits, or nobody knows what the model reads."""
        most = _most_tokens(request)
        if most <= _FITS_ALWAYS:
            return 0
        window = known(self._plan).window
        if window is None or most < window:
            return 0
        counted = count_request(request)
        limit = round(window * _MARGIN) if counted.is_estimate else window
        # The answer needs a place, too.
        return max(0, counted.tokens + 1 - limit)

    def _without_oldest(self, request: Request, excess: int) -> tuple[Request, int]:
        """The request without as many of the oldest turns as it takes, and how many that are; 0 where none helps."""
        turns, messages = self._plan.context.turns, list(request.messages)
        first = self._plan.context.messages[:1]
        start = next((place for place, item in enumerate(messages) if first and item is first[0]), None)
        if start is None:
            return request, 0
        for dropped, turn in enumerate(turns, 1):
            own = turn.messages()
            # Whole turns only: a tool's message must not stand without the call it answers.
            del messages[start : start + len(own)]
            excess -= _alone(list(own), request.model).tokens
            if excess <= 0:
                return replace(request, messages=tuple(messages)), dropped
        return request, 0

    def _too_long(self, request: Request) -> ContextLengthError:
        counted, window = count_request(request), known(self._plan).window
        about = "~" if counted.is_estimate else ""
        return ContextLengthError(
            f"The request has {about}{counted.tokens:,} tokens, and {request.model} reads {window:,}.",
            hint="leave turns out (%chat hide N, %chat prune), let it happen by itself "
            f"(%chat config overflow=drop_oldest), or ask a model that reads more; {_FORCE}",
        )


def _most_tokens(request: Request) -> int:
    """What a request has at most, without a tokenizer: every token is at least a byte of the text."""
    tokens = sum(_bytes(part.text) for item in request.messages for part in item.parts if isinstance(part, TextPart))
    for item in request.messages:
        tokens += 16 + sum(_bytes(call.name) + _bytes(call.arguments) for call in item.tool_calls)
        tokens += sum(count_part(part, request.model).tokens for part in item.parts if not isinstance(part, TextPart))
    # A schema's text is a bit longer in JSON, where quotes are escaped.
    return tokens + 2 * sum(_bytes(repr(tool)) for tool in request.tools) + 2 * _bytes(repr(form_of(request) or ""))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)
