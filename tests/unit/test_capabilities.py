"""Every capability is proved by a test, or says why none can; the page that shows it is what the markers make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docs.capabilities import PAGE, page, proofs, proofs_of, table

if TYPE_CHECKING:
    from pathlib import Path

_SOURCE = """
import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.capability("A1")]

@pytest.mark.capability("B2", "C3")
def test_one(): ...

class TestMore:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.capability("D4"))])
    async def test_two(self, x): ...

def not_a_test(): ...
"""


def test_page_is_what_the_markers_make() -> None:
    """``python docs/generate.py`` mends it."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_markers_name_rows_that_exist() -> None:
    """A marker with a row that nobody knows is a slip of the pen."""
    known = table()["rows"]

    assert [(proof.test, row) for proof in proofs() for row in proof.rows if row not in known] == []


def test_every_row_is_proved_or_says_why_it_cannot_be() -> None:
    """None is missing; and what is proved needs no reason."""
    known = table()
    proved = {row for proof in proofs() for row in proof.rows}

    assert [row for row in known["rows"] if row not in proved | known["reasons"].keys()] == []
    assert [row for row in known["reasons"] if row in proved or row not in known["rows"]] == []
    assert len(known["rows"]) == 207


def test_markers_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """On a test, on one of its parameters, and for a whole file."""
    path = tmp_path / "test_x.py"
    path.write_text(_SOURCE, encoding="utf-8")

    found = {proof.test: proof.rows for proof in proofs_of(path)}

    assert found == {"test_x.py::test_one": ("A1", "B2", "C3"), "test_x.py::TestMore::test_two": ("A1", "D4")}
