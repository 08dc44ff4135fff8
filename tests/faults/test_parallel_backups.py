"""A parallel backup that goes wrong ends within its limit, says why, and leaves nothing: no object, spool or child."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from services import commands
from services.backups import packing, parallel
from services.backups.request import BackupRequest
from services.catalog.model import Run
from services.installation import open_installation
from services.janitor import sweep
from services.jobs.execute import execute_run
from services.jobs.identity import DeathWatch, process_identity
from services.jobs.recovery import recover_dead_runs
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.large.conftest import NewLab, new_lab
from tests.restores.lab import Lab, leftovers
from tests.support.schedules import pause_schedules
from tests.support.servers import NewDatabase
from tests.support.worker import workers_of

__all__ = ["new_lab"]
TWO = "CREATE TABLE one AS SELECT 1 AS i; CREATE TABLE two AS SELECT 2 AS i"
LARGER = "".join(
    f"CREATE UNLOGGED TABLE {name} AS SELECT i, repeat('x', 300) FROM generate_series(1, 150000) i;"
    for name in ("one", "two")
)
"""So much that the workers of pg_dump are at work for longer than it takes to see them."""


def back_up_and(harm: Callable[[int], object], lab: Lab, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, float]:
    """Back up with two jobs, with ``harm`` done to pg_dump's pid as soon as its workers are there; return the run."""
    watch = parallel._watch

    def harmed(dump: Any, *args: Any) -> None:
        workers_of(dump.pid)
        harm(dump.pid)
        watch(dump, *args)

    monkeypatch.setattr(parallel, "_watch", harmed)
    run_id = commands.submit_backup(lab.installation, BackupRequest("la_factoria", jobs=2), actor="t", queue=False)
    began = time.monotonic()
    run = execute_run(lab.installation, run_id, worker=process_identity())
    return run, time.monotonic() - began


def assert_nothing_left(lab: Lab) -> None:
    assert list(lab.installation.storage("primary").list()) == []
    assert lab.installation.storage("primary").unfinished() == []
    assert lab.installation.catalog.backups.list() == []
    assert leftovers(lab) == []
    assert [child.name() for child in psutil.Process().children(recursive=True) if "pg_dump" in child.name()] == []


def test_a_worker_of_pg_dump_that_stands_still_is_noticed_and_ended(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = new_lab(LARGER, database={"stall_timeout": timedelta(seconds=2)})
    run, seconds = back_up_and(lambda pid: workers_of(pid)[0].suspend(), lab, monkeypatch)
    assert (run.state, "Nothing moved" in run.error) == ("failed", True), run.error
    assert seconds < 30
    assert_nothing_left(lab)


def test_a_worker_of_pg_dump_that_is_killed_fails_the_backup(new_lab: NewLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = new_lab(LARGER)
    run, seconds = back_up_and(lambda pid: workers_of(pid)[0].kill(), lab, monkeypatch)
    assert (run.state, "pg_dump" in run.error) == ("failed", True), run.error
    assert seconds < 30
    assert_nothing_left(lab)


def test_a_cancelled_parallel_backup_ends_and_leaves_nothing(new_lab: NewLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = new_lab(LARGER)

    def cancel(pid: int) -> None:
        for worker in workers_of(pid):
            worker.suspend()  # it must not be done before the heart has seen the wish
        [active] = lab.installation.catalog.runs.active()
        commands.request_cancel(lab.installation, active.id, actor="ada")

    run, seconds = back_up_and(cancel, lab, monkeypatch)
    assert run.state == "cancelled", run.error
    assert seconds < 30
    assert_nothing_left(lab)


def test_a_disk_that_is_about_to_fill_ends_the_dump_before_it_does(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = new_lab(TWO)
    monkeypatch.setattr(packing, "MARGIN", 1 << 60)
    run_id = commands.submit_backup(lab.installation, BackupRequest("la_factoria", jobs=2), actor="t", queue=False)
    run = execute_run(lab.installation, run_id, worker=process_identity())
    assert (run.state, "given up before it filled" in run.error) == ("failed", True), run.error
    assert "one job" in run.hint
    assert_nothing_left(lab)


def test_without_room_to_spool_nothing_is_begun(new_lab: NewLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = new_lab(TWO)
    monkeypatch.setattr("services.preflight.space.MARGIN", 1 << 60)
    run_id = commands.submit_backup(lab.installation, BackupRequest("la_factoria", jobs=2), actor="t", queue=False)
    run = execute_run(lab.installation, run_id, worker=process_identity())
    assert (run.state, "where a parallel dump is spooled" in run.error) == ("failed", True), run.error
    assert "--jobs 1" in run.hint
    assert_nothing_left(lab)


def test_of_a_killed_process_recovery_ends_the_workers_and_removes_the_spool(
    tmp_path: Path, server15: LocalServer, database: NewDatabase
) -> None:
    """The kernel ends pg_dump with us; its own workers, and what they have written, outlive both."""
    secret, public = generate_key()
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database(server15, LARGER).url().get_secret_value(),
        "BACKUP_DATABASE_NAME": "la_factoria",
        "BACKUP_SCHEDULE": "off",
        "BACKUPS_HOME": str(tmp_path / "home"),
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret,
        "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
        "BACKUP_SPOOL": str(tmp_path / "elsewhere"),
    }
    pause_schedules(environ)
    flag = tmp_path / "flag"
    command = [sys.executable, "-m", "tests.support.worker", "dumping in parallel", str(flag), "create", "--jobs", "2"]
    process = subprocess.Popen(command, env=environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")})
    try:
        deadline = time.monotonic() + 60
        while not flag.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    workers = [child for child in children if child.is_running() and child.status() == psutil.STATUS_STOPPED]
    assert len(workers) == 2
    installation = open_installation(environ)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
    [run] = recover_dead_runs(installation, DeathWatch(), enqueue=None)
    assert run.state == "lost"
    _, alive = psutil.wait_procs(workers, timeout=10)
    for worker in alive:
        worker.kill()
    assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert list(installation.storage("primary").list()) == []
    installation.close()


def test_the_janitor_removes_what_runs_that_are_over_have_spooled(new_lab: NewLab) -> None:
    lab = new_lab(TWO)
    spool = lab.home / "spool"
    with lab.run("backup") as run:
        mine, foreign = spool / f"{run.run_id}-1", spool / f"{secrets.token_hex(6)}-1"
        for folder in (mine, foreign):
            folder.mkdir(parents=True)
            (folder / "1.dat").write_bytes(b"rows")
        assert sweep(lab.installation, apply=True).spooled == []
    assert sweep(lab.installation, apply=False).spooled == [str(mine)]
    assert mine.exists()
    assert sweep(lab.installation, apply=True).removed == [str(mine)]
    assert not mine.exists()
    assert foreign.exists(), "a run that this catalogue does not know is somebody else's"
