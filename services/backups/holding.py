"""Holding a backup while its objects are stored, replaced or moved, so that nobody else does so, nor deletes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.catalog.backups import take_row
from services.catalog.model import Backup
from services.installation import Installation


@contextmanager
def hold_backup(installation: Installation, backup_id: str, run_id: str) -> Iterator[Backup]:
    """Give the block the backup as it is once it is held; no deletion begins until the block ends.

    A deletion that is just being begun is waited for: whether it was is then seen in the backup's state. Raise Busy
    when another run holds the backup, UnknownName when there is none.
    """
    catalog = installation.catalog
    with catalog.runs.hold(f"backup/{backup_id}", run_id, now=installation.clock()):
        with catalog.engine.begin() as connection:
            take_row(backup_id, connection)
        yield catalog.backups.get(backup_id)
