"""Is the disk of a storage mounted, and is it ours? The one rule for whoever writes, deletes or misses something there.

A folder that should hold copies and is gone, or is empty, is a disk that is not mounted: nothing may be written into
it, and nothing in it is missing. Whoever really emptied it says so by a file of any name (``MARK``) in the folder.
"""

from __future__ import annotations

import shlex

from services.catalog.summaries import copies_expected_by_database
from services.errors import StorageUnavailable
from services.installation import Installation
from services.storage.local import LocalStorage
from services.storage.protocol import Storage

MARK = ".mounted"


def mounted_storage(installation: Installation, name: str) -> Storage:
    """Return a storage. Raise StorageUnavailable when its folder is gone or empty, though the catalogue has copies
    there, UnknownName when it is not configured. One query where the folder is gone or empty, none otherwise."""
    storage = installation.storage(name)
    if not isinstance(storage, LocalStorage) or storage.is_mounted:
        return storage
    expected = sum(copies_expected_by_database(installation.catalog.engine, name).values())
    if expected:
        raise _not_mounted(storage, expected)
    return storage


def emptied_of(installation: Installation, storage: Storage) -> int:
    """Return how many copies a storage should hold, when not one object of their databases is in it; else 0.

    For storages whose folder or bucket is there: an emptied bucket, a wrong prefix or the disk of another machine is
    seen by it. One query, and as a rule one listing of one object. Raise StorageError.
    """
    expected = copies_expected_by_database(installation.catalog.engine, storage.name)
    if any(next(iter(storage.list(f"{database}/")), None) is not None for database in expected):
        return 0
    return sum(expected.values())


def _not_mounted(storage: LocalStorage, copies: int) -> StorageUnavailable:
    """Return the error for a folder that should hold so many copies and holds nothing."""
    many = "a copy" if copies == 1 else f"{copies:,} copies"
    if not storage.root.is_dir():
        return StorageUnavailable(
            f"The folder of storage {storage.name} is not there: {storage.url}, which is to hold {many}.",
            hint="Is its disk mounted?",
        )
    emptied = f"touch {shlex.quote(str(storage.root / MARK))}"
    return StorageUnavailable(
        f"The folder of storage {storage.name} is empty: {storage.url}, which is to hold {many}.",
        hint=f"Is its disk mounted? If everything in it was really deleted, say so with: {emptied}",
    )
