"""What the storages held, day by day, and when they will be full."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from services.catalog.catalog import Catalog
from services.catalog.model import Copy
from services.installation import Installation
from services.trends.query import TrendsQuery, midnight
from services.trends.usage import USAGE_COLUMNS, load_usage, outlooks
from tests.catalog.rows import make_backup
from tests.pages.worlds import add_backup, installation
from tests.trends.conftest import NOW, PLAN, look

TODAY = NOW.date()


def copy(storage: str, size: int, state: str = "stored") -> Copy:
    return Copy(storage, f"{storage}/x", "file:///x", "STANDARD", state, size, "", None)  # type: ignore[arg-type]


def by_day(catalog: Catalog, query: TrendsQuery, storage: str) -> dict[date, int]:
    frame = load_usage(catalog.engine, query, NOW)
    assert tuple(frame.columns) == USAGE_COLUMNS
    return {row.at.date(): row.bytes for row in frame[frame["storage"] == storage].itertuples()}


def test_a_day_ends_with_what_was_stored_less_what_has_expired(catalog: Catalog) -> None:
    for name, days, size, expired in (("old", 9, 100, 3), ("middle", 5, 40, None), ("new", 1, 7, None)):
        at = NOW - timedelta(days=days)
        gone = NOW - timedelta(days=expired) if expired else None
        state = "deleted" if gone else "stored"
        catalog.backups.add(
            make_backup(name, finished_at=at, state="expired" if gone else "finished", expired_at=gone,
                        copies=(copy("primary", size, state), copy("offsite", size, state)))
        )  # fmt: skip
    for storage in ("primary", "offsite"):
        found = by_day(catalog, look("30 days", databases=("la_factoria",)), storage)
        assert len(found) == 30
        expected = {10: 0, 9: 100, 6: 100, 5: 140, 4: 140, 3: 40, 2: 40, 1: 47, 0: 47}
        assert {days: found[TODAY - timedelta(days=days)] for days in expected} == expected


def test_a_range_in_the_past_is_counted_from_today_too(catalog: Catalog) -> None:
    catalog.backups.add(make_backup("a", finished_at=NOW - timedelta(days=20), copies=(copy("primary", 5),)))
    catalog.backups.add(make_backup("b", finished_at=NOW - timedelta(days=2), copies=(copy("primary", 9),)))
    query = look(first=TODAY - timedelta(days=25), last=TODAY - timedelta(days=10), databases=("la_factoria",))
    found = by_day(catalog, query, "primary")
    assert (min(found), max(found)) == (query.first, query.last)
    assert [found[TODAY - timedelta(days=days)] for days in (25, 21, 20, 10)] == [0, 0, 5, 5]


def test_a_copy_that_is_lost_without_its_backup_having_expired_is_on_no_day(catalog: Catalog) -> None:
    at = NOW - timedelta(days=4)
    catalog.backups.add(make_backup("a", finished_at=at, copies=(copy("primary", 5, "missing"), copy("offsite", 5))))
    catalog.backups.add(make_backup("b", finished_at=at, copies=(copy("primary", 3, "damaged"),)))
    query = look("30 days", databases=("la_factoria",))
    assert set(by_day(catalog, query, "primary").values()) == {0, 3}, "what is damaged still takes up room"
    assert set(by_day(catalog, query, "offsite").values()) == {0, 5}


def test_types_and_databases_narrow_down_and_everything_counts_what_is_configured_no_more(catalog: Catalog) -> None:
    for name, changes in {
        "ours": {}, "scheduled": {"type": "scheduled"}, "former": {"database": "former"},
    }.items():  # fmt: skip
        catalog.backups.add(make_backup(name, copies=(copy("primary", 10),), **changes))  # type: ignore[arg-type]
    wishes = {"": 20, "scheduled": 10}
    for kind, expected in wishes.items():
        query = look("30 days", databases=("la_factoria",), type=kind or None)
        assert by_day(catalog, query, "primary")[TODAY] == expected
    assert by_day(catalog, look("30 days", databases=("la_factoria",), everything=True), "primary")[TODAY] == 30


@pytest.mark.parametrize("everything", [True, False])
def test_every_day_holds_what_its_backups_held(filled: Catalog, everything: bool) -> None:
    backups = filled.backups.list()
    for storage in PLAN.storages:
        found = by_day(filled, look("90 days", everything=everything), storage)
        for day in (TODAY, TODAY - timedelta(days=1), TODAY - timedelta(days=45), TODAY - timedelta(days=89)):
            end = min(midnight(day + timedelta(days=1)), NOW + timedelta(hours=1))
            held = [b for b in backups if b.finished_at < end and (b.expired_at is None or b.expired_at >= end)]
            assert found[day] == sum(c.bytes for b in held for c in b.copies if c.storage == storage)


def growing(home: Path, *, days: int = 20, limit: int | None = None) -> Installation:
    """An installation whose storage gets 1 GB a day, for so many days."""
    inst = installation(home, "orders")
    if limit is not None:
        storage = inst.settings.storages[0].model_copy(update={"limit_bytes": limit})
        inst.settings = inst.settings.model_copy(update={"storages": (storage,)})
    for n in range(days):
        backup = add_backup(inst, "orders", NOW - timedelta(days=n))
        stored = [Copy(**(vars(c) | {"bytes": 10**9})) for c in backup.copies]
        inst.catalog.backups.add(type(backup)(**(vars(backup) | {"copies": tuple(stored)})))
    return inst


def test_a_storage_that_fills_by_a_gigabyte_a_day_is_full_when_its_room_is_used_up(tmp_path: Path) -> None:
    inst = growing(tmp_path, limit=25 * 10**9)
    query = look(first=TODAY - timedelta(days=19), databases=("orders",), everything=True)
    (found,) = outlooks(inst, load_usage(inst.catalog.engine, query, NOW))
    assert (found.storage, found.bytes, found.total_bytes) == ("local", 20 * 10**9, 25 * 10**9)
    assert found.full_in_days == pytest.approx(5)
    assert found.full_at_the_earliest == pytest.approx(5)
    assert found.full_at_the_latest == pytest.approx(5)


def test_a_full_storage_is_full_now_and_one_that_does_not_grow_never(tmp_path: Path) -> None:
    inst = growing(tmp_path / "full", limit=10**9)
    query = look(first=TODAY - timedelta(days=19), databases=("orders",), everything=True)
    (found,) = outlooks(inst, load_usage(inst.catalog.engine, query, NOW))
    assert found.full_in_days == 0
    still = growing(tmp_path / "still", days=1)
    query = look(first=TODAY - timedelta(days=19), databases=("orders",), everything=True)
    usage = load_usage(still.catalog.engine, query, NOW)
    (found,) = outlooks(still, usage)
    assert found.line is not None
    assert found.full_in_days is None


def test_too_short_a_past_says_nothing_of_when_a_storage_is_full(tmp_path: Path) -> None:
    inst = growing(tmp_path, days=5)
    query = look(first=TODAY - timedelta(days=4), databases=("orders",), everything=True)
    (found,) = outlooks(inst, load_usage(inst.catalog.engine, query, datetime.combine(TODAY, NOW.timetz())))
    assert found.line is None
    assert found.full_in_days is None
