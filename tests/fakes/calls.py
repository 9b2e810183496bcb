"""Tool calls as the session tells of them: events made by hand, with results and questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magic.content import TextPart, ToolCall, ToolResult
from llm_magic.events import ToolProgress
from llm_magic.permission import Question

if TYPE_CHECKING:
    from llm_magic.content import Part
    from llm_magic.events import ToolState

PARIS = ToolCall(id="c1", name="get_weather", arguments='{"city": "Paris"}')
ROME = ToolCall(id="c2", name="get_time", arguments='{"city": "Rome"}')


def said(call: ToolCall, *parts: Part | str, state: ToolState = "done", latency_s: float | None = 0.1) -> ToolResult:
    """What came of a call."""
    return ToolResult(
        call_id=call.id,
        name=call.name,
        parts=tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts),
        is_error=state != "done",
        is_denied=state == "denied",
        latency_s=latency_s,
    )


def progress(
    number: int, call: ToolCall, state: ToolState, *parts: Part | str, where: str = "cell 3, line 4"
) -> ToolProgress:
    """Where a call stands; while it is asked for, with an open question."""
    return ToolProgress(
        number=number,
        round=1,
        call=call,
        state=state,
        where=where,
        question=Question() if state == "asking" else None,
        result=said(call, *parts, state=state) if state in ("done", "failed", "denied") else None,
    )
