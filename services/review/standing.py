"""How safe each database was at an instant of the past: what ``services.overview`` says of now, said of then.

The catalogue's rows tell it, as far as they hold times: a verification counts from when it ended, an expired backup
until it expired. What a worker's heart did then is not on record, so a past week never says UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.catalog.model import Run
from services.catalog.schema import backups, copies, runs, verifications
from services.installation import Installation
from services.settings.model import DatabaseSettings
from services.status import DatabaseStatus, Evidence, GoodBackup, Promises, RestoreTest, WorkerSigns, derive_status

_GOOD = ("id", "name", "snapshot_at", "finished_at", "database_bytes", "stored_bytes", "proven_at")
_RUN_COLUMNS = [column for column in runs.c if column.name not in ("idempotency_key", "leftovers")]


class _Tests(NamedTuple):
    passed: dict[str, RestoreTest]
    any: dict[str, RestoreTest]


def statuses_at(inst: Installation, at: datetime) -> dict[str, DatabaseStatus]:
    """Return each configured database's status as it was at an instant. Four queries."""
    engine, names = inst.catalog.engine, [database.name for database in inst.settings.databases]
    if not names:
        return {}
    ever = _backups_ever(engine, at)
    good = _last_good(engine, names, at)
    tests = _Tests(*(_last_tests(engine, names, at, passed_only=only) for only in (True, False)))
    ended = _last_runs(engine, names, at)

    def evidence(database: DatabaseSettings) -> Evidence:
        name = database.name
        run = ended.get(name)
        return Evidence(
            database=name,
            promises=Promises(database.rpo, database.rto, database.restore_test_max_age, database.paused),
            backups_ever=ever.get(name, 0),
            last_good=good.get(name),
            last_failed_run=run if run is not None and run.state != "finished" else None,
            last_passed=tests.passed.get(name),
            last_test=tests.any.get(name),
        )

    return {d.name: derive_status(evidence(d), WorkerSigns(), at) for d in inst.settings.databases}


def _backups_ever(engine: sa.Engine, at: datetime) -> dict[str, int]:
    b = backups.c
    query = sa.select(b.database, sa.func.count().label("n")).where(b.finished_at < at).group_by(b.database)
    with engine.connect() as connection:
        return {row.database: row.n for row in connection.execute(query)}


def _last_good(engine: sa.Engine, names: Iterable[str], at: datetime) -> dict[str, GoodBackup]:
    b = backups.c
    columns = [b.database, *(b[name] for name in _GOOD)]

    def newest(name: str) -> sa.Select[Any]:
        query = sa.select(*columns).where(b.database == name, b.finished_at < at, _whole(), _kept(at), _sound(at))
        return query.order_by(b.snapshot_at.desc(), b.id.desc()).limit(1)

    rows = _each(engine, names, newest)
    return {row.database: GoodBackup(**{name: getattr(row, name) for name in _GOOD}) for row in rows}


def _last_tests(engine: sa.Engine, names: Iterable[str], at: datetime, *, passed_only: bool) -> dict[str, RestoreTest]:
    """Return each database's newest restore test by then, as ``summaries.last_restore_tests`` says it of now."""
    v = verifications.c
    speaks = sa.case((v.outcome == "not testable", 0), else_=1).label("speaks")
    seconds = v.detail["rto_seconds"].as_float().label("seconds")
    columns = [v.database, v.backup_id, v.outcome, v.reason, v.finished_at, backups.c.name, seconds, speaks]
    passed = v.outcome == "passed"

    def newest(name: str) -> sa.Select[Any]:
        query = sa.select(*columns).join_from(verifications, backups)
        query = query.where(v.database == name, v.level == "restore", v.finished_at < at, _whole())
        query = query.where(passed if passed_only else sa.true(), sa.or_(sa.not_(passed), sa.not_(_failed_later(at))))
        return query.order_by(speaks.desc(), v.finished_at.desc(), v.id.desc()).limit(1)

    return {
        row.database: RestoreTest(row.backup_id, row.name, row.outcome, row.reason, row.finished_at, row.seconds)
        for row in _each(engine, names, newest)
    }


def _last_runs(engine: sa.Engine, names: Iterable[str], at: datetime) -> dict[str, Run]:
    r = runs.c

    def newest(name: str) -> sa.Select[Any]:
        query = sa.select(*_RUN_COLUMNS).where(r.database == name, r.kind == "backup", r.queued_at < at)
        query = query.where(r.state.in_(("finished", "failed", "lost")), r.finished_at < at)
        return query.order_by(r.queued_at.desc(), r.id.desc()).limit(1)

    return {row.database: Run(**row._mapping) for row in _each(engine, names, newest)}


def _each(engine: sa.Engine, names: Iterable[str], newest: Callable[[str], sa.Select[Any]]) -> list[sa.Row[Any]]:
    """Ask for the newest row of each database in one query: an index finds each, and no other row is looked at."""
    parts = [sa.select(newest(name).subquery()) for name in names]
    with engine.connect() as connection:
        return list(connection.execute(sa.union_all(*parts)))


def _whole() -> sa.ColumnElement[bool]:
    b = backups.c
    return sa.and_(b.trust != "untrusted", b.adopted.is_(False), sa.cast(b.excluded, sa.Text) == "[]")


def _kept(at: datetime) -> sa.ColumnElement[bool]:
    """Say of a backup whether it had a copy: it expired later, or has one still, or one was missed only later."""
    b, c = backups.c, copies.c
    there = sa.or_(c.state == "stored", c.checked_at >= at)
    return sa.or_(
        b.expired_at >= at,
        sa.and_(b.expired_at.is_(None), sa.exists().where(c.backup_id == b.id, there).correlate(backups)),
    )


def _sound(at: datetime) -> sa.ColumnElement[bool]:
    """Say of a backup that it had failed no verification by then, but for those that a pass as deep made good."""
    failed, passed = verifications.alias("failed"), verifications.alias("passed")
    made_good = (
        sa.exists()
        .where(passed.c.backup_id == failed.c.backup_id, passed.c.outcome == "passed", passed.c.finished_at < at)
        .where(sa.tuple_(passed.c.finished_at, passed.c.id) > sa.tuple_(failed.c.finished_at, failed.c.id))
        .where(_depth(passed) >= _depth(failed))
        .correlate(failed)
    )
    return sa.not_(
        sa.exists()
        .where(failed.c.backup_id == backups.c.id, failed.c.outcome == "failed", failed.c.finished_at < at)
        .where(sa.not_(made_good))
        .correlate(backups)
    )


def _depth(table: sa.FromClause) -> sa.ColumnElement[int]:
    return sa.case({"stored": 0, "checksum": 1, "archive": 2, "restore": 3}, value=table.c.level, else_=3)


def _failed_later(at: datetime) -> sa.ColumnElement[bool]:
    later = verifications.alias("later")
    return (
        sa.exists()
        .where(later.c.backup_id == verifications.c.backup_id, later.c.outcome == "failed", later.c.finished_at < at)
        .where(sa.tuple_(later.c.finished_at, later.c.id) > sa.tuple_(verifications.c.finished_at, verifications.c.id))
        .correlate(verifications)
    )
