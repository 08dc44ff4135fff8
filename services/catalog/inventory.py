"""Search over all backups, filtered and counted by the database: the read model of the inventory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.catalog.backups import lies_unknown
from services.catalog.model import BackupState, BackupType
from services.catalog.schema import backups, copies, unknown

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
    ids: tuple[str, ...] | None = None
    """Only these; None: all."""
    unexpired_but: tuple[str, ...] | None = None
    """Only those of ``databases`` that have not expired and are not these: the short way to name nearly all."""
    databases: tuple[str, ...] = ()
    """What ``unexpired_but`` speaks of."""
    deletion_failed: bool = False
    """Only those of which a copy could last not be deleted."""
    limit: int = 500
    offset: int = 0
    """So many of the newest are passed over: earlier pages."""


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
    copies: int = 0
    """How many there are of them."""
    deletion_failed: bool = False
    """True when a copy of it could last not be deleted."""
    unnamed: str = ""
    """Names of the storages with a copy that the settings do not name, with commas."""

    @property
    def is_unknown(self) -> bool:
        """The rule of ``Backup.is_unknown``."""
        return bool(self.unnamed) and not self.storages

    @property
    def is_proven(self) -> bool:
        """The rule of ``Backup.is_proven``."""
        return self.proven_at is not None and not self.is_partial and not self.is_unknown


def search(engine: sa.Engine, wanted: InventoryQuery) -> tuple[list[InventoryRow], int]:
    """Return the newest backups that fit, at most ``wanted.limit``, and how many fit in all. At most two queries."""
    stored = sa.select(sa.func.aggregate_strings(copies.c.storage, ", ")).where(
        copies.c.backup_id == backups.c.id, copies.c.state == "stored"
    )
    names = stored.scalar_subquery()
    count = stored.with_only_columns(sa.func.count()).scalar_subquery()
    nobodys = sa.select(sa.func.aggregate_strings(copies.c.storage, ", "))
    nobodys = nobodys.where(copies.c.backup_id == backups.c.id, unknown(copies))
    asked = conditions(wanted, engine.dialect.name)
    columns = [backups.c[name] for name in (*_PLAIN, "started_at", "finished_at", "excluded")]
    query = sa.select(
        *columns,
        names.label("storages"),
        count.label("copies"),
        _deletion_failed().label("deletion_failed"),
        nobodys.scalar_subquery().label("unnamed"),
    ).where(*asked)
    query = query.order_by(backups.c.snapshot_at.desc(), backups.c.id.desc()).limit(wanted.limit).offset(wanted.offset)
    with engine.connect() as connection:
        if wanted.text.strip():  # no index helps there, so the rows are read once, and counted as they pass
            rows = connection.execute(query.add_columns(sa.func.count().over().label("total"))).all()
            total = rows[0].total if rows else 0
        else:
            total = connection.scalar(sa.select(sa.func.count()).select_from(backups).where(*asked)) or 0
            rows = connection.execute(query).all()
    found = [
        InventoryRow(
            duration=row.finished_at - row.started_at,
            is_partial=bool(row.excluded),
            storages=row.storages or "",
            copies=row.copies,
            unnamed=row.unnamed or "",
            deletion_failed=bool(row.deletion_failed),
            **{name: getattr(row, name) for name in _PLAIN},
        )
        for row in rows
    ]
    return found, total


_PLAIN = (
    "id", "name", "database", "type", "state", "snapshot_at", "stored_bytes", "adopted", "pinned", "note", "trust",
    "verification_level", "verification_passed", "proven_at",
)  # fmt: skip


def _deletion_failed() -> sa.ColumnElement[bool]:
    return backups.c.id.in_(sa.select(copies.c.backup_id).where(copies.c.deletion_failed_at.is_not(None)))


def _proven() -> sa.ColumnElement[bool]:
    whole = sa.cast(backups.c.excluded, sa.Text) == "[]"
    return sa.and_(backups.c.proven_at.is_not(None), whole, ~lies_unknown())


def _among(ids: tuple[str, ...], dialect: str) -> sa.Select[tuple[str]]:
    """Return ids as rows, however many: they are one parameter, where each of an IN list would be one of its own."""
    if dialect == "sqlite":
        rows = sa.func.json_each(json.dumps(ids)).table_valued("value")
        return sa.select(rows.c.value)
    unpacked = sa.func.jsonb_array_elements_text(sa.cast(sa.literal(json.dumps(ids)), JSONB)).table_valued("value")
    return sa.select(unpacked.c.value)


def conditions(wanted: InventoryQuery, dialect: str) -> list[sa.ColumnElement[bool]]:
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
        found.append(_proven())
    elif wanted.proof == "not proven":
        found.append(~_proven())
    elif wanted.proof == "failed":
        found.append(backups.c.verification_passed.is_(False))
    if wanted.ids is not None:
        found.append(backups.c.id.in_(_among(wanted.ids, dialect)))
    if wanted.unexpired_but is not None:
        found += [
            backups.c.state.in_(("finished", "deleting")),
            backups.c.database.in_(wanted.databases),
            backups.c.id.not_in(_among(wanted.unexpired_but, dialect)),
        ]
    if wanted.deletion_failed:
        found.append(_deletion_failed())
    if wanted.text.strip():
        text = wanted.text.strip()
        columns = (backups.c.name, backups.c.note, backups.c.actor)
        found.append(sa.or_(*(column.icontains(text, autoescape=True) for column in columns)))
    return found
