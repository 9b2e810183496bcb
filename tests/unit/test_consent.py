"""Asking on the standard input: when it is done, what is printed, and what each answer becomes."""

from __future__ import annotations

import builtins
import io
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic import consent
from llm_magic.consent import ENDED, NOBODY, TRIES, UNREAD, Consent, question_text, stdin_prompt, way_to_ask
from llm_magic.content import ToolCall
from llm_magic.events import TextDelta
from llm_magic.interrupts import deferred
from tests.fakes.calls import PARIS, ROME, progress
from tests.fakes.hostile import lines
from tests.fakes.markup import BIDI_CONTROLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_magic.events import ToolProgress

CONTROLS = {chr(code) for code in [*range(32), *range(0x7F, 0xA0)]} | set(BIDI_CONTROLS)


class Typed:
    """A person at a terminal."""

    def __init__(self, *answers: str | Callable[[], str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, text: str) -> str:
        self.asked.append(text)
        answer = self.answers.pop(0)
        return answer if isinstance(answer, str) else answer()


def decided(event: ToolProgress) -> tuple[str, str] | None:
    """What was answered, and why; None while nothing is."""
    assert event.question is not None
    decision = event.question.decision
    return None if decision is None else (decision.answer, decision.why)


@pytest.mark.parametrize(
    ("can_page", "has_stdin", "way"),
    [
        (True, True, "page"),
        (True, False, "page"),
        (None, True, "wait"),
        (None, False, "wait"),
        (False, True, "stdin"),
        (False, False, "nobody"),
    ],
)
def test_a_page_is_asked_before_a_terminal(can_page: bool | None, has_stdin: bool, way: str) -> None:  # noqa: FBT001  # parameters of the test
    """Where a page may still come nobody else is asked; where there is neither, nobody is."""
    assert way_to_ask(can_page=can_page, has_stdin=has_stdin) == way


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("y", "yes"), (" YES ", "yes"), ("n", "no"), ("No", "no"), ("a", "always"), ("always", "always")],
)
def test_the_answer_is_a_letter_or_a_word(typed: str, answer: str) -> None:
    """As the prompt says; case and blanks do not matter."""
    person, asked = Typed(typed), progress(0, PARIS, "asking")
    asking = Consent(lambda: person)
    asking.add([TextDelta(text="a"), asked, progress(1, ROME, "running")])

    asking.settle(can_page=False)

    assert decided(asked) == (answer, "")
    assert person.asked == ['Run get_weather({"city": "Paris"}) from cell 3, line 4? [y]es, [n]o, [a]lways: ']


def test_what_is_no_answer_is_asked_again_and_then_no() -> None:
    """A slip costs a line; three are no, and say why."""
    person, first, second = Typed("", "yes", "1", "2", "3"), progress(0, PARIS, "asking"), progress(1, ROME, "asking")
    asking = Consent(lambda: person)
    asking.add([first, second])

    asking.settle(can_page=False)
    assert decided(first) == ("yes", "")
    assert decided(second) is None
    asking.settle(can_page=False)

    assert decided(second) == ("no", UNREAD)
    assert len(person.asked) == 2 + TRIES


@pytest.mark.parametrize("can_page", [True, None])
def test_pages_are_left_to_ask(can_page: bool | None) -> None:  # noqa: FBT001  # a parameter of the test
    """While a page shows the question, or may yet, the terminal says nothing."""
    person, asked = Typed("y"), progress(0, PARIS, "asking")
    asking = Consent(lambda: person)
    asking.add([asked])
    asking.settle(can_page=can_page)
    assert decided(asked) is None

    asking.settle(can_page=False)
    assert decided(asked) == ("yes", "")


def test_a_question_that_was_answered_elsewhere_is_not_asked() -> None:
    """The panel may have been quicker."""
    person, asked = Typed(), progress(0, PARIS, "asking")
    asking = Consent(lambda: person)
    asking.add([asked])
    assert asked.question is not None
    asked.question.answer("always")

    asking.settle(can_page=False)

    assert person.asked == []


