"""The figures of the whole week, over all databases, in the order in which they are shown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.review.figures import AMOUNT, COUNT, DURATION, SHARE, SIZE, Better, Figure, Kind, make_figure
from services.review.model import ChecksOfLevel, DatabaseDeletions, StorageWeek
from services.review.queries import AlertCounts, CheckKey, TestRow, WeekBackup
from services.review.slots import WeekTally
from services.review.week import LONG, Period

HEADLINE = ("slots", "duration", "database_size", "storage", "restore_tests", "alerts_opened")
"""Keys of the figures that stand beside the strip."""
LEVELS = ("stored", "checksum", "archive", "restore")
_FIRST_DAY = timedelta(days=1)


@dataclass(frozen=True)
class MadeInWeek:
    """What was made of one database in one week."""

    seconds: tuple[float, ...] = ()
    """Durations of its good backups."""
    emergencies: int = 0
    newest: WeekBackup | None = None
    """The newest good backup by the end of the week, be it of an earlier one."""

    @property
    def duration(self) -> float | None:
        """The median."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def database_bytes(self) -> float | None:
        return None if self.newest is None else float(self.newest.database_bytes)

    @property
    def stored_bytes(self) -> float | None:
        return None if self.newest is None else float(self.newest.stored_bytes)


@dataclass(frozen=True)
class Counted:
    """What was counted over the five weeks, the oldest first in each sequence."""

    weeks: Sequence[Period]
    since: datetime | None
    """When the first thing on record happened."""
    slots: Sequence[WeekTally]
    made: Mapping[str, tuple[MadeInWeek, ...]]
    """By database."""
    checks: Counter[CheckKey]
    tests: Sequence[TestRow]
    failures: Sequence[int]
    alerts: AlertCounts
    deletions: Sequence[Sequence[DatabaseDeletions]]
    storage: Mapping[str, Sequence[int]]


def made_in_weeks(backups: Iterable[WeekBackup], weeks: Sequence[Period]) -> tuple[MadeInWeek, ...]:
    """Given a database's backups in order of time, return what was made in each week. One pass."""
    seconds: list[list[float]] = [[] for _ in weeks]
    emergencies = [0] * len(weeks)
    newest: list[WeekBackup | None] = [None] * len(weeks)
    for backup in backups:
        at = backup.judged.finished_at
        n = (at - weeks[0].start) // LONG
        if not 0 <= n < len(weeks):
            continue
        # Of a week that is cut short what came later counts as there at the end of the next.
        within = at < weeks[n].end
        emergencies[n] += within and backup.type == "emergency"
        if backup.is_good:
            if within:
                seconds[n].append(backup.seconds)
            for later in range(n if within else n + 1, len(weeks)):
                newest[later] = backup
    return tuple(MadeInWeek(tuple(s), e, b) for s, e, b in zip(seconds, emergencies, newest, strict=True))


def on_record(counted: Counted, values: Sequence[float | None]) -> list[float | None]:
    """Take out the values of weeks before anything was on record: nothing was counted then, which is not zero.

    A week counts once its first day is on record. The week that is reviewed always does.
    """
    before = zip(values[:-1], counted.weeks[:-1], strict=True)
    return [*(value if _is_on_record(counted, week) else None for value, week in before), values[-1]]


def total_figures(counted: Counted) -> tuple[Figure, ...]:
    """Return the figures of the week."""
    slots, alerts = counted.slots, counted.alerts
    good = [sum(len(made[n].seconds) for made in counted.made.values()) for n in _weeks(counted)]
    emergencies = [sum(made[n].emergencies for made in counted.made.values()) for n in _weeks(counted)]
    slowest = [_slowest_restore(counted, n) for n in _weeks(counted)]
    every = "" if sum(made[-1].newest is not None for made in counted.made.values()) < 2 else ", one of each"
    failed_checks = [sum(counted.checks[CheckKey(n, level, "failed")] for level in LEVELS) for n in _weeks(counted)]
    all_checks = [sum(found for key, found in counted.checks.items() if key.week == n) for n in _weeks(counted)]
    return (
        make_figure("slots", "Slots satisfied", SHARE, [tally.share for tally in slots], better="more",
                    text=_of(slots[-1]), last_text=_of(slots[-2])),
        _count(counted, "misses", "Slots missed or late", [tally.missed if tally.decided else None for tally in slots],
               "less"),
        _count(counted, "backups", "Good backups", good, "neither"),
        _count(counted, "emergencies", "Emergency backups", emergencies, "neither"),
        _count(counted, "failures", "Failed runs", list(counted.failures), "less"),
        _summed("duration", f"Backup duration{every}", DURATION, counted, lambda made: made.duration, better="less"),
        _summed("database_size", "Database size", SIZE, counted, lambda made: made.database_bytes),
        _summed("stored_size", f"Stored size{every}", SIZE, counted, lambda made: made.stored_bytes),
        make_figure("storage", "Storage used", AMOUNT,
                    on_record(counted, [sum(held[n] for held in counted.storage.values()) for n in _weeks(counted)]),
                    better="neither"),
        _count(counted, "checks", "Verifications", all_checks, "neither"),
        _count(counted, "failed_checks", "Verifications failed", failed_checks, "less"),
        _count(counted, "restore_tests", "Restore tests passed", _tests(counted, "passed"), "neither"),
        _count(counted, "failed_tests", "Restore tests failed", _tests(counted, "failed"), "less"),
        make_figure("restore_time", "Time to restore, the slowest", DURATION, slowest, better="less"),
        _count(counted, "deletions", "Backups deleted", [sum(d.backups for d in week) for week in counted.deletions],
               "neither"),
        make_figure("deleted_bytes", "Bytes deleted", AMOUNT,
                    on_record(counted, [sum(d.bytes for d in week) for week in counted.deletions]), better="neither"),
        _count(counted, "alerts_opened", "Alerts opened", list(alerts.opened), "less"),
        _count(counted, "alerts_resolved", "Alerts resolved", list(alerts.resolved), "neither"),
        _count(counted, "alerts_open", "Alerts open at the end", list(alerts.open_at_end), "less"),
    )  # fmt: skip


