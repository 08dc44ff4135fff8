"""Copies across all backups: which are wanting, counted and found by the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.catalog.model import CopyState
from services.catalog.schema import backups, copies

Wanted = Mapping[str, Sequence[str]]
"""By database, the storages in which each of its backups is to have a copy."""


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


def missing_copies(
    engine: sa.Engine, wanted: Wanted, *, due_at: datetime | None = None, limit: int
) -> tuple[list[MissingCopy], int]:
    """Return copies that are wanted, or were made, and are not whole, the newest backups first; and how many in all.

    With ``due_at`` only those that can be made from another copy and whose time to be tried (again) has come. A copy
    that was deleted on purpose is not missed, and nothing is of a backup that nobody vouches for. One query.
    """
    query = _missing(wanted, due_at)
    query = query.add_columns(sa.func.count().over().label("total")).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    names = MissingCopy.__dataclass_fields__
    return [MissingCopy(**{name: getattr(row, name) for name in names}) for row in rows], rows[0].total if rows else 0


def _missing(wanted: Wanted, due_at: datetime | None) -> sa.Select[Any]:
    pairs = [sa.select(sa.literal(d).label("database"), sa.literal(s).label("storage"))
             for d, storages in wanted.items() for s in storages]  # fmt: skip
    other = copies.alias("other")
    source = sa.exists().where(other.c.backup_id == backups.c.id, other.c.state == "stored")
    own = (copies.c.backup_id == backups.c.id, copies.c.state.not_in(("stored", "deleted")))
    # What was begun or is bad, wherever it lies, and what is wanted and was never begun.
    begun = sa.select(backups.c.id.label("backup_id"), copies.c.storage).join_from(backups, copies, sa.and_(*own))
    both: sa.SelectBase = begun.where(backups.c.state == "finished")
    if pairs:
        want = sa.union_all(*pairs).subquery("wanted")
        there = sa.exists().where(copies.c.backup_id == backups.c.id, copies.c.storage == want.c.storage)
        never = sa.select(backups.c.id.label("backup_id"), want.c.storage).join_from(
            backups, want, want.c.database == backups.c.database
        )
        both = sa.union_all(
            begun.where(backups.c.state == "finished"), never.where(backups.c.state == "finished", ~there)
        )
    found = both.subquery("found")
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
            source.where(other.c.storage != found.c.storage).label("has_source"),
        )
        .join_from(found, backups, backups.c.id == found.c.backup_id)
        .outerjoin(copies, sa.and_(copies.c.backup_id == found.c.backup_id, copies.c.storage == found.c.storage))
        .where(backups.c.trust != "untrusted", backups.c.sample.is_(False))
        .order_by(backups.c.finished_at.desc(), backups.c.id.desc(), found.c.storage)
    )
    if due_at is not None:
        again = copies.c.next_attempt_at
        query = query.where(sa.or_(again.is_(None), again <= due_at), source.where(other.c.storage != found.c.storage))
    return query
