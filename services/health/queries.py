"""What the checks ask the catalogue. Each function is one query, whatever the number of databases or backups."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.catalog.backups import good
from services.catalog.model import Run
from services.catalog.schema import backups, copies, runs, verifications

HISTORY = 7
"""How many good backups before the newest one make what is usual."""
_BY_ITSELF = ("backup", "restore", "adopt")
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


@dataclass(frozen=True)
class Corruption:
    """Kept backups of one database whose stored bytes are known to be bad, or whose copies are gone."""

    damaged: int = 0
    """Backups that failed a verification below the restore test, or of which a copy is damaged."""
    damaged_name: str = ""
    """The newest of them."""
    since: datetime | None = None
    missing: int = 0
    """Copies that were looked for and not found."""
    lost: int = 0
    """Kept backups of which no copy is left."""
    missing_name: str = ""
    missing_since: datetime | None = None


def recent_good(engine: sa.Engine) -> dict[str, list[GoodOne]]:
    """Return each database's newest good backups, the newest first: one, and the seven before it."""
    rank = sa.func.row_number().over(
        partition_by=backups.c.database, order_by=[backups.c.finished_at.desc(), backups.c.id.desc()]
    )
    names = ("id", "name", "database", "started_at", "finished_at", "stored_bytes")
    ranked = sa.select(*(backups.c[name] for name in names), rank.label("rank")).where(good()).subquery()
    query = sa.select(ranked).where(ranked.c.rank <= HISTORY + 1).order_by(ranked.c.database, ranked.c.rank)
    found: dict[str, list[GoodOne]] = defaultdict(list)
    with engine.connect() as connection:
        for row in connection.execute(query):
            seconds = (row.finished_at - row.started_at).total_seconds()
            found[row.database].append(GoodOne(row.id, row.name, row.finished_at, row.stored_bytes, seconds))
    return dict(found)


def newest_backups(engine: sa.Engine) -> dict[str, Newest]:
    """Return each database's newest backup that is kept and that we made, good or not."""
    rank = sa.func.row_number().over(
        partition_by=backups.c.database, order_by=[backups.c.finished_at.desc(), backups.c.id.desc()]
    )
    names = ("id", "name", "finished_at", "verification_level", "verification_at", "verification_passed")
    chosen = sa.select(backups.c.database, *(backups.c[name] for name in names), rank.label("rank"))
    ranked = chosen.where(backups.c.state == "finished", backups.c.adopted.is_(False)).subquery()
    with engine.connect() as connection:
        return {
            row.database: Newest(*(getattr(row, name) for name in names))
            for row in connection.execute(sa.select(ranked).where(ranked.c.rank == 1))
        }


def corruption(engine: sa.Engine) -> dict[str, Corruption]:
    """Return, of each database that has any, how many kept backups are damaged and how many copies are gone."""
    bad_check = sa.and_(backups.c.verification_passed.is_(False), backups.c.verification_level != "restore")
    flagged = (
        sa.select(
            copies.c.backup_id,
            sa.func.count(sa.case((copies.c.state == "damaged", 1))).label("damaged"),
            sa.func.count(sa.case((copies.c.state == "missing", 1))).label("missing"),
            sa.func.max(copies.c.checked_at).label("checked_at"),
        )
        .where(copies.c.state.in_(("damaged", "missing")))
        .group_by(copies.c.backup_id)
        .subquery()
    )
    stored = sa.exists().where(copies.c.backup_id == backups.c.id, copies.c.state == "stored")
    query = (
        sa.select(
            backups.c.database, backups.c.name, backups.c.verification_at, bad_check.label("bad"),
            flagged.c.damaged, flagged.c.missing, flagged.c.checked_at, stored.label("stored"),
        )
        .join_from(backups, flagged, flagged.c.backup_id == backups.c.id, isouter=True)
        .where(backups.c.state == "finished", sa.or_(bad_check, flagged.c.backup_id.is_not(None)))
        .order_by(backups.c.finished_at)
    )  # fmt: skip
    found: dict[str, Corruption] = {}
    with engine.connect() as connection:
        for row in connection.execute(query):
            found[row.database] = _add(found.get(row.database, Corruption()), row)
    return found


