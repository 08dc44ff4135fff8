"""Locking the copies of backups for their minimum keep time, where their storage has object lock.

A lock is set when the backup is real: its object and its manifest are there. What is half stored is never locked, so
that it can be removed. One that could not be set is set by the next run that stores something, or by the daily health
check; ``services.health.lock_checks`` says what is not locked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.backups.naming import manifest_key
from services.catalog.schema import backups, copies
from services.errors import BackupsError
from services.installation import Installation
from services.jobs.context import RunContext

LIMIT = 500


@dataclass(frozen=True)
class Unlocked:
    """A copy that is to be locked and is not."""

    backup_id: str
    name: str
    database: str
    storage: str
    key: str
    until: datetime


def find_unlocked(installation: Installation, *, limit: int = LIMIT) -> list[Unlocked]:
    """Return the stored copies that their storage is to lock and that the catalogue knows no lock of, oldest first."""
    settings, now = installation.settings, installation.clock()
    lengths = {
        (storage.name, database.name): length
        for storage in settings.storages
        for database in settings.databases
        if (length := settings.lock_length(storage, database.name)) is not None
    }
    if not lengths:
        return []
    since = now - max(lengths.values())
    query = (
        sa.select(
            backups.c.id, backups.c.name, backups.c.database, backups.c.finished_at, copies.c.storage, copies.c.key
        )
        .join_from(copies, backups, backups.c.id == copies.c.backup_id)
        .where(backups.c.state == "finished", backups.c.finished_at > since, backups.c.sample.is_(False))
        .where(copies.c.state == "stored", copies.c.locked_until.is_(None))
        .where(copies.c.storage.in_({storage for storage, _ in lengths}))
        .order_by(backups.c.finished_at)
        .limit(limit)
    )
    found = []
    with installation.catalog.engine.connect() as connection:
        for backup_id, name, database, finished_at, storage, key in connection.execute(query):
            until = finished_at + lengths.get((storage, database), timedelta(0))
            if until > now:
                found.append(Unlocked(backup_id, name, database, storage, key, until))
    return found


def lock_copies(installation: Installation, run: RunContext) -> int:
    """Lock what is to be locked; return how many copies were. What a storage refuses is logged, and fails nothing."""
    found = find_unlocked(installation)
    if not found:
        return 0
    from services.storage.s3 import S3Storage  # boto3, where it is needed
    from services.storage.s3_lock import lock_object

    locked, refused = 0, set[str]()
    for one in found:
        mode = installation.settings.storage(one.storage).object_lock
        if one.storage in refused or mode is None or mode == "none":
            continue
        try:
            storage = installation.storage(one.storage)
            assert isinstance(storage, S3Storage)  # the settings refuse object_lock for a folder
            lock_object(storage, manifest_key(one.database, one.name), mode, one.until)
            lock = lock_object(storage, one.key, mode, one.until)
        except BackupsError as error:
            refused.add(one.storage)
            run.log(f"{one.name} in {one.storage} could not be locked: {error}", "warning")
            continue
        with installation.catalog.engine.begin() as connection:
            connection.execute(
                copies.update()
                .where(copies.c.backup_id == one.backup_id, copies.c.storage == one.storage, copies.c.key == one.key)
                .values(lock_mode=lock.mode, locked_until=lock.until)
            )
        run.log(f"Locked in {one.storage} until {lock.until:%Y-%m-%d %H:%M} UTC ({lock.mode}).")
        locked += 1
    return locked
