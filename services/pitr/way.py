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
from services.pitr.wal_names import SegmentName, TimelineHistory, format_lsn, segment_of


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
    target: RecoveryTarget,
    segments: Iterable[ArchivedSegment],
    histories: Mapping[int, TimelineHistory],
) -> Way:
    """Return the way of a base backup. Raise InputError when the target's timeline is not reached from it."""
    found = sorted(segments, key=lambda one: (one.timeline, one.number))
    newest = target.timeline if target.timeline is not None else _newest(base, histories)
    known = {base.timeline, *histories, *(segment.timeline for segment in found)}
    if newest not in known:
        raise InputError(
            f"Timeline {newest} is not in the archive.", hint=f"There is {', '.join(map(str, sorted(known)))}."
        )
    if not leads_to(base, newest, histories):
        raise InputError(
            f"The base backup {base.backup.name} is of timeline {base.timeline} at {format_lsn(base.stop_lsn)}, from "
            f"where timeline {newest} is not reached.",
            hint="Leave --timeline out, or choose a base backup of before the switch with --base.",
        )
    switches = histories[newest].switches if newest in histories else ()
    switches = tuple(switch for switch in switches if switch.timeline >= base.timeline)
    path = (*(switch.timeline for switch in switches), newest)
    begins, ends = {path[0]: base.first_segment}, {}
    for switch, following in zip(switches, path[1:], strict=True):
        begins[following] = segment_of(switch.lsn, base.segment_bytes)
        ends[switch.timeline] = segment_of(switch.lsn, base.segment_bytes)
    stored: dict[int, datetime] = {}
    for segment in found:
        timeline, number = segment.timeline, segment.number
        if timeline in begins and begins[timeline] <= number <= ends.get(timeline, number):
            stored[number] = max(segment.stored_at, stored.get(number, segment.stored_at))
    return Way(base, path, begins, stored)


def leads_to(base: BaseBackup, timeline: int, histories: Mapping[int, TimelineHistory]) -> bool:
    """Say whether recovery from a base backup can end on a timeline: it was not yet left for another one."""
    if timeline == base.timeline:
        return True
    history = histories.get(timeline)
    end = history.ends().get(base.timeline) if history is not None else None
    return end is not None and end >= base.stop_lsn


def choose_base(
    bases: Sequence[BaseBackup], target: RecoveryTarget, histories: Mapping[int, TimelineHistory]
) -> BaseBackup:
    """Return the newest base backup that lies before the target and leads to it. Raise InputError.

    Of a name or a transaction nobody knows where it lies: the newest one is taken.
    """
    if not bases:
        raise InputError("There is no sound base backup.", hint="Take one: `backups pitr base-backup`.")
    wanted = [base for base in bases if target.timeline is None or leads_to(base, target.timeline, histories)]
    if not wanted:
        raise InputError(
            f"No base backup leads to timeline {target.timeline}.",
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
    return max(fitting, key=lambda base: (base.stopped_at, base.backup.id))


def lies_before(target: RecoveryTarget, base: BaseBackup) -> bool:
    """Say whether a target lies before the end of a base backup, where its data are not yet consistent."""
    if target.at is not None:
        return target.at < base.stopped_at
    return target.lsn is not None and target.lsn < base.stop_lsn


def check_way(way: Way, target: RecoveryTarget, others: Iterable[ArchivedSegment]) -> None:
    """Raise SegmentMissing when one without which the target is not reached is missing, InputError beyond the end.

    What is known of a segment's time is when it was stored: nothing in it is younger. Where that does not tell,
    recovery will (``services.pitr.feeder``). ``others``: the whole archive, to name a timeline that goes further.
    """
    base, last = way.base, way.last
    if last is None or last < base.last_segment:
        missing = base.first_segment if last is None else last + 1
        raise _missing(way, missing, f"Without it the base backup {base.backup.name} is not consistent")
    wanted = None if target.lsn is None else segment_of(max(target.lsn - 1, 0), base.segment_bytes)
    beyond = wanted > last if wanted is not None else target.at is not None and target.at >= way.stored[last]
    if way.gap is not None and (beyond or target.kind == "latest"):
        raise _missing(
            way, way.gap, f"{target.label} lies behind it".capitalize() if beyond else "Later ones are there"
        )
    if not beyond:
        return
    size = base.segment_bytes
    further = {
        one.timeline for one in others
        if wanted is not None and one.number >= wanted and one.timeline not in way.timelines
    }  # fmt: skip
    end = (
        f"The archive of timeline {way.timelines[-1]} ends with {way.name(last)} (up to {format_lsn((last + 1) * size)}"
    )
    hint = "On the server: SELECT pg_switch_wal(); wait until it is archived, then try again. Or restore to `latest`."
    if further:
        hint = f"Timeline {', '.join(map(str, sorted(further)))} has it: give --timeline {min(further)}."
    raise InputError(
        f"{end}, stored {isoformat(way.stored[last])}): {target.label} is not in it.",
        hint=hint,
    )


def _missing(way: Way, number: int, why: str) -> SegmentMissing:
    last = way.last
    until = (
        "" if last is None else f" The last one before it is {way.name(last)}, stored {isoformat(way.stored[last])}."
    )
    return SegmentMissing(
        f"The segment {way.name(number)} is missing in the archive. {why}.{until}",
        hint="Restore to a point before it, or from a base backup that was taken after it.",
    )


def _newest(base: BaseBackup, histories: Mapping[int, TimelineHistory]) -> int:
    """Return the newest timeline to which the base backup leads, as ``recovery_target_timeline = latest`` takes it."""
    return max((t for t in (*histories, base.timeline) if leads_to(base, t, histories)), default=base.timeline)
