"""How a database is backed up today: how often, how large, how fast that grows. Measured from the last ninety days."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from statistics import median

import sqlalchemy as sa

from services.catalog.schema import backups, copies

MEASURED = timedelta(days=90)
SHORTEST = timedelta(minutes=15)
"""A rhythm is not taken to be quicker: a few backups in a minute are an experiment."""
_DAY = timedelta(days=1)
LEAST_HISTORY = timedelta(days=3)
_LEAST_BACKUPS = 3
"""With less history, or fewer regular backups, there is no rhythm to go on: minutes say nothing of a year."""
_ENOUGH = 4
"""So many backups, over more than three days, show a growth; fewer show none."""
_POINTS = 90
"""About so many backups are compared with each other for the growth."""


@dataclass(frozen=True)
class PastBackup:
    """One whole backup of the past, expired or not."""

    database: str
    finished_at: datetime
    on_demand: bool
    """True for on-demand and emergency ones: they follow no rhythm."""
    bytes: int
    """What its copies took, in all storages."""


@dataclass(frozen=True)
class Rhythm:
    """What goes on if nothing changes."""

    every: timedelta | None
    """Between two regular backups; None with too little history to know a rhythm."""
    last_at: datetime | None
    """When the last regular backup finished."""
    on_demand_every: timedelta | None
    """Between two on-demand ones, on average; None where there are none."""
    bytes: int
    """Of a backup made now, in all storages."""
    bytes_per_day: float
    """How much larger each is than one a day earlier; never below 0, since nothing is promised to shrink."""

    def bytes_at(self, now: datetime, at: datetime) -> int:
        """Return the size of a backup that is made then."""
        return int(self.bytes + self.bytes_per_day * max(0.0, (at - now) / _DAY))


def load_past(engine: sa.Engine, databases: Collection[str], now: datetime) -> list[PastBackup]:
    """Return the whole logical backups of the measured days, expired ones included, the oldest first. One query."""
    size = sa.select(sa.func.sum(copies.c.bytes)).where(copies.c.backup_id == backups.c.id).scalar_subquery()
    query = (
        sa.select(backups.c.database, backups.c.finished_at, backups.c.type, size.label("bytes"))
        .where(
            backups.c.database.in_(list(databases)),
            backups.c.finished_at.between(now - MEASURED, now),
            backups.c.type != "base",
            backups.c.adopted.is_(False),
            sa.cast(backups.c.excluded, sa.Text) == "[]",
        )
        .order_by(backups.c.finished_at, backups.c.id)
    )
    with engine.connect() as connection:
        return [
            PastBackup(row.database, row.finished_at, row.type in ("on-demand", "emergency"), int(row.bytes or 0))
            for row in connection.execute(query)
        ]


def measure(past: Sequence[PastBackup], now: datetime) -> Rhythm:
    """Given the past of one database, the oldest first, return its rhythm.

    Regular backups are the scheduled ones; where there are none, whatever there is. Rhythm and growth are medians, so
    that a night that failed or one odd size moves neither. With less than LEAST_HISTORY of regular backups nothing is
    said of what is to come.
    """
    scheduled = [backup for backup in past if not backup.on_demand]
    regular = scheduled or list(past)
    extra = [backup for backup in past if backup.on_demand] if scheduled else []
    known = len(regular) >= _LEAST_BACKUPS and now - regular[0].finished_at >= LEAST_HISTORY
    gaps = [(later.finished_at - earlier.finished_at).total_seconds() for earlier, later in pairwise(regular)]
    span = now - past[0].finished_at if past else _DAY
    growth = _growth(regular, now) if known else 0.0
    return Rhythm(
        every=max(SHORTEST, timedelta(seconds=median(gaps))) if known else None,
        last_at=regular[-1].finished_at if regular else None,
        on_demand_every=max(SHORTEST, max(span, _DAY) / len(extra)) if known and extra else None,
        bytes=int(median(backup.bytes for backup in regular[-7:])) if regular else 0,
        bytes_per_day=growth,
    )


def _growth(regular: Sequence[PastBackup], now: datetime) -> float:
    """Return the growth in bytes a day: the median of the slopes between any two backups (Theil and Sen)."""
    thinned = regular[:: max(1, len(regular) // _POINTS)]
    points = [((backup.finished_at - now) / _DAY, backup.bytes) for backup in thinned]
    if len(points) < _ENOUGH or points[-1][0] - points[0][0] < 3:
        return 0.0
    slopes = [
        (size - before) / (day - earlier) for (earlier, before), (day, size) in combinations(points, 2) if day > earlier
    ]
    return max(0.0, median(slopes))
