"""What the catalogue knows of slots: one query for all databases, whatever the time that is looked back upon."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from services.catalog.schema import backups
from services.schedules.outcomes import StoredBackup


def stored_backups(engine: sa.Engine, since: Mapping[str, datetime]) -> dict[str, list[StoredBackup]]:
    """Return each database's backups that were finished at ``since[database]`` or later, expired ones included."""
    found: defaultdict[str, list[StoredBackup]] = defaultdict(list)
    if not since:
        return found
    b = backups.c
    wanted = sa.or_(*(sa.and_(b.database == name, b.finished_at >= first) for name, first in since.items()))
    query = sa.select(b.database, b.id, b.started_at, b.snapshot_at, b.finished_at, _fault()).where(wanted)
    with engine.connect() as connection:
        for database, *values in connection.execute(query):
            found[database].append(StoredBackup(*values))
    return found


def _fault() -> sa.ColumnElement[str]:
    """Why a backup is not good, as ``services.schedules.outcomes.Fault`` names it; whether it expired is no fault."""
    b = backups.c
    return sa.case(
        (b.trust == "untrusted", "untrusted"),
        (b.verification_passed.is_(False), "failed"),
        (b.adopted.is_(True), "adopted"),
        (sa.cast(b.excluded, sa.Text) != json.dumps([]), "partial"),
        else_="",
    )


def fault_of_backup() -> sa.ColumnElement[str]:
    """Return ``Fault`` as a column over ``backups``, for other queries that tell good backups of the past."""
    return _fault()
