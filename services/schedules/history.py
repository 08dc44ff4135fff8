"""From a schedule's versions to its slots. Pure: a slot of the past is judged by the version that was valid then.

A version that was written later overrides an earlier one from its ``valid_from`` on, whatever that one's date: a clock
that was ahead when somebody changed a schedule, and is right again, cannot keep the next change from taking effect.
Paused times, and those before the first version, have no slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.schedules.model import ScheduleVersion, Slot
from services.schedules.slots import last_slot, next_slots, slots

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Era:
    """The time in which one version was valid: from ``since`` on and before ``until`` (None: still)."""

    version: ScheduleVersion
    since: datetime
    until: datetime | None


def eras(versions: Iterable[ScheduleVersion]) -> list[Era]:
    """Given all versions of one schedule, return when each was valid, in order of time, without overridden ones."""
    found: list[Era] = []
    until: datetime | None = None
    for version in sorted(versions, key=lambda v: v.number, reverse=True):
        if until is None or version.valid_from < until:
            found.append(Era(version, version.valid_from, until))
            until = version.valid_from
    return found[::-1]


def current(versions: Iterable[ScheduleVersion], now: datetime) -> ScheduleVersion | None:
    """Return the version that is valid at ``now``; None before the first one."""
    valid = [era.version for era in eras(versions) if era.since <= now]
    return valid[-1] if valid else None


def slots_between(versions: Iterable[ScheduleVersion], since: datetime, until: datetime) -> list[Slot]:
    """Return the slots due from ``since`` on and before ``until``, in order of time."""
    found = []
    for era in eras(versions):
        if era.version.is_on:
            end = until if era.until is None else min(until, era.until)
            dues = slots(era.version.cron, era.version.time_zone, max(since, era.since), end)
            found += [_slot(era.version, due) for due in dues]
    return found


def last_due(versions: Iterable[ScheduleVersion], now: datetime, count: int = 1) -> list[Slot]:
    """Return the newest slots that are due by ``now``, at most ``count``, in order of time."""
    found: list[Slot] = []
    for era in reversed(eras(versions)):
        until = now
        while era.version.is_on and len(found) < count and (slot := _last_of(era, until)) is not None:
            found.append(slot)
            until = slot.due - _TICK
    return found[::-1]


def slot_to_start(versions: Iterable[ScheduleVersion], now: datetime) -> Slot | None:
    """Return the one slot whose work should have been started by ``now``: the newest due one.

    Older ones are missed, and one run makes up for all of them. None while the schedule is paused or off, and after a
    pause until the next due time: whoever paused it did not want what was due before.
    """
    for era in reversed(eras(versions)):
        if era.since > now:
            continue
        if not era.version.is_on:
            return None
        if (slot := _last_of(era, now)) is not None:
            return slot
    return None


def next_due(versions: Sequence[ScheduleVersion], now: datetime, count: int) -> list[datetime]:
    """Return the next due times after ``now`` by the version that is valid, at most ``count``."""
    version = current(versions, now)
    if version is None or not version.is_on:
        return []
    return next_slots(version.cron, version.time_zone, now, count)


def _last_of(era: Era, now: datetime) -> Slot | None:
    end = now if era.until is None else min(now, era.until - _TICK)
    due = last_slot(era.version.cron, era.version.time_zone, era.since, end)
    return None if due is None else _slot(era.version, due)


def _slot(version: ScheduleVersion, due: datetime) -> Slot:
    return Slot(version.schedule, version.database, due, version.deadline)
