"""A year of days at a glance: a column for each week, a row for each day of the week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

import altair as alt
import pandas as pd

from dashboard.charts.line import FONT
from dashboard.charts.panel import Panel
from dashboard.charts.spec import Rows
from dashboard.theme import Palette
from services.catalog.summaries import Day, DayState
from services.trends.query import midnight
from services.trends.trends import CALENDAR_DAYS, Trends

CALENDAR_COLUMNS = ("week", "weekday", "month", "state", "tested", "when", "words")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WORST_FIRST: tuple[DayState, ...] = ("none", "failed", "partial", "good")
_WORDS: dict[DayState, str] = {
    "good": "a good backup", "partial": "partial only", "failed": "failed", "none": "no backup",
}  # fmt: skip
_SHOWN = 6  # names in a tooltip


def calendar_rows(
    days: Sequence[Day], databases: Sequence[str], begun: Mapping[str, date], *, last: date, length: int, today: date
) -> pd.DataFrame:
    """Return a row for each of the ``length`` days up to ``last`` on which a backup was due, and one for each week.

    Columns: ``week`` (UTC, its Monday), ``weekday`` (Mon …), ``month`` (the name, on the first week of each), ``state``
    (that of the database which fared worst), ``tested`` (restore tests that passed), ``when`` and ``words``. A database
    counts from the day in ``begun`` on; today only once something has happened. Each week has
    a row of its own with the state ``""`` and no mark, so that a young installation has a year of columns, too; it
    bears the name of the month. Without any day there are no rows at all.
    """
    happened = {(day.database, day.day): day for day in days}
    rows = []
    weeks: dict[date, str] = {}
    months: set[tuple[int, int]] = set()
    for ordinal in range(last.toordinal() - length + 1, last.toordinal() + 1):
        at = date.fromordinal(ordinal)
        due = [name for name in databases if name in begun and begun[name] <= at]
        found = {name: happened.get((name, at)) for name in due}
        states: dict[str, DayState] = {name: day.state if day else "none" for name, day in found.items()}
        monday = at - timedelta(days=at.weekday())
        weeks.setdefault(monday, "")
        if (key := (at.year, at.month)) not in months and at.day <= 7:
            months.add(key)
            weeks[monday] = f"{at:%b}"
        if at == today:
            states = {name: state for name, state in states.items() if state != "none"}
        if not states:
            continue
        tested = sum(day.tests_passed for day in found.values() if day is not None)
        worst = min(states.values(), key=_WORST_FIRST.index)
        rows.append((
            datetime.combine(monday, time()), _WEEKDAYS[at.weekday()], "", worst, tested,
            f"{at:%a %d %b %Y}", _words(states, tested),
        ))  # fmt: skip
    # One row of each week bears its month, and has nothing else to show: the weeks are there whatever happened in them.
    if rows:
        rows += [(datetime.combine(monday, time()), "Mon", month, "", 0, "", "") for monday, month in weeks.items()]
    frame = pd.DataFrame(rows, columns=list(CALENDAR_COLUMNS))
    frame["week"] = pd.to_datetime(frame["week"], utc=True)
    return frame


def calendar_chart(rows: Rows, colours: Palette) -> alt.LayerChart:
    """Draw CALENDAR_COLUMNS. Each state has a silhouette of its own, the same as in the strip of days."""
    x = alt.X("week:O", timeUnit="utcyearmonthdate", axis=None, scale=alt.Scale(paddingInner=0.2, paddingOuter=0))
    axis = alt.Axis(values=["Mon", "Wed", "Fri"], ticks=False, domain=False, labelColor=colours.idle, labelFontSize=11,
                    labelPadding=6)  # fmt: skip
    rows_of_week = alt.Scale(domain=list(_WEEKDAYS), paddingInner=0.2, paddingOuter=0)
    y = alt.Y("weekday:O", sort=list(_WEEKDAYS), title=None, axis=axis, scale=rows_of_week)
    tooltip = [alt.Tooltip("when:N", title="Day (UTC)"), alt.Tooltip("words:N", title=" ")]

    def of(keep: str) -> alt.Chart:
        return alt.Chart(rows).transform_filter(keep).encode(x=x, y=y, tooltip=tooltip)

    # Of every week, most of them without a text: the columns are those of the layers' data.
    months = alt.Chart(rows).transform_filter("datum.state === ''").mark_text(
        align="left", dx=-4, fontSize=11, color=colours.idle, aria=False
    ).encode(x=x, y=alt.value(-10), text="month:N")  # fmt: skip
    layers = [
        of("datum.state === 'good'").mark_rect(color=colours.ok, cornerRadius=1.5, aria=False),
        of("datum.state === 'partial'").mark_point(
            shape="triangle-up", size=70, filled=True, color=colours.warning, opacity=1, aria=False
        ),
        of("datum.state === 'failed'").mark_point(
            shape="cross", angle=45, size=80, filled=True, color=colours.failure, opacity=1, aria=False
        ),
        of("datum.state === 'none'").mark_point(
            shape="stroke", size=60, strokeWidth=2.5, color=colours.idle, opacity=0.9, aria=False
        ),
        of("datum.tested > 0").mark_point(
            shape="diamond", size=26, filled=True, color=colours.text, opacity=1, aria=False
        ),
        months,
    ]  # fmt: skip
    return (
        alt.layer(*layers)
        .properties(height=128, padding={"left": 4, "right": 4, "top": 18, "bottom": 2})
        .configure(font=FONT, background="transparent")
        .configure_view(strokeWidth=0)
    )


def calendar_panel(trends: Trends) -> Panel:
    """Return the year that ends with the range, of the databases that are looked at."""
    query, today = trends.query, trends.now.astimezone(UTC).date()
    rows = calendar_rows(
        trends.calendar, query.databases, trends.begun, last=query.last, length=CALENDAR_DAYS, today=today
    )
    words = calendar_words(rows, len(query.databases))
    table = calendar_table(trends.calendar)
    return Panel("calendar", "A year of days", words, words, calendar_chart, rows, (), table, wide=True)


def calendar_words(rows: pd.DataFrame, databases: int) -> str:
    """Say the year in words."""
    rows = rows[rows["state"] != ""]
    counts = Counter(rows["state"])
    good = "a good backup" if databases == 1 else "a good backup of every database"
    parts = [f"{counts['good']} of {len(rows)} days with {good}"]
    for state, words in (("partial", "with a partial one only"), ("failed", "on which it failed"), ("none", "without")):
        if counts[state]:
            parts.append(f"{counts[state]} {words}")
    tests = int(rows["tested"].sum()) if len(rows) else 0
    parts.append(f"{tests} restore {'test' if tests == 1 else 'tests'} passed")
    return " · ".join(parts)


def calendar_table(days: Sequence[Day]) -> pd.DataFrame:
    """Return the days on which anything happened, for CSV: ``database``, ``at`` (UTC) and the counts."""
    columns = ["database", "at", "state", "good", "partial", "failed", "tests_passed", "tests_failed"]
    rows = [(d.database, midnight(d.day), d.state, d.good, d.partial, d.failed, d.tests_passed, d.tests_failed)
            for d in days]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _words(states: Mapping[str, DayState], tested: int) -> str:
    said = []
    if len(states) == 1:
        (state,) = states.values()
        said.append(
            {"good": "a good backup", "partial": "partial only", "failed": "failed", "none": "no backup"}[state]
        )
    else:
        good = sum(state == "good" for state in states.values())
        said.append(f"{good} of {len(states)} databases have a good backup")
        for state, word in (("failed", "failed"), ("none", "without"), ("partial", "partial only")):
            names = [name for name, its in states.items() if its == state]
            if names:
                more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                said.append(f"{word}: {', '.join(names[:_SHOWN])}{more}")
    if tested:
        said.append(f"{tested} restore {'test' if tested == 1 else 'tests'} passed")
    return " · ".join(said)
