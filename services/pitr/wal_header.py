"""What a segment says of itself: the long header of its first page (PostgreSQL's ``XLogLongPageHeaderData``).

The fields have stood in the same places since PostgreSQL 9.3, in the byte order of the server's machine.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from services.errors import InputError

HEADER_BYTES = 40
_LONG_HEADER = 0x0002
_MAJORS = {0xD106: 13, 0xD10D: 14, 0xD110: 15, 0xD113: 16, 0xD116: 17, 0xD118: 18}
"""XLOG_PAGE_MAGIC by major version; a newer server's is not here, which is no fault."""


@dataclass(frozen=True)
class SegmentHeader:
    """The first page of a segment."""

    system_identifier: str
    """Of the cluster that wrote it, in decimal as ``pg_control_system()`` says it."""
    timeline: int
    """On which the first page was written: not above the timeline in the file's name."""
    start_lsn: int
    segment_bytes: int
    server_major: int | None
    """None for a version that is newer than this product."""


def read_header(data: bytes) -> SegmentHeader:
    """Given the first HEADER_BYTES of a segment, return its header. Raise InputError when they are none."""
    for order in ("<", ">"):
        if len(data) < HEADER_BYTES:
            break
        magic, info, timeline, start, _, _, system, size, _ = struct.unpack(f"{order}HHIQIIQII", data[:HEADER_BYTES])
        if magic >> 8 == 0xD1 and info & _LONG_HEADER and (1 << 20) <= size <= (1 << 30) and not size & (size - 1):
            return SegmentHeader(str(system), timeline, start, size, _MAJORS.get(magic))
    raise InputError("This is no segment of a write-ahead log: it does not begin with a long page header.")


class Filled:
    """Finds where the log in a segment ends, given its pieces in order: behind it there are zeros alone."""

    def __init__(self) -> None:
        self.at = 0
        """The bytes up to the last one that is not zero."""
        self._seen = 0

    def take(self, piece: bytes) -> None:
        held = len(piece.rstrip(b"\0"))
        if held:
            self.at = self._seen + held
        self._seen += len(piece)
