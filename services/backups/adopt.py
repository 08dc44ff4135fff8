"""Taking in a dump that somebody else made: a file of ``pg_dump -Fc``, compressed or encrypted with age, or plain.

What it held at its instant is known from the file alone, so an adopted backup has no fingerprint: it can be verified
and restored, but never proven.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from services.backups.create import record_backup, removed_on_failure, verify_new_backup
from services.backups.describe import Dump, describe_backup
from services.backups.manifest import to_document, write_manifest
from services.backups.plan import Plan, plan_backup
from services.catalog.model import Backup
from services.errors import NotADump, StorageFull
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.clients import ClientPrograms, find_clients
from services.postgres.connection import Address
from services.postgres.restore import archive_contents, archive_reader
from services.restores.spool import MARGIN, private_file, spool_folder
from services.storage.protocol import StoredObject
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
    (
        b"toc.dat\0",
        "a tar of pg_dump's directory format",
        "Put a parallel backup of this product and its manifest into the storage and run `backups rebuild`.",
    ),
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
    plan = plan_backup(installation, database, attempt=run.attempt, name=name)
    client = max(find_clients(settings.pg_bin_dirs), key=lambda found: found.major)
    with spool_folder(settings.home, run) as folder:
        run.phase("reading the file", total_bytes=path.stat().st_size)
        plain = _unpack(installation, path, folder, run)
        header = archive_contents(client, plain)
        _read_to_its_end(client, plain, run)
        run.log(f"A dump of {header.dbname} from PostgreSQL {header.source_version}, {len(header.entries)} entries.")
        if header.dbname != Address.parse(plan.database.url.get_secret_value()).dbname:
            run.log(f"It was dumped from a database called {header.dbname}, not from that of {database}.", "warning")
        keys = (plan.manifest_key, plan.key)
        with run.leftover("object", storage=plan.storage.name, key=plan.key, manifest=plan.manifest_key):
            run.phase("storing", total_bytes=plain.stat().st_size)
            stored, stream = _store(plan, plain, run)
            with removed_on_failure(plan.storage, keys, run):
                dumped_at = min(header.created_at, datetime.fromtimestamp(path.stat().st_mtime, UTC))
                backup = describe_backup(
                    installation,
                    plan,
                    Dump(dumped_at, header.source_version, header.dumped_by, stream.plain_bytes),
                    stream,
                    stored,
                    run,
                    adopted=True,
                    note=note or f"Adopted from {path.name}.",
                )
                with run.guarded():
                    pass  # a run that was taken over must not make its backup real
                write_manifest(settings, plan.storage, to_document(backup, None, reason=run.reason))
            record_backup(installation, backup, plan.storage, keys, run)
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
                identities=installation.settings.secret_keys(),
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


def _store(plan: Plan, plain: Path, run: RunContext) -> tuple[StoredObject, StreamResult]:
    writer = plan.storage.writer(plan.key, expected_bytes=plain.stat().st_size)
    try:
        with plain.open("rb") as source:
            stream = write_stream(source, writer, level=plan.level, recipients=plan.recipients, run=run)
        return writer.commit(), stream
    except BaseException:
        writer.abort()
        raise
