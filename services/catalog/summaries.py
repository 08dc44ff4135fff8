"""Aggregates over the catalogue, for pages and reports: as many queries for five years of backups as for one.

Each function is one query, or two where it first finds the newest row of each database, whatever the number of
databases or backups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa

from services.catalog.backups import good, lies_unknown
from services.catalog.duties import WORKER_LEFT
from services.catalog.model import Outcome, Run
from services.catalog.schema import (
    active,
    backups,
    copies,
    duties,
    refused,
    runs,
    unknown,
    verifications,
    wal_archives,
    workers,
)
from services.catalog.workers import SILENT_AFTER
from services.schedules.outcomes import SlotDay
from services.status import GoodBackup, RestoreTest, WorkerSigns

DayState = Literal["satisfied", "late", "missed", "open", "good", "partial", "failed", "none"]


@dataclass(frozen=True)
class Holding:
    """What there is of one database."""

    backups_ever: int
    good_backups: int
    oldest_good_at: datetime | None


@dataclass(frozen=True)
class Day:
    """What happened to one database on one UTC day."""

    database: str
    day: date
    good: int
    partial: int
    """Finished, but never good: tables left out, untrusted, or adopted."""
    failed: int
    """Backups that failed a verification since, and backup runs that were lost or failed without leaving one."""
    tests_passed: int
    tests_failed: int
    slots: SlotDay | None = field(default=None, kw_only=True)
    """How the slots stand that its backup schedule had that day; None: there were none."""

    @property
    def state(self) -> DayState:
        """The word for the day: that of its slots; where there were none, what happened.

        A good backup outweighs failed attempts, since the day has its backup.
        """
        if self.slots is not None:
            return self.slots.state
        if self.good:
            return "good"
        if self.partial:
            return "partial"
        return "failed" if self.failed else "none"


@dataclass(frozen=True)
class StorageUse:
    """What one storage holds."""

    storage: str
    backups: int
    bytes: int
    unknown: int = 0
    """Copies of which nothing is known, since the settings do not name it; they are not among its ``backups``."""
    unknown_only: int = 0
    """Of those, the ones whose backup lies in no storage of the settings."""


@dataclass(frozen=True)
class CheckRow:
    """One verification, as much of it as a list shows: without its table-by-table detail."""

    id: str
    run_id: str | None
    backup_id: str
    backup_name: str
    database: str
    level: str
    outcome: Outcome
    reason: str
    storage: str
    actor: str
    started_at: datetime
    finished_at: datetime


def recent_checks(engine: sa.Engine, *, limit: int, backup_id: str | None = None) -> list[CheckRow]:
    """Return the newest verifications, of one backup or of all, with the names of their backups."""
    names = ("id", "run_id", "backup_id", "database", "level", "outcome", "reason", "storage", "actor")
    columns = [verifications.c[name] for name in (*names, "started_at", "finished_at")]
    query = sa.select(*columns, backups.c.name.label("backup_name")).join_from(verifications, backups)
    query = query.order_by(verifications.c.finished_at.desc(), verifications.c.id.desc()).limit(limit)
    if backup_id is not None:
        query = query.where(verifications.c.backup_id == backup_id)
    with engine.connect() as connection:
        return [CheckRow(**row._mapping) for row in connection.execute(query)]


def holdings(engine: sa.Engine) -> dict[str, Holding]:
    """Return what there is of each database that was ever backed up (base backups are of a server, not counted)."""
    ever = (
        sa.select(backups.c.database, sa.func.count().label("backups_ever"))
        .where(backups.c.type != "base")
        .group_by(backups.c.database)
        .subquery()
    )
    held = (
        sa.select(
            backups.c.database,
            sa.func.count().label("good_backups"),
            sa.func.min(backups.c.snapshot_at).label("oldest_good_at"),
        )
        .where(good())
        .group_by(backups.c.database)
        .subquery()
    )
    query = sa.select(
        ever.c.database, ever.c.backups_ever, sa.func.coalesce(held.c.good_backups, 0), held.c.oldest_good_at
    ).join_from(ever, held, held.c.database == ever.c.database, isouter=True)
    with engine.connect() as connection:
        return {
            database: Holding(backups_ever, good_backups, oldest_good_at)
            for database, backups_ever, good_backups, oldest_good_at in connection.execute(query)
        }


def last_good_backups(engine: sa.Engine) -> dict[str, GoodBackup]:
    """Return each database's newest good backup that still has a stored copy; newest by what it holds."""
    names = ("id", "name", "snapshot_at", "finished_at", "database_bytes", "stored_bytes", "proven_at")
    stored = (
        sa.select(sa.func.count())
        .where(copies.c.backup_id == backups.c.id, copies.c.state == "stored")
        .scalar_subquery()
        .label("copies")
    )
    of = _distinct(backups.c.database)
    its = sa.select(backups.c.id).where(backups.c.database == of.c.name, good())
    with engine.connect() as connection:
        newest = _found(connection, of, _first(its, backups.c.snapshot_at, backups.c.id, of))
        query = sa.select(backups.c.database, *(backups.c[name] for name in names), stored)
        query = query.where(backups.c.id.in_(newest))
        return {
            row.database: GoodBackup(**{name: getattr(row, name) for name in (*names, "copies")})
            for row in connection.execute(query)
        }


