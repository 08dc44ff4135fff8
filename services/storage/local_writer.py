"""Writing one object to a local folder: to a partial file, which is synced, read back, compared, and then named."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.errors import CorruptBackup, StorageError
from services.storage.keys import check_key, taken
from services.storage.local_digest import remember
from services.storage.local_errors import said_plainly
from services.storage.local_folders import sync_folder
from services.storage.protocol import StoredObject
from services.storage.read_back import ReadBack

if TYPE_CHECKING:
    from services.storage.local import LocalStorage


class LocalWriter:
    """Writes one file. May be aborted from another thread while ``write`` is at work."""

    def __init__(self, storage: LocalStorage, key: str, *, replace: bool = False) -> None:
        self._key = key
        self._path = storage.root / check_key(key)
        self._location = storage.location(key)
        self._replace = replace
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._descriptor: int | None
        self._descriptor, self._partial = storage.open_partial(key)
        self._read_back = ReadBack(self._descriptor, self._partial)

    def write(self, data: bytes) -> None:
        """Append. Raise StorageFull, AccessDenied, StorageUnavailable or StorageError."""
        with self._lock, said_plainly(self._location, "be written"):
            descriptor = self._open_descriptor()
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            self._hash.update(data)
            self._read_back.written(len(data))

    def commit(self) -> StoredObject:
        """Sync, read back, compare, and give the file its name. Raise CorruptBackup, AlreadyExists, StorageError."""
        with self._lock, said_plainly(self._location, "be written"):
            descriptor = self._open_descriptor()
            os.fsync(descriptor)
            kept, sent = self._read_back.finish(), self._hash.hexdigest()
            self._close()
            if kept != sent:
                self._partial.unlink()
                raise CorruptBackup(
                    f"{self._location} was read back with other bytes than were written.",
                    hint="The disk or its memory is failing; look at the kernel's log, and use another storage.",
                )
            remember(self._partial, sent)
            self._give_name()
            sync_folder(self._path.parent)
            status = self._path.stat()
        return StoredObject(self._key, status.st_size, sent, datetime.fromtimestamp(status.st_mtime, UTC))

    def abort(self) -> None:
        """Leave nothing behind. Never raises."""
        with self._lock, suppress(OSError):
            self._close()
            self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor is not None:
            self._read_back.close()
            os.close(self._descriptor)
            self._descriptor = None

    def _give_name(self) -> None:
        if self._replace:
            self._partial.replace(self._path)
            return
        try:
            os.link(self._partial, self._path)  # unlike a rename, this never replaces what is there
        except FileExistsError:
            raise taken(self._location) from None
        self._partial.unlink()

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise StorageError(f"{self._location} is not being written any more: it was finished or aborted.")
        return self._descriptor
