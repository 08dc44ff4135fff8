"""The due times of a cron line in a time zone: pure arithmetic on the wall clock, and the only place that knows of
daylight saving.

- **A local time that does not exist** (the clock is put forward over it) comes due once, at the moment at which the
  clock is put forward; several such times of one night come due together, once.
- **A local time that comes twice** (the clock is put back over it) comes due once, the first time.
- **A line for every hour** counts the hours that pass, not their names: 23 in the short night, 25 in the long one. A
  time that the clock leaps over comes due when it would have come without the leap, which nearly always is another of
  the line's own times.

The first two are what Debian's cron does with jobs that name their hour; but it is the meaning that decides here, not
the spelling, so ``0 */2 * * *`` names its hours, too.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import islice, product
from zoneinfo import ZoneInfo

from services.schedules.cron import is_every_hour, parse_cron

_SECOND = timedelta(seconds=1)
_MARGIN = timedelta(hours=27)
"""No zone's clock was ever changed by more than a day (Samoa left out one in 2011); and some hours for their names."""
_FAR = 9 * 12
"""Months to look ahead for the next one: 29 February of a leap year may be eight years away."""


def slots(line: str, time_zone: str, since: datetime, until: datetime) -> list[datetime]:
    """Return the due times of a stored cron line from ``since`` on and before ``until``: UTC, ascending, each once."""
    if not line or until <= since:
        return []
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    found: list[datetime] = []
    for month in _months(since):
        if month >= until:
            break
        found += _slots_of_month(line, time_zone, month)
    return [due for due in found if since <= due < until]


def next_slots(line: str, time_zone: str, after: datetime, count: int) -> list[datetime]:
    """Return the next due times after an instant, at most ``count``; fewer when the line comes due hardly ever."""
    return list(islice(_after(line, time_zone, after.astimezone(UTC)), count)) if line else []


def last_slot(line: str, time_zone: str, since: datetime, until: datetime) -> datetime | None:
    """Return the newest due time from ``since`` on and not after ``until``, or None."""
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    month = _first_of(until)
    while line and since <= until:
        found = [due for due in _slots_of_month(line, time_zone, month) if since <= due <= until]
        if found:
            return found[-1]
        if month <= since:
            return None
        month = _first_of(month - timedelta(days=1))
    return None


def _after(line: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    empty = 0
    for month in _months(after):
        found = [due for due in _slots_of_month(line, time_zone, month) if due > after]
        yield from found
        empty = 0 if found else empty + 1
        if empty > _FAR:
            return


def _months(since: datetime) -> Iterator[datetime]:
    """Yield the first instants of the UTC months from that of ``since`` on."""
    month = _first_of(since)
    while True:
        yield month
        month = _next_month(month)


def _first_of(at: datetime) -> datetime:
    return datetime(at.year, at.month, 1, tzinfo=UTC)


def _next_month(month: datetime) -> datetime:
    return _first_of(month + timedelta(days=32))


@functools.lru_cache(maxsize=4096)
def _slots_of_month(line: str, time_zone: str, month: datetime) -> tuple[datetime, ...]:
    """Return the due times within one UTC month. A month's never change, so each is worked out once a process."""
    zone, end = ZoneInfo(time_zone), _next_month(month)
    every_hour = is_every_hour(line)
    found = {
        due
        for local in _wall_times(line, _wall(month, zone) - _MARGIN, _wall(end, zone) + _MARGIN)
        for due in _instants(local, zone, every_hour=every_hour)
        if month <= due < end
    }
    return tuple(sorted(found))


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _wall_times(line: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the naive local times that a line names, as if no clock were ever changed; whole days."""
    fields = parse_cron(line)
    times = [time(hour, minute) for hour, minute in product(sorted(fields.hours), sorted(fields.minutes))]
    day = since.date()
    while day <= until.date():
        if day.month in fields.months and fields.match_day(day):
            yield from (datetime.combine(day, at) for at in times)
        day += timedelta(days=1)


def _instants(local: datetime, zone: ZoneInfo, *, every_hour: bool) -> list[datetime]:
    """Return when a wall clock's time comes due. See the head of this module; PEP 495 explains ``fold``."""
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    assert before is not None
    assert after is not None
    if before == after:
        return [first.astimezone(UTC)]
    if before > after:  # it comes twice
        return [first.astimezone(UTC), second.astimezone(UTC)] if every_hour else [first.astimezone(UTC)]
    as_if_not_changed = first.astimezone(UTC)
    return [as_if_not_changed if every_hour else _change(zone, second.astimezone(UTC), as_if_not_changed)]


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Given an instant before a change of the clock and one after it, return the first second after the change."""
    old = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + middle * _SECOND).astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return before + high * _SECOND
