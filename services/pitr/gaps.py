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

    What lies before the first segment of all was never there, and is no gap; nor is what a timeline that was left
    lacks after the fork. A partial segment is the end of its timeline, and fills none.
    """
    stored = by_timeline(segments)
    found = {
        (gap.timeline, gap.first): gap
        for tip in _tips(stored, histories)
        for gap in _gaps_on_the_way(tip, stored, histories.get(tip), segment_bytes)
    }
    return sorted(found.values(), key=lambda gap: (gap.first, gap.timeline))


def _tips(stored: Mapping[int, Mapping[int, datetime]], histories: Mapping[int, TimelineHistory]) -> set[int]:
    """Return the timelines that go on: the newest, and the one on which something was stored last.

    They differ where an old server archives beside a new one. Without the newest one's history nobody can tell which
    others were left, and all of them are looked at.
    """
    if not stored:
        return set()
    newest = max(stored)
    if newest > 1 and newest not in histories:
        return set(stored)
    return {newest, max(stored, key=lambda timeline: (max(stored[timeline].values()), timeline))}


def _gaps_on_the_way(
    tip: int, stored: Mapping[int, Mapping[int, datetime]], history: TimelineHistory | None, size: int
) -> Iterator[Gap]:
    """Yield what is missing on the way to the end of a timeline, through its parents."""
    parts: list[tuple[int, int, int | None]] = []  # timeline, its first segment, the first that is its child's
    first = 0
    for switch in history.switches if history is not None else ():
        left = segment_of(switch.lsn, size)
        parts.append((switch.timeline, first, left))
        first = left
    parts.append((tip, first, None))
    before: tuple[int, datetime] | None = None
    waiting: list[tuple[int, int, int]] = []  # gaps of which nobody knows yet what comes behind them
    for timeline, begin, fork in parts:
        numbers = stored.get(timeline, {})
        for number in sorted(n for n in numbers if n >= begin and (fork is None or n < fork)):
            if before is not None:
                start = max(begin, before[0] + 1)
                if number > start:
                    waiting.append((timeline, start, number - 1))
                for of, lowest, highest in waiting:
                    yield Gap(of, lowest, highest, size, before[1], numbers[number])
            waiting.clear()
            before = number, numbers[number]
        if before is not None and fork is not None:
            start = max(begin, before[0] + 1)
            if start < fork:
                waiting.append((timeline, start, fork - 1))


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
