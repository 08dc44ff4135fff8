"""Gaps: segments that are missing in the archive, found by listing it, per timeline. Pure.

The server's statistics say what it believes to have archived; a listing says what is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.pitr.wal_names import DEFAULT_SEGMENT_BYTES, SegmentName, TimelineHistory, segment_of


class Segment(Protocol):
    """What is needed of an archived segment (``services.pitr.archive.ArchivedSegment``)."""

    @property
    def timeline(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def stored_at(self) -> datetime: ...
    @property
    def partial(self) -> bool: ...


@dataclass(frozen=True)
class Gap:
    """Segments in a row that are missing on one timeline, with what is there on both sides of them."""

    timeline: int
    first: int
    """Number of the first missing segment."""
    last: int
    segment_bytes: int
    before_at: datetime | None = None
    """When the segment before the gap was stored; None where there is none."""
    after_at: datetime | None = None
    """When the segment after it was stored."""

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def names(self, limit: int | None = None) -> list[str]:
        """Return the names of the missing segments, at most ``limit``."""
        last = self.last if limit is None else min(self.last, self.first + limit - 1)
        return [SegmentName(self.timeline, n).name(self.segment_bytes) for n in range(self.first, last + 1)]

    def __str__(self) -> str:
        first = SegmentName(self.timeline, self.first).name(self.segment_bytes)
        if self.count == 1:
            return first
        return f"{first} to {SegmentName(self.timeline, self.last).name(self.segment_bytes)} ({self.count:,} segments)"


def find_gaps(
    segments: Iterable[Segment],
    histories: Mapping[int, TimelineHistory],
    segment_bytes: int = DEFAULT_SEGMENT_BYTES,
) -> list[Gap]:
    """Given what an archive lists, return the gaps: within each timeline, and where one was left for the next.

    What lies before the first segment of all was never there, and is no gap. A partial segment is the end of its
    timeline, and fills none.
    """
    stored = by_timeline(segments)
    gaps: list[Gap] = []
    for timeline in sorted(stored):
        numbers = stored[timeline]
        before = min(numbers) - 1
        history = histories.get(timeline)
        if history is not None and history.switches:
            switch = history.switches[-1]
            start = segment_of(switch.lsn, segment_bytes)
            parent = [number for number in stored.get(switch.timeline, {}) if number < start]
            if parent:  # else archiving began on this timeline
                gaps += _between(switch.timeline, max(parent), start, stored[switch.timeline], segment_bytes, numbers)
                before = min(before, start - 1)
        for number in sorted(numbers):
            if number > before + 1:
                gaps.append(Gap(timeline, before + 1, number - 1, segment_bytes, numbers.get(before), numbers[number]))
            before = number
    return sorted(gaps, key=lambda gap: (gap.first, gap.timeline))


def needed_gaps(gaps: Iterable[Gap], begins: int | None) -> list[Gap]:
    """Return the gaps that matter: not those before the first segment that the window needs (None: all matter).

    What a pinned base backup keeps for itself is an island, with log missing behind it.
    """
    return [gap for gap in gaps if begins is None or gap.last >= begins]


def by_timeline(segments: Iterable[Segment], *, partial: bool = False) -> dict[int, dict[int, datetime]]:
    """Return, by timeline and number, when each whole segment was stored, or each partial one last."""
    stored: dict[int, dict[int, datetime]] = defaultdict(dict)
    for segment in sorted(segments, key=lambda one: one.stored_at):
        if segment.partial == partial:
            stored[segment.timeline][segment.number] = segment.stored_at
    return dict(stored)


def _between(
    timeline: int, last: int, start: int, stored: Mapping[int, datetime], size: int, child: Mapping[int, datetime]
) -> Iterator[Gap]:
    """Yield what a timeline lacks between its last segment and the one in which its child begins."""
    if last < start - 1:
        yield Gap(timeline, last + 1, start - 1, size, stored[last], min(child.values(), default=None))
