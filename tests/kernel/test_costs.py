"""What it costs, held to its limits: ratios of one run, against the openai client and the answer's own bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import measures
from llm_magic.events import Completed, TextDelta
from llm_magic.turns import Turn, TurnBuilder
from llm_magic.views import static
from tests.fakes.answers import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measures import Measure

pytestmark = pytest.mark.kernel
ANSWERS = Path(__file__).resolve().parents[1] / "fixtures" / "answers"


class _Recorder(static.Display):
    """Takes what would be displayed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    @property
    def is_shown(self) -> bool:
        """Something has been displayed."""
        return bool(self.sent)

    def show(self, bundle: Mapping[str, Any]) -> None:
        """Take a bundle."""
        self.sent.append(json.dumps(bundle))


def check(measure: Measure) -> None:
    """The ratio keeps its limit."""
    assert measure.ratio <= measure.limit, str(measure)


def test_loading_is_a_fifth_of_importing_openai() -> None:
    """%load_ext costs at most 0.2 of the CPU of import openai."""
    check(measures.loading())


def test_a_fast_answer_costs_half_of_printing_it(tmp_path: Path) -> None:
    """10,000 tokens cost at most half the CPU of printing them with the client, and 12 times their bytes on iopub."""
    for measure in measures.streaming(tmp_path):
        check(measure)


def test_a_live_answer_sends_four_times_its_bytes(tmp_path: Path) -> None:
    """10,000 tokens at 2,000 a second cost at most 4 times their bytes on iopub, and the widget's creation."""
    check(measures.live_streaming(tmp_path))


def test_an_open_block_costs_what_prose_does(tmp_path: Path) -> None:
    """A single open block of code, or table, of 200 kB costs at most twice the CPU of as much prose."""
    for measure in measures.open_blocks(tmp_path):
        check(measure)


def test_an_interrupt_is_ten_times_quicker(tmp_path: Path) -> None:
    """From interrupt to idle in at most 0.1 of what the client's loop takes; anew where others had the machine."""
    measure = measures.interrupting(tmp_path / "0")
    for number in range(1, 4):
        if measure.ratio <= measure.limit:
            break
        measure = measures.interrupting(tmp_path / str(number))
    check(measure)


def test_saved_answers_are_small() -> None:
    """Saved output is at most 4 times the answer and 2 kB, over typical answers."""
    answers = {path.stem: path.read_text() for path in sorted(ANSWERS.glob("*.md"))}
    assert len(answers) >= 10
    check(measures.saving(answers))


def test_a_slow_answer_sends_twelve_times_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that takes 100 s sends no more than a fast one: the clock is all that is replaced."""
    clock = {"now": 0.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["now"])
    pieces = words(10_000)
    view = static.StaticView(waiting="asking")
    view._display = display = _Recorder()
    builder = TurnBuilder(Turn(id="0", prompt=(), requested_model="m"))
    for piece in pieces:
        clock["now"] += 0.01
        event = TextDelta(text=piece)
        builder.add(event)
        view.add(event)
        view.tick()
    builder.add(Completed(finish_reason="stop", model="m"))
    view.end(builder.build())

    answer = "".join(pieces)
    assert json.loads(display.sent[-1])["text/plain"].startswith(answer[:1000])
    # Each message has an envelope of about 700 bytes beside what is shown.
    assert sum(len(bundle) + 700 for bundle in display.sent) <= 12 * len(answer)
