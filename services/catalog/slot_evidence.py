"""What the catalogue knows of slots and of the service level: one query each, whatever the time looked back upon."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from services.catalog.schema import backups, verifications
from services.schedules.outcomes import StoredBackup


@dataclass(frozen=True)
class MeasuredRestores:
    """Restore tests that passed: how long the slowest took from the stored object to a restored database."""

    passed: int
    slowest_seconds: float


def stored_backups(engine: sa.Engine, since: Mapping[str, datetime]) -> dict[str, list[StoredBackup]]:
    """Return each database's backups that were finished at ``since[database]`` or later, expired ones included."""
    found: defaultdict[str, list[StoredBackup]] = defaultdict(list)
    if not since:
        return found
    b = backups.c
    wanted = sa.or_(*(sa.and_(b.database == name, b.finished_at >= first) for name, first in since.items()))
    query = sa.select(b.database, b.id, b.started_at, b.snapshot_at, b.finished_at, fault_of_backup()).where(wanted)
    with engine.connect() as connection:
        for database, *values in connection.execute(query):
            found[database].append(StoredBackup(*values))
    return found


def last_good_before(engine: sa.Engine, databases: Iterable[str], at: datetime) -> dict[str, datetime]:
    """Return the snapshot of each database's last good backup that was finished before an instant."""
    b = backups.c
    newest = [
        sa.select(b.database, b.snapshot_at)
        .where(b.database == name, b.finished_at < at, fault_of_backup() == "")
        .order_by(b.finished_at.desc())
        .limit(1)
        .subquery()
        for name in databases
    ]
    if not newest:
        return {}
    with engine.connect() as connection:
        rows = connection.execute(sa.union_all(*(sa.select(each) for each in newest)))
        return {row.database: row.snapshot_at for row in rows}


def measured_restores(engine: sa.Engine, since: datetime) -> dict[str, MeasuredRestores]:
    """Return what each database's restore tests since then measured: those that passed, of whole backups of our own."""
    v = verifications.c
    seconds = v.detail["rto_seconds"].as_float()
    query = sa.select(v.database, sa.func.count().label("passed"), sa.func.max(seconds).label("slowest"))
    query = query.join_from(verifications, backups).group_by(v.database)
    query = query.where(v.level == "restore", v.outcome == "passed", v.finished_at >= since, seconds.is_not(None))
    query = query.where(fault_of_backup().in_(("", "failed")))  # one that failed later was restored all the same
    with engine.connect() as connection:
        return {row.database: MeasuredRestores(row.passed, row.slowest) for row in connection.execute(query)}


def fault_of_backup() -> sa.ColumnElement[str]:
    """Return as a column over ``backups`` why one is not good, as ``services.schedules.outcomes.Fault`` names it.

    Whether it expired is no fault.
    """
    b = backups.c
    return sa.case(
        (b.type == "base", "base"),
        (b.trust == "untrusted", "untrusted"),
        (b.verification_passed.is_(False), "failed"),
        (b.adopted.is_(True), "adopted"),
        (sa.cast(b.excluded, sa.Text) != json.dumps([]), "partial"),
        else_="",
    )
