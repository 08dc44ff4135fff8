"""Another object takes the place of a backup's, compressed or encrypted anew; proven the same before the old goes.

The order, in each of which a crash leaves a backup that can be read:

1. the new object, in one storage; what was read for it must be what was recorded
2. a check of it at level archive: decrypted, decompressed, read by pg_restore to its end
3. the same bytes in every other storage that has a copy
4. the manifests, which say what was replaced (``made_from``); with the first the new object is the backup
5. the catalogue's row
6. the old objects go

An attempt that died before the first manifest is begun anew; after it, the next attempt goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

from services.backups.compress_object import copy_of, store_new_copy
from services.backups.compress_plan import stored_copies
from services.backups.create import remove_objects
from services.backups.manifest import Manifest, compressed_anew, read_manifest, store_document
from services.backups.naming import manifest_key
from services.backups.signing import sign_document
from services.catalog.model import Backup, Copy, CopyState, Verification
from services.catalog.runs import ClaimLost
from services.errors import CorruptBackup, ObjectMissing, StorageError, UntrustedManifest
from services.ids import new_id
from services.installation import Installation
from services.jobs.active_run import Interrupted
from services.jobs.context import RunContext
from services.restores.evidence import read_evidence
from services.units import format_bytes
from services.verification.archive import check_archive
from services.verification.finding import Finding
from services.verification.levels import verify_backup
from services.verification.record import record_verification

Write = Callable[[Installation, Backup, Copy, str, RunContext], Backup]
"""Writes the new object beside an old one, under a key; returns the backup as it will be, with that copy alone."""


def replace_object(
    installation: Installation, backup: Backup, begun: Manifest | None, key: str, write: Write, run: RunContext
) -> Backup:
    """Replace the objects of a backup that is held, in all its storages, by what ``write`` makes of one of them.

    ``key``: the new object's, another one than the old one's. ``begun``: the manifest of an attempt that got as far.
    Return the backup as it is then. Raise CorruptBackup when what was read or written is not what was recorded,
    KeyMismatch, StorageError, Cancelled: then it is as it was, or the next attempt goes on.
    """
    there = stored_copies(backup)
    with ExitStack() as leftovers:
        for copy in there:
            # If this process dies inside, recovery removes the new object, unless the manifest names it by then.
            entry = {"manifest": manifest_key(backup.database, backup.name), "backup": backup.id, "old": copy.key}
            leftovers.enter_context(run.leftover("object", storage=copy.storage, key=key, **entry))
        try:
            return _replace(installation, backup, begun, key, there, write, run)
        except (ClaimLost, Interrupted):
            raise
        except BaseException:
            if not _may_have_begun(installation, backup):
                with run.guarded():
                    for copy in there:
                        remove_objects(installation.storage(copy.storage), (key,), run)
            raise


def _replace(
    installation: Installation,
    backup: Backup,
    begun: Manifest | None,
    key: str,
    there: Sequence[Copy],
    write: Write,
    run: RunContext,
) -> Backup:
    if begun is None:
        manifest = read_evidence(installation, backup, there[0])
        new = write(installation, backup, there[0], key, run)
        document = sign_document(installation.settings, compressed_anew(manifest.document, new))
    else:
        run.log(f"An earlier attempt has written a manifest of {backup.name} already; going on from there.")
        new, document, manifest = _as_begun(installation, backup, begun), begun.document, begun
    made = new.copies[0]
    finding, started_at = _check(installation, new, made, manifest, run)
    others = [old.storage for old in there if old.storage != made.storage]
    copies = [made, *(store_new_copy(installation, new, made, storage, run) for storage in others)]
    with run.guarded():
        pass  # a run that was taken over must not touch the manifests
    run.phase("writing the manifests")
    for copy in copies:
        store_document(installation.storage(copy.storage), document)
    after = _record(installation, backup, replace(new, copies=tuple(copies)), run)
    _record_checks(installation, after, made, finding, started_at, run)
    for old in there:
        remove_objects(installation.storage(old.storage), (old.key,), run)
    old_bytes, new_bytes = sum(copy.bytes for copy in there), sum(copy.bytes for copy in copies)
    run.log(f"{backup.name}: {format_bytes(old_bytes)} became {format_bytes(new_bytes)}.")
    return after


def _as_begun(installation: Installation, backup: Backup, begun: Manifest) -> Backup:
    """Return the backup as it will be, from the manifest that an earlier attempt has written."""
    of_object = ("stored_bytes", "sha256", "compression", "compression_level", "encryption", "recipients")
    described = begun.backup.copies[0]
    stored = installation.storage(described.storage).stat(described.key)
    values = {name: getattr(begun.backup, name) for name in of_object}
    return replace(backup, **values, copies=(copy_of(installation, described.storage, stored),))


def _check(
    installation: Installation, new: Backup, made: Copy, manifest: Manifest, run: RunContext
) -> tuple[Finding, datetime]:
    """Read the new object to its end. Raise CorruptBackup when that does not give the dump back."""
    run.phase("verifying", total_bytes=new.stored_bytes)
    started_at = installation.clock()
    finding = check_archive(installation, new, made, run, manifest=manifest)
    if finding.outcome != "passed":
        raise CorruptBackup(
            f"The new object of {new.name} in {made.storage} cannot be read back: {finding.reason}",
            hint="The old one is as it was. Look at this storage.",
        )
    return finding, started_at


def _record(installation: Installation, old: Backup, new: Backup, run: RunContext) -> Backup:
    """Record the backup as it is now. Its copies that were not whole are to be made anew from the new object."""
    made = {copy.storage: replace(copy, checked_at=installation.clock()) for copy in new.copies}
    key = new.copies[0].key
    copies = [
        made.get(copy.storage) or replace(copy, key=key, bytes=new.stored_bytes, etag="", state=_NOT_MADE[copy.state])
        for copy in old.copies
    ]
    after = replace(new, copies=tuple(copies))
    with run.guarded() as transaction:
        installation.catalog.backups.add(after, transaction)
    return after


_NOT_MADE: dict[CopyState, CopyState] = {
    "stored": "missing", "damaged": "missing", "missing": "missing", "copying": "failed", "failed": "failed",
    "deleted": "deleted",
}  # fmt: skip


def _record_checks(
    installation: Installation, after: Backup, made: Copy, finding: Finding, started_at: datetime, run: RunContext
) -> None:
    """Record the check of the new object, and check the others that were copied from it."""
    now = installation.clock()
    check = Verification(
        id=new_id(now),
        run_id=run.run_id,
        backup_id=after.id,
        database=after.database,
        level="archive",
        storage=made.storage,
        outcome=finding.outcome,
        reason=finding.reason,
        started_at=started_at,
        finished_at=now,
        actor=run.actor,
        detail=finding.to_detail() | {"stored_anew": True},
    )
    record_verification(installation, after, check, run)
    for copy in stored_copies(after):
        if copy.storage != made.storage:
            verify_backup(installation, after, "checksum", copy.storage, run, stored_anew=True)


def begun_manifest(installation: Installation, backup: Backup) -> Manifest | None:
    """Return the manifest of an earlier attempt that says that the backup is compressed anew. Raise StorageError."""
    for copy in stored_copies(backup):
        try:
            found = read_manifest(
                installation.settings, installation.storage(copy.storage), manifest_key(backup.database, backup.name)
            )
        except (ObjectMissing, UntrustedManifest):
            continue
        ours = found.backup.id == backup.id and found.backup.trust == backup.trust
        if ours and found.made_from is not None and found.made_from.sha256 == backup.sha256:
            return found
    return None


def _may_have_begun(installation: Installation, backup: Backup) -> bool:
    try:
        return begun_manifest(installation, backup) is not None
    except StorageError:
        return True  # nobody knows; the janitor removes what no manifest names


def remove_replaced(installation: Installation, backup: Backup, run: RunContext) -> None:
    """Remove old objects that an attempt left which died just before that."""
    for copy in stored_copies(backup):
        storage = installation.storage(copy.storage)
        made_from = read_evidence(installation, backup, copy)
        if made_from.made_from is not None and made_from.made_from.key != copy.key:
            remove_objects(storage, (made_from.made_from.key,), run)
