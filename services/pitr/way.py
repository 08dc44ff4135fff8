"""The way from a base backup to a point: over which timelines, through which segments, and whether one is missing.

Pure. PostgreSQL takes a segment from the newest timeline of the way on which it may lie; so does this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.clock import isoformat
from services.errors import InputError
from services.pitr.archive import ArchivedSegment
from services.pitr.base_model import BaseBackup
from services.pitr.errors import SegmentMissing
from services.pitr.target import RecoveryTarget
from services.pitr.wal_names import SegmentName, TimelineHistory, format_lsn, last_segment_before, segment_of


@dataclass(frozen=True)
class Way:
    """What the archive has of the way from one base backup."""

    base: BaseBackup
    timelines: tuple[int, ...]
    """Oldest first; the last one is where recovery is to end."""
    begins: Mapping[int, int]
    """By timeline: the first segment that may lie on it."""
    stored: Mapping[int, datetime]
    """By the segment's number: when it was stored, of what lies on the way."""
    listed: frozenset[str]
    """The names under which these are stored, of partial ones without ``.partial``."""

    @property
    def last(self) -> int | None:
        """The last segment that recovery can read without a gap; None: not even the first one is there."""
        number = self.base.first_segment
        while number in self.stored:
            number += 1
        return number - 1 if number > self.base.first_segment else None

    @property
    def gap(self) -> int | None:
        """The number of the first segment that is missing although later ones are there."""
        first = self.base.first_segment if self.last is None else self.last + 1
        return first if any(number > first for number in self.stored) else None

    def expected_bytes(self, target: RecoveryTarget) -> int:
        """Return about how much WAL recovery will read: up to the first segment that was stored after the target."""
        first, last = self.base.first_segment, self.last
        if last is None:
            return 0
        if target.kind == "immediate":
            last = self.base.last_segment
        elif target.lsn is not None:
            last = last_segment_before(target.lsn, self.base.segment_bytes)
        elif target.at is not None:
            at = target.at
            last = next((n for n in range(first, last) if self.stored[n] >= at), last)
        return (max(last, first) - first + 1) * self.base.segment_bytes

    def name(self, number: int) -> str:
        """Return the name of a segment on the newest timeline on which it may lie."""
        timeline = max(t for t in self.timelines if self.begins[t] <= number)
        return SegmentName(timeline, number).name(self.base.segment_bytes)

    def names(self, number: int) -> set[str]:
        """Return the names under which recovery may ask for a segment."""
        size = self.base.segment_bytes
        return {SegmentName(t, number).name(size) for t in self.timelines if self.begins[t] <= number}


def find_way(
    base: BaseBackup,
    timeline: int,
    segments: Iterable[ArchivedSegment],
    histories: Mapping[int, TimelineHistory],
) -> Way:
    """Return the way of a base backup that ends on a timeline, to which it leads (``choose_bases`` sees to that)."""
    switches = histories[timeline].switches if timeline in histories else ()
    switches = tuple(switch for switch in switches if switch.timeline >= base.timeline)
    path = (*(switch.timeline for switch in switches), timeline)
    begins, ends = {path[0]: base.first_segment}, {}
    for switch, following in zip(switches, path[1:], strict=True):
        begins[following] = segment_of(switch.lsn, base.segment_bytes)
        ends[switch.timeline] = segment_of(switch.lsn, base.segment_bytes)
    stored: dict[int, datetime] = {}
    stopgaps: dict[int, datetime] = {}
    names: dict[int, set[str]] = {}
    for segment in segments:
        its, number = segment.timeline, segment.number
        if its in begins and begins[its] <= number <= ends.get(its, number):
            newest = its == max(t for t in path if begins[t] <= number)
            found = stored if newest and not segment.partial else stopgaps
            found[number] = max(segment.stored_at, found.get(number, segment.stored_at))
            names.setdefault(number, set()).add(segment.name)
    # A beginning of a segment, or what a timeline that was left had of it, is followed by nothing: only the end may be.
    last = max(stopgaps, default=-1)
    if last > max(stored, default=-1):
        stored[last] = stopgaps[last]
    return Way(base, path, begins, stored, frozenset(name for number in stored for name in names[number]))


def leads_to(base: BaseBackup, timeline: int, histories: Mapping[int, TimelineHistory]) -> bool:
    """Say whether recovery from a base backup can end on a timeline: it was not yet left for another one."""
    if timeline == base.timeline:
        return True
    history = histories.get(timeline)
    end = history.ends().get(base.timeline) if history is not None else None
    return end is not None and end >= base.stop_lsn


def choose_bases(
    bases: Sequence[BaseBackup], target: RecoveryTarget, timeline: int, histories: Mapping[int, TimelineHistory]
) -> list[BaseBackup]:
    """Return the base backups that lie before the target and lead to the timeline, the newest first.

    Of a name or a transaction nobody knows where it lies: all of them may. Raise InputError for none.
    """
    wanted = [base for base in bases if leads_to(base, timeline, histories)]
    if not wanted:
        raise InputError(
            f"No base backup leads to timeline {timeline}.",
            hint=f"Base backups are of timeline {', '.join(sorted({str(base.timeline) for base in bases}))}.",
        )
    fitting = [base for base in wanted if not lies_before(target, base)]
    if not fitting:
        first = min(wanted, key=lambda base: base.stopped_at)
        raise InputError(
            f"{target.label[:1].upper()}{target.label[1:]} lies before the first base backup, {first.backup.name}: it "
            f"ended {isoformat(first.stopped_at)} at {format_lsn(first.stop_lsn)}.",
            hint="Nothing earlier can be reached. For an earlier state use a backup of the database.",
        )
    return sorted(fitting, key=lambda base: (base.stopped_at, base.backup.id), reverse=True)


def lies_before(target: RecoveryTarget, base: BaseBackup) -> bool:
    """Say whether a target lies before the end of a base backup, where its data are not yet consistent."""
    if target.at is not None:
        return target.at < base.stopped_at
    return target.lsn is not None and target.lsn < base.stop_lsn


def reaches(way: Way, target: RecoveryTarget) -> bool:
    """Say whether recovery can come to the target, as far as the listing tells: recovery itself says the rest.

    What is known of a segment's time is when it was stored: nothing in it is younger.
    """
    last = way.last
    if last is None or last < way.base.last_segment:
        return False
    if target.lsn is not None:
        return last_segment_before(target.lsn, way.base.segment_bytes) <= last
    if target.at is not None:
        return target.at <= way.stored[last]
    return target.kind == "immediate" or way.gap is None or target.kind in ("name", "xid")


def first_missing(way: Way, target: RecoveryTarget) -> SegmentMissing:
    """Return the error that names the first segment that is missing on a way that does not reach its target."""
    last = way.last
    number = way.base.first_segment if last is None else last + 1
    until = "" if last is None else f" The one before it, {way.name(last)}, was stored {isoformat(way.stored[last])}."
    if last is None or last < way.base.last_segment:
        why = f"without it the base backup {way.base.backup.name} is not consistent"
    else:
        why = f"{target.label} lies behind it"
    return SegmentMissing(
        f"The segment {way.name(number)} is missing in the archive: {why}.{until}",
        hint="Restore to a point before it, or from a base backup that was taken after it.",
    )
