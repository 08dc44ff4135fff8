"""The whole read model: few queries whatever there is, and restore times against their limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from bench.pages.catalogue import Plan, fill_catalogue
from services.catalog.catalog import Catalog
from services.installation import Installation
from services.trends.query import TrendsQuery
from services.trends.restores import RESTORE_COLUMNS, load_restores
from services.trends.trends import CALENDAR_DAYS, load_trends
from tests.pages.test_queries import count_queries
from tests.pages.worlds import NOW, add_backup, add_verification, healthy, installation
from tests.trends.conftest import PLAN, look


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Installation]]:
    """Installations with 300 and 2,400 backups of two databases over the same days, which are read only."""
    made = []
    for backups in (300, 2400):
        plan = Plan(NOW, databases=2, days=400, backups=backups, tables=2)
        inst = installation(tmp_path_factory.mktemp(f"{backups}"), *plan.names)
        fill_catalogue(inst.catalog, plan)
        made.append(inst)
    yield made[0], made[1]
    for inst in made:
        inst.close()


@pytest.mark.parametrize("span", ["30 days", "90 days", "12 months"])
def test_the_queries_do_not_grow_with_the_backups(few_and_many: tuple[Installation, Installation], span: str) -> None:
    counts = []
    for inst in few_and_many:
        query = look(span, databases=tuple(database.name for database in inst.settings.databases))
        counts.append(count_queries(inst, lambda inst=inst, query=query: load_trends(inst, query)))  # type: ignore[misc]
    assert max(counts) <= 12


def test_the_rows_are_bounded_by_the_buckets_whatever_the_range(tmp_path: Path) -> None:
    plan = Plan(NOW, databases=2, days=1500, backups=6000, tables=2)
    inst = installation(tmp_path, *plan.names)
    fill_catalogue(inst.catalog, plan)
    for first in (date(2022, 1, 1), date(2025, 1, 1), NOW.date() - timedelta(days=99)):
        found = load_trends(inst, TrendsQuery(first, NOW.date(), plan.names))
        steps = {"day": found.query.days, "week": found.query.days // 7 + 2, "month": found.query.days // 28 + 2}
        assert len(found.points) <= 2 * steps[found.query.bucket]
        assert found.points["backups"].sum() > len(found.points)


def test_a_restore_test_that_passed_is_a_point_with_its_measured_time(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW - timedelta(days=3))
    add_verification(inst, backup, NOW - timedelta(days=2))
    add_verification(inst, backup, NOW - timedelta(days=1), level="archive")
    add_verification(inst, backup, NOW - timedelta(days=1), outcome="not testable")
    add_verification(inst, backup, NOW - timedelta(days=40))
    found = load_restores(inst.catalog.engine, look("30 days", databases=("orders",)))
    assert tuple(found.columns) == RESTORE_COLUMNS
    (row,) = found.itertuples()
    assert (row.database, row.seconds, row.backup_id, row.type) == ("orders", 9.5, backup.id, "on-demand")
    assert load_restores(inst.catalog.engine, look("30 days", databases=("orders",), type="scheduled")).empty


def test_restores_are_the_same_on_both_engines(filled: Catalog) -> None:
    found = load_restores(filled.engine, look("90 days"))
    passed = [
        v
        for name in PLAN.names
        for v in filled.verifications.list(database=name, level="restore", outcome="passed")
        if look("90 days").since <= v.finished_at
    ]
    assert sorted(found["seconds"]) == sorted(v.detail["rto_seconds"] for v in passed) != []


def test_the_read_model_tells_limits_the_largest_and_the_year(tmp_path: Path) -> None:
    inst = healthy(tmp_path)
    found = load_trends(inst, look("30 days", databases=("la_factoria", "orders", "billing")))
    assert found.single
    assert found.limits["orders"] == timedelta(hours=1)
    assert found.largest(1) == ("la_factoria",)
    assert found.largest(6) == ("la_factoria", "orders")
    assert set(found.begun) == {"la_factoria", "orders"}
    assert {day.database for day in found.calendar} == {"la_factoria", "orders"}
    assert min(day.day for day in found.calendar) < found.query.first, "the year is longer than the range"
    assert found.success_total.days > 0
    assert found.findings


def test_the_year_ends_with_the_range(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    for days in (500, 370, 100, 20):
        add_backup(inst, "orders", NOW - timedelta(days=days))
    end = NOW.date() - timedelta(days=50)
    found = load_trends(inst, TrendsQuery(end - timedelta(days=9), end, ("orders",)))
    assert [(end - day.day).days for day in found.calendar] == [320, 50]
    assert all(0 <= (end - day.day).days < CALENDAR_DAYS for day in found.calendar)
