"""Locking the copies of backups for their minimum keep time, where their storage has object lock.

A lock is set when the backup is real: its object and its manifest are there. What is half stored is never locked, so
that it can be removed. One that could not be set is set by the next run that stores something, or by the daily health
check; ``services.health.lock_checks`` says what is not locked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.backups.naming import manifest_key
from services.catalog.schema import backups, copies
from services.errors import AccessDenied, BackupsError, NoSuchBucket, StorageUnavailable
from services.installation import Installation
from services.jobs.context import RunContext

LIMIT = 500
TOLD = 5
"""So many copies of one storage that could not be locked a run's log names; of the others it says how many."""


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
    """Return the stored copies that their storage is to lock and that the catalogue knows no lock of, newest first.

    So what cannot be locked, and what there is too much of, never keeps a newer backup from being locked.
    """
    settings, now = installation.settings, installation.clock()
    wanted: dict[tuple[str, timedelta], list[str]] = defaultdict(list)
    for storage in settings.storages:
        for database in settings.databases:
            length = settings.lock_length(storage, database.name)
            if length is not None:
                wanted[storage.name, length].append(database.name)
    if not wanted:
        return []
    # Asked of the catalogue: what is filtered out here would use up the limit.
    due = [
        sa.and_(copies.c.storage == place, backups.c.database.in_(names), backups.c.finished_at > now - length)
        for (place, length), names in wanted.items()
    ]
    query = (
        sa.select(
            backups.c.id, backups.c.name, backups.c.database, backups.c.finished_at, copies.c.storage, copies.c.key
        )
        .join_from(copies, backups, backups.c.id == copies.c.backup_id)
        .where(backups.c.state == "finished", sa.or_(*due), backups.c.sample.is_(False))
        .where(copies.c.state == "stored", copies.c.locked_until.is_(None))
        .order_by(backups.c.finished_at.desc(), backups.c.id, copies.c.storage)
        .limit(limit)
    )
    lengths = {(place, name): length for (place, length), names in wanted.items() for name in names}
    with installation.catalog.engine.connect() as connection:
        return [
            Unlocked(row.id, row.name, row.database, row.storage, row.key,
                     row.finished_at + lengths[row.storage, row.database])
            for row in connection.execute(query)
        ]  # fmt: skip


def lock_copies(installation: Installation, run: RunContext) -> int:
    """Lock what is to be locked; return how many copies were. What a storage refuses is logged, and fails nothing.

    After a copy that cannot be locked the next one's turn comes; a storage is given up for this time only when it is
    away, refuses the credential, or locks nothing at all.
    """
    found = find_unlocked(installation)
    if not found:
        return 0
    from services.storage.s3 import S3Storage  # boto3, where it is needed
    from services.storage.s3_lock import lock_object

    locked, given_up, failures = 0, set[str](), Counter[str]()
    for one in found:
        mode = installation.settings.storage(one.storage).object_lock
        if one.storage in given_up or mode is None or mode == "none":
            continue
        try:
            storage = installation.storage(one.storage)
            assert isinstance(storage, S3Storage)  # the settings refuse object_lock for a folder
            lock_object(storage, manifest_key(one.database, one.name), mode, one.until)
            lock = lock_object(storage, one.key, mode, one.until)
        except BackupsError as error:
            failures[one.storage] += 1
            if failures[one.storage] <= TOLD:
                run.log(f"{one.name} in {one.storage} could not be locked: {error}", "warning")
            if _is_of_storage(error) or (failures[one.storage] == 1 and not _locks(installation, one.storage)):
                given_up.add(one.storage)
            continue
        with installation.catalog.engine.begin() as connection:
            connection.execute(
                copies.update()
                .where(copies.c.backup_id == one.backup_id, copies.c.storage == one.storage, copies.c.key == one.key)
                .values(lock_mode=lock.mode, locked_until=lock.until)
            )
        run.log(f"Locked in {one.storage} until {lock.until:%Y-%m-%d %H:%M} UTC ({lock.mode}).")
        locked += 1
    for place, count in failures.items():
        if count > TOLD:
            run.log(f"{count - TOLD:,} more in {place} could not be locked.", "warning")
    return locked


def _is_of_storage(error: BackupsError) -> bool:
    """Say whether the next copy in the same storage would fare no better."""
    return isinstance(error, StorageUnavailable | AccessDenied | NoSuchBucket)


def _locks(installation: Installation, name: str) -> bool:
    """Say whether a storage has object lock at all; True where nobody can tell."""
    from services.storage.s3 import S3Storage
    from services.storage.s3_lock import has_object_lock

    try:
        storage = installation.storage(name)
        return isinstance(storage, S3Storage) and has_object_lock(storage)
    except BackupsError:
        return True
