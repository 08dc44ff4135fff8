"""Reading an archive to its end: every file decrypted, decompressed and compared with the checksum in its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.catalog.wal_archives import FaultyFile
from services.errors import CorruptBackup, ObjectMissing
from services.pitr.archive import ArchivedFile, WalArchive


@dataclass(frozen=True)
class Checked:
    """What a reading found."""

    keys: tuple[str, ...]
    """Of what was read."""
    plain_bytes: int
    damaged: tuple[FaultyFile, ...]

    @property
    def files(self) -> int:
        return len(self.keys)


def check_files(archive: WalArchive, files: Sequence[ArchivedFile], *, last: int | None = None) -> Checked:
    """Read files of an archive, all of them or those stored ``last``. Raise KeyMismatch, StorageError.

    What disappears meanwhile was removed by the retention, and counts for nothing.
    """
    chosen = sorted(files, key=lambda file: file.stored.modified_at)
    chosen = chosen if last is None else chosen[-last:]
    read, plain, damaged = [], 0, []
    for file in chosen:
        try:
            plain += archive.check(file)
        except ObjectMissing:
            continue
        except CorruptBackup as error:
            damaged.append(FaultyFile(file.stored.key, error.message))
        read.append(file.stored.key)
    return Checked(tuple(read), plain, tuple(damaged))
