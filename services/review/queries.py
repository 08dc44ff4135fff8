"""What the review asks the catalogue. Each function is one query over the five weeks, however many years it holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.alerts.model import Alert
from services.alerts.store import to_alert
from services.catalog.schema import alerts, backups, refused, runs, verifications
from services.catalog.slot_evidence import fault_of_backup
from services.review.model import FailedRun, ReviewedBackup
from services.review.week import Period
from services.schedules.outcomes import StoredBackup

MOST = 200
"""Rows of a list that people read one by one."""


class WeekBackup(NamedTuple):
    """A backup of the five weeks, as much of it as the review counts and judges slots by."""

    database: str
    type: str
    seconds: float
    database_bytes: int
    stored_bytes: int
    judged: StoredBackup

    @property
    def is_good(self) -> bool:
        return not self.judged.fault


@dataclass(frozen=True)
class AlertCounts:
    """Alerts in each of the five weeks, the oldest first."""

    opened: tuple[int, ...]
    resolved: tuple[int, ...]
    open_at_end: tuple[int, ...]


class CheckKey(NamedTuple):
    """Verifications are counted by these; ``week`` is 0 to 4, the oldest first."""

    week: int
    level: str
    outcome: str


@dataclass(frozen=True)
class TestRow:
    """One restore test of the five weeks."""

    __test__ = False

    week: int
    run_id: str | None
    backup_id: str
    backup_name: str
    database: str
    outcome: str
    reason: str
    finished_at: datetime
    seconds: float | None
    is_whole: bool = True
    """False for one of a partial backup: what it holds restores, which proves no database."""


def first_record(engine: sa.Engine) -> datetime | None:
    """Return when the first thing that is on record happened: a run was asked for, or a backup finished."""
    run = sa.select(sa.func.min(runs.c.queued_at)).scalar_subquery().label("run")
    backup = sa.select(sa.func.min(backups.c.finished_at)).scalar_subquery().label("backup")
    with engine.connect() as connection:
        row = connection.execute(sa.select(run, backup)).one()
    return min((at for at in row if at is not None), default=None)


def backups_between(engine: sa.Engine, since: datetime, until: datetime) -> dict[str, list[WeekBackup]]:
    """Return each database's backups that were finished from ``since`` on and before ``until``, in order of time."""
    b = backups.c
    columns = (b.database, b.type, b.database_bytes, b.stored_bytes, b.id, b.started_at, b.snapshot_at, b.finished_at)
    query = sa.select(*columns, fault_of_backup().label("fault")).where(b.finished_at >= since, b.finished_at < until)
    found: defaultdict[str, list[WeekBackup]] = defaultdict(list)
    with engine.connect() as connection:
        for database, type_, size, stored, *judged in connection.execute(query.order_by(b.finished_at, b.id)):
            backup = StoredBackup(*judged)
            seconds = (backup.finished_at - backup.started_at).total_seconds()
            found[database].append(WeekBackup(database, type_, seconds, size, stored, backup))
    return dict(found)


def emergency_backups(engine: sa.Engine, period: Period) -> list[ReviewedBackup]:
    """Return the emergency backups of a week, in order of time."""
    b = backups.c
    query = sa.select(b.id, b.name, b.database, b.started_at, b.finished_at, b.stored_bytes, b.note, b.actor)
    query = query.where(b.finished_at >= period.start, b.finished_at < period.end, b.type == "emergency")
    with engine.connect() as connection:
        return [
            ReviewedBackup(
                id=row.id, name=row.name, database=row.database, finished_at=row.finished_at,
                seconds=(row.finished_at - row.started_at).total_seconds(), stored_bytes=row.stored_bytes,
                note=row.note, actor=row.actor,
            )
            for row in connection.execute(query.order_by(b.finished_at, b.id).limit(MOST))
        ]  # fmt: skip


def count_checks(engine: sa.Engine, weeks: Sequence[Period]) -> Counter[CheckKey]:
    """Return how many verifications there were, by week, level and outcome."""
    v = verifications.c
    inner = sa.select(bucket(v.finished_at, weeks), v.level, v.outcome).where(*_within(v.finished_at, weeks)).subquery()
    query = sa.select(inner, sa.func.count().label("n")).where(inner.c.week.is_not(None))
    query = query.group_by(inner.c.week, inner.c.level, inner.c.outcome)
    with engine.connect() as connection:
        return Counter({CheckKey(row.week, row.level, row.outcome): row.n for row in connection.execute(query)})


