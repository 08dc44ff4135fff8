"""The backups of the catalogue of which something is stored, as the planner takes them. One query, however many."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from services.catalog.model import ACTIVE_STATES
from services.catalog.schema import backups, copies, runs, unknown
from services.retention.planner import Candidate


@dataclass(frozen=True, slots=True)
class LiveBackup:
    """One backup that has not expired."""

    name: str
    candidate: Candidate
    deletion_failed_at: datetime | None
    """When a copy of it could last not be deleted."""


def load_live(engine: sa.Engine, databases: Collection[str]) -> list[LiveBackup]:
    """Return the backups of these databases that have not expired, the newest first."""
    there = copies.c.state.in_(("stored", "damaged"))
    of_copies = (
        sa.select(
            copies.c.backup_id,
            sa.func.sum(sa.case((there, copies.c.bytes), else_=0)).label("bytes"),
            sa.func.max(sa.case((copies.c.state == "stored", 1), else_=0)).label("stored"),
            sa.func.max(sa.case((unknown(copies), 1), else_=0)).label("unnamed"),
            sa.func.max(copies.c.deletion_failed_at).label("deletion_failed_at"),
            sa.func.max(sa.case((there, copies.c.locked_until))).label("locked_until"),
        )
        .group_by(copies.c.backup_id)
        .subquery()
    )
    worked_on = sa.select(runs.c.backup_id).where(runs.c.state.in_(ACTIVE_STATES), runs.c.backup_id.is_not(None))
    query = (
        sa.select(
            backups.c.id, backups.c.name, backups.c.database, backups.c.type, backups.c.state, backups.c.finished_at,
            backups.c.pinned, backups.c.proven_at, backups.c.verification_passed, backups.c.adopted, backups.c.trust,
            (sa.cast(backups.c.excluded, sa.Text) != json.dumps([])).label("partial"),
            backups.c.id.in_(worked_on).label("active"),
            of_copies.c.bytes, of_copies.c.stored, of_copies.c.deletion_failed_at, of_copies.c.locked_until,
            of_copies.c.unnamed,
        )
        .join_from(backups, of_copies, of_copies.c.backup_id == backups.c.id, isouter=True)
        .where(backups.c.state.in_(("finished", "deleting")), backups.c.database.in_(list(databases)))
        .order_by(backups.c.finished_at.desc(), backups.c.id.desc())
    )  # fmt: skip
    with engine.connect() as connection:
        return [_to_live(cast(Sequence[Any], row)) for row in connection.execute(query)]


def _to_live(row: Sequence[Any]) -> LiveBackup:
    (
        backup_id, name, database, kind, state, finished_at, pinned, proven_at, passed, adopted, trust, partial, active,
        size, stored, deletion_failed_at, locked_until,
        unnamed,
    ) = row  # fmt: skip
    candidate = Candidate(
        id=backup_id, finished_at=finished_at, state=state, type=kind, pinned=pinned, proven_at=proven_at,
        verification_passed=passed, database=database, partial=bool(partial), adopted=adopted,
        untrusted=trust == "untrusted", stored=bool(stored), active=bool(active), bytes=int(size or 0),
        locked_until=locked_until, unnamed_storage=bool(unnamed),
    )  # fmt: skip
    return LiveBackup(name, candidate, deletion_failed_at)