def test_where_nobody_can_answer_it_is_no_at_once() -> None:
    """All questions, each with the reason."""
    first, second = progress(0, PARIS, "asking"), progress(1, ROME, "asking")
    asking = Consent()
    asking.add([first, second])

    asking.settle(can_page=False)

    assert decided(first) == decided(second) == ("no", NOBODY)


def test_an_input_that_has_ended_is_no() -> None:
    """Control-D, or the end of a pipe."""

    def end() -> str:
        raise EOFError

    person, asked = Typed(end), progress(0, PARIS, "asking")
    asking = Consent(lambda: person)
    asking.add([asked])

    asking.settle(can_page=False)

    assert decided(asked) == ("no", ENDED)


def test_an_interrupt_at_the_prompt_ends_the_prompt_and_the_ask() -> None:
    """Sent while it waits for the user: the prompt does not go on waiting, and nothing is answered."""

    class Target:
        n_cancelled = 0

        def cancel(self) -> None:
            self.n_cancelled += 1

    def interrupted() -> str:
        signal.raise_signal(signal.SIGINT)
        return "y"

    target, asked = Target(), progress(0, PARIS, "asking")
    with deferred() as interrupts:
        interrupts.attach(target)
        asking = Consent(lambda: Typed(interrupted), interrupts.raising)
        asking.add([asked])
        asking.settle(can_page=False)
        # The next one is as any interrupt outside of a prompt: it does not raise.
        signal.raise_signal(signal.SIGINT)

    assert target.n_cancelled == 2
    assert interrupts.count == 2
    assert decided(asked) is None


def test_nothing_is_asked_after_an_interrupt() -> None:
    """One that came just before the prompt: the ask is ending."""
    person, asked = Typed("y"), progress(0, PARIS, "asking")
    with deferred() as interrupts:
        signal.raise_signal(signal.SIGINT)
        asking = Consent(lambda: person, interrupts.raising)
        asking.add([asked])
        asking.settle(can_page=False)

    assert person.asked == []
    assert decided(asked) is None


def test_long_arguments_stand_before_the_question() -> None:
    """Who is asked sees all that is asked for, in lines; the question itself stays short."""
    call = ToolCall(id="c", name="write", arguments='{"text": "' + "word " * 100 + '", "path": "/etc/passwd"}')

    *before, question = question_text(progress(0, call, "asking", where="")).splitlines()

    assert question == "Run write(…) with these arguments? [y]es, [n]o, [a]lways: "
    assert before[-2:] == ['  "path": "/etc/passwd"', "}"]


def test_hostile_questions_are_one_line_of_text() -> None:
    """No name and no place writes a second line, or controls the terminal."""
    for text in lines():
        asked = question_text(progress(0, ToolCall(id="c", name=f"{text}\n", arguments="{}"), "asking", where=text))
        assert not CONTROLS & set(asked)


class Shell:
    """A kernel's shell, as much of it as is looked at."""

    kernel = object()

    def __init__(self, *, allow_stdin: Any) -> None:
        self._content = {"allow_stdin": allow_stdin}

    def get_parent(self) -> dict[str, Any]:
        return {"content": self._content}


@pytest.mark.parametrize(("allow_stdin", "is_asked"), [(True, True), (False, False), (None, False)])
def test_kernels_ask_where_the_front_end_takes_questions(
    monkeypatch: pytest.MonkeyPatch,
    allow_stdin: bool | None,  # noqa: FBT001  # parameters of the test
    is_asked: bool,  # noqa: FBT001
) -> None:
    """By what it said with this very execution."""
    shell = Shell(allow_stdin=allow_stdin)
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    assert (stdin_prompt() is builtins.input) is is_asked


@pytest.mark.parametrize("is_terminal", [True, False])
def test_scripts_ask_on_a_terminal(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A pipe is not a person."""
    stdin = io.StringIO()
    monkeypatch.setattr(stdin, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr("IPython.get_ipython", lambda: None)

    assert (stdin_prompt() is not None) is is_terminal


def test_other_threads_ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard input is the main thread's."""
    import threading

    monkeypatch.setattr("IPython.get_ipython", lambda: Shell(allow_stdin=True))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(consent.stdin_prompt()))
    thread.start()
    thread.join()

    assert found == [None]
