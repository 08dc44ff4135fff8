"""Recovery windows: what may be restored to, given the base backups and the segments that an archive lists. Pure.

A window begins where a base backup is consistent and ends where the segments that follow it without a break do. Time
and position are tied together only by when segments were stored: a window's end in time is when its last segment was
stored, so the last commit in it is a little older. The exact end is what recovery says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.clock import isoformat
from services.errors import InputError
from services.pitr.gaps import Gap, Segment, by_timeline
from services.pitr.wal_names import (
    DEFAULT_SEGMENT_BYTES,
    SegmentName,
    TimelineHistory,
    format_lsn,
    last_segment_before,
    segment_of,
)


class Base(Protocol):
    """What is needed of a base backup (``services.pitr.base_model.BaseBackup``)."""

    @property
    def timeline(self) -> int: ...
    @property
    def start_lsn(self) -> int: ...
    @property
    def stop_lsn(self) -> int: ...
    @property
    def stopped_at(self) -> datetime: ...


@dataclass(frozen=True)
class Window:
    """From where to where recovery can stop anywhere, ending on one timeline."""

    from_at: datetime
    """When the oldest base backup in it was consistent, by the server's clock."""
    to_at: datetime
    """When the last segment was stored: nothing later can be restored to, and what the last seconds before it hold only
    recovery can tell."""
    timeline: int
    """The one that it ends on, which it may have come to by way of others."""
    from_lsn: int
    to_lsn: int
    """The position after the last segment."""
    segment_bytes: int = DEFAULT_SEGMENT_BYTES
    gaps: tuple[Gap, ...] = ()
    """What ends it, where the archive goes on behind: one gap, or none for the last window of its timeline."""


class TargetRefused(InputError):
    """The target cannot be reached. ``missing`` is the gap in the way, if it is one."""

    def __init__(self, message: str, *, hint: str = "", missing: Gap | None = None) -> None:
        super().__init__(message, hint=hint)
        self.missing = missing


@dataclass(frozen=True)
class _Path:
    """The segments that lead to a timeline, its parents' first."""

    timeline: int
    history: TimelineHistory
    stored: Mapping[int, Mapping[int, datetime]]
    partial: Mapping[int, Mapping[int, datetime]]
    segment_bytes: int

    def timeline_of(self, number: int) -> int:
        """Return the timeline under whose name recovery looks for a segment: the newest that has begun in it."""
        for switch in self.history.switches:
            if number < segment_of(switch.lsn, self.segment_bytes):
                return switch.timeline
        return self.timeline

    def stored_at(self, number: int) -> datetime | None:
        return self.stored.get(self.timeline_of(number), {}).get(number)

    def partial_at(self, number: int) -> datetime | None:
        return self.partial.get(self.timeline_of(number), {}).get(number)

    def holds(self, base: Base) -> bool:
        """Say whether a base backup lies on the way to this timeline."""
        end = self.history.ends().get(base.timeline)
        if end is None:
            return base.timeline == self.timeline
        return base.stop_lsn <= end

    def numbers(self) -> list[int]:
        """Return the numbers of the whole segments on the way, ascending."""
        return sorted(n for tl, found in self.stored.items() for n in found if self.timeline_of(n) == tl)


def recovery_windows(
    bases: Sequence[Base],
    segments: Iterable[Segment],
    histories: Mapping[int, TimelineHistory],
    *,
    segment_bytes: int = DEFAULT_SEGMENT_BYTES,
) -> list[Window]:
    """Given base backups and what the archive lists, return the windows: by timeline, the oldest first.

    A base backup without the segments up to its own end opens none. A partial segment at the end counts: how far it
    goes is for recovery to find out.
    """
    listed = list(segments)
    stored, partial = by_timeline(listed), by_timeline(listed, partial=True)
    windows: list[Window] = []
    for timeline in sorted(set(stored) | set(partial) | {base.timeline for base in bases}):
        history = histories.get(timeline, TimelineHistory(timeline, ()))
        path = _Path(timeline, history, stored, partial, segment_bytes)
        windows += _windows_on(path, [base for base in bases if path.holds(base)])
    return [window for window in windows if not _is_said(window, windows, histories)]


def _windows_on(path: _Path, bases: Sequence[Base]) -> list[Window]:
    numbers = path.numbers()
    ends = _ends_of_runs(numbers)
    windows: list[Window] = []
    reached = -1
    for base in sorted(bases, key=lambda one: one.start_lsn):
        first = segment_of(base.start_lsn, path.segment_bytes)
        end = ends.get(first, first - 1)
        if end <= reached:
            continue  # an older one reaches as far
        later = next((number for number in numbers if number > end), None)
        to_at = path.partial_at(end + 1) if later is None else None
        last = end if to_at is None else end + 1
        to_at = to_at or path.stored_at(end)
        if to_at is None or last < last_segment_before(base.stop_lsn, path.segment_bytes):
            continue
        reached = end
        windows.append(
            Window(
                from_at=base.stopped_at,
                to_at=max(to_at, base.stopped_at),
                timeline=path.timeline,
                from_lsn=base.stop_lsn,
                to_lsn=(last + 1) * path.segment_bytes,
                segment_bytes=path.segment_bytes,
                gaps=() if later is None else (_gap_after(path, end, later),),
            )
        )
    return windows


