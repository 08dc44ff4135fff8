"""The files of a dump in directory format, compressed while pg_dump still writes the others.

pg_dump ends the file of a table with a line ``\\.`` (the end of COPY's data) and two empty lines, and nothing in a row
can look like that line: COPY doubles every backslash. So a file that ends like this is whole, and no longer needed once
it is compressed; the disk holds the files that are being written and the compressed ones, not the whole dump. What has
no such end (large objects, tables of contents) waits until pg_dump has ended well.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from services.errors import StorageFull
from services.jobs.context import RunContext
from services.restores.spool import MARGIN, free_bytes
from services.storage.local_errors import said_plainly
from services.stream.pipeline import CHUNK
from services.stream.tar_write import TOC, ZSTD, Member
from services.stream.write import MAX_THREADS, zstd_compressor
from services.units import format_bytes

DATA_END = b"\\.\n\n\n"
"""What the file of a table ends with (``_EndData`` and ``dumpTableData_copy`` of pg_dump)."""
_DATA = re.compile(r"\d+\.dat\Z")


class Packer:
    """Compresses the files of a dump folder, each as soon as it is whole, several at once."""

    def __init__(self, folder: Path, *, level: int, run: RunContext) -> None:
        self.folder = folder
        self._level = level
        self._run = run
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS), thread_name_prefix="pack")
        self._packing: dict[str, Future[Member]] = {}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._packed = 0
        self._sizes: dict[str, int] = {}

    @property
    def packed(self) -> int:
        """The bytes, before compression, that have been compressed so far."""
        with self._lock:
            return self._packed

    @property
    def plain_bytes(self) -> int:
        """The bytes that pg_dump has written so far."""
        return sum(self._sizes.values())

    def look(self, *, all_whole: bool = False) -> None:
        """Begin with the files that are whole; ``all_whole``: pg_dump has ended well, so that each is.

        Raise StorageFull when the disk is about to fill, and what has gone wrong with an earlier file.
        """
        for name, future in self._packing.items():
            if future.done():
                self._sizes[name] = future.result().plain_bytes
        for entry in sorted(os.scandir(self.folder), key=lambda found: found.name):
            if entry.name in self._packing or entry.name.endswith(ZSTD):
                continue
            size = entry.stat().st_size
            self._sizes[entry.name] = size
            if all_whole or (_DATA.match(entry.name) and _is_whole(Path(entry.path))):
                self._packing[entry.name] = self._pool.submit(self._pack, Path(entry.path))
        if free_bytes(self.folder) < MARGIN:
            raise StorageFull(
                f"The disk of {self.folder.parent} is down to {format_bytes(free_bytes(self.folder))}: the dump was "
                "given up before it filled.",
                hint="Make room, set `spool` to a larger disk, or dump with one job, which needs no disk.",
            )

    def members(self) -> list[Member]:
        """Wait for the last file; return all of them in the order of the archive, the table of contents first."""
        waiting = list(self._packing.values())
        for future in waiting:
            while not _within(future, 0.1):
                self._run.progress(self.packed)
                self._run.check_cancelled()
        self._run.progress(self.packed)
        made = [future.result() for future in waiting]
        return sorted(made, key=lambda member: (member.name != TOC, _number(member.name), member.name))

    def close(self) -> None:
        """Give up what is not done, and wait for the threads."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _pack(self, path: Path) -> Member:
        """Compress one file and remove it; the table of contents stays as it is."""
        target = path if path.name == TOC else path.with_name(path.name + ZSTD)
        digest, plain = hashlib.sha256(), 0
        with said_plainly(str(path.parent), "be written"):
            if target == path:
                data = path.read_bytes()
                digest.update(data)
                plain = len(data)
            else:
                for piece in self._compress(path, target):
                    digest.update(piece)
                    plain += len(piece)
                path.unlink()
            return Member(target.name, target, target.stat().st_size, plain, digest.hexdigest())

    def _compress(self, path: Path, target: Path) -> Iterator[bytes]:
        """Yield the plain bytes as they are compressed."""
        compressor = zstd_compressor(self._level)
        with path.open("rb", buffering=0) as source, target.open("xb", buffering=0) as packed:
            while piece := source.read(CHUNK):
                if self._stopping.is_set():
                    break
                _write_all(packed.fileno(), compressor.compress(piece))
                with self._lock:
                    self._packed += len(piece)
                yield piece
            _write_all(packed.fileno(), compressor.flush())


@contextmanager
def packing(folder: Path, *, level: int, run: RunContext) -> Iterator[Packer]:
    """Make the folder and yield its packer, whose threads have ended when the block has."""
    folder.mkdir(mode=0o700)
    packer = Packer(folder, level=level, run=run)
    try:
        yield packer
    finally:
        packer.close()


def ends_whole(tail: bytes) -> bool:
    """Say whether a table's file that ends with these bytes (at least six, or all of it) is whole."""
    return tail == DATA_END or tail.endswith(b"\n" + DATA_END)


def _is_whole(path: Path) -> bool:
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(DATA_END) - 1))
        return ends_whole(file.read())


def _within(future: Future[Member], seconds: float) -> bool:
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


def _number(name: str) -> int:
    found = re.search(r"\d+", name)
    return int(found[0]) if found else 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
