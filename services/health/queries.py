"""What the checks ask the catalogue: one query each (per hundred databases), whatever the number of backups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.catalog.backups import good, lies_unknown
from services.catalog.model import Run, RunKind
from services.catalog.schema import backups, refused, runs, verifications

HISTORY = 7
"""How many good backups before the newest one make what is usual."""
_PARTS = 100
"""Databases asked for in one statement; SQLite takes 500 parts of a union at most."""
_BY_ITSELF = ("backup", "restore", "adopt", "point_restore")
"""Kinds that have a check of their own (backup), or a person in front of them who sees the failure."""


@dataclass(frozen=True)
class GoodOne:
    """A good backup, as much of it as tells whether the newest is out of the ordinary."""

    id: str
    name: str
    finished_at: datetime
    stored_bytes: int
    seconds: float


@dataclass(frozen=True)
class Newest:
    """The newest kept backup of a database, and how its verification stands."""

    id: str
    name: str
    finished_at: datetime
    level: str | None
    verified_at: datetime | None
    passed: bool | None


def recent_good(engine: sa.Engine, databases: Sequence[str]) -> dict[str, list[GoodOne]]:
    """Return these databases' newest good backups, the newest first: one, and the seven before it."""
    names = ("id", "name", "database", "started_at", "finished_at", "stored_bytes")
    query = sa.select(*(backups.c[name] for name in names)).where(good())
    found: dict[str, list[GoodOne]] = defaultdict(list)
    for row in _newest_of_each(engine, query, databases, HISTORY + 1):
        seconds = (row.finished_at - row.started_at).total_seconds()
        found[row.database].append(GoodOne(row.id, row.name, row.finished_at, row.stored_bytes, seconds))
    for ones in found.values():
        ones.sort(key=lambda one: (one.finished_at, one.id), reverse=True)
    return dict(found)


def newest_backups(engine: sa.Engine, databases: Sequence[str]) -> dict[str, Newest]:
    """Return these databases' newest whole backups that are kept and that we made, good or not.

    A partial one says nothing of the database, nor does one that lies where nobody looks any more.
    """
    names = ("id", "name", "finished_at", "verification_level", "verification_at", "verification_passed")
    query = sa.select(backups.c.database, *(backups.c[name] for name in names))
    query = query.where(backups.c.state == "finished", backups.c.adopted.is_(False), backups.c.type != "base")
    query = query.where(sa.cast(backups.c.excluded, sa.Text) == "[]", ~lies_unknown())
    return {
        row.database: Newest(*(getattr(row, name) for name in names))
        for row in _newest_of_each(engine, query, databases, 1)
    }


def newest_proven(engine: sa.Engine, databases: Sequence[str]) -> dict[str, GoodOne]:
    """Return these databases' newest good backups that a restore test has proven and that are kept."""
    names = ("id", "name", "database", "started_at", "finished_at", "stored_bytes")
    query = sa.select(*(backups.c[name] for name in names)).where(good(), backups.c.proven_at.is_not(None))
    return {
        row.database: GoodOne(
            row.id, row.name, row.finished_at, row.stored_bytes, (row.finished_at - row.started_at).total_seconds()
        )
        for row in _newest_of_each(engine, query, databases, 1)
    }


def _newest_of_each(
    engine: sa.Engine, query: sa.Select[Any], databases: Sequence[str], count: int
) -> Iterator[sa.Row[Any]]:
    """Yield the newest rows of each database. Each part walks the index (database, finished_at) and stops early.

    A window function over all backups would say the same, and read five years of them each minute.
    """
    order = (backups.c.finished_at.desc(), backups.c.id.desc())
    for start in range(0, len(databases), _PARTS):
        parts = [
            sa.select(query.where(backups.c.database == name).order_by(*order).limit(count).subquery())
            for name in databases[start : start + _PARTS]
        ]
        with engine.connect() as connection:
            yield from connection.execute(sa.union_all(*parts))


def last_runs(engine: sa.Engine, *, since: datetime) -> list[Run]:
    """Return the newest ended run of each database and kind that works by itself, of those asked for since then."""
    rank = sa.func.row_number().over(
        partition_by=[runs.c.database, runs.c.kind], order_by=[runs.c.queued_at.desc(), runs.c.id.desc()]
    )
    columns = [c for c in runs.c if c.name not in ("idempotency_key", "leftovers")]
    ranked = (
        sa.select(*columns, rank.label("rank"))
        .where(runs.c.kind.not_in(_BY_ITSELF), runs.c.state.in_(("finished", "failed", "lost")))
        .where(runs.c.queued_at >= since, sa.not_(refused()))
        .subquery()
    )
    query = sa.select(*(c for c in ranked.c if c.name != "rank")).where(ranked.c.rank == 1)
    with engine.connect() as connection:
        return [Run(**row._mapping) for row in connection.execute(query)]


PROBES_SPEAK_FOR = timedelta(hours=26)
"""How long what the daily health check found counts: a day, and some slack."""


