"""Taking in a dump that somebody else made: a file of ``pg_dump -Fc``, compressed or encrypted with age, or plain.

What it held at its instant is known from the file alone, so an adopted backup has no fingerprint: it can be verified
and restored, but never proven.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from services.backups.create import record_backup, removed_on_failure, verify_new_backup
from services.backups.manifest import to_document, write_manifest
from services.backups.naming import check_name, manifest_key, object_key
from services.backups.signing import own_trust
from services.catalog.model import Backup, Copy
from services.errors import AlreadyExists, InputError, NotADump, StorageFull
from services.ids import new_id
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.clients import ClientPrograms, find_clients
from services.postgres.connection import Address
from services.postgres.restore import ArchiveHeader, archive_contents, archive_reader
from services.restores.spool import MARGIN, private_file, spool_folder
from services.storage.protocol import Storage, StoredObject
from services.stream.read import read_stream
from services.stream.result import StreamResult
from services.stream.write import write_stream
from services.units import format_bytes

_PIECE = 1 << 20
_KINDS = (
    (b"PGDMP", "a dump"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1f\x8b", "gzip"),
    (b"age-encryption.org/v1\n", "age"),
)
_NOT_DUMPS = (
    (b"Salted__", "a file of `openssl enc`", "Decrypt it first: `backups decrypt FILE`."),
    (b"--\n-- PostgreSQL", "a plain SQL script", "Restore it with psql; dump again with pg_dump --format=custom."),
    (b"PK\x03\x04", "a zip archive", "Unpack it first."),
    (b"BZh", "compressed with bzip2", "Unpack it first: bunzip2 FILE."),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it first: unxz FILE."),
)


def adopt_file(
    installation: Installation, path: Path, database: str, run: RunContext, *, name: str, note: str = ""
) -> Backup:
    """Check a dump file to its end, store it as a backup of ``database``, and return that, verified.

    It is compressed with zstd and encrypted as the database's settings say. Raise NotADump, saying what the file is
    instead; KeyMismatch for one encrypted to another key; AlreadyExists, StorageError. Then nothing is stored.
    """
    settings = installation.settings
    policy = settings.database(database)
    storage = installation.storage(settings.storages_of(policy)[0].name)
    recipients = settings.recipients if policy.encrypt else ()
    if policy.encrypt and not recipients:
        raise InputError("The backup is to be encrypted, and no recipient is set.", hint="Run `backups keygen`.")
    key = object_key(database, check_name(name), compression="zstd", encrypted=bool(recipients))
    taken = {entry.key for entry in storage.list(f"{database}/{name}.")}
    if taken & {key, manifest_key(database, name)}:
        raise AlreadyExists(f"{storage.location(key)} is there already.", hint="Choose another name.")
    started_at = installation.clock()
    client = max(find_clients(settings.pg_bin_dirs), key=lambda found: found.major)
    with spool_folder(settings.home, run) as folder:
        run.phase("reading the file", total_bytes=path.stat().st_size)
        plain = _unpack(installation, path, folder, run)
        header = archive_contents(client, plain)
        _read_to_its_end(client, plain, run)
        run.log(f"A dump of {header.dbname} from PostgreSQL {header.source_version}, {len(header.entries)} entries.")
        if header.dbname != Address.parse(policy.url.get_secret_value()).dbname:
            run.log(f"It was dumped from a database called {header.dbname}, not from that of {database}.", "warning")
        keys = (manifest_key(database, name), key)
        with run.leftover("object", storage=storage.name, key=key, manifest=manifest_key(database, name)):
            run.phase("storing", total_bytes=plain.stat().st_size)
            stored, stream = _store(storage, key, plain, policy.compression_level, recipients, run)
            with removed_on_failure(storage, keys, run):
                backup = _describe(
                    installation, database, name, note, path, started_at, header, storage, stored, stream, run
                )
                with run.guarded():
                    pass  # a run that was taken over must not make its backup real
                write_manifest(settings, storage, to_document(backup, None, reason=run.reason))
            record_backup(installation, backup, storage, keys, run)
    return verify_new_backup(installation, backup, run)


def kind_of(path: Path) -> str:
    """Say what a file is: ``a dump``, ``zstd``, ``gzip`` or ``age``. Raise NotADump with what it is instead."""
    with path.open("rb") as file:
        head = file.read(64)
    for magic, kind in _KINDS:
        if head.startswith(magic):
            return kind
    for magic, what, hint in _NOT_DUMPS:
        if head.startswith(magic):
            raise NotADump(f"{path.name} is {what}, not a dump of pg_dump --format=custom.", hint=hint)
    what = "empty" if not head else f"something else (it begins with {head[:8].decode('latin-1')!a})"
    raise NotADump(f"{path.name} is {what}, not a dump.", hint="Give a file of pg_dump --format=custom.")


def _unpack(installation: Installation, path: Path, folder: Path, run: RunContext) -> Path:
    """Return a plain archive: the file itself, or what comes out after decryption and decompression."""
    current, layer = path, 0
    key = installation.settings.encryption_key
    while (kind := kind_of(current)) != "a dump":
        layer += 1
        if layer > 3:
            raise NotADump(f"{path.name} is packed more than three times.", hint="Unpack it first.")
        if shutil.disk_usage(folder).free < current.stat().st_size + MARGIN:
            raise StorageFull(
                f"Unpacking {path.name} needs more than {format_bytes(current.stat().st_size)} in {folder}.",
                hint="Make room, or set BACKUPS_HOME to a larger disk.",
            )
        target = folder / f"layer-{layer}"
        with private_file(target) as write, current.open("rb") as reader:
            read_stream(
                reader,
                write,
                compression="none" if kind == "age" else kind,
                encryption="age" if kind == "age" else "none",
                identities=[key.get_secret_value()] if key else [],
                run=run,
            )
        if current != path:
            current.unlink()
        current = target
    return current


def _read_to_its_end(client: ClientPrograms, plain: Path, run: RunContext) -> None:
    with archive_reader(client, run=run) as sink, plain.open("rb") as file:
        while piece := file.read(_PIECE):
            sink.write(piece)
        sink.finish()


def _store(
    storage: Storage, key: str, plain: Path, level: int, recipients: tuple[str, ...], run: RunContext
) -> tuple[StoredObject, StreamResult]:
    writer = storage.writer(key, expected_bytes=plain.stat().st_size)
    try:
        with plain.open("rb") as source:
            stream = write_stream(source, writer, level=level, recipients=recipients, run=run)
        return writer.commit(), stream
    except BaseException:
        writer.abort()
        raise


def _describe(
    installation: Installation,
    database: str,
    name: str,
    note: str,
    path: Path,
    started_at: datetime,
    header: ArchiveHeader,
    storage: Storage,
    stored: StoredObject,
    stream: StreamResult,
    run: RunContext,
) -> Backup:
    now = installation.clock()
    key, policy = stored.key, installation.settings.database(database)
    recipients = installation.settings.recipients if policy.encrypt else ()
    return Backup(
        id=new_id(started_at),
        run_id=run.run_id,
        name=name,
        database=database,
        type="on-demand",
        state="finished",
        started_at=started_at,
        finished_at=now,
        snapshot_at=min(header.created_at, datetime.fromtimestamp(path.stat().st_mtime, UTC)),
        database_bytes=stream.plain_bytes,
        plain_bytes=stream.plain_bytes,
        stored_bytes=stream.stored_bytes,
        sha256=stream.stored_sha256,
        plain_sha256=stream.plain_sha256,
        format="custom",
        compression="zstd",
        compression_level=policy.compression_level,
        encryption="age" if recipients else "none",
        recipients=recipients,
        server_version=header.source_version,
        client_version=header.dumped_by,
        excluded=(),
        pinned=False,
        adopted=True,
        note=note or f"Adopted from {path.name}.",
        actor=run.actor,
        trust=own_trust(installation.settings),
        copies=(
            Copy(
                storage.name, key, storage.location(key), stored.storage_class, "stored", stored.bytes, stored.etag, now
            ),
        ),
    )
