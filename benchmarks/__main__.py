"""``python -m benchmarks``: print every ratio; the exit code is the number that pass their limit."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import connections, conversations, frames
from benchmarks import map as mapping
from benchmarks.measures import ROOT, every_measure


def main() -> int:
    """Measure and print."""
    answers = {path.stem: path.read_text() for path in sorted((ROOT / "tests" / "fixtures" / "answers").glob("*.md"))}
    with tempfile.TemporaryDirectory() as folder:
        home = lambda: Path(tempfile.mkdtemp(dir=folder))  # noqa: E731  # two words for one place
        measures = [
            *conversations.every_measure(home, list(answers.values())),
            *frames.every_measure(),
            *connections.every_measure(),
            *mapping.every_measure(Path(tempfile.mkdtemp(dir=folder))),
            *every_measure(home, answers),
        ]
    for measure in measures:
        print(measure)
    return sum(measure.ratio > measure.limit for measure in measures)


if __name__ == "__main__":
    sys.exit(main())
