"""Slots by day: a strip for each database, or a calendar of weeks for a long time."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.theme import Palette
from services.schedules.outcomes import STATES
from services.slo import DatabaseSlo, Slo

CROSS = "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z"
"""A symbol for what went wrong: the cross of the overview's strip, which Vega has only upright."""
LEGEND = ":green[■] satisfied · :yellow[▲] late · :red[✖] missed · :blue[◆] still open · :gray[–] no slot"
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_DASH = "M-1,-.2L1,-.2L1,.2L-1,.2Z"
_OTHERS = ["late", "missed", "open", "none"]
_SYMBOLS = ["triangle-up", CROSS, "diamond", _DASH]
_ROW, _CELL = 30, 20
"""Height of a database's strip, and of a weekday, in pixels."""
_MARK = 90
"""Area of a mark, in square pixels."""


def slot_strips(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Given ``days_frame``'s rows, draw a strip for each database, with one mark a UTC day.

    Each state has a silhouette of its own beside its colour. The marks are hidden from screen readers: the page says
    them in words (``days_words``).
    """
    names = list(dict.fromkeys(frame["database"]))
    axis = alt.Axis(labelColor=colours.text, labelLimit=150, domain=False, ticks=False, labelPadding=8)
    y = alt.Y("database:N", title=None, sort=names, scale=_band(), axis=axis)
    x = alt.X("yearmonthdate(day):O", title=None, scale=_band(), axis=_dates(colours))
    return _days(frame, colours, x, y).properties(height=len(names) * _ROW)


def slot_calendar(frame: pd.DataFrame, colours: Palette) -> alt.LayerChart:
    """Given ``calendar_frame``'s rows, draw one mark a UTC day; columns are ISO weeks, rows weekdays.

    Silhouettes and words as in ``slot_strips``.
    """
    axis = alt.Axis(labelColor=colours.idle, domain=False, ticks=False, labelPadding=6)
    y = alt.Y("weekday:O", title=None, sort=WEEKDAYS, scale=_band(domain=WEEKDAYS), axis=axis)
    x = alt.X("yearmonthdate(week):O", title=None, scale=_band(), axis=_dates(colours))
    return _days(frame, colours, x, y).properties(height=7 * _CELL)


def days_words(slo: Slo) -> str:
    """Say the days in words, for those who do not see them."""
    return ". ".join(f"{found.database}: {_words(found)}" for found in slo.databases)


def _words(found: DatabaseSlo) -> str:
    words = {
        "satisfied": "with every slot satisfied", "late": "with a late one", "missed": "with a missed one",
        "open": "still open",
    }  # fmt: skip
    counts = {state: sum(day.state == state for day in found.days) for state in STATES}
    parts = [f"{counts[state]} {words[state]}" for state in STATES if counts[state]]
    return f"{len(found.days)} days with slots: {', '.join(parts)}" if parts else "no day with a slot"


def _band(**more: object) -> alt.Scale:
    return alt.Scale(paddingInner=0.25, paddingOuter=0.1, **more)


def _dates(colours: Palette) -> alt.Axis:
    return alt.Axis(
        format="%d %b", labelAngle=0, labelColor=colours.idle, domain=False, ticks=False, labelOverlap="greedy",
        labelSeparation=16,
    )  # fmt: skip


def _days(frame: pd.DataFrame, colours: Palette, x: alt.X, y: alt.Y) -> alt.LayerChart:
    tooltip = [alt.Tooltip("day:T", title="Day (UTC)", format="%a %d %b %Y"), alt.Tooltip("words:N", title="Slots")]
    if "database" in frame:
        tooltip.insert(0, alt.Tooltip("database:N", title="Database"))
    tones = [colours.warning, colours.failure, colours.running, colours.idle]
    satisfied = (
        alt.Chart(frame)
        .transform_filter("datum.state === 'satisfied'")
        .mark_rect(color=colours.ok, cornerRadius=1.5, aria=False)
        .encode(x=x, y=y, tooltip=tooltip)
    )
    others = (
        alt.Chart(frame)
        .transform_filter("datum.state !== 'satisfied'")
        .mark_point(filled=True, opacity=1, size=_MARK, aria=False)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape("state:N", legend=None, scale=alt.Scale(domain=_OTHERS, range=_SYMBOLS)),
            color=alt.Color("state:N", legend=None, scale=alt.Scale(domain=_OTHERS, range=tones)),
            tooltip=tooltip,
        )
    )
    chart = alt.layer(satisfied, others).properties(padding={"left": 0, "right": 4, "top": 4, "bottom": 0})
    return chart.configure_view(strokeWidth=0)
