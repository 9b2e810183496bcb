"""Fail on tests that were skipped and should not have been, and on a run in which hardly any test ran.

Usage: check_skips.py JUNIT_XML ALLOWED_SKIPS. A line of the second file is a pattern for ``module::test`` (as
in ``fnmatch``), two blanks, ``# `` and the reason; empty lines and lines that begin with ``#`` are for the
reader. Needs nothing but Python.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree as ET

# Of each kind at least one has to run: a folder that collects nothing is as silent as one that passes.
KINDS = ("tests.unit", "tests.contract", "tests.kernel", "tests.browser")


def allowed_patterns(path: Path) -> list[str]:
    """The patterns of the file; one without a reason is an error."""
    patterns = []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, mark, reason = line.partition("  # ")
        if not mark or not reason.strip():
            raise SystemExit(f"{path}: no reason given: {line}")
        patterns.append(pattern.strip())
    return patterns


def main(results: Path, allowed: Path) -> int:
    """Print what is wrong; 0 where nothing is."""
    patterns = allowed_patterns(allowed)
    ran: list[str] = []
    wrong: list[str] = []
    for case in ET.parse(results).iter("testcase"):  # noqa: S314  # our own test run wrote it
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if skipped is None:
            ran.append(name)
        elif skipped.get("type") != "pytest.xfail" and not any(fnmatchcase(name, p) for p in patterns):
            wrong.append(f"skipped, and not allowed to: {name}: {skipped.get('message')}")
    wrong += [f"no test of {kind} ran" for kind in KINDS if not any(name.startswith(kind) for name in ran)]
    print("\n".join(wrong) or f"{len(ran)} tests ran, none was skipped that should not")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
