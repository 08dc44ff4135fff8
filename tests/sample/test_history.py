"""The simulated past: believable, finished, and never in the way of what is real."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.catalog.model import Backup
from services.sample.history import simulate_past
from services.sample.history_model import STORIES, History, Measured

NOW = datetime(2026, 11, 22, 0, 4, tzinfo=UTC)  # four minutes into a day: the narrowest case
TODAY = NOW.replace(hour=0, minute=0)


def measured(database: str) -> Measured:
    return Measured(
        database=database,
        storage="local",
        further=("offsite",),
        database_bytes=57_000_000,
        plain_bytes=35_000_000,
        stored_bytes=9_500_000,
        backup_seconds=2.5,
        restore_test_seconds=6.0,
        server_version="18.1",
        client_version="18.1",
        recipients=("age1x",),
        compression_level=3,
    )


@pytest.fixture(scope="module", params=sorted(STORIES))
def past(request: pytest.FixtureRequest) -> History:
    return simulate_past(measured(request.param), STORIES[request.param], NOW)


def days_ago(at: datetime) -> int:
    return (TODAY.date() - at.date()).days


def test_the_same_day_gives_the_same_past() -> None:
    one, two = (simulate_past(measured("billing"), STORIES["billing"], NOW) for _ in range(2))
    assert one == two


def test_no_simulated_backup_is_ever_restorable(past: History) -> None:
    assert past.backups
    for backup in past.backups:
        assert backup.state == "expired"
        assert backup.sample
        assert [(copy.storage, copy.state) for copy in backup.copies] == [("local", "deleted"), ("offsite", "deleted")]
        assert backup.expired_at is not None
        assert backup.finished_at < backup.expired_at <= NOW
        assert not backup.is_good


def test_everything_lies_in_the_past_and_in_order(past: History) -> None:
    for run in past.runs:
        assert run.state in ("finished", "failed", "lost")
        assert run.started_at is not None
        assert run.finished_at is not None
        assert run.queued_at < run.started_at < run.finished_at < TODAY
    for verification in past.verifications:
        assert verification.started_at < verification.finished_at < TODAY


def test_ids_and_names_are_unique(past: History) -> None:
    for rows in (past.runs, past.backups, past.verifications):
        ids = [row.id for row in rows]
        assert len(set(ids)) == len(ids)
    names = [backup.name for backup in past.backups]
    assert len(set(names)) == len(names)


def test_every_row_points_at_rows_that_exist_and_agree(past: History) -> None:
    runs = {run.id: run for run in past.runs}
    backups = {backup.id: backup for backup in past.backups}
    for backup in past.backups:
        run = runs[backup.run_id or ""]
        assert (run.kind, run.state, run.backup_id) == ("backup", "finished", backup.id)
        assert (run.started_at, run.finished_at) == (backup.started_at, backup.finished_at)
    for verification in past.verifications:
        assert verification.run_id in runs
        backup = backups[verification.backup_id]
        assert backup.finished_at <= verification.started_at
        assert backup.expired_at is not None
        assert verification.finished_at < backup.expired_at, "what is gone cannot be checked"
    assert {run_id for run_id, _ in past.lines} <= set(runs)


def test_failed_runs_say_why_and_what_to_do(past: History) -> None:
    failed = [run for run in past.runs if run.state in ("failed", "lost")]
    assert failed
    for run in failed:
        assert run.error
        assert run.hint
        assert run.backup_id is None


def test_every_backup_was_checked_when_it_was_made(past: History) -> None:
    checked = {v.backup_id for v in past.verifications if v.level == "checksum" and v.outcome == "passed"}
    assert checked == {backup.id for backup in past.backups}


def test_the_database_grew_to_what_it_is_today(past: History) -> None:
    by_time = sorted(past.backups, key=lambda backup: backup.finished_at)
    first, last = mean_size(by_time[:10]), mean_size(by_time[-10:])
    assert first < 0.65 * last
    assert 0.95 * 57_000_000 < last <= 57_000_000


def test_the_slot_of_today_was_satisfied_once_it_was_due() -> None:
    for hour, expected in ((1, None), (2, None), (3, 2), (12, 2)):
        now = NOW.replace(hour=hour)
        newest = max(
            simulate_past(measured("la_factoria"), STORIES["la_factoria"], now).runs, key=lambda r: r.queued_at
        )
        slot = newest.params["slot"] if newest.queued_at.date() == now.date() else None
        assert slot == (f"2026-11-22T{expected:02d}:00:00.000Z" if expected else None)


def test_every_run_of_the_schedule_names_its_slot(past: History) -> None:
    scheduled = [run for run in past.runs if run.params.get("type") == "scheduled"]
    assert len({run.params["slot"] for run in scheduled}) == len(scheduled) > 150
    assert all(
        run.started_at and run.started_at.strftime("%Y-%m-%dT%H") == run.params["slot"][:13] for run in scheduled
    )


def test_a_failed_or_untestable_restore_test_was_followed_by_a_passed_one() -> None:
    past = simulate_past(measured("la_factoria"), STORIES["la_factoria"], NOW)
    tests = sorted((v for v in past.verifications if v.level == "restore"), key=lambda v: v.finished_at)
    unpassed = [index for index, test in enumerate(tests) if test.outcome != "passed"]
    assert {tests[index].outcome for index in unpassed} == {"failed", "not testable"}
    for index in unpassed:
        assert tests[index + 1].outcome == "passed"
        assert tests[index + 1].finished_at - tests[index].finished_at < timedelta(days=2)


def test_billing_has_not_been_restore_tested_for_longer_than_the_settings_allow() -> None:
    allowed = 35
    for name, overdue in (("la_factoria", False), ("billing", True)):
        past = simulate_past(measured(name), STORIES[name], NOW)
        passed = [v for v in past.verifications if v.level == "restore" and v.outcome == "passed"]
        assert (days_ago(max(v.finished_at for v in passed)) > allowed) is overdue


def test_the_last_thirty_days_have_a_repaired_failure_and_a_day_without_a_backup() -> None:
    past = simulate_past(measured("la_factoria"), STORIES["la_factoria"], NOW)
    failed = {days_ago(run.queued_at) for run in past.runs if run.state in ("failed", "lost")}
    made = {days_ago(backup.finished_at) for backup in past.backups}
    recent = {day for day in failed if day <= 30}
    assert recent & made
    assert recent - made


def mean_size(backups: list[Backup]) -> float:
    return sum(backup.database_bytes for backup in backups) / len(backups)
