"""Is the disk of a storage mounted? Nothing may be written into the folder of one that is not, nor missed in it."""

from __future__ import annotations

from services.catalog.summaries import storage_use
from services.errors import StorageUnavailable
from services.installation import Installation
from services.storage.local import LocalStorage
from services.storage.protocol import Storage


def mounted_storage(installation: Installation, name: str) -> Storage:
    """Return a storage. Raise StorageUnavailable when its folder is gone or empty, though the catalogue has copies
    there, UnknownName when it is not configured."""
    storage = installation.storage(name)
    if not isinstance(storage, LocalStorage) or storage.is_mounted:
        return storage
    use = storage_use(installation.catalog.engine).get(name)
    if use is not None and use.backups:
        raise not_mounted(storage, use.backups)
    return storage


def not_mounted(storage: LocalStorage, copies: int) -> StorageUnavailable:
    """Return the error for a folder that should hold so many copies and holds nothing."""
    what = "is empty" if storage.root.is_dir() else "is not there"
    many = "a copy" if copies == 1 else f"{copies:,} copies"
    return StorageUnavailable(
        f"The folder of storage {storage.name} {what}: {storage.url}, which is to hold {many}.",
        hint="Is its disk mounted? If everything in it was deleted, `backups verify --level stored` records that.",
    )
