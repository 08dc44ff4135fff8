"""A local folder as a storage. An object is a file under its key; its ETag is the sha256 of its content.

An object is written to a hidden ``.NAME.ID.partial`` file beside its place, synced, read back, compared, and only then
linked to its name: it is whole or not there. The sha256 is kept in an extended attribute together with size and
modification time; where the file system has none, or they no longer fit, ``stat`` reads the file.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from services.errors import CorruptBackup, NoSuchBucket, ObjectMissing, StorageError
from services.storage.keys import check_key, check_prefix, taken
from services.storage.local_errors import said_plainly
from services.storage.protocol import StorageProbe, StoredObject, UnfinishedUpload

CHUNK = 1 << 20
_ATTRIBUTE = "user.backups.sha256"
_HAS_ATTRIBUTES = hasattr(os, "setxattr")
"""Python knows extended attributes on Linux alone; elsewhere ``stat`` reads the file."""
_PARTIAL = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.partial\Z", re.DOTALL)


class LocalStorage:
    """Objects as files under ``root``. The folder is made by the first write, if the folder above it exists."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.url = f"file://{root}"

    def writer(self, key: str, *, expected_bytes: int | None = None, replace: bool = False) -> LocalWriter:
        """Begin an object; ``expected_bytes`` is not needed here. Raise AlreadyExists, StorageError."""
        path = self._path(key)
        if not replace and path.exists():
            raise taken(self.location(key))
        return LocalWriter(self, key, replace=replace)

    def put(self, key: str, data: bytes) -> StoredObject:
        """Store a small object whole, replacing what is there."""
        writer = LocalWriter(self, key, replace=True)
        try:
            writer.write(data)
            return writer.commit()
        except BaseException:
            writer.abort()
            raise

    def get(self, key: str) -> bytes:
        """Return a small object whole. Raise ObjectMissing."""
        reader = self.reader(key)
        try:
            return reader.read()
        finally:
            reader.close()

    def reader(self, key: str) -> LocalReader:
        """Open an object. Raise ObjectMissing."""
        return LocalReader(self._path(key), self.location(key))

    def stat(self, key: str) -> StoredObject:
        """Return what is known of an object; reads all of it when its sha256 is not known. Raise ObjectMissing."""
        path = self._path(key)
        with said_plainly(self.location(key), "be looked at"):
            found = self._stored(key, path)
            if found.etag:
                return found
            digest = _sha256_of(path)
            _remember(path, digest)
            return StoredObject(key, found.bytes, digest, found.modified_at)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every finished object under the prefix, in key order; the ETag is empty where it would cost a read."""
        check_prefix(prefix)
        for key, path in self._files(prefix.rpartition("/")[0]):
            if key.startswith(prefix) and not _PARTIAL.match(path.name):
                # a file may go between the listing and the look at it
                with suppress(FileNotFoundError), said_plainly(self.location(key), "be looked at", missing=False):
                    yield self._stored(key, path)

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        path = self._path(key)
        with said_plainly(self.location(key), "be deleted"):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_folder(path.parent)

    def unfinished(self) -> builtins.list[UnfinishedUpload]:
        """List partial files; ``started_at`` is when the file was last written to."""
        found = []
        for key, path in self._files():
            if match := _PARTIAL.match(path.name):
                with suppress(FileNotFoundError):
                    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    found.append(UnfinishedUpload(_sibling(key, match["name"]), path.name, modified))
        return found

    def abort_unfinished(self, upload: UnfinishedUpload) -> None:
        """Remove a partial file; one that is gone is no error."""
        path = self._path(_sibling(upload.key, upload.upload_id))
        if not _PARTIAL.match(path.name):
            raise StorageError(f"{upload.upload_id!r} is not an unfinished upload.", hint="Nothing was removed.")
        with said_plainly(str(path), "be removed"):
            path.unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        """Return the space left on the disk for us."""
        folder = self.root if self.root.exists() else self.root.parent
        self._check_root()
        with said_plainly(str(folder), "be looked at"):
            disk = os.statvfs(folder)
        return disk.f_bavail * disk.f_frsize

    def location(self, key: str) -> str:
        return f"{self.url}/{key}"

    def probe(self) -> StorageProbe:
        """Write, read back and delete a small object. Raise StorageError with what was refused."""
        began = time.monotonic()
        key, data = f".probe/{uuid.uuid4().hex}", os.urandom(64)
        before = time.time()
        stored = self.put(key, data)
        after = time.time()
        try:
            if self.get(key) != data:
                raise CorruptBackup(f"{self.location(key)} was read back with other bytes than were written.")
        finally:
            self.delete(key)
        with suppress(OSError):  # another probe may be at work in it
            (self.root / ".probe").rmdir()
        # what lies between the two is no skew: the file's time may be anything from one to the other
        modified = stored.modified_at.timestamp()
        skew = modified - min(max(modified, before - _COARSE_CLOCK), after)
        return StorageProbe(timedelta(seconds=skew), time.monotonic() - began)

    def open_partial(self, key: str) -> tuple[int, Path]:
        """Create the partial file of an object and the folders above it. Return its descriptor and path."""
        path = self._path(key)
        self._check_root()
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        with said_plainly(self.location(key), "be written"):
            _make_folder(path.parent)
            return os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), partial

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _check_root(self) -> None:
        if not self.root.exists() and not self.root.parent.is_dir():
            raise NoSuchBucket(
                f"The folder {self.root} does not exist, and neither does the one above it.",
                hint="Is its disk mounted? Otherwise create the folder, or correct the url of this storage.",
            )

    def _files(self, under: str = "") -> builtins.list[tuple[str, Path]]:
        """Return key and path of every file under the root, or under one folder in it, in key order."""
        self._check_root()
        found: builtins.list[tuple[str, Path]] = []
        with said_plainly(str(self.root), "be listed"):
            for folder, _, names in os.walk(self.root / under, onerror=_refuse):
                found += [(Path(folder, name).relative_to(self.root).as_posix(), Path(folder, name)) for name in names]
        return sorted(found)

    def _stored(self, key: str, path: Path) -> StoredObject:
        status = path.stat()
        if not path.is_file():
            raise ObjectMissing(f"{self.location(key)} is a folder, not an object.")
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return StoredObject(key, status.st_size, _remembered(path, status), modified)


_COARSE_CLOCK = 0.02
"""Seconds by which the kernel's clock for file times may lag behind the exact one."""


