"""Positions and file names of the write-ahead log. Pure arithmetic; the rules are PostgreSQL's ``xlog_internal.h``.

A position (LSN) is a 64-bit number, written as two hexadecimal halves: ``16/B374D848``. A segment's file is named by 24
hexadecimal digits: timeline, then the segment's number split in two, where the lower half counts the segments of 4 GB:
255 of them with segments of 16 MB, fewer with larger ones. Segments are 1 MB to 1 GB large, a power of two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.errors import InputError

DEFAULT_SEGMENT_BYTES = 16 << 20
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})\Z")
_SEGMENT = re.compile(r"[0-9A-F]{24}\Z")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history\Z")
_BACKUP_LABEL = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup\Z")
_4GB = 1 << 32


def parse_lsn(text: str) -> int:
    """Given ``16/B374D848``, return the position as a number. Raise InputError."""
    found = _LSN.match(text.strip())
    if not found:
        raise InputError(
            f"{text!r} is not a position in the write-ahead log.", hint="Write it as PostgreSQL does: 16/B374D848."
        )
    return int(found[1], 16) << 32 | int(found[2], 16)


def format_lsn(lsn: int) -> str:
    """Return a position as PostgreSQL writes it: ``16/B374D848``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def check_segment_bytes(size: int) -> int:
    """Return the size if segments may have it. Raise InputError."""
    if not (1 << 20) <= size <= (1 << 30) or size & (size - 1):
        raise InputError(f"Segments of {size} bytes do not exist.", hint="A power of two, 1 MB to 1 GB.")
    return size


def segment_of(lsn: int, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> int:
    """Return the number of the segment that holds the byte at this position."""
    return lsn // segment_bytes


def last_segment_before(lsn: int, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> int:
    """Return the number of the segment that holds the last byte before this position: what is needed to reach it."""
    return max(lsn - 1, 0) // segment_bytes


@dataclass(frozen=True, order=True)
class SegmentName:
    """One segment of one timeline. ``number`` counts all segments from position 0, so neighbours differ by one."""

    timeline: int
    number: int

    @classmethod
    def parse(cls, text: str, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> SegmentName:
        """Given 24 hexadecimal digits, return the segment. Raise InputError, also for a name that this size lacks."""
        if not is_segment(text):
            raise InputError(f"{text!r} is not the name of a segment.", hint="It is 24 hexadecimal digits, capitals.")
        high, low = int(text[8:16], 16), int(text[16:], 16)
        per_file = _4GB // segment_bytes
        if low >= per_file or text[:8] == "00000000":
            raise InputError(f"{text} cannot be the name of a segment of {segment_bytes >> 20} MB.")
        return cls(int(text[:8], 16), high * per_file + low)

    def name(self, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> str:
        """Return the file's name: 24 hexadecimal digits."""
        high, low = divmod(self.number, _4GB // segment_bytes)
        return f"{self.timeline:08X}{high:08X}{low:08X}"

    def start_lsn(self, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> int:
        """Return the position of its first byte."""
        return self.number * segment_bytes

    def end_lsn(self, segment_bytes: int = DEFAULT_SEGMENT_BYTES) -> int:
        """Return the position after its last byte."""
        return (self.number + 1) * segment_bytes


def is_segment(name: str) -> bool:
    """Say whether this is a file name of a whole segment."""
    return bool(_SEGMENT.match(name))


def is_partial(name: str) -> bool:
    """Say whether this is the beginning of a segment, as it was at a promotion or where a receiver stopped."""
    return name.endswith(".partial") and is_segment(name.removesuffix(".partial"))


def is_backup_label(name: str) -> bool:
    """Say whether this is a backup history file (``SEGMENT.OFFSET.backup``): for people, recovery needs none."""
    return bool(_BACKUP_LABEL.match(name))


def history_timeline(name: str) -> int | None:
    """Return the timeline of a history file (``00000002.history``), or None when the name is none of one."""
    found = _HISTORY.match(name)
    return int(found[1], 16) if found else None


@dataclass(frozen=True)
class Switch:
    """Where a timeline was left for the next one."""

    timeline: int
    lsn: int
    reason: str = ""


@dataclass(frozen=True)
class TimelineHistory:
    """The parents of a timeline, oldest first: the content of its ``.history`` file."""

    timeline: int
    switches: tuple[Switch, ...]

    @classmethod
    def parse(cls, text: str, timeline: int) -> TimelineHistory:
        """Given a history file's text and its own timeline, return it. Raise InputError as the server would refuse it.

        A line is: parent timeline, position, reason, with blanks between; ``#`` begins a comment.
        """
        switches: list[Switch] = []
        for line in text.splitlines():
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            parts = line.split(None, 2)
            if len(parts) < 2 or not parts[0].isdigit():
                raise InputError(f"The history of timeline {timeline} cannot be read: {line[:80]!r}.")
            switches.append(Switch(int(parts[0]), parse_lsn(parts[1]), parts[2] if len(parts) > 2 else ""))
        numbers = [switch.timeline for switch in switches]
        if numbers != sorted(set(numbers)) or (numbers and numbers[-1] >= timeline):
            raise InputError(f"The history of timeline {timeline} is out of order: {numbers}.")
        return cls(timeline, tuple(switches))

    def timeline_at(self, lsn: int) -> int:
        """Return the timeline on which the byte before this position was written, seen from this timeline."""
        for switch in self.switches:
            if lsn <= switch.lsn:
                return switch.timeline
        return self.timeline

    def ends(self) -> dict[int, int]:
        """Return where each parent ends, by its timeline."""
        return {switch.timeline: switch.lsn for switch in self.switches}
