"""The window meter: counted once for what would be sent, beside the work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from llm_magic import tokens
from llm_magic.panels.meter import Meter
from tests.fakes.conversations import ask
from tests.fakes.panels import WAIT_S, make_desk

if TYPE_CHECKING:
    from llm_magic.tokens import Count


def test_it_counts_once_for_each_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read again and again, it counts only what has changed, in a thread of its own."""
    threads: list[str] = []
    counted = threading.Semaphore(0)
    count = tokens.count_messages

    def spy(*args: Any) -> Count:
        threads.append(threading.current_thread().name)
        return count(*args)

    monkeypatch.setattr(tokens, "count_messages", spy)
    desk = make_desk()
    meter = Meter(counted.release)

    assert meter.read(desk.session) is None
    assert counted.acquire(timeout=WAIT_S)
    first = meter.read(desk.session)
    assert first == {"used": 3, "limit": None, "is_estimate": True}
    assert meter.read(desk.session) is first
    ask(desk.session.current, "question", "answer")
    assert meter.read(desk.session) is first
    assert counted.acquire(timeout=WAIT_S)
    second = meter.read(desk.session)

    assert second is not None
    assert second["used"] > 3
    assert threads == ["llm_magic meter"] * 2


@pytest.mark.capability("I7")
@pytest.mark.parametrize(
    ("base_url", "model", "limit"),
    [
        (None, "gpt-4o", 128_000),
        ("http://127.0.0.1:1/v1", "gpt-4o", 128_000),
        ("http://127.0.0.1:1/v1", "own", None),
    ],
)
def test_the_limit_is_the_models(base_url: str | None, model: str, limit: int | None) -> None:
    """How much a model takes is known by its maker or its provider, or not at all."""
    desk = make_desk()
    counted = threading.Event()
    meter = Meter(counted.set)
    desk.session.config.session["base_url"] = base_url
    desk.session.current.model = model

    meter.read(desk.session)

    assert counted.wait(WAIT_S)
    value = meter.read(desk.session)
    assert value is not None
    assert value["limit"] == limit


@pytest.mark.capability("I7", "I12")
def test_the_limit_is_what_the_user_says() -> None:
    """Where the user knows better, that counts, from then on."""
    desk = make_desk()
    counted = threading.Semaphore(0)
    meter = Meter(counted.release)
    desk.session.current.model = "gpt-4o"
    meter.read(desk.session)
    assert counted.acquire(timeout=WAIT_S)
    for said, limit in (({"window": 77}, 77), ({"windows": 77}, 128_000)):
        desk.session.config.session["model_info"] = said

        meter.read(desk.session)

        assert counted.acquire(timeout=WAIT_S)
        value = meter.read(desk.session)
        assert value is not None
        assert value["limit"] == limit
