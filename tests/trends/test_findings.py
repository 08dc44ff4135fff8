"""What is said of the trends, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd
import pytest

from services.trends.findings import Finding, changes, find, sentence
from services.trends.outliers import Outlier
from services.trends.points import POINT_COLUMNS
from services.trends.restores import RESTORE_COLUMNS
from services.trends.success import Success
from services.trends.usage import StorageOutlook
from tests.trends.conftest import NOW

FINE = Success(100, 100, 30, 30)


def points(**seconds: Sequence[float]) -> pd.DataFrame:
    """Return points of databases with these durations; their size is a million times the duration."""
    rows = [
        (name, NOW + timedelta(days=n), 1, value, value, 1e6 * value, 1e5 * value, 1.0, f"{name}{n}", "b", "scheduled")
        for name, values in seconds.items()
        for n, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(POINT_COLUMNS))


def restores(**seconds: float) -> pd.DataFrame:
    rows = [(name, NOW, value, 1, "id", "b", "scheduled") for name, value in seconds.items()]
    return pd.DataFrame(rows, columns=list(RESTORE_COLUMNS))


def said(
    frame: pd.DataFrame | None = None, *, success: Success = FINE, outlooks: Sequence[StorageOutlook] = (),
    tests: pd.DataFrame | None = None, outliers: Sequence[Outlier] = (), databases: Sequence[str] = ("orders",),
) -> list[tuple[str, str]]:  # fmt: skip
    limits = dict.fromkeys(databases, timedelta(hours=1))
    frame = points(orders=[10] * 10) if frame is None else frame
    found = find(frame, success, outlooks, restores() if tests is None else tests, outliers, limits, span="90 days")
    return [(finding.severity, finding.text) for finding in found]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([10] * 5 + [12] * 5, ("note", "backups take 20 % longer than 90 days ago")),
        ([10] * 5 + [8] * 5, ("note", "backups take 20 % less time than 90 days ago")),
        ([10] * 5 + [10.4] * 5, ("note", "backups take as long as 90 days ago")),
        ([10] * 5 + [15] * 5, ("warning", "backups take 50 % longer than 90 days ago")),
        ([10, 10, 10, 10, 90, 10, 10, 10, 10, 10], ("note", "backups take as long as 90 days ago")),
    ],
)
def test_durations_are_compared_with_those_at_the_beginning(values: list[float], words: tuple[str, str]) -> None:
    assert words in said(points(orders=values))


def test_the_database_that_slowed_down_most_is_named() -> None:
    frame = points(orders=[10] * 10, users=[10] * 5 + [14] * 5, billing=[10] * 10)
    expected = "backups take as long as 90 days ago (most of all users: 40 % longer)"
    assert ("note", expected) in said(frame, databases=("orders", "users", "billing"))


def test_sizes_are_compared_together() -> None:
    frame = points(orders=[10] * 10, users=[10] * 5 + [20] * 5)
    assert ("note", "the databases together are 50 % larger than 90 days ago") in said(frame)
    assert ("note", "the database is as large as 90 days ago") in said()


@pytest.mark.parametrize(
    ("success", "databases", "words"),
    [
        (FINE, 1, ("ok", "every day on record had a good backup")),
        (FINE, 2, ("ok", "every day on record had a good backup of every database")),
        (Success(100, 100, 30, 29), 1, ("warning", "1 of 30 days had no good backup")),
        (
            Success(9, 9, 9000, 8999),
            2,
            ("note", "1 of 9,000 days (counted for each database) had no good backup"),
        ),
        (Success(1200, 1190, 30, 30), 1, ("note", "10 of 1,200 backup runs failed")),
    ],
)
def test_success_is_counted_in_days_and_in_runs(success: Success, databases: int, words: tuple[str, str]) -> None:
    assert words in said(success=success, databases=("orders", "users")[:databases])


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0.2, ("failure", "storage local is full")),
        (29.6, ("failure", "storage local is full in about 30 days")),
        (80, ("warning", "storage local is full in about 80 days")),
        (140, ("note", "storage local is full in about 140 days")),
    ],
)
def test_the_storage_that_is_full_first_is_named(days: float, words: tuple[str, str]) -> None:
    later = StorageOutlook("offsite", 1, 2, None, 900.0)
    assert words in said(outlooks=[later, StorageOutlook("local", 1, 2, None, days)])


def test_nothing_is_said_of_a_storage_that_is_not_foreseeably_full() -> None:
    quiet = [StorageOutlook("local", 1, 2, None, 4000.0), StorageOutlook("offsite", 1, None, None)]
    assert not [text for _, text in said(outlooks=quiet) if "storage" in text]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (4320, ("failure", "the last restore of orders took 1 h 12 min, longer than its RTO of 1 h")),
        (3000, ("warning", "the last restore of orders took 50 min 00 s of its RTO of 1 h")),
        (360, ("ok", "restores take at most 10 % of their RTO")),
    ],
)
def test_the_restore_that_is_closest_to_its_limit_is_named(seconds: float, words: tuple[str, str]) -> None:
    assert words in said(tests=restores(users=1, orders=seconds), databases=("orders", "users"))


def outlier(kind: str, backup: str, at: datetime = NOW) -> Outlier:
    return Outlier(kind, "orders", backup, backup, at, 1.0, 10.0)  # type: ignore[arg-type]


def test_unusual_backups_are_counted_once_each() -> None:
    both = [outlier("stored size", "b1"), outlier("database size", "b1")]
    assert ("warning", "one backup is unlike those before it") in said(outliers=both)
    slow = [outlier("duration", "b1"), outlier("duration", "b2")]
    assert ("note", "2 backups are unlike those before them") in said(outliers=slow)


def test_the_worst_comes_first_and_becomes_the_sentence() -> None:
    found = find(
        points(orders=[10] * 5 + [11.2] * 5), FINE, [StorageOutlook("local", 1, 2, None, 140.0)], restores(orders=4000),
        (), {"orders": timedelta(hours=1)}, span="90 days",
    )  # fmt: skip
    assert [finding.severity for finding in found] == ["failure", "note", "note", "note", "ok"]
    assert sentence(found[1:]) == "Storage local is full in about 140 days; backups take 12 % longer than 90 days ago."
    assert sentence([Finding("note", "one thing")]) == "One thing."


def test_a_range_without_anything_says_so() -> None:
    assert said(points(), success=Success(0, 0, 0, 0)) == [("note", "nothing was backed up in this range")]
    assert said(points(), success=Success(0, 0, 5, 0)) == [("failure", "nothing was backed up in this range")]
    only_failures = said(points(), success=Success(4, 0, 5, 0))
    assert ("warning", "5 of 5 days had no good backup") in only_failures
    assert ("note", "4 of 4 backup runs failed") in only_failures


def test_a_change_needs_three_points_at_each_end() -> None:
    assert changes(points(orders=[1, 2, 3, 4, 5]), "seconds") == {}
    assert changes(points(orders=[1, 1, 1, 2, 2, 2]), "seconds") == {"orders": 2.0}
    assert changes(points(orders=[0, 0, 0, 2, 2, 2]), "seconds") == {}
