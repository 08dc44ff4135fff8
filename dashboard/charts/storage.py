"""The storages: how full each one is, and what was stored over the last year."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import altair as alt
import pandas as pd

from dashboard.charts.line import series_colours
from dashboard.format import percent, size
from dashboard.theme import Palette
from services.capacity.storage_use import Level, StorageCard

ROOM_COLUMNS = ("part", "from", "to", "words")
STORED_COLUMNS = ("day", "series", "bytes", "words", "order")
MOST_SERIES = 7
"""With more databases than this the smallest are one series."""
OTHERS = "all others"
# Colours of their own: the five of the theme mean a state, and a database is none. The first six are those of Trends.
_SEVENTH = {"light": "#8C6A2E", "dark": "#DCC66E"}
_REST = {"light": "#8A8F98", "dark": "#A9A5A0"}


def room_frame(card: StorageCard) -> pd.DataFrame:
    """Given a storage that has an end, return its bar's parts: what is used, and what still fits.

    Columns: ``part`` (used, free), ``from`` and ``to`` (bytes), ``words`` (the tooltip).
    """
    total, used = card.total_bytes or 0, card.used.bytes
    rows = [
        {"part": "used", "from": 0, "to": min(used, total), "words": f"{size(used)} used, {percent(used, total)}"},
        {"part": "free", "from": min(used, total), "to": total, "words": f"{size(card.room_bytes)} left"},
    ]
    return pd.DataFrame(rows, columns=list(ROOM_COLUMNS))


def room_bar(frame: pd.DataFrame, card: StorageCard, colours: Palette) -> alt.LayerChart:
    """Draw how full a storage is: a bar, and a line at the share from which it counts as nearly full."""
    severity = card.verdict[0]
    used = {"ok": colours.running, "warning": colours.warning, "failure": colours.failure}.get(severity, colours.idle)
    total = max(card.total_bytes or 0, 1)
    x = alt.X("from:Q", axis=None, scale=alt.Scale(domain=[0, total], nice=False))
    bars = (
        alt.Chart(frame)
        .mark_bar(height=14, aria=False)
        .encode(
            x=x,
            x2="to:Q",
            color=alt.Color(
                "part:N", legend=None, scale=alt.Scale(domain=["used", "free"], range=[used, colours.faint])
            ),
            tooltip=[alt.Tooltip("words:N", title=" ")],
        )
    )
    line = (
        alt.Chart(
            pd.DataFrame([{"at": total * card.warn_percent / 100, "words": f"nearly full: {card.warn_percent} %"}])
        )
        .mark_rule(strokeWidth=2, color=colours.text, aria=False)
        .encode(x=alt.X("at:Q", axis=None), tooltip=[alt.Tooltip("words:N", title=" ")])
    )
    chart = alt.layer(bars, line).properties(height=22, padding={"left": 0, "right": 0, "top": 0, "bottom": 0})
    return chart.configure_view(strokeWidth=0)


def stored_frame(history: Iterable[Level], storage: str | None = None) -> pd.DataFrame:
    """Return what was stored of each database, in one storage or in all of them together.

    Columns: ``day`` (timestamp), ``series`` (the database, or ``all others``), ``bytes``, ``words`` (the tooltip's
    size), ``order`` (0 for what is largest today). A row for each series and day.
    """
    rows = [(level.day, level.database, level.bytes) for level in history if storage in (None, level.storage)]
    frame = pd.DataFrame(rows, columns=["day", "series", "bytes"])
    if frame.empty:
        return pd.DataFrame(columns=list(STORED_COLUMNS))
    last = frame[frame["day"] == frame["day"].max()].groupby("series")["bytes"].sum()
    ranked = last.sort_values(ascending=False, kind="stable").index
    if len(ranked) > MOST_SERIES + 1:
        frame.loc[~frame["series"].isin(ranked[:MOST_SERIES]), "series"] = OTHERS
        ranked = [*ranked[:MOST_SERIES], OTHERS]
    frame = frame.groupby(["day", "series"], as_index=False)["bytes"].sum()
    frame["words"] = frame["bytes"].map(size)
    frame["order"] = frame["series"].map({name: n for n, name in enumerate(ranked)})
    frame["day"] = pd.to_datetime(frame["day"])
    return frame.sort_values(["order", "day"], ignore_index=True)[list(STORED_COLUMNS)]


def stored_area(frame: pd.DataFrame, colours: Palette, *, dark: bool) -> alt.Chart:
    """Given ``stored_frame``'s rows, draw the bytes over time, a layer for each database, the largest at the bottom."""
    names = list(dict.fromkeys(frame["series"]))
    unit, divisor = _unit(int(frame.groupby("day")["bytes"].sum().max()) if len(frame) else 0)
    colour = alt.Scale(domain=names, range=_colours(names, colours, "dark" if dark else "light"))
    x = alt.Axis(
        format="%b %Y", grid=False, domainColor=colours.faint, tickColor=colours.faint, labelColor=colours.idle,
        title=None, tickCount="month", labelOverlap=True,
    )  # fmt: skip
    y = alt.Axis(
        gridColor=colours.faint, domain=False, ticks=False, labelColor=colours.idle, title=unit,
        titleColor=colours.idle, titleAngle=0, titleAlign="left", titleY=-10, titleX=-30,
        titleFontWeight="normal", tickCount=5,
    )  # fmt: skip
    legend = alt.Legend(orient="bottom", title=None, labelColor=colours.text, columns=4, symbolType="square")
    return (
        alt.Chart(frame)
        .transform_calculate(shown=f"datum.bytes / {divisor}")
        .mark_area(opacity=0.9, aria=False)
        .encode(
            x=alt.X("day:T", axis=x),
            y=alt.Y("shown:Q", stack="zero", axis=y),
            color=alt.Color("series:N", sort=names, scale=colour, legend=legend),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("day:T", title="Day (UTC)", format="%d %b %Y"),
                alt.Tooltip("series:N", title="Database"),
                alt.Tooltip("words:N", title="Stored"),
            ],
        )
        .properties(height=260)
        .configure_view(strokeWidth=0)
    )


def _colours(names: Sequence[str], colours: Palette, scheme: str) -> list[str]:
    """Return a colour for each series, by the order of names as in Trends: up to six databases look the same there."""
    order = sorted(name for name in names if name != OTHERS)
    own = (*series_colours(colours), _SEVENTH[scheme])
    return [_REST[scheme] if name == OTHERS else own[order.index(name) % len(own)] for name in names]


def stored_words(frame: pd.DataFrame) -> str:
    """Say the chart in words, for those who do not see it."""
    if frame.empty:
        return "Nothing was stored yet."
    totals = frame.groupby("day")["bytes"].sum()
    largest = frame[frame["order"] == 0].iloc[-1]
    return (
        f"{size(int(totals.iloc[0]))} a year ago, {size(int(totals.iloc[-1]))} today, at most "
        f"{size(int(totals.max()))}; most of it is {largest['series']} with {largest['words']}"
    )


def _unit(most: int) -> tuple[str, int]:
    """Return the decimal unit that an axis up to ``most`` bytes is read best in, and its bytes."""
    for unit, divisor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if most >= divisor:
            return unit, divisor
    return "B", 1
