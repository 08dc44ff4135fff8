"""Which backups are unlike those before them, and what is said of them."""

from __future__ import annotations

import statistics
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.catalog import Catalog
from services.trends.outliers import ENOUGH, WINDOW, Outlier, find_outliers, judge_drop, judge_duration
from tests.catalog.rows import make_backup
from tests.trends.conftest import NOW, PLAN, look

MB = 10**6


def add(catalog: Catalog, *backups: dict[str, Any]) -> None:
    """Add backups of la_factoria, a day apart, the last one now; 20 s, 100 MB of database, 10 MB stored unless said."""
    for number, wish in enumerate(reversed(backups)):
        at = NOW - timedelta(days=number)
        seconds = wish.pop("seconds", 20)
        name = wish.pop("name", f"b{len(backups) - number}")
        values = {"stored_bytes": 10 * MB, "database_bytes": 100 * MB, "started_at": at - timedelta(seconds=seconds)}
        catalog.backups.add(make_backup(name, finished_at=at, **(values | wish)))


def found(catalog: Catalog, span: str = "90 days", **more: object) -> list[Outlier]:
    return find_outliers(catalog.engine, look(span, databases=("la_factoria",), **more))


def test_a_backup_over_30_percent_smaller_than_the_median_before_it_is_named_with_both_sizes(catalog: Catalog) -> None:
    add(catalog, *[{} for _ in range(7)], {"name": "small", "stored_bytes": 6 * MB, "database_bytes": 60 * MB})
    stored, database = found(catalog)
    assert (stored.backup, stored.kind, stored.value, stored.usual) == ("small", "stored size", 6 * MB, 10 * MB)
    assert stored.reason == "is 6.00 MB, 40 % below the median of the backups before it (10.0 MB)"
    assert database.reason == "is of a database of 60.0 MB, 40 % below the median of the backups before it (100 MB)"
    assert stored.at == NOW


def test_a_backup_that_took_over_twice_the_median_is_named_with_both_durations(catalog: Catalog) -> None:
    add(catalog, *[{} for _ in range(5)], {"name": "slow", "seconds": 50}, {})
    (slow,) = found(catalog)
    assert (slow.backup, slow.kind) == ("slow", "duration")
    assert slow.reason == "took 50 s, 2.5 times the median of the backups before it (20 s)"


@pytest.mark.parametrize(
    "last",
    [{"stored_bytes": 7 * MB}, {"seconds": 40}, {"seconds": 20.5}, {"stored_bytes": 100 * MB}],
    ids=["30 % exactly", "twice exactly", "as long", "ten times larger"],
)
def test_what_stays_within_the_limits_is_no_outlier(catalog: Catalog, last: dict[str, Any]) -> None:
    add(catalog, *[{} for _ in range(7)], last)
    assert found(catalog) == []


def test_two_seconds_instead_of_one_are_no_news(catalog: Catalog) -> None:
    add(catalog, *[{"seconds": 1} for _ in range(7)], {"seconds": 9})
    assert found(catalog) == []


def test_with_too_few_before_it_nothing_is_said_of_a_backup(catalog: Catalog) -> None:
    add(catalog, *[{} for _ in range(ENOUGH - 1)], {"seconds": 500})
    assert found(catalog) == []


def test_what_failed_or_is_partial_is_neither_judged_nor_compared_with(catalog: Catalog) -> None:
    tiny = {"stored_bytes": 1 * MB, "database_bytes": 1 * MB}
    add(catalog, *[{} for _ in range(4)], {"verification_passed": False, **tiny}, {"excluded": ("x",), **tiny}, {}, {})
    assert found(catalog) == []


def test_an_outlier_does_not_make_the_next_one_look_usual(catalog: Catalog) -> None:
    add(catalog, *[{} for _ in range(6)], {"seconds": 90}, {"seconds": 80})
    assert [outlier.value for outlier in found(catalog)] == pytest.approx([80, 90], abs=1e-2)


def test_the_first_backups_of_a_range_are_compared_with_those_before_it(catalog: Catalog) -> None:
    add(catalog, *[{} for _ in range(7)], {"name": "slow", "seconds": 50})
    assert [outlier.backup for outlier in found(catalog, first=NOW.date())] == ["slow"]
    assert found(catalog, first=NOW.date() - timedelta(days=9), last=NOW.date() - timedelta(days=1)) == []


def test_the_database_finds_exactly_what_the_rule_says(filled: Catalog) -> None:
    """Against the rule applied to every backup in Python: what the database leaves out is no outlier."""
    query = look("90 days")
    expected = set()
    for name in PLAN.names:
        good = [
            backup
            for backup in filled.backups.list(database=name, until=query.until)[::-1]
            if not backup.is_partial and backup.verification_passed is not False
        ]
        for number, backup in enumerate(good):
            before = good[max(0, number - WINDOW) : number]
            if backup.finished_at < query.since or len(before) < ENOUGH:
                continue
            seconds, usual = backup.duration.total_seconds(), [b.duration.total_seconds() for b in before]
            if seconds > 2 * statistics.median(usual) and seconds - statistics.median(usual) >= 10:
                expected.add((backup.id, "duration"))
            for kind, column in (("stored size", "stored_bytes"), ("database size", "database_bytes")):
                if getattr(backup, column) < 0.7 * statistics.median(getattr(b, column) for b in before):
                    expected.add((backup.id, kind))
    assert {(outlier.backup_id, outlier.kind) for outlier in find_outliers(filled.engine, query)} == expected
    assert expected, "a past without an outlier proves nothing"


@given(st.lists(st.floats(1, 1e12), min_size=ENOUGH, max_size=WINDOW), st.floats(0, 1e12))
def test_every_outlier_is_a_suspect(before: list[float], value: float) -> None:
    """The SQL asks for less than the rule: below a share of the largest, above twice the quickest."""
    if judge_drop(value, before) is not None:
        assert value < 0.7 * max(before)
    if judge_duration(value, before) is not None:
        assert value > 2 * min(before)
        assert value - min(before) >= 10
