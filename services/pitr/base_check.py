"""Level ``archive`` of a base backup: decrypted, decompressed, and every file in it as PostgreSQL's manifest says."""

from __future__ import annotations

import time

from services.catalog.model import Backup, Copy
from services.installation import Installation
from services.jobs.context import RunContext
from services.pitr.base_files import BaseFiles
from services.pitr.base_model import BaseBackup
from services.restores.fetch import fetch_plain
from services.units import format_bytes
from services.verification.finding import Finding, throughput


def check_base(installation: Installation, backup: Backup, copy: Copy, run: RunContext) -> Finding:
    """Read the base backup to its end. Raise CorruptBackup, ObjectMissing, KeyMismatch, StorageError, Cancelled."""
    base = BaseBackup.of(backup)
    began = time.monotonic()
    files = BaseFiles()
    try:
        found = fetch_plain(installation, backup, copy, files.feed, run)
    finally:
        files.close()
    contents = files.finish(base.manifest_sha256)
    detail = throughput(found.stored_bytes, time.monotonic() - began)
    detail |= {"plain_bytes": found.plain_bytes, "files": contents.files}
    unpacked = "decompressed" if backup.encryption == "none" else "decrypted, decompressed"
    reason = (
        f"All {format_bytes(found.stored_bytes)} {unpacked} ({format_bytes(found.plain_bytes)}); {contents.files:,} "
        "files as PostgreSQL's backup manifest lists them, each by its sha256."
    )
    return Finding("passed", reason, detail, "stored")
