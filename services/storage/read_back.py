"""Reading a file back from its disk while it is still being written, so that its end brings no long wait.

A thread syncs what was written so far, has the kernel forget it, reads it from the disk and hashes it; then what was
written meanwhile, and so on. Without that the kernel would keep gigabytes in memory and write them all at the end.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

STEP_BYTES = 32 << 20
"""Bytes that are written between two looks; files smaller than that are read back at their end, without a thread."""
_PIECE = 1 << 20
_WHOLE = 2 << 20
"""The kernel forgets whole pages only, on some file systems in blocks of up to 2 MiB that begin at multiples of that.

Nothing is read of a block that is still being written: it would come from memory, and be taken for the disk's."""


class ReadBack:
    """Reads one growing file back. ``written``, ``finish`` and ``close`` are called by the writer, one at a time."""

    def __init__(self, descriptor: int, path: Path) -> None:
        """Given the descriptor that the file is written through, and its path."""
        self._written_to = descriptor
        self._path = path
        self._hash = hashlib.sha256()
        self._written = 0
        self._read = 0
        self._changed = threading.Condition()
        self._closed = False
        self._failure: OSError | None = None
        self._thread: threading.Thread | None = None

    def written(self, count: int) -> None:
        """Say that so many bytes more were written. Raise OSError when reading back has failed."""
        with self._changed:
            self._written += count
            if self._failure is not None:
                raise self._failure
            if self._written - self._read >= STEP_BYTES:
                self._changed.notify_all()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._follow, name="read back", daemon=True)
                    self._thread.start()

    def finish(self) -> str:
        """Read the rest, which must be synced by now, and return the sha256 of the whole file as the disk has it.

        Raise OSError.
        """
        self.close()
        if self._failure is not None:
            raise self._failure
        self._read_up_to(self._written, to_the_end=True)
        return self._hash.hexdigest()

    def close(self) -> None:
        """End the thread; nobody may close the descriptor before."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        while True:
            with self._changed:
                while not self._closed and self._written - self._read < STEP_BYTES:
                    self._changed.wait()
                if self._closed:
                    return
                end = self._written
            try:
                os.fsync(self._written_to)
                self._read_up_to(end - end % _WHOLE)
            except OSError as error:
                with self._changed:
                    self._failure = error
                return

    def _read_up_to(self, end: int, *, to_the_end: bool = False) -> None:
        """Read on up to ``end``, which is the end of a block, or ``to_the_end`` that of the file."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # what the kernel holds says nothing of the disk
            if hasattr(os, "posix_fadvise"):  # macOS has none, and reads back what the kernel holds
                start = self._read - self._read % _WHOLE
                os.posix_fadvise(descriptor, start, 0 if to_the_end else end - start, os.POSIX_FADV_DONTNEED)
            while self._read < end and not (self._closed and self._thread is threading.current_thread()):
                piece = os.pread(descriptor, min(_PIECE, end - self._read), self._read)
                if not piece:
                    return  # cut short by somebody else: the hash will tell
                self._hash.update(piece)
                with self._changed:
                    self._read += len(piece)
        finally:
            os.close(descriptor)
