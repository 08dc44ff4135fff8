"""Stopping: whatever one thing makes of it, the others are told as well, and the heart beats on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from services import commands
from services.backups.request import BackupRequest
from services.catalog.workers import SILENT_AFTER
from services.errors import Cancelled
from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.jobs.beside import Beside
from services.jobs.identity import process_identity
from services.postgres import connection as connecting
from services.postgres.connection import Connection, cancel_soon, connect
from services.postgres.server import LocalServer
from tests.support.run_context import RecordingRun
from tests.support.servers import NewDatabase


def refuse() -> None:
    raise psycopg.OperationalError("cancellation failed: connection refused")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stop_that_fails_keeps_no_other_from_being_called_and_the_heart_beats_on(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    runs = installation.catalog.runs
    run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada", queue=False)
    claim = runs.claim(run_id, worker=process_identity(), now=installation.clock())
    ended = threading.Event()
    with ActiveRun(installation, claim, actor="ada") as active, active.on_cancel(refuse), active.on_cancel(ended.set):
        commands.request_cancel(installation, run_id, actor="bob")
        assert ended.wait(20)
        beat = runs.get(run_id).heartbeat_at
        wait_for(lambda: runs.get(run_id).heartbeat_at != beat)
        with active.on_cancel(refuse), pytest.raises(Cancelled):  # registered too late: it is called at once
            active.check_cancelled()
    assert "connection refused" in caplog.text


def test_work_beside_is_given_up_even_when_a_part_of_it_cannot_be_told() -> None:
    beside = Beside(RecordingRun())
    ended = threading.Event()
    with beside.on_cancel(refuse), beside.on_cancel(ended.set):
        beside.abandon()
        assert ended.is_set()
        with beside.on_cancel(refuse):
            pass


def test_a_server_that_went_silent_is_not_waited_for(
    server18: LocalServer, database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SILENT_AFTER.total_seconds() > connecting.CANCEL_SECONDS, "else the run would be taken for dead meanwhile"
    monkeypatch.setattr(connecting, "CANCEL_SECONDS", 0.2)
    postmaster = int((server18.data_dir / "postmaster.pid").read_text().split()[0])
    with connect(database(server18)) as connection:
        asking = threading.Thread(target=sleep_in_the_server, args=(connection,))
        asking.start()
        try:
            wait_for(lambda: connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE)
            os.kill(postmaster, signal.SIGSTOP)
            try:
                with pytest.raises(psycopg.errors.CancellationTimeout):
                    cancel_soon(connection)
            finally:
                os.kill(postmaster, signal.SIGCONT)
        finally:
            connection.cancel_safe()
            asking.join(30)


def sleep_in_the_server(connection: Connection) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(600)")
