"""What an ask used and cost: as the server says, else as counted here and flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import cost_usd
from .counts import Usage
from .errors import BackendError
from .tokens import count_messages, count_text

if TYPE_CHECKING:
    from .asks import Plan
    from .backends.base import Request
    from .errors import LLMMagicError
    from .turns import TurnBuilder


def may_be_billed(builder: TurnBuilder, error: LLMMagicError | None) -> bool:
    """An answer that was stopped, or broke off, has cost something; one that was refused has not."""
    if error is None or builder.is_opened:
        return True
    return isinstance(error, BackendError) and error.is_billable


def estimated(request: Request, builder: TurnBuilder, *, more: str = "") -> Usage:
    """The tokens of a request and of what has been answered so far, counted here; ``more`` was answered beside it."""
    sent = count_messages(request.messages, request.model).tokens
    answered = count_text(builder.output_text + more, request.model).tokens
    return Usage(input_tokens=sent, output_tokens=answered, total_tokens=sent + answered, is_estimate=True)


def price(plan: Plan, usage: Usage, model: str | None) -> float | None:
    """What tokens cost, in US dollars; None where no price is known.

    Args:
        plan: What was asked of whom.
        usage: The tokens.
        model: The model that answered, None where none has said so.
    """
    if plan.info.is_local or not usage.total_tokens:
        return 0.0
    known = cost_usd(usage, model or plan.request.model, provider=plan.info.provider, at=plan.base.at)
    if known is None and model and model != plan.request.model:
        return cost_usd(usage, plan.request.model, provider=plan.info.provider, at=plan.base.at)
    return known
