"""The timeline of slots: the day before now and the day after, a row a schedule."""

from __future__ import annotations

from datetime import datetime, timedelta

import altair as alt
import pandas as pd

from dashboard.charts.slot_days import CROSS
from dashboard.theme import Palette

ROW = 30
"""Height of a schedule's row, in pixels."""
_SHAPES = ["good", "late", "bad", "open", "none", "ahead"]
_SYMBOLS = ["circle", "triangle-up", CROSS, "square", "stroke", "diamond"]
LEGEND = (
    ":green[●] done · :yellow[▲] late · :red[✖] missed or failed · :blue[■] open or at work · :gray[◆] due, lies ahead"
)


def timeline(frame: pd.DataFrame, now: datetime, around: timedelta, colours: Palette) -> alt.LayerChart:
    """Given ``timeline_frame``'s rows, draw one mark a slot, and a line at now. Times are UTC.

    Each state has a silhouette of its own beside its colour. The marks are hidden from screen readers: the page gives
    the same in its table.
    """
    at = pd.Timestamp(now).tz_convert("UTC").tz_localize(None)
    names = list(dict.fromkeys(frame["schedule"]))
    x = alt.X(
        "due:T",
        title=None,
        scale=alt.Scale(domain=[(at - around).isoformat(), (at + around).isoformat()]),
        axis=alt.Axis(
            format="%a %H:%M", tickCount=8, labelColor=colours.idle, domainColor=colours.faint, tickColor=colours.faint,
            gridColor=colours.faint, labelOverlap=True,
        ),
    )  # fmt: skip
    y = alt.Y(
        "schedule:N",
        title=None,
        sort=names,
        axis=alt.Axis(labelColor=colours.text, labelLimit=190, domain=False, ticks=False, labelPadding=8),
    )
    marks = (
        alt.Chart(frame)
        .mark_point(size=90, filled=True, opacity=1, aria=False)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape("shape:N", legend=None, scale=alt.Scale(domain=_SHAPES, range=_SYMBOLS)),
            color=alt.Color(
                "shape:N",
                legend=None,
                scale=alt.Scale(
                    domain=_SHAPES,
                    range=[colours.ok, colours.warning, colours.failure, colours.running, colours.idle, colours.idle],
                ),
            ),
            tooltip=[alt.Tooltip("schedule:N", title="Schedule"), alt.Tooltip("words:N", title=" ")],
        )
    )
    line = (
        alt.Chart(pd.DataFrame({"due": [at], "words": ["now"]}))
        .mark_rule(color=colours.text, strokeDash=[4, 3], aria=False)
        .encode(x=x, tooltip=alt.Tooltip("words:N", title=" "))
    )
    return (
        alt.layer(line, marks)
        .properties(height=max(1, len(names)) * ROW, padding={"left": 0, "right": 8, "top": 4, "bottom": 0})
        .configure_view(strokeWidth=0)
    )
