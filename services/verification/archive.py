"""Level ``archive``: stored bytes are decrypted, decompressed and read by pg_restore to the archive's very end."""

from __future__ import annotations

import time

from services.backups.manifest import Manifest
from services.catalog.model import Backup, Copy
from services.errors import InputError, RestoreFailed
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.base_check import check_base
from services.pitr.base_model import FORMAT
from services.postgres.clients import choose_client, find_clients
from services.postgres.restore import archive_reader
from services.restores.fetch import dumped_by, fetch_plain
from services.units import format_bytes
from services.verification.checksum import check_checksum
from services.verification.directory import check_directory
from services.verification.finding import Finding, throughput


def check_archive(
    installation: Installation, backup: Backup, copy: Copy, run: RunContext, *, manifest: Manifest | None = None
) -> Finding:
    """Read the archive to its end. ``manifest``: None is the one beside the copy; an object that is to replace another
    has none yet.

    Raise CorruptBackup, ObjectMissing; KeyMismatch without the right key, ClientProgramMissing without a pg_restore
    that reads this archive, InputError for a format that is no archive, StorageError, Cancelled.
    """
    if backup.format == "directory":
        return check_directory(installation, backup, copy, run, manifest=manifest)
    if backup.format == FORMAT:
        return check_base(installation, backup, copy, run)
    if backup.format != "custom":
        raise InputError(
            f"{backup.name} has the format {backup.format!r}: there is no archive for pg_restore to read.",
            hint="Verify it at level checksum, or hold a restore test.",
        )
    clients = find_clients(installation.settings.pg_bin_dirs)
    client = choose_client(clients, dumped_by(backup), program="pg_restore")
    began = time.monotonic()
    try:
        with archive_reader(client, run=run) as reader:
            found = fetch_plain(installation, backup, copy, reader.write, run)
            reader.finish()
    except RestoreFailed as error:
        # It may have stumbled over damage before its end was reached: only the bytes can tell whose fault it is.
        bytes_say = check_checksum(installation, backup, copy, run)
        if bytes_say.outcome == "failed":
            return bytes_say
        detail = throughput(backup.stored_bytes, time.monotonic() - began)
        return Finding("failed", f"pg_restore cannot read the archive: {error.message}", detail, "stored", "backup")
    detail = throughput(found.stored_bytes, time.monotonic() - began)
    detail |= {"plain_bytes": found.plain_bytes, "pg_restore": client.version}
    unpacked = "decompressed" if backup.encryption == "none" else "decrypted, decompressed"
    reason = (
        f"All {format_bytes(found.stored_bytes)} {unpacked} ({format_bytes(found.plain_bytes)}) and read by pg_restore "
        "to the archive's end; both sha256 as recorded."
    )
    return Finding("passed", reason, detail, "stored")
