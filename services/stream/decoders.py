"""Decompressing piece by piece with bounded memory, and being certain that the data ended exactly where it should."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from services.errors import CorruptBackup, UntrustedManifest
from services.stream.zstd_frame import FrameSplitter

MAX_OUTPUT = 1 << 20
"""Bytes that one step of the gzip decoder gives at most; zstd's steps give a block, at most 128 kB."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP = 31  # zlib's window bits: the largest window, with gzip's header and trailer
_HINT = "Use another copy or another backup."


class Decoder(Protocol):
    """Turns stored (decrypted) bytes into the plain dump."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes, yield plain ones in bounded pieces. Raise CorruptBackup."""

    def finish(self) -> None:
        """Raise CorruptBackup unless the data ended exactly here."""


def decoder_for(compression: str) -> Decoder:
    """Given ``zstd``, ``gzip`` or ``none``, return a decoder. Raise UntrustedManifest for anything else."""
    if compression == "zstd":
        return ZstdDecoder()
    if compression == "gzip":
        return GzipDecoder()
    if compression == "none":
        return PlainDecoder()
    raise UntrustedManifest(
        f"The backup says that it is compressed with {compression!r}, which is unknown here.",
        hint="It was made by a newer version of this product, or its manifest was changed.",
    )


class ZstdDecoder:
    """One zstd frame: its end, and the checksum at it, must be seen, and nothing may follow."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        self._splitter = FrameSplitter()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for piece in self._splitter.split(data):
            if self._decompressor.eof:
                raise _further_frame() if piece.startswith(_ZSTD_MAGIC[: len(piece)]) else _appended("zstd")
            try:
                plain = self._decompressor.decompress(piece)
            except zstandard.ZstdError as error:
                raise _damaged("zstd", error) from error
            if self._decompressor.unused_data:
                raise _appended("zstd")
            if plain:
                yield plain

    def finish(self) -> None:
        if not self._decompressor.eof:
            raise _cut("zstd")


class GzipDecoder:
    """One or more gzip members (dumps that were made elsewhere and adopted); the last one must be whole."""

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._decompressor.eof:
                self._decompressor = zlib.decompressobj(_GZIP)
            self._begun = True
            try:
                plain = self._decompressor.decompress(data, MAX_OUTPUT)
            except zlib.error as error:
                raise _damaged("gzip", error) from error
            data = self._decompressor.unused_data if self._decompressor.eof else self._decompressor.unconsumed_tail
            if plain:
                yield plain

    def finish(self) -> None:
        if not self._begun or not self._decompressor.eof:
            raise _cut("gzip")


class PlainDecoder:
    """Not compressed: nothing here can tell a cut, only the hashes can."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Any end will do."""


def _cut(name: str) -> CorruptBackup:
    return CorruptBackup(f"The backup is cut: the {name} data stops before its end.", hint=_HINT)


def _appended(name: str) -> CorruptBackup:
    return CorruptBackup(f"The backup has bytes after the end of its {name} data.", hint=_HINT)


def _further_frame() -> CorruptBackup:
    return CorruptBackup(
        "The zstd data has a further frame after its end: several files in one, or made by a parallel zstd.",
        hint="A backup of this product has one, so it was changed. A file to be adopted: unpack it with `zstd -d`.",
    )


def _damaged(name: str, error: Exception) -> CorruptBackup:
    return CorruptBackup(f"The backup is damaged: {name} cannot read it ({error}).", hint=_HINT)
