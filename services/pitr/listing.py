"""What an archive holds, read by one listing: segments, histories, gaps, and what of it cannot be relied on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.catalog.wal_archives import FaultyFile
from services.errors import CorruptBackup, InputError, KeyMismatch, ObjectMissing
from services.pitr.archive import ArchivedFile, ArchivedSegment, WalArchive
from services.pitr.gaps import Gap, find_gaps
from services.pitr.wal_names import TimelineHistory, history_timeline, is_segment
from services.pitr.window import Base, Window, recovery_windows


@dataclass(frozen=True)
class Listing:
    """One look at an archive."""

    system_identifier: str
    segment_bytes: int
    files: tuple[ArchivedFile, ...]
    segments: tuple[ArchivedSegment, ...]
    histories: dict[int, TimelineHistory]
    gaps: tuple[Gap, ...]
    all_bytes: int
    """Of everything there, the log of other clusters that the database has been included."""
    unreadable: dict[int, FaultyFile]
    """The timelines whose history cannot be read: nobody knows where they come from."""
    conflicts: dict[str, FaultyFile]
    """By name: what is there with two contents, of which nobody can tell which is right."""
    damaged: tuple[FaultyFile, ...] = ()
    """What is known to be damaged from an earlier reading."""

    @property
    def stored_bytes(self) -> int:
        return sum(file.stored.bytes for file in self.files)

    @property
    def last_stored_at(self) -> datetime | None:
        return max((segment.stored_at for segment in self.segments), default=None)

    @property
    def faults(self) -> tuple[FaultyFile, ...]:
        """What the listing itself shows to be unreliable."""
        return (*self.unreadable.values(), *self.conflicts.values())

    @property
    def bad(self) -> tuple[FaultyFile, ...]:
        """All that is unreliable: what the listing shows, and what was found by reading."""
        return (*self.faults, *self.damaged)

    def with_damaged(self, known: Collection[FaultyFile]) -> Listing:
        """Return the same with what is known to be damaged, as far as it is still there."""
        there = {file.stored.key for file in self.files}
        return replace(self, damaged=tuple(one for one in known if one.key in there))

    def windows(self, bases: Sequence[Base]) -> list[Window]:
        """Return the recovery windows; none goes over what is damaged, or lies on a timeline that nobody can read."""
        bad = {one.key for one in self.damaged}
        sound = [one for one in self.segments if one.key not in bad and one.name not in self.conflicts]
        found = recovery_windows(bases, sound, self.histories, segment_bytes=self.segment_bytes)
        return [window for window in found if window.timeline not in self.unreadable]


def list_archive(archive: WalArchive) -> Listing:
    """List an archive, and read the histories in it. Raise StorageError, and KeyMismatch where there is no key."""
    everything = tuple(archive.files_of_all())
    files = tuple(file for file in everything if file.key.system_identifier == archive.system_identifier)
    segments = archive.segments_of(files)
    histories, unreadable = _read_histories(archive, files)
    gaps = find_gaps(segments, histories, archive.segment_bytes)
    return Listing(
        archive.system_identifier, archive.segment_bytes, files, tuple(segments), histories, tuple(gaps),
        sum(file.stored.bytes for file in everything), unreadable, _conflicts(archive, files),
    )  # fmt: skip


def _read_histories(
    archive: WalArchive, files: Iterable[ArchivedFile]
) -> tuple[dict[int, TimelineHistory], dict[int, FaultyFile]]:
    """Return the histories that can be read, and why the others cannot: one of them must not hide all the rest."""
    found: dict[int, TimelineHistory] = {}
    unreadable: dict[int, FaultyFile] = {}
    for file in files:
        timeline = history_timeline(file.key.file)
        if timeline is None:
            continue
        try:
            text = archive.read_small(file).decode("utf-8", "replace")
            found[timeline] = TimelineHistory.parse(text, timeline)
        except ObjectMissing:
            continue  # it has just been removed
        except (CorruptBackup, InputError, KeyMismatch) as error:
            if not archive.has_key(file):
                raise
            unreadable[timeline] = FaultyFile(file.stored.key, error.message)
    return found, unreadable


def _conflicts(archive: WalArchive, files: Iterable[ArchivedFile]) -> dict[str, FaultyFile]:
    """Return what is there with two contents under one name; of the beginning of a segment there may be several."""
    by_name: defaultdict[str, list[ArchivedFile]] = defaultdict(list)
    for file in files:
        if is_segment(file.key.file) or history_timeline(file.key.file) is not None:
            by_name[file.key.file].append(file)
    return {
        name: FaultyFile(
            found[0].stored.key,
            f"{name} is there with {len(found)} contents, and nobody can tell which is right: "
            + ", ".join(archive.storage.location(one.stored.key) for one in found),
        )
        for name, found in by_name.items()
        if len({one.key.sha_prefix for one in found}) > 1
    }


def mending(file: FaultyFile) -> str:
    """Say how a history that cannot be read is put right: the server keeps all of them."""
    name = file.key.rpartition("/")[2].partition("-")[0]
    return f"delete it, then on the database's host: backups pitr wal-push PGDATA/pg_wal/{name}"
