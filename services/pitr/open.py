"""From settings to the archive of a database's write-ahead log."""

from __future__ import annotations

import shlex

from services.errors import InputError, SettingsError, StorageUnavailable, UnknownName
from services.pitr.archive import WalArchive
from services.pitr.cluster import Cluster, known_cluster
from services.settings.model import DatabaseSettings, Settings
from services.storage.local import LocalStorage
from services.storage.open import open_storage
from services.storage.protocol import Storage


def pitr_database(settings: Settings, name: str | None) -> DatabaseSettings:
    """Return the database of that name, or the only one with point in time switched on. Raise InputError."""
    if name is not None:
        return settings.database(name)
    found = [database for database in settings.databases if database.pitr.enabled] or list(settings.databases)
    if len(found) == 1:
        return found[0]
    raise InputError("Which database?", hint=f"Name one of {', '.join(one.name for one in found)} with --database.")


def open_mounted(settings: Settings, database: DatabaseSettings) -> Storage:
    """Return the storage of a database's log, for whoever has no catalogue to ask what it is to hold.

    Raise StorageUnavailable for a folder that is gone or empty: a disk that is not mounted looks like an archive
    before its first file, which would take the log that is missing on the disk, and end a recovery early.
    """
    storage = open_storage(settings.pitr_storage_of(database))
    if isinstance(storage, LocalStorage) and not storage.is_mounted:
        folder = shlex.quote(str(storage.root))
        raise StorageUnavailable(
            f"The folder of storage {storage.name} is {'empty' if storage.root.is_dir() else 'not there'}: "
            f"{storage.url}. Nothing was stored, and nothing is known to be missing.",
            hint=f"Is its disk mounted? If it is new, say so with: mkdir -p {folder} && touch {folder}/.mounted",
        )
    return storage


def check_recipients(settings: Settings, database: DatabaseSettings) -> None:
    """Raise SettingsError where a log would be stored in the clear because a setting was forgotten."""
    if database.encrypt and not settings.recipients:
        raise SettingsError(
            f"The log of {database.name} is to be encrypted, and there is no public key (BACKUP_RECIPIENTS).",
            hint="Give the server's user the same settings as the worker; the secret key is not needed there.",
        )


def archive_of(settings: Settings, database: DatabaseSettings, storage: Storage, cluster: Cluster) -> WalArchive:
    """Return the archive of a cluster's log, which writes as the database's backups are written."""
    return WalArchive(
        storage,
        database.name,
        cluster.system_identifier,
        settings.recipients if database.encrypt else (),
        settings.secret_keys(),
        segment_bytes=cluster.segment_bytes,
        level=min(database.compression_level, 9),
    )


def find_archive(settings: Settings, database: DatabaseSettings, storage: Storage) -> WalArchive | None:
    """Return the archive of a database's log, or None when nothing was archived yet. Raise StorageError."""
    known = known_cluster(storage, database.name)
    expected = database.pitr.system_identifier
    if expected is not None and (known is None or known.system_identifier != expected):
        known = Cluster(expected, known.segment_bytes if known is not None else Cluster(expected).segment_bytes)
    return None if known is None else archive_of(settings, database, storage, known)


def existing_archive(settings: Settings, database: DatabaseSettings, storage: Storage) -> WalArchive:
    """Return the archive of a database's log. Raise UnknownName when nothing was archived yet, StorageError."""
    archive = find_archive(settings, database, storage)
    if archive is None:
        raise UnknownName(
            f"Nothing of the write-ahead log of {database.name} is in {storage.name}.",
            hint=f"Set it up: `backups pitr setup {database.name}`.",
        )
    return archive
