"""Which test proves which capability: ``capabilities.md``, made from ``capabilities.toml`` and the tests' markers.

The markers (``@pytest.mark.capability("D19")``) are read from the source of the tests; no test is imported or run.
"""  # noqa: INP001  # a script, not a package

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "capabilities.md"
ROWS = ROOT / "docs" / "capabilities.toml"
MARKER = "capability"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A test that proves rows.

    Attributes:
        test: As pytest names it: ``tests/unit/test_x.py::test_y``.
        rows: Ids of the rows.
    """

    test: str
    rows: tuple[str, ...]


def table() -> Mapping[str, Any]:
    """Groups, rows and reasons, as ``capabilities.toml`` has them."""
    return tomllib.loads(ROWS.read_text(encoding="utf-8"))


def proofs(folder: Path = ROOT / "tests") -> tuple[Proof, ...]:
    """The marked tests of a folder, in the order of their files and lines."""
    return tuple(proof for path in sorted(folder.rglob("test_*.py")) for proof in proofs_of(path))


def proofs_of(path: Path) -> Iterator[Proof]:
    """The marked tests of one file."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    everywhere = _marked(node.value for node in module.body if isinstance(node, ast.Assign) and _is_pytestmark(node))
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    for test, decorators in _tests(module.body):
        rows = (*everywhere, *_marked(decorators))
        if rows:
            yield Proof(test=f"{name}::{test}", rows=tuple(dict.fromkeys(rows)))


def page() -> str:
    """``capabilities.md`` as rows and tests stand now."""
    known = table()
    by_row: dict[str, list[str]] = {row: [] for row in known["rows"]}
    for proof in proofs():
        for row in proof.rows:
            by_row.setdefault(row, []).append(proof.test)
    n_proved = sum(1 for row in known["rows"] if by_row[row])
    n_reasons = len(known["reasons"])
    lines = [
        "# Capabilities",
        "",
        "What a client of the OpenAI protocol has to be able to do, row by row, and the tests that prove it; gathered",
        "from five public wrappers. Made by `python docs/generate.py` from `capabilities.toml` and the tests' markers.",
        "",
        f"{len(known['rows'])} rows: {n_proved} proved by tests, {n_reasons} with a reason why no test here can.",
    ]
    for letter, title in known["groups"].items():
        lines += ["", f"## {letter}. {title}", "", "| row | capability | proved by |", "| --- | --- | --- |"]
        for row, text in known["rows"].items():
            if row[0] == letter:
                tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in by_row[row])
                lines.append(f"| {row} | {_cell(text)} | {tests or _cell(known['reasons'].get(row, ''))} |")
    return "\n".join(lines) + "\n"


def _tests(body: Iterable[ast.stmt], prefix: str = "") -> Iterator[tuple[str, list[ast.expr]]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield prefix + node.name, node.decorator_list
        elif isinstance(node, ast.ClassDef):
            for name, decorators in _tests(node.body, f"{prefix}{node.name}::"):
                yield name, [*node.decorator_list, *decorators]


def _marked(expressions: Iterable[ast.expr]) -> list[str]:
    """Rows named by the markers in some expressions, however deep (in a list, in the marks of a parameter)."""
    return [
        argument.value
        for expression in expressions
        for node in ast.walk(expression)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == MARKER
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def _is_pytestmark(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
