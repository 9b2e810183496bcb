"""The variables a user can attach: listed without running any of their code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from llm_magic.panels.names import MAX_NAMES, names


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)

    def __len__(self) -> int:
        raise AssertionError("len")

    def __repr__(self) -> str:
        raise AssertionError("repr")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("eq")

    __hash__ = None  # type: ignore[assignment]  # nor this


class Loud(list[int]):
    """A list whose length is its own code."""

    def __len__(self) -> int:
        raise AssertionError("len")


class Odd(pd.DataFrame):
    """A table that does not know its size."""

    @property
    def shape(self) -> tuple[int, int]:
        raise ValueError


def test_content_is_listed_with_its_size() -> None:
    """Each variable has its type and its size in its own measure."""
    frame = pd.DataFrame({"a": range(1200), "b": 0})
    namespace = {
        "df": frame,
        "column": frame["a"],
        "grid": np.zeros((2, 3), dtype="uint8"),
        "photo": Image.new("RGB", (640, 480)),
        "Text": "héllo",
        "rows": [1, 2],
        "number": 3.5,
    }

    assert [(row["name"], row["type"], row["shape"]) for row in names(namespace)] == [
        ("column", "Series", "1,200 × int64"),
        ("df", "DataFrame", "1,200 × 2"),
        ("grid", "ndarray", "2 × 3 uint8"),
        ("number", "float", ""),
        ("photo", "Image", "640 × 480 pixels"),
        ("rows", "list", "2 items"),
        ("Text", "str", "5 characters"),
    ]


def test_code_and_names_of_others_are_not_listed() -> None:
    """Modules, functions, classes, underscored names and IPython's own are no content."""
    namespace: dict[str, Any] = {
        "math": math,
        "names": names,
        "len": len,
        "kind": int,
        "append": [].append,
        "_": 1,
        "_private": 1,
        "In": [""],
        "kept": 1,
    }

    assert [row["name"] for row in names(namespace, hidden={"In"})] == ["kept"]


def test_no_code_of_the_user_runs() -> None:
    """Listing asks nothing of objects whose class is not known."""
    namespace = {"hostile": Hostile(), "loud": Loud([1]), "odd": Odd()}

    assert names(namespace) == [
        {"name": "hostile", "type": "Hostile", "shape": ""},
        {"name": "loud", "type": "Loud", "shape": ""},
        {"name": "odd", "type": "Odd", "shape": ""},
    ]


def test_a_flood_of_variables_is_cut() -> None:
    """A namespace of thousands does not become a message of megabytes."""
    assert len(names({f"x{number}": number for number in range(2 * MAX_NAMES)})) == MAX_NAMES
