"""Rotation of keys: stored backups are encrypted anew to the present recipients, proven, before the old objects go.

age's header cannot be given other recipients without the key of the file, which nobody but age itself handles here: so
each object is decrypted and encrypted in one stream, as it is compressed. ``services.backups.replace_object`` has the
order, and what a crash leaves: an attempt that was broken off is gone on with by the next one.

The log of point in time is not rotated: it goes with its window, and the old key must be kept until then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from services.backups.compress_object import copy_of, new_object
from services.backups.compress_plan import stored_copies
from services.backups.holding import hold_backup
from services.backups.naming import check_prefix, rotated_key
from services.backups.one_by_one import Report, one_by_one
from services.backups.replace_object import begun_manifest, remove_replaced, replace_object
from services.backups.room import refuse_without_room
from services.backups.signing import check_document, sign_document
from services.catalog.model import Backup, Copy
from services.errors import BackupsError, CorruptBackup
from services.installation import Installation
from services.jobs.context import RunContext
from services.keys.rotate_plan import is_rotated, refusal
from services.restores.fetch import identities_for
from services.stream.recompress import recompress_stream


@dataclass
class RotateReport(Report):
    """What was encrypted anew, beside what was not."""

    rotated: list[str] = field(default_factory=list)
    rotated_bytes: int = 0


def rotate_backups(installation: Installation, backup_ids: Sequence[str], run: RunContext) -> RotateReport:
    """Encrypt backups anew, one after the other; what fails stops no other. Raise Cancelled, ClaimLost."""
    report = RotateReport()

    def rotate(backup_id: str, name: str) -> str:
        reason, size = rotate_backup(installation, backup_id, run)
        if not reason:
            report.rotated.append(name)
            report.rotated_bytes += size
        return reason

    one_by_one(installation, backup_ids, run, report, rotate, could_not="be encrypted anew")
    return report


def rotate_backup(installation: Installation, backup_id: str, run: RunContext) -> tuple[str, int]:
    """Encrypt a backup anew in all its storages; return why it was left as it is (empty) and the bytes written.

    Raise Busy when another run works on the same backup, CorruptBackup when what was read or written is not what was
    recorded, KeyMismatch, StorageError, Cancelled: then it is as it was, or the next attempt goes on.
    """
    with hold_backup(installation, backup_id, run.run_id) as backup:
        if backup.state != "finished":
            return "it has expired, or is being deleted", 0
        if is_rotated(backup, installation.settings.recipients):
            remove_replaced(installation, backup, run)  # an attempt may have died just before that
            return "it is encrypted to these keys already", 0
        begun = begun_manifest(installation, backup)
        reason = "" if begun else refusal(installation, backup)
        if reason:
            return reason, 0
        key = begun.backup.copies[0].key if begun else rotated_key(stored_copies(backup)[0].key)
        after = replace_object(installation, backup, begun, key, write_rotated, run)
        _sign_records_anew(installation, after, run)
        run.log(f"{backup.name} is encrypted to {', '.join(after.recipients)} now.")
        return "", sum(copy.bytes for copy in stored_copies(after))


def write_rotated(installation: Installation, backup: Backup, old: Copy, key: str, run: RunContext) -> Backup:
    """Write a backup's object anew, encrypted to the present recipients; return it as it will be, with that copy alone.

    What age protects stays as it is, compression included. Raise CorruptBackup when what was read is not what was
    recorded, or what was written is not what was read; StorageFull, KeyMismatch, StorageError, Cancelled.
    """
    refuse_without_room(installation, old.storage, backup.stored_bytes)
    recipients = installation.settings.recipients
    storage = installation.storage(old.storage)
    run.phase("encrypting anew", total_bytes=backup.stored_bytes)
    with closing(storage.reader(old.key)) as reader, new_object(storage, key, backup.stored_bytes) as writer:
        read, written = recompress_stream(
            reader,
            writer,
            compression="none",  # it is neither undone nor done again: what is inside stays byte by byte
            encryption=backup.encryption,
            identities=identities_for(installation.settings, backup),
            level=0,
            recipients=recipients,
            run=run,
        )
        if (read.stored_bytes, read.stored_sha256) != (backup.stored_bytes, backup.sha256):
            raise CorruptBackup(
                f"{old.location} was read with other bytes than were recorded.",
                hint="Use another copy: `backups verify` says which is whole.",
            )
        if written.plain_sha256 != read.plain_sha256:
            raise CorruptBackup(
                f"What was written of {backup.name} is not what was read.",
                hint="The memory of this machine may be failing. The backup is as it was.",
            )
        run.phase("storing")
        stored = writer.commit()
    return replace(
        backup,
        stored_bytes=written.stored_bytes,
        sha256=written.stored_sha256,
        encryption="age",
        recipients=recipients,
        copies=(copy_of(installation, old.storage, stored),),
    )


def _sign_records_anew(installation: Installation, backup: Backup, run: RunContext) -> None:
    """Sign the records of its verifications with the present key: the old one may be forgotten after a rotation."""
    settings = installation.settings
    for copy in stored_copies(backup):
        storage = installation.storage(copy.storage)
        try:
            for entry in list(storage.list(check_prefix(backup.database, backup.name))):
                document = json.loads(storage.get(entry.key))
                unsigned = {name: value for name, value in document.items() if name != "signature"}
                anew = sign_document(settings, unsigned)
                if "signature" in document and check_document(settings, document) == "signed" and anew != document:
                    storage.put(entry.key, json.dumps(anew, indent=1).encode())
        except (BackupsError, ValueError, AttributeError) as error:
            said = f"The check records of {backup.name} in {copy.storage} were not all signed anew: {error}"
            run.log(said, "warning")
