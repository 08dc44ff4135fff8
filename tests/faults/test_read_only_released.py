"""kill -9 in the middle of an emergency backup: writes work again by themselves, whoever is left to see to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from services import commands
from services.emergency.request import EmergencyRequest
from services.installation import Installation, open_installation
from services.jobs.worker import run_worker
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.browser.conftest import serve
from tests.emergency.conftest import SOURCE, can_write, setting
from tests.support.servers import NewDatabase

LIMIT = 60.0
HOLDING = ("--sessions", "wait", "--wait-for", "10min")
"""The run stands still in read-only mode as long as an earlier session is there."""


@pytest.fixture
def source(server15: LocalServer, database: NewDatabase) -> Address:
    return database(server15, SOURCE)


def configured(source: Address, home: Path) -> dict[str, str]:
    secret, public = generate_key()
    return {
        "DATABASE_URL": source.url().get_secret_value(),
        "BACKUP_DATABASE_NAME": "la_factoria",
        "BACKUP_SCHEDULE": "off",
        "BACKUP_STORAGE": f"file://{home / 'storage'}",
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret,
    }


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"waited {LIMIT:.0f} s for {what}"
        time.sleep(0.1)


@contextmanager
def earlier_session(source: Address) -> Iterator[None]:
    """A session that was there before and stays: the emergency backup waits for it, in read-only mode."""
    with connect(source, application_name="the application"):
        yield


def emergency_request() -> EmergencyRequest:
    return EmergencyRequest("la_factoria", "why", sessions="wait", wait=timedelta(minutes=10))


@pytest.mark.timeout(240)
def test_killed_worker_and_killed_serve(source: Address, tmp_path: Path) -> None:
    """The worker of `backups serve` is killed, then all of it: each time writes work again within seconds."""
    home = tmp_path / "home"
    home.mkdir()
    sites = serve(home, **configured(source, tmp_path))
    site = next(sites)
    try:
        installation = open_installation(site.environ)
        with earlier_session(source):
            run_id = commands.submit_emergency(installation, emergency_request(), actor="ada")
            wait_for(lambda: not can_write(source), "read-only mode")
            worker = int((installation.catalog.runs.get(run_id).worker or "").split(":")[-2])
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: can_write(source), "the release after the worker's death")
            assert setting(source) == []
            # `serve` starts the worker again, and the backup is made after all, without read-only mode.
            wait_for(lambda: not installation.catalog.runs.get(run_id).is_active, "the second attempt")
            run = installation.catalog.runs.get(run_id)
            assert (run.state, run.attempt) == ("finished", 2), run.error
            (first,) = installation.catalog.read_only_modes.of_run(run_id)

            run_id = commands.submit_emergency(installation, emergency_request(), actor="ada")
            wait_for(lambda: not can_write(source), "read-only mode")
            everything = [psutil.Process(site.pid), *psutil.Process(site.pid).children(recursive=True)]
            for process in everything:
                if "services.emergency.guardian" not in process.cmdline():
                    process.kill()
            wait_for(lambda: can_write(source), "the release after the death of all")
            (second,) = installation.catalog.read_only_modes.of_run(run_id)
            wait_for(
                lambda: installation.catalog.read_only_modes.get(second.id).released_at is not None, "its row to say so"
            )
        by = installation.catalog.read_only_modes.get(second.id).released_by
        assert by == "the guardian, since the process that held it is gone"
        assert first.released_at is not None
        assert installation.catalog.read_only_modes.unreleased() == []
        installation.close()
    finally:
        sites.close()


def test_after_a_restart_of_the_machine_the_next_worker_releases(source: Address, tmp_path: Path) -> None:
    """Nothing survives a restart, the guardian neither: all of it is killed, and a worker starts."""
    environ = {"PATH": os.environ["PATH"], "BACKUPS_HOME": str(tmp_path / "home")} | configured(source, tmp_path)
    environ |= {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-m", "services.cli.main", "emergency", "--yes", "--reason", "why", *HOLDING]
    with earlier_session(source):
        process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: not can_write(source), "read-only mode")
        finally:
            everything = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            assert any("services.emergency.guardian" in each.cmdline() for each in everything)
            for each in reversed(everything):  # the guardian before the process that it watches
                each.kill()
            process.wait(10)
        assert not can_write(source), "nobody is left"
        installation = open_installation(environ)
        with a_worker(installation):
            wait_for(lambda: can_write(source), "the worker's release")
            wait_for(lambda: not installation.catalog.runs.active(), "the run to be given up")
        (run,) = installation.catalog.runs.list()
        (mode,) = installation.catalog.read_only_modes.of_run(run.id)
        assert run.state == "lost", "whoever worked in the foreground is gone with what was to be done"
        assert mode.released_by.startswith("a worker, since ")
        assert setting(source) == []
        installation.close()


@contextmanager
def a_worker(installation: Installation) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(installation,), kwargs={"stop": stop})
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
