"""ISO weeks in UTC: what may be asked for, where a week begins and ends, and the weeks that it is compared with.

A week begins on Monday at 00:00 UTC, and belongs to the year that has its Thursday (ISO 8601): 2020 has a week 53, and
1 January 2021 lies in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.errors import InputError

BEFORE = 4
"""Weeks before it that a week is compared with."""
FIRST_YEAR = 2000
"""There is nothing to review before: a label with an earlier year is a slip of the pen."""
LONG = timedelta(weeks=1)
_LABEL = re.compile(r"(\d{4})-?W(\d{2})", re.IGNORECASE | re.ASCII)
_HINT = "Write a week as 2026-W46, or 'this' or 'last'."


@dataclass(frozen=True, order=True)
class Week:
    """One ISO week."""

    year: int
    number: int

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """As URLs, commands and the catalogue write it: ``2026-W46``. Labels sort by time."""
        return f"{self.year:04d}-W{self.number:02d}"

    @property
    def start(self) -> datetime:
        """Monday, 00:00 UTC."""
        return datetime.combine(date.fromisocalendar(self.year, self.number, 1), time(), tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant that no longer belongs to it: the next Monday, 00:00 UTC."""
        return self.start + LONG

    @property
    def days(self) -> tuple[date, ...]:
        """Its seven UTC days, Monday first."""
        return tuple(self.start.date() + timedelta(days=n) for n in range(7))

    @property
    def title(self) -> str:
        """Its days as people write them: ``16–22 Nov 2026``, ``28 Dec 2026 – 3 Jan 2027``."""
        first, last = self.days[0], self.days[-1]
        if first.year != last.year:
            return f"{first.day} {first:%b %Y} – {last.day} {last:%b %Y}"
        if first.month != last.month:
            return f"{first.day} {first:%b} – {last.day} {last:%b %Y}"
        return f"{first.day}–{last.day} {last:%b %Y}"

    def shifted(self, weeks: int) -> Week:
        """Return the week so many weeks later, or earlier where the number is negative."""
        return week_of(self.start + weeks * LONG)


@dataclass(frozen=True)
class Period:
    """From ``start`` on and before ``end``."""

    start: datetime
    end: datetime


def week_of(at: datetime) -> Week:
    """Return the week that an instant lies in."""
    year, number, _ = at.astimezone(UTC).isocalendar()
    return Week(year, number)


def parse_label(text: str) -> Week:
    """Given ``2026-W46``, return the week, whether it has begun or not. Raise InputError for nonsense."""
    shown = text if len(text) <= 40 else f"{text[:39]}…"
    found = _LABEL.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{shown!r} is no week.", hint=_HINT)
    year, number = int(found[1]), int(found[2])
    if year < FIRST_YEAR:
        raise InputError(f"{shown!r} lies before {FIRST_YEAR}.", hint=_HINT)
    last = date(year, 12, 28).isocalendar().week  # 28 December always lies in its year's last week
    if not 1 <= number <= last:
        raise InputError(f"{year} has no week {number}.", hint=f"Its weeks are {year}-W01 to {year}-W{last}.")
    return Week(year, number)


def parse_week(text: str, now: datetime) -> Week:
    """Given ``2026-W46``, ``this`` or ``last``, return the week. Raise InputError for nonsense and for the future."""
    word = text.strip().lower()
    if word in ("this", "last"):
        return week_of(now).shifted(0 if word == "this" else -1)
    week = parse_label(text)
    if week.start > now:
        newest = week_of(now)
        raise InputError(
            f"{week.label} lies in the future; it begins on {week.start:%Y-%m-%d}.",
            hint=f"The newest week to review is the running one, {newest.label} ({newest.title}).",
        )
    return week


def periods(week: Week, now: datetime) -> tuple[Period, ...]:
    """Return the four weeks before a week, the oldest first, and the week itself.

    Of a week that has not ended, each is cut at the same day and time: three days are not compared with seven.
    """
    until = min(week.end, now)
    return tuple(Period(week.start - n * LONG, until - n * LONG) for n in range(BEFORE, -1, -1))
