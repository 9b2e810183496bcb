"""What was asked before is answered from there, if the user wants it so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic.api import Conversation
from llm_magic.backends.base import Request
from llm_magic.cache import AnswerCache
from llm_magic.config import Config
from llm_magic.content import message
from llm_magic.counts import Usage
from llm_magic.errors import StreamInterruptedError
from llm_magic.events import Event, Opened, TextDelta
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend, says

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = Usage(input_tokens=5, output_tokens=4, total_tokens=9)


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(config=Config(environ={}, session={"cache": True}))
    yield made
    made.close()


def chat(session: Session, *scripts: Any) -> tuple[Conversation, ScriptedBackend]:
    """A conversation whose model says these, one after the other."""
    backend = ScriptedBackend(scripts or [says(f"answer {number}", usage=USAGE) for number in range(9)])
    return Conversation(session=session, backend=backend, model="gpt-5.4-mini"), backend


@pytest.mark.capability("I10")
def test_the_same_again_costs_nothing(session: Session) -> None:
    """One request, two answers alike; the second row is marked, has the tokens, and costs nothing."""
    conversation, backend = chat(session)

    first = conversation.ask("why?", keep=False)
    second = conversation.ask("why?", keep=False)

    assert (first.text, second.text, len(backend.requests)) == ("answer 0", "answer 0", 1)
    assert (first.cached, second.cached) == (False, True)
    assert [row.status for row in session.ledger.rows] == ["complete", "cached"]
    assert [row.total_tokens for row in session.ledger.rows] == [9, 9]
    assert first.cost_usd
    assert second.cost_usd == 0.0
    assert session.ledger.total().cost_usd == first.cost_usd
    assert "cached" in repr(second._repr_mimebundle_())


@pytest.mark.capability("I10")
@pytest.mark.parametrize(
    "change", [{"temperature": 0.5}, {"model": "gpt-5.4"}, {"system": "Be brief."}, {"seed": 1}], ids=str
)
def test_anything_different_is_asked(session: Session, change: dict[str, Any]) -> None:
    """Model, parameters, system prompt, what came before: all of the request counts."""
    conversation, backend = chat(session)

    conversation.ask("why?", keep=False)
    conversation.ask("why?", keep=False, **change)
    conversation.ask("why?")
    conversation.ask("why?")

    assert len(backend.requests) == 3  # the kept one is asked as the first was


def test_retry_asks_anew(session: Session) -> None:
    """Who asks again wants another answer."""
    conversation, backend = chat(session)
    conversation.ask("why?")

    again = conversation.retry()

    assert (again.text, again.cached, len(backend.requests)) == ("answer 1", False, 2)


def test_what_broke_is_asked_again(session: Session) -> None:
    """Only whole answers are kept."""
    fault = StreamInterruptedError("broke off", is_billable=True)
    conversation, backend = chat(session, [Opened(), TextDelta(text="so"), fault], says("so it is"))

    with pytest.raises(StreamInterruptedError):
        conversation.ask("why?", keep=False)

    assert conversation.ask("why?", keep=False).text == "so it is"
    assert len(backend.requests) == 2


def test_it_is_off_unless_it_is_wanted() -> None:
    """Two asks are two requests."""
    session = Session(config=Config(environ={}))
    conversation, backend = chat(session)

    conversation.ask("why?", keep=False)
    conversation.ask("why?", keep=False)
    session.close()

    assert len(backend.requests) == 2


def test_closing_a_stream_closes_that_behind_it() -> None:
    """And a part of an answer is no answer."""
    backend, cache = ScriptedBackend([says("one two three")]), AnswerCache()
    request = Request(model="m", messages=(message("user", "?"),))

    async def first() -> Event:
        stream = cache.stream(backend, request)
        event = await anext(stream)
        await stream.aclose()
        return event

    assert isinstance(asyncio.run(first()), TextDelta)
    assert (backend.open_streams, len(cache)) == (0, 0)


def test_the_oldest_gives_way() -> None:
    """However much is asked, what is kept is bounded; what is asked often stays."""
    backend, cache = ScriptedBackend([says("yes")]), AnswerCache(size=2)

    async def ask(text: str) -> None:
        async for _ in cache.stream(backend, Request(model="m", messages=(message("user", text),))):
            pass

    async def ask_all() -> None:
        for text in ("a", "b", "a", "c", "a", "b"):
            await ask(text)

    asyncio.run(ask_all())

    assert [request.messages[0].text for request in backend.requests] == ["a", "b", "c", "b"]
    assert len(cache) == 2
