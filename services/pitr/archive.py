"""The archive of one cluster's write-ahead log in one storage: what is there, storing a file, fetching one.

Nothing here needs a catalogue: what is there is what a listing shows. A stored file is restored with standard programs
alone, ``age -d -i KEY | zstd -d``.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from services.errors import AlreadyExists, CorruptBackup, InputError, KeyMismatch
from services.pitr.errors import OtherContent, SegmentMissing
from services.pitr.unwatched import Unwatched
from services.pitr.wal_header import Filled
from services.pitr.wal_keys import SHA_DIGITS, WalKey, cluster_prefix, file_prefix, parse_key, wal_prefix
from services.pitr.wal_names import (
    DEFAULT_SEGMENT_BYTES,
    SegmentName,
    is_partial,
    is_segment,
)
from services.pitr.wal_source import check_content, measure, opened, refuse_changed
from services.storage.protocol import Storage, StoredObject
from services.stream.read import read_stream
from services.stream.write import write_stream

COMPRESSION_LEVEL = 3


@dataclass(frozen=True)
class ArchivedSegment:
    """A segment in the archive, or the beginning of one."""

    name: str
    """24 hexadecimal digits, without ``.partial``."""
    timeline: int
    number: int
    sha_prefix: str
    bytes: int
    """As stored."""
    stored_at: datetime
    key: str
    partial: bool


@dataclass(frozen=True)
class ArchivedFile:
    """Anything in the archive: a segment, a history file, a backup label."""

    key: WalKey
    stored: StoredObject


@dataclass(frozen=True)
class PushResult:
    """What became of a file that was to be stored."""

    key: str
    stored: bool
    """False: it was there already, with the same content."""
    plain_bytes: int
    stored_bytes: int


class WalArchive:
    """The log of one cluster under one database's name. ``recipients`` empty: stored without encryption."""

    def __init__(
        self,
        storage: Storage,
        database: str,
        system_identifier: str,
        recipients: Sequence[str] = (),
        identities: Sequence[str] = (),
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        level: int = COMPRESSION_LEVEL,
    ) -> None:
        self.storage = storage
        self.database = database
        self.system_identifier = system_identifier
        self.segment_bytes = segment_bytes
        self._recipients = tuple(recipients)
        self._identities = tuple(identities)
        self._level = level

    def files(self, name: str = "") -> Iterator[ArchivedFile]:
        """Yield everything of this cluster, in key order, or the segments whose names begin so (8 digits at least).

        What is called otherwise is passed over.
        """
        prefix = cluster_prefix(self.database, self.system_identifier)
        for entry in self.storage.list(f"{prefix}{name[:8]}/{name}" if name else prefix):
            key = parse_key(entry.key)
            if key is not None:
                yield ArchivedFile(key, entry)

    def files_of_all(self) -> Iterator[ArchivedFile]:
        """Yield everything of every cluster that this database has been, in key order."""
        for entry in self.storage.list(wal_prefix(self.database)):
            key = parse_key(entry.key)
            if key is not None:
                yield ArchivedFile(key, entry)

    def segments(self) -> list[ArchivedSegment]:
        """Return every segment, the partial ones too, by timeline and number."""
        return self.segments_of(self.files())

    def segments_of(self, files: Iterable[ArchivedFile]) -> list[ArchivedSegment]:
        """Given files of this archive, return the segments among them."""
        found = []
        for file in files:
            name, partial = file.key.file.removesuffix(".partial"), is_partial(file.key.file)
            if not partial and not is_segment(name):
                continue
            segment = SegmentName.parse(name, self.segment_bytes)
            found.append(
                ArchivedSegment(
                    name, segment.timeline, segment.number, file.key.sha_prefix,
                    file.stored.bytes, file.stored.modified_at, file.stored.key, partial,
                )
            )  # fmt: skip
        return sorted(found, key=lambda one: (one.timeline, one.number, one.partial, one.stored_at))

    def push(self, path: Path) -> PushResult:
        """Store a file of ``pg_wal``, unless it is there with the same content; return once it is there for good.

        Raise OtherContent, OtherCluster, InputError for what is no file of a log, StorageError.
        """
        with opened(path) as file:
            file_prefix(self.database, self.system_identifier, path.name)  # refuses what is no file of a log
            check_content(path, file, self.system_identifier)
            size, sha = measure(file)
            key = WalKey(self.database, self.system_identifier, path.name, sha[:SHA_DIGITS], bool(self._recipients))
            known = self._stored(path.name)
            for entry in known:
                if entry.key.sha_prefix == key.sha_prefix:
                    return PushResult(entry.stored.key, False, size, entry.stored.bytes)
            if known and not is_partial(path.name):
                raise self._other_content(known[0])
            stored, ours = self._write(file, key, size, sha)
        if not is_partial(path.name):
            self._refuse_second_content(key, ours=ours)
        return PushResult(key.text(), True, size, stored)

    def _refuse_second_content(self, key: WalKey, *, ours: bool) -> None:
        """Look once more, now that it is stored: somebody else may have stored another content at this very moment.

        The name of an object says its content, so no conditional write tells the two apart. Of two who look after they
        have stored at least the second sees the other, and takes back what it has stored: neither counts as archived
        by mistake. Raise OtherContent.
        """
        others = [one for one in self._stored(key.file) if one.key.sha_prefix != key.sha_prefix]
        if not others:
            return
        if ours:
            self.storage.delete(key.text())
        raise self._other_content(others[0])

    def _other_content(self, other: ArchivedFile) -> OtherContent:
        return OtherContent(
            f"{other.key.file} is in the archive of {self.database} with other content, and is never replaced.",
            hint="Two servers archive into one place, or one was set back and started anew without a new timeline. "
            f"See which is right: {self.storage.location(other.stored.key)}",
        )

    def remove_partial(self, name: str) -> None:
        """Remove the beginnings of a segment that is there as a whole. Raise StorageError."""
        for file in self._stored(f"{name}.partial"):
            self.storage.delete(file.stored.key)

    def fetch(self, name: str, destination: Path) -> None:
        """Write a file of the log to ``destination``, under its name only once all of it was found right.

        Where a whole segment is not there, the longest beginning of it is taken: the tail of a log that ended with its
        server. Raise SegmentMissing, CorruptBackup, KeyMismatch, StorageError.
        """
        entry = self._find(name)
        temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.partial")
        try:
            with temporary.open("xb") as file:
                self._read(entry.key, entry.stored, file.write)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(destination)
        except OSError as error:
            raise InputError(f"{destination} cannot be written: {error.strerror}.") from error
        finally:
            temporary.unlink(missing_ok=True)

    def check(self, file: ArchivedFile) -> int:
        """Read a stored file to its end; return its plain bytes. Raise CorruptBackup, KeyMismatch, StorageError."""
        return self._read(file.key, file.stored, lambda _piece: None)

    def _find(self, name: str) -> ArchivedFile:
        found = self._stored(name)
        if not found and is_segment(name):
            found = self._stored(f"{name}.partial")
        if not found:
            raise SegmentMissing(f"{name} is not in the archive of {self.database} ({self.storage.name}).")
        if len(found) == 1:
            return found[0]
        if not is_partial(found[0].key.file):
            where = " and ".join(self.storage.location(one.stored.key) for one in found)
            raise CorruptBackup(
                f"{name} is in the archive of {self.database} with two contents, and nobody can tell which is right.",
                hint=f"Two servers archived into one place. Remove the wrong one: {where}",
            )
        return max(found, key=lambda file: (self._filled(file), file.stored.modified_at))

    def _filled(self, file: ArchivedFile) -> int:
        """Return up to where a segment holds log: a beginning of one is filled up with zeros."""
        end = Filled()
        self._read(file.key, file.stored, end.take)
        return end.at

    def _stored(self, name: str) -> list[ArchivedFile]:
        prefix = file_prefix(self.database, self.system_identifier, name)
        entries = ((parse_key(entry.key), entry) for entry in self.storage.list(prefix))
        return [ArchivedFile(key, entry) for key, entry in entries if key is not None]

    def _write(self, file: BinaryIO, key: WalKey, size: int, sha: str) -> tuple[int, bool]:
        """Return the stored bytes, and whether it was us who stored them."""
        try:
            writer = self.storage.writer(key.text(), expected_bytes=size)
        except AlreadyExists:  # somebody stored the very same at this moment
            return self.storage.stat(key.text()).bytes, False
        try:
            result = write_stream(file, writer, level=self._level, recipients=self._recipients, run=Unwatched())
            refuse_changed(key.file, sha, result.plain_sha256)
            return writer.commit().bytes, True
        except AlreadyExists:
            return self.storage.stat(key.text()).bytes, False
        except BaseException:
            writer.abort()
            raise

    def _read(self, key: WalKey, stored: StoredObject, sink: Callable[[bytes], object]) -> int:
        def take(piece: bytes) -> None:
            sink(piece)

        reader = self.storage.reader(stored.key)
        try:
            result = read_stream(
                reader,
                take,
                compression="zstd",
                encryption="age" if key.encrypted else "none",
                identities=self._identities,
                run=Unwatched(),
            )
        except CorruptBackup as error:
            # What reads it takes it for a backup; of a segment that is named already only the reason is news.
            why = error.message.removeprefix("The backup is damaged").lstrip(":. ")
            why = why.replace("The backup ", "it ", 1) if why.startswith("The backup ") else why
            said = f"{self.storage.location(stored.key)} is damaged{': ' if why else '.'}{why}"
            raise CorruptBackup(said, hint=_DAMAGED_HINT) from error
        except KeyMismatch as error:  # which a change in the file's beginning looks like, too: say in which
            raise KeyMismatch(
                f"{self.storage.location(stored.key)} cannot be decrypted: {error.message}", hint=error.hint
            ) from error
        finally:
            reader.close()
        if result.plain_sha256[:SHA_DIGITS] != key.sha_prefix:
            raise CorruptBackup(
                f"{self.storage.location(stored.key)} does not hold what its name says: its sha256 begins with "
                f"{result.plain_sha256[:SHA_DIGITS]}.",
                hint=_DAMAGED_HINT,
            )
        return result.plain_bytes

    def has_key(self, file: ArchivedFile) -> bool:
        """Say whether there is anything here to decrypt a file with."""
        return bool(self._identities) or not file.key.encrypted

    def read_small(self, file: ArchivedFile) -> bytes:
        """Return a small file whole. Raise CorruptBackup, KeyMismatch, StorageError."""
        out = io.BytesIO()
        self._read(file.key, file.stored, out.write)
        return out.getvalue()


_DAMAGED_HINT = "Nothing after it can be restored. Take a base backup now: from there on the log is whole again."
