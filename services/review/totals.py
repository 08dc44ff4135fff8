"""The figures of the whole week, over all databases, in the order in which they are shown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.review.figures import AMOUNT, COUNT, DURATION, SHARE, SIZE, Better, Figure, Kind, make_figure
from services.review.model import ChecksOfLevel, DatabaseDeletions, StorageWeek
from services.review.queries import AlertCounts, CheckKey, TestRow, WeekBackup
from services.review.slots import WeekTally
from services.review.week import Period

HEADLINE = ("slots", "duration", "database_size", "storage", "restore_tests", "alerts_opened")
"""Keys of the figures that stand beside the strip."""
LEVELS = ("stored", "checksum", "archive", "restore")
_FIRST_DAY = timedelta(days=1)
_OfWeek = Callable[[Sequence[WeekBackup], Period], float | None]


@dataclass(frozen=True)
class Counted:
    """What was counted over the five weeks, the oldest first in each sequence."""

    weeks: Sequence[Period]
    since: datetime | None
    """When the first thing on record happened."""
    slots: Sequence[WeekTally]
    backups: Mapping[str, Sequence[WeekBackup]]
    checks: Counter[CheckKey]
    tests: Sequence[TestRow]
    failures: Sequence[int]
    alerts: AlertCounts
    deletions: Sequence[Sequence[DatabaseDeletions]]
    storage: Mapping[str, Sequence[int]]


def on_record(counted: Counted, values: Sequence[float | None]) -> list[float | None]:
    """Take out the values of weeks before anything was on record: nothing was counted then, which is not zero.

    A week counts once its first day is on record. The week that is reviewed always does.
    """
    before = zip(values[:-1], counted.weeks[:-1], strict=True)
    return [*(value if _is_on_record(counted, week) else None for value, week in before), values[-1]]


def total_figures(counted: Counted) -> tuple[Figure, ...]:
    """Return the figures of the week."""
    slots, alerts = counted.slots, counted.alerts
    good = [_in_week(counted, week, lambda b: b.is_good) for week in counted.weeks]
    emergencies = [_in_week(counted, week, lambda b: b.type == "emergency") for week in counted.weeks]
    slowest = [_slowest_restore(counted, n) for n in _weeks(counted)]
    every = "" if len(counted.backups) < 2 else ", one of each"
    failed_checks = [sum(counted.checks[CheckKey(n, level, "failed")] for level in LEVELS) for n in _weeks(counted)]
    all_checks = [sum(found for key, found in counted.checks.items() if key.week == n) for n in _weeks(counted)]
    return (
        make_figure("slots", "Slots satisfied", SHARE, [tally.share for tally in slots], better="more",
                    text=_of(slots[-1]), last_text=_of(slots[-2])),
        _count(counted, "misses", "Slots missed or late", [tally.missed if tally.decided else None for tally in slots],
               "less"),
        _count(counted, "backups", "Good backups", [len(found) for found in good], "neither"),
        _count(counted, "emergencies", "Emergency backups", [len(found) for found in emergencies], "neither"),
        _count(counted, "failures", "Failed runs", list(counted.failures), "less"),
        _summed("duration", f"Backup duration{every}", DURATION, counted, _duration, better="less"),
        _summed("database_size", "Database size", SIZE, counted, _database_bytes),
        _summed("stored_size", f"Stored size{every}", SIZE, counted, _stored_bytes),
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
    backups = counted.backups.get(name, ())
    durations, sizes, stored = (
        [value(backups, week) for week in counted.weeks] for value in (_duration, _database_bytes, _stored_bytes)
    )
    return (
        make_figure("duration", "Duration (median)", DURATION, durations, better="less"),
        make_figure("database_size", "Database", SIZE, sizes, better="neither"),
        make_figure("stored_size", "Stored", SIZE, stored, better="neither"),
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
    key: str, label: str, kind: Kind, counted: Counted, value: _OfWeek, *, better: Better = "neither"
) -> Figure:
    """Sum a value over all databases that have one this week: one that was backed up less often weighs no less.

    A week in which one of them has none cannot be compared.
    """
    found = [[value(backups, week) for week in counted.weeks] for backups in counted.backups.values()]
    today = [values for values in found if values[-1] is not None]
    sums = []
    for n in _weeks(counted):
        known = [values[n] for values in today]
        sums.append(sum(v for v in known if v is not None) if known and None not in known else None)
    return make_figure(key, label, kind, sums, better=better)


def _duration(backups: Sequence[WeekBackup], week: Period) -> float | None:
    """Return the median duration of a database's good backups in a week."""
    good = [b.seconds for b in backups if b.is_good and week.start <= b.judged.finished_at < week.end]
    return statistics.median(good) if good else None


def _database_bytes(backups: Sequence[WeekBackup], week: Period) -> float | None:
    newest = _newest(backups, week.end)
    return None if newest is None else float(newest.database_bytes)


def _stored_bytes(backups: Sequence[WeekBackup], week: Period) -> float | None:
    newest = _newest(backups, week.end)
    return None if newest is None else float(newest.stored_bytes)


def _newest(backups: Sequence[WeekBackup], end: datetime) -> WeekBackup | None:
    """Return the newest good backup that was finished before an instant, of those in order of time."""
    return next((b for b in reversed(backups) if b.is_good and b.judged.finished_at < end), None)


def _in_week(counted: Counted, week: Period, wanted: Callable[[WeekBackup], bool]) -> list[WeekBackup]:
    return [
        backup
        for found in counted.backups.values()
        for backup in found
        if week.start <= backup.judged.finished_at < week.end and wanted(backup)
    ]


def _slowest_restore(counted: Counted, week: int) -> float | None:
    measured = [
        test.seconds
        for test in counted.tests
        if test.week == week and test.outcome == "passed" and test.seconds is not None
    ]
    return max(measured, default=None)


def _tests(counted: Counted, outcome: str) -> list[float]:
    return [sum(test.week == n and test.outcome == outcome for test in counted.tests) for n in _weeks(counted)]


def _of(tally: WeekTally) -> str | None:
    return f"{tally.satisfied} of {tally.decided}" if tally.decided else None


def _is_on_record(counted: Counted, week: Period) -> bool:
    return counted.since is not None and counted.since < week.start + _FIRST_DAY


def _weeks(counted: Counted) -> range:
    return range(len(counted.weeks))
