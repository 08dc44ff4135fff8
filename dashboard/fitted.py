"""Columns of tables as wide as what is in them: a number whose head is cut off reads as another number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

CHARACTER, PADDING = 6.6, 20  # pixels: the widest of digits and usual text at 14 px; both sides of a cell
NARROWEST, WIDEST = 60, 1100  # pixels
_NUMBER = 92
"""Of a number that is shown in words: “under 0.1 s”, “1,023 kB”."""
_TIME = len("2026-11-25 13:54:27")


def fitted(table: pd.DataFrame | Styler, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Given a table and its column configuration, return that with a width for each column that has none.

    The width is that of the longest value, of all rows: the browser measures the first few only. Columns of lists keep
    the browser's.
    """
    frame = table.data if isinstance(table, Styler) else table  # type: ignore[attr-defined]
    made = dict(config or {})
    for name in frame.columns:
        if name in made and (made[name] is None or made[name].get("width") is not None):
            continue
        width = column_width(frame[name])
        if width is not None:
            made[str(name)] = {**made.get(name, st.column_config.Column()), "width": width}
    return made


def column_width(values: pd.Series[Any]) -> int | None:
    """Return the pixels that the longest value of a column takes, or its name; None for one of lists."""
    shown = [value for value in values if not isinstance(value, list | tuple) and not pd.isna(value)]
    if any(isinstance(value, list | tuple) for value in values):
        return None
    longest, least = 0, NARROWEST
    if pd.api.types.is_datetime64_any_dtype(values):
        longest = _TIME
    elif pd.api.types.is_bool_dtype(values):
        longest = 0
    elif pd.api.types.is_numeric_dtype(values):
        longest, least = max((len(f"{int(value):,}") for value in shown), default=0), _NUMBER
    else:
        longest = max((len(str(value)) for value in shown), default=0)
    longest = max(longest, len(str(values.name)))
    return min(WIDEST, max(least, round(longest * CHARACTER) + PADDING))
