"""JupyterLab in Chromium for tests: one server for all, one browser a module, notebooks that end with a test.

Without Chromium these tests are skipped and say so; where ``CI`` is set they fail instead.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.lab import Lab, find_chromium, launch
from tests.browser.server import LabServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts" / "browser"
_EXPECT_TIMEOUT_S = 60.0
_FAILED: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember whether a test failed, for the picture taken then."""
    report = yield
    if report.when == "call":  # type: ignore[attr-defined]  # pluggy's generator yields the report
        item.stash[_FAILED] = report.failed  # type: ignore[attr-defined]  # as above
    return report


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is."""
    path = find_chromium()
    if path is None and os.environ.get("CI"):
        pytest.fail("no Chromium on this machine, and CI runs all tests: apt-get install chromium")
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory, chromium_path: str) -> Iterator[LabServer]:
    """One JupyterLab for all browser tests; none where there is no Chromium to look at it."""
    with LabServer(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """One Chromium a module: while playwright runs, this thread cannot run an event loop of its own."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_EXPECT_TIMEOUT_S * 1000)
    with sync_playwright() as playwright:
        started = launch(playwright.chromium, chromium_path)
        try:
            yield started
        finally:
            started.close()


@pytest.fixture
def lab(lab_server: LabServer, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Opens notebooks for one test; where it fails, pictures of them are left in ``artifacts/browser``."""
    made = Lab(lab_server, browser)
    try:
        yield made
        if request.node.stash.get(_FAILED, False):
            for notebook in made.notebooks:
                if not notebook.page.is_closed():
                    notebook.screenshot(_ARTIFACTS / f"{request.node.name}-{notebook.path.stem}.png")
    finally:
        made.close()
