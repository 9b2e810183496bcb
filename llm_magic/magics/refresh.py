"""``%chat refresh``: which turns it asks again, and what that will cost, before anything is asked.

Each new answer makes the turns after it stale, so everything from the first stale turn on is asked again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import repeats, tokens
from ..accounting import price
from ..counts import Usage
from ..errors import Interrupted, LLMMagicError
from ..money import dollars
from ..wording import count, prompt_line, turns_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..asks import Plan
    from ..content import Message
    from ..session import Session
    from ..slots import Conversation, Slot
    from ..turns import Turn
    from .asking import Asker


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn to ask again.

    Attributes:
        number: The turn's number.
        slot_id: Its slot.
        input_tokens: Tokens of the request as it would be sent now. Count, estimated.
        output_tokens: Tokens of the last answer, which the next may well be as long as. Count.
        cost_usd: Price of both in US dollars, None where no price is known; 0.0 for a local model.
        is_local: The model runs on this machine.
    """

    number: int
    slot_id: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    is_local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshPlan:
    """What a refresh asks; its text is for people.

    Attributes:
        n_stale: Turns that are stale now. Count.
        steps: The turns to ask again, in order: all from the first stale one on, but those asked without context.
    """

    n_stale: int = 0
    steps: tuple[Step, ...] = ()

    @property
    def price(self) -> str:
        """What it will cost, for people: estimated, "≥" where a price is unknown."""
        known = [step.cost_usd for step in self.steps if step.cost_usd is not None]
        if all(step.is_local for step in self.steps):
            return "free"
        if not any(known) and len(known) < len(self.steps):
            return "price unknown"
        return f"{'≥ ' if len(known) < len(self.steps) else ''}~{dollars(sum(known))}"

    def __str__(self) -> str:
        if not self.steps:
            return "nothing is stale: nothing to ask again"
        sent, answered = sum(step.input_tokens for step in self.steps), sum(step.output_tokens for step in self.steps)
        return (
            f"{count(self.n_stale, 'stale turn')}; {turns_text([step.number for step in self.steps])} to ask again: "
            f"{count(len(self.steps), 'request')}, ~{sent:,} tokens in, ~{answered:,} out, {self.price}"
        )


def plan_refresh(session: Session, conversation: Conversation) -> RefreshPlan:
    """Which turns are asked again, and what that will cost. Nothing is sent.

    Raises:
        LLMMagicError: One of them could not be sent: no key, for example.
    """
    stale = conversation.context().stale
    rows = [
        (number, slot, turn) for number, slot in enumerate(conversation.slots, 1) if (turn := slot.sent) is not None
    ]
    first = next((place for place, (_, slot, _) in enumerate(rows) if slot.id in stale), len(rows))
    planned = [
        (number, slot, turn, session.plan(repeats.again(conversation, number)))
        for number, slot, turn in rows[first:]
        if not turn.is_fresh
    ]
    # The requests overlap: each message is counted once. All are alive in the plans, so that an id means one message.
    counted: dict[tuple[str, int], int] = {}
    return RefreshPlan(n_stale=len(stale), steps=tuple(_step(*one, counted) for one in planned))


def refresh(asker: Asker, conversation: Conversation, plan: RefreshPlan, say: Callable[[str], None]) -> None:
    """Ask the turns of a plan again, one after the other; each is shown under its number.

    Args:
        asker: Asks and shows.
        conversation: Whose turns.
        plan: Which of them.
        say: Prints a line.

    Raises:
        Interrupted: The user interrupted; what was asked so far is kept.
        LLMMagicError: One failed or broke off; the turns after it were not asked.
    """
    for done, step in enumerate(plan.steps):
        so_far = f"refresh stopped at turn {step.number}, {done} of {len(plan.steps)} asked again before it"
        slot = conversation.slot(step.slot_id)
        try:
            if slot is not None and slot.sent is not None:
                say(f"turn {step.number}: {prompt_line(slot.sent)}")
                asker.show(repeats.again(conversation, conversation.slots.index(slot) + 1))
        except KeyboardInterrupt as exc:
            raise Interrupted(f"{exc}; {so_far}" if str(exc) else so_far) from None
        except LLMMagicError:
            say(f"{so_far}; %chat refresh goes on")
            raise


def _step(number: int, slot: Slot, turn: Turn, plan: Plan, counted: dict[tuple[str, int], int]) -> Step:
    model = plan.request.model
    sent = _input_tokens(plan.request.messages, model, counted)
    answered = turn.usage.output_tokens or tokens.count_text(turn.text, model).tokens
    usage = Usage(input_tokens=sent, output_tokens=answered, total_tokens=sent + answered, is_estimate=True)
    is_local = plan.info.is_local
    return Step(
        number=number,
        slot_id=slot.id,
        input_tokens=sent,
        output_tokens=answered,
        cost_usd=price(plan, usage, None),
        is_local=is_local,
    )


def _input_tokens(messages: tuple[Message, ...], model: str, counted: dict[tuple[str, int], int]) -> int:
    """Tokens of a request: what any request costs, and each of its messages."""
    alone = tokens.count_messages((), model).tokens
    for message in messages:
        if (model, id(message)) not in counted:
            counted[model, id(message)] = tokens.count_messages((message,), model).tokens - alone
    return alone + sum(counted[model, id(message)] for message in messages)
