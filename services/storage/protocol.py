"""What every storage can do. Two real implementations: a local folder and S3."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True)
class StoredObject:
    """One object as the storage reports it."""

    key: str
    bytes: int
    etag: str
    """Without quotes. Empty where the storage does not tell, or could only by reading the object (in a listing)."""
    modified_at: datetime
    storage_class: str = "STANDARD"
    thaw: str = ""
    """Of one in cold storage, as ``stat`` reports it: S3's ``x-amz-restore`` (``services.storage.cold.ThawState``)."""


@dataclass(frozen=True)
class UnfinishedUpload:
    """An upload that was begun and neither finished nor aborted (a multipart upload, a ``.partial`` file)."""

    key: str
    upload_id: str
    started_at: datetime


class ObjectWriter(Protocol):
    """Writes one object. Nothing is visible under its key before ``commit`` returns."""

    def write(self, data: bytes) -> None:
        """Take the next bytes. May block while the storage is slow; raises StorageError."""

    def commit(self) -> StoredObject:
        """Finish, compare what the storage has with what was sent, and return it.

        Raise CorruptBackup when the two differ (the object is deleted then).
        """

    def abort(self) -> None:
        """Leave nothing behind. Never raises; safe to call twice and after commit (then it does nothing).

        May be called from another thread while ``write`` waits for the storage; that call then raises StorageError.
        """


class ObjectReader(Protocol):
    """Reads one object from its beginning."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, empty at the end. Raises StorageError."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class StorageProbe:
    """What ``Storage.probe`` found: the storage was written, read and deleted from."""

    clock_skew: timedelta
    """The storage's clock minus ours."""
    seconds: float


class Storage(Protocol):
    """One storage. Keys are relative, with ``/`` between parts: ``DATABASE/NAME.dump.zst.age``."""

    name: str
    url: str

    def writer(self, key: str, *, expected_bytes: int | None = None, replace: bool = False) -> ObjectWriter:
        """Begin an object. ``expected_bytes`` sizes the parts of a multipart upload (at most 10,000 parts).

        With ``replace`` it takes the place of what is there, in one step and only when it is whole. Raise AlreadyExists
        when there is one under the key otherwise, InvalidName when the key breaks the rule, StorageError.
        """

    def put(self, key: str, data: bytes) -> StoredObject:
        """Store a small object whole, replacing what is there."""

    def get(self, key: str) -> bytes:
        """Return a small object whole. Raise ObjectMissing."""

    def reader(self, key: str) -> ObjectReader:
        """Open an object. Raise ObjectMissing."""

    def stat(self, key: str) -> StoredObject:
        """Return what the storage knows of an object. Raise ObjectMissing."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every finished object under the prefix, in key order."""

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""

    def unfinished(self) -> builtins.list[UnfinishedUpload]:
        """List uploads that were begun and not finished."""

    def abort_unfinished(self, upload: UnfinishedUpload) -> None:
        """Remove what an unfinished upload left."""

    def free_bytes(self) -> int | None:
        """Return the space left on the disk, or None where the storage has no such thing."""

    def location(self, key: str) -> str:
        """Return the full address of an object, to be read by a person: ``s3://bucket/prefix/key``."""

    def probe(self) -> StorageProbe:
        """Write, read back and delete a small object. Raise StorageError with what was refused."""
