"""Older backups that are not compressed, or with gzip, become zstd: a new object, proven the same, before the old goes.

``services.backups.replace_object`` has the order of it, and what a crash leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.backups.compress_object import write_new_object
from services.backups.compress_plan import new_recipients, refusal, stored_copies
from services.backups.holding import hold_backup
from services.backups.naming import object_key
from services.backups.one_by_one import Report, one_by_one
from services.backups.replace_object import begun_manifest, remove_replaced, replace_object
from services.installation import Installation
from services.jobs.context import RunContext


@dataclass(frozen=True)
class Compressed:
    """What became of a backup; ``reason`` says why it was left as it is."""

    before: int
    after: int
    reason: str = ""


@dataclass
class CompressReport(Report):
    """What was compressed anew, beside what was not."""

    compressed: list[str] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0


def compress_backups(installation: Installation, backup_ids: Sequence[str], run: RunContext) -> CompressReport:
    """Compress backups anew, one after the other; what fails stops no other. Raise Cancelled, ClaimLost."""
    report = CompressReport()

    def compress(backup_id: str, name: str) -> str:
        done = compress_backup(installation, backup_id, run)
        if not done.reason:
            report.compressed.append(name)
            report.bytes_before += done.before
            report.bytes_after += done.after
        return done.reason

    one_by_one(installation, backup_ids, run, report, compress, could_not="be compressed")
    return report


def compress_backup(installation: Installation, backup_id: str, run: RunContext) -> Compressed:
    """Compress a backup anew in all its storages; see the head of this module.

    Raise Busy when another run works on the same backup, CorruptBackup when what was read or written is not what was
    recorded, KeyMismatch, StorageError, Cancelled: then it is as it was, or the next attempt goes on.
    """
    with hold_backup(installation, backup_id, run.run_id) as backup:
        before = sum(copy.bytes for copy in stored_copies(backup))
        if backup.state != "finished":
            return Compressed(before, before, "it has expired, or is being deleted")
        if backup.compression == "zstd":
            remove_replaced(installation, backup, run)  # an attempt may have died just before that
            return Compressed(before, before, "it is compressed with zstd already")
        begun = begun_manifest(installation, backup)
        reason = "" if begun else refusal(installation, backup)
        if reason:
            return Compressed(before, before, reason)
        key = object_key(
            backup.database, backup.name, compression="zstd", encrypted=bool(new_recipients(installation, backup))
        )
        after = replace_object(installation, backup, begun, key, write_new_object, run)
        return Compressed(before, sum(copy.bytes for copy in stored_copies(after)))
