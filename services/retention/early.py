"""What deleting from cold storage costs: its classes bill a time at least, also for what is deleted earlier."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from services.catalog.schema import copies
from services.installation import Installation
from services.storage.classes import CLASSES

_PART = 500
_BILLED = {name: known.minimum_days for name, known in CLASSES.items() if known.minimum_days}


def early_deletion_note(installation: Installation, backup_ids: Collection[str]) -> str:
    """Say how many copies of these backups lie in a class that bills at least so many days; ``""`` when none does.

    When a copy was moved there the catalogue does not know, so nothing is said of the sum.
    """
    ids, found = list(backup_ids), dict.fromkeys(_BILLED, 0)
    with installation.catalog.engine.connect() as connection:
        for start in range(0, len(ids), _PART):
            query = (
                sa.select(copies.c.storage_class, sa.func.count())
                .where(copies.c.backup_id.in_(ids[start : start + _PART]), copies.c.state == "stored")
                .where(copies.c.storage_class.in_(_BILLED))
                .group_by(copies.c.storage_class)
            )
            for name, count in connection.execute(query):
                found[name] += count
    parts = [
        f"{count:,} {'copy' if count == 1 else 'copies'} in {CLASSES[name].title} ({_BILLED[name]} days)"
        for name, count in found.items()
        if count
    ]
    if not parts:
        return ""
    return f"Billed for a time at least, though deleted earlier: {', '.join(parts)}, counted from when each was moved."
