"""The strip of a week: each database a row, each day a mark, by how its slots stand."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import pandas as pd

from dashboard.charts.spec import Rows
from dashboard.theme import Palette
from services.review.model import DatabaseWeek

WEEK_COLUMNS = ("database", "day", "state", "count", "words")
ROW, HEAD = 30, 40
"""Pixels of a row, and of the days above them with the chart's padding."""
# Silhouettes as SVG paths within (-1, -1) and (1, 1), so that colour is not needed to read them.
SHAPES = {
    "satisfied": "M-1,-1H1V1H-1Z",
    "late": "M-1,0H1V1H-1Z",
    "missed": "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z",
    "open": "M-.9,0A.9,.9,0,1,0,.9,0A.9,.9,0,1,0,-.9,0Z M-.6,0A.6,.6,0,1,1,.6,0A.6,.6,0,1,1,-.6,0Z",
    "backup": "M-.45,-.45H.45V.45H-.45Z",
    "nothing": "M-1,.75H1V1H-1Z",
}


def week_frame(databases: Iterable[DatabaseWeek]) -> pd.DataFrame:
    """Return one row a database and day, in order, with WEEK_COLUMNS.

    ``day`` is its heading (``Mon 9``), ``state`` a key of SHAPES, ``count`` how many of several slots were satisfied
    (``5/6``; empty for one, and while none has ended), ``words`` the tooltip.
    """
    rows = [
        (
            week.database,
            f"{day.day:%a} {day.day.day}",
            day.state,
            f"{day.satisfied}/{day.settled}" if day.slots > 1 and day.settled else "",
            day.words,
        )
        for week in databases
        for day in week.days
    ]
    return pd.DataFrame(rows, columns=list(WEEK_COLUMNS))


def week_strip(frame: Rows, colours: Palette, databases: int) -> alt.LayerChart:
    """Given ``week_frame``'s rows of so many databases, draw a mark each; of several slots, how many were satisfied."""
    tones = {
        "satisfied": colours.ok,
        "late": colours.warning,
        "missed": colours.failure,
        "open": colours.running,
        "backup": colours.ok,
        "nothing": colours.idle,
    }
    axis = {"domain": False, "ticks": False, "title": None, "labelColor": colours.text, "labelFontSize": 13}
    base = alt.Chart(frame).encode(
        x=alt.X("day:O", sort=None, axis=alt.Axis(orient="top", labelAngle=0, labelPadding=6, **axis)),
        y=alt.Y("database:N", sort=None, axis=alt.Axis(labelLimit=150, labelPadding=10, **axis)),
        tooltip=[
            alt.Tooltip("database:N", title="Database"),
            alt.Tooltip("day:N", title="Day (UTC)"),
            alt.Tooltip("words:N", title="Slots"),
        ],
    )
    states = list(SHAPES)
    marks = base.mark_point(filled=True, size=340, opacity=1, aria=False).encode(
        shape=alt.Shape("state:N", legend=None, scale=alt.Scale(domain=states, range=[SHAPES[s] for s in states])),
        color=alt.Color("state:N", legend=None, scale=alt.Scale(domain=states, range=[tones[s] for s in states])),
    )
    counts = (
        base.transform_filter("datum.count !== ''")
        .mark_text(dx=22, fontSize=11, color=colours.idle, aria=False)
        .encode(text="count:N")
    )
    chart = alt.layer(marks, counts).properties(height=HEAD + ROW * databases)
    return chart.configure_view(strokeWidth=0)
