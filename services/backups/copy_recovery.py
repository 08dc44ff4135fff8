"""What a process that died left of a further copy of a backup, or of one that was being compressed anew."""

from __future__ import annotations

from services.backups.copy_failures import note_abandoned
from services.backups.manifest import read_manifest
from services.errors import ObjectMissing, UnknownName, UntrustedManifest
from services.installation import Installation
from services.storage.protocol import Storage


def clean_up_copy(installation: Installation, entry: dict[str, str]) -> None:
    """Given the leftover of a run on a backup's copy, remove what is half-stored. Raise StorageError.

    ``object``: a first copy. Without its manifest its object is removed; with it the copy is complete, and the next
    attempt verifies and records it. ``upload``: something was there before, and only the unfinished upload goes. With
    ``old``, the key of what the object was to replace: it stays once the manifest names it, and goes before.
    """
    try:
        storage = installation.storage(entry["storage"])
    except UnknownName:  # a storage that is not in the settings any more
        return
    if "old" in entry:
        if _is_named(installation, storage, entry["manifest"], entry["old"]):
            storage.delete(entry["key"])
    elif entry["kind"] == "object" and not _is_real(installation, storage, entry):
        storage.delete(entry["manifest"])
        storage.delete(entry["key"])
    for upload in storage.unfinished():
        if upload.key == entry["key"]:
            storage.abort_unfinished(upload)


def _is_named(installation: Installation, storage: Storage, manifest: str, key: str) -> bool:
    """Say whether a manifest is there and speaks of the object ``key``."""
    try:
        return read_manifest(installation.settings, storage, manifest).backup.copies[0].key == key
    except (ObjectMissing, UntrustedManifest):
        return False


def _is_real(installation: Installation, storage: Storage, entry: dict[str, str]) -> bool:
    """Say whether a manifest keeps the object: of a backup that is kept, or one that is not ours to judge."""
    try:
        read_manifest(installation.settings, storage, entry["manifest"])
    except ObjectMissing:
        return False
    except UntrustedManifest:
        return True
    try:
        return installation.catalog.backups.get(entry["backup"]).state == "finished"
    except UnknownName:
        return True


def give_up_copy(installation: Installation, backup_id: str, storage: str) -> None:
    """Say in the row of a copy that nobody is making it any more."""
    try:
        note_abandoned(installation, installation.catalog.backups.get(backup_id), storage)
    except UnknownName:  # the backup's row is gone, or the storage is not in the settings any more
        return
