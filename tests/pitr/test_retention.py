"""The window: what no restore needs goes, and never a segment that a kept base backup needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services import commands
from services.installation import Installation
from services.janitor import sweep
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.pitr.base_model import BaseBackup
from services.pitr.cluster import Cluster, settle_cluster
from services.pitr.expire import expire_window, first_needed
from services.pitr.gaps import find_gaps, needed_gaps
from services.pitr.open import archive_of, existing_archive
from services.pitr.overview import load_point_in_time
from services.pitr.retention import plan_window
from services.pitr.wal_names import SegmentName, format_lsn
from services.settings.model import PitrSettings, StorageSettings
from tests.pages.worlds import add_backup
from tests.pitr.conftest import SEGMENT, SYSTEM, MakeSegment
from tests.support.installations import make_installation

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WINDOW = timedelta(days=14)
DAY = timedelta(days=1)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    pitr = PitrSettings(enabled=True, window=WINDOW)
    made = make_installation(tmp_path, clock=lambda: NOW, database={"pitr": pitr, "encrypt": False})
    yield made
    made.close()


def add_base(inst: Installation, number: int, *, days: float, parent: str | None = None, pinned: bool = False,
             system: str = SYSTEM, passed: bool = True) -> BaseBackup:  # fmt: skip
    """A base backup that was taken so many days ago and begins in this segment, with its object."""
    at = NOW - days * DAY
    physical = {
        "system_identifier": system, "timeline": 1, "start_lsn": format_lsn(number * SEGMENT + 40),
        "stop_lsn": format_lsn((number + 1) * SEGMENT + 80), "segment_bytes": SEGMENT, "server_major": 15,
        "started_at": at.isoformat(), "stopped_at": at.isoformat(), "superuser": "postgres",
        "manifest_sha256": "c" * 64, "parent_id": parent,
    }  # fmt: skip
    key = f"la_factoria/base_{number}.base.tar.zst"
    stored = inst.storage("primary").put(key, b"base")
    backup = add_backup(inst, "la_factoria", at, type="base", name=f"base_{number}", format="base-tar", pinned=pinned,
                        physical=physical, verification_passed=None if passed else False)  # fmt: skip
    [copy] = backup.copies
    copy = replace(copy, storage="primary", key=key, location=inst.storage("primary").location(key), bytes=stored.bytes)
    backup = replace(backup, copies=(copy,), verification_level=None if passed else "checksum")
    inst.catalog.backups.add(backup)
    return BaseBackup.of(backup)


def add_log(inst: Installation, make_segment: MakeSegment, first: int, last: int, *, system: str = SYSTEM,
            days: float = 30) -> None:  # fmt: skip
    """Segments first to last, stored so many days ago."""
    cluster = Cluster(system, SEGMENT)
    storage = inst.storage("primary")
    if system == SYSTEM:
        settle_cluster(storage, "la_factoria", cluster, expected=system)
    archive = archive_of(inst.settings, inst.settings.databases[0], storage, cluster)
    for number in range(first, last + 1):
        pushed = archive.push(make_segment(number, system=system))
        at = (NOW - days * DAY).timestamp()
        os.utime(inst.settings.home / "storage" / pushed.key, (at, at))


def numbers(inst: Installation) -> list[int]:
    database = inst.settings.databases[0]
    archive = existing_archive(inst.settings, database, inst.storage("primary"))
    return [segment.number for segment in archive.segments()]


def clean_up(inst: Installation) -> dict[str, object]:
    run_id = commands.submit_cleanup(inst, apply=True, actor="t", queue=False)
    run = execute_run(inst, run_id, worker=process_identity())
    assert run.state == "finished", run.error
    [window] = run.result["windows"]
    assert isinstance(window, dict)
    return window


def test_the_newest_base_backup_older_than_the_window_opens_it(installation: Installation) -> None:
    bases = [add_base(installation, n, days=days) for n, days in ((1, 30), (5, 20), (9, 14), (12, 3))]
    plan = plan_window(bases, window=WINDOW, now=NOW)
    assert [base.backup.name for base in plan.going] == ["base_1", "base_5"]
    assert plan.opened_by == bases[2]
    later = plan_window(bases, window=WINDOW, now=NOW - timedelta(seconds=1))
    assert later.opened_by == bases[1]  # a second before, that one is not yet as old as the window


def test_a_failed_base_backup_opens_no_window_and_a_parent_stays_with_its_child(installation: Installation) -> None:
    full = add_base(installation, 1, days=30)
    child = add_base(installation, 5, days=20, parent=full.backup.id)
    failed = add_base(installation, 9, days=16, passed=False)
    plan = plan_window([full, child, failed], window=WINDOW, now=NOW)
    assert plan.opened_by == child
    assert plan.going == ()
    assert plan_window([full, failed], window=timedelta(days=60), now=NOW).going == ()


def test_an_incremental_base_backup_on_a_failed_one_opens_no_window(installation: Installation) -> None:
    first = add_base(installation, 1, days=30)
    failed = add_base(installation, 5, days=20, passed=False)
    child = add_base(installation, 9, days=16, parent=failed.backup.id)
    plan = plan_window([first, failed, child], window=WINDOW, now=NOW)
    assert (plan.opened_by, plan.going) == (first, ())
    assert plan_window([failed, child], window=WINDOW, now=NOW).opened_by is None


def test_the_cleanup_removes_what_the_window_does_not_need_and_nothing_else(
    installation: Installation, make_segment: MakeSegment
) -> None:
    add_log(installation, make_segment, 1, 14)
    for number, days in ((1, 30), (5, 20), (9, 15), (12, 3)):
        add_base(installation, number, days=days)
    looked = expire_window(installation, installation.settings.databases[0])
    assert (looked.bases, looked.files, looked.refused) == (["base_1", "base_5"], 8, "")
    assert numbers(installation) == list(range(1, 15))
    window = clean_up(installation)
    assert (window["bases"], window["files"], window["failed"]) == (["base_1", "base_5"], 8, [])
    assert numbers(installation) == list(range(9, 15))
    left = installation.catalog.backups.list(database="la_factoria", type="base", state="finished")
    assert {backup.name for backup in left} == {"base_9", "base_12"}
    assert clean_up(installation)["files"] == 0


def test_a_pinned_base_backup_keeps_the_log_that_makes_it_consistent(
    installation: Installation, make_segment: MakeSegment
) -> None:
    add_log(installation, make_segment, 1, 14)
    add_base(installation, 2, days=30, pinned=True)
    add_base(installation, 9, days=15)
    clean_up(installation)
    assert numbers(installation) == [2, 3, *range(9, 15)]
    database = installation.settings.databases[0]
    archive = existing_archive(installation.settings, database, installation.storage("primary"))
    gaps = find_gaps(archive.segments(), {}, SEGMENT)
    assert [gap.names() for gap in gaps] == [[SegmentName(1, n).name(SEGMENT) for n in range(4, 9)]]
    assert needed_gaps(gaps, first_needed(installation, database, SYSTEM)) == []  # of an island nobody is alarmed


def test_without_a_base_backup_nothing_goes(installation: Installation, make_segment: MakeSegment) -> None:
    add_log(installation, make_segment, 1, 4, days=400)
    assert clean_up(installation)["files"] == 0
    assert numbers(installation) == [1, 2, 3, 4]


def test_a_base_backup_that_the_catalogue_does_not_know_keeps_all_of_the_log(
    installation: Installation, make_segment: MakeSegment
) -> None:
    add_log(installation, make_segment, 1, 14)
    add_base(installation, 9, days=15)
    installation.storage("primary").put("la_factoria/older.base.tar.zst.age", b"from another catalogue")
    window = clean_up(installation)
    assert "backups rebuild" in str(window["refused"])
    assert numbers(installation) == list(range(1, 15))


@pytest.mark.parametrize("away, why", [(False, "backups rebuild"), (True, "second cannot be listed")])
def test_a_base_backup_in_another_storage_that_nobody_knows_keeps_all_of_the_log(
    tmp_path: Path, make_segment: MakeSegment, away: bool, why: str
) -> None:
    pitr = PitrSettings(enabled=True, window=WINDOW)
    storages = tuple(StorageSettings(name=name, url=f"file://{tmp_path / name}") for name in ("storage", "second"))
    storages = (storages[0].model_copy(update={"name": "primary"}), storages[1])
    database = {"pitr": pitr, "encrypt": False, "storages": ("primary", "second")}
    inst = make_installation(tmp_path, clock=lambda: NOW, database=database, storages=storages)
    add_log(inst, make_segment, 1, 14)
    add_base(inst, 9, days=15)
    assert expire_window(inst, inst.settings.databases[0]).files == 8
    if away:
        (tmp_path / "second").rename(tmp_path / "gone")
        (tmp_path / "second").touch()
    else:
        inst.storage("second").put("la_factoria/older.base.tar.zst.age", b"from another catalogue")
    looked = expire_window(inst, inst.settings.databases[0])
    assert (looked.files, why in looked.refused) == (0, True), looked.refused
    inst.close()


def test_the_log_of_an_earlier_cluster_goes_once_it_is_older_than_the_window(
    installation: Installation, make_segment: MakeSegment
) -> None:
    other = "7000000000000000001"
    add_log(installation, make_segment, 1, 3, system=other, days=13)
    add_log(installation, make_segment, 5, 6)
    add_base(installation, 5, days=15)
    assert clean_up(installation)["files"] == 0
    root = installation.settings.home / "storage" / "la_factoria" / "wal" / other
    for path in root.rglob("*.zst"):
        os.utime(path, ((NOW - 15 * DAY).timestamp(),) * 2)
    assert clean_up(installation)["files"] == 3
    assert numbers(installation) == [5, 6]


def test_what_can_be_restored_to_is_told_with_the_gaps_that_matter(
    installation: Installation, make_segment: MakeSegment
) -> None:
    database = installation.settings.databases[0]
    assert load_point_in_time(installation, database).listing is None
    add_log(installation, make_segment, 1, 6)
    add_log(installation, make_segment, 9, 12, days=1)
    assert load_point_in_time(installation, database).windows == ()
    add_base(installation, 2, days=20)
    add_base(installation, 10, days=2)
    found = load_point_in_time(installation, database)
    old, new = found.windows
    assert [gap.count for gap in old.gaps] == [2]
    assert (new.from_at, new.to_at, new.gaps) == (NOW - 2 * DAY, NOW - DAY, ())
    assert found.listing is not None
    assert [gap.count for gap in found.listing.gaps] == [2]
    (installation.settings.home / "storage").rename(installation.settings.home / "away")
    (installation.settings.home / "storage").touch()
    assert "storage" in load_point_in_time(installation, database).error


def test_the_janitor_takes_no_log_for_an_orphan_and_ends_what_a_killed_push_left(
    installation: Installation, make_segment: MakeSegment
) -> None:
    add_log(installation, make_segment, 1, 2, days=400)
    folder = installation.settings.home / "storage" / "la_factoria" / "wal" / SYSTEM / "00000001"
    begun = folder / f".{SegmentName(1, 3).name(SEGMENT)}-{'a' * 32}.zst.{'b' * 32}.partial"
    begun.write_bytes(b"half")
    os.utime(begun, ((NOW - 2 * DAY).timestamp(),) * 2)
    report = sweep(installation, apply=True)
    assert report.orphans == []
    assert len(report.removed) == 1
    assert not begun.exists()
    assert numbers(installation) == [1, 2]
