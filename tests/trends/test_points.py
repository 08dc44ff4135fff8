"""What the database aggregates, against the same by hand in Python, on both engines."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, timedelta

import pytest

from services.catalog.catalog import Catalog
from services.catalog.model import Backup
from services.trends.points import FEW, POINT_COLUMNS, load_points
from services.trends.query import TrendsQuery
from tests.catalog.rows import make_backup
from tests.trends.conftest import NOW, PLAN, look

DAY: dict[str, Callable[[date], date]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
}


def chosen(catalog: Catalog, query: TrendsQuery) -> dict[tuple[str, date], list[Backup]]:
    """Return the whole backups of a query by database and bucket."""
    found = defaultdict(list)
    for backup in catalog.backups.list(since=query.since, until=query.until):
        fits = backup.database in query.databases and query.type in (None, backup.type)
        if fits and not (backup.is_partial or backup.adopted or backup.trust == "untrusted"):
            found[backup.database, DAY[query.bucket](backup.finished_at.astimezone(UTC).date())].append(backup)
    return found


@pytest.mark.parametrize(
    "query",
    [
        look("90 days"),
        look(first=date(2026, 6, 30)),  # 146 days: by week
        TrendsQuery(date(2023, 1, 1), NOW.date(), PLAN.names),  # by month
        look("90 days", type="scheduled"),
    ],
    ids=["day", "week", "month", "one type"],
)
def test_each_bucket_has_the_median_the_95th_percentile_and_the_means_of_its_backups(
    filled: Catalog, query: TrendsQuery
) -> None:
    points, single = load_points(filled.engine, query)
    expected = chosen(filled, query)
    assert not single
    assert tuple(points.columns) == POINT_COLUMNS
    assert {(row.database, row.at.date()) for row in points.itertuples()} == set(expected)
    assert points["at"].is_monotonic_increasing
    for row in points.itertuples():
        backups = expected[row.database, row.at.date()]
        seconds = sorted(backup.duration.total_seconds() for backup in backups)
        assert row.backups == len(backups)
        assert row.seconds == pytest.approx(statistics.median(seconds), abs=2e-3)
        assert row.seconds_p95 == pytest.approx(seconds[math.ceil(0.95 * len(seconds)) - 1], abs=2e-3)
        assert row.database_bytes == pytest.approx(statistics.mean(b.database_bytes for b in backups))
        assert row.stored_bytes == pytest.approx(statistics.mean(b.stored_bytes for b in backups))
        assert row.bytes_per_second == pytest.approx(sum(b.plain_bytes for b in backups) / sum(seconds), rel=1e-3)
        slowest = max(backups, key=lambda b: b.duration)
        assert (row.backup_id, row.backup, row.type) == (slowest.id, slowest.name, slowest.type)


def test_few_backups_are_shown_one_by_one(filled: Catalog) -> None:
    query = look("30 days", databases=PLAN.names[:1])
    points, single = load_points(filled.engine, query)
    expected = [backup for group in chosen(filled, query).values() for backup in group]
    assert single
    assert 0 < len(expected) <= FEW
    assert set(points["backup_id"]) == {backup.id for backup in expected}
    assert (points["backups"] == 1).all()
    assert points["at"].is_monotonic_increasing


def test_what_is_not_the_whole_database_says_nothing_of_its_size(catalog: Catalog) -> None:
    catalog.backups.add(make_backup("whole", finished_at=NOW))
    for name, changes in {
        "partial": {"excluded": ("public.big",)}, "adopted": {"adopted": True}, "untrusted": {"trust": "untrusted"},
    }.items():  # fmt: skip
        catalog.backups.add(make_backup(name, finished_at=NOW - timedelta(hours=1), **changes))  # type: ignore[arg-type]
    points, _ = load_points(catalog.engine, look("30 days", databases=("la_factoria",)))
    assert list(points["backup"]) == ["whole"]


def test_a_backup_that_has_expired_or_took_no_time_is_still_a_point(catalog: Catalog) -> None:
    catalog.backups.add(make_backup("gone", finished_at=NOW, started_at=NOW, state="expired", expired_at=NOW))
    points, single = load_points(catalog.engine, look("30 days", databases=("la_factoria",)))
    assert single
    (row,) = points.itertuples()
    assert (row.backup, row.seconds) == ("gone", pytest.approx(0, abs=1e-3))
    assert math.isnan(row.bytes_per_second) or row.bytes_per_second > 0


def test_an_empty_range_has_no_points_but_all_columns(catalog: Catalog) -> None:
    points, single = load_points(catalog.engine, look("30 days", databases=("la_factoria",)))
    assert points.empty
    assert single
    assert tuple(points.columns) == POINT_COLUMNS