class LocalWriter:
    """Writes one file. May be aborted from another thread while ``write`` is at work."""

    def __init__(self, storage: LocalStorage, key: str, *, replace: bool = False) -> None:
        self._storage = storage
        self._key = key
        self._path = storage.root / check_key(key)
        self._location = storage.location(key)
        self._replace = replace
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._descriptor: int | None
        self._descriptor, self._partial = storage.open_partial(key)

    def write(self, data: bytes) -> None:
        """Append. Raise StorageFull, AccessDenied, StorageUnavailable or StorageError."""
        with self._lock, said_plainly(self._location, "be written"):
            descriptor = self._open_descriptor()
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            self._hash.update(data)

    def commit(self) -> StoredObject:
        """Sync, read back, compare, and give the file its name. Raise CorruptBackup, AlreadyExists, StorageError."""
        with self._lock, said_plainly(self._location, "be written"):
            descriptor = self._open_descriptor()
            os.fsync(descriptor)
            # forget what the kernel holds of it, so that what is read back comes from the disk
            if hasattr(os, "posix_fadvise"):  # macOS has none, and reads back what the kernel holds
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
            self._descriptor = None
            sent = self._hash.hexdigest()
            if _sha256_of(self._partial) != sent:
                self._partial.unlink()
                raise CorruptBackup(
                    f"{self._location} was read back with other bytes than were written.",
                    hint="The disk or its memory is failing; look at the kernel's log, and use another storage.",
                )
            _remember(self._partial, sent)
            self._give_name()
            sync_folder(self._path.parent)
            status = self._path.stat()
        return StoredObject(self._key, status.st_size, sent, datetime.fromtimestamp(status.st_mtime, UTC))

    def abort(self) -> None:
        """Leave nothing behind. Never raises."""
        with self._lock, suppress(OSError):
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
            self._partial.unlink(missing_ok=True)

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


class LocalReader:
    """Reads one file."""

    def __init__(self, path: Path, location: str) -> None:
        self._location = location
        self._file: BinaryIO
        with said_plainly(location, "be read"):
            self._file = path.open("rb", buffering=0)

    def read(self, size: int = -1, /) -> bytes:
        with said_plainly(self._location, "be read"):
            return self._file.read(size)

    def close(self) -> None:
        self._file.close()


def sync_folder(folder: Path) -> None:
    """Make sure that names made or removed in the folder outlive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Create a folder and those above it that are missing, for their owner alone, to outlive a crash of the machine."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def _sibling(key: str, name: str) -> str:
    folder, slash, _ = key.rpartition("/")
    return folder + slash + name


def _sha256_of(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remember(path: Path, digest: str) -> None:
    if not _HAS_ATTRIBUTES:
        return
    status = path.stat()
    with suppress(OSError):  # no extended attributes here: stat will read the file instead
        os.setxattr(path, _ATTRIBUTE, f"{digest} {status.st_size} {status.st_mtime_ns}".encode())


def _remembered(path: Path, status: os.stat_result) -> str:
    """Return the sha256 kept with the file, empty when there is none or the file was changed since."""
    if not _HAS_ATTRIBUTES:
        return ""
    try:
        kept = os.getxattr(path, _ATTRIBUTE).decode("ascii", "replace").split(" ")
    except OSError:
        return ""
    fits = len(kept) == 3 and kept[1:] == [str(status.st_size), str(status.st_mtime_ns)]
    return kept[0] if fits else ""


def _refuse(error: OSError) -> None:
    """Have a folder that cannot be listed fail the listing (os.walk would leave it out), unless it is just gone."""
    if not isinstance(error, FileNotFoundError):
        raise error
