"""The base backup: a server's whole data folder, streamed into storage like any backup.

Order of the writing as in ``services.backups.create``: the object first, its manifest last, the catalogue after.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from services.backups.create import record_backup, removed_on_failure, verify_new_backup
from services.backups.describe import Dump, describe_backup
from services.backups.manifest import to_document, write_manifest
from services.backups.naming import base_key
from services.backups.plan import Plan, plan_backup
from services.catalog.model import Backup
from services.errors import CorruptBackup
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.backup_manifest import BackupManifest
from services.pitr.base_model import FORMAT, BaseBackup
from services.pitr.base_scan import BaseScan
from services.pitr.parent import choose_parent, keep_manifest, manifest_file
from services.pitr.source import Source, ask_source, server_time
from services.pitr.wal_keys import file_prefix, parse_key
from services.pitr.wal_names import SegmentName, format_lsn
from services.postgres.base_backup import base_backup_stream
from services.postgres.clients import ClientPrograms, choose_client, find_clients
from services.postgres.connection import Address
from services.restores.spool import spool_folder
from services.storage.protocol import Storage, StoredObject
from services.stream.result import StreamResult
from services.stream.write import write_stream
from services.units import format_bytes, format_duration

WAL_SECONDS = 60.0
"""How long the log that makes a base backup consistent is waited for."""


@dataclass(frozen=True)
class _Taken:
    """What the server gave."""

    stream: StreamResult
    stored: StoredObject
    manifest: BackupManifest
    manifest_bytes: bytes
    system_identifier: str
    stopped_at: datetime


def create_base_backup(
    installation: Installation,
    database: str,
    run: RunContext,
    *,
    name: str | None = None,
    note: str = "",
    incremental: bool = False,
) -> Backup:
    """Take a base backup of the server of a database, and return it finished and verified.

    ``incremental``: of what has changed since the newest one, on which it then stands.

    Raise InputError for a server that cannot be streamed, ConnectionFailed, DumpFailed, ClientProgramMissing,
    StorageError, CorruptBackup when the verification fails. But for the last nothing is stored then.
    """
    plan = _plan(installation, database, run, name)
    address = Address.parse(plan.database.url.get_secret_value())
    run.phase("checking")
    source = ask_source(address)
    client = choose_client(find_clients(installation.settings.pg_bin_dirs), source.major, program="pg_basebackup")
    run.log(
        f"PostgreSQL {source.version}, {format_bytes(source.cluster_bytes)} in all its databases; "
        f"pg_basebackup {client.version}."
    )
    parent = choose_parent(installation, database, source) if incremental else None
    with run.leftover("object", storage=plan.storage.name, key=plan.key, manifest=plan.manifest_key):
        if parent is None:
            taken = _stream_into_storage(plan, address, source, client, run)
        else:
            run.log(f"Incremental: what has changed since {parent.backup.name}.")
            with spool_folder(installation.settings.home, run) as folder:
                since = manifest_file(installation, parent, folder, run)
                taken = _stream_into_storage(plan, address, source, client, run, since)
        with removed_on_failure(plan.storage, (plan.manifest_key, plan.key), run):
            run.phase("writing the manifest")
            backup = _describe(installation, plan, source, client, taken, run, note=note, parent=parent)
            with run.guarded():
                pass  # a run that was taken over must not make its backup real
            write_manifest(installation.settings, plan.storage, to_document(backup, None, reason=run.reason))
        record_backup(installation, backup, plan.storage, (plan.manifest_key, plan.key), run)
    keep_manifest(installation.settings.home, backup.id, taken.manifest_bytes)
    base = BaseBackup.of(backup)
    run.log(
        f"Stored {format_bytes(backup.stored_bytes)} ({format_bytes(backup.plain_bytes)} before compression) in "
        f"{format_duration(backup.duration)}: {backup.copies[0].location}. It needs the WAL of timeline "
        f"{base.timeline} from {format_lsn(base.start_lsn)} to {format_lsn(base.stop_lsn)}, and whatever follows."
    )
    if plan.database.pitr.enabled:
        _look_for_wal(installation, plan, base, run)
    return verify_new_backup(installation, backup, run)


def _look_for_wal(installation: Installation, plan: Plan, base: BaseBackup, run: RunContext) -> None:
    """Wait a while until the segments that make it consistent are in the archive; say so when they do not come.

    A server that archives by itself has waited for them; a receiver gets them within moments. An idle server that
    never archives its last segment is how base backups come to be that nobody can restore.
    """
    run.phase("waiting for its log")
    storage = installation.storage(installation.settings.pitr_storage_of(plan.database).name)
    deadline = time.monotonic() + WAL_SECONDS
    wanted = [
        SegmentName(base.timeline, number).name(base.segment_bytes)
        for number in range(base.first_segment, base.last_segment + 1)
    ]
    while missing := [name for name in wanted if not _is_stored(storage, plan.database.name, base, name)]:
        if time.monotonic() > deadline:
            run.log(
                f"The segment {missing[0]} is not in the archive: until it is, nothing can be restored from this base "
                f"backup. See `backups pitr status {plan.database.name}`.",
                "warning",
            )
            return
        run.check_cancelled()
        time.sleep(1)
    run.log(f"The log that makes it consistent is in the archive, up to {wanted[-1]}.")


def _is_stored(storage: Storage, database: str, base: BaseBackup, name: str) -> bool:
    names = (name, f"{name}.partial")
    return any(
        parse_key(entry.key) is not None
        for each in names
        for entry in storage.list(file_prefix(database, base.system_identifier, each))
    )


def _plan(installation: Installation, database: str, run: RunContext, name: str | None) -> Plan:
    plan = plan_backup(
        installation,
        database,
        attempt=run.attempt,
        name=name,
        default=f"{database}_base_{installation.clock():%Y%m%d_%H%M%S}",
    )
    return replace(plan, key=base_key(database, plan.name, encrypted=bool(plan.recipients)))


def _stream_into_storage(
    plan: Plan,
    address: Address,
    source: Source,
    client: ClientPrograms,
    run: RunContext,
    since: Path | None = None,
) -> _Taken:
    run.phase("copying the data folder", total_bytes=source.cluster_bytes)
    writer = plan.storage.writer(plan.key, expected_bytes=source.cluster_bytes)
    scan = BaseScan()
    try:
        with base_backup_stream(client, address, label=plan.name, run=run, incremental=since) as dump:
            stream = write_stream(
                dump.stdout, writer, level=plan.level, recipients=plan.recipients, run=run, observe=scan.feed
            )
            dump.finish()
        manifest, identifier = scan.finish()
        stopped_at = server_time(address)
        run.phase("storing")
        stored = writer.commit()
    except BaseException:
        writer.abort()
        raise
    return _Taken(stream, stored, manifest, scan.manifest_bytes, identifier, stopped_at)


def _describe(
    installation: Installation,
    plan: Plan,
    source: Source,
    client: ClientPrograms,
    taken: _Taken,
    run: RunContext,
    *,
    note: str,
    parent: BaseBackup | None,
) -> Backup:
    if not taken.manifest.wal:
        raise CorruptBackup("The backup manifest names no WAL.", hint="Take another base backup.")
    newest = taken.manifest.wal[0]
    dump = Dump(taken.stopped_at, source.version, client.version, source.cluster_bytes)
    backup = describe_backup(
        installation, plan, dump, taken.stream, taken.stored, run, type="base", note=note, format=FORMAT
    )
    base = BaseBackup(
        backup=backup,
        system_identifier=taken.system_identifier,
        timeline=newest.timeline,
        start_lsn=min(part.start_lsn for part in taken.manifest.wal),
        stop_lsn=newest.end_lsn,
        segment_bytes=source.segment_bytes,
        server_major=source.major,
        started_at=source.at,
        stopped_at=taken.stopped_at,
        superuser=source.superuser,
        manifest_sha256=taken.manifest.sha256,
        parent_id=None if parent is None else parent.backup.id,
    )
    return replace(backup, physical=base.to_json())
