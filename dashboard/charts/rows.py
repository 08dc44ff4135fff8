"""Rows of ``line_chart``: units that fit, names that do not lie upon each other, words for tooltips."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

import pandas as pd

from dashboard.charts.line import LINE_COLUMNS, SERIES
from dashboard.format import day as minute
from dashboard.format import short
from services.trends.forecast import HORIZON_DAYS, Line
from services.trends.query import Bucket, TrendsQuery, midnight
from services.trends.trends import Trends

_BYTES = (("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("PB", 1e15))
_TIMES = (("s", 1.0), ("min", 60.0), ("h", 3600.0))
_APART = 0.075
"""Of the height of a chart: how far names of series are kept apart."""
_LONGEST_NAME = 16
"""Characters; the rest of a name is left out."""
_WIDE = 30.0
"""Where the largest series is so many times the smallest, the axis is logarithmic."""


@dataclass(frozen=True)
class Unit:
    """What the numbers on an axis are counted in."""

    name: str
    size: float


def unit_of(values: Iterable[float], kind: str) -> Unit:
    """Return the unit in which the largest of the values is a number that can be read: ``bytes`` or ``seconds``."""
    largest = max((value for value in values if value == value), default=0.0)
    units = _BYTES if kind == "bytes" else _TIMES
    floor = 1.0 if kind == "bytes" else 2.0  # 90 s is read more easily than 1.5 min
    name, size = next(((n, s) for n, s in reversed(units) if largest >= floor * s), units[0])
    return Unit(name, size)


class RowMaker:
    """Gathers the rows of one chart, in the unit of its axis."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._rows: list[dict[str, Any]] = []

    def point(self, at: pd.Timestamp, slot: str, series: str, value: float, **more: Any) -> None:
        """Add a value, or (``kind="outlier"``) its mark. ``high`` is in the same unit as the value."""
        high = more.pop("high", value)
        self._add(more.pop("kind", "point"), at, value, series=series, slot=slot, high=high / self._unit.size, **more)

    def limit(self, value: float, label: str, at: pd.Timestamp) -> None:
        """Add a rule."""
        self._add("limit", at, value, label=label)

    def edge(self, at: pd.Timestamp, value: float = 0.0) -> None:
        """Let the axes reach at least to there."""
        self._add("edge", at, value)

    def forecast(self, slot: str, series: str, line: Line, days: float) -> None:
        """Add a band from the newest point on for so many days; nothing in it is below zero."""
        for step in range(7):
            ahead = line.last_day + days * step / 6
            value, low, high = (max(0.0, edge) for edge in (line.at(ahead), line.low(ahead), line.high(ahead)))
            at = pd.Timestamp(ahead, unit="D", tz="UTC")
            self._add("forecast", at, value, series=series, slot=slot, low=low / self._unit.size,
                      high=high / self._unit.size)  # fmt: skip

    def names(self, *, log: bool) -> None:
        """Add the name of each series at its last point (or the end of its forecast), none upon another."""
        ends: dict[str, dict[str, Any]] = {}
        for row in self._rows:
            if row["kind"] in ("point", "forecast") and row["slot"] in SERIES:
                ends[row["slot"]] = row
        if not ends:
            return
        at = max(row["at"] for row in ends.values())
        top = max(row["value"] for row in self._rows if row["value"] == row["value"])
        values = [row["value"] for row in ends.values()]
        for row, value in zip(ends.values(), values if log else apart(values, _APART * top), strict=True):
            text = short(str(row["series"]), _LONGEST_NAME)
            self._rows.append(_blank() | {
                "kind": "name", "at": at, "series": row["series"], "slot": row["slot"], "value": value, "label": text,
            })  # fmt: skip

    def frame(self) -> pd.DataFrame:
        """Return the rows, with LINE_COLUMNS."""
        frame = pd.DataFrame(self._rows, columns=list(LINE_COLUMNS))
        frame["at"] = pd.to_datetime(frame["at"], utc=True)
        return frame

    def _add(self, kind: str, at: pd.Timestamp, value: float, **more: Any) -> None:
        self._rows.append(_blank() | {"kind": kind, "at": at, "value": value / self._unit.size} | more)


def _blank() -> dict[str, Any]:
    nothing: dict[str, Any] = dict.fromkeys(("series", "slot", "backup_id", "label", "when", "words"), "")
    return nothing | {"value": float("nan"), "low": float("nan"), "high": float("nan")}


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Move values apart until each is at least ``gap`` from the next, in their order; the lowest stays where it is."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    moved = list(values)
    for lower, upper in itertools.pairwise(order):
        moved[upper] = max(moved[upper], moved[lower] + gap)
    return moved


def room_for(names: Iterable[str]) -> str:
    """Return the flag of ``line_chart`` that leaves room for these names: narrow, middling or wide."""
    longest = max(min(len(name), _LONGEST_NAME) for name in names)
    return f"named:{next(pixels for pixels in (55, 85, 115) if longest * 6 + 16 <= pixels)}"


def is_wide(values: Iterable[float]) -> bool:
    """Say whether the values of series differ so much that one axis needs to be logarithmic to show all of them."""
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) > _WIDE * min(positive)


def when(at: pd.Timestamp, bucket: Bucket | None) -> str:
    """Say when a point is: the minute of a single backup (bucket None), or the day, week or month."""
    if bucket is None:
        return minute(at.to_pydatetime())
    if bucket == "day":
        return f"{at:%d %b %Y}".lstrip("0")
    return f"{at:%B %Y}" if bucket == "month" else f"the week of {at:%d %b %Y}"


def edges(query: TrendsQuery) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first and the last instant of a range, for the axis."""
    return _stamp(query.first), _stamp(query.last + timedelta(days=1))


def reaches_today(trends: Trends) -> bool:
    """Say whether a range ends now: only then is what comes after it a forecast."""
    return trends.query.last >= trends.now.astimezone(UTC).date()


def horizon(query: TrendsQuery) -> float:
    """Return how many days ahead a forecast is drawn: as far as is looked back, 90 days at most, 30 at least."""
    return max(30.0, min(HORIZON_DAYS, float(query.days)))


def _stamp(day: date) -> pd.Timestamp:
    return pd.Timestamp(midnight(day))
