"""What matters in the trends, in clauses that can be read out at a review, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

import pandas as pd

from services.status import Severity, age
from services.trends.outliers import Outlier
from services.trends.success import Success
from services.trends.usage import StorageOutlook
from services.units import format_duration

SAME = 0.05
"""A change by less than this share is called none."""
MUCH_LONGER = 1.5
FULL_SOON, FULL_VERY_SOON = 90, 30
"""Days: a storage that is full within so many is a warning, a failure."""
NOT_FORESEEABLE = 1825
"""Days beyond which nothing is said of a storage."""
TARGET = 0.999
"""The promise that the success is measured by."""
CLOSE = 0.8
"""A restore that takes more than this share of its limit is close to it."""
_ORDER: tuple[Severity, ...] = ("failure", "warning", "unknown", "note", "ok")


@dataclass(frozen=True)
class Finding:
    """One clause, begun in lower case and without a full stop: ``backups take 12 % longer than 90 days ago``."""

    severity: Severity
    text: str


def sentence(findings: Sequence[Finding], most: int = 2) -> str:
    """Join the first findings into one sentence."""
    text = "; ".join(finding.text for finding in findings[:most])
    return f"{text[:1].upper()}{text[1:]}."


def find(
    points: pd.DataFrame,
    success: Success,
    outlooks: Iterable[StorageOutlook],
    restores: pd.DataFrame,
    outliers: Sequence[Outlier],
    limits: Mapping[str, timedelta],
    *,
    span: str,
) -> tuple[Finding, ...]:
    """Return the findings, the worst first; ``limits`` are the databases' RTO, ``span`` says ``90 days``."""
    if points.empty and success.runs == 0:
        # Where there were backups before, silence is failure.
        return (Finding("failure" if success.days else "note", "nothing was backed up in this range"),)
    found = [
        *_restores(restores, limits),
        *_storages(outlooks),
        *_success(success, len(limits)),
        *_durations(points, span),
        *_sizes(points, span),
        *_outliers(outliers),
    ]
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def changes(points: pd.DataFrame, column: str) -> dict[str, float]:
    """Return, by database, how its values changed: the median of the last fifth of its points by that of the first.

    At least three points each; a database with fewer than six is left out.
    """
    found = {}
    for database, its in points.groupby("database", sort=True):
        values = its[column].dropna().tolist()
        part = max(3, len(values) // 5)
        if len(values) >= 2 * part and (before := median(values[:part])) > 0:
            found[str(database)] = median(values[-part:]) / before
    return found


def _durations(points: pd.DataFrame, span: str) -> list[Finding]:
    ratios = changes(points, "seconds")
    if not ratios:
        return []
    ratio = median(ratios.values())
    text = f"backups take {_compared(ratio, 'longer', 'less time')} {span} ago"
    slowest = max(ratios, key=lambda name: ratios[name])
    if len(ratios) > 1 and ratios[slowest] > max(1 + SAME, ratio * 1.1):
        text += f" (most of all {slowest}: {_percent(ratios[slowest])} longer)"
    worst = max(ratios.values())
    return [Finding("warning" if worst >= MUCH_LONGER else "note", text)]


def _sizes(points: pd.DataFrame, span: str) -> list[Finding]:
    ratios = changes(points, "database_bytes")
    if not ratios:
        return []
    newest = points.groupby("database")["database_bytes"].last()
    now = sum(float(newest[name]) for name in ratios)
    before = sum(float(newest[name]) / ratio for name, ratio in ratios.items())
    what = "the database is" if len(ratios) == 1 else "the databases together are"
    return [Finding("note", f"{what} {_compared(now / before, 'larger', 'smaller', same='as large as')} {span} ago")]


def _success(success: Success, databases: int) -> list[Finding]:
    found = []
    missed = success.days - success.days_good
    if success.days and not missed:
        found.append(
            Finding("ok", f"every day on record had a good backup{' of every database' if databases > 1 else ''}")
        )
    elif success.days:
        each = " (counted for each database)" if databases > 1 else ""
        severity: Severity = "warning" if success.days_good < TARGET * success.days else "note"
        found.append(Finding(severity, f"{missed} of {success.days:,} days{each} had no good backup"))
    failed = success.runs - success.runs_finished
    if failed:
        found.append(Finding("note", f"{failed} of {success.runs:,} backup runs failed"))
    return found


def _storages(outlooks: Iterable[StorageOutlook]) -> list[Finding]:
    due = [(o.full_in_days, o) for o in outlooks if o.full_in_days is not None and o.full_in_days <= NOT_FORESEEABLE]
    if not due:
        return []
    days, soonest = min(due, key=lambda pair: pair[0])
    severity: Severity = "failure" if days <= FULL_VERY_SOON else "warning" if days <= FULL_SOON else "note"
    when = f"is full in about {days:,.0f} days" if days >= 1 else "is full"
    return [Finding(severity, f"storage {soonest.storage} {when}")]


def _restores(restores: pd.DataFrame, limits: Mapping[str, timedelta]) -> list[Finding]:
    newest = restores.groupby("database")["seconds"].last()
    shares = {
        str(name): float(seconds) / limits[str(name)].total_seconds()
        for name, seconds in newest.items()
        if str(name) in limits
    }
    if not shares:
        return []
    name = max(shares, key=lambda each: shares[each])
    took, limit = format_duration(float(newest[name])), age(limits[name])
    if shares[name] > 1:
        return [Finding("failure", f"the last restore of {name} took {took}, longer than its RTO of {limit}")]
    if shares[name] > CLOSE:
        return [Finding("warning", f"the last restore of {name} took {took} of its RTO of {limit}")]
    return [Finding("ok", f"restores take at most {max(1, round(100 * shares[name]))} % of their RTO")]


def _outliers(outliers: Sequence[Outlier]) -> list[Finding]:
    count = len({outlier.backup_id for outlier in outliers})
    if not count:
        return []
    text = "one backup is unlike" if count == 1 else f"{count} backups are unlike"
    drops = any(outlier.kind != "duration" for outlier in outliers)
    return [Finding("warning" if drops else "note", f"{text} those before {'it' if count == 1 else 'them'}")]


def _compared(ratio: float, more: str, less: str, *, same: str = "as long as") -> str:
    if abs(ratio - 1) < SAME:
        return same
    return f"{_percent(ratio)} {more if ratio > 1 else less} than"


def _percent(ratio: float) -> str:
    return f"{100 * abs(ratio - 1):,.0f} %"