def _ends_of_runs(numbers: Sequence[int]) -> dict[int, int]:
    """Given ascending numbers, return for each the last one of those that follow it without a break."""
    ends: dict[int, int] = {}
    for number in reversed(numbers):
        ends[number] = ends.get(number + 1, number)
    return ends


def _gap_after(path: _Path, end: int, later: int) -> Gap:
    """Return what is missing from ``end`` on, up to ``later`` or to where the next timeline begins."""
    timeline, last = path.timeline_of(end + 1), end + 1
    while last + 1 < later and path.timeline_of(last + 1) == timeline:
        last += 1
    return Gap(timeline, end + 1, last, path.segment_bytes, path.stored_at(end), path.stored_at(later))


def _is_said(window: Window, windows: Sequence[Window], histories: Mapping[int, TimelineHistory]) -> bool:
    """Say whether a window of a child timeline says all that this one does: its timeline did not go on by itself."""
    for other in windows:
        left_at = histories[other.timeline].ends().get(window.timeline) if other.timeline in histories else None
        if left_at is None or other.from_lsn != window.from_lsn:
            continue
        size = window.segment_bytes
        if window.to_lsn <= (last_segment_before(left_at, size) + 1) * size:
            return True
    return False


def check_target(
    windows: Sequence[Window],
    *,
    at: datetime | None = None,
    lsn: int | None = None,
    timeline: int | None = None,
    now: datetime | None = None,
) -> Window:
    """Given a target in time or as a position (``timeline``: on that one only), return the window that it lies in.

    Of several the one on the newest timeline. Raise TargetRefused, which says what could be reached instead, and which
    segment is missing where a gap is in the way.
    """
    if (at is None) == (lsn is None):
        raise InputError("A target is either a time or a position.")
    if at is not None and at.tzinfo is None:
        raise TargetRefused(f"The time {at} has no zone.", hint=f"Write it as {at.isoformat()}Z or with an offset.")
    if at is not None and now is not None and at > now:
        raise TargetRefused(f"{isoformat(at)} lies in the future.", hint="It is now " + (isoformat(now) or "") + ".")
    known = [window for window in windows if timeline is None or window.timeline == timeline]
    if not known:
        where = "" if timeline is None else f" on timeline {timeline}"
        raise TargetRefused(
            f"Nothing can be restored to a point in time{where}.",
            hint=_timelines(windows) or "Take a base backup, and have the log archived from then on.",
        )
    fitting = [window for window in known if _within(window, at, lsn)]
    if fitting:
        return max(fitting, key=lambda window: (window.timeline, window.from_lsn))
    raise _refusal(known, at, lsn)


def _within(window: Window, at: datetime | None, lsn: int | None) -> bool:
    if at is not None:
        return window.from_at <= at <= window.to_at
    assert lsn is not None
    return window.from_lsn <= lsn <= window.to_lsn


def _refusal(windows: Sequence[Window], at: datetime | None, lsn: int | None) -> TargetRefused:
    target = isoformat(at) if at is not None else format_lsn(lsn or 0)
    reach = "; ".join(_span(window) for window in windows)
    before = [window for window in windows if _ends_before(window, at, lsn)]
    if not before:
        return TargetRefused(
            f"{target} lies before the first base backup that can be used.", hint=f"It can be restored to: {reach}."
        )
    last = max(before, key=lambda window: window.to_lsn)
    if last.gaps:
        gap = last.gaps[0]
        return TargetRefused(
            f"{target} lies behind a gap: {gap} is missing in the archive.",
            hint=f"It can be restored to: {reach}.",
            missing=gap,
        )
    following = SegmentName(last.timeline, last.to_lsn // last.segment_bytes).name(last.segment_bytes)
    return TargetRefused(
        f"{target} lies behind the end of what is archived: {following} is not there yet.",
        hint=f"It can be restored to: {reach}.",
    )


def _ends_before(window: Window, at: datetime | None, lsn: int | None) -> bool:
    if at is not None:
        return window.to_at < at
    assert lsn is not None
    return window.to_lsn < lsn


def _span(window: Window) -> str:
    return (
        f"{isoformat(window.from_at)} to {isoformat(window.to_at)} "
        f"({format_lsn(window.from_lsn)} to {format_lsn(window.to_lsn)}, timeline {window.timeline})"
    )


def _timelines(windows: Sequence[Window]) -> str:
    found = sorted({window.timeline for window in windows})
    return f"There are windows on timeline {', '.join(map(str, found))}." if found else ""
