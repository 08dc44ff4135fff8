"""How fast a storage grows, robustly: one huge backup or one great clean-up does not decide it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import combinations
from statistics import median

WINDOW = timedelta(days=90)
"""So much of the past decides."""
LEAST_DAYS = 7
"""With less history than this nobody knows how fast it grows."""
FAR = 3650
"""Further ahead than ten years a date is no forecast."""


def levels(now_bytes: int, changes: Mapping[date, int], *, first: date, last: date) -> list[int]:
    """Return what was held at the end of each day from ``first`` to ``last``, given what is held at the last one's end.

    ``changes``: by day, the bytes that came less those that went. Where the catalogue knows of less that came than went
    the level is 0, never below.
    """
    found = [now_bytes]
    day = last
    while day > first:
        found.append(found[-1] - changes.get(day, 0))
        day -= timedelta(days=1)
    return [max(0, level) for level in reversed(found)]


def slope_per_day(daily: Sequence[int]) -> float | None:
    """Return the bytes by which daily levels grow in a day; None with fewer than LEAST_DAYS of them.

    The median of the slopes between all pairs of days (Theil 1950, Sen 1968): up to 29 % of the days may be
    outliers.
    """
    if len(daily) < LEAST_DAYS:
        return None
    return median((later - earlier) / (j - i) for (i, earlier), (j, later) in combinations(enumerate(daily), 2))


def days_until(room: int | None, per_day: float | None) -> int | None:
    """Return the whole days until ``room`` bytes are used up, 0 when nothing is left.

    None where nothing bounds it, and where it is not growing towards its end.
    """
    if room is None:
        return None
    if room <= 0:
        return 0
    if per_day is None or per_day <= 0:
        return None
    days = room / per_day
    return int(days) if days <= FAR else None


def add_up(changes: Iterable[tuple[date, int]]) -> dict[date, int]:
    """Return the changes summed by day."""
    found: dict[date, int] = {}
    for day, amount in changes:
        found[day] = found.get(day, 0) + amount
    return found
