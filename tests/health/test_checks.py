"""The list of checks: each with a case in which it is well and one in which it is not, and its threshold in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from dashboard.frames import proof_words
from services.alerts.decide import decide
from services.alerts.rules import rule_of
from services.catalog.inventory import InventoryQuery, search
from services.catalog.read_only_modes import ReadOnlyMode
from services.catalog.schema import outbox
from services.catalog.summaries import days
from services.cli.inventory_commands import _verified
from services.health.checks import RULES, examine
from services.health.model import CHECK_WORDS, HealthCheck
from services.installation import Installation
from services.overview import StorageRoom
from services.stream.encryption import generate_key
from tests.pages.test_copies_shown import in_two_storages
from tests.pages.test_queries import count_queries
from tests.pages.worlds import NOW, add_backup, add_run, add_verification, healthy, installation, scheduled

DAYS = timedelta(days=1)
HOUR = timedelta(hours=1)
MB = 10**6


def check(inst: Installation, name: str, subject: str = "orders") -> HealthCheck:
    [found] = [c for c in examine(inst).checks if c.name == name and c.subject.name == subject]
    return found


def well(inst: Installation) -> None:
    """Seven good backups of one size and length, the newest proven."""
    for day in range(8, 0, -1):
        backup = add_backup(inst, "orders", NOW - day * timedelta(hours=3))
    add_verification(inst, backup, NOW - 2 * HOUR)
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW - timedelta(seconds=3))


def size(stored: int) -> Callable[[Installation], None]:
    return lambda inst: void(add_backup(inst, "orders", NOW - HOUR, stored_bytes=stored))


def took(seconds: int) -> Callable[[Installation], None]:
    return lambda inst: void(add_backup(inst, "orders", NOW - HOUR, started_at=NOW - HOUR - timedelta(seconds=seconds)))


def void(_: object) -> None:
    pass


def failed_run(inst: Installation, **more: Any) -> None:
    add_run(inst, "orders", NOW - HOUR, state="failed", error="pg_dump: connection lost", hint="Look.", **more)


def damaged(inst: Installation) -> None:
    old = add_backup(inst, "orders", NOW - 5 * DAYS)
    add_verification(inst, old, NOW - HOUR, level="checksum", outcome="failed")


def missing(inst: Installation, *, other_copy: bool) -> None:
    old = add_backup(inst, "orders", NOW - 5 * DAYS)
    if other_copy:
        second = replace(old.copies[0], storage="second")
        inst.catalog.backups.add(replace(old, copies=(*old.copies, second)))
    inst.catalog.backups.set_copy_state(old.id, "local", "missing", checked_at=NOW - HOUR)


def failed_test(inst: Installation) -> None:
    add_verification(inst, add_backup(inst, "orders", NOW - HOUR), NOW, outcome="failed")


def old_test(inst: Installation) -> None:
    with inst.catalog.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM verifications"))
    backup = add_backup(inst, "orders", NOW - 40 * DAYS)
    add_verification(inst, backup, NOW - 36 * DAYS)


def unverified(inst: Installation) -> None:
    with inst.catalog.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM backups WHERE finished_at > '2026-11-22T04'"))
        connection.execute(sa.text("UPDATE backups SET finished_at = '2026-11-21T11:00:00.000000Z'"))


def newest_failed(inst: Installation) -> None:
    backup = add_backup(inst, "orders", NOW - HOUR)
    add_verification(inst, backup, NOW, level="archive", outcome="failed")


def old_backups(inst: Installation) -> None:
    with inst.catalog.engine.begin() as connection:
        connection.execute(sa.text("UPDATE backups SET snapshot_at = '2026-11-21T04:00:00.000000Z'"))


def slow_restore(inst: Installation) -> None:
    inst.settings = inst.settings.model_copy(
        update={"databases": (inst.settings.databases[0].model_copy(update={"rto": timedelta(seconds=5)}),)}
    )


def expired(inst: Installation) -> None:
    with inst.catalog.engine.begin() as connection:
        connection.execute(sa.text("UPDATE copies SET state = 'deleted'"))


def held(inst: Installation, *, minutes: int, error: str = "") -> None:
    began = NOW - timedelta(minutes=minutes)
    mode = ReadOnlyMode(
        "m", "orders", "r", 1, "host:1:1", "ada", "why", began, began + timedelta(minutes=30), None, False,
        last_error=error,
    )  # fmt: skip
    with inst.catalog.engine.begin() as connection:
        inst.catalog.read_only_modes.add(mode, connection)


CASES: dict[str, tuple[str, Callable[[Installation], Any], str, str]] = {
    "older than the RPO": ("backup_age", old_backups, "warning", "32 h ago · RPO 28 h · breached 4 h ago"),
    "nothing left": ("backup_age", expired, "failure", "No good backup is left"),
    "the last run failed": ("backup_run", failed_run, "warning", "failed 59 min ago: pg_dump: connection lost"),
    "a restore test failed": ("restore_test", failed_test, "failure", "Last restore test failed"),
    "a restore test is overdue": ("restore_test", old_test, "warning", "limit 35 d · breached 24 h ago"),
    "read-only past its limit": ("read_only", partial(held, minutes=31), "failure", "by ada · limit 30 min"),
    "read-only cannot be released": ("read_only", partial(held, minutes=2, error="No."), "warning", "No."),
    "read-only for a backup": ("read_only", partial(held, minutes=2), "ok", "In read-only mode for 2 min"),
    "a restore takes too long": ("restore_time", slow_restore, "warning", "A restore took 9.5 s · RTO 5 s"),
    "not verified in time": ("verification", unverified, "warning", "has not been verified for 25 h · limit 24 h"),
    "the newest failed its check": ("verification", newest_failed, "failure", "failed its archive check"),
    "an older one is damaged": ("corruption", damaged, "failure", "Damaged: orders_backup_20261117"),
    "a copy is missing": ("copies", partial(missing, other_copy=True), "warning", "A copy is missing"),
    "the only copy is missing": ("copies", partial(missing, other_copy=False), "failure", "1 has no copy left"),
    "a third smaller": ("backup_size", size(5_800_000), "warning", "31 % less than the median of the 7"),
    "more than twice as large": ("backup_size", size(17 * MB), "warning", "2.0 times the median of the 7"),
    "more than twice as long": ("backup_duration", took(29), "warning", "took 29 s · median of the 7 before it 14 s"),
    "a verification run failed": ("other_runs", partial(failed_run, kind="verification"), "warning", "verification"),
    "a clean-up was lost": ("other_runs", partial(failed_run, kind="janitor"), "warning", "janitor run failed"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_check_warns_or_fails_when_it_should_and_not_before(tmp_path: Path, case: str) -> None:
    name, change, severity, words = CASES[case]
    inst = installation(tmp_path, "orders")
    well(inst)
    before = [c for c in examine(inst).checks if c.name == name]
    assert {c.severity for c in before} <= {"ok"}
    change(inst)
    found = check(inst, name)
    assert found.severity == severity
    assert words in found.sentence
    assert found.hint or severity == "ok"


@pytest.mark.parametrize("fine", [size(5_900_000), size(16_700_000), took(28), took(20)])
def test_what_is_within_the_limits_is_no_anomaly(tmp_path: Path, fine: Callable[[Installation], None]) -> None:
    inst = installation(tmp_path, "orders")
    well(inst)
    fine(inst)
    assert check(inst, "backup_size").severity == "ok"
    assert check(inst, "backup_duration").severity == "ok"


def test_three_backups_do_not_make_a_usual_size(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    for hours in (5, 4, 3):
        add_backup(inst, "orders", NOW - timedelta(hours=hours))
    assert "backup_size" not in {c.name for c in examine(inst).checks}
    add_backup(inst, "orders", NOW - HOUR, stored_bytes=100)
    assert check(inst, "backup_size").severity == "warning"


def test_a_partial_or_adopted_backup_is_no_anomaly(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    well(inst)
    add_backup(inst, "orders", NOW - HOUR, stored_bytes=10, excluded=("public.x",))
    add_backup(inst, "orders", NOW - HOUR / 2, stored_bytes=10, adopted=True)
    assert check(inst, "backup_size").severity == "ok"


def test_a_partial_backup_that_restores_proves_what_it_holds_and_never_the_database(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    part = add_backup(inst, "orders", NOW - HOUR, excluded=("public.x",))
    add_verification(inst, part, NOW)
    assert "verification" not in {c.name for c in examine(inst).checks}, "no whole backup was verified"
    assert check(inst, "restore_test").sentence == "No restore test has passed."
    [row], _ = search(inst.catalog.engine, InventoryQuery())
    assert (row.is_proven, proof_words(row)) == (False, "▖ partial: what it holds restores")
    assert str(_verified(inst.catalog.backups.get(part.id))) == "partial: what it holds restores"
    assert [search(inst.catalog.engine, InventoryQuery(proof=p))[1] for p in ("proven", "not proven")] == [0, 1]
    [day] = [day for day in days(inst.catalog.engine, since=NOW - DAYS) if day.database == "orders"]
    assert day.tests_passed == 0
    whole = add_backup(inst, "orders", NOW - 2 * HOUR)
    add_verification(inst, whole, NOW)
    assert check(inst, "verification").sentence.startswith("The newest backup passed its restore test")
    assert search(inst.catalog.engine, InventoryQuery(proof="proven"))[1] == 1


@pytest.mark.parametrize(("used", "severity"), [(39, "ok"), (40, "warning"), (47.5, "failure"), (49.995, "failure")])
def test_a_storage_that_fills_up_warns_at_80_and_fails_at_95_percent(
    tmp_path: Path, used: float, severity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = installation(tmp_path, "orders")
    room = StorageRoom("local", "file:///x", 3, int(used * 10**9), 50 * 10**9, 10**12)
    monkeypatch.setattr("services.health.facts.load_rooms", lambda *_, **__: (room,))
    found = check(inst, "storage_room", "local")
    assert found.severity == severity
    assert "warns at 80 %, fails at 95 %" in found.sentence


def test_a_storage_without_room_for_the_next_backup_fails_whatever_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - HOUR)
    room = StorageRoom("local", "file:///x", 3, 10 * MB, 18 * MB, None)
    monkeypatch.setattr("services.health.facts.load_rooms", lambda *_, **__: (room,))
    found = check(inst, "storage_room", "local")
    assert (found.severity, "the next backup needs about 8.40 MB" in found.sentence) == ("failure", True)


def test_a_storage_that_cannot_be_asked_is_unknown_and_one_without_a_limit_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = installation(tmp_path, "orders")
    rooms = (
        StorageRoom("local", "file:///x", 0, 0, None, None, "No such folder."),
        StorageRoom("s3", "s3://b", 3, 10**12, None, None),
    )
    monkeypatch.setattr("services.health.facts.load_rooms", lambda *_, **__: rooms)
    assert check(inst, "storage_room", "local").severity == "unknown"
    assert check(inst, "storage_room", "s3").severity == "ok"


def test_what_waits_for_a_storage_that_is_away_is_told_by_its_own_alert_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = in_two_storages(tmp_path)
    well(inst)
    away = inst.settings.storages[1].name
    newest = inst.catalog.backups.list(limit=1)[0]
    copy = replace(newest.copies[0], storage=away, state="failed", error="It is not mounted.")
    inst.catalog.backups.save_copy(newest.id, copy)
    add_run(
        inst, "orders", NOW - HOUR, kind="copy", state="failed", error="It is not mounted.", params={"storage": away}
    )
    rooms = tuple(
        StorageRoom(s.name, s.url, 7, 1, None, None, "It is not mounted." if s.name == away else "")
        for s in inst.settings.storages
    )

    def alerts() -> list[str]:
        found = [c for c in examine(inst).checks if c.name in ("copies", "other_runs", "storage_reach", "storage_room")]
        steps = decide(found, [], NOW, remind_after=DAYS, hold=HOUR)
        return sorted(f"{rule_of(s.check.name).title}: {s.check.sentence}" for s in steps if s.check)

    assert len(alerts()) == 2, "while the storage answers, the copy and its run are told of"
    monkeypatch.setattr("services.health.facts.load_rooms", lambda *_, **__: rooms)
    [said] = alerts()
    assert said.startswith("Storage cannot be reached: It cannot be asked: It is not mounted.")
    assert said.endswith(f"Copies wait for it, the newest of {newest.name}.")
    contents = check(inst, "storage_contents", away)
    assert (contents.severity, contents.sentence[:23]) == ("unknown", "It cannot be asked now,")


def test_free_bytes_that_are_given_ask_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inst = installation(tmp_path, "orders")
    monkeypatch.setattr(Installation, "storage", lambda *_: pytest.fail("a storage was touched"))
    found = next(c for c in examine(inst, free={"local": 10**9}).checks if c.name == "storage_room")
    assert "1.00 GB (disk)" in found.sentence


def test_a_silent_worker_is_a_failure_and_none_at_all_is_none(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    assert check(inst, "worker", "").severity == "ok"
    [orders] = inst.settings.databases
    scheduled = inst.settings.model_copy(update={"databases": (orders.model_copy(update={"schedule": "0 2 * * *"}),)})
    wanting = check(Installation(scheduled, inst.catalog, inst.clock), "worker", "")
    assert (wanting.severity, wanting.sentence) == ("failure", "No worker runs, so no scheduled backup will start.")
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW - timedelta(seconds=30))
    assert check(inst, "worker", "").severity == "ok"
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW - timedelta(seconds=31))
    silent = check(inst, "worker", "")
    assert (silent.severity, silent.sentence) == ("failure", "The worker has been silent for 31 s.")
    assert silent.since == NOW - timedelta(seconds=31)
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW + HOUR)
    assert check(inst, "worker", "").severity == "unknown"


def test_a_copy_that_was_never_begun_is_missed_after_a_day(tmp_path: Path) -> None:
    inst = in_two_storages(tmp_path)
    backup = add_backup(inst, "orders", NOW - timedelta(hours=23))
    assert check(inst, "copies").severity == "ok"
    older = add_backup(inst, "orders", NOW - timedelta(hours=25))
    late = check(inst, "copies")
    assert (late.severity, late.count) == ("warning", 1)
    assert late.sentence == "A copy was not even begun · limit 24 h after the backup"
    for made in (backup, older):
        inst.catalog.backups.save_copy(made.id, replace(made.copies[0], storage="offsite"))
    assert check(inst, "copies").severity == "ok"


def test_what_waits_in_the_queue_for_over_an_hour_is_stuck(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    inst.catalog.workers.beat("host:1", version="0.1.0", now=NOW)
    add_run(inst, "orders", NOW - HOUR)
    assert check(inst, "queue", "").severity == "ok"
    add_run(inst, "orders", NOW - HOUR - timedelta(seconds=1))
    assert check(inst, "queue", "").severity == "warning"


def test_messages_that_are_not_delivered_are_seen(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    assert "No channel is set" in check(inst, "notifications", "").sentence
    row = {"id": "m", "event": "opened", "number": 1, "channel": "Slack", "severity": "failure", "subject": "s",
           "body": "b", "attempts": 3, "next_attempt_at": NOW, "error": "404 no_team"}  # fmt: skip
    with inst.catalog.engine.begin() as connection:
        connection.execute(outbox.insert().values(created_at=NOW - HOUR / 2, **row))
    warned = check(inst, "notifications", "")
    assert (warned.severity, "404 no_team" in warned.sentence) == ("warning", True)
    with inst.catalog.engine.begin() as connection:
        connection.execute(outbox.insert().values(created_at=NOW - 2 * HOUR, **(row | {"id": "n"})))
    assert check(inst, "notifications", "").severity == "failure"


def test_a_paused_database_is_named_and_nothing_else_is_said_of_it(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", paused=("orders",))
    add_backup(inst, "orders", NOW - 90 * DAYS)
    failed_run(inst)
    assert [c.name for c in examine(inst).checks if c.subject.name == "orders"] == ["paused"]


def test_a_catalogue_that_does_not_answer_is_the_one_check_and_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = installation(tmp_path, "orders")

    def away(*_: object, **__: object) -> None:
        raise OperationalError("SELECT planted-secret", {}, Exception("postgresql://u:planted-secret@h"))

    monkeypatch.setattr("services.health.checks.gather", away)
    report = examine(inst)
    assert [(c.name, c.severity) for c in report.checks] == [("catalogue", "failure")]
    assert "planted-secret" not in str(report)


def test_the_worst_comes_first_and_an_empty_list_is_not_well(tmp_path: Path) -> None:
    report = examine(healthy(tmp_path, days=10))
    order = ["failure", "unknown", "warning", "ok"]
    ranks = [order.index(c.severity) for c in report.checks]
    assert ranks == sorted(ranks)
    assert report.worst == "failure"
    assert replace(report, checks=()).worst == "unknown"
    assert len({c.key for c in report.checks}) == len(report.checks), "keys tell checks apart"
    assert {c.name for c in report.checks} <= set(CHECK_WORDS)


def test_the_queries_do_not_grow_with_the_backups(tmp_path: Path) -> None:
    few, many = healthy(tmp_path / "few", days=3), healthy(tmp_path / "many", days=25)
    counts = [count_queries(inst, partial(examine, inst)) for inst in (few, many)]
    assert counts[0] == counts[1] <= 32


def test_every_rule_says_something_of_a_healthy_installation(tmp_path: Path) -> None:
    """What says nothing when all is well could have disappeared without anybody noticing."""
    inst = scheduled(tmp_path, "orders", missed=(), late=())
    well(inst)
    resting = inst.settings.databases[0].model_copy(update={"name": "resting", "paused": True})
    keys = (generate_key()[1], generate_key()[1])
    changes = {"databases": (*inst.settings.databases, resting), "recipients": keys}
    inst.settings = inst.settings.model_copy(update=changes)
    add_run(inst, "orders", NOW - HOUR, state="finished", kind="verification")
    add_run(inst, "orders", NOW - HOUR, state="finished", kind="health",
            result={"probes": []})  # fmt: skip
    names = {c.name for c in examine(inst).checks}
    assert len(names) >= len(RULES) - 3, "all but probes, log and locks of buckets: there are none"
    assert examine(inst).worst == "ok"
