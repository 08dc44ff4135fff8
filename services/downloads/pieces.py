"""A backup's bytes as they are handed out: memory stays bounded, and damage is never handed out whole.

The last piece is held back until size and hash are those of the record: what arrives complete is right.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

from services.backups.mounted import mounted_storage
from services.catalog.model import Backup, Copy
from services.downloads.model import Form
from services.errors import BackupsError, Cancelled, CorruptBackup
from services.installation import Installation
from services.jobs.unwatched import Unwatched
from services.restores.fetch import compare_with_record, identities_for, read_plain
from services.stream.pipeline import CHUNK
from services.stream.result import StreamResult

_WAITING = 4
"""So many pieces of at most CHUNK bytes lie between reading and handing out."""
_POLL = 0.5


def open_pieces(installation: Installation, backup: Backup, copy: Copy, form: Form) -> StoredPieces | PlainPieces:
    """Open a copy for download. Raise ObjectMissing, KeyMismatch, StorageError before a byte is given."""
    mounted_storage(installation, copy.storage)
    if form == "stored":
        return StoredPieces(installation, backup, copy)
    identities_for(installation.settings, backup)
    return PlainPieces(installation, backup, copy)


class StoredPieces:
    """The object as it is stored."""

    def __init__(self, installation: Installation, backup: Backup, copy: Copy) -> None:
        self._backup = backup
        self._reader = installation.storage(copy.storage).reader(copy.key)
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        digest, size, held = hashlib.sha256(), 0, b""
        while piece := self._reader.read(CHUNK):
            digest.update(piece)
            size += len(piece)
            if held:
                yield held
            held = piece
        if (size, digest.hexdigest()) != (self._backup.stored_bytes, self._backup.sha256):
            raise _damaged(self._backup)
        if held:
            yield held

    def close(self) -> None:
        """Close the object."""
        if not self._closed:
            self._closed = True
            self._reader.close()


class PlainPieces:
    """The dump, decrypted and decompressed in threads of its own while it is handed out."""

    def __init__(self, installation: Installation, backup: Backup, copy: Copy) -> None:
        self._backup = backup
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(installation, copy), name="download", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[bytes]:
        held = b""
        while True:
            found = self._take()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                break
            if held:
                yield held
            held = found
        if held:
            yield held

    def close(self) -> None:
        """Stop reading, and wait for the threads to have ended."""
        self._stopped.set()
        self._thread.join(timeout=30)

    def _take(self) -> bytes | BaseException | None:
        while not self._stopped.is_set():
            try:
                return self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
        return Cancelled("The download was stopped.")

    def _read(self, installation: Installation, copy: Copy) -> None:
        try:
            found = read_plain(installation, self._backup, copy, self._put, Unwatched())
            self._check(found)
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the pieces are taken
            if not self._stopped.is_set():
                self._put(error)

    def _check(self, found: StreamResult) -> None:
        if self._backup.format == "custom" and self._backup.type != "base":
            compare_with_record(self._backup, found)
        elif (found.stored_bytes, found.stored_sha256) != (self._backup.stored_bytes, self._backup.sha256):
            raise _damaged(self._backup)

    def _put(self, piece: Any) -> None:
        while True:
            if self._stopped.is_set():
                raise Cancelled("The download was stopped.")
            try:
                self._queue.put(piece, timeout=_POLL)
                return
            except queue.Full:
                continue


def _damaged(backup: Backup) -> BackupsError:
    return CorruptBackup(f"{backup.name} is not what was recorded.", hint="Use another copy or another backup.")
