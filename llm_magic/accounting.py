"""What an ask used and cost: as the server says, else as counted here and flagged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .counts import Usage
from .errors import BackendError
from .model_info import ModelInfo, cost_usd, model_info, priced
from .tokens import count_messages, count_text, count_tools

if TYPE_CHECKING:
    from .asks import Plan
    from .backends.base import Request
    from .errors import LLMMagicError
    from .tokens import Count
    from .turns import TurnBuilder


def known(plan: Plan) -> ModelInfo:
    """All that is known of the model of a plan."""
    return model_info(plan.request.model, provider=plan.info.provider, listed=plan.listed, facts=plan.facts)


def count_request(request: Request) -> Count:
    """All tokens of a request: messages, tools, and the form its answer must have."""
    sent = count_messages(request.messages, request.model)
    more = count_tools(request.tools, form_of(request), request.model)
    return replace(sent, tokens=sent.tokens + more.tokens, is_estimate=sent.is_estimate or more.is_estimate)


def form_of(request: Request) -> Any:
    """The form that the answer must have, which the model is told of; None where it is any text."""
    form = request.params.get("response_format")
    return None if form == {"type": "text"} else form


def may_be_billed(builder: TurnBuilder, error: LLMMagicError | None) -> bool:
    """An answer that was stopped, or broke off, has cost something; one that was refused has not."""
    if error is None or builder.is_opened:
        return True
    return isinstance(error, BackendError) and error.is_billable


def estimated(request: Request, builder: TurnBuilder, *, more: str = "") -> Usage:
    """The tokens of a request and of what has been answered so far, counted here; ``more`` was answered beside it."""
    sent = count_request(request).tokens
    answered = count_text(builder.output_text + more, request.model).tokens
    return Usage(input_tokens=sent, output_tokens=answered, total_tokens=sent + answered, is_estimate=True)


def price(plan: Plan, usage: Usage, model: str | None) -> float | None:
    """What tokens cost, in US dollars; None where no price is known.

    Args:
        plan: What was asked of whom.
        usage: The tokens.
        model: The model that answered, None where none has said so.
    """
    if plan.info.is_local or not (usage.total_tokens or usage.input_tokens or usage.output_tokens):
        return 0.0
    asked = plan.request.model
    provider, at = plan.info.provider, plan.base.at
    said = {**plan.listed, **plan.facts}
    if "input_usd_per_mtok" in said or "output_usd_per_mtok" in said:
        own = priced(usage, known(plan))
        if own is not None:
            return own
    found = cost_usd(usage, model or asked, provider=provider, at=at)
    if found is None and model and model != asked:
        return cost_usd(usage, asked, provider=provider, at=at)
    return found
