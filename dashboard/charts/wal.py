"""The log over time: how fast it was written, and how far its archive was behind."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dashboard.charts.line import line_chart
from dashboard.charts.panel import Panel
from dashboard.charts.rows import RowMaker, Unit, unit_of
from dashboard.format import counted, duration, instant, size
from services.pitr.log_history import LogHistory, LogPoint
from services.status import age

_QUIET = 1000.0
"""Bytes per second to which the axis reaches when nothing was written."""
_MANY = 60
"""Points that are drawn small."""


def wal_panels(history: LogHistory) -> list[Panel]:
    """Return the charts of a range: rate and delay. Without samples none."""
    if not history.points:
        return []
    return [_rate(history), _delay(history)]


def _rate(history: LogHistory) -> Panel:
    points = [(point, point.bytes_per_second) for point in history.points if point.bytes_per_second is not None]
    values = [value for _, value in points]
    words = "Nothing to draw yet: the server could not be asked twice in this time."
    if values:
        words = (
            f"now {_per_second(values[-1])} · average {_per_second(sum(values) / len(values))} · "
            f"most {_per_second(max(values))}"
        )
    unit = unit_of(values, "bytes")
    maker = _maker(history, unit)
    for point, value in points:
        maker.point(
            pd.Timestamp(point.at), "0", "log", value, when=instant(point.at), words=f"{_per_second(value)} written"
        )
    if values and not max(values):  # without it the axis is called 0.000000
        maker.edge(pd.Timestamp(history.until), _QUIET)
    axis = f"Log written ({unit.name}/s)"
    return Panel(
        "wal-rate",
        "Log written",
        words,
        words,
        line_chart,
        maker.frame(),
        (axis, *_flags(points)),
        _table(history),
        empty=not values,
    )


def _delay(history: LogHistory) -> Panel:
    points = [(point, point.delay.total_seconds()) for point in history.points if point.delay is not None]
    rpo = history.rpo.total_seconds()
    values = [value for _, value in points]
    failed = sum(point.failed for point in history.points)
    words = "Nothing to draw yet: in this time nobody could tell how far the archive was."
    if values:
        over = sum(value > rpo for value in values)
        within = f"within the RPO {age(history.rpo)}"
        kept = f"over the RPO {age(history.rpo)} in {over} of {len(values)}" if over else within
        words = f"now {_late(values[-1])} · most {_late(max(values))} · {kept}"
    caption = words + (f"\n{counted(failed, 'look')} failed: server or storage was away" if failed else "")
    unit = unit_of([*values, rpo], "seconds")
    maker = _maker(history, unit)
    for point, value in points:
        behind = f", {size(point.lag_bytes)} of log" if point.lag_bytes else ""
        maker.point(
            pd.Timestamp(point.at), "0", "log", value, when=instant(point.at), words=f"{_late(value)} behind{behind}"
        )
    maker.limit(rpo, f"RPO {age(history.rpo)}", pd.Timestamp(history.until))
    axis = f"Archive behind ({unit.name})"
    return Panel(
        "wal-delay", "Archive behind the server", words, caption, line_chart, maker.frame(), (axis, *_flags(points)),
        _table(history), empty=not values,
    )  # fmt: skip


def _maker(history: LogHistory, unit: Unit) -> RowMaker:
    maker = RowMaker(unit)
    maker.edge(pd.Timestamp(history.since))
    maker.edge(pd.Timestamp(history.until))
    return maker


def _flags(points: Sequence[object]) -> list[str]:
    return ["dense"] if len(points) > _MANY else []


def _table(history: LogHistory) -> pd.DataFrame:
    """Return the points in whole units, for CSV."""
    return pd.DataFrame([_row(point) for point in history.points])


def _row(point: LogPoint) -> dict[str, object]:
    return {
        "at": point.at,
        "bytes_per_second": point.bytes_per_second,
        "lag_bytes": point.lag_bytes,
        "delay_seconds": None if point.delay is None else point.delay.total_seconds(),
        "slot_lag_bytes": point.slot_lag_bytes,
        "missing_segments": point.missing,
        "failed_looks": point.failed,
    }


def _per_second(value: float) -> str:
    return f"{size(round(value))}/s"


def _late(seconds: float) -> str:
    return "none" if seconds < 1 else duration(seconds)
