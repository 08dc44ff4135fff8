"""How safe each database was at an instant of the past: what ``services.overview`` said of then, derived later.

The catalogue's rows tell it, as far as they hold times: a verification counts from when it ended, an expired backup
until it expired. What a worker's heart did then is not on record, so a past week never says UNKNOWN.

Nearly every backup is *clean*: no verification of it had failed by then, so that its own row and the restore tests say
all. The newest clean ones are found by an index; the few others beside them are judged from their verifications.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.catalog.model import Run
from services.catalog.schema import backups, copies, refused, runs, verifications
from services.catalog.verdict import Verdict
from services.installation import Installation
from services.schedules.history import current
from services.schedules.model import Slot
from services.schedules.outcomes import CLOCK_TOLERANCE, Fault, SlotOutcome, StoredBackup, explain, judge
from services.schedules.retries import keys_of
from services.schedules.standing import Histories, Standing, backup_history, recent_slots
from services.settings.model import DatabaseSettings
from services.status import DatabaseStatus, Evidence, GoodBackup, Promises, RestoreTest, WorkerSigns, derive_status

_SKEW = timedelta(days=30)
"""No server's clock is believed to be further ahead: where the search for the newest backup of a time begins."""
_GOOD = ("id", "name", "snapshot_at", "finished_at", "database_bytes", "stored_bytes", "proven_at")
_RUN_COLUMNS = [column for column in runs.c if column.name not in ("idempotency_key", "leftovers")]


@dataclass(frozen=True)
class _Newest:
    """Of one database by then: its newest clean backup, and its newest passed restore test of a clean one."""

    name: str
    snapshot_at: datetime | None
    passed_at: datetime | None
    ever: bool
    """Whether any backup of it had been finished."""


def statuses_at(inst: Installation, histories: Histories, at: datetime) -> dict[str, DatabaseStatus]:
    """Return each configured database's status as it was at an instant. At most seven queries.

    ``histories``: as ``catalog.schedules.all()`` returns them.
    """
    engine, names = inst.catalog.engine, [database.name for database in inst.settings.databases]
    if not names:
        return {}
    newest = _newest(engine, names, at)
    held = _candidates(engine, newest, at)
    tests = _tests(engine, newest, at)
    slots = {name: recent_slots(histories, name, at) for name in names}
    stored = _stored(engine, slots, at)
    suspects = {row.id for row in (*held, *stored) if row.failed} | {row.backup_id for row in tests if row.failed}
    verdicts = inst.catalog.verifications.verdicts(suspects, before=at) if suspects else {}
    last_slots = _last_slots(inst, slots, stored, verdicts, at)
    ended, ever = _last_runs(engine, names, at), {each.name for each in newest if each.ever}

    def evidence(database: DatabaseSettings) -> Evidence:
        name = database.name
        run = ended.get(name)
        schedule = current(backup_history(histories, name), at)
        of_database = [row for row in tests if row.database == name]
        return Evidence(
            database=name,
            promises=Promises(database.rpo, database.rto, database.restore_test_max_age, database.paused),
            backups_ever=int(name in ever),
            last_good=_last_good([row for row in held if row.database == name], verdicts),
            last_failed_run=run if run is not None and run.state != "finished" else None,
            last_passed=_last_passed(of_database, verdicts),
            last_test=_last_test(of_database, verdicts),
            undone_test=_undone(of_database, verdicts),
            wanted_copies=len(inst.settings.storages_of(database)),
            last_slot=last_slots.get(name) if schedule is not None and schedule.cron else None,
            schedule=schedule,
        )

    return {d.name: derive_status(evidence(d), WorkerSigns(), at) for d in inst.settings.databases}


