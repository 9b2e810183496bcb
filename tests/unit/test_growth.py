"""A conversation takes memory as its text does, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import conversations
from benchmarks.measures import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_conversation_takes_twice_its_text_at_most(tmp_path: Path) -> None:
    """Versions, undo, ledger and what is known of the store together, beside question and answer."""
    answers = [
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests" / "fixtures" / "answers").glob("*.md"))
    ]

    measure = conversations.memory(tmp_path, answers, turns=300)

    assert measure.ratio <= measure.limit, str(measure)
