"""How things stand with the room in a storage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.capacity.storage_use import StorageCard, Use, load_storage_report
from services.capacity.tiers import use_by_tier
from services.catalog.model import Backup
from services.installation import Installation
from services.retention.plans import load_plans
from services.settings.model import RetentionSettings, StorageSettings
from tests.catalog.rows import NOW, make_backup
from tests.support.stored import folder_storage, installation_on

DAY = timedelta(days=1)
MB = 10**6


@pytest.fixture
def inst(tmp_path: Path) -> Iterator[Installation]:
    limits = {"limit_bytes": 1000 * MB}
    storages = folder_storage(tmp_path, "primary", **limits), StorageSettings(name="cloud", url="s3://bucket/prod")
    made = installation_on(tmp_path, *storages, clock=lambda: NOW)
    yield made
    made.close()


def add(inst: Installation, days_ago: float, size: int, *, expired_days_ago: float | None = None) -> Backup:
    at = NOW - days_ago * DAY
    backup = make_backup(f"b{days_ago}", finished_at=at, stored_bytes=size)
    copy = replace(backup.copies[0], bytes=size)
    if expired_days_ago is not None:
        gone = NOW - expired_days_ago * DAY
        backup = replace(backup, state="expired", expired_at=gone)
        copy = replace(copy, state="deleted", checked_at=gone)
    backup = replace(backup, copies=(copy,))
    inst.catalog.backups.add(backup)
    return backup


def card(inst: Installation, name: str = "primary") -> StorageCard:
    return next(each for each in load_storage_report(inst).cards if each.name == name)


def test_a_storage_that_only_grows_is_full_on_the_day_that_it_is(inst: Installation) -> None:
    for day in range(40):
        add(inst, day, 10 * MB)
    found = card(inst)
    assert found.used == Use(40, 400 * MB)
    assert found.growth_bytes_per_day == 10 * MB
    assert (found.room_bytes, found.full_in_days) == (600 * MB, 60)
    assert found.verdict == ("ok", "600 MB left.")
    assert found.next_bytes == 10 * MB


def test_a_storage_that_expires_as_much_as_it_takes_is_not_growing(inst: Installation) -> None:
    for day in range(60):
        add(inst, day, 10 * MB, expired_days_ago=None if day < 7 else day - 7)
    found = card(inst)
    assert found.used == Use(7, 70 * MB)
    assert found.growth_bytes_per_day == 0
    assert found.full_in_days is None


def test_one_huge_backup_does_not_decide_the_pace(inst: Installation) -> None:
    for day in range(60):
        add(inst, day, 1 * MB)
    add(inst, 2.5, 500 * MB)
    assert card(inst).growth_bytes_per_day == pytest.approx(MB, rel=0.2)


def test_with_little_history_nobody_knows_the_pace(inst: Installation) -> None:
    add(inst, 1, 10 * MB)
    found = card(inst)
    assert (found.growth_bytes_per_day, found.full_in_days) == (None, None)
    assert card(inst, "cloud").growth_bytes_per_day is None


@pytest.mark.parametrize(
    ("used", "severity", "words"),
    [
        ([100 * MB], "ok", "900 MB left."),
        ([810 * MB, 10 * MB], "warning", "Nearly full: over 80 % of 1.00 GB."),
        ([400 * MB, 350 * MB], "failure", "No room for the next backups: 350 MB are expected."),
        ([400 * MB, 200 * MB], "ok", "400 MB left."),
        ([500 * MB, 210 * MB], "warning", "Room for fewer than 2 more backups of what is stored here."),
    ],
)
def test_the_verdict_has_its_threshold_in_it(inst: Installation, used: list[int], severity: str, words: str) -> None:
    for day, size in enumerate(reversed(used)):
        add(inst, day, size)
    assert card(inst).verdict == (severity, words)


def test_a_storage_that_is_full_soon_is_a_warning(inst: Installation) -> None:
    for day in range(20):
        add(inst, day, 30 * MB)
    assert card(inst).verdict == ("warning", "Full in 13 days at this pace.")


def test_without_a_limit_nothing_is_full_and_a_folder_that_is_gone_is_unknown(
    inst: Installation, tmp_path: Path
) -> None:
    assert card(inst, "cloud").verdict == ("ok", "Nothing limits it.")
    assert card(inst, "cloud").cold_classes[-1] == "DEEP_ARCHIVE"
    assert card(inst).cold_classes == ()
    lost = StorageSettings(name="primary", url=f"file://{tmp_path}/not/there")
    settings = inst.settings.model_copy(update={"storages": (lost, inst.settings.storages[1])})
    found = card(Installation(settings, inst.catalog, inst.clock))
    assert found.verdict[0] == "unknown"
    assert "not/there" in found.problem


def test_copies_in_a_storage_that_the_settings_do_not_name_any_more_are_not_forgotten(inst: Installation) -> None:
    backup = add(inst, 1, 5 * MB)
    inst.catalog.backups.save_copy(backup.id, replace(backup.copies[0], storage="old"))
    found = card(inst, "old")
    assert (found.used, found.url) == (Use(1, 5 * MB), "")
    assert found.verdict[0] == "warning"
    assert found.verdict[1].startswith("It is not in the settings any more: nothing in it can be read")
    assert {held.storage for held in load_storage_report(inst).held} == {"primary"}, "it is not counted twice"


def test_the_history_of_a_year_is_weekly_and_ends_with_what_is_held_today(inst: Installation) -> None:
    add(inst, 400, 7 * MB)
    add(inst, 100, 10 * MB, expired_days_ago=50)
    add(inst, 3, 2 * MB)
    history = load_storage_report(inst).history
    assert {(level.storage, level.database) for level in history} == {("primary", "la_factoria")}
    found = {(NOW.date() - level.day).days: level.bytes for level in history}
    assert sorted(found) == list(range(0, 365, 7))
    assert [found[day] for day in (364, 105, 98, 56, 49, 7, 0)] == [
        7 * MB, 7 * MB, 17 * MB, 17 * MB, 7 * MB, 7 * MB, 9 * MB]  # fmt: skip


def test_wanting_copies_are_counted_where_they_ought_to_be(inst: Installation) -> None:
    for day in range(3):
        add(inst, day, MB)
    report = load_storage_report(inst)
    assert {each.name: each.wanting for each in report.cards} == {"primary": 0, "cloud": 3}
    assert report.missing_count == 3


def test_the_report_takes_as_many_queries_for_many_backups_as_for_few(inst: Installation) -> None:
    def count() -> int:
        asked: list[str] = []
        sa.event.listen(inst.catalog.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
        load_storage_report(inst)
        return len(asked)

    add(inst, 1, MB)
    few = count()
    for day in range(2, 40):
        add(inst, day, MB)
    assert count() == few <= 7


def test_what_each_tier_holds_in_all_storages(inst: Installation) -> None:
    newest = add(inst, 1, 2 * MB)
    inst.catalog.backups.save_copy(newest.id, replace(newest.copies[0], storage="cloud"))
    for days_ago, size in ((2, 3 * MB), (3, 4 * MB), (400, 5 * MB)):
        add(inst, days_ago, size)
    policy = RetentionSettings(daily=1, weekly=1, monthly=0, yearly=0, minimum=3)
    inst.settings = inst.settings.model_copy(update={"retention": policy})
    uses = use_by_tier(load_plans(inst))
    assert {each.database for each in uses} == {"la_factoria"}
    assert {each.keeper: (each.backups, each.bytes) for each in uses} == {
        "daily": (1, 4 * MB),
        "weekly": (1, 4 * MB),
        "monthly": (0, 0),
        "yearly": (0, 0),
        "other": (2, 7 * MB),
        "none": (1, 5 * MB),
    }
