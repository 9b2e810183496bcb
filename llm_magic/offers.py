"""What servers offer: their lists of models, asked for once a session.

Comes in: a backend. Goes out: the rows of its list, and what they say of one model.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .kinds import is_number
from .model_info import listed_facts, model_info

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from .backends.base import Backend, BackendInfo

_COUNTS, _ABILITIES = ("window", "output_limit"), ("vision", "tools", "typed", "reasoning")


class Offers:
    """The lists of models of the backends of one session. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By what a backend is, and not by what it is called: another key may have other models.
        self._lists: dict[int, tuple[Backend, tuple[Mapping[str, Any], ...]]] = {}

    async def rows(self, backend: Backend, *, is_fresh: bool = False) -> tuple[Mapping[str, Any], ...]:
        """The models a backend offers, as its server describes them.

        Args:
            backend: Whose.
            is_fresh: Ask again, also where the list is known.

        Raises:
            BackendError: The server cannot be asked.
        """
        with self._lock:
            known = self._lists.get(id(backend))
        if known is not None and not is_fresh:
            return known[1]
        rows = tuple(await backend.models())
        with self._lock:
            # The backend is kept with them, so that its id stays its own.
            self._lists[id(backend)] = (backend, rows)
        return rows

    def facts(self, backend: Backend, model: str) -> Mapping[str, Any]:
        """What the server's list says of a model, as far as the list has been asked for; nothing is sent."""
        with self._lock:
            known = self._lists.get(id(backend))
        row = next((row for row in known[1] if row.get("id") == model), None) if known else None
        return {} if row is None else listed_facts(row)


def models_frame(rows: Iterable[Mapping[str, Any]], info: BackendInfo, *, contains: str = "") -> pd.DataFrame:
    """What a server offers, one row a model, sorted by id; what nobody knows is NA.

    Columns: id, owner (string); created (datetime64[ns, UTC]); window, output_limit (Int64, tokens); vision, tools,
    typed, reasoning (boolean); input_usd_per_mtok, output_usd_per_mtok (Float64).

    Args:
        rows: The server's list.
        info: Whose it is: its provider has its own prices.
        contains: Only models whose id contains this, whatever its case.
    """
    import pandas as pd

    from .safe_frames import DataFrame

    wanted = sorted((row for row in rows if contains.lower() in str(row["id"]).lower()), key=lambda row: str(row["id"]))
    known = [model_info(str(row["id"]), provider=info.provider, listed=listed_facts(row)) for row in wanted]
    created = [_seconds(row.get("created")) for row in wanted]
    prices = ("input_usd_per_mtok", "output_usd_per_mtok")
    return DataFrame(
        {
            "id": pd.Series([one.id for one in known], dtype="string"),
            "owner": pd.Series([one.owner for one in known], dtype="string"),
            "created": pd.to_datetime(pd.Series(created, dtype="Float64"), unit="s", utc=True).astype(
                "datetime64[ns, UTC]"
            ),
            **{name: pd.Series([getattr(one, name) for one in known], dtype="Int64") for name in _COUNTS},
            **{name: pd.Series([getattr(one.can, name) for one in known], dtype="boolean") for name in _ABILITIES},
            **{
                name: pd.Series([0.0 if info.is_local else getattr(one, name) for one in known], dtype="Float64")
                for name in prices
            },
        }
    )


def _seconds(value: object) -> float | None:
    """A time as Unix seconds, whichever way the server writes it; None where it says nothing that can be read."""
    return float(value) if is_number(value) and value > 0 else None
