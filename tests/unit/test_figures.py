"""The figures of an answer under way: estimated, then as the server says; told when there is something new."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llm_magic.counts import Usage
from llm_magic.views.figures import COUNT_AFTER_S, EVERY_S, Figures
from tests.fakes.asked import plan
from tests.fakes.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The views' clock."""
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    return made


def told(figures: Figures, clock: Clock) -> dict[str, Any]:
    """The figures when it is time for them."""
    clock.now += EVERY_S
    found = figures.news()
    assert found is not None
    return found


def test_at_first_there_is_the_model_alone(clock: Clock) -> None:
    """Nothing is counted or priced for an answer of a moment."""
    figures = Figures(plan(model="gpt-5.4-mini"))

    assert figures.news() == {"age": 0, "model": "gpt-5.4-mini", "est": True}
    assert not figures.has_begun
    clock.now += EVERY_S / 2
    figures.add(answered=40)
    assert figures.has_begun
    assert figures.news() is None


def test_tokens_are_estimated_with_reasoning_apart(clock: Clock) -> None:
    """Four characters a token; thoughts are part of what is billed, and told for themselves."""
    figures = Figures(plan(prompt="one two three"))
    clock.now += COUNT_AFTER_S
    figures.add(answered=400, thought=200)

    found = told(figures, clock)

    assert (found["out"], found["reasoning"], found["est"]) == (150, 50, True)
    assert 3 <= found["in"] <= 20
    assert found["first"] == COUNT_AFTER_S
    assert found["age"] == COUNT_AFTER_S + EVERY_S


def test_what_the_server_says_stands_at_once(clock: Clock) -> None:
    """Its counts take the place of the estimate, cached and reasoning tokens apart."""
    figures = Figures(plan())
    figures.news()
    usage = Usage(input_tokens=1000, cached_tokens=800, output_tokens=30, reasoning_tokens=20, total_tokens=1030)

    figures.note_usage(usage)

    found = figures.news()
    assert found is not None
    assert found.items() >= {"in": 1000, "cached": 800, "out": 30, "reasoning": 20, "est": False}.items()
    clock.now += EVERY_S
    assert figures.news() is None


@pytest.mark.parametrize(
    ("model", "provider", "is_local", "cost"),
    [
        ("gpt-5.4-mini", "openai", False, r"~\$0\.\d+"),
        ("nobody-knows", None, False, "price unknown"),
        ("anything", None, True, "free"),
    ],
)
def test_cost_is_a_price_or_says_why_not(
    clock: Clock, model: str, provider: str | None, *, is_local: bool, cost: str
) -> None:
    """An estimate is marked as one; no price is never a zero."""
    figures = Figures(plan(model=model, provider=provider, is_local=is_local))
    figures.add(answered=40_000)
    clock.now += COUNT_AFTER_S

    assert re.fullmatch(cost, told(figures, clock)["cost"])


def test_nothing_new_is_not_told(clock: Clock) -> None:
    """While nothing comes the page counts the seconds by itself."""
    figures = Figures(plan())
    figures.add(answered=400)
    clock.now += COUNT_AFTER_S
    first = told(figures, clock)
    clock.now += 60
    assert figures.news() is None

    figures.add(answered=4)
    assert told(figures, clock)["out"] == first["out"] + 1


def test_a_models_name_is_only_text(clock: Clock) -> None:
    """Names come from servers and users: escape sequences are shown, not sent."""
    clock.now += 1

    found = Figures(plan(model="m\x1b[31m\u202e")).news()

    assert found is not None
    assert found["model"] == "m<U+202E>"
