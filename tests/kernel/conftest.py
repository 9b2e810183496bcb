"""Kernels for tests: one a test, one a module, or as many as a test starts."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.kernel.harness import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class StartKernel(Protocol):
    """Starts a kernel that ends with the test."""

    def __call__(self, *, environ: Mapping[str, str] | None = None) -> Kernel: ...


@pytest.fixture
def start_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartKernel]:
    """Starts kernels, each with a home of its own, and ends them with the test."""
    with ExitStack() as stack:

        def start(*, environ: Mapping[str, str] | None = None) -> Kernel:
            return stack.enter_context(Kernel(tmp_path_factory.mktemp("kernel"), environ=environ))

        yield start


@pytest.fixture
def kernel(start_kernel: StartKernel) -> Kernel:
    """A fresh kernel for one test."""
    return start_kernel()


@pytest.fixture(scope="module")
def module_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """One kernel for all tests of a module: cheaper, but what a test leaves in it stays."""
    with Kernel(tmp_path_factory.mktemp("kernel")) as started:
        yield started
