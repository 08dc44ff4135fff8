"""From when to when can be restored: a bar for each timeline, its gaps and its base backups on it."""

from __future__ import annotations

from datetime import datetime

import altair as alt
import pandas as pd

from dashboard.charts.slot_days import CROSS
from dashboard.format import naive
from dashboard.theme import Palette

ROW = 44
"""Height of a timeline's row, in pixels."""
LEGEND = (
    ":green[■] can be restored · :red[✖] segments are missing · ◆ base backup · "
    "blank: no base backup to begin with · ┊ now · UTC"
)


def recovery_bar(frame: pd.DataFrame, since: datetime, now: datetime, colours: Palette) -> alt.LayerChart:
    """Given ``window_frame``'s rows, draw a row for each timeline, from ``since`` to a little after ``now``. UTC.

    A gap is a cross as well as a colour, since it may be too short to be seen as a stretch. The marks are hidden from
    screen readers: the page gives the same in words.
    """
    begun, today = naive(since), naive(now)
    span = today - begun
    domain = [(begun - span * 0.02).isoformat(), (today + span * 0.03).isoformat()]
    x = alt.X(
        "from:T",
        title=None,
        scale=alt.Scale(domain=domain),
        axis=alt.Axis(
            format="%d %b %H:%M" if span < pd.Timedelta(days=4) else "%d %b", tickCount=6, grid=False,
            labelColor=colours.idle, domainColor=colours.faint, tickColor=colours.faint, labelOverlap=True,
        ),
    )  # fmt: skip
    y = alt.Y(
        "timeline:N",
        title=None,
        axis=alt.Axis(labelColor=colours.text, domain=False, ticks=False, labelPadding=8),
    )
    tooltip = [alt.Tooltip("timeline:N", title="On"), alt.Tooltip("words:N", title=" ")]

    def of(kind: str) -> alt.Chart:
        return alt.Chart(frame).transform_filter(alt.FieldEqualPredicate(field="kind", equal=kind))  # type: ignore[no-any-return]

    layers = [
        of("window").mark_bar(height=18, color=colours.ok, cornerRadius=2, aria=False).encode(
            x=x, x2="to:T", y=y, tooltip=tooltip
        ),
        of("gap").mark_bar(height=18, color=colours.failure, opacity=0.35, aria=False).encode(
            x=x, x2="to:T", y=y, tooltip=tooltip
        ),
        of("base").mark_point(shape="diamond", size=70, filled=True, color=colours.text, opacity=1, yOffset=17,
                              aria=False).encode(x=x, y=y, tooltip=tooltip),
        of("gap").transform_calculate(mid="(toNumber(toDate(datum.from)) + toNumber(toDate(datum.to))) / 2").mark_point(
            shape=CROSS, size=150, filled=True, color=colours.failure, opacity=1, aria=False
        ).encode(x=alt.X("mid:T", title=None), y=y, tooltip=tooltip),
        alt.Chart(pd.DataFrame({"from": [today], "words": ["now"]})).mark_rule(
            color=colours.text, strokeDash=[4, 3], aria=False
        ).encode(x=x, tooltip=alt.Tooltip("words:N", title=" ")),
    ]  # fmt: skip
    rows = max(1, frame["timeline"].nunique())
    return (
        alt.layer(*layers)
        .properties(height=rows * ROW, padding={"left": 0, "right": 8, "top": 4, "bottom": 0})
        .configure_view(strokeWidth=0)
    )
