"""Search over all backups, filtered and counted by the database: the read model of the inventory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from services.catalog.model import BackupState, BackupType
from services.catalog.schema import backups, copies

Proof = Literal["proven", "not proven", "failed"]


@dataclass(frozen=True)
class InventoryQuery:
    """What to look for; None and empty mean everything."""

    database: str | None = None
    type: BackupType | None = None
    state: BackupState | None = None
    proof: Proof | None = None
    since: datetime | None = None
    """Only those whose snapshot is at least as young."""
    text: str = ""
    """Part of a name, note or person, in any case."""
    limit: int = 500


@dataclass(frozen=True)
class InventoryRow:
    """One backup, as much of it as a list shows."""

    id: str
    name: str
    database: str
    type: BackupType
    state: BackupState
    snapshot_at: datetime
    duration: timedelta
    stored_bytes: int
    is_partial: bool
    adopted: bool
    pinned: bool
    note: str
    trust: str
    verification_level: str | None
    verification_passed: bool | None
    proven_at: datetime | None
    storages: str
    """Names of the storages with a stored copy, with commas."""


def search(engine: sa.Engine, wanted: InventoryQuery) -> tuple[list[InventoryRow], int]:
    """Return the newest backups that fit, at most ``wanted.limit``, and how many fit in all. At most two queries."""
    stored = (
        sa.select(sa.func.aggregate_strings(copies.c.storage, ", "))
        .where(copies.c.backup_id == backups.c.id, copies.c.state == "stored")
        .scalar_subquery()
    )
    found_by = conditions(wanted)
    columns = [backups.c[name] for name in (*_PLAIN, "started_at", "finished_at", "excluded")]
    query = sa.select(*columns, stored.label("storages")).where(*found_by)
    query = query.order_by(backups.c.snapshot_at.desc(), backups.c.id.desc()).limit(wanted.limit)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
        total = len(rows)
        if total == wanted.limit:
            total = connection.scalar(sa.select(sa.func.count()).select_from(backups).where(*found_by)) or 0
    found = [
        InventoryRow(
            duration=row.finished_at - row.started_at,
            is_partial=bool(row.excluded),
            storages=row.storages or "",
            **{name: getattr(row, name) for name in _PLAIN},
        )
        for row in rows
    ]
    return found, total


_PLAIN = (
    "id", "name", "database", "type", "state", "snapshot_at", "stored_bytes", "adopted", "pinned", "note", "trust",
    "verification_level", "verification_passed", "proven_at",
)  # fmt: skip


def conditions(wanted: InventoryQuery) -> list[sa.ColumnElement[bool]]:
    """Return what a query asks of ``backups``, whatever its limit."""
    found: list[sa.ColumnElement[bool]] = []
    for column, value in (
        (backups.c.database, wanted.database),
        (backups.c.type, wanted.type),
        (backups.c.state, wanted.state),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.since is not None:
        found.append(backups.c.snapshot_at >= wanted.since)
    if wanted.proof == "proven":
        found.append(backups.c.proven_at.is_not(None))
    elif wanted.proof == "not proven":
        found.append(backups.c.proven_at.is_(None))
    elif wanted.proof == "failed":
        found.append(backups.c.verification_passed.is_(False))
    if wanted.text.strip():
        text = wanted.text.strip()
        columns = (backups.c.name, backups.c.note, backups.c.actor)
        found.append(sa.or_(*(column.icontains(text, autoescape=True) for column in columns)))
    return found
