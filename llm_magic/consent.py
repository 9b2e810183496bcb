"""Whether a tool may run, asked of the user where no page can: on the standard input, between two drawings.

Comes in: events, and whether a page is there to ask on; goes out: answers to the questions in them. Where nobody can be
asked the answer is no, at once, and says why.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from . import rendering
from .events import ToolProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from .events import Event
    from .permission import Answer

Way: TypeAlias = Literal["page", "wait", "stdin", "nobody"]
Prompt: TypeAlias = "Callable[[str], str]"

NOBODY = "nobody could be asked: no page shows this answer, and there is no standard input"
ENDED = "nobody could be asked: the standard input has ended"
UNREAD = "the answer was neither yes, no nor always"
TRIES = 3
# Longer arguments are printed before the question, whole.
_LINE_CHARACTERS = 200
_MOST_CHARACTERS = 20_000
_WORDS: Mapping[str, Answer] = {"y": "yes", "yes": "yes", "n": "no", "no": "no", "a": "always", "always": "always"}


def way_to_ask(*, can_page: bool | None, has_stdin: bool) -> Way:
    """How the user is asked.

    Args:
        can_page: A page shows the answer and can ask; None while one may still come.
        has_stdin: There is a standard input that a person answers on.
    """
    if can_page is None:
        return "wait"
    if can_page:
        return "page"
    return "stdin" if has_stdin else "nobody"


class Consent:
    """The questions of one ask that are watched from here.

    Args:
        find_prompt: Finds what asks on the standard input; it gives None where there is none.
        interruptible: Around a prompt: an interrupt then raises, and does not only cancel the ask.
    """

    def __init__(
        self,
        find_prompt: Callable[[], Prompt | None] = lambda: None,
        interruptible: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self._find_prompt = find_prompt
        self._interruptible = interruptible
        self._open: list[ToolProgress] = []

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events."""
        self._open += [event for event in events if isinstance(event, ToolProgress) and event.question is not None]

    def settle(self, *, can_page: bool | None) -> None:
        """Ask what is to be asked from here.

        Args:
            can_page: As for :func:`way_to_ask`.
        """
        self._open = [event for event in self._open if event.question is not None and event.question.is_open]
        if not self._open:
            return
        prompt = self._find_prompt()
        match way_to_ask(can_page=can_page, has_stdin=prompt is not None):
            case "stdin":
                assert prompt is not None
                self._ask(self._open.pop(0), prompt)
            case "nobody":
                for event in self._open:
                    assert event.question is not None
                    event.question.answer("no", why=NOBODY)
            case _:
                pass

    def _ask(self, event: ToolProgress, prompt: Prompt) -> None:
        question = event.question
        assert question is not None
        text = question_text(event)
        answer, why = None, ""
        try:
            with self._interruptible():
                for _ in range(TRIES):
                    said = prompt(text).strip().lower()
                    if (answer := _WORDS.get(said)) is not None:
                        break
                    text = "Please answer y, n or a: "
        except KeyboardInterrupt:
            # It has cancelled the ask already, and with it the question.
            return
        except EOFError:
            why = ENDED
        question.answer(answer or "no", why=why or ("" if answer else UNREAD))


def question_text(event: ToolProgress) -> str:
    """The question as it is printed; one line, after the arguments where those are long."""
    call = event.call
    line = rendering.signature(call.name, call.arguments)
    where = f" from {rendering.one_line(event.where)}" if event.where else ""
    before = ""
    if len(line) > _LINE_CHARACTERS:
        name = rendering.one_line(call.name)[:_LINE_CHARACTERS]
        before = rendering.plain_text(rendering.arguments_text(call.arguments, most=_MOST_CHARACTERS)) + "\n"
        line = f"{name}(…) with these arguments"
    return f"{before}Run {line}{where}? [y]es, [n]o, [a]lways: "


def stdin_prompt() -> Prompt | None:
    """Asks on the standard input of the cell, script or terminal that runs; None where nobody would answer."""
    if threading.current_thread() is not threading.main_thread():
        return None
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        # Front ends say with each execution whether they take questions; programs that run notebooks do not.
        is_asked = shell.get_parent().get("content", {}).get("allow_stdin") is True
    else:
        is_asked = sys.stdin is not None and sys.stdin.isatty()
    # A kernel has its own for the time of a cell.
    return builtins.input if is_asked else None
