"""Typed answers of the real local model: llama.cpp makes a grammar of the schema, so they fit whatever it thinks."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from llm_magic.api import Conversation
from llm_magic.backends.local import LocalBackend
from llm_magic.config import Config
from llm_magic.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("local_weights")]


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    city: str | None = None


class Mood(Enum):
    """How a text sounds."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


@pytest.fixture(scope="module")
def chat(local_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    """A conversation with the model."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / local_weights.name).symlink_to(local_weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_MAGIC_CACHE_DIR", str(folder))
        session = Session(config=Config(environ={}), conversation_type=Conversation)
        backend = LocalBackend()
        yield Conversation(session=session, backend=backend, model="local")
        session.run(backend.aclose())
        session.close()


@pytest.mark.capability("E8", "E12")
def test_the_local_model_fills_in_a_model(chat: Conversation) -> None:
    """The schema is taken as it is: one request, nothing said about it."""
    reply = chat.ask(
        "Extract the person: Anna is 31 years old and lives in Oslo.",
        schema=Person,
        temperature=0,
        max_tokens=120,
        keep=False,
    )

    assert isinstance(reply.data, Person)
    assert (reply.data.name, reply.data.age) == ("Anna", 31)
    assert reply.turn.steps == ()


@pytest.mark.capability("E8")
def test_the_local_model_chooses_a_member(chat: Conversation) -> None:
    """One of the values there are, and nothing else."""
    reply = chat.ask(
        "I love this wonderful product! Is the sentiment positive or negative?",
        schema=Mood,
        temperature=0,
        max_tokens=40,
        keep=False,
    )

    assert reply.data is Mood.POSITIVE


@pytest.mark.capability("E8")
def test_the_local_model_makes_rows(chat: Conversation) -> None:
    """A list of objects is a frame; how many there are is the model's affair."""
    reply = chat.ask(
        "List the people: Anna is 31. Ben is 25.", schema=list[Person], temperature=0, max_tokens=200, keep=False
    )

    assert list(reply.data.columns) == ["name", "age", "city"]
    assert str(reply.data["age"].dtype) == "Int64"
