"""How safe each database was at an instant of the past: what ``services.overview`` says of now, said of then.

The catalogue's rows tell it, as far as they hold times: a verification counts from when it ended, an expired backup
until it expired. What a worker's heart did then is not on record, so a past week never says UNKNOWN.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.catalog.model import Run
from services.catalog.schema import backups, copies, runs, verifications
from services.installation import Installation
from services.schedules.history import current
from services.schedules.model import Slot
from services.schedules.outcomes import CLOCK_TOLERANCE, SlotOutcome, StoredBackup, explain, judge
from services.schedules.standing import Histories, Standing, backup_history, recent_slots
from services.settings.model import DatabaseSettings
from services.status import DatabaseStatus, Evidence, GoodBackup, Promises, RestoreTest, WorkerSigns, derive_status

_GOOD = ("id", "name", "snapshot_at", "finished_at", "database_bytes", "stored_bytes", "proven_at")
_RUN_COLUMNS = [column for column in runs.c if column.name not in ("idempotency_key", "leftovers")]


class _Tests(NamedTuple):
    passed: dict[str, RestoreTest]
    any: dict[str, RestoreTest]


def statuses_at(inst: Installation, histories: Histories, at: datetime) -> dict[str, DatabaseStatus]:
    """Return each configured database's status as it was at an instant. Six queries, and one more where slots were
    missed. ``histories``: as ``catalog.schedules.all()`` returns them.
    """
    engine, names = inst.catalog.engine, [database.name for database in inst.settings.databases]
    if not names:
        return {}
    ever = _backups_ever(engine, at)
    good = _last_good(engine, names, at)
    tests = _Tests(*(_last_tests(engine, names, at, passed_only=only) for only in (True, False)))
    ended = _last_runs(engine, names, at)
    slots = _last_slots(inst, histories, names, at)

    def evidence(database: DatabaseSettings) -> Evidence:
        name = database.name
        run = ended.get(name)
        schedule = current(backup_history(histories, name), at)
        return Evidence(
            database=name,
            promises=Promises(database.rpo, database.rto, database.restore_test_max_age, database.paused),
            backups_ever=ever.get(name, 0),
            last_good=good.get(name),
            last_failed_run=run if run is not None and run.state != "finished" else None,
            last_passed=tests.passed.get(name),
            last_test=tests.any.get(name),
            wanted_copies=len(inst.settings.storages_of(database)),
            last_slot=slots.get(name) if schedule is not None and schedule.cron else None,
            schedule=schedule,
        )

    return {d.name: derive_status(evidence(d), WorkerSigns(), at) for d in inst.settings.databases}


def _backups_ever(engine: sa.Engine, at: datetime) -> dict[str, int]:
    b = backups.c
    query = sa.select(b.database, sa.func.count().label("n")).where(b.finished_at < at).group_by(b.database)
    with engine.connect() as connection:
        return {row.database: row.n for row in connection.execute(query)}


def _last_good(engine: sa.Engine, names: Iterable[str], at: datetime) -> dict[str, GoodBackup]:
    b, c = backups.c, copies.c
    kept = (
        sa.select(sa.func.count())
        .where(c.backup_id == b.id, _copy_was_kept(at))
        .correlate(backups)
        .scalar_subquery()
        .label("copies")
    )
    columns = [b.database, *(b[name] for name in _GOOD), kept]

    def newest(name: str) -> sa.Select[Any]:
        query = sa.select(*columns).where(b.database == name, b.finished_at < at, _whole(), _kept(at), _sound(at))
        return query.order_by(b.snapshot_at.desc(), b.id.desc()).limit(1)

    rows = _each(engine, names, newest)
    return {row.database: GoodBackup(**{name: getattr(row, name) for name in (*_GOOD, "copies")}) for row in rows}


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


def _last_slots(
    inst: Installation, histories: Histories, names: Iterable[str], at: datetime
) -> Mapping[str, SlotOutcome | None]:
    """Return how each database's newest settled slot stood, judged by what was known then."""
    slots = {name: recent_slots(histories, name, at) for name in names}
    known = _backups_since(inst.catalog.engine, slots, at)
    judged = {name: judge(found, known[name], at) for name, found in slots.items()}
    missed = [outcome.slot.key for outcomes in judged.values() for outcome in outcomes if outcome.is_miss]
    runs_of_slots = inst.catalog.runs.by_idempotency_keys(missed) if missed else {}
    return {
        name: Standing(tuple(explain(outcomes, runs_of_slots)), ()).last_settled for name, outcomes in judged.items()
    }


def _backups_since(
    engine: sa.Engine, slots: Mapping[str, Sequence[Slot]], at: datetime
) -> defaultdict[str, list[StoredBackup]]:
    """Return the backups that count for these slots, each with what was known to be wrong with it."""
    b = backups.c
    fault = sa.case(
        (b.trust == "untrusted", "untrusted"),
        (sa.not_(_sound(at)), "failed"),
        (b.adopted.is_(True), "adopted"),
        (sa.cast(b.excluded, sa.Text) != "[]", "partial"),
        else_="",
    )
    first = {name: found[0].due - CLOCK_TOLERANCE for name, found in slots.items() if found}
    since = sa.or_(sa.false(), *(sa.and_(b.database == name, b.finished_at >= due) for name, due in first.items()))
    query = sa.select(b.database, b.id, b.started_at, b.snapshot_at, b.finished_at, fault).where(
        since, b.finished_at < at
    )
    found: defaultdict[str, list[StoredBackup]] = defaultdict(list)
    with engine.connect() as connection:
        for database, *values in connection.execute(query):
            found[database].append(StoredBackup(*values))
    return found


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
    there = sa.exists().where(c.backup_id == b.id, _copy_was_kept(at)).correlate(backups)
    return sa.or_(b.expired_at >= at, sa.and_(b.state == "finished", there))


def _copy_was_kept(at: datetime) -> sa.ColumnElement[bool]:
    """Say of a copy whether it was stored: it is still, or went only later."""
    b, c = backups.c, copies.c
    went = c.state.in_(("missing", "damaged", "deleted"))
    return sa.or_(c.state == "stored", sa.and_(went, sa.or_(c.checked_at >= at, b.expired_at >= at)))


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
