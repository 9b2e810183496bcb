"""Repairs: an answer is to fit its type; what follows where it does not, or where the server refused to be asked so.

A :class:`~llm_magic.answering.Strategy`. A refused form is asked for in the next way; an answer that does not fit is
sent back once, with what does not fit. Both are requests of the same turn, and no context of later ones.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from .answering import Next
from .content import message
from .errors import RequestRejectedError, SchemaError, StreamInterruptedError
from .jsontext import values_in
from .typed import lowered, with_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .answering import Said
    from .asks import Plan
    from .backends.base import Request
    from .events import Event
    from .schemas import Schema
    from .turns import Step, Turn
    from .typed import Types, Way

_FORM = re.compile(
    r"response[_ ]format|json[_ ]?schema|json[_ ]object|json[_ ]mode|structured[_ ]output|\bgrammar\b|\bschema\b",
    re.IGNORECASE,
)
# The form is taken, this one schema is not.
_THIS_ONE = re.compile(r"invalid schema", re.IGNORECASE)
_LINES: dict[Way, str] = {
    "schema": "the server takes no JSON schema: it was asked for JSON, and the schema was said in words",
    "object": "the server takes no response_format: JSON was asked for in words alone",
}
_KEPT = "its text is kept: _reply.text, or the conversation's turns[-1].text"
_MOST_PROBLEMS = 20


class Repairs:
    """Sees to the type of one turn's answer.

    Args:
        plan: What is asked of whom.
        schema: The type.
        types: Remembers what servers refused.
    """

    def __init__(self, plan: Plan, schema: Schema, types: Types) -> None:
        self._plan = plan
        self._schema = schema
        self._types = types
        self._is_repaired = False

    async def after(self, said: Said, tell: Callable[[Event], None]) -> Next | None:  # noqa: ARG002  # as below
        """See :meth:`~llm_magic.answering.Strategy.after`.

        Raises:
            SchemaError: The answer does not fit, and it is not asked for once more.
        """
        if said.error is not None:
            return self._in_another_way(said)
        if said.turn.status != "complete" or said.turn.tool_calls:
            return None
        try:
            # A type checks with the user's own code: it must not keep all other answers waiting.
            await asyncio.to_thread(self._schema.parse, said.turn.text)
        except SchemaError as exc:
            found = list(exc.problems) or [exc.message]
        else:
            return None
        self._check_end(said.turn)
        if self._is_repaired or self._plan.ask.continues is not None:
            raise SchemaError(
                f"The answer does not fit {self._schema.label}: {_brief(found)}.", hint=_KEPT, problems=found
            )
        self._is_repaired = True
        line = f"asked once more, as the first answer does not fit {self._schema.label}: {_brief(found)}"
        request = _asked_again(self._held(said), said.turn.text, found)
        return Next(request=request, step=said.step("repair", error=line), text=line)

    def cut(self, said: Said) -> Step | None:  # noqa: ARG002  # a strategy's signature
        """Nothing of a repair has begun before its request."""
        return None

    def _in_another_way(self, said: Said) -> Next | None:
        other = lowered(said.request, self._schema) if _is_form_refused(said) else None
        if other is None:
            return None
        assert said.error is not None
        way, request = other
        if way == "schema" and _THIS_ONE.search(said.error.message):
            line = f"the server does not take the schema of {self._schema.label}: it was said in words"
        else:
            self._types.note_refused(way, self._plan.info, said.request.model)
            line = _LINES[way]
        return Next(request=request, step=said.step("fallback", error=line), text=line)

    def _held(self, said: Said) -> Request:
        """The request in a way that holds the model to JSON.

        A server that was asked for JSON and let through what has none in it took the form and passed it over.
        """
        text = said.turn.text
        other = lowered(said.request, self._schema) if text.strip() and not values_in(text) else None
        if other is None:
            return said.request
        self._types.note_refused(other[0], self._plan.info, said.request.model)
        return other[1]

    def _check_end(self, turn: Turn) -> None:
        """An answer that was not let to its end is not asked for once more: that would end the same way.

        Raises:
            SchemaError: It was not.
        """
        label = self._schema.label
        if turn.refusal:
            raise SchemaError("The model refused to answer.", hint="what it said is in turns[-1].refusal")
        if turn.finish_reason == "length":
            hint = "allow more with --max-tokens (max_tokens=), or %chat continue goes on"
            raise SchemaError(f"The answer was cut off at the limit of tokens, in the middle of {label}.", hint=hint)
        if turn.finish_reason == "content_filter":
            raise SchemaError(
                f"The provider's content filter cut the answer off, in the middle of {label}.", hint=_KEPT
            )


def _asked_again(request: Request, text: str, found: Sequence[str]) -> Request:
    """The request once more, behind an answer to it and what does not fit."""
    lines = "\n".join(f"- {line}" for line in found[:_MOST_PROBLEMS])
    words = (
        f"Your answer cannot be used:\n{lines}\n"
        "Answer again, with all of it: the JSON that was asked for, corrected, and nothing else."
    )
    if not text.strip():
        return replace(request, messages=with_words(request.messages, words))
    return replace(request, messages=(*request.messages, message("assistant", text), message("user", words)))


def _is_form_refused(said: Said) -> bool:
    """The server refused the request for the form of the answer, before it began."""
    error = said.error
    is_refusal = isinstance(error, RequestRejectedError | StreamInterruptedError) and not said.turn.text
    return is_refusal and error is not None and bool(_FORM.search(error.message))


def _brief(found: Sequence[str]) -> str:
    return found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
