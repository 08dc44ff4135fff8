"""What exactly waits for a second person: each backup by name, when it finished and what it takes up, and the options.

As the catalogue has it now. If that is not what it was when it was asked for, approving it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.approvals.rules import CHUNK, NOT_CONTENT
from services.catalog.approvals import Approval
from services.catalog.schema import backups, copies
from services.installation import Installation
from services.units import format_bytes

_SHOWN_OTHERWISE = (*NOT_CONTENT, "only", "database", "apply", "by_hand")


@dataclass(frozen=True)
class AboutBackup:
    """A backup that a wish is about."""

    id: str
    name: str
    database: str
    type: str
    finished_at: datetime | None
    bytes: int
    """Of all its copies that are stored."""
    pinned: bool
    state: str
    """``unknown``: the catalogue has it no more."""


@dataclass(frozen=True)
class Exactly:
    """Everything that a wish is about."""

    backups: tuple[AboutBackup, ...]
    """The oldest first."""
    options: Mapping[str, Any]
    """What else was asked for: parameters that are set and that say what is done."""

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.backups)

    @property
    def total(self) -> str:
        """How many backups, and how much."""
        noun = "backup" if len(self.backups) == 1 else "backups"
        return f"{len(self.backups):,} {noun}, {format_bytes(self.bytes)}"


def exactly(installation: Installation, approval: Approval) -> Exactly:
    """Return what a wish is about, all of it."""
    ids = ids_of(approval.params, approval.backup_id)
    found = {one.id: one for one in _look_up(installation, ids)}
    there = sorted(found.values(), key=lambda one: (one.finished_at is not None, one.finished_at, one.id))
    gone = [AboutBackup(one, one, "", "", None, 0, False, "unknown") for one in ids if one not in found]
    options = {
        name: value
        for name, value in sorted(approval.params.items())
        if name not in _SHOWN_OTHERWISE and value not in (None, "", False, [], {})
    }
    return Exactly((*gone, *there), options)


def ids_of(params: Mapping[str, Any], backup_id: str | None) -> list[str]:
    """Return the ids of the backups that a run with these parameters is about."""
    return sorted({*(params.get("only") or ()), *([backup_id] if backup_id else ())})


def _look_up(installation: Installation, ids: Sequence[str]) -> list[AboutBackup]:
    stored = (
        sa.select(sa.cast(sa.func.coalesce(sa.func.sum(copies.c.bytes), 0), sa.BigInteger))
        .where(copies.c.backup_id == backups.c.id, copies.c.state == "stored")
        .scalar_subquery()
        .label("bytes")
    )
    columns = (backups.c.id, backups.c.name, backups.c.database, backups.c.type, backups.c.finished_at)
    query = sa.select(*columns, stored, backups.c.pinned, backups.c.state)
    found: list[AboutBackup] = []
    with installation.catalog.engine.connect() as connection:
        for start in range(0, len(ids), CHUNK):
            chosen = query.where(backups.c.id.in_(ids[start : start + CHUNK]))
            found += [AboutBackup(**row._mapping) for row in connection.execute(chosen)]
    return found
