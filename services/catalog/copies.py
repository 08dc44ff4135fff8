"""Copies across all backups: which are wanting, counted and found by the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.catalog.model import CopyState
from services.catalog.schema import backups, copies
from services.storage.classes import FROZEN

Wanted = Mapping[str, Sequence[str]]
"""By database, the storages in which each of its backups is to have a copy."""

LONGEST_PAUSE = timedelta(hours=6)
"""Between two attempts at one copy: a storage that was away for a day is tried again within this."""
_NOT_WHOLE = ("copying", "failed", "missing", "damaged")


@dataclass(frozen=True)
class MissingCopy:
    """A copy that there ought to be and that is not whole."""

    backup_id: str
    backup_name: str
    database: str
    finished_at: datetime
    """When the backup was."""
    stored_bytes: int
    storage: str
    state: CopyState | None
    """None: it was never begun."""
    error: str
    attempts: int
    next_attempt_at: datetime | None
    has_source: bool
    """Whether another copy is stored that it can be made from."""


def somewhere() -> sa.ColumnElement[bool]:
    """True of every copy; lets the index on storage and state find the few in one of some states."""
    return copies.c.storage.in_(sa.select(copies.c.storage).distinct())


def missing_copies(
    engine: sa.Engine, wanted: Wanted, *, now: datetime, due_only: bool = False, limit: int
) -> tuple[list[MissingCopy], dict[str, int]]:
    """Return copies that are wanted, or were made, and are not whole, and how many there are in each storage.

    The newest backups come first, at most ``limit`` of each storage. With ``due_only`` only those that can be made from
    another copy and whose time to be tried (again) has come. A copy that was deleted on purpose is not missed, and
    nothing is of a backup that nobody vouches for. One query.
    """
    found = _missing(wanted, now, due_only=due_only).subquery()
    newest = (found.c.finished_at.desc(), found.c.backup_id.desc(), found.c.storage)
    rank = sa.func.row_number().over(partition_by=found.c.storage, order_by=newest).label("rank")
    in_storage = sa.func.count().over(partition_by=found.c.storage).label("in_storage")
    ranked = sa.select(found, rank, in_storage).subquery()
    query = sa.select(ranked).where(ranked.c.rank <= limit)
    query = query.order_by(ranked.c.finished_at.desc(), ranked.c.backup_id.desc(), ranked.c.storage)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    names = MissingCopy.__dataclass_fields__
    counts = {row.storage: int(row.in_storage) for row in rows}
    return [MissingCopy(**{name: getattr(row, name) for name in names}) for row in rows], counts


def count_never_begun(engine: sa.Engine, wanted: Wanted, *, since: datetime, until: datetime) -> dict[str, int]:
    """Return by database how many wanted copies of its backups of that time were not even begun. One query."""
    parts = []
    for database, storages in wanted.items():
        for storage in storages if len(storages) > 1 else ():
            there = sa.exists().where(copies.c.backup_id == backups.c.id, copies.c.storage == storage)
            kept = backups.c.database == database, backups.c.state == "finished", backups.c.trust != "untrusted"
            within = backups.c.finished_at >= since, backups.c.finished_at < until, backups.c.sample.is_(False)
            parts.append(sa.select(backups.c.database).where(*kept, *within, ~there))
    if not parts:
        return {}
    found = sa.union_all(*parts).subquery()
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(found.c.database, sa.func.count().label("never_begun")).group_by(found.c.database)
        )
        return {row.database: row.never_begun for row in rows}


def _missing(wanted: Wanted, now: datetime, *, due_only: bool) -> sa.Select[Any]:
    found = _wanting(wanted).subquery("found")
    other = copies.alias("other")
    # the same rule as ``Copy.is_readable``
    readable = sa.or_(other.c.storage_class.not_in(FROZEN), other.c.thawed_until > now)
    source = sa.exists().where(
        other.c.backup_id == found.c.backup_id, other.c.storage != found.c.storage, other.c.state == "stored", readable
    )
    query = (
        sa.select(
            backups.c.id.label("backup_id"),
            backups.c.name.label("backup_name"),
            backups.c.database,
            backups.c.finished_at,
            backups.c.stored_bytes,
            found.c.storage,
            copies.c.state,
            sa.func.coalesce(copies.c.error, "").label("error"),
            sa.func.coalesce(copies.c.attempts, 0).label("attempts"),
            copies.c.next_attempt_at,
            source.label("has_source"),
        )
        .join_from(found, backups, backups.c.id == found.c.backup_id)
        .outerjoin(copies, sa.and_(copies.c.backup_id == found.c.backup_id, copies.c.storage == found.c.storage))
        .where(backups.c.state == "finished", backups.c.trust != "untrusted", backups.c.sample.is_(False))
    )
    if due_only:
        again = copies.c.next_attempt_at
        # What is further ahead than any pause was written by a clock that was wrong.
        due = sa.or_(again.is_(None), again <= now, again > now + 2 * LONGEST_PAUSE)
        query = query.where(due, source)
    return query


def _wanting(wanted: Wanted) -> sa.CompoundSelect[Any]:
    """What was begun or went bad, wherever it lies, and what is wanted and was never begun: (backup_id, storage)."""
    begun = sa.select(copies.c.backup_id, copies.c.storage).where(copies.c.state.in_(_NOT_WHOLE), somewhere())
    never = []
    for database, storages in wanted.items():
        for storage in storages:
            there = sa.exists().where(copies.c.backup_id == backups.c.id, copies.c.storage == storage)
            kept = sa.select(backups.c.id, sa.literal(storage)).where(
                backups.c.database == database, backups.c.state == "finished"
            )
            never.append(kept.where(~there))
    return sa.union_all(begun, *never)
