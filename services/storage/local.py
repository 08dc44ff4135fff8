"""A local folder as a storage. An object is a file under its key; its ETag is the sha256 of its content.

An object is written to a hidden ``.NAME.ID.partial`` file beside its place, synced, read back, compared, and only then
linked to its name: it is whole or not there. The sha256 is kept in an extended attribute together with size and
modification time; where the file system has none, or they no longer fit, ``stat`` reads the file.
"""

from __future__ import annotations

import builtins
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from services.errors import CorruptBackup, NoSuchBucket, ObjectMissing, StorageError
from services.storage.keys import check_key, check_prefix, taken
from services.storage.local_digest import remember, remembered, sha256_of
from services.storage.local_errors import said_plainly
from services.storage.local_folders import make_folder, sync_folder
from services.storage.local_writer import LocalWriter
from services.storage.protocol import StorageProbe, StoredObject, UnfinishedUpload

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
            digest = sha256_of(path)
            remember(path, digest)
            return StoredObject(key, found.bytes, digest, found.modified_at)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every finished object under the prefix, in key order; the ETag is empty where it would cost a read."""
        check_prefix(prefix)
        for key, path in self._files(prefix):
            if not _PARTIAL.match(path.name):
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

    @property
    def is_mounted(self) -> bool:
        """Whether the folder is there with anything in it. What has stored something there tells by it whether the
        disk is mounted: of one that is not the folder is gone, or an empty mount point."""
        if not self.root.is_dir():
            return False
        return any(entry.name not in ("lost+found", ".probe") for entry in self.root.iterdir())

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
            make_folder(path.parent)
            return os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), partial

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _check_root(self) -> None:
        if not self.root.exists() and not self.root.parent.is_dir():
            raise NoSuchBucket(
                f"The folder {self.root} does not exist, and neither does the one above it.",
                hint="Is its disk mounted? Otherwise create the folder, or correct the url of this storage.",
            )

    def _files(self, prefix: str = "") -> builtins.list[tuple[str, Path]]:
        """Return key and path of every file under the root whose key begins so, in key order.

        Only the folder that the prefix names is walked, and a path is made for what fits alone: one segment of a log is
        looked for among tens of thousands, each time that one is stored.
        """
        self._check_root()
        found: builtins.list[tuple[str, Path]] = []
        with said_plainly(str(self.root), "be listed"):
            for folder, _, names in os.walk(self.root / prefix.rpartition("/")[0], onerror=_refuse):
                above = Path(folder).relative_to(self.root).as_posix()
                start = "" if above == "." else f"{above}/"
                found += [(key, Path(folder, name)) for name in names if (key := f"{start}{name}").startswith(prefix)]
        return sorted(found)

    def _stored(self, key: str, path: Path) -> StoredObject:
        status = path.stat()
        if not path.is_file():
            raise ObjectMissing(f"{self.location(key)} is a folder, not an object.")
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return StoredObject(key, status.st_size, remembered(path, status), modified)


_COARSE_CLOCK = 0.02
"""Seconds by which the kernel's clock for file times may lag behind the exact one."""


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


def _sibling(key: str, name: str) -> str:
    folder, slash, _ = key.rpartition("/")
    return folder + slash + name


def _refuse(error: OSError) -> None:
    """Have a folder that cannot be listed fail the listing (os.walk would leave it out), unless it is just gone."""
    if not isinstance(error, FileNotFoundError):
        raise error
