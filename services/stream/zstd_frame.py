"""Where the blocks of a zstd frame lie, so that a decompressor can be fed one block at a time.

A decompressor's output for one call has no limit of its own: 64 kB of a table full of equal values become gigabytes. A
block, though, never holds more than 128 kB (RFC 8878, section 3.1.1.2). Only the sizes of pieces depend on what is read
here; whether the frame is whole is for the decompressor to say.
"""

from __future__ import annotations

from collections.abc import Iterator

_MAGIC_AND_DESCRIPTOR = 5
_BLOCK_HEADER = 3
_CHECKSUM = 4
_RLE = 1
_RESERVED = 3
_UNKNOWN_PIECE = 512
"""Piece for what is no frame as we know it: the decompressor will refuse it; until then little can come of it."""


class FrameSplitter:
    """Cuts the bytes of one frame so that no piece completes more than one block."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._head_size = _MAGIC_AND_DESCRIPTOR
        self._body_left = 0
        self._in_blocks = False
        self._last = False
        self._has_checksum = False

    def split(self, data: bytes) -> Iterator[bytes]:
        """Yield ``data`` in pieces, in order and whole."""
        at = 0
        while at < len(data):
            if self._body_left:
                size = min(self._body_left, len(data) - at)
                self._body_left -= size
            elif self._last:
                size = _UNKNOWN_PIECE
            else:
                size = min(self._head_size - len(self._head), len(data) - at)
                self._head += data[at : at + size]
                if len(self._head) == self._head_size:
                    self._understand()
            yield data[at : at + size]
            at += size

    def _understand(self) -> None:
        """Given a complete head, work out what follows it."""
        head = bytes(self._head)
        if self._in_blocks:
            self._block(int.from_bytes(head, "little"))
            self._head.clear()
        elif len(head) == _MAGIC_AND_DESCRIPTOR:
            self._head_size += _rest_of_header(head[4])
            self._has_checksum = bool(head[4] & 4)
            if self._head_size == _MAGIC_AND_DESCRIPTOR:
                self._begin_blocks()
        else:
            self._begin_blocks()

    def _begin_blocks(self) -> None:
        self._in_blocks = True
        self._head.clear()
        self._head_size = _BLOCK_HEADER

    def _block(self, header: int) -> None:
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind == _RESERVED:
            self._last, self._body_left = True, 0
            return
        self._last, self._body_left = last, 1 if kind == _RLE else size
        if last and self._has_checksum:
            self._body_left += _CHECKSUM


def _rest_of_header(descriptor: int) -> int:
    """Return the bytes of a frame header after its descriptor (RFC 8878, section 3.1.1.1)."""
    single_segment = bool(descriptor & 0x20)
    window = 0 if single_segment else 1
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    return window + dictionary + content_size
