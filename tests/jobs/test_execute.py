"""A run from its claim to its end, in the foreground."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services import commands
from services.backups.request import BackupRequest
from services.catalog.model import Run
from services.catalog.runs import ClaimLost
from services.commands.attended import unattended
from services.errors import Blocked, Busy, DumpFailed, InputError
from services.health.checks import examine
from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.overview import load_statuses
from services.review.queries import count_failures
from services.review.week import Period
from services.trends.query import TrendsQuery
from services.trends.success import load_success, total
from tests.jobs.use_cases import Backup, sleep_in_a_child, stand_still
from tests.support.installations import make_installation

WORKER = process_identity()


def submit(installation: Installation) -> str:
    return commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada", queue=False)


def execute(installation: Installation) -> Run:
    return execute_run(installation, submit(installation), worker=WORKER)


def in_background(installation: Installation, run_id: str) -> threading.Thread:
    thread = threading.Thread(target=execute_run, args=(installation, run_id), kwargs={"worker": WORKER})
    thread.start()
    return thread


def test_what_a_use_case_says_reaches_the_catalogue(installation: Installation, backup: Backup) -> None:
    def work(active: ActiveRun) -> None:
        active.phase("dumping", total_bytes=100)
        active.progress(60)
        active.log("half-way", "warning")

    backup.work = work
    backup.go.set()
    run = execute(installation)
    assert (run.state, run.result, run.error) == ("finished", {"done": True}, "")
    assert run.duration is not None
    messages = [(line.level, line.message) for line in installation.catalog.runs.log(run.id)]
    assert messages == [("info", "Dumping."), ("warning", "half-way")]


@pytest.mark.parametrize(("actor", "refused"), [("ada", True), ("schedule", False), ("worker", False)])
def test_what_is_refused_to_a_person_is_no_failed_run_and_what_is_refused_to_a_schedule_is_one(
    installation: Installation, backup: Backup, actor: str, refused: bool
) -> None:
    def work(_active: ActiveRun) -> None:
        raise Blocked("A pre-check stands in the way.", hint="Free some space.")

    backup.work = work
    backup.go.set()
    asked = commands.submit_backup(installation, BackupRequest("la_factoria"), actor=actor, queue=False)
    run = execute_run(installation, asked, worker=WORKER)
    assert (run.state, run.error, run.was_refused) == ("failed", "A pre-check stands in the way.", refused)
    checks = {check.name: check for check in examine(installation).checks}
    assert ("backup_run" in checks) is not refused
    [status] = load_statuses(installation)
    assert (status.evidence.last_failed_run is None) is refused
    now = installation.clock()
    query = TrendsQuery(now.date() - timedelta(days=1), now.date(), ("la_factoria",))
    assert total(load_success(installation.catalog.engine, query, [], {}, now.date())).runs == int(not refused)
    span = Period(now - timedelta(days=1), now + timedelta(days=1))
    assert count_failures(installation.catalog.engine, [span]) == [int(not refused)]


@pytest.mark.parametrize("step", ["phase", "leftover"])
def test_what_stops_a_run_after_its_first_step_is_no_refusal(
    installation: Installation, backup: Backup, step: str
) -> None:
    """As an emergency backup that has switched production, and meets a session that it may not end."""

    def work(active: ActiveRun) -> None:
        active.phase("checking first")
        if step == "phase":
            active.phase("switching to read-only mode")
            active.phase("checking")
        else:
            with active.leftover("read_only", database="la_factoria"):
                pass
        raise InputError("Sessions of postgres may not be ended by us.")

    backup.work = work
    run = execute(installation)
    assert (run.state, run.was_refused, run.result["exit_code"]) == ("failed", False, 2)
    assert "backup_run" in {check.name for check in examine(installation).checks}


def test_what_is_refused_in_the_second_attempt_is_no_refusal(installation: Installation, backup: Backup) -> None:
    def work(_active: ActiveRun) -> None:
        raise Blocked("A pre-check stands in the way.")

    backup.work = work
    backup.go.set()
    asked = submit(installation)
    runs = installation.catalog.runs
    runs.claim(asked, worker=WORKER, now=installation.clock())
    runs.take_back(runs.get(asked), state="queued", now=installation.clock())
    run = execute_run(installation, asked, worker=WORKER)
    assert (run.attempt, run.was_refused) == (2, False)


def test_what_is_refused_to_a_command_that_nobody_looks_at_is_a_failed_run(
    installation: Installation, backup: Backup
) -> None:
    def work(_active: ActiveRun) -> None:
        raise Blocked("A pre-check stands in the way.", hint="Free some space.")

    backup.work = work
    with unattended(nobody_looks=True):
        asked = submit(installation)
    run = execute_run(installation, asked, worker=WORKER)
    assert (run.state, run.was_refused) == ("failed", False)
    assert "backup_run" in {check.name for check in examine(installation).checks}


def test_a_failure_keeps_its_reason_and_its_hint(installation: Installation, backup: Backup) -> None:
    def work(_active: ActiveRun) -> None:
        raise DumpFailed("pg_dump died.", hint="Look at the disk.")

    backup.work = work
    run = execute(installation)
    assert (run.state, run.error, run.hint) == ("failed", "pg_dump died.", "Look at the disk.")
    assert "pg_dump died" in installation.catalog.runs.log(run.id)[-1].message


def test_an_unforeseen_error_ends_the_run_as_failed_and_is_logged(
    installation: Installation, backup: Backup, caplog: pytest.LogCaptureFixture
) -> None:
    def work(_active: ActiveRun) -> None:
        raise ZeroDivisionError("oops")

    backup.work = work
    run = execute(installation)
    assert run.state == "failed"
    assert "ZeroDivisionError" in run.error
    assert "ZeroDivisionError: oops" in caplog.text


def test_secrets_are_masked_in_logs_and_errors(tmp_path: Path, backup: Backup) -> None:
    installation = make_installation(tmp_path, url="postgresql://ada:planted%2Dsecret@h/x")
    key = installation.settings.encryption_key
    assert isinstance(key, SecretStr)

    def work(active: ActiveRun) -> None:
        active.log(f"connecting with planted-secret and {key.get_secret_value()}")
        raise DumpFailed("password planted%2Dsecret refused", hint=f"key {key.get_secret_value()}")

    backup.work = work
    run = execute(installation)
    said = "\n".join([run.error, run.hint, *(line.message for line in installation.catalog.runs.log(run.id))])
    assert said.count("***") >= 4
    for secret in ("planted-secret", "planted%2Dsecret", key.get_secret_value()):
        assert secret not in said
    installation.close()


def test_a_cancel_ends_the_child_process_and_the_run(installation: Installation, backup: Backup) -> None:
    backup.work = sleep_in_a_child
    run_id = submit(installation)
    thread = in_background(installation, run_id)
    assert backup.started.acquire(timeout=10)
    commands.request_cancel(installation, run_id, actor="bob")
    thread.join(10)
    run = installation.catalog.runs.get(run_id)
    assert (run.state, run.error) == ("cancelled", "Cancelled by bob.")


def test_a_run_that_does_not_move_is_ended_by_its_limit(tmp_path: Path, backup: Backup) -> None:
    installation = make_installation(tmp_path, database={"stall_timeout": timedelta(seconds=1)})
    backup.work = stand_still
    run = execute(installation)
    assert run.state == "failed"
    assert "Nothing moved" in run.error
    installation.close()


def test_a_second_backup_of_the_database_is_refused_and_stays_queued(
    installation: Installation, backup: Backup
) -> None:
    first, second = submit(installation), submit(installation)
    thread = in_background(installation, first)
    assert backup.started.acquire(timeout=10)
    with pytest.raises(Busy, match="la_factoria"):
        execute_run(installation, second, worker=WORKER)
    backup.go.set()
    thread.join(10)
    assert execute_run(installation, second, worker=WORKER).state == "finished"
    assert backup.most == 1


def test_a_run_that_was_taken_over_cannot_write_its_late_result(installation: Installation, backup: Backup) -> None:
    run_id = submit(installation)
    late: list[BaseException] = []

    def run_late() -> None:
        try:
            execute_run(installation, run_id, worker=WORKER)
        except ClaimLost as error:
            late.append(error)

    thread = threading.Thread(target=run_late)
    thread.start()
    assert backup.started.acquire(timeout=10)
    runs = installation.catalog.runs
    assert runs.take_back(runs.get(run_id), state="lost", now=installation.clock(), error="gone")
    thread.join(10)
    assert len(late) == 1
    assert runs.get(run_id).state == "lost"


def test_the_same_click_twice_is_one_run(installation: Installation, backup: Backup) -> None:
    request = BackupRequest("la_factoria", name="before_deploy")
    ids = {
        commands.submit_backup(installation, request, actor="ada", idempotency_key="k", queue=queue)
        for queue in (False, False, True)
    }
    assert len(ids) == 1
