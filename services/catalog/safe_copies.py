"""In which storages a backup is safe, of which a copy is damaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import sqlalchemy as sa

from services.catalog.schema import copies
from services.catalog.verifications import VerificationStore


def safe_in(engine: sa.Engine, backup_ids: Collection[str], storages: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return of each backup the storages that hold a copy which was read to its end and has not failed since.

    ``storages``: those of the settings. Two queries, or none for no backups.
    """
    if not backup_ids:
        return {}
    query = sa.select(copies.c.backup_id, copies.c.storage)
    query = query.where(copies.c.backup_id.in_(backup_ids), copies.c.state == "stored")
    stored: dict[str, list[str]] = defaultdict(list)
    with engine.connect() as connection:
        for row in connection.execute(query):
            stored[row.backup_id].append(row.storage)
    verdicts = VerificationStore(engine).verdicts(backup_ids)
    return {key: verdict.safe_in(stored[key], storages) for key, verdict in verdicts.items()}