def _newest(engine: sa.Engine, names: Iterable[str], at: datetime) -> list[_Newest]:
    b, v = backups.c, verifications.c
    of = _names(names)
    backup = sa.select(b.snapshot_at).where(b.database == of.c.name, _whole(), _kept(at), sa.not_(_failed(at)))
    backup = backup.where(b.snapshot_at < at + _SKEW, _ended(b.finished_at, at))
    backup = backup.order_by(b.snapshot_at.desc()).limit(1).correlate(of)
    test = sa.select(v.finished_at).join_from(verifications, backups).where(v.level == "restore")
    test = test.where(v.database == of.c.name, v.finished_at < at, v.outcome == "passed")
    test = test.where(_whole(), sa.not_(_failed(at)))
    test = test.order_by(v.finished_at.desc()).limit(1).correlate(of)
    # Asked for in the index's order: of an EXISTS, PostgreSQL expects a hit at once, and reads the table to find one.
    first = sa.select(b.finished_at).where(b.database == of.c.name, b.finished_at < at, b.type != "base")
    first = first.order_by(b.finished_at).limit(1).correlate(of)
    query = sa.select(of.c.name, *(each.scalar_subquery() for each in (backup, test, first)))
    with engine.connect() as connection:
        return [_Newest(name, held, tested, some is not None) for name, held, tested, some in connection.execute(query)]


def _candidates(engine: sa.Engine, newest: Iterable[_Newest], at: datetime) -> list[sa.Row[Any]]:
    """Return each database's newest clean backup, and those that are newer and had failed, the newest first."""
    b, c = backups.c, copies.c
    kept = sa.select(sa.func.count()).where(c.backup_id == b.id, _copy_was_kept(at)).correlate(backups)
    wanted = sa.or_(
        *(
            sa.and_(b.database == each.name, b.snapshot_at >= each.snapshot_at)
            if each.snapshot_at is not None
            else b.database == each.name
            for each in newest
        )
    )
    failed = _failed(at).label("failed")
    query = sa.select(b.database, *(b[name] for name in _GOOD), kept.scalar_subquery().label("copies"), failed)
    query = query.where(wanted, b.snapshot_at < at + _SKEW, _ended(b.finished_at, at), _whole(), _kept(at))
    with engine.connect() as connection:
        return list(connection.execute(query.order_by(b.snapshot_at.desc(), b.id.desc())))


def _tests(engine: sa.Engine, newest: Iterable[_Newest], at: datetime) -> list[sa.Row[Any]]:
    """Return each database's newest passed restore test of a clean backup, and all since, the newest first."""
    v = verifications.c
    seconds = v.detail["rto_seconds"].as_float().label("seconds")
    wanted = sa.or_(
        *(
            sa.and_(v.database == each.name, v.finished_at >= each.passed_at)
            if each.passed_at is not None
            else v.database == each.name
            for each in newest
        )
    )
    columns = (v.database, v.backup_id, backups.c.name, v.outcome, v.reason, v.finished_at, seconds)
    query = sa.select(*columns, _failed(at).label("failed")).join_from(verifications, backups)
    query = query.where(v.level == "restore", v.finished_at < at, wanted, _whole())
    with engine.connect() as connection:
        return list(connection.execute(query.order_by(v.finished_at.desc(), v.id.desc())))


def _stored(engine: sa.Engine, slots: Mapping[str, Sequence[Slot]], at: datetime) -> list[sa.Row[Any]]:
    """Return the backups that count for these slots, with what is wrong with them beside what checks found."""
    b = backups.c
    fault = sa.case(
        (b.trust == "untrusted", "untrusted"),
        (b.adopted.is_(True), "adopted"),
        (sa.cast(b.excluded, sa.Text) != "[]", "partial"),
        else_="",
    ).label("fault")
    first = {name: found[0].due - CLOCK_TOLERANCE for name, found in slots.items() if found}
    since = sa.or_(sa.false(), *(sa.and_(b.database == name, b.finished_at >= due) for name, due in first.items()))
    query = sa.select(b.database, b.id, b.started_at, b.snapshot_at, b.finished_at, fault, _failed(at).label("failed"))
    with engine.connect() as connection:
        return list(connection.execute(query.where(since, b.finished_at < at)))


def _last_slots(
    inst: Installation,
    slots: Mapping[str, Sequence[Slot]],
    stored: Iterable[sa.Row[Any]],
    verdicts: Mapping[str, Verdict],
    at: datetime,
) -> Mapping[str, SlotOutcome | None]:
    """Return how each database's newest settled slot stood, judged by what was known then."""
    known: defaultdict[str, list[StoredBackup]] = defaultdict(list)
    for row in stored:
        # An untrusted backup is so whatever checks found; else a failure is the first thing to say of it.
        fault: Fault = "failed" if row.fault != "untrusted" and _is_bad(row.id, verdicts) else row.fault
        known[row.database].append(StoredBackup(row.id, row.started_at, row.snapshot_at, row.finished_at, fault))
    judged = {name: judge(found, known[name], at) for name, found in slots.items()}
    missed = [key for found in judged.values() for outcome in found if outcome.is_miss for key in keys_of(outcome.slot)]
    its_runs = inst.catalog.runs.by_idempotency_keys(missed) if missed else {}
    return {name: Standing(tuple(explain(outcomes, its_runs)), ()).last_settled for name, outcomes in judged.items()}