def database_figures(counted: Counted, name: str) -> tuple[Figure, Figure, Figure]:
    """Return a database's median duration, its size, and the stored size of its newest good backup."""
    weeks = counted.made.get(name, (MadeInWeek(),) * len(counted.weeks))
    return (
        make_figure("duration", "Duration (median)", DURATION, [week.duration for week in weeks], better="less"),
        make_figure("database_size", "Database", SIZE, [week.database_bytes for week in weeks], better="neither"),
        make_figure("stored_size", "Stored", SIZE, [week.stored_bytes for week in weeks], better="neither"),
    )


def checks_by_level(counted: Counted) -> tuple[ChecksOfLevel, ...]:
    """Return the week's verifications by level, the deepest last; a level that no week saw is left out."""
    found = []
    last = len(counted.weeks) - 1
    for level in LEVELS:
        totals = [sum(n for key, n in counted.checks.items() if key[:2] == (week, level)) for week in _weeks(counted)]
        if any(totals):
            passed, failed, unclear = (
                counted.checks[CheckKey(last, level, outcome)] for outcome in ("passed", "failed", "not testable")
            )
            label = "Restore tests" if level == "restore" else f"{level.capitalize()} checks"
            figure = _count(counted, f"checks_{level}", label, totals, "neither")
            found.append(ChecksOfLevel(level, passed, failed, unclear, figure))
    return tuple(found)


def storage_week(counted: Counted, name: str, limit: int | None, full: int | None) -> StorageWeek:
    """Return what a storage held. ``full``: in how many days it is full."""
    held = counted.storage.get(name, (0,) * len(counted.weeks))
    used = make_figure("storage", name, AMOUNT, on_record(counted, held), better="neither")
    return StorageWeek(name, used, limit, full)


def _count(counted: Counted, key: str, label: str, values: Sequence[float | None], better: Better) -> Figure:
    return make_figure(key, label, COUNT, on_record(counted, values), better=better)


def _summed(
    key: str, label: str, kind: Kind, counted: Counted, value: Callable[[MadeInWeek], float | None], *,
    better: Better = "neither",
) -> Figure:  # fmt: skip
    """Sum a value over all databases that have one this week: one that was backed up less often weighs no less.

    A week in which one of them has none cannot be compared.
    """
    found = [[value(week) for week in weeks] for weeks in counted.made.values()]
    today = [values for values in found if values[-1] is not None]
    sums = []
    for n in _weeks(counted):
        known = [values[n] for values in today]
        sums.append(sum(v for v in known if v is not None) if known and None not in known else None)
    return make_figure(key, label, kind, sums, better=better)


def _slowest_restore(counted: Counted, week: int) -> float | None:
    measured = [
        test.seconds
        for test in counted.tests
        if test.week == week and test.outcome == "passed" and test.is_whole and test.seconds is not None
    ]
    return max(measured, default=None)


def _tests(counted: Counted, outcome: str) -> list[float]:
    """Count by week. Only whole backups that pass count: what a partial one left out is not proven by it."""
    counting = [test for test in counted.tests if test.outcome == outcome and (test.is_whole or outcome != "passed")]
    return [sum(test.week == n for test in counting) for n in _weeks(counted)]


def _of(tally: WeekTally) -> str | None:
    return f"{tally.satisfied} of {tally.decided}" if tally.decided else None


def _is_on_record(counted: Counted, week: Period) -> bool:
    return counted.since is not None and counted.since < week.start + _FIRST_DAY


def _weeks(counted: Counted) -> range:
    return range(len(counted.weeks))
