"""The worker: takes what is queued, one run a database at a time, and hands back what it cannot finish."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services import commands
from services.backups.request import BackupRequest
from services.catalog.runs import Claim, RunStore
from services.installation import Installation
from services.jobs import worker
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.jobs.worker import run_worker
from services.settings.model import AlertSettings
from tests.jobs.use_cases import Backup, sleep_in_a_child
from tests.support.installations import make_installation
from tests.support.sinks import web_server


@contextmanager
def working(installation: Installation) -> Iterator[threading.Event]:
    """Run a worker in a thread; it is stopped at the end, or by the event."""
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(installation,), kwargs={"stop": stop})
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def submit(installation: Installation, key: str | None = None) -> str:
    return commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada", idempotency_key=key)


def state(installation: Installation, run_id: str) -> str:
    return installation.catalog.runs.get(run_id).state


def test_queued_runs_of_one_database_are_worked_on_one_after_the_other(
    installation: Installation, backup: Backup
) -> None:
    run_ids = [submit(installation) for _ in range(3)]
    backup.go.set()
    with working(installation):
        wait_for(lambda: all(state(installation, run_id) == "finished" for run_id in run_ids))
    assert backup.most == 1
    assert sorted(backup.done) == sorted(run_ids)


def test_the_same_click_twice_is_worked_on_once(installation: Installation, backup: Backup) -> None:
    assert submit(installation, "click") == submit(installation, "click")
    backup.go.set()
    with working(installation):
        wait_for(lambda: bool(backup.done))
        time.sleep(1)
    assert len(backup.done) == 1


def test_a_cancelled_queued_run_is_never_started(installation: Installation, backup: Backup) -> None:
    run_id, other = submit(installation), submit(installation)
    commands.request_cancel(installation, run_id, actor="bob")
    backup.go.set()
    with working(installation):
        wait_for(lambda: state(installation, other) == "finished")
    assert backup.done == [other]


def test_a_worker_waits_for_a_run_in_the_foreground(installation: Installation, backup: Backup) -> None:
    first = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada", queue=False)
    foreground = threading.Thread(target=execute_run, args=(installation, first), kwargs={"worker": process_identity()})
    foreground.start()
    assert backup.started.acquire(timeout=10)
    second = submit(installation)
    with working(installation):
        time.sleep(2)
        assert state(installation, second) == "queued"
        backup.go.set()
        wait_for(lambda: state(installation, second) == "finished")
    foreground.join(10)
    assert backup.most == 1


def test_a_worker_that_is_told_to_end_hands_its_run_back_and_the_next_one_finishes_it(
    installation: Installation, backup: Backup
) -> None:
    backup.work = sleep_in_a_child
    run_id = submit(installation)
    with working(installation):
        assert backup.started.acquire(timeout=20)
    assert state(installation, run_id) == "queued"
    assert installation.catalog.workers.list() == []
    backup.work = lambda active: None
    backup.go.set()
    with working(installation):
        wait_for(lambda: state(installation, run_id) == "finished")
    assert installation.catalog.runs.get(run_id).attempt == 2


def test_a_run_that_waits_for_its_lane_when_the_worker_ends_is_worked_on_by_the_next_one(
    installation: Installation, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = waiting(monkeypatch)
    first = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada", queue=False)
    claim = installation.catalog.runs.claim(first, worker=process_identity(), now=installation.clock())
    run_id = submit(installation)
    with working(installation):
        assert tried.wait(20)
    assert state(installation, run_id) == "queued"
    installation.catalog.runs.finish(claim, state="finished", now=installation.clock())
    backup.go.set()
    with working(installation):
        wait_for(lambda: state(installation, run_id) == "finished")
    assert installation.catalog.runs.get(run_id).attempt == 1


def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set once a worker has tried to have a run whose lane is taken."""
    tried = threading.Event()

    def execute(*args: object, **kwargs: object) -> None:
        tried.set()
        execute_run(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "execute_run", execute)
    return tried


def test_a_catalogue_that_is_away_for_a_moment_loses_no_run(
    installation: Installation, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RunStore.claim
    answers = iter([sa.exc.OperationalError("UPDATE runs", {}, Exception("server closed the connection"))])

    def claim(self: RunStore, run_id: str, **more: object) -> Claim:
        for error in answers:
            raise error
        return real(self, run_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(RunStore, "claim", claim)
    backup.go.set()
    run_id = submit(installation)
    with working(installation):
        wait_for(lambda: state(installation, run_id) == "finished")


def test_a_run_that_cannot_even_start_is_failed_and_holds_up_no_other(
    installation: Installation, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(at: Installation, run_id: str, **more: object) -> None:
        if run_id == odd:
            raise LookupError("a bug")
        execute_run(at, run_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "execute_run", execute)
    backup.go.set()
    odd, plain = submit(installation), submit(installation)
    with working(installation):
        wait_for(lambda: state(installation, plain) == "finished")
    run = installation.catalog.runs.get(odd)
    assert (run.state, "LookupError" in run.error) == ("failed", True)


def test_a_task_that_fails_unforeseen_is_done_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    again = threading.Event()
    outcomes = iter([LookupError("a bug of the schedules")])

    def start_due(_installation: Installation) -> None:
        for error in outcomes:
            raise error
        again.set()

    monkeypatch.setattr(worker, "start_due_runs", start_due)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.1)
    with caplog.at_level(logging.ERROR), working(installation):
        assert again.wait(20)
    assert "LookupError: a bug of the schedules" in caplog.text, "with its traceback"


def test_the_row_of_a_killed_worker_ends_with_the_start_of_the_next(installation: Installation) -> None:
    """Otherwise it would be said for days, whenever no worker runs, that one has fallen silent."""
    workers = installation.catalog.workers
    now = installation.clock()
    workers.beat(f"{socket.gethostname()}:{os.getpid()}:1", version="0.1.0", now=now)  # our pid, another process
    workers.beat("elsewhere:1:1", version="0.1.0", now=now - timedelta(days=1))  # of that machine we know nothing
    with working(installation):
        wait_for(lambda: {w.id for w in workers.list()} == {process_identity(), "elsewhere:1:1"})


def test_a_living_worker_is_seen(installation: Installation, backup: Backup) -> None:
    with working(installation):
        wait_for(lambda: bool(installation.catalog.workers.alive(installation.clock())))


def test_a_worker_evaluates_alerts_and_delivers_them(tmp_path: Path) -> None:
    with web_server() as sink:
        alerts = AlertSettings(urls=(SecretStr(f"json://127.0.0.1:{sink.port}"),))
        inst = make_installation(tmp_path / "home", alerts=alerts)
        with working(inst):
            wait_for(lambda: bool(sink.requests))
        assert b"la_factoria: No recent backup" in sink.requests[0].body
        inst.close()


def test_a_worker_carries_out_a_health_check(installation: Installation) -> None:
    run_id = commands.submit_health(installation, deep=False, actor="schedule")
    with working(installation):
        wait_for(lambda: state(installation, run_id) == "finished")
    assert installation.catalog.runs.get(run_id).result["worst"] == "failure"