def _last_good(held: Iterable[sa.Row[Any]], verdicts: Mapping[str, Verdict]) -> GoodBackup | None:
    for row in held:
        if not _is_bad(row.id, verdicts):
            found = GoodBackup(**{name: getattr(row, name) for name in (*_GOOD, "copies")})
            return replace(found, proven_at=verdicts[row.id].proven_at) if row.id in verdicts else found
    return None


def _last_passed(tests: Iterable[sa.Row[Any]], verdicts: Mapping[str, Verdict]) -> RestoreTest | None:
    return next((_test(row) for row in tests if row.outcome == "passed" and _is_proof(row, verdicts)), None)


def _last_test(tests: Sequence[sa.Row[Any]], verdicts: Mapping[str, Verdict]) -> RestoreTest | None:
    """Return the newest test that speaks: one that failed or proves something; else one that was not testable."""
    speaking = [row for row in tests if row.outcome == "failed" or _is_proof(row, verdicts)]
    return next(map(_test, speaking or [row for row in tests if row.outcome == "not testable"]), None)


def _undone(tests: Sequence[sa.Row[Any]], verdicts: Mapping[str, Verdict]) -> RestoreTest | None:
    """Return the newest passed test whose backup failed a check since, where no test proves anything."""
    passed = [row for row in tests if row.outcome == "passed"]
    if any(_is_proof(row, verdicts) for row in passed):
        return None
    return next((_test(row) for row in passed if _is_bad(row.backup_id, verdicts)), None)


def _is_proof(row: sa.Row[Any], verdicts: Mapping[str, Verdict]) -> bool:
    unsaid = row.backup_id in verdicts and verdicts[row.backup_id].proven_at is None
    return row.outcome == "passed" and not unsaid


def _is_bad(backup_id: str, verdicts: Mapping[str, Verdict]) -> bool:
    return backup_id in verdicts and verdicts[backup_id].passed is False


def _test(row: sa.Row[Any]) -> RestoreTest:
    return RestoreTest(row.backup_id, row.name, row.outcome, row.reason, row.finished_at, row.seconds)


def _last_runs(engine: sa.Engine, names: Iterable[str], at: datetime) -> dict[str, Run]:
    r, of = runs.c, _names(names)
    its = sa.select(r.id).where(r.database == of.c.name, r.kind == "backup", r.queued_at < at)
    its = its.where(r.state.in_(("finished", "failed", "lost")), _ended(r.finished_at, at), sa.not_(refused()))
    newest = its.order_by(r.queued_at.desc(), r.id.desc()).limit(1).correlate(of).scalar_subquery()
    with engine.connect() as connection:
        ids = [found for found in connection.scalars(sa.select(newest).select_from(of)) if found is not None]
        query = sa.select(*_RUN_COLUMNS).where(r.id.in_(ids))
        return {row.database: Run(**row._mapping) for row in connection.execute(query)}


def _names(names: Iterable[str]) -> sa.CTE:
    return sa.union_all(*(sa.select(sa.literal(name).label("name")) for name in names)).cte("of")


def _ended(column: sa.Column[datetime], at: datetime) -> sa.ColumnElement[bool]:
    """Say that a row had ended by then, in words that no planner takes for a range: another index finds the newest."""
    return sa.case((column < at, 1), else_=0) == 1


def _whole() -> sa.ColumnElement[bool]:
    b = backups.c
    own = sa.and_(b.trust != "untrusted", b.adopted.is_(False), b.type != "base")
    return sa.and_(own, sa.cast(b.excluded, sa.Text) == "[]")


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


def _failed(at: datetime) -> sa.ColumnElement[bool]:
    """Say of a backup whether any verification of it had failed by then."""
    check = verifications.alias("check")
    return (
        sa.exists()
        .where(check.c.backup_id == backups.c.id, check.c.outcome == "failed", check.c.finished_at < at)
        .correlate(backups)
    )
