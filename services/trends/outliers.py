"""Backups that are not like those before them: much smaller, or much slower. Each with its reason in words.

The rule is that of the runbook's team: compared with the median of the seven good backups before it, a backup is an
outlier when its dump or its database is more than 30 % smaller, or when it took more than twice as long. The median
of a short window before, since it follows growth, and since one outlier does not make the next one look usual
(Hampel's identifier works in the same way: R. K. Pearson, "Outliers in process modeling and identification", 2002).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from services.catalog.schema import Instant, backups
from services.trends.query import TrendsQuery
from services.trends.sql import of_backups, seconds_between, whole
from services.units import format_bytes, format_duration

OutlierKind = Literal["stored size", "database size", "duration"]

WINDOW = 7
"""Good backups before it that a backup is compared with."""
ENOUGH = 3
"""With fewer than so many before it, nothing is said of a backup."""
SMALLEST_SHARE = 0.7
"""A backup is an outlier when it is smaller than this share of the median."""
LARGEST_FACTOR = 2.0
"""… or when it took longer than this many times the median."""
NOTICEABLE_SECONDS = 10.0
"""A duration is no outlier when it is longer by less than this: two seconds instead of one are no news."""
LOOK_BACK = timedelta(days=35)
"""How far before the range the backups are looked for that its first ones are compared with."""
MOST = 200
"""Outliers that are looked at, the newest."""


@dataclass(frozen=True)
class Outlier:
    """One backup that is unlike those before it, in one way."""

    kind: OutlierKind
    database: str
    backup_id: str
    backup: str
    at: datetime
    """When it ended."""
    value: float
    """Bytes, or seconds."""
    usual: float
    """The median of those before it."""

    @property
    def reason(self) -> str:
        """Say in words what is unusual, with both numbers."""
        if self.kind == "duration":
            times = f"{self.value / self.usual:.1f} times the median of the backups before it"
            return f"took {format_duration(self.value)}, {times} ({format_duration(self.usual)})"
        drop = f"{100 * (1 - self.value / self.usual):.0f} % below the median of the backups before it"
        what = "is" if self.kind == "stored size" else "is of a database of"
        return f"{what} {format_bytes(self.value)}, {drop} ({format_bytes(self.usual)})"


def judge_drop(size: float, before: Sequence[float]) -> float | None:
    """Given a size and those of the good backups before it, return their median if this one is an outlier."""
    if len(before) < ENOUGH:
        return None
    usual = statistics.median(before)
    return usual if size < SMALLEST_SHARE * usual else None


def judge_duration(seconds: float, before: Sequence[float]) -> float | None:
    """Given a duration and those of the good backups before it, return their median if this one is an outlier."""
    if len(before) < ENOUGH:
        return None
    usual = statistics.median(before)
    return usual if seconds > LARGEST_FACTOR * usual and seconds - usual >= NOTICEABLE_SECONDS else None


def find_outliers(engine: sa.Engine, query: TrendsQuery) -> list[Outlier]:
    """Return the outliers of the range, the newest first. At most two queries.

    The database picks who may be one: smaller than a share of the *largest* before it, slower than twice the
    *quickest*. Every outlier is among them, since a median lies between the two; they are few, and judged here.
    """
    with engine.connect() as connection:
        suspects = connection.execute(_suspects(engine, query)).all()
        before: dict[str, list[sa.Row[Any]]] = {row.id: [] for row in suspects}
        if suspects:
            for row in connection.execute(_windows(engine, suspects)):
                before[row.suspect].append(row)
    found = []
    for one in suspects:
        window = before[one.id][-WINDOW - 1 :]
        itself = next(row for row in window if row.id == one.id)
        others = [row for row in window if row.id != one.id][-WINDOW:]
        judged: tuple[tuple[OutlierKind, float, float | None], ...] = (
            ("stored size", one.stored_bytes, judge_drop(one.stored_bytes, [row.stored_bytes for row in others])),
            ("database size", one.database_bytes, judge_drop(one.database_bytes, [r.database_bytes for r in others])),
            ("duration", round(one.seconds, 3), judge_duration(one.seconds, [round(row.seconds, 3) for row in others])),
        )
        found += [
            Outlier(kind, one.database, one.id, itself.name, one.finished_at, value, usual)
            for kind, value, usual in judged
            if usual is not None
        ]
    return found


def _comparable() -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions on backups that say what is usual: whole, and not failed in a verification."""
    passed = backups.c.verification_passed
    return whole(), sa.or_(passed.is_(None), passed.is_(True))


def _columns(engine: sa.Engine) -> list[sa.ColumnElement[Any]]:
    seconds = seconds_between(engine, backups.c.started_at, backups.c.finished_at).label("seconds")
    names = ("id", "database", "finished_at", "stored_bytes", "database_bytes")
    return [*(backups.c[name] for name in names), seconds]


def _suspects(engine: sa.Engine, query: TrendsQuery) -> sa.Select[Any]:
    """Select those that may be outliers, the newest first, and when the first of the backups before each ended."""
    comparable = (
        sa.select(*_columns(engine))
        .where(*_comparable(), *of_backups(query))
        .where(backups.c.finished_at >= query.since - LOOK_BACK, backups.c.finished_at < query.until)
        .subquery()
    )

    def before(value: sa.FunctionElement[Any]) -> sa.Over[Any]:
        order = [comparable.c.finished_at, comparable.c.id]
        return sa.over(value, partition_by=comparable.c.database, order_by=order, rows=(-WINDOW, -1))

    c = sa.select(
        comparable,
        before(sa.func.max(comparable.c.stored_bytes)).label("largest_stored"),
        before(sa.func.max(comparable.c.database_bytes)).label("largest_size"),
        before(sa.func.min(comparable.c.seconds)).label("quickest"),
        before(sa.func.min(comparable.c.finished_at)).label("window_begins"),
    ).subquery().c  # fmt: skip
    slow = sa.and_(c.seconds > LARGEST_FACTOR * c.quickest, c.seconds - c.quickest >= NOTICEABLE_SECONDS)
    small = [c.stored_bytes < SMALLEST_SHARE * c.largest_stored, c.database_bytes < SMALLEST_SHARE * c.largest_size]
    names = ("id", "database", "finished_at", "stored_bytes", "database_bytes", "seconds", "window_begins")
    statement = sa.select(*(c[name] for name in names)).where(c.finished_at >= query.since, sa.or_(*small, slow))
    return statement.order_by(c.finished_at.desc(), c.id.desc()).limit(MOST)


def _windows(engine: sa.Engine, suspects: Sequence[sa.Row[Any]]) -> sa.Select[Any]:
    """Select the backups in the window of each suspect, itself included, in order of time."""
    wanted = sa.values(
        sa.column("suspect", sa.String), sa.column("of", sa.String), sa.column("begins", Instant),
        sa.column("ends", Instant), name="wanted",
    ).data([(row.id, row.database, row.window_begins, row.finished_at) for row in suspects]).cte()  # fmt: skip
    of_it = sa.and_(backups.c.database == wanted.c.of, backups.c.finished_at.between(wanted.c.begins, wanted.c.ends))
    statement = sa.select(wanted.c.suspect, backups.c.name, *_columns(engine)).join_from(wanted, backups, of_it)
    return statement.where(*_comparable()).order_by(wanted.c.suspect, backups.c.finished_at, backups.c.id)
