"""The DataFrames we hand out: pandas' own, but what others wrote in them acts on nothing when they are shown.

As pandas shows a frame, JupyterLab typesets formulas in it with all of MathJax's macros, a terminal obeys the control
sequences in it, and half of a surrogate pair cannot be shown at all. Values, methods and pickles are pandas'. Imports
pandas: imported by whoever makes a frame, when it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from . import rendering

if TYPE_CHECKING:
    from collections.abc import Callable


class DataFrame(pd.DataFrame):
    """A frame that is safe to show, and so are the frames and columns that are taken from it."""

    @property
    def _constructor(self) -> Callable[..., DataFrame]:
        return DataFrame

    @property
    def _constructor_sliced(self) -> Callable[..., Series]:
        return Series

    def __repr__(self) -> str:
        return rendering.plain_text(super().__repr__())

    def _repr_html_(self) -> str | None:
        # Pandas escapes what could be HTML, and marks the table for MathJax to leave it alone.
        with pd.option_context("display.html.use_mathjax", False):
            html: str | None = super()._repr_html_()  # type: ignore[misc]  # not in the stubs
        return None if html is None else rendering.harmless(html)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as what it is to others: whoever reads it need not have this package.
        return pd.DataFrame, (pd.DataFrame(self),)


class Series(pd.Series):
    """A column that is safe to show."""

    @property
    def _constructor(self) -> Callable[..., Series]:
        return Series

    @property
    def _constructor_expanddim(self) -> Callable[..., DataFrame]:
        return DataFrame

    def __repr__(self) -> str:
        return rendering.plain_text(super().__repr__())

    def __reduce__(self) -> tuple[Any, ...]:
        return pd.Series, (pd.Series(self),)
