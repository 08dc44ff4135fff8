"""Storing one file of ``pg_wal`` for PostgreSQL's ``archive_command``."""

from __future__ import annotations

from pathlib import Path

from services.errors import InputError
from services.pitr.archive import PushResult
from services.pitr.cluster import Cluster, identifier_of_data_folder, known_cluster, settle_cluster
from services.pitr.open import archive_of, check_recipients
from services.pitr.wal_header import HEADER_BYTES, read_header
from services.pitr.wal_names import is_partial, is_segment
from services.settings.model import DatabaseSettings, Settings
from services.storage.protocol import Storage


def push_file(
    settings: Settings,
    database: DatabaseSettings,
    storage: Storage,
    path: Path,
    *,
    system_identifier: str | None = None,
) -> PushResult:
    """Store a file of the log, and return once it is there for good.

    A segment says itself which cluster it is of; for the other files it is ``system_identifier``, else the data folder
    that ``path`` lies in says so, else the archive. Raise SettingsError, OtherCluster,
    OtherContent, InputError, StorageError.
    """
    check_recipients(settings, database)
    cluster = _cluster_of(path, storage, database, system_identifier)
    settled = settle_cluster(storage, database.name, cluster, expected=database.pitr.system_identifier)
    return archive_of(settings, database, storage, settled).push(path)


def _cluster_of(path: Path, storage: Storage, database: DatabaseSettings, given: str | None) -> Cluster:
    if is_segment(path.name) or is_partial(path.name):
        try:
            with path.open("rb") as file:
                header = read_header(file.read(HEADER_BYTES))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        return Cluster(header.system_identifier, header.segment_bytes)
    known = known_cluster(storage, database.name)
    identifier = given or identifier_of_data_folder(path.parent.parent) or database.pitr.system_identifier
    if identifier is None:
        if known is None:
            raise InputError(
                f"Nobody can tell which cluster {path.name} is of.", hint="Archive a segment first, or run it there."
            )
        return known
    return Cluster(identifier, known.segment_bytes) if known is not None else Cluster(identifier)
