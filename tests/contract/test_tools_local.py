"""Tools and vectors of the real local model: a call under a grammar, its result in the answer, texts by meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from llm_magic.api import Conversation
from llm_magic.backends.local import LocalBackend
from llm_magic.config import Config
from llm_magic.endpoints.embedding import embed
from llm_magic.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("local_weights")]


@pytest.fixture(scope="module")
def backend(local_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """The model, its processes ended with the module."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / local_weights.name).symlink_to(local_weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_MAGIC_CACHE_DIR", str(folder))
        session, opened = Session(config=Config(environ={})), LocalBackend()
        yield opened
        session.run(opened.aclose())
        session.close()


@pytest.mark.capability("D19", "D16")
def test_a_round_trip(backend: LocalBackend) -> None:
    """It calls the function with arguments that fit, and says what came back; two rows, for nothing."""
    session = Session(config=Config(environ={}, session={"tool_permission": "auto"}))
    chat = Conversation(session=session, backend=backend, model="local")
    asked: list[tuple[str, str]] = []

    def get_weather(city: str, unit: Literal["celsius", "kelvin"] = "celsius") -> str:
        """The weather of a city."""
        asked.append((city, unit))
        return f"18 degrees in {city}"

    reply = chat.ask("What is the weather in Paris?", tools=[get_weather], tool_choice="required")
    session.close()

    ((city, unit),) = asked
    assert (city, unit in ("celsius", "kelvin")) == ("Paris", True)
    assert "18" in reply.text
    assert [(row.round, row.status, row.cost_usd) for row in session.ledger.rows] == [
        (1, "complete", 0.0),
        (2, "complete", 0.0),
    ]
    assert not any(row.is_estimate for row in session.ledger.rows)


@pytest.mark.capability("J2")
def test_texts_by_their_meaning(backend: LocalBackend) -> None:
    """What means nearly the same lies nearer; the server counts the tokens."""
    vectors = embed(
        ["The cat sat on the mat.", "A kitten lay on a rug.", "Interest rates rose by a point."],
        backend=backend,
        model="local",
    )

    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near, far = float(unit[0] @ unit[1]), float(unit[0] @ unit[2])
    assert vectors.shape == (3, 576)
    assert vectors.dtype == np.float32
    assert near > far + 0.1