def restore_tests(engine: sa.Engine, weeks: Sequence[Period]) -> list[TestRow]:
    """Return the restore tests of the five weeks, in order of time."""
    v = verifications.c
    week = bucket(v.finished_at, weeks)
    seconds = v.detail["rto_seconds"].as_float().label("seconds")
    columns = (v.run_id, v.backup_id, backups.c.name, v.database, v.outcome, v.reason, v.finished_at)
    whole = (sa.cast(backups.c.excluded, sa.Text) == "[]").label("is_whole")
    query = sa.select(week, *columns, seconds, whole).join_from(verifications, backups)
    query = query.where(v.level == "restore", backups.c.type != "base", *_within(v.finished_at, weeks)).order_by(
        v.finished_at, v.id
    )
    with engine.connect() as connection:
        return [TestRow(*row) for row in connection.execute(query) if row.week is not None]


def count_failures(engine: sa.Engine, weeks: Sequence[Period]) -> list[int]:
    """Return how many runs failed or were lost in each week; what was refused to a person did not fail."""
    week = bucket(runs.c.finished_at, weeks)
    failed = runs.c.state.in_(("failed", "lost")), sa.not_(refused())
    inner = sa.select(week).where(*failed, *_within(runs.c.finished_at, weeks)).subquery()
    query = sa.select(inner.c.week, sa.func.count().label("n")).group_by(inner.c.week)
    with engine.connect() as connection:
        counted = {row.week: row.n for row in connection.execute(query)}
    return [counted.get(n, 0) for n in range(len(weeks))]


def failed_runs(engine: sa.Engine, period: Period) -> list[FailedRun]:
    """Return the runs that failed or were lost in a week, the newest first."""
    r = runs.c
    query = sa.select(r.id, r.kind, r.database, r.finished_at, r.state, r.error, r.hint)
    query = query.where(r.state.in_(("failed", "lost")), r.finished_at >= period.start, r.finished_at < period.end)
    query = query.where(sa.not_(refused()))
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(r.finished_at.desc(), r.id.desc()).limit(MOST))
        return [FailedRun(*row) for row in rows]


def count_alerts(engine: sa.Engine, weeks: Sequence[Period]) -> AlertCounts:
    """Return how many alerts were opened and resolved in each week, and how many were open at its end."""
    opened, resolved = alerts.c.opened_at, alerts.c.resolved_at
    columns = []
    for n, week in enumerate(weeks):
        still = sa.and_(opened < week.end, sa.or_(resolved.is_(None), resolved >= week.end))
        columns += [
            _count(sa.and_(opened >= week.start, opened < week.end), f"opened_{n}"),
            _count(sa.and_(resolved >= week.start, resolved < week.end), f"resolved_{n}"),
            _count(still, f"open_{n}"),
        ]
    query = sa.select(*columns).where(opened < weeks[-1].end, sa.or_(resolved.is_(None), resolved >= weeks[0].start))
    with engine.connect() as connection:
        row = connection.execute(query).one()._mapping
    every = range(len(weeks))
    return AlertCounts(*(tuple(row[f"{name}_{n}"] for n in every) for name in ("opened", "resolved", "open")))


def alerts_of_week(engine: sa.Engine, period: Period) -> list[Alert]:
    """Return the alerts that were opened or resolved in a week, or open at its end: those first, then the newest."""
    opened, resolved = alerts.c.opened_at, alerts.c.resolved_at
    still = sa.or_(resolved.is_(None), resolved >= period.end)
    query = sa.select(alerts).where(opened < period.end, sa.or_(resolved.is_(None), resolved >= period.start))
    query = query.order_by(sa.case((still, 0), else_=1), opened.desc(), alerts.c.id.desc()).limit(MOST)
    with engine.connect() as connection:
        return [to_alert(row) for row in connection.execute(query)]


def bucket(at: sa.ColumnElement[Any], weeks: Sequence[Period]) -> sa.Label[int]:
    """Return the number of the week that an instant lies in, as the column ``week``; NULL for one between two weeks."""
    return sa.case(*((sa.and_(at >= week.start, at < week.end), n) for n, week in enumerate(weeks))).label("week")


def _within(at: sa.ColumnElement[Any], weeks: Sequence[Period]) -> tuple[sa.ColumnElement[bool], ...]:
    return at >= weeks[0].start, at < weeks[-1].end


def _count(condition: sa.ColumnElement[bool], name: str) -> sa.Label[int]:
    return sa.func.count(sa.case((condition, 1))).label(name)
