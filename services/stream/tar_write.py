"""A dump in directory format as one stream: a tar archive, written piece by piece and never on the disk as a whole.

GNU format: a header of 512 bytes before each file, whatever its size (beyond 8 GB POSIX's own would need another
header), two blocks of zeros at the end. Any ``tar`` unpacks it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from services.stream.pipeline import CHUNK

BLOCK = 512
END = bytes(2 * BLOCK)
TOC = "toc.dat"
"""The table of contents: the first member, not compressed, so that it can be read without the rest."""
ZSTD = ".zst"
"""What the name of every other member ends with."""


@dataclass(frozen=True)
class Member:
    """A file of the dump on its way into the archive."""

    name: str
    """As in the archive: ``toc.dat``, ``3456.dat.zst``."""
    path: Path
    """Where it lies until it is written; removed then."""
    bytes: int
    plain_bytes: int
    plain_sha256: str


class TarSource:
    """A tar archive of the members, to be read once from beginning to end (``write_stream``'s source).

    Each file is removed as soon as it was read, so that the disk empties while the archive is written.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        self._pieces = _pieces(members)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next piece, empty at the end, whatever ``size`` says."""
        return next(self._pieces, b"")


def header(name: str, size: int) -> bytes:
    """Return the block that stands before a file: readable by its owner alone, of nobody, of no time."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def padding(size: int) -> bytes:
    """Return the zeros that fill the last block of a file of this size."""
    return bytes(-size % BLOCK)


def _pieces(members: Iterable[Member]) -> Iterator[bytes]:
    for member in members:
        yield header(member.name, member.bytes)
        with member.path.open("rb", buffering=0) as file:
            while piece := file.read(CHUNK):
                yield piece
        member.path.unlink()
        if member.bytes % BLOCK:
            yield padding(member.bytes)
    yield END