def last_restore_tests(engine: sa.Engine, *, passed_only: bool) -> dict[str, RestoreTest]:
    """Return each database's newest restore test: of those that prove something, or whatever its outcome.

    Only tests of whole, trusted backups of our own say anything of a database: a partial one that restores proves
    nothing of the tables that it left out, an adopted file may lack some, and what an unknown key signed may be
    anybody's.

    A passed test is a proof for as long as its backup is a proven one: it has not failed a verification since, or only
    in one of several copies (``services.catalog.verdict``). It stays one when the backup has expired: that policy
    deleted the object does not unsay what was seen. A pass that is no proof (any more) is left out altogether, lest it
    hide an earlier failure; so is that of a backup that lies where nobody looks any more.

    *Not testable* counts only where no test passed or failed: it says nothing about a backup, so it must not hide
    what an earlier test said.
    """
    of = _distinct(verifications.c.database)
    its = sa.select(verifications.c.id).join_from(verifications, backups)
    its = its.where(verifications.c.level == "restore", verifications.c.database == of.c.name, _could_be_good())
    proves = sa.and_(backups.c.proven_at.is_not(None), ~lies_unknown())
    passed = its.where(verifications.c.outcome == "passed", proves)
    speaking = passed if passed_only else its.where(
        verifications.c.outcome != "not testable", sa.or_(verifications.c.outcome != "passed", proves)
    )  # fmt: skip
    order = (verifications.c.finished_at, verifications.c.id, of)
    wanted: sa.ColumnElement[str] = _first(speaking, *order)
    if not passed_only:
        wanted = sa.func.coalesce(wanted, _first(its.where(verifications.c.outcome == "not testable"), *order))
    columns = [verifications.c[name] for name in ("database", "backup_id", "outcome", "reason", "finished_at")]
    seconds = verifications.c.detail["rto_seconds"].as_float().label("rto_seconds")
    scope = verifications.c.detail["scope"].as_string().label("scope")
    of_backup = (verifications.c.storage, backups.c.name.label("backup_name"), backups.c.verification_passed)
    with engine.connect() as connection:
        newest = _found(connection, of, wanted)
        query = sa.select(*columns, *of_backup, seconds, scope).join_from(verifications, backups)
        query = query.where(verifications.c.id.in_(newest))
        return {
            row.database: RestoreTest(
                backup_id=row.backup_id,
                backup_name=row.backup_name,
                outcome=row.outcome,
                reason=row.reason,
                finished_at=row.finished_at,
                seconds=row.rto_seconds,
                damaged_in=row.storage if row.scope == "copy" and row.verification_passed else "",
            )
            for row in connection.execute(query)
        }


def undone_restore_tests(engine: sa.Engine, databases: Iterable[str]) -> dict[str, RestoreTest]:
    """Return each database's newest passed restore test whose backup failed a check since: it proves nothing any more.

    Ask for databases of which no test proves anything; of those there are few such rows.
    """
    columns = [verifications.c[name] for name in ("database", "backup_id", "outcome", "reason", "finished_at")]
    seconds = verifications.c.detail["rto_seconds"].as_float().label("seconds")
    query = sa.select(*columns, backups.c.name.label("backup_name"), seconds).join_from(verifications, backups)
    query = query.where(
        verifications.c.database.in_(databases),
        verifications.c.level == "restore",
        verifications.c.outcome == "passed",
        backups.c.proven_at.is_(None),
        backups.c.verification_passed.is_(False),
        _could_be_good(),
    ).order_by(verifications.c.finished_at)
    with engine.connect() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
    return {row.pop("database"): RestoreTest(**row) for row in rows}


def last_ended_backup_runs(engine: sa.Engine) -> dict[str, Run]:
    """Return each database's newest backup run that ended and was neither cancelled nor refused."""
    of = _distinct(runs.c.database)
    its = sa.select(runs.c.id).where(
        runs.c.database == of.c.name,
        runs.c.kind == "backup",
        runs.c.state.in_(("finished", "failed", "lost")),
        sa.not_(refused()),
    )
    columns = [c for c in runs.c if c.name not in ("idempotency_key", "leftovers")]
    with engine.connect() as connection:
        newest = _found(connection, of, _first(its, runs.c.queued_at, runs.c.id, of))
        query = sa.select(*columns).where(runs.c.id.in_(newest))
        return {row.database: Run(**row._mapping) for row in connection.execute(query)}


