"""Until when a backup is kept, if good backups keep coming.

Nobody knows the future, so keep-until is defined on one that is easy to state: **from tomorrow on, one good backup
finishes at the first instant of each UTC day, and nothing else changes** (nothing is pinned, proven, deleted or found
damaged). The keep-until of a backup is then the earliest instant from which nothing keeps it any more; a deletion
may come at any time after it, never before while the assumption holds. A backup that is made later in the day than
midnight, or fails to come, only moves it to later.

What a failure's age keeps (``older than 7 days``) is kept at that instant itself, and goes right after it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from services.retention.periods import Calendar, midnight, utc_day

_DAY = timedelta(days=1)


class Outlook:
    """The coming daily backups, after those that are there. Instants beyond the year 9999 are None: never."""

    def __init__(self, now: datetime, good: Sequence[tuple[datetime, str]]) -> None:
        """Given now, and when the good backups finished and their ids, in any order."""
        today = utc_day(now)
        # Of the periods that have begun by tomorrow, none began earlier: a week may have begun in the year before.
        earliest = self.after(midnight(today.replace(month=1, day=1)), -7 * _DAY)
        self._tomorrow = self.after(midnight(today), _DAY)
        self._dated_ahead = sorted(each for each in good if each[0] > now)
        self._recent = {utc_day(at) for at, _ in good if earliest is None or at >= earliest}
        self._ahead: dict[int, tuple[int, list[int]]] = {}

    def after(self, at: datetime | None, length: timedelta) -> datetime | None:
        """Return an instant that much later."""
        try:
            return None if at is None else at + length
        except OverflowError:
            return None

    def later(self, one: datetime | None, other: datetime | None) -> datetime | None:
        """Return the later of two instants; None is later than all."""
        return None if one is None or other is None else max(one, other)

    def first_at_or_after(self, at: datetime) -> datetime | None:
        """Return when the first coming backup finishes that is not older than ``at``."""
        if self._tomorrow is None or at <= self._tomorrow:
            return self._tomorrow
        its = midnight(utc_day(at))
        return its if its == at else self.after(its, _DAY)

    def leaves_newest(self, count: int, place: int, at: datetime) -> datetime | None:
        """Return when the backup in this place (0 is the newest) is not among the ``count`` newest any more."""
        return self.after(self.first_at_or_after(at), (count - place - 1) * _DAY)

    def leaves_believed(self, at: datetime, backup_id: str) -> datetime | None:
        """Return when a backup is not the newest any more of those that are not dated ahead.

        ``at``: since when it is; it ends when one comes, or when the time of the next one has come that is dated ahead.
        """
        place = bisect_right(self._dated_ahead, (at, backup_id))
        nexts = (self.first_at_or_after(at), *(ahead for ahead, _ in self._dated_ahead[place : place + 1]))
        return min((instant for instant in nexts if instant is not None), default=None)

    def leaves_tier(self, calendar: Calendar, count: int, rank: int, number: int, at: datetime) -> datetime | None:
        """Return when a backup leaves a tier of ``count`` periods.

        It is the newest of period ``number``, and ``rank`` later periods have a good one. It leaves when a newer one
        comes in its own period, or when enough further periods have begun.
        """
        newer = self.first_at_or_after(at)
        if newer is not None and calendar.number(utc_day(newer)) == number:
            return newer
        return self._opening(calendar, number, count - rank)

    def _opening(self, calendar: Calendar, after: int, wanted: int) -> datetime | None:
        """Return when coming backups have begun ``wanted`` periods later than ``after`` that have no good one yet."""
        if self._tomorrow is None:
            return None
        coming, taken = self._periods_ahead(calendar)
        first = max(coming, after + 1)
        before = bisect_left(taken, first)
        number = first + wanted - 1
        while (shifted := first + wanted - 1 + bisect_right(taken, number) - before) != number:
            number = shifted
        try:
            # The period of tomorrow may have begun before it.
            return max(midnight(calendar.first_day(number)), self._tomorrow)
        except (ValueError, OverflowError):
            return None

    def _periods_ahead(self, calendar: Calendar) -> tuple[int, list[int]]:
        """Return the period of the first coming backup, and those from it on that have a good one already, sorted."""
        assert self._tomorrow is not None
        known = self._ahead.get(id(calendar))
        if known is None:
            first = calendar.number(utc_day(self._tomorrow))
            numbers = {calendar.number(day) for day in self._recent}
            known = self._ahead[id(calendar)] = (first, sorted(number for number in numbers if number >= first))
        return known
