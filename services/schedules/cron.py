"""Cron lines and time zones: what may be written, and how it is said in words.

A line has five fields (minute, hour, day of the month, month, day of the week) as Debian's cron reads them, with
``L``, ``LW`` and ``MON#1`` beside. ``off`` or nothing at all stands for no schedule.
"""

from __future__ import annotations

import functools
from datetime import datetime
from importlib.resources import files
from itertools import pairwise

from cronsim import CronSim, CronSimError

from services.errors import InputError
from services.names import unknown_name

EXAMPLE = "0 2 * * *"
ZONE_EXAMPLE = "Europe/Berlin"
SHORTEST_MINUTES = 5
"""A schedule may not come due more often: backups denser than this are what WAL archiving is for."""
_LONGEST = 100
_HINT = (
    f"Write minute, hour, day of the month, month and day of the week: {EXAMPLE!r} is daily at 02:00, 'off' is none."
)
_ANY = datetime(2024, 1, 1)  # noqa: DTZ001 - a line speaks of the wall clock, which knows no zone


@functools.lru_cache(maxsize=256)
def parse_cron(line: str) -> CronSim:
    """Return a stored line's fields: ``minutes``, ``hours``, ``months`` as sets, ``match_day(date)``.

    Nothing but these is used of it: how a wall clock's time becomes an instant is said in ``services.schedules.slots``.
    """
    return CronSim(line, _ANY)


def check_cron(line: str) -> str:
    """Return the line as it is stored: fields in capitals with one space between; ``""`` for none. Raise InputError."""
    text = " ".join(line.split()).upper()
    if text in ("", "OFF"):
        return ""
    shown = line if len(line) <= 40 else f"{line[:39]}…"
    if len(text) > _LONGEST or len(text.split()) != 5:
        raise InputError(f"{shown!r} is no cron line of five fields.", hint=_HINT)
    try:
        parsed = CronSim(text, _ANY)
    except CronSimError as error:
        raise InputError(f"{shown!r} is no cron line: {str(error).lower()}.", hint=_HINT) from error
    if next(parsed, None) is None:
        raise InputError(f"{shown!r} never comes due.", hint=_HINT)
    if _shortest_gap(parsed) < SHORTEST_MINUTES:
        raise InputError(
            f"{shown!r} comes due more often than every {SHORTEST_MINUTES} minutes.",
            hint=f"Write '*/{SHORTEST_MINUTES} * * * *' at most; for less than that there is WAL archiving.",
        )
    return text


def check_time_zone(name: str) -> str:
    """Return a time zone's name, as the IANA database writes it. Raise UnknownName, which says what comes close."""
    known = _time_zones()
    if name in known:
        return name
    error = unknown_name("time zone", name, known)
    if not error.hint.startswith("Did you mean"):  # the first of six hundred names would be no help
        error.hint = f"Write a name of the IANA database: {ZONE_EXAMPLE}, America/New_York or UTC."
    raise error


def cron_in_words(line: str, time_zone: str) -> str:
    """Given a stored line, return it as a person says it: ``At 02:00 every day (UTC)``; ``never`` for none."""
    if not line:
        return "never"
    return f"{parse_cron(line).explain()} ({time_zone})"


def is_every_hour(line: str) -> bool:
    """Say whether a stored line names no hours, in whatever way that is written (``*``, ``*/1``, ``0-23``)."""
    return len(parse_cron(line).hours) == 24


def time_zones() -> list[str]:
    """Return the names that ``check_time_zone`` accepts, in order."""
    return sorted(_time_zones())


@functools.cache
def _time_zones() -> frozenset[str]:
    # The package's list, not a walk over this machine's folders: the same everywhere, and in a hundredth of the time.
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(listed) - {"Factory"}


def _shortest_gap(parsed: CronSim) -> int:
    """Return the fewest minutes between two due times of one day (or, of neighbouring hours, across the hour)."""
    minutes = sorted(parsed.minutes)
    gaps = [later - earlier for earlier, later in pairwise(minutes)]
    if any((hour + 1) % 24 in parsed.hours for hour in parsed.hours):
        gaps.append(minutes[0] + 60 - minutes[-1])
    return min(gaps, default=24 * 60)
