"""A further copy of a backup: the stored bytes of a good copy, streamed as they are into another storage.

The order is that of a backup: the object, compared with what was recorded; its manifest, last; the catalogue after. The
manifest is the same in every storage, signature and all, so that each storage alone gives the backup back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import sqlalchemy as sa

from services.backups.copy_failures import new_copy, note_failure
from services.backups.copy_place import Place, look_at_place
from services.backups.copy_sources import copy_in, refuse_to_copy, sources_of
from services.backups.create import remove_objects
from services.backups.holding import hold_backup
from services.backups.manifest import Manifest, store_document
from services.backups.room import refuse_without_room
from services.catalog.model import Backup, Copy, CopyState
from services.catalog.runs import ClaimLost
from services.catalog.schema import backups
from services.errors import BackupsError, CorruptBackup, InputError, ObjectMissing, StorageError, UntrustedManifest
from services.installation import Installation
from services.jobs.active_run import Interrupted
from services.jobs.context import RunContext
from services.restores.evidence import UnknownSigner, read_evidence
from services.storage.protocol import StoredObject
from services.stream.copy import copy_stream
from services.stream.result import Meter
from services.units import format_bytes
from services.verification.finding import BACKUP_IS_BAD
from services.verification.levels import verify_backup


def copy_backup(installation: Installation, backup_id: str, target: str, run: RunContext) -> Copy:
    """Copy a backup into the storage ``target``, verify it there at the level of its database, and return the copy.

    A copy that is whole already is left as it is; one that is damaged or missing is made anew. Raise UnknownName,
    InputError when there is no good copy to read, AlreadyExists when another backup is in the way, Busy when another
    run works on the same backup, CorruptBackup, StorageError, Cancelled: then nothing half-stored is left, and the
    copy's row says why, and when it is tried again.
    """
    installation.settings.storage(target)
    with hold_backup(installation, backup_id, run.run_id) as backup:
        refuse_to_copy(backup)
        try:
            known = copy_in(backup, target)
            if known is None or known.state != "stored":
                _make_copy(installation, backup, target, run)
            elif not _is_whole(installation, backup, known, run):
                _make_copy(installation, installation.catalog.backups.get(backup_id), target, run)
            made = copy_in(installation.catalog.backups.get(backup_id), target)
            assert made is not None  # just recorded
        except (ClaimLost, Interrupted):
            raise  # somebody else goes on with it
        except BaseException as error:
            note_failure(installation, backup, target, error)
            raise
        return made


def _is_whole(installation: Installation, backup: Backup, known: Copy, run: RunContext) -> bool:
    """Look whether a copy that is recorded as stored is there with its manifest, and record if not.

    Raise StorageError when the storage is away.
    """
    state: CopyState = "damaged"
    try:
        read_evidence(installation, backup, known)
        if installation.storage(known.storage).stat(known.key).bytes == backup.stored_bytes:
            run.log(f"{backup.name} is in {known.storage} already, whole and with its manifest.")
            return True
        reason = "it has another size than was recorded."
    except UnknownSigner:
        raise
    except ObjectMissing as error:
        state, reason = "missing", str(error)
    except UntrustedManifest as error:
        reason = str(error)
    run.log(f"The copy in {known.storage} is made anew: {reason}", "warning")
    installation.catalog.backups.set_copy_state(backup.id, known.storage, state, checked_at=installation.clock())
    return False


def _make_copy(installation: Installation, backup: Backup, target: str, run: RunContext) -> None:
    run.phase("preparing")
    known = copy_in(backup, target)
    place = look_at_place(installation, backup, target, expected=known is not None)
    row = _begin(installation, backup, target, known)
    # If this process dies inside, recovery removes a first copy's object that has no manifest.
    entry = {"storage": target, "key": place.key, "manifest": place.manifest_key, "backup": backup.id}
    with run.leftover("object" if place.is_new else "upload", **entry):
        if row.state in ("copying", "missing") and place.manifest is not None and place.is_finished(backup):
            run.log(f"{backup.name} lies in {target} already; it is recorded and verified.")
            stored, manifest = place.storage.stat(place.key), place.manifest
        else:
            stored, manifest = _store(installation, backup, place, row, run)
        with _removed_unless_ours(place, run):
            run.phase("writing the manifest")
            with run.guarded():
                pass  # a run that was taken over must not make its copy real
            store_document(place.storage, manifest.document)
            _record(installation, backup, place, row, stored, run)
    run.log(f"Stored {format_bytes(stored.bytes)} in {target}: {row.location}")
    _verify(installation, backup, target, run)


def _begin(installation: Installation, backup: Backup, target: str, known: Copy | None) -> Copy:
    """Say in the catalogue that the copy is being made, and return its row. One that was bad stays so meanwhile."""
    row = new_copy(installation, backup, target)
    if known is not None:
        kept = known.state if known.state in ("damaged", "missing") else row.state
        row = replace(row, state=kept, attempts=known.attempts, checked_at=known.checked_at)
    installation.catalog.backups.save_copy(backup.id, row)
    return row


class _BadSource(Exception):
    """A copy that cannot be read from; the next one is."""

    def __init__(self, reason: BackupsError) -> None:
        super().__init__(reason)
        self.reason = reason


def _store(
    installation: Installation, backup: Backup, place: Place, row: Copy, run: RunContext
) -> tuple[StoredObject, Manifest]:
    """Stream the bytes over from the first copy that gives them as they were recorded.

    After a failure the next attempt begins with another copy. One that turns out to be damaged is verified, so that
    everybody knows. Raise InputError when there is no copy to read, and what was met with in the last one.
    """
    settings = installation.settings
    order = [storage.name for storage in settings.storages_of(settings.database(backup.database))]
    sources = sources_of(backup, row.storage, order, now=installation.clock())
    if not sources:
        raise InputError(
            f"{backup.name} has no good copy that the one in {row.storage} could be made from.",
            hint="Verify the copies that there are: `backups verify --storage NAME`; thaw what lies frozen.",
        )
    refuse_without_room(installation, row.storage, backup.stored_bytes)
    first = row.attempts % len(sources)
    for source in (candidates := sources[first:] + sources[:first]):
        try:
            return _store_from(installation, backup, source, place, run)
        except _BadSource as bad:
            run.log(f"The copy in {source.storage} cannot be copied: {bad.reason}", "error")
            if isinstance(bad.reason, BACKUP_IS_BAD):
                verify_backup(installation, backup, "checksum", source.storage, run)
            if source is candidates[-1]:
                raise bad.reason from bad
    raise AssertionError("the loop returns or raises")


def _store_from(
    installation: Installation, backup: Backup, source: Copy, place: Place, run: RunContext
) -> tuple[StoredObject, Manifest]:
    try:
        manifest = read_evidence(installation, backup, source)
        _refuse_superseded(manifest)
        reader = installation.storage(source.storage).reader(source.key)
    except UnknownSigner:
        raise
    except (StorageError, UntrustedManifest) as error:
        raise _BadSource(error) from error
    run.phase("copying", total_bytes=backup.stored_bytes)
    run.log(f"From {source.location}, {format_bytes(backup.stored_bytes)}.")
    with closing(reader):
        # Nobody else's object is replaced: it is our leftover without a manifest, or a copy that is being made anew.
        writer = place.storage.writer(place.key, expected_bytes=backup.stored_bytes, replace=place.stored is not None)
        try:
            sent = copy_stream(reader, writer, run=run)
            _refuse_other_bytes(backup, source, sent)
            run.phase("storing")
            return writer.commit(), manifest
        except BaseException:
            writer.abort()
            raise


def _refuse_superseded(manifest: Manifest) -> None:
    if manifest.is_superseded:
        raise StorageError(
            f"{manifest.backup.name} was being compressed anew when that was broken off.",
            hint="Let that be ended first: `backups compress`.",
        )


def _refuse_other_bytes(backup: Backup, source: Copy, sent: Meter) -> None:
    if (sent.bytes, sent.sha256) != (backup.stored_bytes, backup.sha256):
        raise _BadSource(CorruptBackup(f"{source.location} was read with other bytes than were recorded."))


@contextmanager
def _removed_unless_ours(place: Place, run: RunContext) -> Iterator[None]:
    """Remove what was stored of a first copy unless the block makes one of it; never what another attempt stored."""
    try:
        yield
    except ClaimLost:
        raise
    except BaseException:
        if place.is_new:
            with run.guarded():  # the attempt that took over has its own under the same key
                remove_objects(place.storage, (place.manifest_key, place.key), run)
        raise


def _record(
    installation: Installation, backup: Backup, place: Place, row: Copy, stored: StoredObject, run: RunContext
) -> None:
    """Record the copy; if the backup has expired meanwhile, remove it, lest a rebuild brings it back."""
    made = replace(
        row,
        state="stored",
        storage_class=stored.storage_class,
        bytes=stored.bytes,
        etag=stored.etag,
        checked_at=installation.clock(),
        error="",
        attempts=0,
        next_attempt_at=None,
    )
    with run.guarded() as transaction:
        state = transaction.scalar(sa.select(backups.c.state).where(backups.c.id == backup.id))
        if state != "finished":
            remove_objects(place.storage, (place.manifest_key, place.key), run)
            raise InputError(f"{backup.name} expired while it was copied to {row.storage}.", hint="Nothing was kept.")
        installation.catalog.backups.save_copy(backup.id, made, transaction)


def _verify(installation: Installation, backup: Backup, target: str, run: RunContext) -> None:
    level = installation.settings.database(backup.database).verify_after
    fresh = installation.catalog.backups.get(backup.id)
    verification = verify_backup(installation, fresh, level, target, run, stored_anew=True)
    if verification.outcome == "failed":
        raise CorruptBackup(
            f"The copy in {target} was stored, but failed its verification ({level}): {verification.reason}",
            hint="Look at this storage; the copy is listed as damaged and is made anew.",
        )
