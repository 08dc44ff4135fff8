"""kill -9 of the worker in each phase: nothing half-done is left, listed or restorable, and the next backup works."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from services import commands
from services.backups.request import BackupRequest
from services.catalog.model import Run
from services.installation import Installation, open_installation
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, moto_server, plain_client
from tests.support.schedules import pause_schedules
from tests.support.servers import NewDatabase
from tests.support.worker import PHASES

SOURCE = """
CREATE TABLE content (id bigint PRIMARY KEY, body text NOT NULL);
INSERT INTO content SELECT i, encode(sha512(i::text::bytea), 'base64') || encode(sha512((i * 7)::text::bytea), 'base64')
  FROM generate_series(1, 120000) AS i;
"""
LIMIT = 60.0


ON_S3_TOO = ("in the middle", "during the upload")
"""The phases in which it matters where a backup is stored."""
PLACES = [(phase, "folder") for phase in PHASES] + [(phase, "s3") for phase in ON_S3_TOO]


@pytest.fixture(params=["folder"])
def environ(
    request: pytest.FixtureRequest, tmp_path: Path, server15: LocalServer, database: NewDatabase
) -> Iterator[dict[str, str]]:
    """Return the environment of an installation with some 30 MB to back up, on a folder and on S3."""
    secret, public = generate_key()
    values = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database(server15, SOURCE).url().get_secret_value(),
        "BACKUP_DATABASE_NAME": "la_factoria",
        "BACKUP_SCHEDULE": "off",
        "BACKUPS_HOME": str(tmp_path / "home"),
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret,
        "RESTORE_TEST_URL": request.getfixturevalue("server18").address.url().get_secret_value(),
    }
    if request.param == "folder":
        values |= {"BACKUP_STORAGE": f"file://{tmp_path / 'storage'}"}
        pause_schedules(values)
        yield values
        return
    with moto_server() as endpoint:
        bucket = f"backups-{secrets.token_hex(4)}"  # all of moto's servers in a process share their buckets
        plain_client(endpoint).create_bucket(Bucket=bucket)
        values |= {
            "BACKUP_STORAGE": f"s3://{bucket}/prod",
            "S3_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        pause_schedules(values)
        yield values


@contextmanager
def worker(
    environ: dict[str, str], phase: str, flag: Path, command: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "tests.support.worker", phase, str(flag), *command], env=environ)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited {LIMIT} s for {what}"
        time.sleep(0.1)


def kill_at(environ: dict[str, str], phase: str, flag: Path, command: tuple[str, ...] = ()) -> None:
    """Start a worker, wait until it stands still at the phase, kill it, and see that its children are gone as well."""
    with worker(environ, phase, flag, command) as process:
        wait_for(flag.exists, phase)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def ended(installation: Installation, run_id: str) -> Run:
    wait_for(lambda: not installation.catalog.runs.get(run_id).is_active, f"run {run_id}")
    return installation.catalog.runs.get(run_id)


def assert_nothing_half_done(installation: Installation) -> None:
    assert installation.catalog.runs.list(states=["running", "queued"]) == []
    storage = installation.storage("primary")
    backups = installation.catalog.backups.list()
    names = {copy.key for backup in backups for copy in backup.copies}
    stored = [entry.key for entry in storage.list()]
    assert {key for key in stored if ".dump" in key} == names
    assert len([key for key in stored if key.endswith(".manifest.json")]) == len(backups)
    assert storage.unfinished() == []
    url = installation.settings.restore_test_url
    assert url is not None
    assert scratch_databases(url.get_secret_value()) == []


def scratch_databases(url: str) -> list[str]:
    with connect(Address.parse(url)) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'restore\\_test\\_%'")
        return [row[0] for row in rows]


@pytest.mark.parametrize(("phase", "environ"), PLACES, indirect=["environ"])
def test_a_worker_killed_during_a_backup_leaves_nothing_and_its_run_goes_on(
    environ: dict[str, str], phase: str, tmp_path: Path
) -> None:
    installation = open_installation(environ)
    run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="test")
    kill_at(environ, phase, tmp_path / "flag")
    assert installation.catalog.backups.list() == []
    assert installation.catalog.runs.get(run_id).state == "running"
    with worker(environ, "never", tmp_path / "unused"):
        run = ended(installation, run_id)
        assert run.state == "finished", run.error
        assert run.attempt == 2
        assert run.backup_id is not None
        assert installation.catalog.backups.get(run.backup_id).verification_passed is True
        again = commands.submit_backup(installation, BackupRequest("la_factoria", name="the_next"), actor="test")
        following = ended(installation, again)
        assert following.state == "finished", following.error
    assert_nothing_half_done(installation)
    assert len(installation.catalog.backups.list()) == 2
    installation.close()


@pytest.mark.parametrize("catalogue", ["sqlite", "postgresql"])
def test_another_worker_goes_on_with_the_run_of_one_that_was_killed_and_with_later_ones(
    environ: dict[str, str], catalogue: str, tmp_path: Path, server18: LocalServer, database: NewDatabase
) -> None:
    if catalogue == "postgresql":
        environ["CATALOG_URL"] = database(server18).url().get_secret_value()
    installation = open_installation(environ)
    flag = tmp_path / "flag"
    with worker(environ, "in the middle", flag) as one, worker(environ, "in the middle", flag) as two:
        wait_for(lambda: len(installation.catalog.workers.alive(installation.clock())) == 2, "both workers")
        run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="test")
        wait_for(flag.exists, "one of them to be in the middle of the backup")
        at_work = (installation.catalog.runs.get(run_id).worker or "").split(":")[-2]
        dead, other = (one, two) if at_work == str(one.pid) else (two, one)
        os.kill(dead.pid, signal.SIGKILL)
        dead.wait(10)
        run = ended(installation, run_id)
        assert (run.state, run.attempt) == ("finished", 2), run.error
        again = commands.submit_backup(installation, BackupRequest("la_factoria", name="the_next"), actor="test")
        following = ended(installation, again)
        assert following.state == "finished", following.error
        assert other.poll() is None
    installation.close()


def test_a_worker_killed_during_the_verification_verifies_the_same_backup_afterwards(
    environ: dict[str, str], tmp_path: Path
) -> None:
    installation = open_installation(environ)
    request = BackupRequest("la_factoria", name="before_deploy")
    run_id = commands.submit_backup(installation, request, actor="test")
    kill_at(environ, "verifying", tmp_path / "flag")
    (backup,) = installation.catalog.backups.list()
    assert backup.verification_passed is None
    with worker(environ, "never", tmp_path / "unused"):
        run = ended(installation, run_id)
    assert (run.state, run.attempt, run.backup_id) == ("finished", 2, backup.id), run.error
    assert [b.name for b in installation.catalog.backups.list()] == ["before_deploy"]
    assert installation.catalog.backups.get(backup.id).verification_passed is True
    assert_nothing_half_done(installation)
    installation.close()


def test_a_backup_stored_by_a_command_that_was_killed_is_recorded_and_verified_by_the_next_worker(
    environ: dict[str, str], tmp_path: Path
) -> None:
    kill_at(environ, "before the catalogue row", tmp_path / "flag", ("create", "--name", "before_deploy"))
    installation = open_installation(environ)
    (run,) = installation.catalog.runs.list()
    assert (run.state, installation.catalog.backups.list()) == ("running", [])
    with worker(environ, "never", tmp_path / "unused"):
        run = ended(installation, run.id)
    assert (run.state, run.attempt) == ("finished", 2), run.error
    (backup,) = installation.catalog.backups.list()
    assert (backup.id, backup.name, backup.verification_passed) == (run.backup_id, "before_deploy", True)
    assert_nothing_half_done(installation)
    installation.close()


def test_a_worker_killed_during_a_restore_test_leaves_no_scratch_database(
    environ: dict[str, str], tmp_path: Path
) -> None:
    installation = open_installation(environ)
    backup_run = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="test")
    with worker(environ, "never", tmp_path / "unused"):
        backup_id = ended(installation, backup_run).backup_id
    assert backup_id is not None
    run_id = commands.submit_verification(installation, backup_id, "restore", actor="test")
    kill_at(environ, "during a restore", tmp_path / "flag")
    assert len(scratch_databases(environ["RESTORE_TEST_URL"])) == 1
    with worker(environ, "never", tmp_path / "unused"):
        run = ended(installation, run_id)
    assert (run.state, run.attempt) == ("finished", 2)
    assert scratch_databases(environ["RESTORE_TEST_URL"]) == []
    assert list((installation.settings.home / "spool").iterdir()) == []
    assert installation.catalog.backups.get(backup_id).proven_at is not None
    assert_nothing_half_done(installation)
    installation.close()
