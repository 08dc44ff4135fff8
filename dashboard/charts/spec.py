"""Specifications of charts, made once: Altair checks each against Vega-Lite's schema, which costs some 60 ms a chart.

A chart here never depends on its rows, only on colours and thresholds, so its specification is kept and the rows are
handed over beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import altair as alt
import pandas as pd

UTC_LABELS = (
    "utchours(datum.value) || utcminutes(datum.value) || utcseconds(datum.value) ? utcFormat(datum.value, '%H:%M')"
    " : utcdate(datum.value) > 1 ? utcFormat(datum.value, '%-d %b')"
    " : utcFormat(datum.value, utcmonth(datum.value) ? '%b %Y' : '%Y')"
)
"""How an axis over time names its ticks, whatever its range: 15:00, 24 Nov, Dec 2026, 2027. Vega's own has 03 PM."""

ROWS = "rows"
"""The name of the data set in a specification."""

Rows = pd.DataFrame | alt.NamedData
"""What a chart is made from: a DataFrame, or a name under which rows will be handed over."""
Maker = Callable[..., alt.TopLevelMixin]
"""``(rows, *options) -> chart``: every encoding names its type, and options are hashable."""


def chart_spec(make: Maker, *options: Any) -> dict[str, Any]:
    """Return the specification of ``make(rows, *options)``, with its data set called ROWS and no rows in it."""
    return copy.deepcopy(_made(make, *options))


@lru_cache(maxsize=256)
def _made(make: Maker, *options: Any) -> dict[str, Any]:
    spec: dict[str, Any] = make(alt.NamedData(ROWS), *options).to_dict()
    view = spec.get("config", {}).get("view", {})
    for size in ("continuousWidth", "continuousHeight"):  # Altair's default theme; the page gives a chart its size
        view.pop(size, None)
    return spec
