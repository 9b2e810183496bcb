"""Scripts in which a model calls tools, and a session that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_magic.api import Conversation
from llm_magic.asks import Ask
from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.events import Completed, TextDelta, ToolCallDelta, ToolProgress, UsageReport
from llm_magic.testing import ScriptedBackend
from llm_magic.tools import toolset

if TYPE_CHECKING:
    from llm_magic.events import Event
    from llm_magic.permission import Answer
    from llm_magic.run import Outcome, Run
    from llm_magic.session import Session
    from llm_magic.testing import Script
    from llm_magic.turns import Turn


def calls(*pairs: tuple[str, str], text: str = "", finish_reason: str = "tool_calls", tokens: int = 10) -> list[Event]:
    """A script that says a text and calls functions: name and arguments each, with the ids c0, c1 and so on."""
    said: list[Event] = [TextDelta(text=text)] if text else []
    made = [
        ToolCallDelta(index=number, id=f"c{number}", name=name, arguments=arguments)
        for number, (name, arguments) in enumerate(pairs)
    ]
    usage = Usage(input_tokens=tokens, output_tokens=1, total_tokens=tokens + 1)
    return [*said, *made, UsageReport(usage=usage), Completed(finish_reason=finish_reason, model="scripted")]


def begin(
    session: Session, *scripts: Script, tools: object = (), answer: Answer | None = None, **fields: object
) -> Run:
    """Ask in a conversation of its own; every question is answered so, none where nothing is given."""
    backend = ScriptedBackend(scripts)
    chat = fields.pop("conversation", None) or Conversation(name="tools", session=session, model="m", backend=backend)
    ask = Ask(
        prompt=(message("user", "a"),),
        conversation=chat,  # type: ignore[arg-type]  # given by keyword
        backend=backend,
        tools=toolset(tools),  # type: ignore[arg-type]  # given by keyword
        is_attended=fields.pop("is_attended", answer is not None),  # type: ignore[arg-type]  # given by keyword
        **fields,  # type: ignore[arg-type]  # given by keyword
    )
    run = session.ask(ask)
    if answer is not None:
        run.listen(lambda one: _answer(one, answer))
    return run


def answered(session: Session, *scripts: Script, **rest: object) -> Turn:
    """As :func:`begin`, to its end."""
    return begin(session, *scripts, **rest).outcome().turn  # type: ignore[arg-type]  # handed on


def told(turn: Turn, step: int = 0) -> list[str]:
    """What the model was told of its calls in a step."""
    return ["".join(getattr(part, "text", "") for part in result.parts) for result in turn.steps[step].results]


def states(run: Run) -> list[tuple[int, str]]:
    """Where calls stood, in the order it was told: number and state."""
    return [(event.number, event.state) for event in run if isinstance(event, ToolProgress)]


def sent(run: Run) -> list[list[tuple[str, str]]]:
    """Role and text of the messages of every request."""
    backend = run.plan.backend
    assert isinstance(backend, ScriptedBackend)
    return [[(item.role, item.text) for item in request.messages] for request in backend.requests]


def _answer(one: Event | Outcome, answer: Answer) -> None:
    if isinstance(one, ToolProgress) and one.question is not None:
        one.question.answer(answer)
