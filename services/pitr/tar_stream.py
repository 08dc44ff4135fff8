"""A tar that is read while it passes, in pieces of any size: who looks decides per entry what becomes of its bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from typing import Protocol

from services.errors import CorruptBackup

_BLOCK = tarfile.BLOCKSIZE


class Sink(Protocol):
    """Takes the bytes of one file."""

    def write(self, data: memoryview, /) -> object: ...
    def close(self) -> object: ...


Entry = Callable[[tarfile.TarInfo], Sink | None]
"""Is told of each entry, and returns what takes its bytes; None: they are passed over."""


class TarStream:
    """Feed it the tar; ``finish`` says that no more follows. Raises CorruptBackup for what is no tar, or cut short."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._held = bytearray()
        """The beginning of a header."""
        self._left = 0
        """Bytes of the present file that are still to come."""
        self._padding = 0
        self._sink: Sink | None = None
        self._ended = False
        self.entries = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        view = memoryview(data)
        while view and not self._ended:
            if self._left:
                view = self._body(view)
            elif self._padding:
                passed = min(self._padding, len(view))
                self._padding -= passed
                view = view[passed:]
            else:
                view = self._header(view)

    def finish(self) -> None:
        """Say that this was all. Raise CorruptBackup when the tar's own end is missing."""
        if not self._ended:
            self.close()
            raise CorruptBackup("The tar of the base backup is cut short.", hint="Use another copy or another backup.")

    def close(self) -> None:
        """Close the file that is being written, if one is."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _body(self, view: memoryview) -> memoryview:
        passed = min(self._left, len(view))
        if self._sink is not None:
            self._sink.write(view[:passed])
        self._left -= passed
        if not self._left:
            self.close()
        return view[passed:]

    def _header(self, view: memoryview) -> memoryview:
        wanted = _BLOCK - len(self._held)
        self._held += view[:wanted]
        rest = view[wanted:]
        if len(self._held) < _BLOCK:
            return rest
        block = bytes(self._held)
        self._held.clear()
        if not any(block):
            self._ended = True
            return rest
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise CorruptBackup(
                f"The tar of the base backup cannot be read: {error}.", hint="Use another copy or another backup."
            ) from error
        self.entries += 1
        has_body = info.isreg()
        sink = self._entry(info)
        if has_body and info.size:
            self._left, self._padding, self._sink = info.size, -info.size % _BLOCK, sink
        elif sink is not None:
            sink.close()
        return rest


class Kept:
    """A sink that keeps what it gets in memory, up to a limit in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.data = bytearray()

    def write(self, data: memoryview, /) -> None:
        if len(self.data) + len(data) > self._limit:
            raise CorruptBackup(f"A file of the base backup is larger than the {self._limit:,} bytes that it may have.")
        self.data += data

    def close(self) -> None:
        """Nothing is open."""
