"""Durations, throughput and sizes over time, with what is unusual, and forecasts of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from dashboard.charts.line import SERIES, line_chart
from dashboard.charts.panel import Panel
from dashboard.charts.rows import RowMaker, edges, horizon, is_wide, reaches_today, room_for, unit_of, when
from dashboard.format import duration, size
from services.trends.growth import Measure
from services.trends.outliers import OutlierKind
from services.trends.trends import Trends

_MANY = 60
"""Points that are drawn small."""
_TOLD = 3
"""Databases of which the caption says how they stand now; of more, the description alone."""
_FORECAST = "dashed: what is expected, within its band"
MOST_SERIES = len(SERIES)
"""Databases that are drawn in one chart; with more chosen, those with the largest backups."""


@dataclass(frozen=True)
class Measured:
    """A column of ``Trends.points`` as a chart."""

    column: str
    key: str
    title: str
    axis: str
    kind: Literal["time", "bytes", "rate"]
    high: str = ""
    """The column of the 95th percentile."""
    unusual: OutlierKind | None = None
    forecast: Measure | None = None

    def said(self, value: float) -> str:
        """Return a value as people read it."""
        if self.kind == "time":
            return duration(value)
        return size(round(value)) + ("/s" if self.kind == "rate" else "")


MEASURED: tuple[Measured, ...] = (
    Measured("seconds", "duration", "Duration of a backup", "Duration", "time", "seconds_p95", "duration"),
    Measured("bytes_per_second", "throughput", "Throughput, before compression", "Throughput", "rate"),
    Measured("database_bytes", "database-size", "Size of the database", "Size", "bytes", "", "database size",
             "database_bytes"),
    Measured("stored_bytes", "backup-size", "Size of a backup, as stored", "Size", "bytes", "", "stored size",
             "stored_bytes"),
)  # fmt: skip


def measured_panel(trends: Trends, what: Measured) -> Panel | None:
    """Return the chart of one column; None where there is nothing to show."""
    drawn = trends.largest(MOST_SERIES)
    points = trends.points[trends.points["database"].isin(drawn)].dropna(subset=[what.column])
    if points.empty:
        return None
    outliers = [o for o in trends.outliers if o.kind == what.unusual and o.database in drawn]
    unit = unit_of(points[what.column], "seconds" if what.kind == "time" else "bytes")
    maker = RowMaker(unit)
    _add_points(maker, trends, what, points, drawn)
    for outlier in outliers:
        at, mark = pd.Timestamp(outlier.at), "slower" if what.kind == "time" else "smaller"
        maker.point(
            at, mark, outlier.database, outlier.value, kind="outlier", backup_id=outlier.backup_id,
            when=when(at, None), words=f"{outlier.backup} {outlier.reason}",
        )  # fmt: skip
    if reaches_today(trends):
        for growth in trends.growth:
            if growth.measure == what.forecast and growth.line is not None and growth.database in drawn:
                maker.forecast(
                    SERIES[drawn.index(growth.database)], growth.database, growth.line, horizon(trends.query)
                )
    for edge in edges(trends.query):
        maker.edge(edge)
    several = len(drawn) > 1
    log = several and is_wide(points.groupby("database")[what.column].last())
    flags = ["dense"] if len(points) > _MANY else []
    if several:
        maker.names(log=log)
        flags.append(room_for(drawn))
    if log:
        flags.append("log")
    per = f"{unit.name}/s" if what.kind == "rate" else unit.name
    columns = ["database", "at", "backups", what.column, *([what.high] if what.high else [])]
    said = _values(what, points, drawn)
    expected = _expected(trends, what.forecast, drawn)
    unusual = _unusual(what, len(outliers))
    below = [*([said] if len(drawn) <= _TOLD else []), *unusual, *([_FORECAST] if several and expected else expected)]
    return Panel(
        what.key, what.title, " · ".join([said, *unusual, *expected]), "\n".join(below), line_chart, maker.frame(),
        (f"{what.axis} ({per}{', logarithmic' if log else ''})", *flags),
        points[[*columns, "backup_id", "backup", "type"]], leads=True,
    )  # fmt: skip


def _add_points(maker: RowMaker, trends: Trends, what: Measured, points: pd.DataFrame, drawn: Sequence[str]) -> None:
    bucket = None if trends.single else trends.query.bucket
    for row in points.itertuples():
        value = getattr(row, what.column)
        maker.point(
            row.at, SERIES[drawn.index(row.database)], row.database, value,
            high=getattr(row, what.high) if what.high else value, backup_id=row.backup_id, when=when(row.at, bucket),
            words=_words(what, row, several=len(drawn) > 1),
        )  # fmt: skip


def _words(what: Measured, row: Any, *, several: bool) -> str:
    name = f"{row.database}: " if several else ""
    text = f"{name}{what.said(getattr(row, what.column))}"
    if row.backups == 1:
        return f"{text} · {row.backup}"
    average = "median" if what.kind == "time" else "average"
    rest = f" · 95 of 100 within {what.said(getattr(row, what.high))}" if what.high else ""
    return f"{text}, {average} of {row.backups}{rest} · slowest: {row.backup}"


def _values(what: Measured, points: pd.DataFrame, drawn: Sequence[str]) -> str:
    if len(drawn) > 1:
        newest = points.groupby("database")[what.column].last()
        return "now: " + " · ".join(f"{name} {what.said(newest[name])}" for name in drawn if name in newest.index)
    values = points[what.column]
    text = f"now {what.said(values.iloc[-1])} · median {what.said(values.median())}"
    return f"{text} · from {what.said(values.min())} to {what.said(values.max())}"


def _unusual(what: Measured, count: int) -> list[str]:
    if not count:
        return []
    rule = "▲ {} took over twice the usual" if what.kind == "time" else "▼ {} over 30 % smaller than usual"
    return [rule.format(count)]


def _expected(trends: Trends, measure: Measure | None, drawn: Sequence[str]) -> list[str]:
    """Say what each size is expected to be, in one line; or that nothing is known."""
    if measure is None or not reaches_today(trends):
        return []
    said = []
    for growth in trends.growth:
        if growth.measure == measure and growth.database in drawn and growth.expected is not None:
            expected, low, high = (size(round(value)) for value in growth.expected)
            name = f"{growth.database} " if len(drawn) > 1 else ""
            said.append(f"{name}{expected} ({low} to {high})")
    if not said:
        return ["Too little for a forecast: it needs six points over two weeks."]
    return [f"expected in 90 days: {' · '.join(said)}"]
