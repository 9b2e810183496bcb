"""What a refresh would ask, how much it says that costs; asking itself is in ``tests/kernel/test_commands.py``."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from llm_magic import tokens
from llm_magic.catalog import cost_usd
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.errors import AuthenticationError
from llm_magic.magics.refresh import RefreshPlan, Step, _input_tokens, plan_refresh
from llm_magic.session import Session
from llm_magic.slots import CellKey
from llm_magic.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

IDS = count()


@pytest.fixture
def session() -> Iterator[Session]:
    """A session that would ask OpenAI; nothing is sent."""
    made = Session(config=Config(environ={"OPENAI_API_KEY": "sk-test-0123456789"}))
    yield made
    made.close()


def ask(session: Session, cell: str, **changes: Any) -> None:
    """One ask of a cell, as the session makes it."""
    conversation = session.current
    slot = conversation.reserve(CellKey(cell_id=cell))
    values: dict[str, Any] = {
        "text": f"answer to {cell}",
        "requested_model": "gpt-5.4-mini",
        "usage": Usage(output_tokens=7),
    }
    seen = "" if changes.get("is_fresh") else conversation.context(slot.id).seen
    prompt = (message("user", f"ask {cell}"),)
    conversation.add_version(slot, Turn(id=f"t{next(IDS)}", prompt=prompt, seen=seen, **values | changes))


def planned(session: Session) -> RefreshPlan:
    return plan_refresh(session, session.current)


def numbers(session: Session) -> list[int]:
    return [step.number for step in planned(session).steps]


def test_nothing_is_stale(session: Session) -> None:
    """A row in which every turn saw what stands before it needs nothing."""
    for cell in "abc":
        ask(session, cell)

    assert str(planned(session)) == "nothing is stale: nothing to ask again"
    assert planned(session) == RefreshPlan()


def test_everything_from_the_first_stale_turn_on_is_asked(session: Session) -> None:
    """The answer of a stale turn makes the turns after it stale, also one that is right by now."""
    for cell in "abcd":
        ask(session, cell)
    ask(session, "b")
    ask(session, "d")

    assert (planned(session).n_stale, numbers(session)) == (1, [3, 4])


def test_what_is_not_sent_or_saw_nothing_is_left_alone(session: Session) -> None:
    """Hidden, failed and fresh turns are not asked again."""
    for cell in "ab":
        ask(session, cell)
    ask(session, "hidden")
    ask(session, "fresh", is_fresh=True)
    ask(session, "failed", status="failed", text="")
    ask(session, "c")
    session.current.hide(session.current.slots[2])
    ask(session, "a")

    assert numbers(session) == [2, 6]
    session.current.hide(session.current.slots[1], session.current.slots[5])
    assert numbers(session) == []


def test_estimate_is_of_the_requests_as_they_would_be_sent(session: Session) -> None:
    """Input is counted whole, output is as long as the last answer, and the price is that of both."""
    ask(session, "a")
    ask(session, "b", system="Be brief.", usage=Usage())
    ask(session, "c", settings={"max_tokens": 5})
    ask(session, "a")
    second, third = planned(session).steps

    a, b = (message("user", "ask a"), message("assistant", "answer to a")), message("user", "ask b")
    expected = tokens.count_messages((message("system", "Be brief."), *a, b), "gpt-5.4-mini").tokens
    assert (second.input_tokens, second.output_tokens) == (
        expected,
        tokens.count_text("answer to b", "gpt-5.4-mini").tokens,
    )
    third_messages = (*a, b, message("assistant", "answer to b"), message("user", "ask c"))
    assert third.input_tokens == tokens.count_messages(third_messages, "gpt-5.4-mini").tokens
    usage = Usage(input_tokens=third.input_tokens, output_tokens=7, total_tokens=third.input_tokens + 7)
    assert third.cost_usd == cost_usd(usage, "gpt-5.4-mini", provider="openai")
    assert third.cost_usd


def test_plan_is_one_line_with_its_price(session: Session) -> None:
    """Turns, requests, tokens, price: estimated, and unknown where it is."""
    for cell in "abc":
        ask(session, cell)
    ask(session, "a")
    line = str(planned(session))

    assert line.startswith("2 stale turns; turns 2 and 3 to ask again: 2 requests, ~")
    assert " tokens in, ~14 out, ~$0.0" in line
    ask(session, "c", requested_model="nobodys-model")
    assert ", ≥ ~$0.0" in str(planned(session))
    ask(session, "b", requested_model="nobodys-model")
    ask(session, "a")
    assert str(planned(session)).endswith(", price unknown")


def test_local_model_is_free() -> None:
    """What this machine answers costs nothing, and is said to."""
    step = Step(number=2, slot_id="s", input_tokens=1, output_tokens=1, cost_usd=0.0, is_local=True)

    assert RefreshPlan(n_stale=1, steps=(step,)).price == "free"


def test_requests_that_overlap_are_counted_once() -> None:
    """A message that was counted for one request is not counted for the next."""
    first, second = message("user", "one"), message("user", "two")
    counted: dict[tuple[str, int], int] = {}

    both = _input_tokens((first, second), "gpt-5.4-mini", counted)
    assert both == tokens.count_messages((first, second), "gpt-5.4-mini").tokens
    counted["gpt-5.4-mini", id(first)] += 1000
    assert _input_tokens((first, second), "gpt-5.4-mini", counted) == both + 1000


def test_plan_says_what_is_missing_before_anything_is_asked() -> None:
    """Without the key of the model that was asked, the plan is refused."""
    session = Session(config=Config(environ={}))
    for cell in "ab":
        ask(session, cell)
    ask(session, "a")

    with pytest.raises(AuthenticationError):
        planned(session)
