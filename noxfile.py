"""What people run: ``nox`` for the quick checks, ``nox -s NAME`` for one of the others, ``nox -l`` for all.

CI runs ``.ci/run``, which does the same in fresh clones.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "layers", "tests"]


def install(session: nox.Session) -> None:
    """Install the project as developers do."""
    session.install("-e", ".[dev]")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, tests included."""
    install(session)
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """The import contract."""
    install(session)
    session.run("lint-imports", "--no-logo")


@nox.session
def tests(session: nox.Session) -> None:
    """Tests that need neither a kernel nor a browser."""
    install(session)
    session.run("pytest", "tests/unit", "tests/contract", *session.posargs)


@nox.session
def explore(session: nox.Session) -> None:
    """The property tests with examples nobody has tried yet; an argument is how often."""
    install(session)
    for _ in range(int(session.posargs[0]) if session.posargs else 5):
        session.run("pytest", "tests/unit", "tests/contract", "-m", "hypothesis", env={"HYPOTHESIS_PROFILE": "explore"})


@nox.session
def kernel(session: nox.Session) -> None:
    """Tests in a real ipykernel."""
    install(session)
    session.run("pytest", "tests/kernel", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Tests in JupyterLab in the system's Chromium."""
    install(session)
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session
def notebooks(session: nox.Session) -> None:
    """Every notebook, executed; the files stay as they are."""
    install(session)
    for path in sorted(Path("notebooks").glob("*.ipynb")):
        session.run("jupyter", "execute", "--timeout=600", str(path))


@nox.session(venv_backend="none")
def readme(session: nox.Session) -> None:
    """The README's two commands, verbatim, each in a fresh clone of what is committed."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("quickstart", "tests"):
            session.run("bash", ".ci/readme", name, f"{folder}/{name}", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks: ours and the floor side by side."""
    install(session)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Source distribution and wheel, into ``dist``."""
    install(session)
    session.run("python", "-m", "hatchling", "build")