def _add(so_far: Corruption, row: sa.Row[Any]) -> Corruption:
    at = row.verification_at if row.bad else row.checked_at
    damaged = bool(row.bad or row.damaged)
    # A backup whose only copy is gone fails its verification as well; it is missing, not damaged.
    if row.missing and not row.damaged:
        damaged = False
    return Corruption(
        damaged=so_far.damaged + damaged,
        damaged_name=row.name if damaged else so_far.damaged_name,
        since=_earlier(so_far.since, at) if damaged else so_far.since,
        missing=so_far.missing + (row.missing or 0),
        lost=so_far.lost + bool(row.missing and not row.stored),
        missing_name=row.name if row.missing else so_far.missing_name,
        missing_since=_earlier(so_far.missing_since, row.checked_at) if row.missing else so_far.missing_since,
    )


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    known = [at for at in (one, other) if at is not None]
    return min(known, default=None)


def last_runs(engine: sa.Engine, *, since: datetime) -> list[Run]:
    """Return the newest ended run of each database and kind that works by itself, of those asked for since then."""
    rank = sa.func.row_number().over(
        partition_by=[runs.c.database, runs.c.kind], order_by=[runs.c.queued_at.desc(), runs.c.id.desc()]
    )
    columns = [c for c in runs.c if c.name not in ("idempotency_key", "leftovers")]
    ranked = (
        sa.select(*columns, rank.label("rank"))
        .where(runs.c.kind.not_in(_BY_ITSELF), runs.c.state.in_(("finished", "failed", "lost")))
        .where(runs.c.queued_at >= since)
        .subquery()
    )
    query = sa.select(*(c for c in ranked.c if c.name != "rank")).where(ranked.c.rank == 1)
    with engine.connect() as connection:
        return [Run(**row._mapping) for row in connection.execute(query)]


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
    database: str
    level: str
    storage: str
    reason: str
    found_at: datetime


def findings_without_backup_since(engine: sa.Engine, *, since: datetime) -> list[Finding]:
    """Return, of each database, the newest finding of corruption since which no backup was asked for.

    Only whole, trusted backups of our own that are kept say that the database lacks a backup.
    """
    later = verifications.alias("later")
    earlier = verifications.alias("earlier")
    passed_between = (
        sa.exists()
        .where(later.c.backup_id == earlier.c.backup_id, later.c.outcome == "passed")
        .where(later.c.finished_at > earlier.c.finished_at, later.c.finished_at <= verifications.c.finished_at)
        .correlate(earlier, verifications)
    )
    failed_before = (
        sa.exists()
        .where(earlier.c.backup_id == verifications.c.backup_id, earlier.c.outcome == "failed")
        .where(earlier.c.level != "restore")
        .where(earlier.c.finished_at < verifications.c.finished_at)
        .where(sa.not_(passed_between))
        .correlate(verifications)
    )
    asked_since = (
        sa.exists()
        .where(runs.c.database == verifications.c.database, runs.c.kind == "backup")
        .where(runs.c.queued_at >= verifications.c.finished_at, runs.c.state != "cancelled")
        .correlate(verifications)
    )
    query = (
        sa.select(
            verifications.c.id, verifications.c.backup_id, backups.c.name, verifications.c.database,
            verifications.c.level, verifications.c.storage, verifications.c.reason, verifications.c.finished_at,
        )
        .join_from(verifications, backups)
        .where(verifications.c.outcome == "failed", verifications.c.level != "restore")
        .where(verifications.c.finished_at >= since)
        .where(backups.c.state == "finished", backups.c.adopted.is_(False), backups.c.trust != "untrusted")
        .where(backups.c.verification_passed.is_(False), sa.cast(backups.c.excluded, sa.Text) == "[]")
        .where(sa.not_(failed_before), sa.not_(asked_since))
        .order_by(verifications.c.finished_at, verifications.c.id)
    )  # fmt: skip
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return list({row.database: Finding(*row) for row in rows}.values())
