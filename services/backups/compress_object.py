"""The new object of a backup that is compressed anew: written beside the old one, and copied to the other storages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from services.backups.compress_plan import new_recipients
from services.backups.room import refuse_without_room
from services.catalog.model import Backup, Copy
from services.errors import CorruptBackup
from services.installation import Installation
from services.jobs.context import RunContext
from services.restores.fetch import compare_with_record, identities_for
from services.storage.protocol import ObjectWriter, Storage, StoredObject
from services.stream.copy import copy_stream
from services.stream.recompress import recompress_stream


def write_new_object(installation: Installation, backup: Backup, old: Copy, key: str, run: RunContext) -> Backup:
    """Write the new object beside an old one; return the backup as it will be, with that copy alone.

    Raise CorruptBackup when what was read is not what was recorded, or what was written is not what was read;
    StorageFull (both lie there for a while), KeyMismatch, StorageError, Cancelled: then nothing is left of it.
    """
    refuse_without_room(installation, old.storage, backup.stored_bytes)
    recipients = new_recipients(installation, backup)
    level = installation.settings.database(backup.database).compression_level
    storage = installation.storage(old.storage)
    run.phase("compressing", total_bytes=backup.plain_bytes)
    with closing(storage.reader(old.key)) as reader, new_object(storage, key, backup.stored_bytes) as writer:
        read, written = recompress_stream(
            reader,
            writer,
            compression=backup.compression,
            encryption=backup.encryption,
            identities=identities_for(installation.settings, backup),
            level=level,
            recipients=recipients,
            run=run,
        )
        compare_with_record(backup, read)
        if written.plain_sha256 != backup.plain_sha256:
            raise CorruptBackup(
                f"What was written of {backup.name} is not the dump that was read.",
                hint="The memory of this machine may be failing. The backup is as it was.",
            )
        run.phase("storing")
        stored = writer.commit()
    return replace(
        backup,
        stored_bytes=written.stored_bytes,
        sha256=written.stored_sha256,
        compression="zstd",
        compression_level=level,
        encryption="age" if recipients else "none",
        recipients=recipients,
        copies=(copy_of(installation, old.storage, stored),),
    )


def store_new_copy(installation: Installation, new: Backup, source: Copy, storage_name: str, run: RunContext) -> Copy:
    """Store the new object in another storage, too. Raise CorruptBackup, StorageError, Cancelled."""
    storage = installation.storage(storage_name)
    refuse_without_room(installation, storage_name, new.stored_bytes)
    run.phase("copying", total_bytes=new.stored_bytes)
    reader = installation.storage(source.storage).reader(source.key)
    with closing(reader), new_object(storage, source.key, new.stored_bytes) as writer:
        sent = copy_stream(reader, writer, run=run)
        if (sent.bytes, sent.sha256) != (new.stored_bytes, new.sha256):
            raise CorruptBackup(
                f"{source.location} was read with other bytes than were just written.",
                hint="Do not trust this storage. The backup is as it was.",
            )
        return copy_of(installation, storage_name, writer.commit())


def copy_of(installation: Installation, storage: str, stored: StoredObject) -> Copy:
    """Return the row of a copy that was just stored."""
    return Copy(
        storage=storage,
        key=stored.key,
        location=installation.storage(storage).location(stored.key),
        storage_class=stored.storage_class,
        state="stored",
        bytes=stored.bytes,
        etag=stored.etag,
        checked_at=None,
    )


@contextmanager
def new_object(storage: Storage, key: str, expected: int) -> Iterator[ObjectWriter]:
    """Begin an object, and abort it unless the block commits it. What lies under its key is a dead attempt's."""
    there = any(entry.key == key for entry in storage.list(key))
    writer = storage.writer(key, expected_bytes=expected, replace=there)
    try:
        yield writer
    except BaseException:
        writer.abort()
        raise
