"""Charts as files, made on this machine: nothing is fetched from anywhere."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from dashboard.charts.spec import ROWS, Maker, chart_spec
from dashboard.theme import LIGHT

WIDTH = 900
"""Pixels of a chart in a file; a PNG has twice as many."""
_SCALE = 2
_VERSION = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
"""The version of Vega-Lite that our specifications are written for: that of Altair."""


def chart_svg(make: Maker, rows: pd.DataFrame, *options: Any, title: str = "") -> str:
    """Return the chart as SVG, in the light theme on white."""
    import vl_convert  # imported here: it holds a JavaScript engine, which only an export needs

    return str(vl_convert.vegalite_to_svg(_whole(make, rows, *options, title=title), vl_version=_VERSION))


def chart_png(make: Maker, rows: pd.DataFrame, *options: Any, title: str = "") -> bytes:
    """Return the chart as PNG, in the light theme on white."""
    import vl_convert

    spec = _whole(make, rows, *options, title=title)
    return bytes(vl_convert.vegalite_to_png(spec, vl_version=_VERSION, scale=_SCALE))


def _whole(make: Maker, rows: pd.DataFrame, *options: Any, title: str) -> dict[str, Any]:
    """Return a specification with its rows in it, of a fixed width, on white."""
    spec = chart_spec(make, LIGHT, *options)
    spec["datasets"] = {ROWS: _records(rows)}
    spec["width"] = WIDTH
    spec["config"]["background"] = "#FFFFFF"
    if title:
        spec["title"] = {"text": title, "anchor": "start", "color": LIGHT.text, "fontSize": 15, "offset": 12}
    return spec


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as JSON has them: instants as ISO 8601 with their zone, what is missing as null."""
    shown = rows.copy()
    for name in shown.columns:
        if isinstance(shown[name].dtype, pd.DatetimeTZDtype):
            shown[name] = shown[name].map(lambda at: at.isoformat())
    records: list[dict[str, Any]] = shown.astype(object).where(shown.notna(), None).to_dict("records")
    return records
