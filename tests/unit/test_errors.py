"""Errors are one line that says what happened and what to do, and travel without their cause."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magic import errors
from llm_magic.errors import BackendError, Interrupted, LLMMagicError, RateLimitedError, did_you_mean, nearest

KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LLMMagicError)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (None, "It broke."),
        ("", "It broke."),
        ("mend it", "It broke.  Hint: mend it."),
        ("did you mean x?", "It broke.  Hint: did you mean x?"),
        ("mend it.", "It broke.  Hint: mend it."),
    ],
)
def test_error_is_message_and_hint(hint: str | None, said: str) -> None:
    """The text is the message, then the hint as a sentence."""
    assert str(LLMMagicError("It broke.", hint=hint)) == said


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_line_in_a_notebook(kind: type[LLMMagicError]) -> None:
    """IPython is handed a single line that begins with the error's name."""
    assert kind("It broke.")._render_traceback_() == [f"{kind.__name__}: It broke."]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_travels(kind: type[LLMMagicError]) -> None:
    """An error can be pickled with all it says, and leaves its cause (it may hold a request) behind."""
    error = kind("It broke.", hint="mend it")
    error.__cause__ = ValueError("Authorization: secret")

    data = pickle.dumps(error)
    again = pickle.loads(data)

    assert type(again) is kind
    assert (str(again), again.hint) == (str(error), "mend it")
    assert b"secret" not in data


def test_backend_error_keeps_its_details() -> None:
    """Status, request id, retries and whether it was billed survive a pickle."""
    details: dict[str, Any] = {"status_code": 429, "request_id": "r1", "retries": 2, "is_billable": True}

    again = pickle.loads(pickle.dumps(RateLimitedError("Slow down.", **details)))

    assert {name: getattr(again, name) for name in details} == details
    assert isinstance(again, BackendError)


@pytest.mark.parametrize(("text", "line"), [("", "Interrupted"), ("kept 3 words", "Interrupted: kept 3 words")])
def test_interrupt_is_one_line_and_stops_loops(text: str, line: str) -> None:
    """The user's Stop is one line and a KeyboardInterrupt, which no ``except Exception`` swallows."""
    interrupt = Interrupted(text) if text else Interrupted()

    assert interrupt._render_traceback_() == [line]
    assert isinstance(interrupt, KeyboardInterrupt)
    assert not isinstance(interrupt, Exception)


def test_nearest_is_the_most_alike() -> None:
    """A typo finds the name that was meant, and something else finds none."""
    known = ["temperature", "top_p", "seed"]

    assert nearest("temprature", known) == "temperature"
    assert nearest("zzz", known) is None
    assert nearest("seed", []) is None
    assert did_you_mean("sed", known) == "did you mean seed?"
    assert did_you_mean("zzz", known, otherwise="see %chat config") == "see %chat config"
    assert did_you_mean("zzz", known) is None


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))
def test_nearest_is_one_of_the_known(name: str, known: list[str]) -> None:
    """Never is a name suggested that does not exist, and an existing one always is itself."""
    match = nearest(name, known)

    assert match is None or match in known
    assert name not in known or not name or match == name
