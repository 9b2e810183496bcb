"""CI's judge of skipped tests: an unexpected skip fails, an allowed one needs a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

JUDGE = Path(__file__).resolve().parents[2] / ".ci" / "check_skips.py"
RAN = "".join(f'<testcase classname="tests.{kind}.test_a" name="test_ran"/>' for kind in ("unit", "contract", "kernel"))
BROWSER = '<testcase classname="tests.browser.test_b" name="test_ran"/>'
SKIPPED = (
    '<testcase classname="tests.browser.test_b" name="test_seen">'
    '<skipped type="pytest.skip" message="no Chromium"/></testcase>'
)


def judge(folder: Path, cases: str, allowed: str = "") -> tuple[int, str]:
    """Exit code and words of the judge on a run's results."""
    (folder / "results.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    (folder / "allowed").write_text(f"# for the reader\n\n{allowed}\n")
    command = [sys.executable, str(JUDGE), str(folder / "results.xml"), str(folder / "allowed")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_run_without_skips_passes(tmp_path: Path) -> None:
    """All kinds of tests ran and none was skipped: nothing to say against it."""
    assert judge(tmp_path, RAN + BROWSER) == (0, "4 tests ran, none was skipped that should not\n")


def test_an_unexpected_skip_fails_with_its_reason(tmp_path: Path) -> None:
    """A skip that nobody allowed fails and is told with the reason it gave."""
    code, told = judge(tmp_path, RAN + BROWSER + SKIPPED)

    assert code == 1
    assert "tests.browser.test_b::test_seen: no Chromium" in told


def test_an_allowed_skip_passes_only_with_a_reason(tmp_path: Path) -> None:
    """A pattern allows a skip, if it says why."""
    cases = RAN + BROWSER + SKIPPED

    assert judge(tmp_path, cases, "tests.browser.*::test_seen  # no screen here")[0] == 0
    code, told = judge(tmp_path, cases, "tests.browser.*::test_seen")
    assert code == 1
    assert "no reason given" in told


def test_a_kind_of_which_none_ran_fails(tmp_path: Path) -> None:
    """Tests that are not collected, or all skipped with leave, are missed."""
    code, told = judge(tmp_path, RAN + SKIPPED, "tests.browser.*  # no screen here")

    assert (code, told) == (1, "no test of tests.browser ran\n")
