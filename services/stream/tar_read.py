"""The tar archive of a dump in directory format, taken apart as it arrives, and held to what this product writes.

Each file must be whole by itself (zstd's frame and its checksum), and the archive must be whole: the table of contents
first, no name twice, its end seen, nothing after it. Whatever else a tar may hold (links, folders, devices, names with
a path) is refused, so that nothing is ever written outside the folder that it is unpacked into.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Generator
from typing import Protocol

from services.errors import CorruptBackup
from services.stream.decoders import PlainDecoder, ZstdDecoder
from services.stream.tar_write import BLOCK, END, TOC, ZSTD

_NAME = re.compile(r"(toc\.dat|[A-Za-z0-9_]+\.(dat|toc)\.zst)\Z")
_HINT = "Use another copy or another backup."


class FileSink(Protocol):
    """Takes the files of the dump, one after the other, decompressed."""

    def begin(self, name: str) -> None:
        """A file of this name (as pg_dump calls it: ``3456.dat``) follows."""

    def write(self, data: bytes) -> None:
        """Its next bytes."""

    def end(self) -> None:
        """It is whole."""


class Listing:
    """The hash over a dump's files: of the lines ``SHA256  NAME`` that ``sha256sum`` prints, in the archive's order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.bytes = 0

    def add(self, name: str, size: int, digest: str) -> None:
        """Add a file as pg_dump wrote it."""
        self._hash.update(f"{digest}  {name}\n".encode("ascii"))
        self.bytes += size

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class TarUnpacker:
    """Takes the archive in pieces and hands the files to a sink."""

    def __init__(self, sink: FileSink) -> None:
        self._sink = sink
        self._steps = self._take_apart()
        self._pending = bytearray()
        self._wanted = next(self._steps)
        self._ended = False
        self.listing = Listing()
        self.packed: dict[str, int] = {}
        """Name as pg_dump calls it -> bytes that it takes in the archive."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raise CorruptBackup, and what the sink raises."""
        view = memoryview(data)
        while view:
            if self._ended:
                raise _corrupt("has bytes after its archive's end")
            # A block is gathered whole; of a file's content whatever is there is passed on.
            if self._wanted < 0:
                size = min(-self._wanted, len(view))
                piece = bytes(view[:size])
            else:
                size = min(self._wanted - len(self._pending), len(view))
                self._pending += view[:size]
                piece = bytes(self._pending) if len(self._pending) == self._wanted else b""
            view = view[size:]
            if piece:
                self._pending.clear()
                self._go_on(piece)

    def finish(self) -> None:
        """Raise CorruptBackup unless the archive ended exactly here."""
        if not self._ended:
            raise _corrupt("is cut: its archive stops before its end")

    def _go_on(self, piece: bytes) -> None:
        try:
            self._wanted = self._steps.send(piece)
        except StopIteration:
            self._ended = True

    def _take_apart(self) -> Generator[int, bytes, None]:
        """Ask for bytes by yielding: a number wants exactly so many, a negative one up to so many of a file's content.

        Yields are answered (``send``) with the bytes.
        """
        while True:
            block = yield BLOCK
            if not any(block):
                rest = yield len(END) - BLOCK
                if any(rest):
                    raise _corrupt("has a gap in its archive")
                break
            name, size = self._understand(block)
            yield from self._file(name, size)
        if TOC not in self.packed:
            raise _corrupt("holds no table of contents")

    def _understand(self, block: bytes) -> tuple[str, int]:
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise _corrupt("has an archive whose next header cannot be read") from error
        if info.type != tarfile.REGTYPE or not _NAME.match(info.name):
            raise _corrupt(f"holds {info.name[:60]!r}, which is no file of a dump")
        if info.name.removesuffix(ZSTD) in self.packed:
            raise _corrupt(f"holds {info.name} twice")
        if not self.packed and info.name != TOC:
            raise _corrupt("does not begin with its table of contents")
        return info.name, info.size

    def _file(self, name: str, size: int) -> Generator[int, bytes, None]:
        plain_name = name.removesuffix(ZSTD)
        decoder = ZstdDecoder() if name.endswith(ZSTD) else PlainDecoder()
        digest, plain, left = hashlib.sha256(), 0, size
        self._sink.begin(plain_name)
        while left:
            piece = yield -left
            left -= len(piece)
            for out in decoder.feed(piece):
                digest.update(out)
                plain += len(out)
                self._sink.write(out)
        decoder.finish()
        if size % BLOCK:
            filling = yield -size % BLOCK
            if any(filling):
                raise _corrupt(f"has bytes between {name} and the file after it")
        self._sink.end()
        self.packed[plain_name] = size
        self.listing.add(plain_name, plain, digest.hexdigest())


def _corrupt(what: str) -> CorruptBackup:
    return CorruptBackup(f"The backup {what}.", hint=_HINT)
