"""What the storages hold and how that came about, added up by the database.

A copy takes part from when its backup was finished until it was seen to be gone. So a storage that is filled afterwards
with older backups does not look as if it grew by all of them on one day.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa

from services.catalog.copies import somewhere
from services.catalog.model import BackupType
from services.catalog.schema import backups, copies
from services.catalog.wal_archives import wal_archive_states, wal_levels_since

OCCUPYING = ("stored", "damaged")
"""States of copies that take up room."""
_GONE = ("deleted", "missing")


@dataclass(frozen=True)
class Held:
    """What one storage holds of one database, type and storage class."""

    storage: str
    database: str
    type: BackupType | Literal["wal"]
    """``wal``: the write-ahead log, which is no copy of a backup."""
    storage_class: str
    copies: int
    bytes: int


@dataclass(frozen=True)
class Change:
    """By how many bytes the copies of one database in one storage changed on one UTC day."""

    storage: str
    database: str
    day: date
    stored_bytes: int
    removed_bytes: int

    @property
    def bytes(self) -> int:
        return self.stored_bytes - self.removed_bytes


_NOBODYS = "unknown"
"""State of a copy in a storage that the settings do not name: it may take up room there."""


def held(engine: sa.Engine) -> list[Held]:
    """Return what the storages hold, a row for each storage, database, type and storage class. Two queries.

    Storages that the settings do not name are among them, with what they held when they were named last.
    The log counts as it was listed last, and not as copies.
    """
    keys = (copies.c.storage, backups.c.database, backups.c.type, copies.c.storage_class)
    query = (
        sa.select(*keys, sa.func.count().label("copies"), sa.func.sum(copies.c.bytes).label("bytes"))
        .join_from(copies, backups)
        .where(copies.c.state.in_((*OCCUPYING, _NOBODYS)), somewhere())
        .group_by(*keys)
        .order_by(*keys)
    )
    with engine.connect() as connection:
        found = [Held(**(dict(row._mapping) | {"bytes": int(row.bytes)})) for row in connection.execute(query)]
    logs = [one for one in wal_archive_states(engine) if one.bytes]
    return found + [Held(one.storage, one.database, "wal", "STANDARD", 0, one.bytes) for one in logs]


def changes(engine: sa.Engine, *, since: datetime) -> list[Change]:
    """Return what was stored and what was removed on each UTC day from ``since`` on, the first day first. Two queries.

    Of the log only the difference from day to day is known: what it grew counts as stored, what it shrank as removed.
    """
    came, expired, lost_at = backups.c.finished_at, backups.c.expired_at, copies.c.checked_at
    of = (backups.c.id, backups.c.database)
    both = sa.union_all(
        _by_day(engine, "came", sa.select(*of, came).where(came >= since), came, (*OCCUPYING, *_GONE)),
        _by_day(engine, "expired", sa.select(*of, expired).where(expired >= since), expired, _GONE),
        # a copy that went while its backup is kept: found to be missing, or deleted by itself
        _by_day(engine, "kept", sa.select(*of).where(expired.is_(None)), lost_at, _GONE).where(lost_at >= since),
    ).subquery()
    query = (
        sa.select(
            both.c.storage,
            both.c.database,
            both.c.day,
            sa.func.sum(both.c.stored_bytes).label("stored_bytes"),
            sa.func.sum(both.c.removed_bytes).label("removed_bytes"),
        )
        .group_by(both.c.storage, both.c.database, both.c.day)
        .order_by(both.c.day, both.c.storage, both.c.database)
    )
    with engine.connect() as connection:
        found = [
            Change(
                row.storage,
                row.database,
                date.fromisoformat(row.day),
                int(row.stored_bytes),
                int(row.removed_bytes),
            )
            for row in connection.execute(query)
        ]
    return sorted([*found, *_log_changes(engine, since.date())], key=lambda one: (one.day, one.storage, one.database))


def _log_changes(engine: sa.Engine, since: date) -> list[Change]:
    """Return by how much the logs changed from one day on which they were listed to the next."""
    before: dict[tuple[str, str], int] = {}
    found = []
    for level in wal_levels_since(engine, since):
        grown = level.bytes - before.get((level.storage, level.database), 0)
        before[level.storage, level.database] = level.bytes
        if grown and level.day >= since:
            found.append(Change(level.storage, level.database, level.day, max(0, grown), max(0, -grown)))
    return found


def _by_day(
    engine: sa.Engine, name: str, chosen: sa.Select[Any], at: sa.Column[Any], states: Collection[str]
) -> sa.Select[Any]:
    """Add up the copies in these states of the chosen backups by the UTC day of ``at``; they came, or else went."""
    # Materialized, since SQLite would begin with all copies there ever were: it finds them in the order of the groups.
    of = chosen.cte(name).prefix_with("MATERIALIZED")
    instant: sa.ColumnElement[Any] = of.c[at.name] if at.table is backups else at
    # On SQLite an Instant is ISO text in UTC; on PostgreSQL it is a timestamptz.
    if engine.dialect.name == "sqlite":
        day: sa.ColumnElement[Any] = sa.func.substr(sa.cast(instant, sa.Text), 1, 10)
    else:
        day = sa.func.to_char(sa.func.timezone("UTC", instant), "YYYY-MM-DD")
    amount, nothing = sa.func.sum(copies.c.bytes), sa.literal(0)
    came = name == "came"
    return (
        sa.select(
            copies.c.storage,
            of.c.database,
            day.label("day"),
            (amount if came else nothing).label("stored_bytes"),
            (nothing if came else amount).label("removed_bytes"),
        )
        .join_from(of, copies, copies.c.backup_id == of.c.id)
        .where(copies.c.state.in_(states))
        .group_by(copies.c.storage, of.c.database, day)
    )
