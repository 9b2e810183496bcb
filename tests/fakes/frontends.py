"""Requests as front ends send them: those in ``tests/fixtures/frontends``, with a cell and a code of one's own."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "frontends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What one front end sends.

    Attributes:
        name: The fixture's name.
        data: ``front_end``, ``origin`` (recorded or read where), ``request``, and in ``cell_id`` and ``deleted`` the
            way to these in the request, null where the front end sends none.
    """

    name: str
    data: dict[str, Any]

    @classmethod
    def of(cls, name: str) -> Self:
        """The fixture with this name."""
        return cls(name=name, data=json.loads((_FOLDER / f"{name}.json").read_text()))

    @property
    def has_ids(self) -> bool:
        """It tells the kernel which cell runs."""
        return self.data["cell_id"] is not None

    @property
    def has_deletions(self) -> bool:
        """It tells the kernel which cells were deleted."""
        return self.data["deleted"] is not None

    def request(self, code: str, cell: str = "", deleted: tuple[str, ...] = ()) -> dict[str, Any]:
        """What it sends when a cell with this code is run.

        Args:
            code: The cell's text.
            cell: Its id.
            deleted: Cells that were deleted before.
        """
        request: dict[str, Any] = copy.deepcopy(self.data["request"])
        request["content"]["code"] = code
        if self.has_ids:
            _put(request, self.data["cell_id"], cell)
        if self.has_deletions:
            _put(request, self.data["deleted"], list(deleted))
        return request


def names() -> list[str]:
    """The fixtures there are."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def shape(value: Any) -> Any:
    """Names and types of a JSON value, whatever it holds."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    return type(value).__name__


def _put(data: dict[str, Any], way: list[str], value: Any) -> None:
    for name in way[:-1]:
        data = data[name]
    data[way[-1]] = value
