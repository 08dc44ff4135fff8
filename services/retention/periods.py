"""Calendar periods in UTC: days, ISO weeks, months and years, each numbered without a gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from services.retention.policy import Tier


@dataclass(frozen=True)
class Calendar:
    """How a tier divides time."""

    number: Callable[[date], int]
    """The number of the period that a UTC day lies in; the next period has the next number."""
    first_day: Callable[[int], date]
    """The first day of a period. Raise ValueError or OverflowError beyond the year 9999."""


def _first_of_month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


CALENDARS: dict[Tier, Calendar] = {
    "daily": Calendar(date.toordinal, date.fromordinal),
    # The first day of the first year was a Monday, and ISO weeks begin on Mondays.
    "weekly": Calendar(lambda day: (day.toordinal() - 1) // 7, lambda number: date.fromordinal(number * 7 + 1)),
    "monthly": Calendar(lambda day: day.year * 12 + day.month - 1, _first_of_month),
    "yearly": Calendar(lambda day: day.year, lambda number: date(number, 1, 1)),
}


def utc_day(at: datetime) -> date:
    """Given an aware instant, return its day in UTC."""
    return at.date() if at.tzinfo is UTC else at.astimezone(UTC).date()


def midnight(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
