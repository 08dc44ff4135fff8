"""What an archive holds, read by one listing: segments, histories, gaps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.pitr.archive import ArchivedFile, ArchivedSegment, WalArchive
from services.pitr.gaps import Gap, find_gaps
from services.pitr.wal_names import TimelineHistory


@dataclass(frozen=True)
class Listing:
    """One look at an archive."""

    system_identifier: str
    segment_bytes: int
    files: tuple[ArchivedFile, ...]
    segments: tuple[ArchivedSegment, ...]
    histories: dict[int, TimelineHistory]
    gaps: tuple[Gap, ...]

    @property
    def stored_bytes(self) -> int:
        return sum(file.stored.bytes for file in self.files)

    @property
    def last_stored_at(self) -> datetime | None:
        return max((segment.stored_at for segment in self.segments), default=None)


def list_archive(archive: WalArchive) -> Listing:
    """List an archive, and read the histories in it. Raise StorageError, CorruptBackup, KeyMismatch."""
    files = tuple(archive.files())
    segments = archive.segments_of(files)
    histories = archive.histories_of(files)
    gaps = find_gaps(segments, histories, archive.segment_bytes)
    return Listing(archive.system_identifier, archive.segment_bytes, files, tuple(segments), histories, tuple(gaps))
