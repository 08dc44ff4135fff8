"""A chart on a page."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboard.charts.line import PICKED
from dashboard.charts.spec import ROWS, Maker, chart_spec


def draw_chart(make: Maker, rows: pd.DataFrame, *options: Any, alt: str, key: str) -> None:
    """Draw ``make(rows, *options)``. ``alt`` says in words what it shows."""
    st.vega_lite_chart(_with_rows(make, rows, *options), alt=alt, theme=None, key=key)


def draw_picking_chart(make: Maker, rows: pd.DataFrame, *options: Any, alt: str, key: str) -> str | None:
    """Draw a chart whose points can be picked (``dashboard.charts.line``); return the id of the picked backup."""
    spec = _with_rows(make, rows, *options)
    state = st.vega_lite_chart(spec, alt=alt, theme=None, key=key, on_select="rerun", selection_mode=PICKED)
    found = state["selection"].get(PICKED) or []
    return str(found[0]["backup_id"]) if found and found[0].get("backup_id") else None


def _with_rows(make: Maker, rows: pd.DataFrame, *options: Any) -> dict[str, Any]:
    return chart_spec(make, *options) | {"datasets": {ROWS: rows}}
