"""Deleting one copy of a backup, so that a crash, a refusal or a silence at any point can be told and ended later.

In this order: a mark that the deletion has begun, the object, the records of verifications, the mark of a pin, the
manifest, and at last the first mark. So an object is never missing without either its manifest, its mark or the
catalogue saying why, and no manifest is ever left for a rebuild to take for a backup.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Literal

from services.backups.manifest import read_manifest
from services.backups.marks import write_mark
from services.backups.mounted import mounted_storage
from services.backups.naming import check_prefix, manifest_key, mark_key
from services.catalog.deletions import Cause, CopyOutcome
from services.catalog.model import Backup, Copy
from services.errors import BackupsError, ObjectMissing, StorageError, StorageUnavailable, UntrustedManifest
from services.installation import Installation
from services.settings.model import Settings
from services.storage.presence import is_there
from services.storage.protocol import Storage


def delete_copy(
    installation: Installation, backup: Backup, copy: Copy, cause: Cause, *, resumed: bool, now: datetime
) -> CopyOutcome:
    """Delete a copy and everything beside it; what went wrong is in the outcome, never raised.

    ``resumed``: an earlier deletion may have removed some of it, so that nothing has to be there.
    """
    name = copy.storage
    try:
        storage = mounted_storage(installation, name)
        there = _is_anything_there(installation.settings, storage, backup, copy)
        if not there and not resumed and copy.state != "missing":
            return CopyOutcome(name, "gone", f"Neither the object nor its manifest is there: {copy.location}.")
        write_mark(
            installation.settings, storage, backup, "deletion", set=True, at=now, actor=cause.actor, reason=cause.reason
        )
    except BackupsError as error:
        # Nothing was touched; what an earlier attempt has removed nobody can tell now.
        away = isinstance(error, StorageUnavailable)
        return CopyOutcome(name, "unsure" if resumed else "whole", str(error), away)
    try:
        _delete_object(storage, copy.key)
    except BackupsError as error:
        state = _after_refusal(installation, storage, backup, copy, cause, now)
        return CopyOutcome(name, state, str(error), isinstance(error, StorageUnavailable))
    try:
        delete_beside(storage, backup)
    except BackupsError as error:
        said = f"The object is deleted, what lies beside it is not yet: {error}"
        return CopyOutcome(name, "unsure", said, isinstance(error, StorageUnavailable))
    return CopyOutcome(name, "deleted")


def withdraw_mark(
    installation: Installation, storage: Storage, backup: Backup, *, actor: str, reason: str, now: datetime
) -> None:
    """Take back the mark that a deletion has begun. Raise StorageError when neither deleting nor writing works."""
    try:
        storage.delete(mark_key(backup.database, backup.name, "deletion"))
    except StorageError:
        write_mark(installation.settings, storage, backup, "deletion", set=False, at=now, actor=actor, reason=reason)


def _is_anything_there(settings: Settings, storage: Storage, backup: Backup, copy: Copy) -> bool:
    """Say whether the object or its manifest is there. Raise StorageError, UntrustedManifest for somebody else's."""
    try:
        manifest = read_manifest(settings, storage, manifest_key(backup.database, backup.name))
    except ObjectMissing:
        return is_there(storage, copy.key)
    except UntrustedManifest:
        return True  # cut or changed: it speaks for nobody
    if manifest.backup.id != backup.id:
        raise UntrustedManifest(
            f"The manifest beside {copy.location} is that of another backup, {manifest.backup.id}.",
            hint="Nothing was deleted. `backups rebuild` reads what the storage holds.",
        )
    return True


def _delete_object(storage: Storage, key: str) -> None:
    """Delete an object and see that it is gone. Raise StorageError."""
    storage.delete(key)
    if is_there(storage, key):
        raise StorageError(
            f"The storage said that it deleted {storage.location(key)}, and it is still there.",
            hint="Look for a lock or a retention rule on the bucket.",
        )


def delete_beside(storage: Storage, backup: Backup) -> None:
    """Delete what lies beside an object that is gone, its mark of deletion last. Raise StorageError."""
    for record in list(storage.list(check_prefix(backup.database, backup.name))):
        storage.delete(record.key)
    storage.delete(mark_key(backup.database, backup.name, "pin"))
    storage.delete(manifest_key(backup.database, backup.name))
    storage.delete(mark_key(backup.database, backup.name, "deletion"))


def _after_refusal(
    installation: Installation, storage: Storage, backup: Backup, copy: Copy, cause: Cause, now: datetime
) -> Literal["whole", "unsure"]:
    """Say how a copy stands whose object could not be deleted: whole only if it is seen, and the mark is taken back."""
    with suppress(BackupsError):  # why the deletion failed tells more than why this does
        if is_there(storage, copy.key):
            reason = "The storage refused the deletion."
            withdraw_mark(installation, storage, backup, actor=cause.actor, reason=reason, now=now)
            return "whole"
    return "unsure"
