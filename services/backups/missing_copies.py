"""Copies that are wanting are made, the newest backups first, without anybody asking.

The settings say in which storages each backup is to be. A copy that failed is tried again with longer and longer pauses
(``copy_failures``); a storage that was added later is filled this way, too.
"""

from __future__ import annotations

from services.catalog.copies import MissingCopy, missing_copies
from services.commands.copies import copy_key, submit_copy
from services.errors import BackupsError
from services.installation import Installation

ACTOR = "worker"
_LOOKED_AT = 50


def wanted_copies(installation: Installation) -> dict[str, tuple[str, ...]]:
    """Return by database the storages in which each of its backups is to have a copy, the primary one first."""
    settings = installation.settings
    return {d.name: tuple(storage.name for storage in settings.storages_of(d)) for d in settings.databases}


def find_missing(installation: Installation, *, limit: int = 100) -> tuple[list[MissingCopy], dict[str, int]]:
    """Return the copies that are wanting, and how many there are in each storage.

    The newest backups come first, at most ``limit`` of each storage. One query.
    """
    wanted, now = wanted_copies(installation), installation.clock()
    return missing_copies(installation.catalog.engine, wanted, now=now, limit=limit)


def queue_missing(installation: Installation) -> list[str]:
    """Queue runs for copies that are wanting and due; return the runs' ids.

    One at a time for each database, and in all fewer than the worker takes at a time, so that there is room for
    backups. What somebody cancelled waits for the longest pause; see ``copy_failures``.
    """
    wanted = wanted_copies(installation)
    if not any(len(storages) > 1 for storages in wanted.values()):
        return []
    active = [run for run in installation.catalog.runs.active() if run.kind == "copy"]
    busy = {run.database for run in active}
    room = max(1, installation.settings.workers - 1) - len(active)
    if room <= 0:
        return []
    now = installation.clock()
    found, _ = missing_copies(installation.catalog.engine, wanted, now=now, due_only=True, limit=_LOOKED_AT)
    queued: list[str] = []
    for missing in found:
        if len(queued) == room:
            break
        if missing.database in busy or missing.database not in wanted or _is_hopeless(installation, missing):
            continue
        key = copy_key(installation, missing.backup_id, missing.storage, missing.attempts)
        queued.append(submit_copy(installation, missing.backup_id, missing.storage, actor=ACTOR, idempotency_key=key))
        busy.add(missing.database)
    return queued


def _is_hopeless(installation: Installation, missing: MissingCopy) -> bool:
    """Say whether every copy is as bad: the stored bytes are as recorded, and do not give the data back."""
    catalog = installation.catalog
    with catalog.engine.connect() as connection:
        return catalog.verifications.verdict(missing.backup_id, connection).of_backup


def copies_after_backup(installation: Installation, backup_id: str) -> list[str]:
    """Return the storages into which a backup that was just made is still to be copied, in the settings' order."""
    backup = installation.catalog.backups.get(backup_id)
    there = {copy.storage for copy in backup.copies if copy.state in ("stored", "deleted")}
    wanted = wanted_copies(installation).get(backup.database, ())
    return [storage for storage in wanted if storage not in there]


def queue_copies(installation: Installation, backup_id: str, *, actor: str) -> list[str]:
    """Queue a run for each further copy of a backup that was just made; return the runs' ids.

    Never raises what a copy may meet with: the backup stands, and ``queue_missing`` takes it up again.
    """
    queued = []
    for storage in copies_after_backup(installation, backup_id):
        try:
            key = copy_key(installation, backup_id, storage, 0)
            queued.append(submit_copy(installation, backup_id, storage, actor=actor, idempotency_key=key))
        except BackupsError:
            continue
    return queued
