"""A chart on a page."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard.charts.spec import ROWS, Maker, chart_spec


def draw_chart(make: Maker, rows: pd.DataFrame, *options: Any, alt: str, key: str) -> None:
    """Draw ``make(rows, *options)``. ``alt`` says in words what it shows."""
    st.vega_lite_chart(_with_rows(make, rows, *options), alt=alt, theme=None, key=key)


def _with_rows(make: Maker, rows: pd.DataFrame, *options: Any) -> dict[str, Any]:
    return chart_spec(make, *options) | {"datasets": {ROWS: rows}}
