"""The receiver's folder: what pg_receivewal writes, until it is in the storage.

A finished segment has its plain name, the one being written ends in ``.partial``. pg_receivewal goes on with the
segment whose beginning it finds, so an empty one tells it where to begin.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from services.errors import InputError
from services.pitr.wal_header import HEADER_BYTES, read_header
from services.pitr.wal_names import history_timeline, is_partial, is_segment


class Spool:
    """One folder for one database. Nothing in it is the only copy: the slot keeps the log until it is stored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, segment: str) -> None:
        """Empty the folder, and have pg_receivewal begin with this segment."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        (self.folder / f"{segment}.partial").touch(mode=0o600)

    def finished(self) -> list[Path]:
        """Return what can be stored: histories first, then finished segments in order."""
        found = [path for path in self._files() if is_segment(path.name) or history_timeline(path.name) is not None]
        return sorted(found, key=lambda path: (is_segment(path.name), path.name))

    def partial(self) -> list[Path]:
        """Return the beginnings of segments that hold anything, in order."""
        return sorted(path for path in self._files() if is_partial(path.name) and _has_begun(path))

    def left_behind(self) -> list[Path]:
        """Return the beginnings of segments whose timeline was left: they will not be finished."""
        newest = max((path.name[:8] for path in self._files()), default="")
        return [path for path in self.partial() if path.name[:8] < newest]

    def bytes(self) -> int:
        """Return what the finished files take up."""
        total = 0
        for path in self.finished():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    def changed_at(self) -> float:
        """Return when anything here was written last, in seconds since the epoch."""
        times = [0.0]
        for path in self._files():
            try:
                times.append(path.stat().st_mtime)
            except FileNotFoundError:
                continue
        return max(times)

    def _files(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []


def _has_begun(path: Path) -> bool:
    """Say whether a segment has its first page: pg_receivewal makes the file full of zeros."""
    try:
        with path.open("rb") as file:
            read_header(file.read(HEADER_BYTES))
    except (InputError, OSError):
        return False
    return True
