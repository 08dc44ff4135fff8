"""What lies in a storage where a further copy of a backup is to go."""

from __future__ import annotations

from dataclasses import dataclass

from services.backups.manifest import Manifest, read_manifest
from services.backups.mounted import mounted_storage
from services.backups.naming import manifest_key
from services.catalog.model import Backup
from services.errors import AlreadyExists, UntrustedManifest
from services.installation import Installation
from services.storage.protocol import Storage, StoredObject


@dataclass(frozen=True)
class Place:
    """The target of a copy, as it was found."""

    storage: Storage
    key: str
    manifest_key: str
    stored: StoredObject | None
    """The object that is there under the backup's key."""
    manifest: Manifest | None
    """The manifest that is there, when it is one of this very backup."""

    @property
    def is_new(self) -> bool:
        """Whether nobody has ever finished a copy here, so that whatever a failure leaves may be removed."""
        return self.manifest is None

    def is_finished(self, backup: Backup) -> bool:
        """Whether a copy lies here that only the catalogue does not know of, as far as a look from outside tells."""
        found = self.manifest
        return (
            found is not None
            and found.backup.trust == backup.trust
            and (found.backup.sha256, found.backup.copies[0].key) == (backup.sha256, self.key)
            and self.stored is not None
            and self.stored.bytes == backup.stored_bytes
        )


def look_at_place(installation: Installation, backup: Backup, target: str, *, expected: bool) -> Place:
    """Look at where a copy of the backup is to go; ``expected``: whether the catalogue knows of one there.

    Raise AlreadyExists when the name is taken there by another backup, or by a manifest that cannot be read and that
    is not known to be ours; StorageError when the storage is away.
    """
    storage = mounted_storage(installation, target)
    key, manifest = backup.copies[0].key, manifest_key(backup.database, backup.name)
    there = {entry.key: entry for entry in storage.list(f"{backup.database}/{backup.name}.")}
    found: Manifest | None = None
    if manifest in there:
        try:
            found = read_manifest(installation.settings, storage, manifest)
        except UntrustedManifest as error:
            if not expected:
                raise _taken(storage, manifest, "a manifest that cannot be read") from error
        else:
            if found.backup.id != backup.id:
                raise _taken(storage, manifest, f"another backup, with the id {found.backup.id}")
    return Place(storage, key, manifest, there.get(key), found)


def _taken(storage: Storage, key: str, what: str) -> AlreadyExists:
    return AlreadyExists(
        f"{storage.location(key)} is {what}; it was not touched.",
        hint="Two installations may share this storage. Give each a prefix of its own, or move what lies there.",
    )
