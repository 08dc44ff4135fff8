"""Whether an object is there."""

from __future__ import annotations

from services.errors import ObjectMissing
from services.storage.protocol import Storage


def is_there(storage: Storage, key: str) -> bool:
    """Say whether an object is there. Raise StorageError when the storage cannot tell."""
    try:
        storage.stat(key)
    except ObjectMissing:
        return False
    return True
