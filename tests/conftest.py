"""What tests of every kind share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_magic.backends import weights

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def local_weights() -> Path:
    """The local model's weights in the user's cache, downloaded where missing: the one use of a network."""
    return weights.download()
