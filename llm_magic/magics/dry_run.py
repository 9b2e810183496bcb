"""What ``--dry-run`` shows, and the tables of tokens: what would be sent, how many tokens it has, at which price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import rendering
from ..asks import Ask
from ..content import Message, TextPart
from ..errors import LLMMagicError
from ..money import dollars
from ..preflight import Admission, measure

if TYPE_CHECKING:
    import pandas as pd

    from ..asks import Plan
    from ..preflight import Measure
    from ..session import Session


def plan_bundle(session: Session, plan: Plan) -> dict[str, str]:
    """What ``--dry-run`` shows: who would be asked what, how many tokens, at which price, and whether it could be."""
    request, measured = plan.request, measure(plan)
    tools = [str((tool.get("function") or tool).get("name")) for tool in request.tools]
    refusal = _refusal(session, plan)
    lines = [
        "Nothing was sent. This would be:",
        f"model: {request.model} ({plan.info.name}, {plan.info.base_url})",
        f"tokens: {_number(measured)} in, {_price(plan, measured)}",
        f"made of: {', '.join(f'{item.what} {item.tokens:,}' for item in measured.items)}",
        *([f"pictures: {measured.pictures}, {measured.picture_tokens:,} of the tokens"] if measured.pictures else []),
        *([f"tools: {', '.join(tools)}"] if tools else []),
        f"window: {_window(measured)}",
        *([f"it would not be sent: {refusal}"] if refusal is not None else []),
        f"parameters: {', '.join(_parameter(*item) for item in request.params.items()) or 'none'}",
        *(_message_line(message) for message in request.messages),
    ]
    text = rendering.plain_text("\n".join(lines))
    return {"text/plain": text, "text/html": rendering.answer_html(rendering.preformatted_html(text))}


def survey(session: Session, text: str | None) -> tuple[Plan, Measure]:
    """What an ask of the current conversation would send now.

    Args:
        session: Whose conversation.
        text: The prompt; None leaves it out.
    """
    prompt = Message(role="user", parts=(TextPart(text=text or ""),))
    plan = session.plan(Ask(prompt=(prompt,), conversation=session.current, is_kept=False))
    return plan, measure(plan)


def tokens_frame(measured: Measure, *, has_prompt: bool) -> pd.DataFrame:
    """One row for each thing that is sent: what, method (string), tokens (Int64), is_estimate (boolean).

    The rows add up to all of it: ``frame`` is what begins the answer, whatever is asked.
    """
    import pandas as pd

    from ..safe_frames import DataFrame

    items = [item for item in measured.items if has_prompt or item.what != "prompt"]
    return DataFrame(
        {
            "what": pd.Series([item.what for item in items], dtype="string"),
            "tokens": pd.Series([item.tokens for item in items], dtype="Int64"),
            "is_estimate": pd.Series([item.is_estimate for item in items], dtype="boolean"),
            "method": pd.Series([item.method for item in items], dtype="string"),
        }
    )


def tokens_line(plan: Plan, measured: Measure) -> str:
    """All of it in one line: tokens, window, price."""
    return f"{_number(measured)} tokens of {_window(measured)}; {_price(plan, measured)}"


def fullness(session: Session) -> str:
    """How full the model's window is with what the next ask would send before its prompt; "" where it is not known."""
    _, measured = survey(session, None)
    return "" if measured.info.window is None else f"{_number(measured)} of {measured.info.window:,} tokens used"


def _number(measured: Measure) -> str:
    return f"{'~' if measured.is_estimate else ''}{measured.tokens:,}"


def _window(measured: Measure) -> str:
    if measured.info.window is None or measured.remaining is None:
        return "unknown size"
    left = f"{'~' if measured.is_estimate else ''}{max(0, measured.remaining):,} left"
    return f"{measured.info.window:,}, {left}"


def _price(plan: Plan, measured: Measure) -> str:
    if plan.info.is_local:
        return "free"
    return "price unknown" if measured.cost_usd is None else f"{dollars(measured.cost_usd)} for the input"


def _refusal(session: Session, plan: Plan) -> str | None:
    """Why it would not be sent, None where it would be."""
    try:
        Admission(plan, session.gate.trial(plan))(plan.request, lambda _event: None)
    except LLMMagicError as exc:
        return str(exc)
    return None


def _message_line(message: Message) -> str:
    parts = [part.text if isinstance(part, TextPart) else f"[{part.label}]" for part in message.parts]
    calls = [f"[calls {call.name}({call.arguments})]" for call in message.tool_calls]
    return f"{message.role}: {' '.join(filter(None, (''.join(parts), *calls)))}"


def _parameter(name: str, value: Any) -> str:
    match value:
        case {"type": "json_schema", "json_schema": {"name": str(schema)}}:
            return f"{name}=the JSON schema {schema}"
        case _:
            return f"{name}={value!r}"
