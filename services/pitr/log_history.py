"""How fast the log of a database was written, and how far its archive was behind, over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from services.catalog.wal_samples import SampledSpan, sampled_spans
from services.installation import Installation
from services.settings.model import DatabaseSettings

Range = Literal["1 h", "24 h", "7 d", "30 d"]
RANGES: dict[Range, tuple[timedelta, timedelta]] = {
    "1 h": (timedelta(hours=1), timedelta(minutes=1)),
    "24 h": (timedelta(days=1), timedelta(minutes=10)),
    "7 d": (timedelta(days=7), timedelta(hours=1)),
    "30 d": (timedelta(days=30), timedelta(hours=4)),
}
"""How far back each range goes, and what one point of it stands for: at most 180 points."""


@dataclass(frozen=True)
class LogPoint:
    """A span of time, by its last sample. None where no sample could tell."""

    at: datetime
    bytes_per_second: float | None
    """Of log written since the point before; None for the first one, and where the server was set back."""
    lag_bytes: int | None
    delay: timedelta | None
    slot_lag_bytes: int | None
    missing: int | None
    failed: int
    """Looks that failed."""


@dataclass(frozen=True)
class LogHistory:
    """The points of a range, the oldest first."""

    since: datetime
    until: datetime
    points: tuple[LogPoint, ...]
    rpo: timedelta


def load_log_history(installation: Installation, database: DatabaseSettings, chosen: Range) -> LogHistory:
    """Return a range that ends now. One query."""
    back, span = RANGES[chosen]
    until = installation.clock()
    spans = sampled_spans(installation.catalog.engine, database.name, since=until - back, until=until, span=span)
    return LogHistory(until - back, until, log_points(spans), database.pitr.rpo)


def log_points(spans: list[SampledSpan]) -> tuple[LogPoint, ...]:
    """Given spans, the oldest first, return their points. The rate is that between the ends of two spans."""
    points, before = [], None
    for one in spans:
        rate = _rate(before, one)
        points.append(LogPoint(one.at, rate, one.lag_bytes, one.delay, one.slot_lag_bytes, one.missing, one.failed))
        before = one if one.current_lsn is not None else before
    return tuple(points)


def _rate(before: SampledSpan | None, span: SampledSpan) -> float | None:
    if before is None or before.current_lsn is None or span.current_lsn is None:
        return None
    seconds = (span.at - before.at).total_seconds()
    written = span.current_lsn - before.current_lsn
    return written / seconds if seconds > 0 and written >= 0 else None
