"""A server is asked once for its models, and the table says what is known of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic import api
from llm_magic.api import Conversation
from llm_magic.backends.base import BackendInfo
from llm_magic.backends.registry import Choice
from llm_magic.config import Config
from llm_magic.errors import ContextLengthError
from llm_magic.offers import Offers, models_frame
from llm_magic.session import Session
from llm_magic.testing import ScriptedBackend

if TYPE_CHECKING:
    from collections.abc import Mapping

DTYPES = {
    "id": "string",
    "owner": "string",
    "created": "datetime64[ns, UTC]",
    "window": "Int64",
    "output_limit": "Int64",
    "vision": "boolean",
    "tools": "boolean",
    "typed": "boolean",
    "reasoning": "boolean",
    "input_usd_per_mtok": "Float64",
    "output_usd_per_mtok": "Float64",
}
OPENAI = BackendInfo(name="openai", is_local=False, base_url="https://api.openai.com/v1", provider="openai")


class Listing(ScriptedBackend):
    """Lists models, and counts how often it is asked."""

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        super().__init__()
        self.rows, self.n_asked = list(rows), 0

    async def models(self) -> list[Mapping[str, Any]]:
        self.n_asked += 1
        return self.rows


@pytest.mark.capability("I15", "J7")
@pytest.mark.parametrize("rows", [[], [{"id": "gpt-5.4-mini", "created": 1_700_000_000, "owned_by": "system"}]])
def test_the_table_has_its_columns_also_when_empty(rows: list[Mapping[str, Any]]) -> None:
    """Names and dtypes are fixed."""
    frame = models_frame(rows, OPENAI)

    assert {name: str(kind) for name, kind in frame.dtypes.items()} == DTYPES


@pytest.mark.capability("I15", "J7")
def test_what_is_known_is_told_and_what_is_not_stays_unknown() -> None:
    """By our table, by the price list, by the server's own words; sorted, filtered."""
    rows: list[Mapping[str, Any]] = [
        {"id": "never-heard-of", "created": "yesterday"},
        {"id": "gpt-5.4-mini", "created": 1_700_000_000, "owned_by": "system"},
        {"id": "Lab/model", "max_model_len": 4096, "created": True},
    ]

    frame = models_frame(rows, OPENAI).set_index("id")

    assert list(frame.index) == ["Lab/model", "gpt-5.4-mini", "never-heard-of"]
    mini = frame.loc["gpt-5.4-mini"]
    assert (mini["owner"], mini["window"], mini["vision"], mini["input_usd_per_mtok"]) == (
        "system",
        400_000,
        True,
        0.75,
    )
    assert mini["created"].year == 2023
    assert frame.loc["Lab/model", "window"] == 4096
    assert frame.loc["never-heard-of"].isna().all()
    assert list(models_frame(rows, OPENAI, contains="GPT")["id"]) == ["gpt-5.4-mini"]


def test_a_local_server_is_free() -> None:
    """Whatever its models are called."""
    local = BackendInfo(name="local", is_local=True, base_url="http://127.0.0.1:1/v1")

    assert list(models_frame([{"id": "x"}], local)["input_usd_per_mtok"]) == [0.0]


@pytest.mark.capability("I15")
def test_a_server_is_asked_once() -> None:
    """Until it is asked for a fresh list; another backend has a list of its own; a failure is not kept."""
    offers, one, other = Offers(), Listing({"id": "a", "max_model_len": 9}), Listing({"id": "b"})

    async def run() -> None:
        for _ in range(3):
            assert [row["id"] for row in await offers.rows(one)] == ["a"]
        assert [row["id"] for row in await offers.rows(other)] == ["b"]
        assert (one.n_asked, other.n_asked) == (1, 1)
        await offers.rows(one, is_fresh=True)

    asyncio.run(run())

    assert one.n_asked == 2
    assert offers.facts(one, "a") == {"window": 9}
    assert offers.facts(one, "b") == offers.facts(Listing(), "a") == {}


@pytest.mark.capability("I15")
def test_a_session_uses_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """models() asks once a session, and what a server lists of a model counts from then on."""
    session = Session(config=Config(environ={}), conversation_type=Conversation)
    backend = Listing({"id": "m", "max_model_len": 2500})
    monkeypatch.setattr(session, "resolve", lambda _look_up: Choice(backend=backend, model="m"))
    conversation = session.current
    assert isinstance(conversation, Conversation)
    conversation.session = session
    conversation.ask("word " * 4000)

    assert list(api.models_frame(session)["window"]) == [2500]
    assert list(api.models_frame(session, "zzz")["id"]) == []
    assert backend.n_asked == 1
    api.models_frame(session, refresh=True)
    assert backend.n_asked == 2
    with pytest.raises(ContextLengthError, match="reads 2,500"):
        conversation.ask("word " * 4000)
    session.close()