def worker_signs(engine: sa.Engine, now: datetime) -> WorkerSigns:
    """Return the newest heartbeat of a living worker, of any worker where none lives, and since when work waits."""
    beat = workers.c.heartbeat_at
    living = sa.case((beat.between(now - SILENT_AFTER, now + SILENT_AFTER), beat))
    query = sa.select(
        sa.select(sa.func.coalesce(sa.func.max(living), sa.func.max(beat))).scalar_subquery().label("heartbeat_at"),
        sa.select(sa.func.min(runs.c.queued_at))
        .where(runs.c.state == "queued", active())
        .scalar_subquery()
        .label("queued_at"),
        sa.select(duties.c.claimed_at).where(duties.c.name == WORKER_LEFT).scalar_subquery().label("left_at"),
    )
    with engine.connect() as connection:
        row = connection.execute(query).one()
    return WorkerSigns(row.heartbeat_at, row.queued_at, row.left_at)


def storage_use(engine: sa.Engine) -> dict[str, StorageUse]:
    """Return what each storage holds, by the catalogue: copies of backups, and the log as it was listed last."""
    none = sa.literal(0)
    backed_up = (
        sa.select(
            copies.c.storage, sa.func.count().label("backups"), sa.func.sum(copies.c.bytes).label("bytes"),
            none.label("unknown"), none.label("unknown_only"),
        )
        .where(copies.c.state.in_(("stored", "damaged")))
        .group_by(copies.c.storage)
    )  # fmt: skip
    logs = sa.select(wal_archives.c.storage, none, wal_archives.c.bytes, none, none)
    named = copies.alias("named")
    elsewhere = sa.exists().where(named.c.backup_id == copies.c.backup_id, named.c.state == "stored")
    only = sa.func.sum(sa.case((elsewhere, 0), else_=1))
    nobodys = sa.select(copies.c.storage, none, none, sa.func.count(), only).where(unknown(copies))
    each = sa.union_all(backed_up, logs, nobodys.group_by(copies.c.storage)).subquery()
    names = ("backups", "bytes", "unknown", "unknown_only")
    query = sa.select(each.c.storage, *(sa.func.sum(each.c[name]).label(name) for name in names))
    with engine.connect() as connection:
        rows = connection.execute(query.group_by(each.c.storage)).all()
    return {row.storage: StorageUse(row.storage, *(int(getattr(row, name)) for name in names)) for row in rows}


def copies_expected_by_database(engine: sa.Engine, storage: str) -> dict[str, int]:
    """Return by database how many copies of kept backups were stored in a storage and not deleted by us, missing ones
    included; not those of simulated history, of which nothing was stored."""
    query = (
        sa.select(backups.c.database, sa.func.count().label("copies"))
        .join_from(copies, backups, backups.c.id == copies.c.backup_id)
        .where(copies.c.storage == storage, copies.c.state.in_(("stored", "damaged", "missing")))
        .where(backups.c.state != "expired", backups.c.sample.is_(False))
        .group_by(backups.c.database)
    )
    with engine.connect() as connection:
        return {row.database: row.copies for row in connection.execute(query)}


def first_backups(engine: sa.Engine) -> dict[str, datetime]:
    """Return when each database's first backup ended, expired ones included."""
    of = _distinct(backups.c.database)
    first = sa.select(sa.func.min(backups.c.finished_at)).where(backups.c.database == of.c.name).scalar_subquery()
    with engine.connect() as connection:
        rows = connection.execute(sa.select(of.c.name, first).where(of.c.name.is_not(None)))
        return {name: at for name, at in rows if at is not None}


