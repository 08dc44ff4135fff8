"""The receiver's folder: what pg_receivewal writes, until it is in the storage.

A finished segment has its plain name, the one being written ends in ``.partial``. pg_receivewal goes on with the
segment whose beginning it finds, so an empty one tells it where to begin. Each receiver has a folder of its own, so
that two workers with one home do not work in each other's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from pathlib import Path

from services.errors import InputError
from services.pitr.wal_header import HEADER_BYTES, read_header
from services.pitr.wal_names import history_timeline, is_partial, is_segment


class Spool:
    """The folder of one receiver. Nothing in it is the only copy: the slot keeps the log until it is stored."""

    def __init__(self, folder: Path, lock: Lock | None = None) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def begin(cls, place: Path, segment: str) -> Spool:
        """Make a folder of our own in ``place``, and have pg_receivewal begin there with this segment.

        What others left there goes, unless they still work on it. Raise InputError where nothing can be made.
        """
        try:
            place.mkdir(parents=True, mode=0o700, exist_ok=True)
            _sweep(place)
            folder = place / uuid.uuid4().hex
            lock = Lock.take(_lock_of(folder))
            folder.mkdir(mode=0o700)
            (folder / f"{segment}.partial").touch(mode=0o600)
        except OSError as error:
            raise InputError(f"The spool in {place} cannot be made: {error.strerror}.") from error
        return cls(folder, lock)

    def end(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()

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


class Lock:
    """A file that is locked while its process lives; the kernel lets go of it after ``kill -9``, too."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Make the file and lock it; one that was swept away in between is made anew. Raise OSError."""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                return cls(path, descriptor)
            os.close(descriptor)

    def release(self) -> None:
        """Remove the file. Done once."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _sweep(place: Path) -> None:
    """Remove what receivers left that are gone: a folder whose lock nobody holds."""
    for path in place.iterdir():
        if path.suffix == ".lock":
            continue
        if not path.is_dir():
            path.unlink(missing_ok=True)
        elif not _is_held(_lock_of(path)):
            shutil.rmtree(path, ignore_errors=True)
            _lock_of(path).unlink(missing_ok=True)


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _has_begun(path: Path) -> bool:
    """Say whether a segment has its first page: pg_receivewal makes the file full of zeros."""
    try:
        with path.open("rb") as file:
            read_header(file.read(HEADER_BYTES))
    except (InputError, OSError):
        return False
    return True