def last_health_run(engine: sa.Engine, *, since: datetime) -> Run | None:
    """Return the newest daily health check that ended, if one did since then and it probed."""
    columns = [c for c in runs.c if c.name not in ("idempotency_key", "leftovers")]
    query = (
        sa.select(*columns)
        .where(runs.c.kind == "health", runs.c.state == "finished", runs.c.queued_at >= since)
        .where(runs.c.params["deep"].as_boolean())
        .order_by(runs.c.queued_at.desc(), runs.c.id.desc())
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Run(**row._mapping)


@dataclass(frozen=True)
class Finding:
    """The verification that first found a backup's stored bytes to be bad, after the last one that passed."""

    verification_id: str
    backup_id: str
    backup_name: str
    backup_actor: str
    """Who asked for the backup that is damaged."""
    database: str
    level: str
    storage: str
    reason: str
    found_at: datetime
    is_base: bool = False


def _condemns(check: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a failed check says that stored bytes are bad. A restore test says so only where it met them.

    What else fails there (an object that differs, a server that refuses) is told by the check of restore tests.
    """
    return sa.or_(check.c.level != "restore", check.c.detail["copy_state"].as_string().is_not(None))


def _failed_before() -> sa.ColumnElement[bool]:
    """Whether an earlier check of the same backup has found that already, with no pass since."""
    later = verifications.alias("later")
    earlier = verifications.alias("earlier")
    passed_between = (
        sa.exists()
        .where(later.c.backup_id == earlier.c.backup_id, later.c.outcome == "passed")
        .where(later.c.finished_at > earlier.c.finished_at, later.c.finished_at <= verifications.c.finished_at)
        .correlate(earlier, verifications)
    )
    return (
        sa.exists()
        .where(earlier.c.backup_id == verifications.c.backup_id, earlier.c.outcome == "failed")
        .where(_condemns(earlier))
        .where(earlier.c.finished_at < verifications.c.finished_at)
        .where(sa.not_(passed_between))
        .correlate(verifications)
    )


_FINDING = (
    verifications.c.id, verifications.c.backup_id, backups.c.name, backups.c.actor, verifications.c.database,
    verifications.c.level, verifications.c.storage, verifications.c.reason, verifications.c.finished_at,
    (backups.c.type == "base").label("is_base"),
)  # fmt: skip


def first_findings(engine: sa.Engine, databases: Sequence[str], *, since: datetime, not_by: str) -> list[Finding]:
    """Return what was first found to be bad of these databases' kept backups since then, the earliest first.

    ``not_by``: the actor whose own verifications are left out.
    """
    query = (
        sa.select(*_FINDING)
        .join_from(verifications, backups)
        .where(verifications.c.outcome == "failed", _condemns(verifications), verifications.c.actor != not_by)
        .where(verifications.c.database.in_(databases), verifications.c.finished_at >= since)
        .where(backups.c.state == "finished", sa.not_(_failed_before()))
        .order_by(verifications.c.finished_at, verifications.c.id)
    )
    with engine.connect() as connection:
        return [Finding(*row) for row in connection.execute(query)]


def findings_without_backup_since(engine: sa.Engine, databases: Sequence[str], *, since: datetime) -> list[Finding]:
    """Return, of each of these databases, the newest finding of corruption since which no backup was asked for.

    Only whole, trusted backups of our own that are kept say that the database lacks a backup.
    """
    asked_since = (
        sa.exists()
        .where(runs.c.database == verifications.c.database)
        .where(runs.c.kind == sa.case((backups.c.type == "base", "base_backup"), else_="backup"))
        .where(runs.c.queued_at >= verifications.c.finished_at, runs.c.state != "cancelled")
        .correlate(verifications, backups)
    )
    query = (
        sa.select(*_FINDING)
        .join_from(verifications, backups)
        .where(verifications.c.outcome == "failed", _condemns(verifications))
        .where(verifications.c.database.in_(databases), verifications.c.finished_at >= since)
        .where(backups.c.state == "finished", backups.c.adopted.is_(False), backups.c.trust != "untrusted")
        .where(backups.c.verification_passed.is_(False), sa.cast(backups.c.excluded, sa.Text) == "[]")
        .where(sa.not_(_failed_before()), sa.not_(asked_since))
        .order_by(verifications.c.finished_at, verifications.c.id)
    )  # fmt: skip
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return list({row.database: Finding(*row) for row in rows}.values())


@dataclass(frozen=True)
class AskedFor:
    """A backup that somebody asked for."""

    run_id: str
    idempotency_key: str | None
    at: datetime


def last_backups_asked_for_by(
    engine: sa.Engine, actor: str, databases: Sequence[str], *, since: datetime, kind: RunKind = "backup"
) -> dict[str, AskedFor]:
    """Return, of each of these databases, the newest run of that kind that this actor asked for since then, if any."""
    query = (
        sa.select(runs.c.database, runs.c.id, runs.c.idempotency_key, runs.c.queued_at)
        .where(runs.c.database.in_(databases), runs.c.kind == kind, runs.c.actor == actor)
        .where(runs.c.queued_at > since)
        .order_by(runs.c.queued_at, runs.c.id)
    )
    with engine.connect() as connection:
        return {row.database: AskedFor(row.id, row.idempotency_key, row.queued_at) for row in connection.execute(query)}