def days(
    engine: sa.Engine,
    *,
    since: datetime,
    until: datetime | None = None,
    databases: Collection[str] | None = None,
) -> list[Day]:
    """Return what happened on each UTC day from ``since`` on, for days on which anything did.

    ``until`` (exclusive) and ``databases`` narrow it down.
    """

    def when(database: sa.Column[Any], at: sa.Column[datetime]) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = [at >= since]
        if until is not None:
            found.append(at < until)
        if databases is not None:
            found.append(database.in_(databases))
        return found

    sound = sa.func.coalesce(backups.c.verification_passed, sa.true())
    made = _by_day(engine, backups.c.database, backups.c.finished_at).add_columns(
        sa.func.count(sa.case((sa.and_(sound, _could_be_good()), 1))).label("good"),
        sa.func.count(sa.case((sa.and_(sound, sa.not_(_could_be_good())), 1))).label("partial"),
        sa.func.count(sa.case((sa.not_(sound), 1))).label("failed"),
        sa.literal(0).label("passed"), sa.literal(0).label("tests_failed"),
    ).where(backups.c.type != "base", *when(backups.c.database, backups.c.finished_at))  # fmt: skip
    broken = _by_day(engine, runs.c.database, runs.c.finished_at).add_columns(
        sa.literal(0), sa.literal(0), sa.func.count(), sa.literal(0), sa.literal(0),
    ).where(
        runs.c.kind == "backup", runs.c.state.in_(("failed", "lost")), runs.c.backup_id.is_(None), sa.not_(refused()),
        *when(runs.c.database, runs.c.finished_at),
    )  # fmt: skip
    tested = _by_day(engine, verifications.c.database, verifications.c.finished_at).add_columns(
        sa.literal(0), sa.literal(0), sa.literal(0),
        sa.func.count(sa.case((sa.and_(verifications.c.outcome == "passed", _is_of_whole_backup()), 1))),
        sa.func.count(sa.case((verifications.c.outcome == "failed", 1))),
    ).where(
        verifications.c.level == "restore", ~_is_of_base_backup(),
        *when(verifications.c.database, verifications.c.finished_at),
    )  # fmt: skip
    union = sa.union_all(made, broken, tested).subquery()
    counts = ("good", "partial", "failed", "passed", "tests_failed")
    query = sa.select(union.c.database, union.c.day, *(sa.func.sum(union.c[name]).label(name) for name in counts))
    query = query.group_by(union.c.database, union.c.day).order_by(union.c.day, union.c.database)
    with engine.connect() as connection:
        return [
            Day(row.database, date.fromisoformat(row.day), *(int(getattr(row, name)) for name in counts))
            for row in connection.execute(query)
            if row.database is not None
        ]


def _is_of_base_backup() -> sa.ColumnElement[bool]:
    """Say of a verification whether its backup is a base backup: that says nothing of the dumps of a database."""
    return sa.exists().where(backups.c.id == verifications.c.backup_id, backups.c.type == "base")


def _is_of_whole_backup() -> sa.ColumnElement[bool]:
    """Say of a verification whether its backup left nothing out: a pass of a partial one proves no database."""
    whole = sa.cast(backups.c.excluded, sa.Text) == "[]"
    return sa.exists().where(backups.c.id == verifications.c.backup_id, whole)


def _could_be_good() -> sa.ColumnElement[bool]:
    """What is left of *good* when neither checks nor expiry are looked at: whole, trusted, and dumped by us."""
    return sa.and_(
        backups.c.trust != "untrusted",
        backups.c.adopted.is_(False),
        backups.c.type != "base",
        sa.cast(backups.c.excluded, sa.Text) == "[]",
    )


def _by_day(engine: sa.Engine, database: sa.Column[Any], at: sa.Column[datetime]) -> sa.Select[Any]:
    # On SQLite an Instant is ISO text in UTC; on PostgreSQL it is a timestamptz.
    if engine.dialect.name == "sqlite":
        day: sa.ColumnElement[Any] = sa.func.substr(sa.cast(at, sa.Text), 1, 10)
    else:
        day = sa.func.to_char(sa.func.timezone("UTC", at), "YYYY-MM-DD")
    return sa.select(database.label("database"), day.label("day")).group_by(database, day)


def _distinct(column: sa.Column[str]) -> sa.CTE:
    """Return the values of an indexed column as ``name``, and a NULL: one seek in the index for each.

    A loose index scan (https://wiki.postgresql.org/wiki/Loose_indexscan), which neither engine does by itself.
    """
    names = sa.select(sa.func.min(column).label("name")).cte(f"names_of_{column.table.name}", recursive=True)
    following = sa.select(sa.func.min(column)).where(column > names.c.name).correlate(names).scalar_subquery()
    return names.union_all(sa.select(following).where(names.c.name.is_not(None)))


def _first(
    query: sa.Select[tuple[str]], at: sa.Column[datetime], tie: sa.Column[str], of: sa.CTE
) -> sa.ScalarSelect[str]:
    """Return the id of the newest row of a query, for each name in ``of``."""
    return query.order_by(at.desc(), tie.desc()).limit(1).correlate(of).scalar_subquery()


def _found(connection: sa.Connection, of: sa.CTE, wanted: sa.ColumnElement[str]) -> list[str]:
    """Return the ids that ``wanted`` gives for the names in ``of``.

    A query of its own: joined with their rows in one, PostgreSQL takes them for many and reads the whole table.
    """
    ids = sa.select(wanted.label("id")).select_from(of).where(of.c.name.is_not(None))
    return [found for found in connection.scalars(ids) if found is not None]
