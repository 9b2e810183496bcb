"""Whether a cell runs: told after a moment, and never wrongly when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from llm_magic.engine import Engine
from llm_magic.panels.busy import Busy

if TYPE_CHECKING:
    from collections.abc import Callable


class Later(Engine):
    """An engine whose time the test passes."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Callable[[], object]] = []

    def later(self, delay_s: float, function: Callable[[], object]) -> None:
        assert delay_s > 0
        self._waiting.append(function)

    def first_passes(self) -> None:
        """The moment of the first cell that still has one is over."""
        self._waiting.pop(0)()

    def passes(self) -> None:
        """The moment is over."""
        waiting, self._waiting = self._waiting, []
        for function in waiting:
            function()


@pytest.fixture
def shell() -> InteractiveShell:
    return InteractiveShell()  # type: ignore[no-untyped-call]  # IPython's is


def run(shell: Any, code: str) -> None:
    """Run a cell."""
    shell.run_cell(code)


def watched(shell: InteractiveShell) -> tuple[list[bool], Later]:
    told: list[bool] = []
    engine = Later()
    Busy(shell, engine, told.append)
    shell.user_ns |= {"passes": engine.passes, "first_passes": engine.first_passes}
    return told, engine


def test_a_quick_cell_is_not_told(shell: InteractiveShell) -> None:
    """Most cells end within the moment."""
    told, engine = watched(shell)

    run(shell, "1")
    engine.passes()

    assert told == []


def test_a_long_cell_is_told_when_it_takes_long_and_when_it_ends(shell: InteractiveShell) -> None:
    """The page knows why an ask waits."""
    told, _ = watched(shell)

    run(shell, "passes()")

    assert told == [True, False]


def test_each_cell_has_a_moment_of_its_own(shell: InteractiveShell) -> None:
    """The moment of a cell that has ended says nothing of the next one."""
    told, _ = watched(shell)
    run(shell, "1")

    run(shell, "first_passes()")

    assert told == []


def test_a_cell_that_fails_has_ended(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    """An error is an end too."""
    told, _ = watched(shell)

    run(shell, "passes()\n1/0")

    assert told == [True, False]
    assert "ZeroDivisionError" in "".join(capsys.readouterr())
