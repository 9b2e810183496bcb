"""Whether a tool may run: the question that travels with an event, and carries the place for its answer.

The session asks and waits on the engine's loop; whoever shows the event answers, from any thread. The first answer
counts.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Answer: TypeAlias = Literal["yes", "no", "always"]
ANSWERS: tuple[str, ...] = get_args(Answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An answer.

    Attributes:
        answer: yes: this call; always: this and every later call of the same function in this session; no.
        why: Why it is no, where it is not the user who said so; one line.
    """

    answer: Answer
    why: str = ""


class Question:
    """May this call run? Open until the first answer, or until nobody waits any more."""

    def __init__(self) -> None:
        self._future: Future[Decision] = Future()

    @property
    def is_open(self) -> bool:
        """Nobody has answered yet, and somebody waits for it."""
        return not self._future.done()

    @property
    def decision(self) -> Decision | None:
        """The answer, None while there is none."""
        is_answered = self._future.done() and not self._future.cancelled()
        return self._future.result() if is_answered else None

    def answer(self, answer: Answer, *, why: str = "") -> bool:
        """Answer it; from any thread.

        Args:
            answer: The word.
            why: Why it is no, where it is not the user who said so.

        Returns:
            This answer counts. False where another was first, or the ask has ended.
        """
        try:
            self._future.set_result(Decision(answer=answer, why=why))
        except InvalidStateError:
            return False
        return True

    async def wait(self) -> Decision:
        """The answer; cancelling the wait closes the question."""
        return await asyncio.wrap_future(self._future)
